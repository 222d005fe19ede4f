//! WHAT DOES A READER SEE? Text folded to plain letters, each byte knowing which bytes of the original it came from.
//!
//! Full-width, styled and look-alike letters become ASCII, accents and invisible characters go, katakana becomes hiragana,
//! the escapes of a JSON string become what they stand for.
//! Compatibility decomposition, because the phrase lists are written in it. Case is kept: base58 needs it.

use std::{collections::HashMap, sync::LazyLock};

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// A folded text.
#[derive(Debug)]
pub(super) struct Folded {
    /// What the finders read.
    pub(super) text: String,
    /// For each byte of `text`, the bytes of the original; `None` where both are the same.
    origin: Option<Vec<(u32, u32)>>,
}

impl Folded {
    pub(super) fn new(original: &str) -> Folded {
        if original.is_ascii() && !original.contains('\\') {
            return Folded { text: original.to_owned(), origin: None };
        }
        let mut text = String::with_capacity(original.len());
        let mut origin = Vec::with_capacity(original.len());
        let mut at = 0;
        while let Some(first) = original[at..].chars().next() {
            let (c, length) = unescaped(&original[at..]).unwrap_or((first, first.len_utf8()));
            let span = (at as u32, (at + length) as u32);
            let mut keep = |c: char| {
                text.push(c);
                origin.extend(std::iter::repeat_n(span, c.len_utf8()));
            };
            if is_plain(c) {
                keep(c);
            } else if is_look_alike(c) {
                // Some look-alikes decompose into a letter that looks like nothing Latin.
                plain(c).into_iter().for_each(keep);
            } else {
                decompose_compatible(c, |c| plain(c).into_iter().for_each(&mut keep));
            }
            at += length;
        }
        Folded { text, origin: Some(origin) }
    }

    /// The bytes of the original that `start..end` of the folded text came from.
    pub(super) fn original(&self, start: usize, end: usize) -> (usize, usize) {
        match &self.origin {
            None => (start, end),
            Some(origin) if start < end => (origin[start].0 as usize, origin[end - 1].1 as usize),
            Some(_) => (0, 0),
        }
    }
}

/// The character that a JSON escape at the beginning of `text` stands for, and the length of the escape in bytes.
fn unescaped(text: &str) -> Option<(char, usize)> {
    let escape = text.strip_prefix('\\')?;
    match escape.as_bytes().first()? {
        b'n' | b'r' => Some(('\n', 2)),
        b't' => Some((' ', 2)),
        b'"' => Some(('"', 2)),
        b'u' => {
            let unit = u32::from_str_radix(escape.get(1..5)?, 16).ok()?;
            Some((char::from_u32(unit)?, 6))
        }
        _ => None,
    }
}

/// Whether a character is what it looks like, as nearly all of a message are: ASCII and the Chinese of today.
fn is_plain(c: char) -> bool {
    c.is_ascii() || ('\u{4e00}'..='\u{9fff}').contains(&c)
}

/// Whether a character is alphabetic. The library searches a table for what is not ASCII; most of what is asked for is Chinese
/// or, decomposed, Korean.
pub(super) fn is_letter(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '\u{1100}'..='\u{11ff}' | '\u{4e00}'..='\u{9fff}')
        || (!c.is_ascii() && c.is_alphabetic())
}

/// One decomposed character as the finders want it; `None` for what a reader does not see.
fn plain(c: char) -> Option<char> {
    if is_plain(c) {
        return Some(c);
    }
    let folded = match c {
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{feff}' => {
            return None;
        }
        '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {
            return None;
        }
        '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e01ef}' => return None,
        // Dakuten tell Japanese words apart; every other mark only decorates.
        '\u{3099}' | '\u{309a}' => c,
        '\u{300}'..='\u{36f}' => return None,
        '\u{30a1}'..='\u{30f6}' => char::from_u32(c as u32 - 0x60)?,
        '\u{1f150}'..='\u{1f169}' => letter(c, 0x1f150),
        '\u{1f170}'..='\u{1f189}' => letter(c, 0x1f170),
        '\u{1f1e6}'..='\u{1f1ff}' => letter(c, 0x1f1e6),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{201c}' | '\u{201d}' => '"',
        // `。` ends sentences in Chinese; between digits and letters it is a dot all the same.
        '\u{3002}' => '.',
        '\u{3001}' => ',',
        '\u{2028}' | '\u{2029}' | '\u{85}' => '\n',
        _ if may_look_alike(c) => look_alike(c),
        _ => c,
    };
    let is_kept = !is_combining_mark(folded) || matches!(folded, '\u{3099}' | '\u{309a}');
    is_kept.then_some(folded)
}

fn letter(c: char, first: u32) -> char {
    char::from(b'A' + (c as u32 - first) as u8)
}

/// Where the letters are that look like Latin ones.
fn may_look_alike(c: char) -> bool {
    (c as u32) < 0x600 || (0x1d00..0x1e00).contains(&(c as u32))
}

fn is_look_alike(c: char) -> bool {
    may_look_alike(c) && look_alike(c) != c
}

/// The Latin letter that a letter of another script looks like.
fn look_alike(c: char) -> char {
    LOOK_ALIKES.get(&c).copied().unwrap_or(c)
}

static LOOK_ALIKES: LazyLock<HashMap<char, char>> = LazyLock::new(|| {
    const GROUPS: &[(&str, char)] = &[
        ("аɑαᴀ", 'a'),
        ("ЬьƄ", 'b'),
        ("сϲᴄ", 'c'),
        ("ԁđᴅɗ", 'd'),
        ("еҽєεᴇ", 'e'),
        ("ƒ", 'f'),
        ("ɡԍցɢ", 'g'),
        ("һհħʜ", 'h'),
        ("іıɩιӏɪ", 'i'),
        ("јϳᴊ", 'j'),
        ("кκᴋ", 'k'),
        ("łʟⅼ", 'l'),
        ("мᴍ", 'm'),
        ("пոռηɴ", 'n'),
        ("оοօσøᴏ", 'o'),
        ("рρᴘ", 'p'),
        ("ԛզ", 'q'),
        ("гʀ", 'r'),
        ("ѕꜱ", 's'),
        ("тτᴛ", 't'),
        ("υսᴜ", 'u'),
        ("νѵᴠ", 'v'),
        ("ԝωᴡѡ", 'w'),
        ("хχ", 'x'),
        ("уүγʏ", 'y'),
        ("ᴢʐ", 'z'),
        ("АΑ", 'A'),
        ("ВΒ", 'B'),
        ("СϹ", 'C'),
        ("Đ", 'D'),
        ("ЕΕ", 'E'),
        ("Ԍ", 'G'),
        ("НΗҺ", 'H'),
        ("ІΙӀ", 'I'),
        ("Ј", 'J'),
        ("КΚ", 'K'),
        ("Ł", 'L'),
        ("МΜ", 'M'),
        ("Ν", 'N'),
        ("ОΟՕØ", 'O'),
        ("РΡ", 'P'),
        ("Ԛ", 'Q'),
        ("Ѕ", 'S'),
        ("ТΤ", 'T'),
        ("Ս", 'U'),
        ("Ѵ", 'V'),
        ("Ԝ", 'W'),
        ("ХΧ", 'X'),
        ("УΥҮ", 'Y'),
        ("Ζ", 'Z'),
        ("З", '3'),
    ];
    GROUPS.iter().flat_map(|(group, latin)| group.chars().map(|c| (c, *latin))).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_sees() {
        for (text, expect) in [
            ("ｌｅｇａｌ　１２", "legal 12"),
            ("l\u{200b}e\u{feff}g\u{ad}al", "legal"),
            ("lеgаl", "legal"),
            ("ábaco Ábaco a\u{301}baco", "abaco Abaco abaco"),
            ("𝐥𝓮𝔤𝕒𝗅", "legal"),
            ("アイ あい", "あい あい"),
            ("助记词。", "助记词."),
            // A lunate sigma decomposes into a plain one, which is no c.
            ("ϲаϲtuѕ", "cactus"),
            ("\\u7684\\u4E00 a\\nb\\q", "的一 a\nb\\q"),
        ] {
            assert_eq!(Folded::new(text).text, expect, "{text}");
        }
    }

    #[test]
    fn a_letter_is_what_the_library_says() {
        let differing: Vec<char> = ('\0'..=char::MAX).filter(|c| is_letter(*c) != c.is_alphabetic()).collect();
        assert!(differing.is_empty(), "{differing:?}");
    }

    #[test]
    fn the_way_back() {
        let text = "我lе\u{200b}g！";
        let folded = Folded::new(text);
        let at = folded.text.find("leg").unwrap();
        let (start, end) = folded.original(at, at + 3);
        assert_eq!(&text[start..end], "lе\u{200b}g");
    }
}
