//! Addresses and keys as their chains write them, checksums included.

use curve25519_dalek::edwards::EdwardsPoint;
use sha2::{Digest, Sha256, Sha512};

pub fn base58(bytes: &[u8]) -> String {
    bs58::encode(bytes).into_string()
}

/// Base58 with the first four bytes of a double SHA-256 behind the payload.
pub fn base58_check(payload: &[u8]) -> String {
    let checksum = Sha256::digest(Sha256::digest(payload));
    base58(&[payload, &checksum[..4]].concat())
}

/// A Solana key pair as wallets export it: the seed, then the public key of that seed.
/// Source: RFC 8032, section 5.1.5.
pub fn solana_secret(seed: [u8; 32]) -> [u8; 64] {
    let hash = Sha512::digest(seed);
    let scalar: [u8; 32] = std::array::from_fn(|at| hash[at]);
    let public = EdwardsPoint::mul_base_clamped(scalar).compress().to_bytes();
    std::array::from_fn(|at| if at < 32 { seed[at] } else { public[at - 32] })
}

/// An EVM address with its checksum in the letters' case.
/// Source: <https://eips.ethereum.org/EIPS/eip-55>.
pub fn eip55(address: [u8; 20]) -> String {
    let plain = hex::encode(address);
    let hash = hex::encode(keccak256(plain.as_bytes()));
    let cased =
        plain.chars().zip(hash.chars()).map(|(c, nibble)| if nibble >= '8' { c.to_ascii_uppercase() } else { c });
    format!("0x{}", cased.collect::<String>())
}

/// A segregated-witness address of Bitcoin: bech32 for version 0, bech32m for later ones.
/// Source: BIP-173 and BIP-350.
pub fn segwit(version: u8, program: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const PREFIX: [u8; 5] = [3, 3, 0, 2, 3]; // "bc", expanded.
    let mut data = vec![version];
    data.extend(five_bits(program));
    let constant = if version == 0 { 1 } else { 0x2bc8_30a3 };
    let checked = [&PREFIX[..], &data, &[0; 6]].concat();
    let checksum = bech32_polymod(&checked) ^ constant;
    data.extend((0..6).map(|at| (checksum >> (5 * (5 - at)) & 31) as u8));
    let written: String = data.iter().map(|value| char::from(ALPHABET[usize::from(*value)])).collect();
    format!("bc1{written}")
}

fn five_bits(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).map(move |at| byte >> (7 - at) & 1)).collect();
    bits.chunks(5).map(|bits| bits.iter().fold(0, |value, bit| value << 1 | bit) << (5 - bits.len())).collect()
}

fn bech32_polymod(values: &[u8]) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.iter().fold(1, |checksum, value| {
        let shifted = (checksum & 0x01ff_ffff) << 5 ^ u32::from(*value);
        (0..5).filter(|at| checksum >> (25 + at) & 1 == 1).fold(shifted, |sum, at| sum ^ GENERATOR[at])
    })
}

/// Keccak-256 as Ethereum uses it (padding byte 0x01) of fewer than 136 bytes.
/// Source: <https://keccak.team/keccak_specs_summary.html>.
fn keccak256(message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 136];
    block[..message.len()].copy_from_slice(message);
    block[message.len()] = 1;
    block[135] |= 0x80;
    let mut state = [0u64; 25];
    for (lane, bytes) in state.iter_mut().zip(block.chunks_exact(8)) {
        *lane = u64::from_le_bytes(std::array::from_fn(|at| bytes[at]));
    }
    keccak_f(&mut state);
    std::array::from_fn(|at| state[at / 8].to_le_bytes()[at % 8])
}

fn keccak_f(state: &mut [u64; 25]) {
    let mut register = 1u8;
    for _ in 0..24 {
        let columns: [u64; 5] = std::array::from_fn(|x| (0..5).fold(0, |sum, y| sum ^ state[x + 5 * y]));
        for (at, lane) in state.iter_mut().enumerate() {
            *lane ^= columns[(at + 4) % 5] ^ columns[(at + 1) % 5].rotate_left(1);
        }
        rotate_and_move(state);
        for row in state.chunks_exact_mut(5) {
            let before: [u64; 5] = std::array::from_fn(|x| row[x]);
            for x in 0..5 {
                row[x] = before[x] ^ (!before[(x + 1) % 5] & before[(x + 2) % 5]);
            }
        }
        state[0] ^= round_constant(&mut register);
    }
}

/// The steps rho and pi.
fn rotate_and_move(state: &mut [u64; 25]) {
    let (mut x, mut y, mut moved) = (1, 0, state[1]);
    for step in 0..24u32 {
        (x, y) = (y, (2 * x + 3 * y) % 5);
        let rotation = (step + 1) * (step + 2) / 2 % 64;
        moved = std::mem::replace(&mut state[x + 5 * y], moved.rotate_left(rotation));
    }
}

/// The step iota's next constant, from its shift register.
fn round_constant(register: &mut u8) -> u64 {
    (0..7).fold(0, |constant, at| {
        let bit = u64::from(*register & 1) << ((1u32 << at) - 1);
        let carry = *register & 0x80 != 0;
        *register = *register << 1 ^ if carry { 0x71 } else { 0 };
        constant | bit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of RFC 8032, EIP-55, BIP-173 and BIP-350.
    #[test]
    fn encodings_agree_with_their_standards() {
        let seed: [u8; 32] = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(hex::encode(&solana_secret(seed)[32..]), public);
        let address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        assert_eq!(eip55(bytes(&address.to_lowercase()[2..])), address);
        let program: [u8; 20] = bytes("751e76e8199196d454941c45d1b3a323f1433bd6");
        assert_eq!(segwit(0, &program), "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4");
        let program: [u8; 32] = bytes("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
        assert_eq!(segwit(1, &program), "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0");
    }

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }
}
