//! Features -> calibrated probability -> verdict, with its explanation. Pure: the same features, the same verdict.
//!
//! A judge is a file: standardised features, a logistic regression, a calibration of its output, and thresholds per
//! language. The default is shipped (`models/judge/default.json`): four features that hold up on
//! knowledge it has never seen. A calibrated one comes from your own labelled questions
//! (`deskhand eval calibrate`), with a certificate where one can be had. Never a bare number in code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    logistic::{Row, Softmax},
    reply::Code,
};
use crate::{
    error::{Error, Result},
    words::Lang,
};

/// What the judge decides by, in the order of [`Features`].
pub const FEATURES: [&str; 14] = [
    "score",         // rank score of the best document
    "score_margin",  // over the next document
    "share",         // its share in the regression over the nearest points
    "share_margin",  // over the best other document's
    "cosine",        // of its nearest point
    "cosine_margin", // over the best other document's
    "chunk",         // cosine of its nearest chunk
    "terms",         // its keyword score over the question's term weight
    "terms_margin",  // over the best other document's
    "agreement",     // 1 when it is first by vectors and by keywords
    "unknown_terms", // share of the question's term weight that stands in no document
    "length",        // ln(1 + distinct terms of the question)
    "title",         // cosine of its nearest question or alias
    "explained",     // how much of the question the nearest points explain
];

/// One question's feature values, in the order of [`FEATURES`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Features([f64; FEATURES.len()]);

impl Features {
    /// Takes the values in the order of [`FEATURES`].
    pub fn new(values: [f64; FEATURES.len()]) -> Self {
        Features(values)
    }

    /// The values in the order of [`FEATURES`].
    pub fn values(&self) -> &[f64] {
        &self.0
    }
}

/// What to do with what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Good enough to answer from.
    Answer,
    /// Near enough to ask which one was meant.
    Offer,
    /// A person.
    HandOff(Code),
}

/// A verdict with its numbers.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Calibrated P(the best document is right), in [0, 1].
    pub confidence: f64,
    /// What follows from it.
    pub verdict: Verdict,
    /// Every feature by name, and the thresholds in force.
    pub explanation: BTreeMap<String, f64>,
}

/// Where the two lines are drawn for one language.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// At or above: answer.
    pub answer: f64,
    /// At or above: offer. Below: a person.
    pub offer: f64,
}

/// Proof that the answer threshold keeps the wrong answers rare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Labelled questions that were answered at the threshold, never used to fit or tune.
    pub answered: usize,
    /// Of those, wrong.
    pub errors: usize,
    /// Upper bound of the share of wrong answers at `level`.
    pub risk: f64,
    /// Confidence level of the bound, such as 0.95.
    pub level: f64,
    /// When it was made.
    pub date: String,
}

/// How the logistic's output becomes a probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Calibration {
    /// `1 / (1 + exp(-(slope * logit + offset)))`; Platt 1999.
    Platt {
        /// Of the logit.
        slope: f64,
        /// Added to it.
        offset: f64,
    },
    /// Piecewise linear between points with rising `x` (logit) and `y` (probability); isotonic regression.
    Isotonic {
        /// Logits.
        x: Vec<f64>,
        /// Probabilities.
        y: Vec<f64>,
    },
}

/// A judge; the contents of a judge file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    /// `default` or `calibrated`.
    pub kind: String,
    /// How it was made, for people.
    pub about: String,
    /// The names of the features; must be [`FEATURES`].
    pub features: Vec<String>,
    /// Mean of each feature in the fit.
    pub means: Vec<f64>,
    /// Standard deviation of each feature in the fit.
    pub scales: Vec<f64>,
    /// Weight of each standardised feature.
    pub weights: Vec<f64>,
    /// Added to the weighted sum: together the logit.
    pub bias: f64,
    /// Logit -> probability.
    pub calibration: Calibration,
    /// Thresholds of each language.
    pub thresholds: BTreeMap<Lang, Thresholds>,
    /// Certificates of each language; empty where nothing is promised.
    #[serde(default)]
    pub certificates: BTreeMap<Lang, Certificate>,
    /// The embedder's fingerprint: a judge for other vectors is void.
    #[serde(default)]
    pub fingerprint: String,
    /// Names the knowledge that it was made for.
    #[serde(default)]
    pub knowledge: String,
}

impl Default for Judge {
    /// The shipped one, for knowledge that nobody has labelled questions for.
    fn default() -> Self {
        Judge::parse(include_str!("../../models/judge/default.json"))
            .expect("models/judge/default.json parses; this is a bug")
    }
}

impl Judge {
    /// Reads a judge file.
    ///
    /// # Errors
    /// When it is not JSON of this shape, or was made for other features.
    pub fn parse(json: &str) -> Result<Self> {
        let judge: Judge = serde_json::from_str(json).map_err(|error| {
            Error::invalid("the judge file", error.to_string(), "a file made by `deskhand eval calibrate`")
        })?;
        if judge.features != FEATURES
            || [&judge.means, &judge.scales, &judge.weights].iter().any(|list| list.len() != FEATURES.len())
        {
            let found = format!("features {}", judge.features.join(", "));
            return Err(Error::invalid(
                "the judge file",
                found,
                format!("{}; make it anew with `deskhand eval calibrate`", FEATURES.join(", ")),
            ));
        }
        Ok(judge)
    }

    /// Judges one question.
    pub fn judge(&self, features: &Features, lang: Lang) -> Judged {
        let confidence = self.confidence(features);
        let thresholds = self.thresholds.get(&lang).copied().unwrap_or(Thresholds { answer: 1.1, offer: 1.1 });
        let nothing = features.values()[0] <= 0.0;
        let verdict = if nothing {
            Verdict::HandOff(Code::NoKnowledge)
        } else if confidence >= thresholds.answer {
            Verdict::Answer
        } else if confidence >= thresholds.offer {
            Verdict::Offer
        } else if confidence < 0.5 * thresholds.offer {
            Verdict::HandOff(Code::NoKnowledge)
        } else {
            Verdict::HandOff(Code::LowConfidence)
        };
        let mut explanation: BTreeMap<String, f64> =
            FEATURES.iter().zip(features.values()).map(|(name, value)| ((*name).to_owned(), *value)).collect();
        explanation.insert("threshold_answer".into(), thresholds.answer);
        explanation.insert("threshold_offer".into(), thresholds.offer);
        Judged { confidence: if nothing { 0.0 } else { confidence }, verdict, explanation }
    }

    /// Calibrated P(the best document is right).
    pub fn confidence(&self, features: &Features) -> f64 {
        self.calibration.apply(self.logit(features))
    }

    fn logit(&self, features: &Features) -> f64 {
        let terms = features.values().iter().zip(&self.means).zip(&self.scales).zip(&self.weights);
        self.bias + terms.map(|(((value, mean), scale), weight)| weight * (value - mean) / scale).sum::<f64>()
    }

    /// Fits a judge without thresholds on features and whether the best document was right.
    /// `groups` names the document each row comes from: calibration uses scores from folds that never saw it.
    pub fn fit(rows: &[(Features, bool, u64)], kind: &str, about: String) -> Self {
        let (means, scales) = moments(rows);
        let mut judge = Judge {
            kind: kind.to_owned(),
            about,
            features: FEATURES.map(str::to_owned).to_vec(),
            means,
            scales,
            weights: vec![0.0; FEATURES.len()],
            bias: 0.0,
            calibration: Calibration::Platt { slope: 1.0, offset: 0.0 },
            thresholds: BTreeMap::new(),
            certificates: BTreeMap::new(),
            fingerprint: String::new(),
            knowledge: String::new(),
        };
        let mut held_out = Vec::with_capacity(rows.len());
        for fold in 0..FOLDS {
            let (train, test): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.2 % FOLDS != fold);
            judge.fit_weights(&train);
            held_out.extend(test.iter().map(|row| (judge.logit(&row.0), row.1)));
        }
        judge.fit_weights(&rows.iter().collect::<Vec<_>>());
        judge.calibration = Calibration::fit(&held_out);
        judge
    }

    fn fit_weights(&mut self, rows: &[&(Features, bool, u64)]) {
        let standard: Vec<Vec<f32>> = rows
            .iter()
            .map(|row| {
                let terms = row.0.values().iter().zip(&self.means).zip(&self.scales);
                terms.map(|((value, mean), scale)| ((value - mean) / scale) as f32).collect()
            })
            .collect();
        let rows: Vec<Row> = (rows.iter().zip(&standard))
            .map(|(row, features)| Row { features, class: usize::from(row.1), weight: 1.0 })
            .collect();
        let softmax = Softmax::fit(&rows, 2, DECAY, 400);
        (self.weights, self.bias) = softmax.log_odds();
    }
}

/// Folds of the cross-fit, by document.
const FOLDS: u64 = 4;
/// L2 penalty on standardised weights: one row's worth of doubt.
const DECAY: f64 = 1.0;
/// From this many labels on isotonic regression beats Platt's two parameters; below it overfits.
/// Source: Niculescu-Mizil and Caruana, Predicting Good Probabilities With Supervised Learning, 2005, section 4.
const ISOTONIC_LABELS: usize = 1000;

impl Calibration {
    /// Logit -> probability.
    pub fn apply(&self, logit: f64) -> f64 {
        match self {
            Calibration::Platt { slope, offset } => 1.0 / (1.0 + (-(slope * logit + offset)).exp()),
            Calibration::Isotonic { x, y } => interpolate(x, y, logit),
        }
    }

    /// Fits on held-out logits: Platt below 1,000 labels, isotonic from there on.
    pub fn fit(held_out: &[(f64, bool)]) -> Self {
        if held_out.len() >= ISOTONIC_LABELS { Self::isotonic(held_out) } else { Self::platt(held_out) }
    }

    fn platt(held_out: &[(f64, bool)]) -> Self {
        let features: Vec<[f32; 1]> = held_out.iter().map(|(logit, _)| [*logit as f32]).collect();
        let rows: Vec<Row> = (features.iter().zip(held_out))
            .map(|(features, (_, right))| Row { features, class: usize::from(*right), weight: 1.0 })
            .collect();
        let (weights, offset) = Softmax::fit(&rows, 2, 0.01, 2000).log_odds();
        Calibration::Platt { slope: weights.first().copied().unwrap_or(1.0), offset }
    }

    /// Pool adjacent violators, then a straight line between the blocks' middles. A block's probability has one right and
    /// one wrong label added, so that no block claims certainty.
    fn isotonic(held_out: &[(f64, bool)]) -> Self {
        let mut sorted = held_out.to_vec();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        struct Block {
            logits: f64,
            right: f64,
            count: f64,
        }
        let mut blocks: Vec<Block> = Vec::new();
        for (logit, right) in sorted {
            blocks.push(Block { logits: logit, right: f64::from(u8::from(right)), count: 1.0 });
            while let [.., before, last] = blocks.as_slice() {
                if before.right / before.count < last.right / last.count {
                    break;
                }
                let merged = Block {
                    logits: before.logits + last.logits,
                    right: before.right + last.right,
                    count: before.count + last.count,
                };
                blocks.truncate(blocks.len() - 2);
                blocks.push(merged);
            }
        }
        let x = blocks.iter().map(|block| block.logits / block.count).collect();
        let y = blocks.iter().map(|block| (block.right + 0.5) / (block.count + 1.0)).collect::<Vec<_>>();
        Calibration::Isotonic { x, y: rising(y) }
    }
}

/// Smoothing can undo the order of neighbouring blocks; the running maximum restores it.
fn rising(mut values: Vec<f64>) -> Vec<f64> {
    for at in 1..values.len() {
        values[at] = values[at].max(values[at - 1]);
    }
    values
}

fn interpolate(x: &[f64], y: &[f64], at: f64) -> f64 {
    let after = x.partition_point(|point| *point <= at);
    match (after.checked_sub(1), x.get(after)) {
        (None, _) => y.first().copied().unwrap_or(0.0),
        (Some(before), None) => y[before],
        (Some(before), Some(next)) => {
            let part = (at - x[before]) / (next - x[before]).max(1e-12);
            y[before] + part * (y[after] - y[before])
        }
    }
}

fn moments(rows: &[(Features, bool, u64)]) -> (Vec<f64>, Vec<f64>) {
    let count = rows.len().max(1) as f64;
    let mean = |at: usize| rows.iter().map(|row| row.0.values()[at]).sum::<f64>() / count;
    let means: Vec<f64> = (0..FEATURES.len()).map(mean).collect();
    let scale = |at: usize| {
        let variance = rows.iter().map(|row| (row.0.values()[at] - means[at]).powi(2)).sum::<f64>() / count;
        if variance > 1e-12 { variance.sqrt() } else { 1.0 }
    };
    let scales = (0..FEATURES.len()).map(scale).collect();
    (means, scales)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(score: f64, right: bool, group: u64) -> (Features, bool, u64) {
        let mut values = [0.0; FEATURES.len()];
        values[0] = score;
        (Features::new(values), right, group)
    }

    fn fitted() -> Judge {
        let rows: Vec<_> =
            (0..400u64).map(|i| row((i % 100) as f64 / 100.0 + 0.01, (i % 100) + (i * 7 % 40) > 70, i)).collect();
        let mut judge = Judge::fit(&rows, "calibrated", "test".into());
        judge.thresholds.insert(Lang::En, Thresholds { answer: 0.8, offer: 0.4 });
        judge
    }

    #[test]
    fn confidence_rises_with_the_score_and_is_calibrated() {
        let judge = fitted();
        let at = |score| judge.confidence(&row(score, true, 0).0);
        assert!(at(0.2) < 0.1 && at(0.9) > 0.9, "{} {}", at(0.2), at(0.9));
        assert!((at(0.5) - 0.5).abs() < 0.25);
    }

    #[test]
    fn the_verdict_follows_the_thresholds_of_the_language() {
        let judge = fitted();
        assert_eq!(judge.judge(&row(0.95, true, 0).0, Lang::En).verdict, Verdict::Answer);
        assert!(matches!(judge.judge(&row(0.05, true, 0).0, Lang::En).verdict, Verdict::HandOff(_)));
        // A language without thresholds is never answered.
        assert!(matches!(judge.judge(&row(0.95, true, 0).0, Lang::Zh).verdict, Verdict::HandOff(_)));
        assert_eq!(judge.judge(&Features::default(), Lang::En).verdict, Verdict::HandOff(Code::NoKnowledge));
    }

    #[test]
    fn a_judge_file_reads_as_it_was_written_and_refuses_other_features() {
        let judge = fitted();
        let json = serde_json::to_string(&judge).unwrap();
        let read = Judge::parse(&json).unwrap();
        // A number may come back with its last bit changed.
        let features = row(0.7, true, 0).0;
        assert!((read.confidence(&features) - judge.confidence(&features)).abs() < 1e-9);
        assert_eq!((read.thresholds, read.kind), (judge.thresholds.clone(), judge.kind.clone()));
        let error = Judge::parse(&json.replace("score_margin", "vibes")).unwrap_err().to_string();
        assert!(error.contains("vibes") && error.contains("eval calibrate"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn isotonic_calibration_never_falls(labels in proptest::collection::vec((-9.0f64..9.0, proptest::bool::ANY), 1..200)) {
            let calibration = Calibration::isotonic(&labels);
            let values: Vec<f64> = (-100..=100).map(|at| calibration.apply(f64::from(at) / 10.0)).collect();
            proptest::prop_assert!(values.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
            proptest::prop_assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
        }
    }
}
