//! A folder as a maintainer has it: good and bad files together, and the sample knowledge itself.

use std::path::Path;

use deskhand::{
    error::Fault,
    knowledge::{
        overlap::{NEAR_DUPLICATE, in_one_language, numbers_differ, overlaps},
        read::{BODY_LIMIT_BYTES, read_files, read_paths, revision},
    },
    words::{Audience, Kind, Lang},
};
use jiff::civil::{Date, date};

const TODAY: Date = date(2026, 11, 22);

fn write(folder: &Path, name: &str, contents: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, contents).unwrap();
}

#[test]
fn good_files_go_in_and_bad_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "a.md", "---\r\nid: fees\r\nlang: zh\r\ntitle: 提现费用？\r\n---\r\n第一行\r\n第二行。\r\n");
    write(root, "b/refund.en.md", "# Refunds\n\nA refund takes 5 days.\n");
    write(root, "c.jsonl", "\u{feff}{\"id\":\"j\",\"title\":\"Where is it?\",\"body\":\"It is here.\"}\n{broken\n");
    write(root, "d.csv", "\u{feff}question,answer,lang\nHow?,Like this.,en\nonly question,,en\n");
    write(root, "e.html", "<html lang=en><title>Hours</title><p>Open 08:00-22:00.</p><!-- secret plan --></html>");
    write(root, "f.txt", b"caf\xe9 is not UTF-8");
    write(root, "g.md", "x".repeat(5 << 20));
    write(root, "h.bin", "ignored");
    write(root, "i.md", "---\nid: fees\nlang: zh\ntitle: 再来一次\n---\n重复的编号。\n");
    write(
        root,
        "j.md",
        "---\nid: solved\nkind: resolution\nlang: en\ntitle: Solved\nvalid_from: 2026-13-01\n---\nX.\n",
    );
    write(root, "k.md", "---\nid: solved\nkind: resolution\nlang: en\ntitle: Solved\n---\nThe agent refunded it.\n");
    write(root, "l.txt", b"\xff\xfeh\x00i\x00");
    write(root, "m.md", "---\nid: other\ntitle: 😀\n---\n12345\n");
    write(root, ".hidden.md", "# Hidden\n\nnot read");

    let read = read_paths(&[root], TODAY).unwrap();
    let ids: Vec<_> = read.documents.iter().map(|document| (document.id.as_str(), document.lang)).collect();
    let csv_id = read.documents[3].id.clone();
    assert!(csv_id.starts_with("d-"), "{csv_id}");
    assert_eq!(
        ids,
        [
            ("fees", Lang::Zh),
            ("refund", Lang::En),
            ("j", Lang::En),
            (csv_id.as_str(), Lang::En),
            ("e", Lang::En),
            ("solved", Lang::En),
        ]
    );
    assert_eq!(read.documents[0].body.as_str(), "第一行\n第二行。");
    assert_eq!(read.documents[5].audience, Audience::Agent, "a resolution is for agents unless it says otherwise");
    assert_eq!(read.documents[5].kind, Kind::Resolution);

    let faults: Vec<_> = read
        .faults
        .iter()
        .map(|fault| (fault.file.file_name().unwrap().to_str().unwrap(), fault.line, fault.reason.as_str()))
        .collect();
    let expected = [
        ("c.jsonl", Some(2), "no JSON object"),
        ("d.csv", Some(3), "without an answer"),
        ("f.txt", Some(1), "invalid UTF-8 at byte 3"),
        ("g.md", Some(1), "the limit for one document is 2097152"),
        ("i.md", Some(1), "`fees` (zh) is there already"),
        ("j.md", Some(1), "is no day"),
        ("l.txt", None, "UTF-16"),
        ("m.md", Some(1), "language could not be told"),
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for ((file, line, reason), (expected_file, expected_line, expected_reason)) in faults.iter().zip(expected) {
        assert_eq!((*file, *line), (expected_file, expected_line), "{reason}");
        assert!(reason.contains(expected_reason), "{file}: {reason}");
    }
    assert!(faults[4].2.contains("a.md:1"), "both places are named: {}", faults[4].2);
    let notes: Vec<_> = read.notes.iter().map(ToString::to_string).collect();
    assert!(notes.iter().any(|note| note.contains("h.bin: passed over")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("e.html:1") && note.contains("secret plan")), "{notes:?}");
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_not_followed_and_circles_end() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "private.md", "# Private\n\nNot for the knowledge.");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "in/a.md", "# Inside\n\nThis is a text.");
    std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("private.md"), folder.path().join("private.md")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("in/again")).unwrap();
    let read = read_paths(&[folder.path()], TODAY).unwrap();
    assert_eq!(read.documents.len(), 1);
    assert_eq!(read.faults.len(), 2, "{:?}", read.faults);
    assert!(read.faults.iter().all(|fault| fault.reason.contains("leads out")));
    let error = read_paths(&[folder.path().join("missing")], TODAY).unwrap_err();
    assert!(error.to_string().contains("missing") && error.fault() == Fault::Caller, "{error}");
}

#[test]
fn an_id_is_there_once_over_all_paths_and_a_path_named_twice_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    write(&one, "a.md", "---\nid: fees\nlang: en\ntitle: Fees\n---\nFees are due at once.");
    write(&two, "b.md", "---\nid: fees\nlang: en\ntitle: Fees\n---\nThere are no fees.");
    let read = read_paths(&[&one, &two], TODAY).unwrap();
    assert_eq!(read.documents.len(), 1);
    assert_eq!(read.documents[0].body.as_str(), "Fees are due at once.");
    let [fault] = &read.faults[..] else { panic!("{:?}", read.faults) };
    assert!(fault.to_string().contains("b.md:1: `fees` (en) is there already") && fault.reason.contains("a.md:1"));

    let file = one.join("a.md");
    for paths in [&[&file, &file][..], &[&one, &file], &[&file, &one], &[&one, &one]] {
        let read = read_paths(paths, TODAY).unwrap();
        assert_eq!((read.documents.len(), read.faults.len()), (1, 0), "{paths:?}: {:?}", read.faults);
        assert!(read.notes[0].reason.contains("was read already"), "{paths:?}: {:?}", read.notes);
    }
}

#[test]
fn the_revision_changes_with_what_a_reader_sees_and_only_with_that() {
    let of = |text: &str| read_files(&[("a.md", text)], TODAY).documents.remove(0);
    let base = of("---\nid: a\nlang: en\ntitle: T\n---\nBody.");
    let moved = of("\n\n---\nid: a\nlang: en\ntitle: T\n---\n\nBody.\n");
    assert_eq!(base.revision, moved.revision);
    assert!(base.revision.ends_with("-2026-11-22") && base.revision.len() == 19, "{}", base.revision);
    assert_eq!(revision(&base, date(2027, 1, 1))[..8], base.revision[..8]);
    for other in [
        "---\nid: a\nlang: en\ntitle: T2\n---\nBody.",
        "---\nid: a\nlang: en\ntitle: T\naliases: [x]\n---\nBody.",
        "---\nid: a\nlang: en\ntitle: T\n---\nBody!",
        "---\nid: a\nlang: en\ntitle: T\nvalid_until: 2026-12-01\n---\nBody.",
        "---\nid: a\nlang: en\nkind: notice\ntitle: T\n---\nBody.",
    ] {
        assert_ne!(of(other).revision, base.revision, "{other}");
    }
}

#[test]
fn a_body_at_the_limit_goes_in() {
    let text = format!("# T\n{}", "a ".repeat((BODY_LIMIT_BYTES - 4) / 2));
    let read = read_files(&[("big.en.md", &text)], TODAY);
    assert!(read.faults.is_empty() && read.documents.len() == 1, "{:?}", read.faults);
}

#[test]
fn the_sample_knowledge_is_clean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/suites/wallet/knowledge");
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there yet", folder.display());
        return;
    }
    let read = read_paths(&[&folder], TODAY).unwrap();
    assert!(read.faults.is_empty(), "{}", listed(&read.faults));
    assert!(read.notes.is_empty(), "{}", listed(&read.notes));
    let found = overlaps(&read.documents, NEAR_DUPLICATE);
    assert!(found.is_empty(), "near-duplicates: {found:#?}");
    // A past case was written in the language of its customer; everything else exists in both.
    let published: Vec<_> =
        read.documents.iter().filter(|document| document.kind != Kind::Resolution).cloned().collect();
    let single = in_one_language(&published);
    assert!(single.is_empty(), "in one language only: {single:?}");
    // Numbers in words ("两小时", "two hours") are not seen, so this is read by people, not judged.
    for differ in numbers_differ(&read.documents) {
        println!("{}: only zh {:?}, only en {:?}", differ.id, differ.only_zh, differ.only_en);
    }
    println!("{} documents", read.documents.len());
}

fn listed(faults: &[deskhand::knowledge::read::FileFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
