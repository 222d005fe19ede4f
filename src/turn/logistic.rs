//! Logistic regression, two classes or more: what the guard and the judge are fitted with. Pure.
//!
//! Fitted by full-batch gradient descent with Nesterov momentum: the problems have a few thousand rows, the loss is
//! convex, and the result is the same on every run. Rows are standardised by the caller where that matters.

use serde::{Deserialize, Serialize};

/// `P(class | x) = softmax(weights · x + bias)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Softmax {
    /// `[classes][dims]`
    weights: Vec<Vec<f64>>,
    /// `[classes]`
    bias: Vec<f64>,
}

/// One labelled row.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Features, all rows of one length.
    pub features: &'a [f32],
    /// The class, counted from 0.
    pub class: usize,
    /// How much the row counts.
    pub weight: f64,
}

impl Softmax {
    /// Fits on `rows` with an L2 penalty of `decay / total weight` on the weights (not on the bias).
    ///
    /// `steps` full passes; 200 reach the optimum within 1e-3 in probability on the problems of this program.
    pub fn fit(rows: &[Row<'_>], classes: usize, decay: f64, steps: usize) -> Self {
        let dims = rows.first().map_or(0, |row| row.features.len());
        let mut model = Softmax { weights: vec![vec![0.0; dims]; classes], bias: vec![0.0; classes] };
        let total: f64 = rows.iter().map(|row| row.weight).sum();
        if total <= 0.0 {
            return model;
        }
        // The softmax loss has curvature at most |x|² / 2, so this step never overshoots.
        let curvature =
            rows.iter().map(|row| row.features.iter().map(|x| f64::from(x * x)).sum::<f64>()).fold(0.0, f64::max);
        let rate = 1.0 / (0.5 * (curvature + 1.0) + decay / total);
        let mut before = model.clone();
        for step in 0..steps {
            let momentum = step as f64 / (step as f64 + 3.0);
            let ahead = model.ahead_of(&before, momentum);
            let (slope, slope_bias) = ahead.gradient(rows, decay, total);
            before = std::mem::replace(&mut model, ahead);
            for (weights, slope) in model.weights.iter_mut().zip(&slope) {
                for (weight, slope) in weights.iter_mut().zip(slope) {
                    *weight -= rate * slope;
                }
            }
            for (bias, slope) in model.bias.iter_mut().zip(&slope_bias) {
                *bias -= rate * slope;
            }
        }
        model
    }

    /// The classes' probabilities for one row; they sum to 1.
    pub fn probabilities(&self, features: &[f32]) -> Vec<f64> {
        let mut scores: Vec<f64> = self
            .weights
            .iter()
            .zip(&self.bias)
            .map(|(weights, bias)| bias + weights.iter().zip(features).map(|(w, x)| w * f64::from(*x)).sum::<f64>())
            .collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for score in &mut scores {
            *score = (*score - most).exp();
        }
        let sum: f64 = scores.iter().sum();
        scores.iter().map(|score| score / sum).collect()
    }

    /// Of a model of two classes: the weights and the bias of `ln P(1) / P(0)`.
    pub fn log_odds(&self) -> (Vec<f64>, f64) {
        let weights = self.weights[1].iter().zip(&self.weights[0]).map(|(one, zero)| one - zero).collect();
        (weights, self.bias[1] - self.bias[0])
    }

    fn ahead_of(&self, before: &Softmax, momentum: f64) -> Softmax {
        let step = |now: &f64, then: &f64| now + momentum * (now - then);
        Softmax {
            weights: (self.weights.iter().zip(&before.weights))
                .map(|(now, then)| now.iter().zip(then).map(|(now, then)| step(now, then)).collect())
                .collect(),
            bias: self.bias.iter().zip(&before.bias).map(|(now, then)| step(now, then)).collect(),
        }
    }

    fn gradient(&self, rows: &[Row<'_>], decay: f64, total: f64) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut slope: Vec<Vec<f64>> =
            self.weights.iter().map(|weights| weights.iter().map(|weight| weight * decay / total).collect()).collect();
        let mut slope_bias = vec![0.0; self.bias.len()];
        for row in rows {
            for (class, probability) in self.probabilities(row.features).into_iter().enumerate() {
                let residual = row.weight / total * (probability - f64::from(u8::from(class == row.class)));
                slope_bias[class] += residual;
                for (slope, x) in slope[class].iter_mut().zip(row.features) {
                    *slope += residual * f64::from(*x);
                }
            }
        }
        (slope, slope_bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_log_odds_of_a_single_feature() {
        // x = 1 is class 1 in 3 of 4 rows, x = 0 in 1 of 4: the difference in log odds is 2 ln 3.
        let (one, zero) = ([1.0f32], [0.0f32]);
        let rows: Vec<Row> =
            [(&one, 1), (&one, 1), (&one, 1), (&one, 0), (&zero, 1), (&zero, 0), (&zero, 0), (&zero, 0)]
                .map(|(features, class)| Row { features, class, weight: 1.0 })
                .to_vec();
        let model = Softmax::fit(&rows, 2, 0.0, 2000);
        assert!((model.probabilities(&one)[1] - 0.75).abs() < 1e-3, "{model:?}");
        assert!((model.probabilities(&zero)[1] - 0.25).abs() < 1e-3, "{model:?}");
    }

    #[test]
    fn a_penalty_pulls_towards_the_base_rate() {
        let (one, zero) = ([1.0f32], [0.0f32]);
        let rows = [Row { features: &one, class: 1, weight: 1.0 }, Row { features: &zero, class: 0, weight: 1.0 }];
        let free = Softmax::fit(&rows, 2, 0.01, 500).probabilities(&one)[1];
        let tight = Softmax::fit(&rows, 2, 10.0, 500).probabilities(&one)[1];
        assert!(free > 0.8 && tight < 0.6, "{free} {tight}");
    }

    #[test]
    fn no_rows_give_even_odds() {
        assert_eq!(Softmax::fit(&[], 2, 1.0, 10).probabilities(&[]), vec![0.5, 0.5]);
    }
}
