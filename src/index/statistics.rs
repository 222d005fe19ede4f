//! What the knowledge as a whole looks like: the mean of its vectors, and how often its terms stand.
//!
//! e5 vectors share most of their direction; what tells texts apart is what is left when the mean is taken away.
//! Points are stored centred, so that the engine's cosine is the one that decides, and a question is centred likewise.

use serde::{Deserialize, Serialize};

use super::{Vector, keywords::Frequencies};

/// Needed to ask the index a question; made and stored with the points.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Names the state of the documents that it was made from.
    pub generation: String,
    /// How often each term stands.
    pub frequencies: Frequencies,
    question_mean: Vec<f32>,
    passage_mean: Vec<f32>,
}

impl Statistics {
    /// Means of the vectors as the embedder gave them: `questions` of questions, aliases and lines, `passages` of chunks.
    pub fn new(generation: String, frequencies: Frequencies, questions: &[Vec<f32>], passages: &[Vec<f32>]) -> Self {
        Statistics { generation, frequencies, question_mean: mean(questions), passage_mean: mean(passages) }
    }

    /// `vector` less the mean of its kind, at length 1. A vector that is the mean itself stays as it was.
    pub fn centred(&self, which: Vector, vector: &[f32]) -> Vec<f32> {
        let mean = match which {
            Vector::Question | Vector::Both => &self.question_mean,
            Vector::Passage => &self.passage_mean,
        };
        if mean.len() != vector.len() {
            return vector.to_vec();
        }
        let moved: Vec<f32> = vector.iter().zip(mean).map(|(x, mean)| x - mean).collect();
        let length = moved.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length < 1e-4 { vector.to_vec() } else { moved.into_iter().map(|x| x / length).collect() }
    }
}

/// `[n][d]` to `[d]`; empty for no vectors, and for a single one, which has nothing to be told apart from.
fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    if vectors.len() < 2 {
        return Vec::new();
    }
    let mut mean = vec![0.0f32; vectors[0].len()];
    for vector in vectors {
        for (sum, x) in mean.iter_mut().zip(vector) {
            *sum += x / vectors.len() as f32;
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centring_takes_away_what_all_share() {
        let vectors = [vec![0.8, 0.6, 0.0], vec![0.8, -0.6, 0.0]];
        let statistics = Statistics::new("g".into(), Frequencies::default(), &vectors, &[]);
        let centred = statistics.centred(Vector::Question, &vectors[0]);
        assert!((centred[1] - 1.0).abs() < 1e-6 && centred[0].abs() < 1e-6, "{centred:?}");
        assert_eq!(statistics.centred(Vector::Passage, &vectors[0]), vectors[0]);
    }

    #[test]
    fn the_mean_itself_stays_finite() {
        let statistics = Statistics::new("g".into(), Frequencies::default(), &[vec![1.0, 0.0], vec![1.0, 0.0]], &[]);
        assert_eq!(statistics.centred(Vector::Question, &[1.0, 0.0]), vec![1.0, 0.0]);
    }
}
