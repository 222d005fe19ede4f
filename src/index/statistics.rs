//! What the knowledge as a whole looks like: the mean of its vectors, and how often its terms stand.
//!
//! e5 vectors share most of their direction, and those of one language share more; what tells texts apart is what is
//! left when the mean of their language is taken away. Points are stored centred, so that the engine's cosine is the
//! one that decides, and a question is centred likewise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Vector, keywords::Frequencies};
use crate::words::Lang;

/// Needed to ask the index a question; made and stored with the points.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Names the state of the documents that it was made from.
    pub generation: String,
    /// How often each term stands.
    pub frequencies: Frequencies,
    /// Mean of the questions, aliases and lines of each language.
    question_means: BTreeMap<Lang, Vec<f32>>,
    /// Mean of the chunks of each language.
    passage_means: BTreeMap<Lang, Vec<f32>>,
}

impl Statistics {
    /// From the vectors as the embedder gave them, each with its language and its kind.
    pub fn new<'v>(
        generation: String,
        frequencies: Frequencies,
        vectors: impl Iterator<Item = (Lang, Vector, &'v [f32])>,
    ) -> Self {
        let mut questions: BTreeMap<Lang, Vec<&[f32]>> = BTreeMap::new();
        let mut passages: BTreeMap<Lang, Vec<&[f32]>> = BTreeMap::new();
        for (lang, which, vector) in vectors {
            let side = if which == Vector::Passage { &mut passages } else { &mut questions };
            side.entry(lang).or_default().push(vector);
        }
        let means = |side: BTreeMap<Lang, Vec<&[f32]>>| {
            // A single vector has nothing to be told apart from.
            side.into_iter()
                .filter(|(_, vectors)| vectors.len() > 1)
                .map(|(lang, vectors)| (lang, mean(&vectors)))
                .collect()
        };
        Statistics { generation, frequencies, question_means: means(questions), passage_means: means(passages) }
    }

    /// `vector` less the mean of its kind and language, at length 1. Where there is no such mean, the other language's is
    /// taken; a vector that is the mean itself stays as it was.
    pub fn centred(&self, lang: Lang, which: Vector, vector: &[f32]) -> Vec<f32> {
        let means = if which == Vector::Passage { &self.passage_means } else { &self.question_means };
        let mean =
            [lang, lang.other()].iter().filter_map(|lang| means.get(lang)).find(|mean| mean.len() == vector.len());
        let Some(mean) = mean else { return vector.to_vec() };
        let moved: Vec<f32> = vector.iter().zip(mean).map(|(x, mean)| x - mean).collect();
        let length = moved.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length < 1e-4 { vector.to_vec() } else { moved.into_iter().map(|x| x / length).collect() }
    }
}

/// The mean of vectors: `[n][d]` to `[d]`; empty for none.
pub fn mean<V: AsRef<[f32]>>(vectors: &[V]) -> Vec<f32> {
    let mut mean = vec![0.0f32; vectors.first().map_or(0, |vector| vector.as_ref().len())];
    for vector in vectors {
        for (sum, x) in mean.iter_mut().zip(vector.as_ref()) {
            *sum += x / vectors.len() as f32;
        }
    }
    mean
}

/// A vector `[d]` at length 1; one without a direction stays near 0.
pub fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(vectors: &[(Lang, Vector, [f32; 3])]) -> Statistics {
        let vectors = vectors.iter().map(|(lang, which, vector)| (*lang, *which, vector.as_slice()));
        Statistics::new("g".into(), Frequencies::default(), vectors)
    }

    #[test]
    fn centring_takes_away_what_a_language_shares() {
        let zh = [(Lang::Zh, Vector::Question, [0.8, 0.6, 0.0]), (Lang::Zh, Vector::Question, [0.8, -0.6, 0.0])];
        let en = [(Lang::En, Vector::Question, [0.0, 0.6, 0.8]), (Lang::En, Vector::Question, [0.0, -0.6, 0.8])];
        let statistics = statistics(&[zh, en].concat());
        for (lang, which, vector) in [zh[0], en[0]] {
            let centred = statistics.centred(lang, which, &vector);
            assert!((centred[1] - 1.0).abs() < 1e-6, "{lang} {centred:?}");
        }
    }

    #[test]
    fn a_language_without_documents_borrows_the_other_mean() {
        let one = [(Lang::En, Vector::Question, [1.0, 0.0, 0.0]), (Lang::En, Vector::Question, [0.0, 1.0, 0.0])];
        let statistics = statistics(&one);
        assert_eq!(
            statistics.centred(Lang::Zh, Vector::Question, &[1.0, 0.0, 0.0]),
            statistics.centred(Lang::En, Vector::Question, &[1.0, 0.0, 0.0])
        );
        assert_eq!(statistics.centred(Lang::Zh, Vector::Passage, &[1.0, 0.0, 0.0]), vec![1.0, 0.0, 0.0]);
    }

    #[test]
    fn the_mean_itself_stays_finite() {
        let same = [(Lang::En, Vector::Question, [1.0, 0.0, 0.0]), (Lang::En, Vector::Question, [1.0, 0.0, 0.0])];
        assert_eq!(statistics(&same).centred(Lang::En, Vector::Question, &[1.0, 0.0, 0.0]), vec![1.0, 0.0, 0.0]);
    }
}
