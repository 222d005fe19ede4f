//! WHICH PIECES OF A TEXT ARE SECRET? Every finder reports byte ranges; here overlaps are settled and masks written.

use std::ops::Range;

use super::{
    encoded,
    fold::Folded,
    keys, numbers, repeats, seed_han, seed_phrase,
    talk::{self, Mention},
    told,
};

/// Who wrote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A customer or an agent: everything is masked, contact data too.
    Person,
    /// An approved document: contacts and bare hashes are meant to be read.
    Document,
}

/// What sort of secret a mask stands for. The order settles overlaps: the earlier kind names the joint mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum SecretKind {
    SeedPhrase,
    Keystore,
    PrivateKey,
    ApiKey,
    CardNumber,
    IdNumber,
    Cvv,
    Password,
    Code,
    Email,
    Phone,
    Hex,
}

impl SecretKind {
    pub(super) const ALL: [SecretKind; 12] = [
        SecretKind::SeedPhrase,
        SecretKind::Keystore,
        SecretKind::PrivateKey,
        SecretKind::ApiKey,
        SecretKind::CardNumber,
        SecretKind::IdNumber,
        SecretKind::Cvv,
        SecretKind::Password,
        SecretKind::Code,
        SecretKind::Email,
        SecretKind::Phone,
        SecretKind::Hex,
    ];

    /// The name inside the mask.
    pub(super) fn name(self) -> &'static str {
        match self {
            SecretKind::SeedPhrase => "seed phrase",
            SecretKind::PrivateKey => "private key",
            SecretKind::Keystore => "keystore",
            SecretKind::ApiKey => "API key",
            SecretKind::CardNumber => "card number",
            SecretKind::IdNumber => "ID number",
            SecretKind::Cvv => "CVV",
            SecretKind::Password => "password",
            SecretKind::Code => "one-time code",
            SecretKind::Email => "email",
            SecretKind::Phone => "phone",
            SecretKind::Hex => "hash or key",
        }
    }
}

/// One secret: bytes of the folded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) range: Range<usize>,
    pub(super) kind: SecretKind,
}

/// The text with every secret replaced. Masks that already stand in it stay as they are.
pub(super) fn replace(text: &str, source: Source) -> String {
    replace_all(text, source, &[], |_, _| {})
}

/// The same with the seed phrases at `phrases` (bytes of the text), which no finder sees by itself; `told` hears of every
/// secret that gets a mask of its own.
pub(super) fn replace_all(
    text: &str,
    source: Source,
    phrases: &[Range<usize>],
    mut told: impl FnMut(SecretKind, &str),
) -> String {
    let masks = masks_in(text);
    let mut secrets = phrases_at(phrases);
    let mut at = 0;
    for end in masks.iter().map(|(_, _, range)| range.start).chain(std::iter::once(text.len())) {
        find(&text[at..end], source, |start, end, kind| {
            secrets.push(Secret { start: at + start, end: at + end, kind })
        });
        at = masks.iter().find(|(_, _, range)| range.start == end).map_or(text.len(), |(_, _, range)| range.end);
    }
    if secrets.is_empty() {
        return text.to_owned();
    }
    settle(&mut secrets);
    for secret in &secrets {
        told(secret.kind, &text[secret.start..secret.end]);
    }
    write_masks(text, &secrets)
}

/// What was replaced: bytes of the text, and bytes of its mask in the new text.
pub(super) type Replaced = (Range<usize>, Range<usize>);

/// The text with masks for the seed phrases at these bytes and nothing else.
pub(super) fn replace_phrases(text: &str, phrases: &[Range<usize>]) -> (String, Vec<Replaced>) {
    let mut secrets = phrases_at(phrases);
    settle(&mut secrets);
    let masked = write_masks(text, &secrets);
    let mut moved = Vec::with_capacity(secrets.len());
    let mut shift = 0isize;
    for secret in &secrets {
        let start = secret.start.wrapping_add_signed(shift);
        let end = start + masked[start..].find(']').map_or(0, |at| at + 1);
        moved.push((secret.start..secret.end, start..end));
        shift = end as isize - secret.end as isize;
    }
    (masked, moved)
}

fn phrases_at(ranges: &[Range<usize>]) -> Vec<Secret> {
    let secret = |range: &Range<usize>| Secret { start: range.start, end: range.end, kind: SecretKind::SeedPhrase };
    ranges.iter().map(secret).collect()
}

/// Reports every secret by its bytes in the original.
fn find(text: &str, source: Source, mut report: impl FnMut(usize, usize, SecretKind)) {
    if text.len() < 3 {
        return;
    }
    let folded = Folded::new(text);
    let mentions = talk::mentions(&folded.text);
    let mut found = phrases(&folded, &mentions);
    keys::find(&folded, &mentions, source, &mut found);
    if folded.text.bytes().any(|byte| byte.is_ascii_digit()) {
        numbers::find(&folded.text, &mentions, source, &mut found);
    }
    told::find(&folded.text, &mentions, source, &mut found);
    found.extend(in_code(&folded.text, source));
    for Found { range, kind } in found {
        let (start, end) = folded.original(range.start, range.end);
        if start < end {
            report(start, end, kind);
        }
    }
}

fn phrases(folded: &Folded, mentions: &[Mention]) -> Vec<Found> {
    let separators = repeats::separators_in(&folded.text);
    let mut phrases = Vec::new();
    seed_phrase::find(folded, &separators, mentions, &mut phrases);
    if !folded.text.is_ascii() {
        seed_han::find(folded, &separators, mentions, &mut phrases);
    }
    phrases.into_iter().map(|range| Found { range, kind: SecretKind::SeedPhrase }).collect()
}

/// Each run of base64 that holds a secret is that secret. Decoded text is not decoded again: a run of a run would be too
/// long to be typed.
fn in_code(folded: &str, source: Source) -> Vec<Found> {
    let secret_in = |text: &str| {
        let mut kinds = Vec::new();
        find(text, source, |_, _, kind| kinds.push(kind));
        kinds.into_iter().min()
    };
    let texts = encoded::texts_in(folded).into_iter();
    texts.filter_map(|(range, text)| Some(Found { range, kind: secret_in(&text)? })).collect()
}

/// One secret in the original text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Secret {
    start: usize,
    end: usize,
    kind: SecretKind,
}

/// Sorts, and joins what overlaps into one secret of the graver kind.
fn settle(found: &mut Vec<Secret>) {
    found.sort_by_key(|secret| (secret.start, secret.kind));
    let mut kept: Vec<Secret> = Vec::with_capacity(found.len());
    for secret in found.drain(..) {
        match kept.last_mut() {
            Some(last) if secret.start < last.end => {
                last.end = last.end.max(secret.end);
                last.kind = last.kind.min(secret.kind);
            }
            _ => kept.push(secret),
        }
    }
    *found = kept;
}

/// Numbers go on from the masks that the text already holds, so masking twice changes nothing and repeats no number.
fn write_masks(text: &str, found: &[Secret]) -> String {
    let mut next = [1usize; SecretKind::ALL.len()];
    for (kind, number, _) in masks_in(text) {
        next[kind as usize] = next[kind as usize].max(number.saturating_add(1));
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for secret in found {
        out.push_str(&text[at..secret.start]);
        let number = next[secret.kind as usize];
        next[secret.kind as usize] += 1;
        let name = secret.kind.name();
        if secret.kind == SecretKind::Hex {
            let (first, last) = ends_of_hex(&text[secret.start..secret.end]);
            out.push_str(&format!("[{name} {number}: {first}…{last}]"));
        } else {
            out.push_str(&format!("[{name} {number}]"));
        }
        at = secret.end;
    }
    out.push_str(&text[at..]);
    out
}

/// First six and last four digits, enough to look a transaction up together with its owner and too few to be a key.
fn ends_of_hex(text: &str) -> (String, String) {
    let folded = Folded::new(text).text;
    let digits: Vec<char> = folded.trim_start_matches("0x").chars().filter(char::is_ascii_hexdigit).collect();
    (digits.iter().take(6).collect(), digits[digits.len().saturating_sub(4)..].iter().collect())
}

/// The masks that stand in a text: kind, number, byte range.
pub(super) fn masks_in(text: &str) -> Vec<(SecretKind, usize, std::ops::Range<usize>)> {
    let mut masks = Vec::new();
    let mut from = 0;
    while let Some(open) = text[from..].find('[').map(|at| from + at) {
        from = open + 1;
        let inner = &text[from..];
        let Some(kind) = SecretKind::ALL.into_iter().find(|kind| inner.starts_with(kind.name())) else { continue };
        let rest = &inner[kind.name().len()..];
        let Some(number) = rest.strip_prefix(' ') else { continue };
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        let Ok(value) = number[..digits].parse::<usize>() else { continue };
        let tail = &number[digits..];
        let after = match kind {
            SecretKind::Hex => {
                tail.strip_prefix(": ").and_then(|ends| ends.find(']').filter(|at| *at <= 13)).map(|at| at + 3)
            }
            _ => tail.starts_with(']').then_some(1),
        };
        let Some(after) = after else { continue };
        let end = from + kind.name().len() + 1 + digits + after;
        masks.push((kind, value, open..end));
        from = end;
    }
    masks
}
