//! IS THIS STRING A KEY? Private keys in hex and base58, extended keys, keystores, tokens: by checksum, curve or shape where
//! there is one, by what the text talks about where there is none.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::{
    fold::Folded,
    grouped,
    identifiers::{self, is_solana_keypair},
    secrets::{Found, SecretKind, Source},
    talk::{Mention, Subject, distance},
};

/// How far, in bytes of folded text, a word about keys or transactions reaches: about a sentence ahead, a clause behind.
pub(super) const TALK_BEFORE: usize = 96;
pub(super) const TALK_AFTER: usize = 48;

/// Adds every key.
pub(super) fn find(folded: &Folded, mentions: &[Mention], source: Source, found: &mut Vec<Found>) {
    let text = folded.text.as_str();
    let strings = strings_of(text);
    hex_keys(text, &strings, mentions, source, found);
    grouped::find(text, mentions, source, found);
    for string in &strings {
        if let Some(kind) = kind_of(text, string, mentions) {
            found.push(Found { range: string.clone(), kind });
        }
    }
    if text.contains('{') {
        keystores(text, found);
    }
    if text.contains('[') {
        byte_arrays(text, found);
    }
    if text.contains("PRIVATE KEY") {
        found.extend(PEM.find_iter(text).map(|hit| Found { range: hit.range(), kind: SecretKind::PrivateKey }));
    }
    if has_long_run(text) {
        found.extend(TOKEN.find_iter(text).map(|hit| Found { range: hit.range(), kind: SecretKind::ApiKey }));
    }
    named_values(text, mentions, found);
}

/// Whether any run is long enough for a token: what the pattern costs is saved on most texts.
fn has_long_run(text: &str) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    text.as_bytes().split(|byte| !is_token(byte)).any(|run| run.len() >= 16)
}

static PEM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----.*?(-----END [A-Z ]*PRIVATE KEY( BLOCK)?-----|\z)")
});

/// Tokens that name themselves: JWT, and the prefixes of well-known services.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"eyJ[A-Za-z0-9_-]{8,}\s?\.\s?[A-Za-z0-9_-]{8,}(\s?\.\s?[A-Za-z0-9_-]*)?|\b(sk|pk|rk)[-_](live|test|proj|ant|or)?[-_]?[A-Za-z0-9_-]{16,}|\b(AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAIza[A-Za-z0-9_-]{30,}|\bpypi-[A-Za-z0-9_-]{16,}|\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{30,}|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|\b[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}|\b(ya29|1//)[A-Za-z0-9._-]{20,}|\bwhsec_[A-Za-z0-9]{16,}|\b(dop|shpat|shpss)_[A-Za-z0-9_]{16,}",
    )
});

/// Word boundaries are ASCII ones: with Unicode's, the engine falls back to its slowest way on any Chinese text.
pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(&text.replace(r"\b", r"(?-u:\b)")).expect("a pattern written here is valid; failing to build is a bug")
}

/// A key may be without digits, and a word may have twenty letters; nobody writes one of this length.
const LONGER_THAN_WORDS: usize = 40;

/// Runs of ASCII letters and digits, from 20 characters on, with the shape of a string rather than a word.
fn strings_of(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut strings = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let mut digits = 0;
        while at < bytes.len() && bytes[at].is_ascii_alphanumeric() {
            digits += usize::from(bytes[at].is_ascii_digit());
            at += 1;
        }
        if (at - start >= 20 && digits > 0) || at - start >= LONGER_THAN_WORDS {
            strings.push(start..at);
        }
        at += usize::from(at == start);
    }
    strings
}

pub(super) fn is_key_talk(mentions: &[Mention], range: &Range<usize>) -> Option<usize> {
    let near = |subject| distance(mentions, subject, range.start, range.end, TALK_BEFORE, TALK_AFTER);
    near(Subject::Key).into_iter().chain(near(Subject::Seed)).min()
}

/// Hex of a key's length, in one piece or in groups.
fn hex_keys(text: &str, strings: &[Range<usize>], mentions: &[Mention], source: Source, found: &mut Vec<Found>) {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for string in strings {
        let bytes = text[string.clone()].as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let start = at;
            while at < bytes.len() && bytes[at].is_ascii_hexdigit() {
                at += 1;
            }
            if at - start >= 32 {
                pieces.push(string.start + start..string.start + at);
            }
            at += usize::from(at == start);
        }
    }
    for piece in pieces {
        let digits = piece.len();
        let key_talk = is_key_talk(mentions, &piece);
        let in_link = is_in_transaction_link(text, piece.start);
        let near_tx = distance(mentions, Subject::Transaction, piece.start, piece.end, TALK_BEFORE, TALK_AFTER);
        // 66 and 130 digits that begin with the mark of a public key are one.
        let is_public = matches!(digits, 66 if text[piece.clone()].starts_with("02") || text[piece.clone()].starts_with("03"))
            || (digits == 130 && text[piece.clone()].starts_with("04"));
        let kind = match (digits, key_talk) {
            (40, _) => None,
            _ if is_public => None,
            _ if in_link => None,
            (56..=70 | 128, Some(gap)) => match near_tx {
                Some(tx) if tx < gap && gap > 12 => Some(SecretKind::Hex),
                _ => Some(SecretKind::PrivateKey),
            },
            (32..=55, Some(gap)) if gap <= 24 => Some(SecretKind::PrivateKey),
            (71.., Some(gap)) if gap <= 24 && near_tx.is_none() => Some(SecretKind::PrivateKey),
            (56..=70 | 128, None) if near_tx.is_none() && source == Source::Person => Some(SecretKind::Hex),
            _ => None,
        };
        if let Some(kind) = kind {
            let start = if text[..piece.start].ends_with("0x") || text[..piece.start].ends_with("0X") {
                piece.start - 2
            } else {
                piece.start
            };
            found.push(Found { range: start..piece.end, kind });
        }
    }
}

fn is_in_transaction_link(text: &str, start: usize) -> bool {
    let before = &text[..start];
    let word = before.rfind(char::is_whitespace).map_or(before, |at| &before[at..]);
    ["/tx/", "/transaction/", "/transactions/", "/#/transaction/", "txhash=", "txid=", "/block/", "/hash/"]
        .iter()
        .any(|mark| word.to_ascii_lowercase().contains(mark))
}

/// What one long string is by itself, hex aside.
fn kind_of(text: &str, range: &Range<usize>, mentions: &[Mention]) -> Option<SecretKind> {
    let string = &text[range.clone()];
    let length = string.len();
    let key = Some(SecretKind::PrivateKey);
    let has = |test: fn(&u8) -> bool| string.bytes().any(|byte| test(&byte));
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    if string.bytes().all(|byte| byte.is_ascii_hexdigit()) || string.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let first = string.as_bytes()[0];
    // By shape, so that one wrong character does not save a key: nothing public looks like these.
    let extended =
        ["xprv", "yprv", "zprv", "tprv", "uprv", "vprv", "Yprv", "Zprv", "Uprv", "Vprv", "dgpv", "Ltpv", "Mtpv"];
    if length >= 40 && extended.iter().any(|prefix| string.starts_with(prefix)) {
        return key;
    }
    if (49..=54).contains(&length)
        && mixed
        && matches!(first, b'5' | b'K' | b'L' | b'9' | b'c' | b'T' | b'6' | b'Q' | b'7' | b'p')
    {
        return key;
    }
    if length == 58 && string.starts_with("6P") {
        return key;
    }
    let low = string.to_ascii_lowercase();
    if ["suiprivkey1", "nsec1", "edsk"].iter().any(|prefix| low.starts_with(prefix)) && length >= 50 {
        return key;
    }
    if length == 56 && first == b'S' && string.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')) {
        return key;
    }
    if (28..=31).contains(&length) && first == b's' && mixed && is_ripple_seed(string) {
        return key;
    }
    if (80..=90).contains(&length) && mixed {
        let talk = is_key_talk(mentions, range);
        return (is_solana_keypair(string) || talk.is_some_and(|gap| gap <= 24)).then_some(SecretKind::PrivateKey);
    }
    let just_before = |subject, reach| distance(mentions, subject, range.start, range.end, reach, 0);
    let is_address = identifiers::address_chain(string).is_some();
    // "API key:" names a key too; the longer name wins.
    let (api, named_key) = (just_before(Subject::Api, 24), just_before(Subject::Key, 16));
    let is_api = api.is_some_and(|api| named_key.is_none_or(|key| api <= key + 1));
    if named_key.is_some() && !is_api && (mixed || length >= 32) {
        // A bare 32-byte string is a Solana address and a Solana seed alike; right after "private key" it is a seed.
        let is_certain_address = is_address && identifiers::address_chain(string) != Some(identifiers::Chain::Solana);
        return (!is_certain_address).then_some(SecretKind::PrivateKey);
    }
    if is_api && !is_address {
        return Some(SecretKind::ApiKey);
    }
    None
}

fn is_ripple_seed(string: &str) -> bool {
    let decoded = bs58::decode(string).with_alphabet(bs58::Alphabet::RIPPLE).into_vec();
    decoded.is_ok_and(|bytes| bytes.len() > 16 && identifiers::checksum_of(&bytes))
}

/// A keystore's object whole, from its first brace to its last; and secrets in any other JSON by the name of the field.
fn keystores(text: &str, found: &mut Vec<Found>) {
    static MARK: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#"(?i)"?(ciphertext|cipherparams|kdfparams|cipher)\\?"?\s*:"#));
    static FIELD: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r#"(?i)\\?"(private_?key|secret_?key|priv_?key|mnemonic|seed|seed_?phrase|ciphertext|mac|salt|iv|xprv)\\?"\s*:\s*\\?"([^"\\]{4,})"#,
        )
    });
    let marks: Vec<Range<usize>> = MARK.find_iter(text).map(|hit| hit.range()).collect();
    if let (Some(first), Some(last)) = (marks.first(), marks.last()) {
        let start = text[..first.start].find('{').unwrap_or(first.start);
        let mut depth = 0i32;
        let mut end = text.len();
        for (at, byte) in text.bytes().enumerate().skip(start) {
            depth += i32::from(byte == b'{') - i32::from(byte == b'}');
            if depth <= 0 && at >= last.end {
                end = at + 1;
                break;
            }
        }
        found.push(Found { range: start..end, kind: SecretKind::Keystore });
    }
    for hit in FIELD.captures_iter(text) {
        if let Some(value) = hit.get(2) {
            found.push(Found { range: value.range(), kind: SecretKind::PrivateKey });
        }
    }
}

/// `[12,250,…]`: a key as its bytes, the way Solana's tools write it.
fn byte_arrays(text: &str, found: &mut Vec<Found>) {
    static ARRAY: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[\s*(?:[0-9]{1,3}\s*,\s*){15,}[0-9]{1,3}\s*,?\s*\]?"));
    for hit in ARRAY.find_iter(text) {
        let numbers = hit.as_str().split(',').filter(|part| part.bytes().any(|byte| byte.is_ascii_digit())).count();
        if matches!(numbers, 31..=33 | 63..=65) {
            found.push(Found { range: hit.range(), kind: SecretKind::PrivateKey });
        }
    }
}

/// `API_KEY=…`, `secret: …`: a value right after a name that says so.
fn named_values(text: &str, mentions: &[Mention], found: &mut Vec<Found>) {
    for mention in mentions.iter().filter(|mention| matches!(mention.subject, Subject::Api | Subject::Key)) {
        let after = &text[mention.end..];
        let value_at =
            after.len() - after.trim_start_matches([' ', ':', '=', '"', '\'', '\u{662f}', '\u{4e3a}', '`', '\n']).len();
        if value_at == 0 {
            continue;
        }
        let value = &after[value_at..];
        let length = value.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_./+=".contains(byte)).count();
        let value = value[..length].trim_end_matches('.');
        let digits = value.bytes().filter(u8::is_ascii_digit).count();
        let is_link = value.contains("//") || value.starts_with("www.");
        // What follows "token" may be the token's own address; what follows "private key" in Solana's shape is a seed.
        let is_api = mention.subject == Subject::Api;
        let is_address =
            identifiers::address_chain(value).is_some_and(|chain| is_api || chain != identifiers::Chain::Solana);
        let is_hex = value.trim_start_matches("0x").bytes().all(|byte| byte.is_ascii_hexdigit());
        if value.len() >= 16 && digits >= 2 && !is_link && !is_address && !(is_hex && value.len() >= 56) {
            let start = mention.end + value_at;
            let is_api = is_api || distance(mentions, Subject::Api, mention.end, mention.end, 2, 0).is_some();
            let kind = if is_api { SecretKind::ApiKey } else { SecretKind::PrivateKey };
            found.push(Found { range: start..start + value.len(), kind });
        }
    }
}
