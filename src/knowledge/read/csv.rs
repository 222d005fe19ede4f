//! CSV with a header: `question`, `answer` and, where wanted, `id`, `lang`, `aliases` and `tags` (separated by `|`).

use ::csv::{ByteRecord, ReaderBuilder};
use sha2::{Digest, Sha256};

use super::{Draft, Found, even_line_endings};
use crate::error::plural;

/// The names that a column may have, in any case.
const COLUMNS: [(&str, &[&str]); 11] = [
    ("question", &["question", "title", "问题", "標題", "标题"]),
    ("answer", &["answer", "body", "text", "答案", "回答"]),
    ("id", &["id"]),
    ("lang", &["lang", "language", "语言"]),
    ("aliases", &["aliases", "alias", "相似问法", "相似问题"]),
    ("tags", &["tags", "tag", "标签"]),
    ("kind", &["kind"]),
    ("audience", &["audience"]),
    ("product", &["product"]),
    ("valid_from", &["valid_from"]),
    ("valid_until", &["valid_until"]),
];

pub(super) fn read(contents: &[u8], stem: &str) -> Found {
    let mut found = Found::default();
    let first_line = contents.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // Spreadsheets of some countries write `;`.
    let count = |sign: u8| first_line.iter().filter(|byte| **byte == sign).count();
    let delimiter = [b',', b';', b'\t'].into_iter().max_by_key(|sign| (count(*sign), *sign == b',')).unwrap_or(b',');
    let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(contents);

    let header = match reader.byte_headers() {
        Ok(header) => header.clone(),
        Err(cause) => {
            found.faults.push((Some(1), format!("the header cannot be read: {cause}")));
            return found;
        }
    };
    let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).trim().to_lowercase()).collect();
    let column = |wanted: &str| {
        let (_, known) = COLUMNS.iter().find(|(name, _)| *name == wanted)?;
        known.iter().find_map(|known| names.iter().position(|name| name == known))
    };
    let (Some(question), Some(answer)) = (column("question"), column("answer")) else {
        let seen = names.join(", ");
        found.faults.push((Some(1), format!("the header must name `question` and `answer`; it names: {seen}")));
        return found;
    };

    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return found,
            Err(cause) => {
                let line = cause.position().map(|position| position.line() as usize);
                found.faults.push((line, format!("the row cannot be read: {cause}")));
                return found;
            }
        }
        let line = record.position().map_or(0, |position| position.line() as usize);
        if record.len() != names.len() {
            let hint = if record.len() > names.len() {
                "quote text that holds the separator"
            } else {
                "a column without a value still needs its separator"
            };
            let reason = format!("{}, the header has {}: {hint}", plural(record.len(), "field"), names.len());
            found.faults.push((Some(line), reason));
            continue;
        }
        let mut texts = Vec::with_capacity(record.len());
        let start = record.position().map_or(0, |position| position.byte() as usize);
        let decoded = record.iter().try_for_each(|field| std::str::from_utf8(field).map(|text| texts.push(text)));
        if decoded.is_err() {
            // Quotes were taken off, so the byte is looked for in the file.
            let at =
                std::str::from_utf8(&contents[start..]).map_or_else(|cause| start + cause.valid_up_to(), |_| start);
            found.faults.push((Some(line), super::invalid_utf8(at)));
            continue;
        }
        let text = |wanted: &str| {
            let text = column(wanted).and_then(|at| texts.get(at)).map(|text| text.trim())?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        let list = |wanted: &str| -> Vec<String> {
            text(wanted).map(|text| text.split('|').map(|item| item.trim().to_owned()).collect()).unwrap_or_default()
        };
        let title = texts[question].trim();
        if title.is_empty() || texts[answer].trim().is_empty() {
            found.faults.push((Some(line), "a question without an answer, or an answer without a question".to_owned()));
            continue;
        }
        found.drafts.push(Draft {
            line,
            // Named by the question, so that a row keeps its id when others come or go before it.
            id: text("id").or_else(|| Some(format!("{stem}-{}", &hex::encode(Sha256::digest(title.as_bytes()))[..8]))),
            lang: text("lang"),
            kind: text("kind"),
            audience: text("audience"),
            title: Some(title.to_owned()),
            aliases: list("aliases"),
            tags: list("tags"),
            product: text("product"),
            valid_from: text("valid_from"),
            valid_until: text("valid_until"),
            source: None,
            body: even_line_endings(texts[answer]),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_may_be_quoted_and_a_bad_one_is_named() {
        let contents = "Question,ANSWER,aliases,id\n\"多久到账, 急\",\"第一行\r\n\"\"第二行\"\"\",几天到|啥时候到,\nno answer,,,\nonly two,fields\nHow?,Like this.,,how\n";
        let found = read(contents.as_bytes(), "faq");
        assert_eq!(found.drafts.len(), 2, "{found:?}");
        let first = &found.drafts[0];
        assert_eq!(first.title.as_deref(), Some("多久到账, 急"));
        assert_eq!(first.body, "第一行\n\"第二行\"");
        assert_eq!(first.aliases, ["几天到", "啥时候到"]);
        assert!(first.id.as_deref().unwrap().starts_with("faq-"), "{:?}", first.id);
        assert_eq!((found.drafts[1].id.as_deref(), found.drafts[1].line), (Some("how"), 6));
        let lines: Vec<_> = found.faults.iter().map(|(line, _)| line.unwrap()).collect();
        assert_eq!(lines, [4, 5]);
        assert!(found.faults[1].1.starts_with("2 fields, the header has 4: a column without"), "{:?}", found.faults);
        let many = read(b"question,answer\nHow, exactly?,So.\n", "faq");
        assert!(many.faults[0].1.contains("3 fields, the header has 2: quote text"), "{:?}", many.faults);
    }

    #[test]
    fn other_separators_and_bad_bytes() {
        let found = read("问题;答案\n怎么提现;在钱包里\n".as_bytes(), "faq");
        assert_eq!(found.drafts[0].body, "在钱包里");
        let found = read(b"question,answer\na,b\xff\nc,d\n", "faq");
        assert_eq!(found.drafts.len(), 1);
        assert_eq!(found.faults, [(Some(2), super::super::invalid_utf8(19))]);
        let found = read(b"a,b\n1,2\n", "faq");
        assert!(found.faults[0].1.contains("it names: a, b"), "{:?}", found.faults);
    }
}
