//! WHICH PIECES OF A TEXT ARE SECRET? Every finder reports byte ranges; here overlaps are settled and masks written.

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
    PrivateKey,
    Keystore,
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
        SecretKind::PrivateKey,
        SecretKind::Keystore,
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

/// One secret: bytes `start..end` of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: SecretKind,
}

/// The text with every secret replaced.
pub(super) fn replace(text: &str, source: Source) -> String {
    let mut found = find(text, source);
    if found.is_empty() {
        return text.to_owned();
    }
    settle(&mut found);
    write_masks(text, &found)
}

fn find(_text: &str, _source: Source) -> Vec<Secret> {
    Vec::new()
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
    let digits: Vec<char> = text
        .trim_start_matches("0x")
        .chars()
        .filter_map(|c| unicode_normalization::char::compatibility_composed(c))
        .filter(char::is_ascii_hexdigit)
        .collect();
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
