//! Which words of a text can be searched for, and how much does each one count? Pure.
//!
//! [`Terms::of`] cuts Chinese, English and mixed text into terms; [`Frequencies`] counts in how many documents each
//! term stands. Together they are BM25 as a sparse dot product: the tf part is stored in the point
//! ([`Frequencies::weigh_point`]), the idf part travels with the query ([`Frequencies::query`]).
//!
//! ```text
//! score = sum over shared terms of  weight(term) * idf(term)  *  tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / average))
//!                                   `--- query ---------------'     `--- point -----------------------------------------'
//! idf(term) = ln(1 + (documents - df + 0.5) / (df + 0.5))
//! ```
//! Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009, section 3.4, with
//! the idf that cannot become negative (Lucene's). Languages are counted apart: half of the documents never hold a
//! given Chinese word only because they are English.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{
    Role,
    terms::{self, Token, tokens},
};
use crate::words::Lang;

/// How fast repeating a term stops to help. 1.2 is the low end of the range that the source recommends (1.2 to 2):
/// our texts are short, and a word said twice says little more.
pub const K1: f32 = 1.2;
/// How much a long text is held back. 0.75 is the usual value, in the source's range (0.5 to 0.8); whole documents,
/// where it matters most, differ much in length.
pub const B: f32 = 0.75;

/// Cuts text into terms.
#[derive(Debug)]
pub struct Terms;

impl Terms {
    /// The terms of a text, each with how often it stands there, sorted by term. A term is a hash that never
    /// changes: simplified, traditional and full-width forms of a text have the same ones.
    pub fn of(text: &str) -> Vec<(u32, f32)> {
        count(&tokens(text)).into_iter().map(|(term, seen)| (term, seen.times)).collect()
    }
}

/// A text with its traditional characters simplified, and nothing else changed.
pub fn simplified(text: &str) -> String {
    terms::simplified(text)
}

/// A text as the terms see it: full-width, upper-case and traditional characters replaced by their plain forms.
pub fn folded(text: &str) -> String {
    terms::normalised(text).into_iter().collect()
}

/// In how many documents each term stands, for each language, and how long texts of each role are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Frequencies {
    languages: BTreeMap<Lang, Counts>,
}

/// The counts of one language.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Counts {
    documents: u32,
    /// Term -> documents that hold it, in any of their texts.
    holding: BTreeMap<u32, u32>,
    /// Mean number of terms of the texts of each role; a role that never occurred is missing.
    average_terms: BTreeMap<Role, f32>,
}

impl Frequencies {
    /// Counts documents: the language of each, and its texts by role (question, aliases, lines, chunks).
    pub fn of<'t>(documents: impl IntoIterator<Item = (Lang, Vec<(Role, &'t str)>)>) -> Frequencies {
        let mut languages = BTreeMap::<Lang, Counts>::new();
        let mut lengths = BTreeMap::<(Lang, Role), (usize, usize)>::new();
        for (lang, texts) in documents {
            let counts = languages.entry(lang).or_default();
            counts.documents += 1;
            let mut held = BTreeSet::new();
            for (role, text) in texts {
                let tokens = tokens(text);
                let (sum, number) = lengths.entry((lang, role)).or_default();
                *sum += tokens.len();
                *number += 1;
                held.extend(tokens.iter().map(|token| token.term));
            }
            for term in held {
                *counts.holding.entry(term).or_default() += 1;
            }
        }
        for ((lang, role), (sum, number)) in lengths {
            let average = sum as f32 / number.max(1) as f32;
            languages.entry(lang).or_default().average_terms.insert(role, average.max(1.0));
        }
        Frequencies { languages }
    }

    /// New counts, old average lengths: for an incremental update. The average is part of every stored point, so it
    /// may change only in a rebuild; the idf part travels with the query and may change at any time.
    pub fn recounted<'t>(&self, documents: impl IntoIterator<Item = (Lang, Vec<(Role, &'t str)>)>) -> Frequencies {
        let mut new = Frequencies::of(documents);
        for (lang, counts) in &mut new.languages {
            if let Some(old) = self.languages.get(lang) {
                for (role, average) in &old.average_terms {
                    counts.average_terms.insert(*role, *average);
                }
            }
        }
        new
    }

    /// Documents counted in a language.
    pub fn documents(&self, lang: Lang) -> usize {
        self.languages.get(&lang).map_or(0, |counts| counts.documents as usize)
    }

    /// The query side: each distinct term of the question with its weight, for a search among documents of `lang`.
    /// A term that no document holds is kept: it can match nothing, and it belongs to the mass of
    /// [`matched_share`].
    pub fn query(&self, lang: Lang, text: &str) -> Vec<(u32, f32)> {
        let tokens = tokens(text);
        count(&tokens).into_iter().map(|(term, seen)| (term, seen.weight * self.idf(lang, term))).collect()
    }

    /// The point side: each distinct term with its saturated frequency.
    pub fn weigh_point(&self, lang: Lang, role: Role, text: &str) -> Vec<(u32, f32)> {
        let tokens = tokens(text);
        let length = tokens.len() as f32;
        let average = self.languages.get(&lang).and_then(|counts| counts.average_terms.get(&role)).copied();
        // A role that was never counted: as if this text were of average length.
        let relative = average.map_or(1.0, |average| length / average);
        count(&tokens)
            .into_iter()
            .map(|(term, seen)| (term, seen.times * (K1 + 1.0) / (seen.times + K1 * (1.0 - B + B * relative))))
            .collect()
    }

    /// The score of a document whose question is exactly this one: what a raw score is measured against.
    pub fn self_score(&self, lang: Lang, text: &str) -> f32 {
        dot(&self.query(lang, text), &self.weigh_point(lang, Role::Question, text))
    }

    /// The share of the question's weight that stands in no document at all, in [0, 1]; 1 for a question without
    /// terms.
    pub fn unknown_share(&self, lang: Lang, text: &str) -> f32 {
        let query = self.query(lang, text);
        let known = |term: &u32| self.languages.get(&lang).is_some_and(|counts| counts.holding.contains_key(term));
        let known: Vec<_> = query.iter().copied().filter(|(term, _)| known(term)).collect();
        1.0 - matched_share(&query, &known)
    }

    fn idf(&self, lang: Lang, term: u32) -> f32 {
        let (documents, holding) = self.languages.get(&lang).map_or((0.0, 0.0), |counts| {
            (counts.documents as f32, counts.holding.get(&term).copied().unwrap_or(0) as f32)
        });
        (1.0 + (documents - holding + 0.5) / (holding + 0.5)).ln()
    }
}

/// The share of the query's weight whose terms stand in `text`, in [0, 1]: how much of what was asked is there at
/// all. `query` from [`Frequencies::query`], `text` from [`Terms::of`] or a point's terms. 0 for an empty query.
pub fn matched_share(query: &[(u32, f32)], text: &[(u32, f32)]) -> f32 {
    let there: BTreeSet<u32> = text.iter().map(|(term, _)| *term).collect();
    let mass: f32 = query.iter().map(|(_, weight)| weight).sum();
    let matched: f32 = query.iter().filter(|(term, _)| there.contains(term)).map(|(_, weight)| weight).sum();
    if mass > 0.0 { (matched / mass).clamp(0.0, 1.0) } else { 0.0 }
}

/// The sparse dot product, as both engines compute it.
pub fn dot(query: &[(u32, f32)], point: &[(u32, f32)]) -> f32 {
    let point: HashMap<u32, f32> = point.iter().copied().collect();
    query.iter().filter_map(|(term, weight)| point.get(term).map(|other| weight * other)).sum()
}

/// What a text says about one term.
struct Seen {
    times: f32,
    /// The highest weight of its occurrences.
    weight: f32,
}

fn count(tokens: &[Token]) -> BTreeMap<u32, Seen> {
    let mut counted = BTreeMap::new();
    for token in tokens {
        let seen = counted.entry(token.term).or_insert(Seen { times: 0.0, weight: 0.0 });
        seen.times += 1.0;
        seen.weight = seen.weight.max(token.weight);
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::terms::term;

    fn terms(text: &str) -> Vec<u32> {
        Terms::of(text).into_iter().map(|(term, _)| term).collect()
    }

    #[test]
    fn pairs_count_more_than_characters() {
        let frequencies = Frequencies::of([(Lang::Zh, vec![(Role::Question, "提现手续费")])]);
        let weights: BTreeMap<u32, f32> = frequencies.query(Lang::Zh, "提现 费").into_iter().collect();
        assert!(weights[&term('h', "提")] < weights[&term('h', "提现")]);
        assert_eq!(weights[&term('h', "费")], weights[&term('h', "提现")]);
    }

    /// BM25 written out again, from the formula at the top.
    #[test]
    fn the_dot_product_is_bm25() {
        let texts = ["how long does a withdrawal take", "withdrawal fee", "reset my password"];
        let frequencies = Frequencies::of(texts.map(|text| (Lang::En, vec![(Role::Question, text)])));
        let query = "password reset reset";
        let average = texts.iter().map(|text| tokens(text).len() as f32).sum::<f32>() / 3.0;
        for text in texts {
            let held = tokens(text);
            let mut expected = 0.0;
            for (wanted, seen) in count(&tokens(query)) {
                let tf = held.iter().filter(|token| token.term == wanted).count() as f32;
                let df = texts.iter().filter(|text| terms(text).contains(&wanted)).count() as f32;
                let idf = (1.0 + (3.0 - df + 0.5) / (df + 0.5)).ln();
                let norm = 1.0 - B + B * held.len() as f32 / average;
                expected += seen.weight * idf * tf * (K1 + 1.0) / (tf + K1 * norm);
            }
            let got =
                dot(&frequencies.query(Lang::En, query), &frequencies.weigh_point(Lang::En, Role::Question, text));
            assert!((got - expected).abs() < 1e-5, "`{text}`: {got} and {expected}");
        }
    }

    #[test]
    fn the_best_match_of_a_question_is_itself() {
        let texts = ["提现要多久到账", "提现手续费是多少", "如何重置密码"];
        let frequencies = Frequencies::of(texts.map(|text| (Lang::Zh, vec![(Role::Question, text)])));
        for text in texts {
            let query = frequencies.query(Lang::Zh, text);
            let own = frequencies.self_score(Lang::Zh, text);
            for other in texts {
                let score = dot(&query, &frequencies.weigh_point(Lang::Zh, Role::Question, other));
                assert_eq!(score >= own, other == text, "`{text}` against `{other}`");
            }
            assert_eq!(frequencies.unknown_share(Lang::Zh, text), 0.0);
        }
        assert!(frequencies.unknown_share(Lang::Zh, "鹦鹉能坐飞机吗") > 0.7);
        assert_eq!(frequencies.unknown_share(Lang::Zh, "🙂"), 1.0);
    }

    #[test]
    fn languages_are_counted_apart() {
        let zh = (Lang::Zh, vec![(Role::Question, "提现手续费")]);
        let en = (Lang::En, vec![(Role::Question, "withdrawal fee")]);
        let both = Frequencies::of([zh.clone(), en]);
        let alone = Frequencies::of([zh]);
        assert_eq!(both.query(Lang::Zh, "手续费"), alone.query(Lang::Zh, "手续费"));
        assert_eq!(both.documents(Lang::Zh), 1);
    }

    #[test]
    fn an_update_keeps_the_average_lengths() {
        let long = "how long does a withdrawal to my bank account take on a weekend";
        let first = Frequencies::of([(Lang::En, vec![(Role::Question, "fee")])]);
        let updated =
            first.recounted([(Lang::En, vec![(Role::Question, "fee")]), (Lang::En, vec![(Role::Question, long)])]);
        let weigh = |counts: &Frequencies| counts.weigh_point(Lang::En, Role::Question, "fee");
        assert_eq!(weigh(&first), weigh(&updated));
        assert_ne!(first.query(Lang::En, "fee"), updated.query(Lang::En, "fee"));
        let json = serde_json::to_string(&updated).unwrap();
        assert_eq!(serde_json::from_str::<Frequencies>(&json).unwrap(), updated);
    }
}
