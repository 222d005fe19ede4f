//! Fits probabilities: logistic regression by Newton's method, Platt's sigmoid, isotonic steps. Pure.
//!
//! Newton, not gradient descent: a judge has a dozen features and a few thousand rows, Platt's targets are no classes but
//! numbers between them, and a judge file needs the weights to the last digit on every machine.

use serde::{Deserialize, Serialize};

/// `P = sigmoid(weights · x + bias)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logistic {
    /// One per feature.
    pub weights: Vec<f64>,
    /// Added to the sum.
    pub bias: f64,
}

/// From a judge's raw score (log odds) to a probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Calibration {
    /// `sigmoid(slope * score + offset)`, `slope > 0`.
    Platt {
        /// Of the score.
        slope: f64,
        /// Added to it.
        offset: f64,
    },
    /// Straight lines between the points `(x, y)`, both rising; level beyond the ends.
    Isotonic {
        /// Scores.
        x: Vec<f64>,
        /// Probabilities.
        y: Vec<f64>,
    },
}

/// `1 / (1 + exp(-score))`.
pub fn sigmoid(score: f64) -> f64 {
    if score >= 0.0 { 1.0 / (1.0 + (-score).exp()) } else { score.exp() / (1.0 + score.exp()) }
}

impl Logistic {
    /// Fits `rows` to `targets` in [0, 1] with the penalty `decay / 2 * |weights|²` (not on the bias); all rows count
    /// alike. Without rows it is 0 everywhere.
    pub fn fit(rows: &[&[f64]], targets: &[f64], decay: f64) -> Logistic {
        let dims = rows.first().map_or(0, |row| row.len());
        let mut model = Logistic { weights: vec![0.0; dims], bias: 0.0 };
        let mut loss = model.loss(rows, targets, decay);
        for _ in 0..100 {
            let Some(step) = model.newton_step(rows, targets, decay) else { break };
            // Halved until the loss falls: a full step can overshoot where the classes are nearly apart.
            let mut share = 1.0;
            let better = loop {
                let next = model.moved(&step, share);
                let next_loss = next.loss(rows, targets, decay);
                if next_loss < loss {
                    break Some((next, next_loss));
                }
                share *= 0.5;
                if share < 1e-6 {
                    break None;
                }
            };
            let Some((next, next_loss)) = better else { break };
            let gained = loss - next_loss;
            (model, loss) = (next, next_loss);
            if gained < 1e-12 * (1.0 + loss) {
                break;
            }
        }
        model
    }

    /// The log odds.
    pub fn score(&self, row: &[f64]) -> f64 {
        self.bias + self.weights.iter().zip(row).map(|(weight, x)| weight * x).sum::<f64>()
    }

    fn loss(&self, rows: &[&[f64]], targets: &[f64], decay: f64) -> f64 {
        let penalty = 0.5 * decay * self.weights.iter().map(|weight| weight * weight).sum::<f64>();
        let of = |(row, target): (&&[f64], &f64)| {
            let score = self.score(row);
            // ln(1 + e^score) - target * score, without overflow.
            score.max(0.0) + (-score.abs()).exp().ln_1p() - target * score
        };
        penalty + rows.iter().zip(targets).map(of).sum::<f64>()
    }

    /// `[weights…, bias]` to add; `None` where the curvature is singular.
    fn newton_step(&self, rows: &[&[f64]], targets: &[f64], decay: f64) -> Option<Vec<f64>> {
        let dims = self.weights.len();
        let n = dims + 1;
        let mut gradient = vec![0.0; n];
        let mut hessian = vec![0.0; n * n];
        let mut wide = vec![1.0; n];
        for (row, target) in rows.iter().zip(targets) {
            let p = sigmoid(self.score(row));
            wide[..dims].copy_from_slice(row);
            for i in 0..n {
                gradient[i] += (target - p) * wide[i];
                for j in 0..=i {
                    hessian[i * n + j] += p * (1.0 - p) * wide[i] * wide[j];
                }
            }
        }
        for i in 0..n {
            let penalised = if i < dims { decay } else { 0.0 };
            gradient[i] -= penalised * self.weights.get(i).copied().unwrap_or(0.0);
            hessian[i * n + i] += penalised + 1e-9;
        }
        solve(&mut hessian, gradient)
    }

    fn moved(&self, step: &[f64], share: f64) -> Logistic {
        let dims = self.weights.len();
        Logistic {
            weights: self.weights.iter().zip(step).map(|(weight, step)| weight + share * step).collect(),
            bias: self.bias + share * step.get(dims).copied().unwrap_or(0.0),
        }
    }
}

/// Solves `matrix · x = right` by Cholesky; `matrix` is `[n, n]`, symmetric, its lower triangle filled, and is used up.
fn solve(matrix: &mut [f64], mut right: Vec<f64>) -> Option<Vec<f64>> {
    let n = right.len();
    for j in 0..n {
        for k in 0..j {
            let factor = matrix[j * n + k];
            for i in j..n {
                matrix[i * n + j] -= matrix[i * n + k] * factor;
            }
        }
        let pivot = matrix[j * n + j];
        if pivot.is_nan() || pivot <= 0.0 {
            return None;
        }
        let pivot = pivot.sqrt();
        for i in j..n {
            matrix[i * n + j] /= pivot;
        }
    }
    for i in 0..n {
        for j in 0..i {
            right[i] -= matrix[i * n + j] * right[j];
        }
        right[i] /= matrix[i * n + i];
    }
    for i in (0..n).rev() {
        for j in i + 1..n {
            right[i] -= matrix[j * n + i] * right[j];
        }
        right[i] /= matrix[i * n + i];
    }
    Some(right)
}

impl Calibration {
    /// Platt's sigmoid: a logistic of the score, its targets drawn in from 0 and 1 by as much as the counts
    /// leave open. A score that points the wrong way gives the base rate, never an inverted judge.
    ///
    /// Source: Platt 1999; the targets and the need for a careful fit, Lin, Lin, Weng 2007.
    pub fn platt(scores: &[f64], right: &[bool]) -> Calibration {
        let positive = right.iter().filter(|right| **right).count() as f64;
        let negative = right.len() as f64 - positive;
        let (high, low) = ((positive + 1.0) / (positive + 2.0), 1.0 / (negative + 2.0));
        let targets: Vec<f64> = right.iter().map(|right| if *right { high } else { low }).collect();
        let rows: Vec<&[f64]> = scores.iter().map(std::slice::from_ref).collect();
        let fitted = Logistic::fit(&rows, &targets, 0.0);
        match fitted.weights.first() {
            Some(slope) if *slope > 0.0 => Calibration::Platt { slope: *slope, offset: fitted.bias },
            _ => Calibration::Platt { slope: 1e-6, offset: ((positive + 1.0) / (negative + 1.0)).ln() },
        }
    }

    /// Isotonic steps by pooling adjacent violators, joined by straight lines, so that no two scores are tied and a threshold
    /// can stand between any two questions.
    pub fn isotonic(scores: &[f64], right: &[bool]) -> Calibration {
        let mut sorted: Vec<(f64, f64)> =
            scores.iter().zip(right).map(|(score, right)| (*score, f64::from(u8::from(*right)))).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(first), Some(last)) = (sorted.first().map(|one| one.0), sorted.last().map(|one| one.0)) else {
            return Calibration::Isotonic { x: vec![0.0], y: vec![0.5] };
        };
        // (sum of scores, sum of y, count); equal scores start as one block.
        let mut blocks: Vec<(f64, f64, f64)> = Vec::new();
        for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
            let sum = tied.iter().fold((0.0, 0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + 1.0));
            blocks.push(sum);
            while let [.., before, block] = &blocks[..] {
                if before.1 * block.2 < block.1 * before.2 {
                    break;
                }
                let pooled = (before.0 + block.0, before.1 + block.1, before.2 + block.2);
                blocks.truncate(blocks.len() - 2);
                blocks.push(pooled);
            }
        }
        // Nothing is certain: n labels leave room for one more that is otherwise.
        let mut x: Vec<f64> = Vec::new();
        let mut y: Vec<f64> = Vec::new();
        let total = sorted.len() as f64;
        let room = 1.0 / (total + 2.0);
        for block in &blocks {
            x.push(block.0 / block.2);
            y.push((block.1 / block.2).clamp(room, 1.0 - room));
        }
        // Beyond the outer blocks' middles the order goes on, half the way to certainty.
        if first < x[0] {
            x.insert(0, first);
            y.insert(0, 0.5 * y[0]);
        }
        let end = x.len() - 1;
        if last > x[end] {
            x.push(last);
            y.push(0.5 * (1.0 + y[end]));
        }
        Calibration::Isotonic { x, y }
    }

    /// The probability for a score.
    pub fn probability(&self, score: f64) -> f64 {
        match self {
            Calibration::Platt { slope, offset } => sigmoid(slope * score + offset),
            Calibration::Isotonic { x, y } => {
                let after = x.partition_point(|knot| *knot <= score);
                match (after.checked_sub(1), x.get(after)) {
                    (None, _) => y.first().copied().unwrap_or(0.5),
                    (Some(before), None) => y[before],
                    (Some(before), Some(next)) => {
                        let share = (score - x[before]) / (next - x[before]);
                        y[before] + share * (y[after] - y[before])
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_finds_the_log_odds_of_a_single_feature() {
        // x = 1 is right in 3 of 4 rows, x = 0 in 1 of 4: bias -ln 3, weight 2 ln 3.
        let rows: Vec<[f64; 1]> = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0].map(|x| [x]).to_vec();
        let rows: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
        let model = Logistic::fit(&rows, &[1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0], 0.0);
        assert!(
            (model.bias + 3f64.ln()).abs() < 1e-6 && (model.weights[0] - 2.0 * 3f64.ln()).abs() < 1e-6,
            "{model:?}"
        );
    }

    #[test]
    fn separable_rows_stay_finite_under_a_penalty() {
        let rows: Vec<[f64; 2]> = (0..20).map(|at| [f64::from(at) - 9.5, 1.0]).collect();
        let rows: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
        let targets: Vec<f64> = (0..20).map(|at| f64::from(u8::from(at >= 10))).collect();
        let model = Logistic::fit(&rows, &targets, 1.0);
        assert!(model.weights[0].is_finite() && sigmoid(model.score(&[9.5, 1.0])) > 0.95, "{model:?}");
        assert_eq!(Logistic::fit(&[], &[], 1.0), Logistic { weights: vec![], bias: 0.0 });
    }

    #[test]
    fn platt_by_hand() {
        // Two scores, 8 of 10 right at 1 and 2 of 10 at -1: both targets are drawn in by 11 / 12.
        let scores: Vec<f64> = (0..20).map(|at| if at < 10 { 1.0 } else { -1.0 }).collect();
        let right: Vec<bool> = (0..20).map(|at| (at % 10 < 8) == (at < 10)).collect();
        let calibration = Calibration::platt(&scores, &right);
        let expected = 0.8 * 11.0 / 12.0 + 0.2 / 12.0;
        assert!((calibration.probability(1.0) - expected).abs() < 1e-6, "{calibration:?}");
        // A score that points the wrong way is not turned round.
        let wrong: Vec<bool> = right.iter().map(|right| !right).collect();
        let calibration = Calibration::platt(&scores, &wrong);
        assert!(calibration.probability(1.0) >= calibration.probability(-1.0));
        assert!((calibration.probability(1.0) - 0.5).abs() < 0.01);
    }

    #[test]
    fn isotonic_by_hand() {
        // 0 | 1 0 | 1: the middle two are pooled to 1/2 at score 2.5.
        let Calibration::Isotonic { x, y } = Calibration::isotonic(&[1.0, 2.0, 3.0, 4.0], &[false, true, false, true])
        else {
            panic!()
        };
        assert_eq!(x, [1.0, 2.5, 4.0]);
        assert_eq!(y, [1.0 / 6.0, 0.5, 5.0 / 6.0]);
    }

    proptest! {
        #[test]
        fn calibration_never_changes_the_order(
            seen in proptest::collection::vec((-5.0f64..5.0, any::<bool>()), 2..60),
            a in -6.0f64..6.0,
            b in -6.0f64..6.0,
        ) {
            let (scores, right): (Vec<f64>, Vec<bool>) = seen.into_iter().unzip();
            for calibration in [Calibration::platt(&scores, &right), Calibration::isotonic(&scores, &right)] {
                let (low, high) = (calibration.probability(a.min(b)), calibration.probability(a.max(b)));
                prop_assert!(low <= high && (0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high), "{:?}", calibration);
            }
        }
    }
}
