//! Words that speak for or against danger, whatever else is said: a sign is found or it is not. Pure.
//!
//! The vector of a short message carries its topic well and its direction badly ("I lost my seed" and "what is a
//! seed" lie close together). The signs are kept in `prompts/guard/signs.json`: for each one, a pattern per language.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::RegexSet;
use serde::Deserialize;

/// The signs' file, also part of the key under which a fit is kept.
pub(super) const FILE: &str = include_str!("../../../prompts/guard/signs.json");

#[derive(Deserialize)]
struct Signs {
    signs: BTreeMap<String, Vec<String>>,
}

/// Every pattern of every sign, and which sign each one belongs to.
struct Patterns {
    set: RegexSet,
    owner: Vec<u32>,
    count: u32,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let signs: Signs = serde_json::from_str(FILE).expect("prompts/guard/signs.json parses; this is a bug");
    let owned = (0..).zip(signs.signs.values()).flat_map(|(sign, patterns)| patterns.iter().map(move |of| (sign, of)));
    let (owner, patterns): (Vec<u32>, Vec<&String>) = owned.unzip();
    let set = RegexSet::new(patterns).expect("constant patterns; this is a bug");
    Patterns { set, owner, count: signs.signs.len() as u32 }
});

/// How many signs there are.
pub(super) fn count() -> u32 {
    PATTERNS.count
}

/// The signs found in a folded text, by their place in the alphabet, each once.
pub(super) fn found(folded: &str) -> Vec<u32> {
    let patterns = &*PATTERNS;
    let mut found: Vec<u32> = patterns.set.matches(folded).into_iter().map(|at| patterns.owner[at]).collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let signs: Signs = serde_json::from_str(FILE).unwrap();
        let names: Vec<String> = signs.signs.into_keys().collect();
        found(&crate::index::keywords::folded(text)).into_iter().map(|at| names[at as usize].clone()).collect()
    }

    #[test]
    fn signs_are_found_in_either_language_and_script() {
        for (text, sign) in [
            ("我把助记词发给客服了", "secret"),
            ("我把助記詞發給客服了", "shown"),
            ("I pasted my Seed Phrase into a site", "secret"),
            ("这笔不是我操作的", "not_me"),
            ("i DIDN’T make this payment", "not_me"),
            ("我要去法院告你们", "authority"),
            ("my lawyer will call you", "authority"),
            ("mugged on the train", "stolen"),
            ("不想活了", "despair"),
        ] {
            assert!(names(text).contains(&sign.to_owned()), "{text}: {:?}", names(text));
        }
    }

    #[test]
    fn plain_words_hold_no_grave_sign() {
        for text in ["提现手续费多少", "how long does a withdrawal take", "hello"] {
            let names = names(text);
            for grave in ["despair", "violence", "stolen", "scam", "authority", "secret"] {
                assert!(!names.contains(&grave.to_owned()), "{text}: {names:?}");
            }
        }
    }

    #[test]
    fn each_sign_counts_once() {
        let found = found("seed phrase 助记词 my seed");
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
        assert!(found.iter().all(|at| *at < count()));
    }
}
