//! Which documents say the same thing twice, or not the same thing in both languages? Pure; a maintainer's warning.

use std::collections::{BTreeMap, BTreeSet};

use super::chunk::plain;
use crate::words::{Document, Lang};

/// Bodies that share this part of their character trigrams are near-duplicates: retrieval cannot tell them apart.
pub const NEAR_DUPLICATE: f64 = 0.6;

/// Two documents of one language whose bodies are nearly the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlap {
    /// Their language.
    pub lang: Lang,
    /// The id of the earlier one.
    pub first: String,
    /// The id of the later one.
    pub second: String,
    /// The part of their character trigrams that they share, in [0, 1].
    pub jaccard: f64,
}

/// A document whose two languages state different numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumbersDiffer {
    /// The document.
    pub id: String,
    /// Numbers that only the Chinese text has.
    pub only_zh: Vec<String>,
    /// Numbers that only the English text has.
    pub only_en: Vec<String>,
}

/// Every pair of documents of one language whose bodies share at least `least` of their character trigrams.
pub fn overlaps(documents: &[Document], least: f64) -> Vec<Overlap> {
    let mut found = Vec::new();
    for lang in Lang::ALL {
        let texts: Vec<_> = documents.iter().filter(|document| document.lang == lang).collect();
        let grams: Vec<_> = texts.iter().map(|document| trigrams(&plain(document.body.as_str()))).collect();
        for second in 1..texts.len() {
            for first in 0..second {
                let jaccard = jaccard(&grams[first], &grams[second]);
                if jaccard >= least {
                    let (first, second) = (texts[first].id.clone(), texts[second].id.clone());
                    found.push(Overlap { lang, first, second, jaccard });
                }
            }
        }
    }
    found
}

/// Ids that exist in one language only, with that language.
pub fn in_one_language(documents: &[Document]) -> Vec<(String, Lang)> {
    let mut langs: BTreeMap<&str, BTreeSet<Lang>> = BTreeMap::new();
    for document in documents {
        langs.entry(&document.id).or_default().insert(document.lang);
    }
    let single = langs.into_iter().filter(|(_, langs)| langs.len() == 1);
    single.flat_map(|(id, langs)| langs.into_iter().map(|lang| (id.to_owned(), lang))).collect()
}

/// Documents whose bodies state different sets of numbers in Chinese and English. Numbers in words are not seen, so
/// this is a hint for a reader and no verdict.
pub fn numbers_differ(documents: &[Document]) -> Vec<NumbersDiffer> {
    let mut numbers_by_id: BTreeMap<&str, BTreeMap<Lang, BTreeSet<String>>> = BTreeMap::new();
    for document in documents {
        let numbers = numbers(document.body.as_str());
        numbers_by_id.entry(&document.id).or_default().insert(document.lang, numbers);
    }
    let mut found = Vec::new();
    for (id, langs) in numbers_by_id {
        let (Some(zh), Some(en)) = (langs.get(&Lang::Zh), langs.get(&Lang::En)) else { continue };
        if zh != en {
            let only_zh = zh.difference(en).cloned().collect();
            let only_en = en.difference(zh).cloned().collect();
            found.push(NumbersDiffer { id: id.to_owned(), only_zh, only_en });
        }
    }
    found
}

/// The numbers of a text without thousands separators: `1,200.50` is `1200.50`.
fn numbers(text: &str) -> BTreeSet<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = BTreeSet::new();
    let mut at = 0;
    while at < chars.len() {
        if !chars[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let mut number = String::new();
        while at < chars.len() {
            let next_is_digit = chars.get(at + 1).is_some_and(char::is_ascii_digit);
            match chars[at] {
                digit if digit.is_ascii_digit() => number.push(digit),
                ',' if next_is_digit => {}
                '.' | ':' if next_is_digit => number.push(chars[at]),
                _ => break,
            }
            at += 1;
        }
        found.insert(number);
    }
    found
}

/// The distinct character trigrams of a text without white space, lowercase, sorted.
fn trigrams(text: &str) -> Vec<[char; 3]> {
    let chars: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    let mut grams: Vec<_> = chars.windows(3).map(|gram| [gram[0], gram[1], gram[2]]).collect();
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// The shared part of two sorted sets, in [0, 1]; 0 for two empty ones.
fn jaccard(first: &[[char; 3]], second: &[[char; 3]]) -> f64 {
    let (mut at, mut of, mut shared) = (0, 0, 0_usize);
    while at < first.len() && of < second.len() {
        match first[at].cmp(&second[of]) {
            std::cmp::Ordering::Less => at += 1,
            std::cmp::Ordering::Greater => of += 1,
            std::cmp::Ordering::Equal => {
                shared += 1;
                at += 1;
                of += 1;
            }
        }
    }
    let all = first.len() + second.len() - shared;
    if all == 0 { 0.0 } else { shared as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_overlaps_wholly_and_another_one_does_not() {
        let one = trigrams("普通提现在工作日 15:00 前提交，当天到账。");
        assert!((jaccard(&one, &one) - 1.0).abs() < 1e-9);
        assert!(jaccard(&one, &trigrams("A bank withdrawal costs 1 USD.")) < 1e-9);
        let near = jaccard(&one, &trigrams("普通提现在工作日 15:00 前提交，次日到账。"));
        assert!((0.6..1.0).contains(&near), "{near}");
        assert!(jaccard(&[], &[]) < 1e-9);
    }

    #[test]
    fn numbers_are_compared_without_separators() {
        let found: Vec<_> = numbers("费用 1,200.50 元，15:00 前，v6.8.2。共 3 次, 3").into_iter().collect();
        assert_eq!(found, ["1200.50", "15:00", "3", "6.8.2"]);
    }
}
