//! WHAT STANDS BETWEEN THE WORDS? Separators that are words themselves: "word 1: … word 2: …", "…，然后…，然后…".
//!
//! Prose does not repeat itself at a constant step with something new in each place; a list does. What repeats is
//! no part of the phrase that it divides.

use std::ops::Range;

use super::fold::is_letter;
use crate::words::is_han;

/// Most words (or Chinese characters) of one separator.
const LONGEST_SEPARATOR: usize = 5;
/// How often a separator has to stand there: a sentence says "and" three times.
const FEWEST: usize = 5;
/// The longest phrase, and one more. What goes on is looked at anew, so that the work grows with the text's length only.
const MOST: usize = 25;

/// The byte ranges of every word that only separates, in order.
pub(super) fn separators_in(folded: &str) -> Vec<Range<usize>> {
    let units = units_of(folded);
    let mut found = Vec::new();
    let mut at = 0;
    while at < units.len() {
        let cycle = (1..=LONGEST_SEPARATOR).find_map(|length| Some((length, repeats(folded, &units[at..], length)?)));
        let Some((length, times)) = cycle else {
            at += 1;
            continue;
        };
        for start in (0..times).map(|time| at + time * (length + 1)) {
            found.extend_from_slice(&units[start..start + length]);
        }
        at += times * (length + 1) - 1;
    }
    found
}

/// Words of letters; each Chinese character is one. Digits and marks are not looked at: they count the items.
fn units_of(text: &str) -> Vec<Range<usize>> {
    let mut units: Vec<Range<usize>> = Vec::new();
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        // The marks that tell kana apart belong to their words.
        let is_letter = is_letter(c) || matches!(c, '\u{3099}' | '\u{309a}');
        match units.last_mut() {
            Some(unit) if in_word && is_letter && !is_han(c) => unit.end = end,
            _ if is_letter => units.push(at..end),
            _ => {}
        }
        in_word = is_letter && !is_han(c);
    }
    units
}

/// How often the first `length` units come again, each time with one other unit behind them.
fn repeats(text: &str, units: &[Range<usize>], length: usize) -> Option<usize> {
    let step = length + 1;
    let word = |at: usize| units.get(at).map(|unit| &text[unit.clone()]);
    let same = |a: usize, b: usize| word(a).zip(word(b)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
    let times = (1..MOST).take_while(|time| (0..length).all(|at| same(at, time * step + at))).count() + 1;
    if times < FEWEST {
        return None;
    }
    let is_new = |time: usize| !(0..time).any(|before| same(time * step + length, before * step + length));
    let new = (0..times).filter(|time| is_new(*time)).count();
    (new + 2 >= times).then_some(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_no_word_of_the_list() {
        let text = "word 1: legal word 2: winner word 3: thank word 4: year word 5: wave word 6: sausage";
        let plain = |text: &str| {
            let mut rest = text.to_owned();
            separators_in(text).into_iter().rev().for_each(|range| rest.replace_range(range, ""));
            rest.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(plain(text), "legal winner thank year wave sausage");
        assert_eq!(plain("第1个是的，第2个是一，第3个是是，第4个是在，第5个是不"), "的 一 是 在 不");
        let kana = "は\u{3099}い and いえ and たに\u{3099}い and ねむ and きさ and ひと";
        assert_eq!(separators_in(kana).len(), 5, "{kana}");
        assert_eq!(plain("统，然后彪，然后仰，然后嫩，然后摩，然后取"), "统 彪 仰 嫩 摩 取");
        let prose = "the fee and the limit and the time and the card and nothing else";
        assert!(separators_in(prose).is_empty());
        assert!(separators_in("ha ha ha ha ha ha ha ha").is_empty());
        // A megabyte of the same word: seconds, not hours.
        assert!(separators_in(&"a ".repeat(500_000)).is_empty());
    }
}
