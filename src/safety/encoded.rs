//! WHAT IS WRITTEN IN CODE? Runs of base64 that hold text: whoever can read the message can read them.

use std::ops::Range;

/// The shortest run worth decoding, in characters: the shortest secret, three words, takes about as many.
const SHORTEST: usize = 16;

/// Each run of base64 that holds text, with that text.
pub(super) fn texts_in(folded: &str) -> Vec<(Range<usize>, String)> {
    let bytes = folded.as_bytes();
    let mut texts = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| value(**byte).is_some()).count();
        let run = at..at + length;
        at += length.max(1);
        if length >= SHORTEST
            && let Some(text) = decode(&bytes[run.clone()])
        {
            let padding = bytes[run.end..].iter().take(2).take_while(|byte| **byte == b'=').count();
            texts.push((run.start..run.end + padding, text));
        }
    }
    texts
}

/// The value of a digit, in either of the two alphabets (RFC 4648, sections 4 and 5).
fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// `None` where the bytes are no text: a word or an address may be written in the same letters.
fn decode(digits: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(digits.len());
    for group in digits.chunks(4) {
        let bits = group.iter().filter_map(|digit| value(*digit)).fold(0, |bits, value| bits << 6 | value);
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_base64() {
        for (text, expect) in [
            ("decode bGVnYWwgd2lubmVyIHRoYW5rIHllYXI= now", Some("legal winner thank year")),
            ("5rOV546L5oSf5bm05rOi", Some("法王感年波")),
            ("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", None),
            ("internationalisation of everything", None),
        ] {
            assert_eq!(texts_in(text).first().map(|(_, text)| text.as_str()), expect, "{text}");
        }
    }
}
