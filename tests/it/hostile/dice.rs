//! Repeatable chance: message `number` of a run with `seed` is the same on every machine and in every thread.

use rand::{RngExt, SeedableRng, rngs::StdRng};

pub const DIGITS: &str = "0123456789";
pub const HEX: &str = "0123456789abcdef";
pub const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
pub const LETTERS_AND_DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

pub struct Dice(StdRng);

impl Dice {
    pub fn new(seed: u64, number: u64) -> Self {
        Dice(StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number))
    }

    /// A number in `0..end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// A number in `from..=to`.
    pub fn between(&mut self, from: usize, to: usize) -> usize {
        self.0.random_range(from..=to)
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability)
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.0.random()
    }

    /// `length` characters of an ASCII alphabet.
    pub fn string(&mut self, alphabet: &str, length: usize) -> String {
        (0..length).map(|_| char::from(self.pick(alphabet.as_bytes()))).collect()
    }

    /// Like [`Dice::string`], with at least one digit and one letter, so that it cannot be a word.
    pub fn token(&mut self, alphabet: &str, length: usize) -> String {
        loop {
            let token = self.string(alphabet, length);
            if token.contains(|c: char| c.is_ascii_digit()) && token.contains(|c: char| c.is_ascii_alphabetic()) {
                return token;
            }
        }
    }

    /// Fills each `#` of a pattern with a digit, the first of a run never with 0.
    pub fn digits(&mut self, pattern: &str) -> String {
        let mut text = String::new();
        for c in pattern.chars() {
            let after_a_digit = text.ends_with(|c: char| c.is_ascii_digit());
            text.push(match c {
                '#' if after_a_digit => self.pick(b"0123456789").into(),
                '#' => self.pick(b"123456789").into(),
                c => c,
            });
        }
        text
    }
}
