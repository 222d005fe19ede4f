//! Markdown with YAML front matter, one or many documents in a file; or without any, then the file is one document.

use yaml_serde::Value;

use super::{Draft, Found, one_line};
use crate::knowledge::sentences::heading_text;

const KEYS: [&str; 11] =
    ["id", "lang", "kind", "audience", "title", "aliases", "tags", "product", "valid_from", "valid_until", "source"];

/// A front matter block: the line of its opening `---`, from 0, and of its closing one where there is one.
struct Head {
    opened: usize,
    closed: Option<usize>,
}

pub(super) fn read(text: &str) -> Found {
    let lines: Vec<&str> = text.split('\n').collect();
    let heads = heads(&lines);
    let mut found = Found::default();
    let before = heads.first().map_or(lines.len(), |head| head.opened);
    let intro = lines[..before].join("\n");
    if !intro.trim().is_empty() {
        if heads.is_empty() {
            found.drafts.push(whole_file(intro));
            return found;
        }
        found.faults.push((Some(1), "text before the first `---` block belongs to no document".to_owned()));
    }
    for (at, head) in heads.iter().enumerate() {
        let end = heads.get(at + 1).map_or(lines.len(), |next| next.opened);
        let Some(closed) = head.closed else {
            // Read as a body it would show customers what the block keeps from them, `audience: agent` and all.
            let reason = "front matter is opened with --- and never closed: end it with a line `---`";
            found.faults.push((Some(head.opened + 1), reason.to_owned()));
            continue;
        };
        let body = lines[closed + 1..end].join("\n");
        let block = &lines[head.opened + 1..closed];
        match front_matter(&block.join("\n"), head.opened + 1, &mut found) {
            Ok(draft) if at > 0 && draft.id.is_none() => {
                let reason =
                    "this block between `---` has no `id`: only a file's first document may be named by its file";
                found.faults.push((Some(head.opened + 1), reason.to_owned()));
            }
            Ok(draft) => {
                let title = draft.title.or_else(|| first_heading(&body));
                found.drafts.push(Draft { title, body, ..draft });
            }
            Err((line, reason)) => {
                let hint = if block.iter().all(|line| is_yaml(line)) { "" } else { "; is its closing `---` missing?" };
                found.faults.push((Some(line), format!("{reason}{hint}")));
            }
        }
    }
    found
}

fn whole_file(body: String) -> Draft {
    let title = first_heading(&body).or_else(|| {
        let first = body.lines().map(str::trim).find(|line| !line.is_empty() && !is_rule(line))?;
        Some(first.chars().take(100).collect())
    });
    let blank = body.lines().take_while(|line| line.trim().is_empty()).count();
    Draft { line: blank + 1, title, body, ..Draft::default() }
}

fn first_heading(body: &str) -> Option<String> {
    let mut headings = body.lines().filter_map(|line| heading_text(line.trim())).map(|(_, text)| one_line(text));
    headings.find(|text| !text.is_empty())
}

/// Where a `---` opens a block; everywhere else it is a rule in a body, or code.
fn heads(lines: &[&str]) -> Vec<Head> {
    let mut heads = Vec::new();
    let mut fence: Option<&str> = None;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim_start();
        match fence {
            Some(mark) if line.starts_with(mark) => fence = None,
            Some(_) => {}
            None if line.starts_with("```") => fence = Some("```"),
            None if line.starts_with("~~~") => fence = Some("~~~"),
            None if is_rule(lines[at]) => {
                let at_start = heads.is_empty() && lines[..at].iter().all(|line| line.trim().is_empty());
                if let Some(head) = head_at(lines, at, at_start) {
                    at = head.closed.unwrap_or(at);
                    heads.push(head);
                }
            }
            None => {}
        }
        at += 1;
    }
    heads
}

/// The block that the rule at `opened` opens, if it does: when a closing `---` follows and an `id:` stands between, or when
/// keys stand right behind it. At the very start of the file any known key between the two will do: such a file is one
/// document, named by its file.
fn head_at(lines: &[&str], opened: usize, at_start: bool) -> Option<Head> {
    let behind = &lines[opened + 1..];
    let closed = behind.iter().position(|line| is_rule(line)).map(|length| opened + 1 + length);
    let block = closed.map_or(behind, |closed| &lines[opened + 1..closed]);
    let first = block.iter().find(|line| !at_start || !line.trim().is_empty());
    let begins_with_key = first.is_some_and(|line| is_known(line) || (at_start && closed.is_none() && is_key(line)));
    let is_clean = block.iter().all(|line| is_yaml(line));
    // What closes it may be the opening of the next document: then text stands in it, and keys behind it.
    let next_opens = closed.is_some_and(|closed| lines.get(closed + 1).is_some_and(|line| is_known(line)));
    let holds_keys = block.iter().any(|line| line.starts_with("id:") || (at_start && is_known(line)))
        || (is_clean && (begins_with_key || (at_start && first.is_some_and(|line| is_key(line)))));
    if closed.is_some() && holds_keys && (is_clean || !next_opens) {
        return Some(Head { opened, closed });
    }
    begins_with_key.then_some(Head { opened, closed: None })
}

fn is_rule(line: &str) -> bool {
    line.trim_end() == "---"
}

/// A key of ours, as front matter writes it.
fn is_known(line: &str) -> bool {
    KEYS.iter().any(|key| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
}

/// `key: value` with a key in small letters: a sentence begins with a large one.
fn is_key(line: &str) -> bool {
    line.split_once(':').is_some_and(|(key, value)| {
        key.starts_with(|c: char| c.is_ascii_lowercase())
            && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
            && (value.is_empty() || value.starts_with(char::is_whitespace))
    })
}

/// What front matter consists of: keys, list items, lines that go on, comments.
fn is_yaml(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with([' ', '\t', '-', '#', ']', '}']) || is_known(line) || is_key(line)
}

/// Reads a block's YAML; `line` is the line of its opening `---`, from 1.
fn front_matter(yaml: &str, line: usize, found: &mut Found) -> Result<Draft, (usize, String)> {
    let value: Value = yaml_serde::from_str(yaml).map_err(|error| {
        let inside = error.location().map_or(0, |location| location.line());
        (line + inside, format!("the block between `---` is no YAML: {error}"))
    })?;
    let Value::Mapping(mapping) = value else {
        return Err((line, "the block between `---` holds no keys".to_owned()));
    };
    let mut draft = Draft { line, ..Draft::default() };
    for (key, value) in mapping {
        let Value::String(key) = key else {
            return Err((line, "a key in the block between `---` is no text".to_owned()));
        };
        let one = |value: Value| scalar(value).ok_or_else(|| (line, format!("`{key}` must be one value")));
        match key.as_str() {
            "id" => draft.id = one(value)?,
            "lang" => draft.lang = one(value)?,
            "kind" => draft.kind = one(value)?,
            "audience" => draft.audience = one(value)?,
            "title" => draft.title = one(value)?,
            "product" => draft.product = one(value)?,
            "valid_from" => draft.valid_from = one(value)?,
            "valid_until" => draft.valid_until = one(value)?,
            "source" => draft.source = one(value)?,
            "aliases" => draft.aliases = list(&key, value, line)?,
            "tags" => draft.tags = list(&key, value, line)?,
            other => {
                let known = KEYS.join(", ");
                found
                    .notes
                    .push((Some(line), format!("the key `{other}` is not known and was passed over; known: {known}")));
            }
        }
    }
    Ok(draft)
}

/// One value as text, `Some(None)` for an empty one, `None` for a list or mapping.
fn scalar(value: Value) -> Option<Option<String>> {
    match value {
        Value::Null => Some(None),
        Value::String(text) => Some(Some(text)),
        Value::Number(number) => Some(Some(number.to_string())),
        Value::Bool(truth) => Some(Some(truth.to_string())),
        _ => None,
    }
}

/// A list of texts, or one text.
fn list(key: &str, value: Value, line: usize) -> Result<Vec<String>, (usize, String)> {
    let wrong = || {
        let hint = "write text with `: ` or `#` in quotes";
        (line, format!("`{key}` must be a list of texts; {hint}"))
    };
    match value {
        Value::Sequence(items) => {
            let texts = items.into_iter().map(|item| scalar(item).ok_or_else(wrong));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        one => Ok(scalar(one).ok_or_else(wrong)?.into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_documents_stand_in_one_file() {
        let found = read(
            "---\nid: one\nlang: zh\ntitle: 多久到账？\naliases:\n  - 几天到\n  - \"a: b\"\ntags: [withdrawal, bank]\nvalid_from: 2026-11-01\n---\n正文。\n\n---\n\n还是正文。\n---\nid: two\ntitle: 2026\nlang: en\n---\n```\n---\nid: no\n---\n```\n",
        );
        assert!(found.faults.is_empty(), "{:?}", found.faults);
        let [one, two] = found.drafts.as_slice() else { panic!("{:?}", found.drafts) };
        assert_eq!((one.line, one.id.as_deref(), one.title.as_deref()), (1, Some("one"), Some("多久到账？")));
        assert_eq!(one.aliases, ["几天到", "a: b"]);
        assert_eq!(one.tags, ["withdrawal", "bank"]);
        assert_eq!(one.valid_from.as_deref(), Some("2026-11-01"));
        assert_eq!(one.body.trim(), "正文。\n\n---\n\n还是正文。", "a rule in a body opens nothing");
        assert_eq!((two.line, two.title.as_deref()), (16, Some("2026")));
        assert!(two.body.contains("id: no"), "code is a body's own");
    }

    #[test]
    fn a_file_without_front_matter_is_one_document() {
        let found = read("\n# How fees work\n\nText.\n\n---\n\nMore.");
        assert_eq!(found.drafts.len(), 1);
        assert_eq!(found.drafts[0].title.as_deref(), Some("How fees work"));
        assert_eq!((found.drafts[0].line, found.drafts[0].id.as_deref()), (2, None));
        let found = read("---\ntitle: Named by its file\n---\nText.");
        assert_eq!(found.drafts[0].title.as_deref(), Some("Named by its file"));
        assert_eq!(found.drafts[0].body, "Text.");
        assert!(read(" \n").drafts.is_empty());
    }

    #[test]
    fn a_block_that_is_never_closed_is_refused_and_not_read_to_customers() {
        for text in [
            "---\naudience: agent\ntitle: Fraud\n\nCall the bank.\n",
            "\n---\n\nid: fraud\naudience: agent\n\nCall the bank.\n",
            "---\naudiance: agent\n\nCall the bank.",
        ] {
            let found = read(text);
            assert!(found.drafts.is_empty(), "{text}: {:?}", found.drafts);
            let line = text.lines().position(|line| line == "---").unwrap() + 1;
            let [(at, reason)] = &found.faults[..] else { panic!("{text}: {:?}", found.faults) };
            assert_eq!(*at, Some(line));
            assert!(reason.contains("front matter is opened with --- and never closed"), "{reason}");
        }
        let second = read("---\nid: one\ntitle: T\n---\nFor all.\n---\nid: two\naudience: agent\n\nCall the bank.\n");
        assert_eq!((second.drafts.len(), second.drafts[0].body.trim()), (1, "For all."));
        assert_eq!(second.faults[0].0, Some(6), "{:?}", second.faults);
        // What would close it opens the next document, which is none the worse for it.
        let before = read("---\nid: two\naudience: agent\n\nCall the bank.\n---\nid: one\ntitle: T\n---\nFor all.\n");
        assert_eq!((before.drafts.len(), before.drafts[0].body.trim()), (1, "For all."));
        assert_eq!((before.faults.len(), before.faults[0].0), (1, Some(1)), "{:?}", before.faults);
        // A rule further down closes it, and the text between is no YAML.
        let ruled = read("---\naudience: agent\ntitle: T\n\nCall the bank.\n\n---\n\nAnd wait.\n");
        assert!(ruled.drafts.is_empty() && ruled.faults[0].1.contains("is its closing `---` missing?"), "{ruled:?}");
    }

    #[test]
    fn a_second_block_needs_an_id_and_is_no_part_of_the_first_body() {
        let found = read("---\ntitle: T\n---\nFor all.\n---\naudience: agent\ntitle: Fraud\n---\nCall the bank.\n");
        assert_eq!((found.drafts.len(), found.drafts[0].body.trim()), (1, "For all."));
        assert!(found.faults[0].0 == Some(5) && found.faults[0].1.contains("has no `id`"), "{:?}", found.faults);
    }

    #[test]
    fn a_file_may_begin_with_a_rule() {
        for text in [
            "---\n\n# Fees\n\nText.\n",
            "---\nNote: fees are due at once.\n",
            "---\nFees are due at once.\n\n---\nAnd later.\n",
            "---\n\nSource: the bank\n\n---\n",
            "---\nhttps://example.org\n",
        ] {
            let found = read(text);
            assert_eq!((found.drafts.len(), found.faults.len()), (1, 0), "{text}: {found:?}");
            assert!(!found.drafts[0].title.as_deref().unwrap().contains("---"), "{found:?}");
        }
    }

    #[test]
    fn a_bad_block_is_named_by_line_and_the_rest_goes_in() {
        let found = read(
            "---\nid: one\ntitle: a: b: c\n---\nX\n---\nid: two\naliases: {a: b}\n---\nY\n---\nid: three\nauthor: me\n---\nZ",
        );
        assert_eq!(found.drafts.len(), 1);
        assert_eq!(found.drafts[0].id.as_deref(), Some("three"));
        assert_eq!(found.faults.len(), 2);
        assert_eq!(found.faults[0].0, Some(3), "{:?}", found.faults);
        assert!(found.faults[1].1.contains("`aliases` must be a list"), "{:?}", found.faults);
        assert!(found.notes[0].1.contains("`author` is not known"), "{:?}", found.notes);
        let found = read("stray\n---\nid: one\n---\nX");
        assert_eq!((found.drafts.len(), found.faults.len()), (1, 1));
    }
}
