//! What every index promises, run on each body; then what only the embedded one promises about its files.
//!
//! The server's part runs when `QDRANT_URL` is set (gRPC, for instance `http://127.0.0.1:6334`) and says so when it
//! is not.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deskhand::{
    error::{Error, chain},
    index::{
        Filter, Hit, Index, Marker, Opened, Point, Rebuild, Role, Vector, bench,
        keywords::{self, Frequencies},
        server::Address,
    },
    words::{Audience, Kind, Lang, Span},
};
use jiff::civil::{Date, date};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const DIMENSIONS: usize = 16;
const FINGERPRINT: &str = "weights-1";
const ALL: usize = 10_000;

/// Runs `promise` on an empty index of every body.
async fn on_every_body(promise: impl AsyncFn(Index)) {
    let folder = tempfile::tempdir().unwrap();
    let opened = Index::open_embedded(folder.path(), DIMENSIONS, FINGERPRINT).unwrap();
    assert_eq!(opened.rebuild, Some(Rebuild::Missing));
    promise(opened.index).await;
    let Ok(url) = std::env::var("QDRANT_URL") else {
        println!("skipped on a Qdrant server: QDRANT_URL is not set");
        return;
    };
    let alias = format!("deskhand-test-{}", uuid::Uuid::now_v7());
    let address = Address { url, api_key: std::env::var("QDRANT_API_KEY").ok(), alias };
    let opened = Index::connect(address, DIMENSIONS, FINGERPRINT).await.unwrap();
    assert_eq!(opened.rebuild, Some(Rebuild::Missing));
    promise(opened.index).await;
}

fn open(folder: &Path) -> Opened {
    Index::open_embedded(folder, DIMENSIONS, FINGERPRINT).unwrap()
}

fn ready(folder: &Path) -> Index {
    let opened = open(folder);
    assert_eq!(opened.rebuild, None);
    opened.index
}

fn direction(random: &mut StdRng, dimensions: usize) -> Vec<f32> {
    let raw: Vec<f32> = (0..dimensions).map(|_| random.random_range(-1.0f32..1.0)).collect();
    let length = raw.iter().map(|number| number * number).sum::<f32>().sqrt();
    raw.into_iter().map(|number| number / length).collect()
}

fn terms(random: &mut StdRng) -> Vec<(u32, f32)> {
    let distinct: BTreeSet<u32> = (0..12).map(|_| random.random_range(0..60u32) * 71_000_003).collect();
    distinct.into_iter().map(|term| (term, random.random_range(0.2f32..2.0))).collect()
}

fn point(random: &mut StdRng, document: usize, revision: &str, role: Role, ordinal: u32) -> Point {
    let kinds = [Kind::Faq, Kind::Guide, Kind::Resolution, Kind::Notice, Kind::Card];
    let some_day = |random: &mut StdRng| -> Option<Date> {
        random.random_range(0..3u32).checked_sub(1).map(|_| date(2026, 1, 1 + random.random_range(0..28i8)))
    };
    Point {
        document: format!("document-{document}"),
        revision: revision.into(),
        lang: Lang::ALL[document % 2],
        kind: kinds[document % 5],
        audience: [Audience::Customer, Audience::Agent][document / 2 % 2],
        tags: vec![format!("topic-{}", document % 4), format!("area-{}", document % 7)],
        product: [None, Some("wallet".to_owned()), Some("card".to_owned())][document % 3].clone(),
        valid_from: some_day(random),
        valid_until: some_day(random),
        role,
        ordinal,
        span: matches!(role, Role::Line | Role::Chunk).then_some(Span { start: ordinal as usize, end: 99 }),
        vector: direction(random, DIMENSIONS),
        terms: terms(random),
    }
}

/// Six points for each of `documents` documents.
fn points(seed: u64, documents: usize, revision: &str) -> Vec<Point> {
    let random = &mut StdRng::seed_from_u64(seed);
    let texts =
        [(Role::Question, 0), (Role::Alias, 0), (Role::Alias, 1), (Role::Line, 0), (Role::Chunk, 0), (Role::Chunk, 1)];
    (0..documents)
        .flat_map(|document| texts.map(|(role, ordinal)| (document, role, ordinal)))
        .map(|(document, role, ordinal)| point(random, document, revision, role, ordinal))
        .collect()
}

type Place = (String, Lang, Role, u32);

fn place(point: &Point) -> Place {
    (point.document.clone(), point.lang, point.role, point.ordinal)
}

fn place_of<S>(hit: &Hit<S>) -> Place {
    (hit.document.clone(), hit.lang, hit.role, hit.ordinal)
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

fn filters() -> Vec<Filter> {
    let none = Filter::default;
    let mut filters = vec![
        none(),
        Filter { lang: Some(Lang::Zh), ..none() },
        Filter { kinds: vec![Kind::Faq], ..none() },
        Filter { kinds: vec![Kind::Notice, Kind::Guide], ..none() },
        Filter { audience: Some(Audience::Customer), ..none() },
        Filter { audience: Some(Audience::Agent), ..none() },
        Filter { tags: vec!["topic-1".into()], ..none() },
        Filter { tags: vec!["topic-1".into(), "area-3".into()], ..none() },
        Filter { tags: vec!["nothing".into()], ..none() },
        Filter { product: Some("wallet".into()), ..none() },
        Filter { product: Some("unknown".into()), ..none() },
        Filter {
            lang: Some(Lang::En),
            kinds: vec![Kind::Faq, Kind::Guide, Kind::Card],
            audience: Some(Audience::Customer),
            tags: vec!["topic-0".into(), "topic-1".into(), "topic-3".into()],
            product: Some("card".into()),
            on: Some(date(2026, 1, 14)),
            roles: vec![Role::Question, Role::Line, Role::Whole],
        },
        Filter { roles: vec![Role::Chunk], ..none() },
        Filter { roles: vec![Role::Question, Role::Alias, Role::Line], ..none() },
        Filter { roles: vec![Role::Whole], ..none() },
    ];
    let days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 14), date(2026, 1, 28), date(2026, 2, 1)];
    filters.extend(days.map(|day| Filter { on: Some(day), ..none() }));
    filters
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_admits_what_its_specification_says() {
    on_every_body(async |index| {
        let points = points(1, 60, "1");
        index.rebuild("one", points.clone()).await.unwrap();
        let query = direction(&mut StdRng::seed_from_u64(2), DIMENSIONS);
        let every_term: BTreeSet<u32> = points.iter().flat_map(|point| &point.terms).map(|(term, _)| *term).collect();
        let terms: Vec<_> = every_term.into_iter().map(|term| (term, 1.0)).collect();
        for filter in filters() {
            let expected: BTreeSet<Place> = points.iter().filter(|point| filter.admits(point)).map(place).collect();
            for exact in [true, false] {
                let hits = index.search_dense(Vector::Both, &query, &filter, ALL, exact).await.unwrap();
                assert_eq!(hits.iter().map(place_of).collect::<BTreeSet<_>>(), expected, "{filter:?}");
            }
            let hits = index.search_terms(&terms, &filter, ALL).await.unwrap();
            assert_eq!(hits.iter().map(place_of).collect::<BTreeSet<_>>(), expected, "{filter:?}");
        }
    })
    .await;
}

/// The engine's scores are ours, computed here from the points, for both vectors and for terms.
async fn check_scores(index: &Index, points: &[Point], dimensions: usize) {
    let random = &mut StdRng::seed_from_u64(3);
    for _ in 0..10 {
        let query = direction(random, dimensions);
        for which in [Vector::Question, Vector::Passage, Vector::Both] {
            let hits = index.search_dense(which, &query, &Filter::default(), 25, true).await.unwrap();
            let mut expected: Vec<f32> = points
                .iter()
                .filter(|point| which == Vector::Both || point.role.vector() == which)
                .map(|point| cosine(&point.vector, &query))
                .collect();
            expected.sort_by(|a, b| b.total_cmp(a));
            assert_eq!(hits.len(), expected.len().min(25));
            for (hit, best) in hits.iter().zip(&expected) {
                assert!((hit.score.0 - best).abs() < 1e-4, "{which:?}: {hit:?}, not {best}");
                let own = points.iter().find(|point| place(point) == place_of(hit)).unwrap();
                assert!((hit.score.0 - cosine(&own.vector, &query)).abs() < 1e-4, "{hit:?}");
                assert_eq!((&hit.revision, hit.kind, hit.span), (&own.revision, own.kind, own.span));
                assert_eq!(hit.audience, own.audience);
            }
        }
        let found = index.search_dense_with_vectors(Vector::Both, &query, &Filter::default(), 25).await.unwrap();
        assert!(!found.is_empty());
        for (hit, vector) in found {
            assert!((cosine(&vector, &query) - hit.score.0).abs() < 1e-4, "{hit:?}");
            assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-4, "{hit:?}");
        }
        let query = terms(random);
        let hits = index.search_terms(&query, &Filter::default(), ALL).await.unwrap();
        let expected = points.iter().filter(|point| keywords::dot(&query, &point.terms) > 0.0).count();
        assert_eq!(hits.len(), expected);
        assert!(hits.is_sorted_by(|one, next| one.score.0 >= next.score.0));
        for hit in hits {
            let own = points.iter().find(|point| place(point) == place_of(&hit)).unwrap();
            let score = keywords::dot(&query, &own.terms);
            assert!((hit.score.0 - score).abs() <= 1e-4 * score.max(1.0), "{hit:?}, not {score}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_scores_equal_a_brute_force_computation() {
    on_every_body(async |index| {
        let points = points(4, 50, "1");
        index.rebuild("one", points.clone()).await.unwrap();
        check_scores(&index, &points, DIMENSIONS).await;
        assert_eq!(index.count().await.unwrap(), points.len());
        index.healthy().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keyword_weights_give_bm25_through_the_engine() {
    on_every_body(async |index| {
        let texts = ["提现要多久到账", "提现手续费是多少", "如何重置支付密码", "gas 费为什么这么高"];
        let counts = Frequencies::of(texts.map(|text| (Lang::Zh, vec![(Role::Question, text)])));
        let random = &mut StdRng::seed_from_u64(5);
        let points = texts.iter().enumerate().map(|(number, text)| Point {
            lang: Lang::Zh,
            terms: counts.weigh_point(Lang::Zh, Role::Question, text),
            ..point(random, number, "1", Role::Question, 0)
        });
        index.rebuild("one", points.collect()).await.unwrap();
        for (number, text) in texts.iter().enumerate() {
            let query = counts.query(Lang::Zh, text);
            let hits = index.search_terms(&query, &Filter::default(), 10).await.unwrap();
            assert_eq!(hits[0].document, format!("document-{number}"), "{text}");
            assert!((hits[0].score.0 - counts.self_score(Lang::Zh, text)).abs() < 1e-4, "{text}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_during_a_rebuild_sees_all_old_or_all_new() {
    on_every_body(async |index| {
        index.rebuild("0", points(0, 40, "0")).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let searchers: Vec<_> = (0..4)
            .map(|seed| {
                let (index, stop) = (index.clone(), Arc::clone(&stop));
                tokio::spawn(async move {
                    let random = &mut StdRng::seed_from_u64(seed);
                    let mut seen = BTreeSet::new();
                    while !stop.load(Ordering::Relaxed) {
                        let query = direction(random, DIMENSIONS);
                        let which = Vector::Question;
                        let hits = index.search_dense(which, &query, &Filter::default(), ALL, true).await.unwrap();
                        let revisions: BTreeSet<_> = hits.iter().map(|hit| hit.revision.clone()).collect();
                        assert_eq!(revisions.len(), 1, "{revisions:?}");
                        let revision = revisions.into_iter().next().unwrap();
                        let documents = 40 + revision.parse::<usize>().unwrap() * 5;
                        assert_eq!(hits.len(), documents * 3, "revision {revision}");
                        seen.insert(revision);
                    }
                    seen
                })
            })
            .collect();
        for generation in 1..5 {
            let name = generation.to_string();
            let new = points(generation, 40 + generation as usize * 5, &name);
            if generation % 2 == 0 {
                index.update(&name, new, vec![]).await.unwrap();
            } else {
                index.rebuild(&name, new).await.unwrap();
            }
            assert_eq!(index.marker().unwrap().generation, name);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        stop.store(true, Ordering::Relaxed);
        for searcher in searchers {
            assert!(searcher.await.unwrap().len() > 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_replaces_adds_and_deletes_whole_documents() {
    on_every_body(async |index| {
        let mut expected = points(6, 20, "1");
        index.rebuild("one", expected.clone()).await.unwrap();
        let random = &mut StdRng::seed_from_u64(7);
        // Document 3 comes back with one text instead of six, 4 goes, 20 is new; 5 exists in the other language only.
        let upsert = vec![point(random, 3, "2", Role::Question, 0), point(random, 20, "1", Role::Chunk, 0)];
        let delete = vec![("document-4".to_owned(), Lang::Zh), ("document-5".to_owned(), Lang::Zh)];
        index.update("two", upsert.clone(), delete).await.unwrap();
        expected.retain(|point| point.document != "document-3" && point.document != "document-4");
        expected.extend(upsert);
        check_scores(&index, &expected, DIMENSIONS).await;
        assert_eq!(index.count().await.unwrap(), expected.len());
        let marker = index.marker().unwrap();
        assert_eq!((marker.generation.as_str(), marker.count), ("two", expected.len()));
        // Once more, on top of an update.
        index
            .update("three", vec![], vec![("document-20".to_owned(), Lang::En), ("document-20".to_owned(), Lang::Zh)])
            .await
            .unwrap();
        expected.retain(|point| point.document != "document-20");
        check_scores(&index, &expected, DIMENSIONS).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_cannot_work_is_an_error_and_an_empty_index_is_not() {
    on_every_body(async |index| {
        let query = direction(&mut StdRng::seed_from_u64(8), DIMENSIONS);
        let any = Filter::default();
        let unbuilt = index.search_dense(Vector::Both, &query, &any, 5, false).await.unwrap_err();
        assert!(chain(&unbuilt).contains("not been built"), "{}", chain(&unbuilt));
        assert!(index.search_terms(&[(1, 1.0)], &any, 5).await.is_err());
        assert!(index.count().await.is_err() && index.healthy().await.is_err() && index.marker().is_none());
        assert!(index.update("one", points(1, 1, "1"), vec![]).await.is_err());

        index.rebuild("empty", vec![]).await.unwrap();
        assert_eq!(index.search_dense(Vector::Both, &query, &any, 5, false).await.unwrap(), vec![]);
        assert_eq!(index.search_terms(&[(1, 1.0)], &any, 5).await.unwrap(), vec![]);
        assert_eq!(index.count().await.unwrap(), 0);

        for bad in [vec![1.0; DIMENSIONS + 1], vec![], vec![f32::NAN; DIMENSIONS], vec![0.0; DIMENSIONS]] {
            let refused = index.search_dense(Vector::Both, &bad, &any, 5, false).await.unwrap_err();
            assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_leaves_the_old_points_in_service() {
    on_every_body(async |index| {
        let good = points(9, 5, "1");
        index.rebuild("one", good.clone()).await.unwrap();
        let broken = |change: fn(&mut Point)| {
            let mut points = good.clone();
            change(&mut points[7]);
            points
        };
        for bad in [
            broken(|point| point.vector = vec![1.0; 3]),
            broken(|point| point.vector[0] = f32::INFINITY),
            broken(|point| point.terms = vec![(1, f32::NAN)]),
            [good.clone(), vec![good[0].clone()]].concat(),
        ] {
            assert!(matches!(index.rebuild("two", bad.clone()).await, Err(Error::Invalid { .. })));
            assert!(matches!(index.update("two", bad, vec![]).await, Err(Error::Invalid { .. })));
        }
        assert_eq!(index.marker().unwrap().generation, "one");
        check_scores(&index, &good, DIMENSIONS).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_without_a_vector_are_found_by_their_terms() {
    on_every_body(async |index| {
        let mut points = points(10, 5, "1");
        points.iter_mut().for_each(|point| point.vector = vec![]);
        index.rebuild("one", points.clone()).await.unwrap();
        let query = direction(&mut StdRng::seed_from_u64(8), DIMENSIONS);
        assert_eq!(index.search_dense(Vector::Both, &query, &Filter::default(), 5, true).await.unwrap(), vec![]);
        assert!(!index.search_terms(&points[0].terms, &Filter::default(), 5).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_an_error_that_names_it() {
    let address = Address { url: "http://127.0.0.1:9".into(), api_key: None, alias: "nobody".into() };
    let error = Index::connect(address, DIMENSIONS, FINGERPRINT).await.unwrap_err();
    assert!(chain(&error).contains("http://127.0.0.1:9"), "{}", chain(&error));
}

fn points_folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| entry.file_name().to_string_lossy().contains('-')).map(|entry| entry.path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_index_is_there_after_close_and_after_drop() {
    let folder = tempfile::tempdir().unwrap();
    let points = points(11, 30, "1");
    let index = open(folder.path()).index;
    index.rebuild("one", points.clone()).await.unwrap();
    index.close().await.unwrap();
    assert!(index.search_terms(&[(1, 1.0)], &Filter::default(), 1).await.is_err());
    assert!(index.rebuild("two", vec![]).await.is_err());

    let index = ready(folder.path());
    let marker =
        Marker { generation: "one".into(), fingerprint: FINGERPRINT.into(), dimensions: DIMENSIONS, count: 180 };
    assert_eq!(index.marker(), Some(marker.clone()));
    assert_eq!(Marker::read(folder.path()), Some(marker));
    check_scores(&index, &points, DIMENSIONS).await;
    index.close().await.unwrap();
    // Opening, searching and closing leave the files as they were, also where the engine writes some anew.
    for _ in 0..4 {
        let index = ready(folder.path());
        assert_eq!(index.search_terms(&points[0].terms, &Filter::default(), 1).await.unwrap().len(), 1);
        index.close().await.unwrap();
    }
    let index = ready(folder.path());
    index.update("two", vec![], vec![("document-1".into(), Lang::En)]).await.unwrap();
    drop(index);

    let index = ready(folder.path());
    assert_eq!(index.count().await.unwrap(), 174);
    // An update right after a start: its operations must count as newer than those before.
    index.update("three", vec![], vec![("document-3".into(), Lang::En)]).await.unwrap();
    assert_eq!(index.count().await.unwrap(), 168);
    assert_eq!(points_folders(folder.path()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_weights_or_damage_ask_for_a_rebuild_and_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path()).index;
    index.rebuild("one", points(12, 10, "1")).await.unwrap();
    index.close().await.unwrap();

    let other = Index::open_embedded(folder.path(), DIMENSIONS, "weights-2").unwrap();
    assert!(matches!(other.rebuild, Some(Rebuild::Fingerprint { .. })), "{:?}", other.rebuild);
    drop(other);
    let other = Index::open_embedded(folder.path(), 8, FINGERPRINT).unwrap();
    assert!(matches!(other.rebuild, Some(Rebuild::Dimensions { found: DIMENSIONS, expected: 8 })));
    drop(other);

    let marker = folder.path().join("marker.json");
    type Damage = fn(String) -> String;
    let damages: [(Damage, &str); 4] = [
        (|_| "{".into(), "marker.json"),
        (|whole| whole.replace("\"count\": 60", "\"count\": 61"), "promises 61"),
        (|whole| whole.replace("points-", "../points-"), "marker.json"),
        (|whole| whole.replace("points-", "points-0"), "marker.json"),
    ];
    for (damage, expected) in damages {
        let whole = std::fs::read_to_string(&marker).unwrap();
        std::fs::write(&marker, damage(whole)).unwrap();
        let opened = open(folder.path());
        let why = opened.rebuild.unwrap().to_string();
        assert!(why.contains(expected), "{why}");
        assert!(opened.index.count().await.is_err());
        opened.index.rebuild("one", points(12, 10, "1")).await.unwrap();
        assert_eq!(opened.index.count().await.unwrap(), 60);
        opened.index.close().await.unwrap();
        assert_eq!(points_folders(folder.path()).len(), 1);
    }

    // Every file of the engine in turn, cut, overwritten, gone: found out at the start, whatever the engine thinks.
    let shard = points_folders(folder.path()).remove(0);
    let searched = |file: &PathBuf| !file.ends_with("edge_config.json") && !file.starts_with(shard.join("wal"));
    let files: Vec<PathBuf> = files(&shard).into_iter().filter(searched).collect();
    assert!(files.len() > 50, "{}", files.len());
    for (number, file) in files.iter().enumerate() {
        let whole = std::fs::read(file).unwrap();
        [cut_file, overwrite_file, remove_file][number % 3](file);
        if std::fs::read(file).is_ok_and(|bytes| bytes == whole) {
            continue; // Cutting an empty file changes nothing.
        }
        let opened = open(folder.path());
        assert!(matches!(opened.rebuild, Some(Rebuild::Damaged(_))), "{}: {:?}", file.display(), opened.rebuild);
        assert!(opened.index.count().await.is_err());
        drop(opened);
        std::fs::write(file, whole).unwrap();
    }
    // The log is read by nobody: what a kill leaves of it does not matter.
    std::fs::create_dir_all(shard.join("wal")).unwrap();
    std::fs::write(shard.join("wal").join("open-1"), "torn").unwrap();
    assert_eq!(ready(folder.path()).count().await.unwrap(), 60);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn cut_file(path: &Path) {
    let length = std::fs::metadata(path).unwrap().len();
    std::fs::File::options().write(true).open(path).unwrap().set_len(length / 2).unwrap();
}

fn overwrite_file(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes.iter_mut().take(256).for_each(|byte| *byte = 0xa5);
    std::fs::write(path, bytes).unwrap();
}

fn remove_file(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_used_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let error = Index::open_embedded(&file.join("index"), DIMENSIONS, FINGERPRINT).unwrap_err();
    assert!(chain(&error).contains(&*file.to_string_lossy()), "{}", chain(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_reads_a_copy_and_may_not_write() {
    let folder = tempfile::tempdir().unwrap();
    let owner = open(folder.path()).index;
    owner.rebuild("one", points(13, 10, "1")).await.unwrap();
    let reader = ready(folder.path());
    assert_eq!(reader.count().await.unwrap(), 60);
    let refused = reader.rebuild("mine", vec![]).await.unwrap_err();
    assert!(chain(&refused).contains("another process owns"), "{}", chain(&refused));
    owner.rebuild("two", points(13, 20, "2")).await.unwrap();
    assert_eq!(reader.count().await.unwrap(), 60);
    check_scores(&reader, &points(13, 10, "1"), DIMENSIONS).await;
    reader.close().await.unwrap();
    assert_eq!(points_folders(folder.path()).len(), 1);
    assert_eq!(owner.count().await.unwrap(), 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_handle_keeps_its_points_and_they_go_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path()).index;
    index.rebuild("one", points(13, 10, "1")).await.unwrap();
    let pinned = index.pinned();
    index.rebuild("two", points(13, 20, "2")).await.unwrap();
    assert_eq!((pinned.count().await.unwrap(), index.count().await.unwrap()), (60, 120));
    assert_eq!(pinned.marker().unwrap().generation, "one");
    check_scores(&pinned, &points(13, 10, "1"), DIMENSIONS).await;
    drop(pinned);
    assert_eq!(points_folders(folder.path()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_follows_the_owner_and_takes_its_place_when_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let owner = open(folder.path()).index;
    owner.rebuild("one", points(13, 10, "1")).await.unwrap();
    let reader = ready(folder.path());
    assert!(owner.is_ours() && !reader.is_ours());
    assert!(!reader.follow("two").await.unwrap(), "it is not in service yet");
    owner.rebuild("two", points(13, 20, "2")).await.unwrap();
    assert!(reader.follow("two").await.unwrap());
    assert_eq!(reader.count().await.unwrap(), 120);
    owner.close().await.unwrap();
    assert!(!reader.follow("three").await.unwrap(), "nobody is left who could bring it");
    assert!(reader.is_ours());
    reader.rebuild("three", points(13, 5, "3")).await.unwrap();
    assert_eq!(reader.count().await.unwrap(), 30);
}

/// Not a test of its own: the process that [`a_kill_at_any_moment_leaves_a_whole_index`] starts and kills.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_rebuilds_until_it_is_killed() {
    let Ok(folder) = std::env::var("DESKHAND_TEST_KILLED_INDEX") else { return };
    let index = open(Path::new(&folder)).index;
    for generation in 1.. {
        let name = generation.to_string();
        let documents = 5 + generation as usize % 20;
        if generation % 3 == 0 {
            index.update(&name, points(generation, documents, &name), vec![]).await.unwrap();
        } else {
            index.rebuild(&name, points(generation, documents, &name)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_leaves_a_whole_index() {
    let folder = tempfile::tempdir().unwrap();
    let random = &mut StdRng::seed_from_u64(14);
    for _ in 0..12 {
        let before = Marker::read(folder.path());
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "index_contract::child_that_rebuilds_until_it_is_killed"])
            .env("DESKHAND_TEST_KILLED_INDEX", folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while Marker::read(folder.path()) == before {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
        child.kill().unwrap();
        child.wait().unwrap();

        let index = ready(folder.path());
        let marker = index.marker().unwrap();
        assert_eq!(index.count().await.unwrap(), marker.count);
        let query = direction(random, DIMENSIONS);
        let hits = index.search_dense(Vector::Both, &query, &Filter::default(), ALL, true).await.unwrap();
        assert_eq!(hits.len(), marker.count);
        assert!(hits.iter().any(|hit| hit.revision == marker.generation));
        assert_eq!(points_folders(folder.path()).len(), 1);
        index.close().await.unwrap();
    }
}

/// Large enough for the engine to build a graph, then enough deletions for it to clean up.
#[tokio::test(flavor = "multi_thread")]
async fn a_graph_keeps_its_promises_through_an_update() {
    const WIDE: usize = 1024;
    let folder = tempfile::tempdir().unwrap();
    let random = &mut StdRng::seed_from_u64(15);
    let mut expected: Vec<Point> = (0..2_800)
        .map(|number| Point { vector: direction(random, WIDE), ..point(random, number, "1", Role::Question, 0) })
        .collect();
    let index = Index::open_embedded(folder.path(), WIDE, FINGERPRINT).unwrap().index;
    index.rebuild("one", expected.clone()).await.unwrap();
    check_scores(&index, &expected, WIDE).await;

    let delete: Vec<_> = expected.iter().step_by(3).map(|point| (point.document.clone(), point.lang)).collect();
    let gone: BTreeSet<_> = delete.iter().map(|(document, _)| document.clone()).collect();
    let upsert: Vec<Point> = (2_800..2_900)
        .map(|number| Point { vector: direction(random, WIDE), ..point(random, number, "2", Role::Question, 0) })
        .collect();
    expected.retain(|point| !gone.contains(&point.document));
    expected.extend(upsert.clone());
    index.update("two", upsert, delete).await.unwrap();
    assert_eq!(index.count().await.unwrap(), expected.len());
    check_scores(&index, &expected, WIDE).await;
    // Through the graph: a point finds itself, and a deleted one stays away.
    for own in expected.iter().step_by(97) {
        let hits = index.search_dense(Vector::Question, &own.vector, &Filter::default(), 5, false).await.unwrap();
        assert_eq!(hits[0].document, own.document);
        assert!(hits.iter().all(|hit| !gone.contains(&hit.document)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_benchmark_reports_what_it_measured() {
    let folder = tempfile::tempdir().unwrap();
    let plan = bench::Plan { points: 400, dimensions: 32, terms: 10, searches: 20, ..bench::Plan::default() };
    let report = bench::run(folder.path(), plan).await.unwrap();
    for searches in [&report.all, &report.filtered] {
        assert!(searches.recall_at_10 > 0.99, "below the graph's threshold every search is exact: {report:?}");
        let times = [searches.dense_ms, searches.exact_ms, searches.sparse_ms, searches.hybrid_ms];
        assert!(times.iter().all(|times| 0.0 < times.p50 && times.p50 <= times.p99), "{report:?}");
    }
    assert!(report.disk_bytes > 0);

    if std::env::var("RUN_SLOW_TESTS").is_ok() {
        let folder = tempfile::tempdir().unwrap();
        let report = bench::run(folder.path(), bench::Plan::default()).await.unwrap();
        println!("{}", serde_json::to_string_pretty(&report).unwrap());
        assert!(report.all.recall_at_10 > 0.5, "{report:?}");
    }
}
