//! What the written examples nearest to a message are: a vote of its neighbours. Pure.
//!
//! A softmax draws one boundary for all; the neighbours know the odd corners that only a few examples stand in. Together they
//! find more than either (`models/judge/guard.json`).

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How the neighbours vote.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Vote {
    /// How many of the nearest examples vote.
    count: usize,
    /// A vote counts `exp(cosine / spread)`.
    spread: f32,
    /// What the vote counts beside the softmax, in [0, 1].
    share: f64,
}

/// The examples' vectors, with a byte a number: 7 MB for 17,000 of 384 numbers, and as fast to look through as they are small.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Neighbours {
    vote: Vote,
    /// Numbers of one vector.
    dims: usize,
    /// `[n, dims]`, each vector divided by its scale.
    #[serde(with = "bytes")]
    numbers: Vec<i8>,
    /// `[n]`: what a vector's numbers are counted in.
    scales: Vec<f32>,
    /// `[n]`: each example's class.
    classes: Vec<u8>,
}

impl Neighbours {
    /// Keeps examples: vectors `[n, d]` of length 1, and the class of each, counted from 0.
    pub(super) fn of(vectors: &[Vec<f32>], classes: Vec<u8>, vote: Vote) -> Self {
        let dims = vectors.first().map_or(0, Vec::len);
        let mut numbers = Vec::with_capacity(vectors.len() * dims);
        let scales = vectors.iter().map(|vector| rounded(vector, &mut numbers)).collect();
        Neighbours { vote, dims, numbers, scales, classes }
    }

    /// What the vote counts beside the softmax, in [0, 1].
    pub(super) fn share(&self) -> f64 {
        self.vote.share
    }

    /// Each class's part of the votes, `[classes]`, for a vector `[d]` of length 1. They sum to 1; to 0 where no example is kept.
    pub(super) fn votes(&self, vector: &[f32], classes: usize) -> Vec<f64> {
        let mut asked = Vec::with_capacity(self.dims);
        let scale = rounded(vector, &mut asked);
        let asked: Vec<i16> = asked.into_iter().map(i16::from).collect();
        let mut near: Vec<(f32, u8)> = (self.numbers.chunks_exact(self.dims.max(1)).zip(&self.scales))
            .zip(&self.classes)
            .map(|((numbers, of), class)| (product(numbers, &asked) as f32 * of * scale, *class))
            .collect();
        let count = self.vote.count.min(near.len());
        if count < near.len() {
            near.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            near.truncate(count);
        }
        let nearest = near.iter().map(|(cosine, _)| *cosine).fold(f32::NEG_INFINITY, f32::max);
        let mut votes = vec![0.0; classes];
        for (cosine, class) in near {
            votes[usize::from(class)] += f64::from((cosine - nearest) / self.vote.spread).exp();
        }
        let all: f64 = votes.iter().sum();
        votes.iter_mut().for_each(|vote| *vote /= all.max(f64::MIN_POSITIVE));
        votes
    }
}

/// Appends the vector in whole numbers from -127 to 127; what one of them stands for.
fn rounded(vector: &[f32], to: &mut Vec<i8>) -> f32 {
    let most = vector.iter().fold(0.0f32, |most, x| most.max(x.abs())).max(f32::MIN_POSITIVE);
    let scale = most / 127.0;
    to.extend(vector.iter().map(|x| (x / scale).round() as i8));
    scale
}

/// The product of two vectors of whole numbers. Below a million of them nothing overflows; to check each sum for it would cost
/// a development build six milliseconds a message.
fn product(a: &[i8], b: &[i16]) -> i32 {
    a.iter().zip(b).fold(0, |sum: i32, (a, b)| sum.wrapping_add(i32::from(*a).wrapping_mul(i32::from(*b))))
}

/// Numbers of a byte each as base64: in JSON they would take four times the room, and as long to read.
mod bytes {
    use super::{Deserialize, Deserializer, Engine, STANDARD, Serializer};

    pub(super) fn serialize<S: Serializer>(numbers: &[i8], to: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = numbers.iter().map(|number| number.cast_unsigned()).collect();
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<i8>, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Ok(bytes.into_iter().map(u8::cast_signed).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::statistics::unit;

    const VOTE: Vote = Vote { count: 2, spread: 0.05, share: 0.35 };

    fn kept() -> Neighbours {
        let vectors = [[1.0, 0.0, 0.1], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.2]].map(|v| unit(v.to_vec()));
        Neighbours::of(&vectors, vec![1, 2, 0, 0], VOTE)
    }

    #[test]
    fn the_nearest_vote_and_the_nearer_count_more() {
        let votes = kept().votes(&unit(vec![1.0, 0.0, 0.1]), 3);
        assert!((votes.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{votes:?}");
        assert!(votes[1] > votes[2] && votes[2] > 0.0 && votes[0] == 0.0, "{votes:?}");
    }

    #[test]
    fn without_examples_nobody_votes() {
        assert_eq!(Neighbours::of(&[], Vec::new(), VOTE).votes(&[1.0, 0.0], 2), [0.0, 0.0]);
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let kept = kept();
        let read: Neighbours = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
        assert_eq!(read.votes(&[0.0, 1.0, 0.0], 3), kept.votes(&[0.0, 1.0, 0.0], 3));
    }

    proptest::proptest! {
        #[test]
        fn a_byte_a_number_keeps_the_cosine(a in proptest::collection::vec(-1.0f32..1.0, 384), b in proptest::collection::vec(-1.0f32..1.0, 384)) {
            let (a, b) = (unit(a), unit(b));
            let (mut x, mut y) = (Vec::new(), Vec::new());
            let scale = rounded(&a, &mut x) * rounded(&b, &mut y);
            let y: Vec<i16> = y.into_iter().map(i16::from).collect();
            let exact: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            proptest::prop_assert!((product(&x, &y) as f32 * scale - exact).abs() < 0.01);
        }
    }
}
