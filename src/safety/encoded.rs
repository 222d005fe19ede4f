//! WHAT IS WRITTEN IN CODE? Runs of base64 that hold text: whoever can read the message can read them.

use std::ops::Range;

use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};

/// The shortest run worth decoding, in characters: the shortest secret, three words, takes about as many.
const SHORTEST: usize = 16;

/// Each run of base64 that holds text, with that text.
pub(super) fn texts_in(folded: &str) -> Vec<(Range<usize>, String)> {
    let bytes = folded.as_bytes();
    let mut texts = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| is_digit(**byte)).count();
        let run = at..at + length;
        at += length.max(1);
        if length >= SHORTEST
            && let Some(text) = text_of(&folded[run.clone()])
        {
            let padding = bytes[run.end..].iter().take(2).take_while(|byte| **byte == b'=').count();
            texts.push((run.start..run.end + padding, text));
        }
    }
    texts
}

/// Whether this is a digit of either of the two alphabets (RFC 4648, sections 4 and 5).
fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-/_".contains(&byte)
}

/// `None` where the bytes are no text: a word or an address may be written in the same letters. A digit by itself at the end
/// holds no whole byte; it may be the next word's.
fn text_of(digits: &str) -> Option<String> {
    let whole = digits.len() - usize::from(digits.len() % 4 == 1);
    let text = String::from_utf8(decode(&digits[..whole])?).ok()?;
    Some(text).filter(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()))
}

/// The bytes of base64 in either alphabet, also of both mixed, without padding.
pub(super) fn decode(digits: &str) -> Option<Vec<u8>> {
    // Whoever broke a run off left bits behind.
    static ENGINE: GeneralPurpose =
        GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));
    ENGINE.decode(digits.replace('-', "+").replace('_', "/")).ok()
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
