//! The words of an answer: the approved text as it stands, or composed sentence by sentence from the evidence.
//!
//! Verbatim: a short document whole; of a long one the section, or the paragraphs, around the passage that was found,
//! and its citation says that there is more. Composed: the generator writes, and every sentence passes [`ground`]
//! before it is sent; one that is not held up ends the answer, and without a sentence left the approved text is sent.

use std::{ops::ControlFlow, sync::Arc};

use minijinja::context;

use super::{ground, phrases::phrase, question::Question, reply::Citation, retrieve::Retrieved};
use crate::{
    error::{Error, Result},
    model::{Ask, Generator, Message, Prompt, Speaker},
    safety::{self, injection},
    words::{Document, Kind, Lang, Span},
};

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

/// Puts a notice in force in front of an answer.
pub fn with_notice(notice: &Arc<Document>, answered: Answered, lang: Lang) -> Answered {
    let quoted = verbatim(notice, None);
    let text = format!("**{}** {}\n\n{}", phrase(lang, "notice_prefix"), quoted.text, answered.text);
    Answered { text, citations: quoted.citations.into_iter().chain(answered.citations).collect() }
}

/// What an answer may be composed from.
#[derive(Debug, Clone)]
pub struct Evidence {
    document: Arc<Document>,
    span: Span,
    text: String,
}

/// The pieces to compose from: the best document, and the next when it is nearly as good.
pub fn evidence(retrieved: &Retrieved) -> Vec<Evidence> {
    let Some(best) = retrieved.candidates.first() else { return Vec::new() };
    retrieved
        .candidates
        .iter()
        .take(2)
        .filter(|candidate| candidate.document.lang == best.document.lang && candidate.score >= 0.92 * best.score)
        .filter_map(|candidate| {
            let citation = verbatim(&candidate.document, candidate.passage).citations.into_iter().next()?;
            let span = Span { start: citation.start, end: citation.end };
            Some(Evidence { document: candidate.document.clone(), span, text: citation.quote })
        })
        .collect()
}

/// Composes an answer; `None` when no sentence was held up, and the approved text is to be sent instead.
///
/// # Errors
/// Where the generator fails or is busy.
pub async fn compose(
    generator: &Generator,
    question: &Question,
    evidence: &[Evidence],
    limit_tokens: usize,
) -> Result<Option<Answered>> {
    if evidence.is_empty() {
        return Ok(None);
    }
    let prompt = prompt(question, evidence)?;
    let (written, stop) = generator.start_reply(Ask { prompt, constraint: None, limit_tokens })?.whole().await?;
    tracing::debug!(characters = written.chars().count(), ?stop, "composed an answer");
    Ok(checked(&written, evidence))
}

/// Keeps the sentences that the evidence holds up; gives up when one is not, or the answer is cut to nothing.
fn checked(written: &str, evidence: &[Evidence]) -> Option<Answered> {
    let texts: Vec<&str> = evidence.iter().map(|piece| piece.text.as_str()).collect();
    let (mut text, mut used) = (String::new(), vec![false; evidence.len()]);
    let whole = ground::sentences(written).into_iter().try_for_each(|sentence| {
        let plain = sentence.trim();
        if plain.is_empty() {
            return ControlFlow::Continue(());
        }
        let holder = (0..texts.len()).find(|at| ground::held_up(plain, &texts[*at..=*at]).supported);
        match holder {
            Some(at) => {
                used[at] = true;
                // Sentences come without the space between them, which only Latin punctuation needs.
                if text.ends_with(['.', '!', '?', ':', ';']) && !sentence.starts_with(char::is_whitespace) {
                    text.push(' ');
                }
                text.push_str(sentence);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    });
    if whole.is_break() || text.trim().is_empty() {
        return None;
    }
    let citations = evidence
        .iter()
        .zip(used)
        .filter(|(_, used)| *used)
        .map(|(piece, _)| cite(&piece.document, piece.span, piece.text.clone()));
    Some(Answered { text: text.trim().to_owned(), citations: citations.collect() })
}

/// The prompt of a composed answer: rules, documents as data, the question as data.
fn prompt(question: &Question, evidence: &[Evidence]) -> Result<Prompt> {
    let template = match question.lang {
        Lang::Zh => include_str!("../../prompts/answer.zh.md.jinja"),
        Lang::En => include_str!("../../prompts/answer.en.md.jinja"),
    };
    let documents: Vec<String> = evidence.iter().map(|piece| injection::neutralise(&piece.text)).collect();
    let question = injection::neutralise(question.search.as_str());
    let rendered = minijinja::Environment::new()
        .render_str(template, context! { documents, question })
        .map_err(Error::outside("rendering the answer's prompt"))?;
    let (system, user) = rendered.split_once("\n=====\n").unwrap_or(("", rendered.as_str()));
    Ok(Prompt {
        messages: vec![
            Message { speaker: Speaker::System, text: safety::mask_document(system) },
            Message { speaker: Speaker::User, text: safety::mask_document(user) },
        ],
    })
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
    fn composed_sentences_keep_their_space() {
        let evidence = |lang, text: &str| Evidence {
            document: Arc::new(Document { lang, ..Document::clone(&document(Kind::Faq, text)) }),
            span: Span { start: 0, end: text.chars().count() },
            text: text.to_owned(),
        };
        let english = "A refund takes five days. It has no fee.";
        assert_eq!(checked(english, &[evidence(Lang::En, english)]).unwrap().text, english);
        let chinese = "退款需要五天。没有手续费。";
        assert_eq!(checked(chinese, &[evidence(Lang::Zh, chinese)]).unwrap().text, chinese);
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
