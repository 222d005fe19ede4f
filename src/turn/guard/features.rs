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
/// mean at length 1, each sign found at [`Scales::sign`], and its terms, the rarer the more, together at length [`Scales::term`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Features {
    /// `[d]`: e5 vectors share most of their direction, which is taken away.
    mean: Vec<f32>,
    /// The terms of the examples, sorted; see [`Terms::of`].
    terms: Vec<u32>,
    /// Inverse document frequency of each term, `ln((1 + n) / (1 + examples with it)) + 1`.
    rarity: Vec<f32>,
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
        let rarity = |examples: usize| ((1 + texts.len()) as f32 / (1 + examples) as f32).ln() + 1.0;
        let kept = seen.into_iter().filter(|(_, examples)| *examples >= LEAST_EXAMPLES);
        let (terms, rarity) = kept.map(|(term, examples)| (term, rarity(examples))).unzip();
        Features { mean: mean(vectors), terms, rarity, scales }
    }

    /// How many features there are.
    pub(super) fn count(&self) -> usize {
        self.mean.len() + signs::count() as usize + self.terms.len()
    }

    /// A vector `[d]` less the examples' mean, at length 1.
    pub(super) fn centred(&self, vector: &[f32]) -> Vec<f32> {
        unit(vector.iter().zip(&self.mean).map(|(x, m)| x - m).collect())
    }

    /// The features of a message, those that are not 0, given its centred vector `[d]` and its text.
    pub(super) fn of(&self, centred: &[f32], text: &str) -> Vec<Pair> {
        let mut pairs: Vec<Pair> = (0..).zip(centred.iter().copied()).collect();
        let first_sign = self.mean.len() as u32;
        pairs.extend(signs::found(&folded(text)).into_iter().map(|sign| (first_sign + sign, self.scales.sign)));
        let first_term = first_sign + signs::count();
        let known: Vec<usize> =
            Terms::of(text).iter().filter_map(|(term, _)| self.terms.binary_search(term).ok()).collect();
        let length = known.iter().map(|at| self.rarity[*at].powi(2)).sum::<f32>().sqrt();
        let weight = |at: usize| self.scales.term * self.rarity[at] / length;
        pairs.extend(known.iter().map(|at| (first_term + *at as u32, weight(*at))));
        pairs
    }
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
        let centred = learnt().centred(&[1.0, 0.0]);
        let length: f32 = centred.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{centred:?}");
        assert!(centred[0] > 0.0 && centred[1] < 0.0, "{centred:?}");
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
