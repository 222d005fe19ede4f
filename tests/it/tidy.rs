//! The drawing of the rooms, held against `src/`: what only one room may name, and which way the arrows point.
//!
//! Comments do not count, and neither do tests beside the code (`tests.rs`, and what stands under `#[cfg(test)]`): they may
//! look into other rooms.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// What only one room may name: a word of the code, and where it may stand.
const NAMED: [(&str, &str); 4] = [
    (r"\b\w*candle\w*", "model"),
    (r"(?i)\b\w*qdrant\w*", "index"),
    (r"\b(axum|tower_http|hyper|hyper_util)::", "http"),
    (r"\bsqlx\b|\b(SELECT|INSERT (OR \w+ )?INTO|DELETE FROM|CREATE TABLE|ALTER TABLE|PRAGMA)\b", "store"),
];

/// Rooms from the top down: each may use those of the rows below it.
const ROWS: [&[&str]; 6] = [
    &["main"],
    &["cli"],
    &["http", "eval"],
    &["turn", "knowledge", "desk", "insight"],
    &["model", "index", "store"],
    &["config", "safety", "words", "error"],
];

/// Arrows inside a row. Everything uses `error`, documents are made of masked text that has spans, and the settings are checked
/// by what will use them: the key that contacts are sealed with.
const WITHIN: [(&str, &str); 10] = [
    ("desk", "turn"),
    ("desk", "knowledge"),
    ("insight", "desk"),
    ("insight", "knowledge"),
    ("config", "error"),
    ("config", "safety"),
    ("safety", "error"),
    ("words", "error"),
    ("words", "safety"),
    ("safety", "words"),
];

/// A file of `src/` without its comments and tests.
struct Source {
    path: PathBuf,
    room: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
                let inside = path.strip_prefix(&root).unwrap();
                let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
                let room = first.trim_end_matches(".rs").to_owned();
                sources.push(Source { code: code_of(&fs::read_to_string(&path).unwrap()), path, room });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests") || stem == "files_test")
}

/// The text up to its tests, without comments that fill a line.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// The rooms that `crate::` leads to, also several in braces.
fn rooms_used(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(first_words(list)),
            None => rooms.push(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned()),
        }
    }
    rooms
}

/// The first word of each entry of a `use` list, up to its closing brace.
fn first_words(list: &str) -> Vec<String> {
    let (mut depth, mut entries) = (0, vec![String::new()]);
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => entries.push(String::new()),
            _ if depth == 0 => entries.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    let words = entries.iter().map(|entry| entry.trim().split("::").next().unwrap().to_owned());
    words.filter(|word| !word.is_empty()).collect()
}

fn row_of(room: &str) -> usize {
    ROWS.iter().position(|row| row.contains(&room)).unwrap_or_else(|| {
        panic!(
            "`{room}` is in no row: a new room needs a question that no other room answers, and a place in the drawing"
        )
    })
}

fn is_allowed(from: &str, to: &str) -> bool {
    from == to || row_of(from) < row_of(to) || WITHIN.contains(&(from, to))
}

#[test]
fn what_one_room_knows_no_other_names() {
    let mut found = Vec::new();
    for source in sources() {
        for (word, home) in NAMED {
            let pattern = Regex::new(word).unwrap();
            let named = pattern.find(&source.code).filter(|_| source.room != home && source.room != "lib");
            found.extend(
                named.map(|named| format!("{}: `{}` belongs to {home}", source.path.display(), named.as_str())),
            );
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn arrows_between_rooms_point_one_way() {
    let mut found = BTreeMap::new();
    for source in sources().iter().filter(|source| source.room != "lib") {
        for to in rooms_used(&source.code) {
            if !is_allowed(&source.room, &to) {
                found.insert(format!("{} -> {to}", source.room), source.path.display().to_string());
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// The guard itself: it sees what it must not let pass.
#[test]
fn a_broken_arrow_would_be_seen() {
    let code = code_of(
        "use crate::{\n    error::{self, Error},\n    http::serve,\n};\n// crate::desk\nlet x = crate::cli::main();\n#[cfg(test)]\nmod tests {\n use crate::eval;",
    );
    assert_eq!(rooms_used(&code), ["error", "http", "cli"]);
    assert!(is_allowed("turn", "index") && is_allowed("desk", "turn") && is_allowed("cli", "http"));
    assert!(!is_allowed("turn", "http") && !is_allowed("index", "turn") && !is_allowed("turn", "desk"));
    assert!(!is_allowed("eval", "http") && !is_allowed("knowledge", "turn") && !is_allowed("error", "words"));
}
