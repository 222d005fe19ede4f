//! The words of an answer: the approved text as it stands, or composed sentence by sentence from the evidence.
//!
//! Verbatim: a short document whole; of a long one the section, or the paragraphs, around the passage that was found,
//! and its citation says that there is more. Composed: see [`compose`].

pub mod compose;

use std::sync::Arc;

use super::{phrases::phrase, reply::Citation};
use crate::words::{Document, Kind, Lang, Span};

/// Longest text, in characters, that is quoted whole: about one screen of a phone. A Chinese character is as wide as two
/// Latin ones.
const fn screen(lang: Lang) -> usize {
    match lang {
        Lang::Zh => 450,
        Lang::En => 900,
    }
}

/// The customer's text and where it comes from.
#[derive(Debug, Clone)]
pub struct Answered {
    /// What the customer reads.
    pub text: String,
    /// The cited pieces.
    pub citations: Vec<Citation>,
}

impl Answered {
    /// This and then `next`, as one.
    pub fn before(self, next: Answered) -> Answered {
        Answered { text: self.text + &next.text, citations: self.citations.into_iter().chain(next.citations).collect() }
    }
}

/// Quotes `document`: whole when it is short or a card, whose every line was approved to be read, else the part around
/// `passage`.
pub fn verbatim(document: &Arc<Document>, passage: Option<Span>) -> Answered {
    let body = document.body.as_str();
    let points: Vec<char> = body.chars().collect();
    let whole = trimmed(&points, Span { start: 0, end: points.len() });
    let screen = screen(document.lang);
    let long = document.kind != Kind::Card && whole.end.saturating_sub(whole.start) > screen;
    let part = if long { part_around(&points, passage.unwrap_or(Span { start: 0, end: 0 }), screen) } else { whole };
    let text: String = points[part.start..part.end].iter().collect();
    let citation = Citation { whole: part == whole, ..cite(document, part, text.clone()) };
    Answered { text, citations: vec![citation] }
}

/// A notice in force, as it stands in front of an answer.
pub fn preface(notice: &Arc<Document>, lang: Lang) -> Answered {
    let quoted = verbatim(notice, None);
    Answered { text: format!("**{}** {}\n\n", phrase(lang, "notice_prefix"), quoted.text), ..quoted }
}

fn cite(document: &Document, part: Span, quote: String) -> Citation {
    Citation {
        document: document.id.clone(),
        revision: document.revision.clone(),
        title: document.title.as_str().to_owned(),
        lang: document.lang,
        quote,
        start: part.start,
        end: part.end,
        whole: false,
    }
}

/// The part of a long text that is quoted: the section that holds `passage`, or its paragraphs nearest to it, of about
/// `screen` characters.
fn part_around(points: &[char], passage: Span, screen: usize) -> Span {
    let section = section_of(points, passage.start);
    if section.end - section.start <= screen {
        return with_what_follows(points, section, screen);
    }
    let paragraphs = paragraphs(points, section);
    let at = paragraphs.iter().rposition(|paragraph| paragraph.start <= passage.start).unwrap_or(0);
    let mut last = at;
    while last + 1 < paragraphs.len()
        && (paragraphs[last].end < passage.end || paragraphs[last + 1].end - paragraphs[at].start <= screen)
        && paragraphs[last + 1].end - paragraphs[at].start <= 2 * screen
    {
        last += 1;
    }
    let mut first = at;
    while first > 0 && paragraphs[last].end - paragraphs[first - 1].start <= screen {
        first -= 1;
    }
    match paragraphs.get(first) {
        Some(start) => Span { start: start.start, end: paragraphs[last].end },
        None => section,
    }
}

/// The section and those after it, as long as they fit on the screen together.
fn with_what_follows(points: &[char], mut section: Span, screen: usize) -> Span {
    while let Some(gap) = points[section.end..].iter().position(|c| !c.is_whitespace()) {
        let next = section_of(points, section.end + gap);
        if next.end - section.start > screen {
            break;
        }
        section.end = next.end;
    }
    section
}

/// From the heading at or before `at` to the next heading.
fn section_of(points: &[char], at: usize) -> Span {
    let (mut start, mut end) = (0, points.len());
    let mut line = 0;
    while line < points.len() {
        let next = points[line..].iter().position(|c| *c == '\n').map_or(points.len(), |offset| line + offset + 1);
        if points[line] == '#' {
            if line <= at {
                start = line;
            } else {
                end = line;
                break;
            }
        }
        line = next;
    }
    trimmed(points, Span { start, end })
}

/// Runs of lines between blank lines; in a text without blank lines, its lines.
fn paragraphs(points: &[char], within: Span) -> Vec<Span> {
    let blank = points[within.start..within.end].windows(2).any(|pair| pair == ['\n', '\n']);
    let mut found = Vec::new();
    let mut start = within.start;
    let mut at = within.start;
    while at <= within.end {
        let ends = at == within.end || (points[at] == '\n' && (!blank || points.get(at + 1) == Some(&'\n')));
        if ends {
            let piece = trimmed(points, Span { start, end: at });
            if piece.start < piece.end {
                found.push(piece);
            }
            start = at + 1;
        }
        at += 1;
    }
    found
}

fn trimmed(points: &[char], mut span: Span) -> Span {
    while span.start < span.end && points[span.start].is_whitespace() {
        span.start += 1;
    }
    while span.start < span.end && points[span.end - 1].is_whitespace() {
        span.end -= 1;
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{safety::mask, words::Audience};

    fn document(kind: Kind, body: &str) -> Arc<Document> {
        Arc::new(Document {
            id: "d".into(),
            revision: "r".into(),
            lang: Lang::En,
            kind,
            audience: Audience::Customer,
            title: mask("t"),
            aliases: vec![],
            body: mask(body),
            tags: vec![],
            product: None,
            valid_from: None,
            valid_until: None,
            source: None,
        })
    }

    #[test]
    fn a_short_answer_is_quoted_whole() {
        let answered = verbatim(&document(Kind::Faq, "\nFive days.\n\nNo fee.\n"), Some(Span { start: 12, end: 19 }));
        assert_eq!(answered.text, "Five days.\n\nNo fee.");
        assert_eq!((answered.citations[0].start, answered.citations[0].end), (1, 20));
        assert!(answered.citations[0].whole);
    }

    #[test]
    fn a_long_guide_is_quoted_by_section_and_says_that_there_is_more() {
        let body = format!("Intro.\n\n## First\n\n{}\n\n## Second\n\nDo that.\n", "Do this. ".repeat(120));
        let at = body.find("that").unwrap();
        let answered = verbatim(&document(Kind::Guide, &body), Some(Span { start: at, end: at + 4 }));
        assert_eq!(answered.citations[0].quote, "## Second\n\nDo that.");
        assert_eq!(answered.text, answered.citations[0].quote, "nothing is said that the citation does not hold");
        assert!(!answered.citations[0].whole);
    }

    proptest::proptest! {
        #[test]
        fn a_quote_is_the_stored_text_at_its_offsets(
            lines in proptest::collection::vec("(## )?[a-z提现。 ]{0,300}", 1..20), start in 0usize..4000, length in 0usize..500, guide: bool,
        ) {
            let document = document(if guide { Kind::Guide } else { Kind::Faq }, &lines.join("\n\n"));
            let answered = verbatim(&document, Some(Span { start, end: start + length }));
            let citation = &answered.citations[0];
            let stored = Span { start: citation.start, end: citation.end };
            proptest::prop_assert_eq!(stored.of(document.body.as_str()), citation.quote.as_str());
            proptest::prop_assert!(citation.quote.chars().count() <= 2 * screen(Lang::En) || !citation.quote.contains('\n'));
        }
    }
}
