//! What the guard's softmax sees of a message: the question's vector, the signs found in it, its terms. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::signs;
use crate::{
    index::{
        keywords::{Terms, folded},
        statistics::{mean, unit},
    },
    turn::logistic::Pair,
};

/// Terms that stand in fewer examples than this say nothing about other messages.
const LEAST_EXAMPLES: usize = 2;

/// Turns messages into features; learnt from the examples, and kept with the fit.
///
/// A message becomes `[d + signs + terms]`, of which only what is not 0 is listed: the vector less the examples'
/// mean at length 1, each sign found at [`Scales::sign`], and all its terms together at length [`Scales::term`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Features {
    /// `[d]`: e5 vectors share most of their direction, which is taken away.
    mean: Vec<f32>,
    /// The terms of the examples, sorted; see [`Terms::of`].
    terms: Vec<u32>,
    scales: Scales,
}

/// How much signs and terms count beside the vector, whose length is 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Scales {
    pub(super) sign: f32,
    pub(super) term: f32,
}

impl Features {
    /// Learns the mean of the examples' vectors `[n, d]` and the terms of their texts `[n]`.
    pub(super) fn learn(vectors: &[Vec<f32>], texts: &[&str], scales: Scales) -> Self {
        let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
        for (term, _) in texts.iter().flat_map(|text| Terms::of(text)) {
            *seen.entry(term).or_default() += 1;
        }
        let terms =
            seen.into_iter().filter(|(_, examples)| *examples >= LEAST_EXAMPLES).map(|(term, _)| term).collect();
        Features { mean: mean(vectors), terms, scales }
    }

    /// How many features there are.
    pub(super) fn count(&self) -> usize {
        self.mean.len() + signs::count() as usize + self.terms.len()
    }

    /// The features of a message, those that are not 0, given its vector `[d]` and its text.
    pub(super) fn of(&self, vector: &[f32], text: &str) -> Vec<Pair> {
        let mut pairs: Vec<Pair> = (0..).zip(centre(vector, &self.mean)).collect();
        let first_sign = self.mean.len() as u32;
        pairs.extend(signs::found(&folded(text)).into_iter().map(|sign| (first_sign + sign, self.scales.sign)));
        let first_term = first_sign + signs::count();
        let terms = Terms::of(text);
        let weight = self.scales.term / (terms.len().max(1) as f32).sqrt();
        let known = terms.iter().filter_map(|(term, _)| self.terms.binary_search(term).ok());
        pairs.extend(known.map(|at| (first_term + at as u32, weight)));
        pairs
    }
}

/// The vector less the mean, at length 1.
fn centre(vector: &[f32], mean: &[f32]) -> Vec<f32> {
    unit(vector.iter().zip(mean).map(|(x, m)| x - m).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALES: Scales = Scales { sign: 0.3, term: 1.0 };

    fn learnt() -> Features {
        Features::learn(&[vec![1.0, 0.0], vec![0.0, 1.0]], &["withdrawal fee", "withdrawal limit"], SCALES)
    }

    #[test]
    fn a_vector_is_centred_and_has_length_one() {
        let pairs = learnt().of(&[1.0, 0.0], "");
        let length: f32 = pairs.iter().map(|(_, x)| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{pairs:?}");
        assert!(pairs[0].1 > 0.0 && pairs[1].1 < 0.0, "{pairs:?}");
    }

    #[test]
    fn only_terms_of_two_examples_are_known() {
        let features = learnt();
        let known =
            |text: &str| features.of(&[1.0, 0.0], text).iter().filter(|pair| pair.0 >= 2 + signs::count()).count();
        assert!(known("withdrawal") > 0);
        assert_eq!(known("limit"), 0);
        assert!(features.count() > 2 + signs::count() as usize);
    }

    #[test]
    fn a_sign_has_its_own_place() {
        let features = learnt();
        let plain = features.of(&[1.0, 0.0], "hello");
        let grave = features.of(&[1.0, 0.0], "my lawyer");
        let signs = 2..2 + signs::count();
        assert!(!plain.iter().any(|pair| signs.contains(&pair.0)), "{plain:?}");
        assert!(grave.iter().any(|pair| signs.contains(&pair.0) && pair.1 == SCALES.sign), "{grave:?}");
    }
}
