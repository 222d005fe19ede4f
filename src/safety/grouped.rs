//! IS THIS A KEY IN PIECES? Keys written in groups, as one copies them from paper, or broken over lines.
//!
//! Base58 is put together as long as a checksum or a curve says that the pieces belong together, so prose never is a key.
//! Hex has no checksum: there the number of digits and what the text talks about decide.

use std::ops::Range;

use super::{
    fold::is_letter,
    identifiers::{base58, checksum_of, is_solana_keypair},
    keys::{TALK_AFTER, TALK_BEFORE, is_key_talk},
    secrets::{Found, SecretKind, Source},
    talk::{Mention, Subject, distance},
};

/// The longest gap between two groups, in characters: a line's end with the next line's indent.
const LONGEST_GAP: usize = 4;
/// As many groups may be of any size: a line that broke in the midst of a key.
const FEW_GROUPS: usize = 3;
/// Characters of the shortest and the longest key that is looked for.
const SHORTEST_KEY: usize = 51;
const LONGEST_KEY: usize = 111;

/// Adds every key that is written in two or more groups.
pub(super) fn find(text: &str, mentions: &[Mention], source: Source, found: &mut Vec<Found>) {
    if text.bytes().filter(u8::is_ascii_alphanumeric).count() < SHORTEST_KEY {
        return;
    }
    for run in runs_of(text) {
        if run.len() < 2 {
            continue;
        }
        let mut at = 0;
        while at < run.len() {
            let key = base58_key(text, &run[at..])
                .map(|groups| (groups, SecretKind::PrivateKey))
                .or_else(|| hex_key(text, &run[at..], mentions, source));
            if let Some((groups, kind)) = key {
                found.push(Found { range: run[at].start..run[at + groups - 1].end, kind });
                at += groups;
            } else {
                at += 1;
            }
        }
    }
}

/// Groups of ASCII letters and digits, in runs with nothing but short gaps between them.
fn runs_of(text: &str) -> Vec<Vec<Range<usize>>> {
    let mut runs: Vec<Vec<Range<usize>>> = vec![Vec::new()];
    let mut gap = 0;
    for (at, c) in text.char_indices() {
        let Some(run) = runs.last_mut() else { return runs };
        if c.is_ascii_alphanumeric() {
            match run.last_mut() {
                Some(group) if gap == 0 => group.end = at + 1,
                _ => run.push(at..at + 1),
            }
            gap = 0;
        } else {
            gap += 1;
            if (gap > LONGEST_GAP || is_letter(c) || c.is_numeric()) && !run.is_empty() {
                runs.push(Vec::new());
            }
        }
    }
    runs
}

/// How many of the groups, from the first, are a WIF, an extended key or a Solana key.
///
/// Groups are of one size but for the last, or few: so a text of many words is not tried at each of them.
fn base58_key(text: &str, groups: &[Range<usize>]) -> Option<usize> {
    let size = groups.first()?.len();
    let first = text.as_bytes()[groups[0].start];
    let mut key = String::new();
    for (count, group) in groups.iter().enumerate() {
        let piece = &text[group.clone()];
        let is_regular = piece.len() <= size && key.len() == count * size;
        if !(is_regular || count < FEW_GROUPS) || key.len() + piece.len() > LONGEST_KEY || !piece.bytes().all(is_base58)
        {
            return None;
        }
        key.push_str(piece);
        let is_key = count > 0
            && match key.len() {
                51 | 52 if matches!(first, b'5' | b'K' | b'L' | b'9' | b'c') => has_checksum(&key),
                111 if matches!(first, b't'..=b'z' | b'T'..=b'Z') => has_checksum(&key),
                86..=88 => is_solana_keypair(&key),
                _ => false,
            };
        if is_key {
            return Some(count + 1);
        }
    }
    None
}

fn is_base58(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() && !matches!(byte, b'0' | b'O' | b'I' | b'l')
}

fn has_checksum(key: &str) -> bool {
    base58(key).is_some_and(|bytes| checksum_of(&bytes))
}

/// How many of the groups, from the first, are hex of 32 bytes together (a few digits may be missing or too many).
fn hex_key(text: &str, groups: &[Range<usize>], mentions: &[Mention], source: Source) -> Option<(usize, SecretKind)> {
    let (mut digits, mut numerals, mut count) = (0, 0, 0);
    for group in groups {
        let piece = &text[group.clone()];
        let piece = if count == 0 { piece.trim_start_matches("0x") } else { piece };
        if digits + piece.len() > 68 || !piece.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            break;
        }
        digits += piece.len();
        numerals += piece.bytes().filter(u8::is_ascii_digit).count();
        count += 1;
    }
    if count < 2 || digits < 60 || numerals * 4 < digits || numerals == digits {
        return None;
    }
    let range = groups[0].start..groups[count - 1].end;
    if is_key_talk(mentions, &range).is_some() {
        return Some((count, SecretKind::PrivateKey));
    }
    let near_tx = distance(mentions, Subject::Transaction, range.start, range.end, TALK_BEFORE, TALK_AFTER).is_some();
    (source == Source::Person && !near_tx).then_some((count, SecretKind::Hex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::talk::mentions;

    /// A key that was wrapped or copied in groups went through whole.
    #[test]
    fn keys_in_pieces() {
        let wif = "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn";
        for (text, expect) in [
            (format!("it is {}\n  {} ok", &wif[..26], &wif[26..]), Some(SecretKind::PrivateKey)),
            (format!("{}·{}·{}", &wif[..10], &wif[10..20], &wif[20..]), Some(SecretKind::PrivateKey)),
            (
                wif.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" "),
                Some(SecretKind::PrivateKey),
            ),
            (format!("it is {}\n  {}x ok", &wif[..26], &wif[27..]), None),
            (format!("私钥 0x{} {}", "5f3a".repeat(8), "9c1d".repeat(8)), Some(SecretKind::PrivateKey)),
            (format!("{}·{}", "5f3a".repeat(8), "9c1d".repeat(8)), Some(SecretKind::Hex)),
            (format!("交易 {} {}", "5f3a".repeat(8), "9c1d".repeat(8)), None),
            ("KYC is done since 5 days and the card has not been sent".to_owned(), None),
        ] {
            let mut found = Vec::new();
            find(&text, &mentions(&text), Source::Person, &mut found);
            assert_eq!(found.first().map(|found| found.kind), expect, "{text}");
        }
    }
}
