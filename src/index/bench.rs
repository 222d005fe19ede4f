//! How fast is the embedded index, and what does the graph miss? Synthetic points, the same on every run.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use jiff::civil::{Date, date};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::{Bm25, Cosine, Filter, Hit, Index, Point, Role, Vector};
use crate::{
    error::Result,
    words::{Audience, Kind, Lang},
};

/// What to build and how often to search it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Points to index.
    pub points: usize,
    /// Length of their dense vectors: random directions, the hardest case for a graph.
    pub dimensions: usize,
    /// Terms of each point, drawn from a Zipf distribution.
    pub terms: usize,
    /// Searches of each kind.
    pub searches: usize,
    /// Seed of the random numbers.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { points: 100_000, dimensions: 384, terms: 30, searches: 500, seed: 20_261_122 }
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was run.
    pub plan: Plan,
    /// Writing the points into a new shard.
    pub ingest_ms: u64,
    /// Building the graph.
    pub optimise_ms: u64,
    /// Closing, loading and swapping.
    pub swap_ms: u64,
    /// Opening the folder again, as a start of the program does.
    pub open_ms: u64,
    /// Searches without a filter.
    #[serde(flatten)]
    pub all: Searches,
    /// Searches of what a turn may see: one language of two, for customers, in force today; 45% of the points.
    pub filtered: Searches,
    /// Resident memory of this process with the index open, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Files of the index.
    pub disk_bytes: u64,
}

/// Searches for ten hits, and what the graph finds of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Searches {
    /// By a vector, through the graph.
    pub dense_ms: Quantiles,
    /// By a vector, compared with every point.
    pub exact_ms: Quantiles,
    /// By six terms.
    pub sparse_ms: Quantiles,
    /// By a vector through the graph and by six terms, one after the other, the ranks fused.
    pub hybrid_ms: Quantiles,
    /// The share of the ten nearest points that the graph finds.
    pub recall_at_10: f64,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// One in a hundred is slower.
    pub p99: f64,
}

/// Distinct terms that points are made of.
const VOCABULARY: f64 = 20_000.0;
/// Hits of every search.
const HITS: usize = 10;
/// The day of the filtered searches.
const TODAY: Date = date(2026, 11, 22);

/// Builds an index in `folder` (which should be new) and measures it.
pub async fn run(folder: &Path, plan: Plan) -> Result<Report> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let points: Vec<Point> = (0..plan.points).map(|number| synthetic(number, &plan, &mut random)).collect();
    let index = Index::open_embedded(folder, plan.dimensions, "synthetic")?.index;
    index.rebuild("bench", points).await?;
    let built = index.last_build().unwrap_or_default();
    index.close().await?;
    drop(index);

    let start = Instant::now();
    let index = Index::open_embedded(folder, plan.dimensions, "synthetic")?.index;
    let open_ms = start.elapsed().as_millis() as u64;
    let visible =
        Filter { lang: Some(Lang::Zh), audience: Some(Audience::Customer), on: Some(TODAY), ..Filter::default() };
    let all = searches(&index, &Filter::default(), &plan, &mut random).await?;
    let filtered = searches(&index, &visible, &plan, &mut random).await?;
    let report = Report {
        plan,
        ingest_ms: built.ingest_ms,
        optimise_ms: built.optimise_ms,
        swap_ms: built.swap_ms,
        open_ms,
        all,
        filtered,
        memory_bytes: resident_bytes(),
        disk_bytes: super::folder::size_bytes(folder),
    };
    index.close().await?;
    Ok(report)
}

/// Searches with `plan.searches` random questions, each in all four ways; a tenth as many come first, unmeasured.
async fn searches(index: &Index, filter: &Filter, plan: &Plan, random: &mut StdRng) -> Result<Searches> {
    let (mut dense, mut exact, mut sparse, mut hybrid) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut found, mut wanted) = (0, 0);
    let warm_ups = plan.searches / 10;
    for number in 0..warm_ups + plan.searches {
        let (query, terms) = (direction(plan.dimensions, random), zipf_terms(6, random));
        let start = Instant::now();
        let near = index.search_dense(Vector::Question, &query, filter, HITS, false).await?;
        let dense_took = start.elapsed();
        let start = Instant::now();
        let truth = index.search_dense(Vector::Question, &query, filter, HITS, true).await?;
        let exact_took = start.elapsed();
        let start = Instant::now();
        index.search_terms(&terms, filter, HITS).await?;
        let sparse_took = start.elapsed();
        let start = Instant::now();
        let by_vector = index.search_dense(Vector::Question, &query, filter, HITS, false).await?;
        fuse(&by_vector, &index.search_terms(&terms, filter, HITS).await?);
        let hybrid_took = start.elapsed();
        if number < warm_ups {
            continue;
        }
        dense.push(dense_took);
        exact.push(exact_took);
        sparse.push(sparse_took);
        hybrid.push(hybrid_took);
        wanted += truth.len();
        found += truth.iter().filter(|hit| near.iter().any(|near| near.document == hit.document)).count();
    }
    Ok(Searches {
        dense_ms: quantiles(dense),
        exact_ms: quantiles(exact),
        sparse_ms: quantiles(sparse),
        hybrid_ms: quantiles(hybrid),
        recall_at_10: if wanted == 0 { 0.0 } else { found as f64 / wanted as f64 },
    })
}

/// Documents by reciprocal rank fusion, best first (Cormack et al. 2009, k = 60).
fn fuse(dense: &[Hit<Cosine>], terms: &[Hit<Bm25>]) -> Vec<String> {
    let ranks = dense.iter().map(|hit| &hit.document).zip(1..).chain(terms.iter().map(|hit| &hit.document).zip(1..));
    let mut scores: HashMap<&String, f64> = HashMap::new();
    for (document, rank) in ranks {
        *scores.entry(document).or_default() += 1.0 / (60.0 + f64::from(rank));
    }
    let mut fused: Vec<(&String, f64)> = scores.into_iter().collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    fused.into_iter().take(HITS).map(|(document, _)| document.clone()).collect()
}

fn synthetic(number: usize, plan: &Plan, random: &mut StdRng) -> Point {
    Point {
        document: format!("document-{number}"),
        revision: "1".into(),
        lang: Lang::ALL[number % 2],
        kind: Kind::Faq,
        audience: if (number / 2).is_multiple_of(20) { Audience::Agent } else { Audience::Customer },
        tags: vec![format!("topic-{}", number % 20)],
        product: None,
        valid_from: None,
        valid_until: (number / 2 % 20 == 1).then_some(date(2026, 1, 31)),
        role: Role::Question,
        ordinal: 0,
        span: None,
        vector: direction(plan.dimensions, random),
        terms: zipf_terms(plan.terms, random),
    }
}

/// A random unit vector. Sums of uniform numbers are near enough to normal ones for a direction.
fn direction(dimensions: usize, random: &mut StdRng) -> Vec<f32> {
    let mut vector: Vec<f32> =
        (0..dimensions).map(|_| (0..4).map(|_| random.random_range(-1.0f32..1.0)).sum()).collect();
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|number| *number /= length);
    vector
}

/// Terms whose rank is log-uniform, which is Zipf's law with exponent 1.
fn zipf_terms(number: usize, random: &mut StdRng) -> Vec<(u32, f32)> {
    (0..number)
        .map(|_| {
            let rank = VOCABULARY.powf(random.random_range(0.0..1.0));
            (rank as u32, random.random_range(0.5f32..2.0))
        })
        .collect()
}

fn quantiles(mut times: Vec<Duration>) -> Quantiles {
    times.sort();
    let at = |share: f64| {
        let last = times.len().saturating_sub(1);
        times.get((last as f64 * share).round() as usize).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
    };
    Quantiles { p50: at(0.5), p99: at(0.99) }
}

/// `VmRSS` of this process, on Linux.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_both_searches_find_come_first() {
        fn hit<S>(document: &str, score: S) -> Hit<S> {
            let (revision, lang, kind, audience) = (String::new(), Lang::Zh, Kind::Faq, Audience::Customer);
            let document = document.to_owned();
            Hit { document, revision, lang, kind, audience, role: Role::Question, ordinal: 0, span: None, score }
        }
        let dense = [hit("a", Cosine(0.9)), hit("b", Cosine(0.8))];
        assert_eq!(fuse(&dense, &[hit("b", Bm25(9.0)), hit("c", Bm25(8.0))]), ["b", "a", "c"]);
    }
}
