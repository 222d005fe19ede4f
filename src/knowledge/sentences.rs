//! Where does a sentence end? Chinese and English, Markdown lines, never inside a number, a URL or a code point. Pure.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use crate::words::{Span, is_han};

/// A line at least this wide (a Han character counts 2) is taken for wrapped text that goes on in the next line.
const WRAPPED_WIDTH: usize = 60;

/// Longer pieces are no "short line": they are found through their chunk.
const SHORT_ZH: usize = 120;
const SHORT_EN: usize = 200;

/// URLs as written in running text; CJK and white space end them.
static URL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\b(?:https?://|www\.)[\x21-\x7e]+").expect("a fixed pattern"));

/// Words whose full stop ends no sentence.
const ABBREVIATIONS: [&str; 16] =
    ["e.g", "i.e", "etc", "vs", "no", "mr", "mrs", "ms", "dr", "st", "approx", "incl", "max", "min", "cf", "fig"];

/// The sentences of `text` in order, trimmed; headings, list items and table rows are sentences of their own, with
/// their marks. Together they hold every non-blank character.
pub fn sentences(text: &str) -> Vec<Span> {
    let text = Points::new(text);
    let mut found = Vec::new();
    for block in blocks(&text) {
        split_block(&text, block, &mut found);
    }
    found
}

/// The pieces that can be quoted or searched alone: sentences and lines of at most 120 characters (Chinese) or 200
/// (others), without headings, rules and code.
pub fn lines(body: &str) -> Vec<Span> {
    let text = Points::new(body);
    let mut found = Vec::new();
    for block in blocks(&text) {
        if block.code || block.heading {
            continue;
        }
        let mut pieces = Vec::new();
        split_block(&text, block, &mut pieces);
        found.extend(pieces.into_iter().filter(|span| {
            let piece = text.slice(*span);
            let letters = piece.chars().filter(|c| c.is_alphanumeric()).count();
            let han = piece.chars().filter(|c| is_han(*c)).count();
            let limit = if han * 3 >= letters { SHORT_ZH } else { SHORT_EN };
            letters >= 2 && span.end - span.start <= limit
        }));
    }
    found
}

/// A text with the byte at which each code point starts, so that many spans can be cut without counting again.
pub(super) struct Points<'t> {
    pub(super) text: &'t str,
    pub(super) chars: Vec<char>,
    bytes: Vec<usize>,
}

impl<'t> Points<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let (mut bytes, chars): (Vec<usize>, Vec<char>) = text.char_indices().unzip();
        bytes.push(text.len());
        Points { text, chars, bytes }
    }

    pub(super) fn slice(&self, span: Span) -> &'t str {
        &self.text[self.bytes[span.start]..self.bytes[span.end]]
    }

    /// Without white space at both ends; `None` if nothing else is there.
    pub(super) fn trimmed(&self, span: Span) -> Option<Span> {
        let inked = |point: &usize| !self.chars[*point].is_whitespace();
        let start = (span.start..span.end).find(inked)?;
        let last = (span.start..span.end).rfind(inked)?;
        Some(Span { start, end: last + 1 })
    }

    fn point_of_byte(&self, byte: usize) -> usize {
        self.bytes.partition_point(|start| *start < byte)
    }
}

/// One line as the reader sees it: a heading, a list item, a table row, a paragraph line with what is wrapped after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) span: Span,
    pub(super) heading: bool,
    pub(super) code: bool,
    /// A blank line stands before it.
    pub(super) after_blank: bool,
}

/// The blocks of a Markdown text in order, trimmed, without blank lines. Fenced code is one block.
pub(super) fn blocks(text: &Points<'_>) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut after_blank = true;
    let mut goes_on = false;
    let mut fence: Option<(char, usize)> = None;
    for line in raw_lines(text) {
        let Some(span) = text.trimmed(line) else {
            if fence.is_none() {
                after_blank = true;
                goes_on = false;
            }
            continue;
        };
        let said = text.slice(span);
        let mark = fence_mark(said);
        if let Some((sign, length)) = fence {
            if let Some(block) = found.last_mut() {
                block.span.end = span.end;
            }
            let closes = mark.is_some_and(|(other, count)| other == sign && count >= length);
            if closes && said.chars().all(|c| c == sign) {
                fence = None;
            }
            continue;
        }
        fence = mark;
        let heading = heading_text(said).is_some();
        let starts = heading || mark.is_some() || starts_block(said);
        match found.last_mut() {
            Some(block) if goes_on && !starts && !after_blank => block.span.end = span.end,
            _ => found.push(Block { span, heading, code: mark.is_some(), after_blank }),
        }
        goes_on = !heading && mark.is_none() && !said.starts_with('|') && may_go_on(said);
        after_blank = false;
    }
    found
}

fn raw_lines<'t>(text: &'t Points<'_>) -> impl Iterator<Item = Span> + 't {
    let mut start = 0;
    std::iter::from_fn(move || {
        (start < text.chars.len()).then(|| {
            let rest = text.chars[start..].iter().position(|c| *c == '\n');
            let end = rest.map_or(text.chars.len(), |length| start + length);
            let line = Span { start, end };
            start = end + 1;
            line
        })
    })
}

/// The text of an ATX heading line, and its level.
pub(super) fn heading_text(line: &str) -> Option<(usize, &str)> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    if !(1..=6).contains(&level) || !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return None;
    }
    Some((level, rest.trim().trim_end_matches('#').trim_end()))
}

fn fence_mark(line: &str) -> Option<(char, usize)> {
    let sign = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let count = line.chars().take_while(|c| *c == sign).count();
    (count >= 3).then_some((sign, count))
}

/// List items, quotes, table rows and rules start a block of their own.
fn starts_block(line: &str) -> bool {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let numbered = (1..=3).contains(&digits) && {
        let rest = &line[digits..];
        rest.starts_with([')', '、']) || rest.starts_with(". ") || rest == "."
    };
    numbered
        || line.starts_with(['>', '|'])
        || ["- ", "* ", "+ ", "• ", "---", "***", "___"].iter().any(|mark| line.starts_with(mark))
}

/// A wide line without an end mark is wrapped: its sentence goes on.
fn may_go_on(line: &str) -> bool {
    let width: usize = line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    width >= WRAPPED_WIDTH
        && !line.trim_end_matches(is_closing).ends_with(|c: char| is_end(c) || c == '.' || c == ':' || c == '：')
}

/// Splits one block after each end of a sentence.
fn split_block(text: &Points<'_>, block: Block, found: &mut Vec<Span>) {
    if block.code || block.heading {
        found.push(block.span);
        return;
    }
    let urls = urls(text, block.span);
    let mut start = block.span.start;
    let mut at = start;
    while at < block.span.end {
        if !ends_at(text, block.span, &urls, at) {
            at += 1;
            continue;
        }
        // "?!", "……" and closing quotes belong to the sentence that they end.
        let mut end = at + 1;
        while end < block.span.end && (is_end(text.chars[end]) || is_closing(text.chars[end]) || text.chars[end] == '.')
        {
            end += 1;
        }
        found.extend(text.trimmed(Span { start, end }));
        start = end;
        at = end;
    }
    found.extend(text.trimmed(Span { start, end: block.span.end }));
}

fn urls(text: &Points<'_>, span: Span) -> Vec<Range<usize>> {
    let offset = text.bytes[span.start];
    let found = URL.find_iter(text.slice(span));
    found.map(|url| text.point_of_byte(offset + url.start())..text.point_of_byte(offset + url.end())).collect()
}

/// Whether a sentence ends with the character at `at`.
fn ends_at(text: &Points<'_>, block: Span, urls: &[Range<usize>], at: usize) -> bool {
    let c = text.chars[at];
    let next = (at + 1 < block.end).then(|| text.chars[at + 1]);
    let breaks_after = next.is_none_or(|next| next.is_whitespace() || is_closing(next));
    match c {
        '。' | '！' | '？' | '…' | '｡' => true,
        '!' | '?' => {
            let in_url = urls.iter().any(|url| url.contains(&at) && at + 1 < url.end);
            !in_url
                && next.is_none_or(|next| next.is_whitespace() || is_closing(next) || is_end(next) || !next.is_ascii())
        }
        '.' if breaks_after => !is_abbreviation(text, block, at) && !is_list_number(text, block, at),
        '.' => {
            next.is_some_and(is_han)
                && at > block.start
                && text.chars[at - 1].is_ascii_alphabetic()
                && !urls.iter().any(|url| url.contains(&at) && at + 1 < url.end)
        }
        _ => false,
    }
}

fn is_abbreviation(text: &Points<'_>, block: Span, dot: usize) -> bool {
    let start = (block.start..dot).rev().take_while(|at| {
        let c = text.chars[*at];
        c.is_ascii_alphabetic() || c == '.'
    });
    let Some(start) = start.last() else { return false };
    let word: String = text.chars[start..dot].iter().collect::<String>().to_ascii_lowercase();
    // What follows decides for those that can also be a whole word at the end: "No. 5", but "it is a no. Next".
    let next = text.chars[dot..block.end].iter().skip(1).find(|c| !c.is_whitespace());
    let goes_on = next.is_some_and(|c| c.is_lowercase() || c.is_ascii_digit() || *c == ',');
    let title = matches!(word.as_str(), "mr" | "mrs" | "ms" | "dr" | "e.g" | "i.e") && next.is_some();
    let initials = word.len() == 1 && text.chars[start].is_ascii_uppercase() && next.is_some();
    title || initials || (goes_on && ABBREVIATIONS.contains(&word.as_str()))
}

/// The dot of "1. Open the app", after the block's start or a quote mark.
fn is_list_number(text: &Points<'_>, block: Span, dot: usize) -> bool {
    let head = &text.chars[block.start..dot];
    (1..=3).contains(&head.len()) && head.iter().all(char::is_ascii_digit)
}

fn is_end(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '…' | '｡' | '!' | '?')
}

fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | '”' | '’' | '」' | '』' | '）' | ')' | ']' | '】' | '》' | '*' | '_' | '~' | '`')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: &[&str]) {
        let found: Vec<_> = sentences(text).iter().map(|span| span.of(text)).collect();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn chinese_sentences_end_at_their_marks() {
        check("普通提现要 1.5 天。节假日顺延！为什么？", &["普通提现要 1.5 天。", "节假日顺延！", "为什么？"]);
        check("他说：“可以。”然后走了。", &["他说：“可以。”", "然后走了。"]);
        check("等待……再试一次。没有句号", &["等待……", "再试一次。", "没有句号"]);
        check("费用 1.00 USDT；每天 3 次。", &["费用 1.00 USDT；每天 3 次。"]);
    }

    #[test]
    fn english_sentences_end_at_a_stop_before_space() {
        check("A fee of 1.5% applies. Version 6.8.2 or later.", &["A fee of 1.5% applies.", "Version 6.8.2 or later."]);
        check("It costs 5. Then 6.", &["It costs 5.", "Then 6."]);
        check("Use a bank, e.g. HSBC. Ask Mr. Lee about it.", &["Use a bank, e.g. HSBC.", "Ask Mr. Lee about it."]);
        check("See No. 5 of the list. Is it a no. Yes!", &["See No. 5 of the list.", "Is it a no.", "Yes!"]);
        check("Really?! (Yes.) Done", &["Really?!", "(Yes.)", "Done"]);
        check("Ask **now.** Or later.", &["Ask **now.**", "Or later."]);
    }

    #[test]
    fn a_url_is_never_cut() {
        check(
            "Open https://tern.example/a.b?c=d!e. Then log in.",
            &["Open https://tern.example/a.b?c=d!e.", "Then log in."],
        );
        check("打开 https://tern.example/?a=1。然后登录", &["打开 https://tern.example/?a=1。", "然后登录"]);
        check("Is it www.tern.example? Yes.", &["Is it www.tern.example?", "Yes."]);
    }

    #[test]
    fn markdown_lines_are_sentences_of_their_own() {
        check(
            "## 步骤\n\n1. 打开 App。点我的\n2. 点钱包\n- a\n- b",
            &["## 步骤", "1. 打开 App。", "点我的", "2. 点钱包", "- a", "- b"],
        );
        check("| a | b |\n| 1.5 | 2 |", &["| a | b |", "| 1.5 | 2 |"]);
        check("客服咨询\n邮箱：a@b.example", &["客服咨询", "邮箱：a@b.example"]);
        check("```\nlet a. b\n\nc?\n```\nafter.", &["```\nlet a. b\n\nc?\n```", "after."]);
    }

    #[test]
    fn a_wrapped_line_goes_on() {
        let text = "This paragraph was wrapped by an editor at about seventy columns, and\nits first sentence ends here. The second one.";
        check(text, &[&text[..text.find(" The").unwrap()], "The second one."]);
    }

    #[test]
    fn short_lines_leave_out_headings_code_and_long_ones() {
        let body = format!(
            "## Fees\n\nIt costs 5 USD. {}\n\n---\n\n```\ncode here\n```\n- 第一步\n{}。",
            "x".repeat(201),
            "很".repeat(120)
        );
        let found: Vec<_> = lines(&body).iter().map(|span| span.of(&body).to_owned()).collect();
        assert_eq!(found, ["It costs 5 USD.", "- 第一步"]);
    }

    proptest! {
        #[test]
        fn sentences_are_in_order_and_hold_every_inked_character(text in "[ \\n。，.!?a-zA-Z0-9#*|`提现到账😀\\-]{0,120}") {
            let spans = sentences(&text);
            let points = Points::new(&text);
            let mut at = 0;
            for span in &spans {
                prop_assert!(at <= span.start && span.start < span.end && span.end <= points.chars.len());
                prop_assert!(points.chars[at..span.start].iter().all(|c| c.is_whitespace()));
                prop_assert_eq!(span.of(&text), points.slice(*span));
                at = span.end;
            }
            prop_assert!(points.chars[at..].iter().all(|c| c.is_whitespace()));
            for line in lines(&text) {
                prop_assert!(spans.contains(&line));
            }
        }
    }
}
