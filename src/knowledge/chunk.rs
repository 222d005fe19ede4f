//! Which pieces of a body are searched? Sections by heading, then paragraphs, sentences and clauses under a token
//! budget. Pure; offsets are code points of the body as stored, so a chunk is always a literal piece of it.

use pulldown_cmark::{Event, Options, Parser, TagEnd};

use super::sentences::{Points, blocks, heading_text, sentences};
use crate::words::{Span, is_han};

/// A text without any place to break is cut into runs of so many Han characters before it is packed.
const RUN: usize = 16;

/// A piece of a body that is embedded as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where it stands in the body.
    pub span: Span,
    /// The heading it stands under, without its marks.
    pub heading: Option<String>,
    /// `span.of(body)`; the heading's own line is in the first chunk under it.
    pub text: String,
}

/// A heading with what stands under it, up to the next heading of any level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// From the heading's line to the end of the last line, trimmed.
    pub span: Span,
    /// Without its marks; `None` for what comes before the first heading.
    pub heading: Option<String>,
    /// 1 to 6; 0 without a heading.
    pub level: usize,
    /// What stands under the heading, without its line; `None` if nothing does.
    pub content: Option<Span>,
}

/// Cuts `body` into chunks of at most `limit_tokens` as `count_tokens` counts them. Every non-blank character is in
/// exactly one chunk; a chunk is over the limit only if it is one piece that cannot be broken (a long word, a URL).
pub fn chunk(body: &str, count_tokens: &dyn Fn(&str) -> usize, limit_tokens: usize) -> Vec<Chunk> {
    let text = Points::new(body);
    let fits = |span: Span| count_tokens(text.slice(span)) <= limit_tokens;
    let mut chunks = Vec::new();
    // A heading with nothing under it says nothing alone: it goes with the section that follows.
    let mut carried: Option<Span> = None;
    let sections = sections_of(&text);
    for (at, section) in sections.iter().enumerate() {
        let mut span = section.span;
        if let Some(before) = carried.take() {
            let joined = Span { start: before.start, end: span.end };
            let with_head =
                Span { start: before.start, end: section.content.map_or(span.end, |content| content.start) };
            if fits(with_head) {
                span = joined;
            } else {
                push(&text, section, pack(&text, vec![before], Level::Section, &fits), &mut chunks);
            }
        }
        if section.content.is_none() && at + 1 < sections.len() {
            carried = Some(span);
            continue;
        }
        push(&text, section, pack(&text, vec![span], Level::Section, &fits), &mut chunks);
    }
    chunks
}

fn push(text: &Points<'_>, section: &Section, spans: Vec<Span>, chunks: &mut Vec<Chunk>) {
    chunks.extend(spans.into_iter().map(|span| Chunk {
        span,
        heading: section.heading.clone(),
        text: text.slice(span).to_owned(),
    }));
}

/// The sections of a guide, in order; together they hold every non-blank character.
pub fn sections(body: &str) -> Vec<Section> {
    sections_of(&Points::new(body))
}

fn sections_of(text: &Points<'_>) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    for block in blocks(text) {
        if block.heading {
            let (level, heading) = heading_text(text.slice(block.span)).unwrap_or_default();
            found.push(Section { span: block.span, heading: Some(heading.to_owned()), level, content: None });
            continue;
        }
        match found.last_mut() {
            Some(section) => {
                section.span.end = block.span.end;
                let start = section.content.map_or(block.span.start, |content| content.start);
                section.content = Some(Span { start, end: block.span.end });
            }
            None => found.push(Section { span: block.span, heading: None, level: 0, content: Some(block.span) }),
        }
    }
    found
}

/// How finely a piece is cut when it does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Section,
    Paragraph,
    Sentence,
    Clause,
    Word,
}

impl Level {
    fn finer(self) -> Option<Level> {
        match self {
            Level::Section => Some(Level::Paragraph),
            Level::Paragraph => Some(Level::Sentence),
            Level::Sentence => Some(Level::Clause),
            Level::Clause => Some(Level::Word),
            Level::Word => None,
        }
    }
}

/// Joins neighbours while they fit, and cuts finer what does not fit alone.
fn pack(text: &Points<'_>, pieces: Vec<Span>, level: Level, fits: &dyn Fn(Span) -> bool) -> Vec<Span> {
    let mut packed = Vec::new();
    let mut open: Option<Span> = None;
    for piece in pieces {
        if let Some(span) = open {
            let joined = Span { start: span.start, end: piece.end };
            if fits(joined) {
                open = Some(joined);
                continue;
            }
            packed.push(span);
        }
        open = match level.finer() {
            Some(finer) if !fits(piece) => {
                let mut inner = pack(text, cut(text, piece, finer), finer, fits);
                let last = inner.pop();
                packed.extend(inner);
                last
            }
            _ => Some(piece),
        };
    }
    packed.extend(open);
    packed
}

/// The pieces of `span` at `level`, trimmed, in order.
fn cut(text: &Points<'_>, span: Span, level: Level) -> Vec<Span> {
    let part = Points::new(text.slice(span));
    let moved = |piece: Span| Span { start: piece.start + span.start, end: piece.end + span.start };
    let pieces = match level {
        Level::Section => vec![Span { start: 0, end: part.chars.len() }],
        Level::Paragraph => {
            let mut paragraphs: Vec<Span> = Vec::new();
            let mut after_heading = false;
            for block in blocks(&part) {
                match paragraphs.last_mut() {
                    // A heading stays with the paragraph under it.
                    Some(open) if !block.after_blank || after_heading => open.end = block.span.end,
                    _ => paragraphs.push(block.span),
                }
                after_heading = block.heading;
            }
            paragraphs
        }
        Level::Sentence => sentences(part.text),
        Level::Clause => split_after(&part, |at| {
            let c = part.chars[at];
            let next = part.chars.get(at + 1);
            matches!(c, '，' | '；' | '、' | '：' | '\n')
                || (matches!(c, ',' | ';' | ':') && next.is_none_or(|next| next.is_whitespace()))
        }),
        Level::Word => {
            let mut run = 0;
            split_after(&part, |at| {
                run += 1;
                let c = part.chars[at];
                let before_word = part.chars.get(at + 1).is_some_and(char::is_ascii_alphanumeric);
                let breaks = c.is_whitespace() || (is_han(c) && (run >= RUN || before_word));
                if breaks {
                    run = 0;
                }
                breaks
            })
        }
    };
    pieces.into_iter().map(moved).collect()
}

fn split_after(text: &Points<'_>, mut breaks: impl FnMut(usize) -> bool) -> Vec<Span> {
    let mut found = Vec::new();
    let mut start = 0;
    for at in 0..text.chars.len() {
        if breaks(at) {
            found.extend(text.trimmed(Span { start, end: at + 1 }));
            start = at + 1;
        }
    }
    found.extend(text.trimmed(Span { start, end: text.chars.len() }));
    found
}

/// The words of a Markdown text without its marks, for embedding and for comparing: emphasis, links (their text
/// stays), headings, list and table marks, HTML. One line for each line that the reader sees.
pub fn plain(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let end_line = |text: &mut String| {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
    };
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Text(piece) | Event::Code(piece) => text.push_str(&piece),
            Event::SoftBreak | Event::HardBreak | Event::Rule => end_line(&mut text),
            Event::End(TagEnd::TableCell) => text.push(' '),
            Event::End(
                TagEnd::Paragraph
                | TagEnd::Heading(_)
                | TagEnd::Item
                | TagEnd::CodeBlock
                | TagEnd::TableRow
                | TagEnd::TableHead,
            ) => end_line(&mut text),
            // A list inside an item begins on a line of its own.
            Event::Start(pulldown_cmark::Tag::Item) => end_line(&mut text),
            _ => {}
        }
    }
    // Emphasis next to CJK punctuation is no emphasis to CommonMark; its marks are still no words.
    let text = text.replace("**", "").replace("__", "");
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tokens for tests: one for each Han character, one for each other word.
    fn count(text: &str) -> usize {
        let han = text.chars().filter(|c| is_han(*c)).count();
        han + text.split(|c: char| c.is_whitespace() || is_han(c)).filter(|word| !word.is_empty()).count()
    }

    fn check(body: &str, limit_tokens: usize, expect: &[(Option<&str>, &str)]) {
        let chunks = chunk(body, &count, limit_tokens);
        let found: Vec<_> = chunks.iter().map(|chunk| (chunk.heading.as_deref(), chunk.text.as_str())).collect();
        assert_eq!(found, expect, "{body}");
    }

    #[test]
    fn a_short_body_is_one_chunk() {
        check("提现 2 小时到账。\n\n在钱包里看。", 50, &[(None, "提现 2 小时到账。\n\n在钱包里看。")]);
        check("", 50, &[]);
        check(" \n\n ", 50, &[]);
    }

    #[test]
    fn a_heading_starts_a_chunk() {
        check(
            "Intro here.\n\n## One\n\nFirst.\n\n## Two\n\nSecond.",
            50,
            &[(None, "Intro here."), (Some("One"), "## One\n\nFirst."), (Some("Two"), "## Two\n\nSecond.")],
        );
    }

    #[test]
    fn an_empty_heading_goes_with_what_follows() {
        check(
            "# Guide\n\n## One\n\nFirst.\n\n## Empty",
            50,
            &[(Some("One"), "# Guide\n\n## One\n\nFirst."), (Some("Empty"), "## Empty")],
        );
    }

    #[test]
    fn a_long_section_breaks_at_paragraphs_then_sentences_then_clauses() {
        check("a b c d\n\ne f g h\n\ni j", 5, &[(None, "a b c d"), (None, "e f g h"), (None, "i j")]);
        check("One two three. Four five six. Seven.", 4, &[(None, "One two three."), (None, "Four five six. Seven.")]);
        check("一二三四，五六七八，九十。", 6, &[(None, "一二三四，"), (None, "五六七八，"), (None, "九十。")]);
    }

    #[test]
    fn a_word_or_url_over_the_limit_stays_whole() {
        let long = |text: &str| text.chars().count();
        let body = "see https://tern.example/a/very/long/path?with=query and go";
        let chunks = chunk(body, &long, 12);
        assert!(
            chunks.iter().any(|chunk| chunk.text == "https://tern.example/a/very/long/path?with=query"),
            "{chunks:?}"
        );
    }

    #[test]
    fn sections_know_their_content() {
        let body = "前言\n\n## 步骤 ##\n\n第一。\n第二。\n\n### 空\n";
        let found = sections(body);
        let shown: Vec<_> = found
            .iter()
            .map(|s| (s.heading.as_deref(), s.level, s.span.of(body), s.content.map(|c| c.of(body))))
            .collect();
        assert_eq!(
            shown,
            [
                (None, 0, "前言", Some("前言")),
                (Some("步骤"), 2, "## 步骤 ##\n\n第一。\n第二。", Some("第一。\n第二。")),
                (Some("空"), 3, "### 空", None),
            ]
        );
    }

    #[test]
    fn plain_text_has_no_marks() {
        for (markdown, expect) in [
            ("## 提现\n\n在 **钱包 > 提现** 里看", "提现\n在 钱包 > 提现 里看"),
            ("点**“确认”**后等待", "点“确认”后等待"),
            ("- one\n- [two](https://a.example)\n  - three", "one\ntwo\nthree"),
            ("| a | b |\n| --- | --- |\n| 1 | 2 |", "a b\n1 2"),
            ("1. `code` and *em*\nnext", "code and em\nnext"),
            ("a_b_c 5*3", "a_b_c 5*3"),
            ("", ""),
        ] {
            assert_eq!(plain(markdown), expect, "{markdown}");
        }
    }

    proptest! {
        #[test]
        fn chunks_are_literal_ordered_complete_and_within_the_limit(
            body in "([ \\n。，.!?;a-c0-9#*|`提现到账😀\\-]|\\n\\n|\\n## |http://a.b/c\\?d ){0,120}",
            limit_tokens in 1usize..40,
        ) {
            let chunks = chunk(&body, &count, limit_tokens);
            let points = Points::new(&body);
            let mut at = 0;
            for chunk in &chunks {
                prop_assert!(at <= chunk.span.start && chunk.span.start < chunk.span.end);
                prop_assert!(chunk.span.end <= points.chars.len());
                prop_assert!(points.chars[at..chunk.span.start].iter().all(|c| c.is_whitespace()));
                prop_assert_eq!(chunk.span.of(&body), &chunk.text);
                prop_assert!(count(&chunk.text) <= limit_tokens || cut(&points, chunk.span, Level::Word).len() == 1,
                    "{} tokens, limit {limit_tokens}: {:?}", count(&chunk.text), chunk.text);
                at = chunk.span.end;
            }
            prop_assert!(points.chars[at..].iter().all(|c| c.is_whitespace()));
            let sections = sections(&body);
            prop_assert!(sections.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start));
        }
    }
}
