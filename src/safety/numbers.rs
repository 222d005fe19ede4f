//! IS THIS NUMBER A CARD, AN IDENTITY OR A PHONE? By check digit, length and first digits; where those are weak, by what the
//! text talks about. Order numbers stay.

use std::ops::Range;

use super::{
    secrets::{Found, SecretKind, Source},
    talk::{Mention, Subject, distance},
};

/// Adds every card, identity and phone number of a folded text.
pub(super) fn find(text: &str, mentions: &[Mention], source: Source, found: &mut Vec<Found>) {
    for number in numbers_of(text) {
        if let Some(kind) = kind_of(text, &number, mentions, source) {
            found.push(Found { range: number.range, kind });
        }
    }
}

/// Digits with at most single gaps between groups.
#[derive(Debug)]
struct Number {
    range: Range<usize>,
    digits: Vec<u8>,
    /// Ends in the X of an identity number.
    has_x: bool,
    has_plus: bool,
    groups: usize,
}

fn numbers_of(text: &str) -> Vec<Number> {
    let bytes = text.as_bytes();
    let mut numbers = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let opens = bytes[at].is_ascii_digit()
            || (matches!(bytes[at], b'+' | b'(') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit));
        let glued = at > 0
            && (bytes[at - 1].is_ascii_alphanumeric()
                || bytes[at - 1] == b'.' && at > 1 && bytes[at - 2].is_ascii_digit());
        if !opens || glued {
            at += 1;
            continue;
        }
        let start = at;
        let (mut digits, mut groups, mut end, mut has_x) = (Vec::new(), 1, at, false);
        let mut here = at + usize::from(!bytes[at].is_ascii_digit());
        loop {
            while here < bytes.len() && bytes[here].is_ascii_digit() {
                digits.push(bytes[here] - b'0');
                here += 1;
                end = here;
            }
            let gap = here;
            while here < bytes.len()
                && matches!(bytes[here], b' ' | b'-' | b'.' | b'(' | b')' | b'\t' | b'_' | b'*')
                && here - gap < 3
            {
                here += 1;
            }
            // A dot followed by a digit is a decimal or a version unless groups of a number stand around it.
            if here == gap || here == bytes.len() || !bytes[here].is_ascii_digit() || digits.len() > 24 {
                here = gap;
                break;
            }
            groups += 1;
        }
        if end < bytes.len() && matches!(bytes[end], b'x' | b'X') && digits.len() == 17 {
            has_x = true;
            end += 1;
        }
        let glued_after = bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric());
        if digits.len() >= 7 && !glued_after {
            numbers.push(Number { range: start..end, digits, has_x, has_plus: bytes[start] == b'+', groups });
        }
        at = end.max(here).max(at + 1);
    }
    numbers
}

fn kind_of(text: &str, number: &Number, mentions: &[Mention], source: Source) -> Option<SecretKind> {
    let (start, end) = (number.range.start, number.range.end);
    let word = text[..start].rfind(char::is_whitespace).map_or(0, |at| at + 1);
    if text[word..start].contains("//") || text[word..start].contains("www.") {
        return None;
    }
    let near = |subject, before| distance(mentions, subject, start, end, before, 6);
    let is_order = near(Subject::Order, 24).is_some();
    let is_card = near(Subject::Card, 40).is_some();
    let length = number.digits.len() + usize::from(number.has_x);
    if length == 18 && is_identity(&number.digits, number.has_x) {
        return Some(SecretKind::IdNumber);
    }
    if near(Subject::IdNumber, 30).is_some() && !is_order && (matches!(length, 15 | 17..=19) || length == 9) {
        return Some(SecretKind::IdNumber);
    }
    if !number.has_x && (13..=19).contains(&length) && (is_card || !is_order) && !number.has_plus {
        let known = is_issued_length(&number.digits);
        if (luhn(&number.digits) && known) || (is_card && (known || luhn(&number.digits) || number.groups >= 3)) {
            return Some(SecretKind::CardNumber);
        }
    }
    if source == Source::Person && !is_order && is_phone(text, number, near(Subject::Phone, 30).is_some()) {
        return Some(SecretKind::Phone);
    }
    None
}

/// Whether the number, written with or without gaps, has a right Luhn digit.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let value = u32::from(*digit) << (at % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether cards that begin like this have this length (ISO/IEC 7812 ranges of the large networks).
fn is_issued_length(digits: &[u8]) -> bool {
    let first = |count: usize| digits[..count].iter().fold(0u32, |number, digit| number * 10 + u32::from(*digit));
    let length = digits.len();
    match first(2) {
        40..=49 => matches!(length, 13 | 16 | 19),
        51..=55 | 22..=27 => length == 16 && (first(2) > 50 || (2221..=2720).contains(&first(4))),
        34 | 37 => length == 15,
        62 | 81 => (16..=19).contains(&length),
        60 | 64 | 65 => {
            (16..=19).contains(&length)
                && (first(4) == 6011 || first(2) == 65 || (644..=649).contains(&first(3)) || first(2) == 60)
        }
        35 => (16..=19).contains(&length) && (3528..=3589).contains(&first(4)),
        30 | 36 | 38 | 39 => (14..=19).contains(&length) && (first(2) != 30 || first(3) <= 305),
        50 | 56..=59 | 63 | 67..=69 => matches!(length, 16 | 18 | 19),
        // Older debit cards of mainland banks.
        90 | 94 | 95 | 98 | 99 => matches!(length, 16 | 19),
        _ => false,
    }
}

/// GB 11643: eighteen characters, a real birth date, the last one the check digit modulo 11.
fn is_identity(digits: &[u8], has_x: bool) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let number = |range: Range<usize>| digits[range].iter().fold(0u32, |sum, digit| sum * 10 + u32::from(*digit));
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(*digit) * weight).sum();
    let check = (12 - sum % 11) % 11;
    let last = if has_x { 10 } else { u32::from(digits[17]) };
    check == last
        && (1900..=2099).contains(&number(6..10))
        && (1..=12).contains(&number(10..12))
        && (1..=31).contains(&number(12..14))
}

fn is_phone(text: &str, number: &Number, is_named: bool) -> bool {
    let digits = number.digits.as_slice();
    let local = match digits {
        [8, 6, rest @ ..] if rest.len() == 11 => rest,
        [0, 0, 8, 6, rest @ ..] if rest.len() == 11 => rest,
        _ => digits,
    };
    if local.len() == 11 && local[0] == 1 && local[1] >= 3 {
        return true;
    }
    if number.has_plus && (7..=15).contains(&digits.len()) {
        return true;
    }
    let written = &text[number.range.clone()];
    // (415) 555-0132 and 415-555-0132; a date or a version is written with groups too, but not 3-3-4.
    let shape: Vec<usize> =
        written.split(|c: char| !c.is_ascii_digit()).map(str::len).filter(|length| *length > 0).collect();
    let is_american = matches!(shape.as_slice(), [3, 3, 4] | [1, 3, 3, 4]) && !written.contains('*');
    // 010-62345678: a mainland landline with its area code.
    let is_landline = matches!(shape.as_slice(), [3 | 4, 7 | 8]) && digits[0] == 0;
    is_american || is_landline || (is_named && (7..=13).contains(&digits.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::talk::mentions;

    fn kind(text: &str) -> Option<SecretKind> {
        let mut found = Vec::new();
        find(text, &mentions(text), Source::Person, &mut found);
        found.first().map(|found| found.kind)
    }

    #[test]
    fn numbers_by_their_digits() {
        for (text, expect) in [
            ("4111 1111 1111 1111", Some(SecretKind::CardNumber)),
            ("卡号6222020200112233445", Some(SecretKind::CardNumber)),
            ("4111 1111 1111 1112", None),
            ("my card is 4111 1111 1111 1112", Some(SecretKind::CardNumber)),
            ("订单号 4111111111111111", None),
            ("11010519491231002X", Some(SecretKind::IdNumber)),
            ("110105194912310021", None),
            ("我是13812345678", Some(SecretKind::Phone)),
            ("+86 138 1234 5678", Some(SecretKind::Phone)),
            ("call (415) 555-0132", Some(SecretKind::Phone)),
            ("order 13812345678", None),
            ("2024-03-12 11:20", None),
            ("block 19283746", None),
            ("1000000 USDT", None),
        ] {
            assert_eq!(kind(text), expect, "{text}");
        }
    }
}
