//! JSON lines: one object a line with `id`, `title`, `body` and, where wanted, the keys of the Markdown front matter.

use serde::Deserialize;

use super::{Draft, Found, even_line_endings, invalid_utf8};

/// What a line may hold; other keys are passed over, for exports carry many.
#[derive(Debug, Deserialize)]
struct Line {
    id: Option<Text>,
    #[serde(alias = "question")]
    title: Option<String>,
    #[serde(alias = "answer", alias = "text")]
    body: Option<String>,
    lang: Option<String>,
    kind: Option<String>,
    audience: Option<String>,
    #[serde(default)]
    aliases: Option<Vec<String>>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    product: Option<String>,
    valid_from: Option<String>,
    valid_until: Option<String>,
    source: Option<String>,
}

/// Ids are numbers in many exports.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Number(i64),
}

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

fn draft(text: &str, line: usize) -> Result<Draft, String> {
    let read: Line = serde_json::from_str(text).map_err(|error| format!("no JSON object of a document: {error}"))?;
    let id = match read.id.ok_or("no `id`")? {
        Text::Text(id) => id,
        Text::Number(id) => id.to_string(),
    };
    let body = read.body.ok_or_else(|| format!("`{id}` has no `body`"))?;
    Ok(Draft {
        line,
        id: Some(id),
        lang: read.lang,
        kind: read.kind,
        audience: read.audience,
        title: read.title,
        aliases: read.aliases.unwrap_or_default(),
        tags: read.tags.unwrap_or_default(),
        product: read.product,
        valid_from: read.valid_from,
        valid_until: read.valid_until,
        source: read.source,
        body: even_line_endings(&body),
    })
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
        assert!(found.faults[3].1.contains(&format!("at byte {at}")), "{:?}", found.faults[3]);
    }
}
