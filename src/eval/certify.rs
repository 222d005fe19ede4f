//! Which threshold can be promised? Learn-then-Test: thresholds are tried in an order fixed before any label is looked
//! at, from the strictest down, each with an exact binomial bound; the walk ends at the first that fails.
//!
//! As the order is fixed, every step is tested at the full level and the last one that passed is certified.
//! Source: Angelopoulos, Bates, Candès, Jordan, Lei 2021, <https://arxiv.org/abs/2110.01052>, fixed sequence testing.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::intervals::{answers_needed, upper_bound};

/// Each step of the walk answers a tenth more than the one before. Smaller steps look more often, and every look
/// can end the walk on one unlucky question; larger ones give away coverage at the end.
const STEP: f64 = 1.1;

/// What a threshold's error rate is promised to stay under, and what the promise rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Labelled questions answered at this threshold, never used to fit or tune.
    pub answered: usize,
    /// Wrong ones among them.
    pub errors: usize,
    /// The exact upper bound of the wrong-answer rate.
    pub risk: f64,
    /// The rate that was asked for.
    pub allowed: f64,
    /// How sure the bound is, in [0, 1].
    pub level: f64,
    /// When it was issued.
    pub date: Date,
}

/// A threshold that passed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passed {
    /// Answer at this confidence and above.
    pub threshold: f64,
    /// Questions answered.
    pub answered: usize,
    /// Wrong ones among them.
    pub errors: usize,
    /// The exact upper bound of the wrong-answer rate.
    pub bound: f64,
}

/// Walks down `(confidence, right)` and returns the lowest threshold whose wrong-answer rate is at most `risk` with
/// probability `level`; `None` where not even the strictest testable one passes.
pub fn walk(scored: &[(f64, bool)], risk: f64, level: f64) -> Option<Passed> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut passed = None;
    for answered in steps(&sorted, answers_needed(risk, 0, level)) {
        let errors = sorted[..answered].iter().filter(|(_, right)| !right).count();
        let bound = upper_bound(errors, answered, level)?;
        if bound > risk {
            break;
        }
        passed = Some(Passed { threshold: between(&sorted, answered), answered, errors, bound });
    }
    passed
}

/// The lowest threshold whose error rate on these labels is at most `risk`: tuned, with no promise. `None` where even the
/// most confident question is wrong too often.
pub fn tuned(scored: &[(f64, bool)], risk: f64) -> Option<f64> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut errors, mut best) = (0usize, None);
    for (at, (confidence, right)) in sorted.iter().enumerate() {
        errors += usize::from(!right);
        let tied = sorted.get(at + 1).is_some_and(|next| next.0 == *confidence);
        if !tied && errors as f64 <= risk * (at + 1) as f64 + 1e-9 {
            best = Some(at + 1);
        }
    }
    best.map(|answered| between(&sorted, answered))
}

/// What is feasible with `labels` answerable labels, in a sentence.
pub fn feasible(risk: f64, labels: usize, level: f64) -> String {
    let needed = answers_needed(risk, 0, level);
    let needs = format!("{} needs {needed} answered labels with no error; you have {labels}", percent(risk));
    if labels >= needed {
        let one = answers_needed(risk, 1, level);
        return format!("{needs}: feasible ({one} leave room for one error)");
    }
    match upper_bound(0, labels, level) {
        Some(bound) => format!("{needs}: the best you can certify is {}", percent(bound)),
        None => format!("{needs}: nothing can be certified"),
    }
}

/// How many questions each step answers: known from the confidences alone. Equal confidences go together.
fn steps(sorted: &[(f64, bool)], first: usize) -> Vec<usize> {
    let mut steps = Vec::new();
    let mut wanted = first;
    while wanted <= sorted.len() && wanted > 0 {
        let confidence = sorted[wanted - 1].0;
        let answered = sorted.partition_point(|one| one.0 >= confidence);
        steps.push(answered);
        wanted = ((answered as f64 * STEP).floor() as usize).max(answered + 1);
        if wanted > sorted.len() && answered < sorted.len() {
            wanted = sorted.len();
        }
    }
    steps
}

/// A threshold between the last question answered and the next: reading it back from a file cannot move a question.
fn between(sorted: &[(f64, bool)], answered: usize) -> f64 {
    match (sorted.get(answered.wrapping_sub(1)), sorted.get(answered)) {
        (Some(last), Some(next)) => 0.5 * (last.0 + next.0),
        (Some(last), None) => last.0 - 1e-9,
        (None, _) => 1.0,
    }
}

/// `0.014031` as `1.4%`.
fn percent(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::intervals::Draws;

    /// `n` questions from sure to unsure; those at `wrong`, counted from 0, are wrong.
    fn scored(n: usize, wrong: &[usize]) -> Vec<(f64, bool)> {
        (0..n).map(|at| (1.0 - at as f64 / n as f64, !wrong.contains(&at))).collect()
    }

    #[test]
    fn the_feasibility_line_is_the_one_promised() {
        assert_eq!(
            feasible(0.01, 212, 0.95),
            "1% needs 299 answered labels with no error; you have 212: the best you can certify is 1.4%"
        );
        assert!(feasible(0.01, 450, 0.95).ends_with("you have 450: feasible (473 leave room for one error)"));
        assert!(feasible(0.02, 0, 0.95).ends_with("nothing can be certified"));
    }

    #[test]
    fn the_walk_starts_where_no_error_suffices_and_ends_at_the_first_failure() {
        assert_eq!(walk(&scored(298, &[]), 0.01, 0.95), None);
        assert_eq!(walk(&scored(299, &[]), 0.01, 0.95).unwrap().answered, 299);
        assert_eq!(walk(&scored(299, &[7]), 0.01, 0.95), None);
        // 299, 328, 360, 396, …: an error at 340 is met at 360.
        let passed = walk(&scored(2000, &[340]), 0.01, 0.95).unwrap();
        assert_eq!((passed.answered, passed.errors), (328, 0));
        // 299, 328, 360, 396, 435, 478: one error late enough is affordable, and the walk goes to the end.
        let passed = walk(&scored(2000, &[450]), 0.01, 0.95).unwrap();
        assert_eq!((passed.answered, passed.errors), (2000, 1));
        assert!(passed.bound <= 0.01);
        // What comes after the first failure counts for nothing, however good.
        assert_eq!(walk(&scored(5000, &[0]), 0.01, 0.95), None);
    }

    #[test]
    fn equal_confidences_are_answered_together() {
        let mut scored = scored(400, &[]);
        scored[290..].iter_mut().for_each(|one| one.0 = 0.2);
        scored[399].1 = false;
        assert_eq!(walk(&scored, 0.01, 0.95), None);
    }

    #[test]
    fn the_threshold_answers_exactly_what_was_tested() {
        let scored = scored(400, &[]);
        let passed = walk(&scored, 0.02, 0.95).unwrap();
        assert_eq!(scored.iter().filter(|one| one.0 >= passed.threshold).count(), passed.answered);
        let tuned = tuned(&[(0.9, true), (0.8, true), (0.7, false), (0.6, true)], 0.25).unwrap();
        assert!(tuned < 0.6, "{tuned}");
        assert_eq!(super::tuned(&[(0.9, false)], 0.1), None);
    }

    #[test]
    fn a_promise_is_broken_at_most_as_often_as_its_level_says() {
        // Error probability 4% for all: every threshold breaks a promise of 3%. Certified at most 5% of the time.
        let mut draws = Draws::new(11);
        let broken = (0..400)
            .filter(|_| {
                let scored: Vec<(f64, bool)> = (0..600).map(|_| (draws.unit(), draws.unit() >= 0.04)).collect();
                walk(&scored, 0.03, 0.95).is_some()
            })
            .count();
        assert!(broken <= 32, "{broken} of 400");
    }
}
