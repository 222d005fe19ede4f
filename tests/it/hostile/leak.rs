//! What counts as a leak, and the search for it in a text or in the bytes of a sink.
//!
//! Nothing here is shared with `src/safety`: a fold that both sides had wrong would hide what it lets through.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::disguise::{HOMOGLYPHS, INVISIBLE};

/// Consecutive words of a phrase that make a leak.
const LEAKED_WORDS: usize = 3;
/// Consecutive characters of a key, or digits of a card, that make a leak.
const LEAKED_CHARACTERS: usize = 8;
/// The same for digits and hex digits in a sink full of other people's numbers, where eight meet by chance.
const LEAKED_CHARACTERS_AMONG_NUMBERS: usize = 12;
/// Stands for `…` in a folded text.
const ELLIPSIS: char = '\0';
/// Other words that may stand between two of a phrase ("word 2: … word 3: …").
const WORDS_BETWEEN: usize = 2;
/// Han characters that may, the same each time ("第二个词是…第三个词是…").
const HAN_BETWEEN: usize = 5;

/// What a message must not show.
#[derive(Debug, Clone)]
pub enum Secret {
    /// The words as they were typed.
    Phrase(Vec<String>),
    /// A key, card, ID or number: leaked in part or whole.
    Key(String),
    /// A code, password or CVV: leaked as a whole.
    Whole(String),
}

impl Secret {
    pub fn is_phrase(&self) -> bool {
        matches!(self, Secret::Phrase(_))
    }

    /// What of the secret the text shows.
    pub fn leak(&self, said: &Said) -> Option<String> {
        let joined = self.pieces(LEAKED_CHARACTERS).into_iter().find(|piece| match self {
            Secret::Phrase(_) => said.letters.iter().any(|reading| reading.contains(piece)),
            Secret::Key(_) | Secret::Whole(_) => said.alphanumerics.iter().any(|reading| reading.contains(piece)),
        });
        joined.or_else(|| match self {
            Secret::Phrase(words) => {
                let scattered = said.words.iter().find_map(|reading| scattered(words, reading));
                scattered.or_else(|| said.letters.iter().find_map(|reading| scattered_han(words, reading)))
            }
            Secret::Key(_) | Secret::Whole(_) => None,
        })
    }

    /// What to look for in a sink that holds more than this message; empty where a secret is so short that it stands in
    /// any log by chance.
    pub fn needles(&self) -> Vec<String> {
        match self {
            Secret::Phrase(_) => self.pieces(LEAKED_CHARACTERS),
            Secret::Key(_) => {
                let is_number = |piece: &String| piece.chars().all(|c| c.is_ascii_hexdigit());
                let short = self.pieces(LEAKED_CHARACTERS).into_iter().filter(|piece| !is_number(piece));
                short.chain(self.pieces(LEAKED_CHARACTERS_AMONG_NUMBERS)).collect()
            }
            Secret::Whole(whole) => {
                let whole = alphanumerics(&fold(whole));
                let by_chance = whole.chars().count() < LEAKED_CHARACTERS || whole.chars().all(|c| c.is_ascii_digit());
                if by_chance { vec![] } else { vec![whole] }
            }
        }
    }

    /// The smallest parts that are a leak, folded and without what stands between words or characters.
    fn pieces(&self, characters: usize) -> Vec<String> {
        match self {
            Secret::Phrase(words) => words.windows(LEAKED_WORDS).map(|words| letters(&fold(&words.concat()))).collect(),
            Secret::Key(key) => {
                let key: Vec<char> = alphanumerics(&fold(key)).chars().collect();
                key.windows(characters).map(String::from_iter).collect()
            }
            Secret::Whole(whole) => vec![alphanumerics(&fold(whole))],
        }
    }
}

/// Three words of the phrase in their order, with few others between them.
fn scattered(words: &[String], said: &[String]) -> Option<String> {
    let words: Vec<String> = words.iter().map(|word| letters(&fold(word))).collect();
    words.windows(LEAKED_WORDS).find_map(|wanted| {
        let starts = said.iter().enumerate().filter(|(_, word)| **word == wanted[0]);
        starts.into_iter().find_map(|(start, _)| {
            let mut at = start;
            for wanted in &wanted[1..] {
                let next = said[at + 1..].iter().take(WORDS_BETWEEN + 1).position(|word| word == wanted)?;
                at += 1 + next;
            }
            Some(wanted.join(" "))
        })
    })
}

/// Three characters of the phrase in their order, with the same few between each two.
fn scattered_han(words: &[String], letters: &str) -> Option<String> {
    let letters: Vec<char> = letters.chars().collect();
    let han: Option<Vec<char>> = words.iter().map(|word| word.chars().next().filter(|c| is_han(*c))).collect();
    han?.windows(LEAKED_WORDS).find_map(|wanted| {
        let starts = (0..letters.len()).filter(|at| letters[*at] == wanted[0]);
        let mut steps = starts.flat_map(|at| (2..=HAN_BETWEEN + 1).map(move |step| (at, step)));
        steps.find_map(|(at, step)| {
            let (second, third) = (at + step, at + 2 * step);
            let found = letters.get(second) == Some(&wanted[1]) && letters.get(third) == Some(&wanted[2]);
            (found && letters[at + 1..second] == letters[second + 1..third]).then(|| wanted.iter().collect())
        })
    })
}

fn is_han(c: char) -> bool {
    ('\u{3400}'..='\u{9fff}').contains(&c)
}

/// A text as a leak may be read from it: as it stands, with its escapes undone, its base64 decoded.
pub struct Said {
    /// Letters only: words without what stands between them.
    letters: Vec<String>,
    alphanumerics: Vec<String>,
    words: Vec<Vec<String>>,
}

impl Said {
    pub fn of_text(text: &str) -> Self {
        let folded: Vec<String> = readings(text).iter().map(|reading| fold(reading)).collect();
        Said {
            letters: folded.iter().map(|reading| letters(reading)).collect(),
            alphanumerics: folded.iter().map(|reading| alphanumerics(reading)).collect(),
            words: folded.iter().map(|reading| words(reading)).collect(),
        }
    }
}

/// Every reading of a sink's bytes, folded: UTF-8, both kinds of UTF-16 at both alignments, escapes and base64 undone.
/// The first of each pair holds letters only, the second digits too.
pub fn readings_of_bytes(bytes: &[u8]) -> Vec<(String, String)> {
    let utf16 = |start: usize, unit: fn([u8; 2]) -> u16| {
        let units = bytes[start.min(bytes.len())..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|c| c.unwrap_or(' ')).filter(|c| *c != '\0').collect::<String>()
    };
    let mut texts = vec![String::from_utf8_lossy(bytes).replace('\0', "")];
    for start in [0, 1] {
        texts.push(utf16(start, u16::from_le_bytes));
        texts.push(utf16(start, u16::from_be_bytes));
    }
    let readings = texts.iter().flat_map(|text| readings(text).into_iter().map(Cow::into_owned).collect::<Vec<_>>());
    readings.map(|reading| fold(&reading)).map(|folded| (letters(&folded), alphanumerics(&folded))).collect()
}

fn readings(text: &str) -> Vec<Cow<'_, str>> {
    let mut readings = vec![Cow::from(text)];
    if text.contains('\\') {
        readings.push(unescape(text).into());
    }
    readings.extend(base64_runs(text).filter_map(decode_base64).map(Cow::from));
    readings
}

/// JSON's escapes undone.
fn unescape(text: &str) -> String {
    let text = ["\\n", "\\r", "\\t", "\\\""].iter().fold(text.to_owned(), |text, escape| text.replace(escape, " "));
    let mut parts = text.split("\\u");
    let mut units: Vec<u16> = parts.next().into_iter().flat_map(str::encode_utf16).collect();
    for part in parts {
        match part.get(..4).and_then(|hex| u16::from_str_radix(hex, 16).ok()) {
            Some(unit) => units.extend(std::iter::once(unit).chain(part[4..].encode_utf16())),
            None => units.extend(part.encode_utf16()),
        }
    }
    String::from_utf16_lossy(&units)
}

fn base64_runs(text: &str) -> impl Iterator<Item = &str> {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    text.split(move |c: char| !is_base64(c)).filter(|run| run.len() >= 16)
}

/// The text that is in a run of base64, as UTF-8 or UTF-16; bytes that are no text give none.
fn decode_base64(run: &str) -> Option<String> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' | b'-' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for group in run.as_bytes().chunks(4).filter(|group| group.len() > 1) {
        let bits = group.iter().fold(0u32, |bits, c| bits << 6 | u32::from(value(*c))) << (6 * (4 - group.len()));
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    let units = || bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    match std::str::from_utf8(&bytes) {
        Ok(text) => Some(text.replace('\0', "")),
        Err(_) => String::from_utf16(&units().collect::<Vec<_>>()).ok(),
    }
}

/// Compatibility forms, accents, case, look-alikes and invisible characters undone.
///
/// An ellipsis stays one: what stands on its two sides was never side by side.
fn fold(text: &str) -> String {
    let plain = text.split_inclusive('…').flat_map(|part| {
        let (part, end) = part.strip_suffix('…').map_or((part, None), |part| (part, Some(ELLIPSIS)));
        part.nfkd().chain(end)
    });
    let plain = plain.filter(|c| !INVISIBLE.contains(c) && !('\u{300}'..='\u{36f}').contains(c));
    plain.map(latin).flat_map(char::to_lowercase).collect()
}

fn latin(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    HOMOGLYPHS.iter().find(|(_, alike)| alike.contains(c)).map_or(c, |(latin, _)| *latin)
}

fn letters(folded: &str) -> String {
    folded.chars().filter(|c| c.is_alphabetic()).collect()
}

fn alphanumerics(folded: &str) -> String {
    folded.chars().filter(|c| c.is_alphanumeric() || *c == ELLIPSIS).collect()
}

/// Runs of letters of one kind: Han beside Latin without a space is another word.
fn words(folded: &str) -> Vec<String> {
    let kind = |c: char| (c.is_alphabetic(), c.is_ascii(), is_han(c));
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for c in folded.chars() {
        match words.last_mut() {
            Some(word) if c.is_alphabetic() && last == Some(kind(c)) => word.push(c),
            _ if c.is_alphabetic() => words.push(c.into()),
            _ => {}
        }
        last = Some(kind(c));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase() -> Secret {
        Secret::Phrase(["abandon", "ability", "about", "的", "一", "是"].map(String::from).to_vec())
    }

    #[test]
    fn three_words_are_found_however_they_are_written() {
        for text in [
            "so abandon ability about it",
            "ABANDON, ABILITY; ABOUT",
            "abandonabilityabout",
            "1. abandon\n2. ability\n3. about",
            "word 1: abandon word 2: ability word 3: about",
            "第1个abandon第2个ability第3个about",
            "ab\u{200b}andon ａｂｉｌｉｔｙ аbоut",
            "的 一 是",
            "的一是",
            "1.的 2.一 3.是",
            "\\u7684\\u4e00\\u662f",
            "it is YWJhbmRvbiBhYmlsaXR5IGFib3V0 in base64",
        ] {
            assert!(phrase().leak(&Said::of_text(text)).is_some(), "{text}");
        }
        for text in ["abandon ability", "abandon it or not, the ability to think about", "的一", "一是的", ""] {
            assert_eq!(phrase().leak(&Said::of_text(text)), None, "{text}");
        }
    }

    #[test]
    fn eight_characters_of_a_key_are_found() {
        let key = Secret::Key("5f3a9c1dE7b24A60".into());
        for text in ["9c1de7b2", "it is 5f3a 9c1d", "5F3A-9C1D", "５f3a９c1d", "ending e7b24a60."] {
            assert!(key.leak(&Said::of_text(text)).is_some(), "{text}");
        }
        assert_eq!(key.leak(&Said::of_text("0x5f3a9c…4a60")), None);
        assert!(Secret::Whole("48 29".into()).leak(&Said::of_text("it is 4829")).is_some());
        assert_eq!(Secret::Whole("4829".into()).leak(&Said::of_text("it is 482")), None);
    }

    #[test]
    fn a_sink_is_read_in_every_encoding() {
        let said = "abandon ability about";
        let utf16 = |unit: fn(u16) -> [u8; 2]| said.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        let shifted = [b"x".to_vec(), utf16(u16::to_le_bytes)].concat();
        for bytes in [said.as_bytes().to_vec(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes), shifted] {
            let found = readings_of_bytes(&bytes).iter().any(|(letters, _)| letters.contains(&phrase().needles()[0]));
            assert!(found, "{bytes:?}");
        }
    }
}
