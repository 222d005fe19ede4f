//! WHICH PUBLIC IDENTIFIERS STAND IN A TEXT? Addresses, transaction hashes, order numbers: an agent needs them, so they
//! are never masked, and the case lists them.

use std::sync::LazyLock;

use curve25519_dalek::{constants::ED25519_BASEPOINT_TABLE, scalar::Scalar, scalar::clamp_integer};
use regex::Regex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};

use crate::words::Span;

/// A chain, as far as an address tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chain {
    /// Ethereum and every network with its addresses.
    Evm,
    /// Bitcoin.
    Bitcoin,
    /// TRON.
    Tron,
    /// Solana.
    Solana,
}

/// What an identifier names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum IdentifierKind {
    /// A transaction.
    TxHash,
    /// An account or contract.
    Address {
        /// Where it lives.
        chain: Chain,
    },
    /// An order, ticket or transfer number of a company.
    Order,
}

/// One identifier in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identifier {
    /// What it names.
    pub kind: IdentifierKind,
    /// Where it stands, in code points.
    pub span: Span,
}

/// The identifiers of a text, in order, without overlaps. Meant for masked text: a 32-byte hex that is still whole there
/// is a transaction hash.
pub fn find(text: &str) -> Vec<Identifier> {
    let mut found: Vec<(IdentifierKind, std::ops::Range<usize>)> = Vec::new();
    for hit in STRING.find_iter(text) {
        if let Some(kind) = kind_of(hit.as_str()) {
            found.push((kind, hit.range()));
        }
    }
    for hit in ORDER.captures_iter(text) {
        let Some(number) = hit.get(1) else { continue };
        let digits = number.as_str().bytes().filter(u8::is_ascii_digit).count();
        let is_free = found.iter().all(|(_, range)| number.end() <= range.start || range.end <= number.start());
        if digits >= 4 && is_free {
            found.push((IdentifierKind::Order, number.range()));
        }
    }
    found.sort_by_key(|(_, range)| range.start);
    let (mut byte, mut point) = (0, 0);
    let mut points = |to: usize| {
        point += text[byte..to].chars().count();
        byte = to;
        point
    };
    found
        .into_iter()
        .map(|(kind, range)| Identifier { kind, span: Span { start: points(range.start), end: points(range.end) } })
        .collect()
}

static STRING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[A-Za-z0-9]{25,130}").expect("a pattern written here is valid; failing to build is a bug")
});

static ORDER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)(?:订单号?码?|訂單號?碼?|单号|單號|流水号|工单号?|编号|order|ticket|reference|\bref|case|invoice)(?:\s*(?:编号|号码|id|no\.?|number|num|#))?\s*(?:是|为|is)?\s*[:：#＃]?\s*([A-Za-z0-9][A-Za-z0-9_-]{4,39})",
    )
    .expect("a pattern written here is valid; failing to build is a bug")
});

fn kind_of(string: &str) -> Option<IdentifierKind> {
    if let Some(chain) = address_chain(string) {
        return Some(IdentifierKind::Address { chain });
    }
    let digits = string.strip_prefix("0x").unwrap_or(string);
    let is_hash = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_signature = (86..=88).contains(&string.len()) && base58(string).is_some_and(|bytes| bytes.len() == 64);
    (is_hash || is_signature).then_some(IdentifierKind::TxHash)
}

/// The chain of an address, by its checksum; an EVM address without upper and lower case has none, and a Solana address
/// never has one, so it needs 32 bytes and mixed case.
pub(super) fn address_chain(string: &str) -> Option<Chain> {
    let bytes = string.as_bytes();
    if bytes.len() == 42 && string.starts_with("0x") && bytes[2..].iter().all(u8::is_ascii_hexdigit) {
        return Some(Chain::Evm);
    }
    let low = string.to_ascii_lowercase();
    if (low.starts_with("bc1") || low.starts_with("tb1")) && bytes.len() >= 26 {
        return is_bech32(&low).then_some(Chain::Bitcoin);
    }
    if !(26..=44).contains(&bytes.len()) {
        return None;
    }
    let decoded = base58(string)?;
    if decoded.len() == 25 && checksum_of(&decoded) {
        return match decoded[0] {
            0x41 => Some(Chain::Tron),
            0x00 | 0x05 | 0x6f | 0xc4 => Some(Chain::Bitcoin),
            _ => None,
        };
    }
    let mixed = bytes.iter().any(u8::is_ascii_uppercase) && bytes.iter().any(u8::is_ascii_lowercase);
    (decoded.len() == 32 && mixed && bytes.iter().any(u8::is_ascii_digit)).then_some(Chain::Solana)
}

pub(super) fn base58(string: &str) -> Option<Vec<u8>> {
    bs58::decode(string).into_vec().ok()
}

/// Whether the last four bytes are the double SHA-256 of the others.
pub(super) fn checksum_of(bytes: &[u8]) -> bool {
    let Some(body) = bytes.len().checked_sub(4) else { return false };
    Sha256::digest(Sha256::digest(&bytes[..body]))[..4] == bytes[body..]
}

/// BIP-173 and BIP-350: the checksum over the expanded prefix and the data is 1 or the constant of bech32m.
fn is_bech32(low: &str) -> bool {
    const DIGITS: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATORS: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let Some((prefix, data)) = low.split_at_checked(2).map(|(prefix, rest)| (prefix, &rest[1..])) else { return false };
    let mut check = 1u32;
    let mut add = |value: u32| {
        let top = check >> 25;
        check = (check & 0x1ff_ffff) << 5 ^ value;
        for (bit, generator) in GENERATORS.iter().enumerate() {
            if top >> bit & 1 == 1 {
                check ^= generator;
            }
        }
    };
    prefix.bytes().for_each(|byte| add(u32::from(byte) >> 5));
    add(0);
    prefix.bytes().for_each(|byte| add(u32::from(byte) & 31));
    for byte in data.bytes() {
        let Some(value) = DIGITS.iter().position(|digit| *digit == byte) else { return false };
        add(value as u32);
    }
    check == 1 || check == 0x2bc8_30a3
}

/// Whether 64 bytes in base58 are a Solana key: then the last half is the public key of the first. A signature is not.
pub(super) fn is_solana_keypair(string: &str) -> bool {
    let Some(bytes) = base58(string).filter(|bytes| bytes.len() == 64) else { return false };
    let digest = Sha512::digest(&bytes[..32]);
    let mut secret = [0u8; 32];
    secret.copy_from_slice(&digest[..32]);
    let public = ED25519_BASEPOINT_TABLE * &Scalar::from_bytes_mod_order(clamp_integer(secret));
    public.compress().as_bytes()[..] == bytes[32..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(IdentifierKind, &str)> {
        find(text).into_iter().map(|found| (found.kind, found.span.of(text))).collect()
    }

    #[test]
    fn addresses_hashes_and_orders() {
        let evm = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let hash = "0x88df016429689c079f3b2f6ad39fa052532c56795b733da78a91ebe6a713944b";
        let text = format!("地址是{evm}，哈希 {hash}，订单号：20240312A778");
        let address = |chain| IdentifierKind::Address { chain };
        assert_eq!(
            kinds(&text),
            [(address(Chain::Evm), evm), (IdentifierKind::TxHash, hash), (IdentifierKind::Order, "20240312A778")]
        );
        for (chain, string) in [
            (Chain::Tron, "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
            (Chain::Bitcoin, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
            (Chain::Bitcoin, "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"),
            (Chain::Bitcoin, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
            (Chain::Bitcoin, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"),
            (Chain::Solana, "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"),
        ] {
            assert_eq!(kinds(string), [(address(chain), string)]);
        }
        assert_eq!(kinds("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6u"), []);
        assert_eq!(kinds("order history is empty"), []);
    }

    #[test]
    fn a_solana_key_is_not_a_signature() {
        let secret = [7u8; 32];
        let digest = Sha512::digest(secret);
        let mut clamped = [0u8; 32];
        clamped.copy_from_slice(&digest[..32]);
        let public = ED25519_BASEPOINT_TABLE * &Scalar::from_bytes_mod_order(clamp_integer(clamped));
        let key = bs58::encode([secret, public.compress().to_bytes()].concat()).into_string();
        assert!(is_solana_keypair(&key));
        assert!(!is_solana_keypair(&bs58::encode([9u8; 64]).into_string()));
    }
}
