//! JSON lines: one object a line with `id`, `title`, `body` and, where wanted, the keys of the Markdown front matter.

use serde_json::{Map, Value};

use super::{Draft, Found, even_line_endings, invalid_utf8};

pub(super) fn read(contents: &[u8]) -> Found {
    let mut found = Found::default();
    let mut offset = 0;
    for (at, raw) in contents.split(|byte| *byte == b'\n').enumerate() {
        let line = at + 1;
        let start = offset;
        offset += raw.len() + 1;
        let text = match std::str::from_utf8(raw) {
            Ok(text) => text.trim(),
            Err(cause) => {
                found.faults.push((Some(line), invalid_utf8(start + cause.valid_up_to())));
                continue;
            }
        };
        if text.is_empty() {
            continue;
        }
        match draft(text, line) {
            Ok(draft) => found.drafts.push(draft),
            Err(reason) => found.faults.push((Some(line), reason)),
        }
    }
    found
}

/// Other keys are passed over, for exports carry many.
fn draft(text: &str, line: usize) -> Result<Draft, String> {
    let fields: Map<String, Value> = match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields,
        Ok(other) => return Err(format!("no JSON object of a document, but {}", sort(&other))),
        Err(error) => return Err(format!("no JSON object of a document: {}", without_line(&error))),
    };
    let one = |names: &[&str]| one_of(&fields, names);
    // Ids are numbers in many exports.
    let id = match fields.get("id") {
        Some(Value::Number(id)) => id.to_string(),
        _ => one(&["id"])?.ok_or("no `id`")?,
    };
    let body = one(&["body", "answer", "text"])?.ok_or_else(|| format!("`{id}` has no `body`"))?;
    Ok(Draft {
        line,
        lang: one(&["lang"])?,
        kind: one(&["kind"])?,
        audience: one(&["audience"])?,
        title: one(&["title", "question"])?,
        aliases: list(&fields, "aliases")?,
        tags: list(&fields, "tags")?,
        product: one(&["product"])?,
        valid_from: one(&["valid_from"])?,
        valid_until: one(&["valid_until"])?,
        source: one(&["source"])?,
        body: even_line_endings(&body),
        id: Some(id),
    })
}

/// The text under the first of these names that has a value.
fn one_of(fields: &Map<String, Value>, names: &[&str]) -> Result<Option<String>, String> {
    let found = names.iter().find_map(|name| Some((*name, fields.get(*name).filter(|value| !value.is_null())?)));
    match found {
        None => Ok(None),
        Some((_, Value::String(text))) => Ok(Some(text.clone())),
        Some((name, other)) => Err(format!("\"{name}\": expected text, found {}", sort(other))),
    }
}

fn list(fields: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    let wrong = |found: &Value| format!("\"{name}\": expected a list of texts, found {}", sort(found));
    match fields.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| format!("{} in it", wrong(item)));
            items.iter().map(text).collect()
        }
        Some(other) => Err(wrong(other)),
    }
}

/// What sort of value it is, in words; the value itself may be long.
fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// What the parser says, and where in the line: it takes each for a whole file, and would say `line 1` of all of them.
fn without_line(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let reason = said.rsplit_once(" at line ").map_or(said.as_str(), |(reason, _)| reason);
    format!("{reason} at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_spoils_no_other() {
        let mut contents = "{\"id\":\"a\",\"title\":\"T\",\"body\":\"one\\r\\ntwo\",\"lang\":\"en\",\"more\":1}\n\n{oops\n{\"id\":7,\"title\":\"T\",\"body\":\"x\"}\n{\"title\":\"T\",\"body\":\"x\"}\n{\"id\":\"c\"}\n"
            .as_bytes()
            .to_vec();
        let at = contents.len() + 3;
        contents.extend_from_slice(b"{\"i\xff\"}");
        let found = read(&contents);
        let drafts: Vec<_> = found.drafts.iter().map(|draft| (draft.line, draft.id.as_deref().unwrap())).collect();
        assert_eq!(drafts, [(1, "a"), (4, "7")]);
        assert_eq!(found.drafts[0].body, "one\ntwo");
        let lines: Vec<_> = found.faults.iter().map(|(line, _)| line.unwrap()).collect();
        assert_eq!(lines, [3, 5, 6, 7]);
        assert!(!found.faults[0].1.contains("line 1") && found.faults[0].1.contains("column 2"), "{:?}", found.faults);
        assert!(found.faults[3].1.contains(&format!("at byte {at}")), "{:?}", found.faults[3]);
    }

    #[test]
    fn a_field_of_the_wrong_sort_is_named() {
        let of = |fields: &str| {
            let found = read(format!("{{\"id\":\"a\",\"body\":\"x\",{fields}}}").as_bytes());
            found.faults.into_iter().map(|(_, reason)| reason).next().unwrap()
        };
        assert_eq!(of("\"title\":5"), "\"title\": expected text, found a number");
        assert_eq!(of("\"question\":[\"q\"]"), "\"question\": expected text, found a list");
        assert_eq!(of("\"aliases\":\"q\""), "\"aliases\": expected a list of texts, found text");
        assert!(of("\"tags\":[1]").contains("\"tags\": expected a list of texts, found a number in it"));
    }
}
