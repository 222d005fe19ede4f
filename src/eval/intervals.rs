//! How sure a figure is: Wilson and exact binomial intervals, bootstrap over documents, McNemar. Pure and seeded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statrs::function::beta::beta_reg;

/// Two-sided 95% of the normal distribution.
const Z_95: f64 = 1.959_963_984_540_054;
/// Resamples of a bootstrap: the 2.5% tail then rests on 25 of them.
pub const RESAMPLES: usize = 1000;

/// A range that holds the true value with 95% confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Wilson's score interval for `count` of `n`; `None` where `n` is 0.
///
/// Source: Wilson 1927; holds its level near 0 and 1 where the normal interval does not.
pub fn wilson(count: usize, n: usize) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let (p, total, z2) = (count as f64 / n as f64, n as f64, Z_95 * Z_95);
    let centre = (p + z2 / (2.0 * total)) / (1.0 + z2 / total);
    let half = Z_95 / (1.0 + z2 / total) * (p * (1.0 - p) / total + z2 / (4.0 * total * total)).sqrt();
    let low = if count == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if count == n { 1.0 } else { (centre + half).min(1.0) };
    Some(Interval { low, high })
}

/// Clopper-Pearson's exact one-sided upper bound: the largest error rate under which `errors` or fewer of `n` still have
/// probability `1 - level`. `None` where `n` is 0.
///
/// Bisection on the binomial's distribution function, `P(X <= k) = I(1 - p; n - k, k + 1)`: slower than an
/// inverse, and exact to the last digits, which a certificate needs.
pub fn upper_bound(errors: usize, n: usize, level: f64) -> Option<f64> {
    if n == 0 {
        return None;
    }
    if errors >= n {
        return Some(1.0);
    }
    let (mut low, mut high) = (errors as f64 / n as f64, 1.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if beta_reg((n - errors) as f64, errors as f64 + 1.0, 1.0 - middle) > 1.0 - level {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(high)
}

/// The two-sided exact 95% interval for `errors` of `n`: each end is a one-sided bound at 97.5%.
pub fn clopper_pearson(errors: usize, n: usize) -> Option<Interval> {
    let high = upper_bound(errors, n, 0.975)?;
    let low = if errors == 0 { 0.0 } else { 1.0 - upper_bound(n - errors, n, 0.975)? };
    Some(Interval { low, high })
}

/// How many answers, with at most `errors` wrong, certify `risk` at `level`.
pub fn answers_needed(risk: f64, errors: usize, level: f64) -> usize {
    let enough = |n: usize| upper_bound(errors, n, level).is_some_and(|bound| bound <= risk);
    let mut high = errors + 1;
    while !enough(high) {
        high *= 2;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low.midpoint(high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// McNemar's exact test: the two-sided probability of a split at least this uneven among the questions that changed, were
/// each change a fair coin. 1 where nothing changed.
pub fn mcnemar(only_before: usize, only_after: usize) -> f64 {
    let n = only_before + only_after;
    if n == 0 {
        return 1.0;
    }
    let fewer = only_before.min(only_after);
    if 2 * fewer == n {
        return 1.0;
    }
    (2.0 * beta_reg((n - fewer) as f64, fewer as f64 + 1.0, 0.5)).min(1.0)
}

/// The nearest-rank percentile: the smallest value with at least `percent` of the values at or below it.
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// The 95% interval of `figure` when documents, not questions, are drawn anew: ten wordings of one document count as
/// one thing seen ten times. `figure` gets the positions drawn. `None` where it is undefined on most draws, or
/// there are fewer than two groups.
pub fn bootstrap(groups: &[&str], seed: u64, figure: &dyn Fn(&[usize]) -> Option<f64>) -> Option<Interval> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(at);
    }
    let members: Vec<Vec<usize>> = members.into_values().collect();
    if members.len() < 2 {
        return None;
    }
    let mut draws = Draws::new(seed);
    let mut values = Vec::with_capacity(RESAMPLES);
    let mut drawn = Vec::with_capacity(groups.len());
    for _ in 0..RESAMPLES {
        drawn.clear();
        for _ in 0..members.len() {
            drawn.extend_from_slice(&members[draws.below(members.len())]);
        }
        values.extend(figure(&drawn));
    }
    if values.len() * 2 < RESAMPLES {
        return None;
    }
    Some(Interval { low: percentile(&values, 2.5)?, high: percentile(&values, 97.5)? })
}

/// Random numbers that are the same on every machine and with every version of every library.
///
/// Source: SplitMix64, Steele, Lea, Flood 2014.
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// Starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Draws(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in 0..n; `n` is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 5e-5, "{a} is not {b}");
    }

    #[test]
    fn wilson_by_hand() {
        // 8 of 10: (0.8 + 0.19207) / 1.38415 ± 1.95996 / 1.38415 * sqrt(0.016 + 0.0096036)
        let interval = wilson(8, 10).unwrap();
        near(interval.low, 0.49016);
        near(interval.high, 0.94332);
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(0, 5).unwrap().low, 0.0);
        assert_eq!(wilson(5, 5).unwrap().high, 1.0);
    }

    #[test]
    fn no_errors_have_the_closed_form_bound() {
        // (1 - p)^n = 0.05
        near(upper_bound(0, 299, 0.95).unwrap(), 1.0 - 0.05f64.powf(1.0 / 299.0));
        near(upper_bound(0, 212, 0.95).unwrap(), 0.01403);
        assert_eq!(upper_bound(3, 3, 0.95), Some(1.0));
        assert_eq!(upper_bound(0, 0, 0.95), None);
        // 1 of 10, two-sided, as printed in every table of exact intervals.
        let interval = clopper_pearson(1, 10).unwrap();
        near(interval.low, 0.00253);
        near(interval.high, 0.44502);
    }

    #[test]
    fn the_numbers_needed_are_those_of_the_definition() {
        assert_eq!([0, 1, 2].map(|errors| answers_needed(0.01, errors, 0.95)), [299, 473, 628]);
        assert_eq!([0, 1, 2].map(|errors| answers_needed(0.02, errors, 0.95)), [149, 236, 313]);
        assert_eq!([0, 1, 2].map(|errors| answers_needed(0.05, errors, 0.95)), [59, 93, 124]);
    }

    #[test]
    fn mcnemar_by_hand() {
        // 1 against 5: 2 * (1 + 6) / 64
        near(mcnemar(1, 5), 14.0 / 64.0);
        near(mcnemar(5, 1), 14.0 / 64.0);
        near(mcnemar(0, 6), 2.0 / 64.0);
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(4, 4), 1.0);
    }

    #[test]
    fn the_percentile_is_a_value_that_was_measured() {
        let values = [15.0, 20.0, 35.0, 40.0, 50.0];
        assert_eq!(
            [5.0, 30.0, 40.0, 50.0, 100.0].map(|p| percentile(&values, p)),
            [15.0, 20.0, 20.0, 35.0, 50.0].map(Some)
        );
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn the_bootstrap_counts_documents_not_wordings() {
        // 100 questions, half right. All wordings of a document alike: 4 documents say much less than 100 would.
        let right = |at: &usize| f64::from(u8::from(at % 4 < 2));
        let mean = |drawn: &[usize]| Some(drawn.iter().map(right).sum::<f64>() / drawn.len() as f64);
        let by_document: Vec<String> = (0..100).map(|at| (at % 4).to_string()).collect();
        let alone: Vec<String> = (0..100).map(|at| at.to_string()).collect();
        let width = |groups: &[String]| {
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            let interval = bootstrap(&groups, 1, &mean).unwrap();
            interval.high - interval.low
        };
        assert!(width(&by_document) > 0.9 && width(&alone) < 0.25, "{} {}", width(&by_document), width(&alone));
    }

    #[test]
    fn draws_are_the_published_sequence() {
        // The first outputs of SplitMix64 from seed 0.
        let mut draws = Draws::new(0);
        assert_eq!([draws.next(), draws.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    proptest! {
        #[test]
        fn the_exact_bound_inverts_the_distribution(n in 1usize..400, share in 0.0f64..1.0) {
            let errors = (share * n as f64) as usize;
            prop_assume!(errors < n);
            let bound = upper_bound(errors, n, 0.95).unwrap();
            // Summed term by term in logs, without the beta function.
            let mut log_term = n as f64 * (1.0 - bound).ln();
            let mut sum = 0.0;
            for k in 0..=errors {
                sum += log_term.exp();
                log_term += ((n - k) as f64 / (k + 1) as f64 * bound / (1.0 - bound)).ln();
            }
            prop_assert!((sum - 0.05).abs() < 1e-6, "{sum}");
        }
    }
}
