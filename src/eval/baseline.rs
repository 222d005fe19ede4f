//! Is this build worse than the last good one? The same questions side by side, paired statistics, and every flip.
//!
//! A build fails only where the paired interval lies wholly beyond the tolerance, or a question marked `must` went from
//! right to wrong: noise fails nobody, and nothing drifts, as a baseline changes only when somebody blesses it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    intervals::{self, Interval},
    metrics,
    record::Record,
    suite::Ending,
};

/// Every draw starts here, so that a rerun decides the same.
const SEED: u64 = 0xba5e;

/// How much worse a figure may be before it fails a build.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// For shares and means: 0.01 is one point.
    pub points: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance { points: 0.01 }
    }
}

/// One side of a flip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// How the turn ended.
    pub outcome: Ending,
    /// Why, in a word.
    pub code: String,
    /// The documents cited, else those offered, else the nearest one.
    pub documents: Vec<String>,
    /// How sure the judge was.
    pub confidence: f64,
    /// What was sent.
    pub text: String,
    /// Whether the turn ended as it should.
    pub right: bool,
}

/// A question that ended otherwise than before: with another outcome, or right instead of wrong or the other way round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    /// The question's id.
    pub id: String,
    /// The customer's words.
    pub question: String,
    /// Whether it may never go wrong.
    pub must: bool,
    /// In the baseline.
    pub before: Side,
    /// Now.
    pub after: Side,
}

/// A figure on the questions that both runs have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The figure's name in the contract.
    pub figure: String,
    /// Whether more of it is better.
    pub more_is_better: bool,
    /// In the baseline.
    pub before: Option<f64>,
    /// Now.
    pub after: Option<f64>,
    /// The 95% interval of the difference, drawn by document, both runs on the same draw.
    pub difference: Option<Interval>,
    /// McNemar's exact two-sided probability, for figures that are yes or no on each question.
    pub mcnemar: Option<f64>,
    /// Whether the interval lies wholly beyond the tolerance on the bad side.
    pub fails: bool,
}

/// Two runs compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Questions that both runs have.
    pub common: usize,
    /// Questions of the baseline that this run does not have.
    pub gone: Vec<String>,
    /// Questions that the baseline does not have.
    pub new: usize,
    /// Questions whose words or label changed since. Both sides are judged by today's label, so that a mended label is
    /// no flip.
    pub relabelled: Vec<String>,
    /// Every figure.
    pub changes: Vec<Change>,
    /// Every flipped question: those gone wrong first, `must` before all.
    pub flips: Vec<Flip>,
    /// Questions that ended as before, and yet with another first document or for another reason. No flips.
    #[serde(default)]
    pub moved: Vec<String>,
    /// Why the build fails, in sentences; none where it passes.
    pub failures: Vec<String>,
}

/// A figure over some pairs of records.
type Figure = fn(&[&Record]) -> Option<f64>;
/// Yes or no on one question; `None` where the figure is not about it.
type YesNo = fn(&Record) -> Option<bool>;

/// Compares `after` with the baseline's `before`, question by question.
pub fn compare(before: &[Record], after: &[Record], tolerance: Tolerance) -> Comparison {
    let known: BTreeMap<&str, &Record> = before.iter().map(|record| (record.label.id.as_str(), record)).collect();
    let stood: Vec<(&Record, &Record)> =
        after.iter().filter_map(|now| known.get(now.label.id.as_str()).map(|old| (*old, now))).collect();
    let relabelled = stood.iter().filter(|(old, now)| {
        (&old.label.question, old.label.answerable, &old.label.accepted, &old.label.expected)
            != (&now.label.question, now.label.answerable, &now.label.accepted, &now.label.expected)
    });
    let relabelled = relabelled.map(|(_, now)| now.label.id.clone()).collect();
    let olds: Vec<Record> =
        stood.iter().map(|(old, now)| Record { label: now.label.clone(), ..(*old).clone() }).collect();
    let pairs: Vec<(&Record, &Record)> = olds.iter().zip(stood.iter().map(|(_, now)| *now)).collect();
    let kept: std::collections::BTreeSet<&str> = pairs.iter().map(|(_, now)| now.label.id.as_str()).collect();
    let changes: Vec<Change> = yes_no()
        .into_iter()
        .map(|(name, more, of)| paired(&pairs, name, more, of, tolerance))
        .chain(means().into_iter().map(|(name, more, of)| drawn(&pairs, name, more, of, tolerance)))
        .collect();
    let (flips, moved) = flips(&pairs);
    let mut failures: Vec<String> = flips
        .iter()
        .filter(|flip| flip.must && flip.before.right && !flip.after.right)
        .map(|flip| format!("`{}` must stay right and went wrong", flip.id))
        .collect();
    failures.extend(changes.iter().filter(|change| change.fails).map(in_words));
    Comparison {
        common: pairs.len(),
        gone: known.keys().filter(|id| !kept.contains(*id)).map(|id| (*id).to_owned()).collect(),
        new: after.len() - pairs.len(),
        relabelled,
        changes,
        flips,
        moved,
        failures,
    }
}

fn yes_no() -> [(&'static str, bool, YesNo); 8] {
    [
        ("recall_at_1", true, |record| record.label.answerable.then(|| record.rank() == Some(1))),
        ("recall_at_5", true, |record| record.label.answerable.then(|| record.rank().is_some_and(|rank| rank <= 5))),
        ("coverage", true, |record| record.label.answerable.then(|| record.answered())),
        // Over all questions, not over the answers: the pairs must be the same on both sides.
        ("wrong_answers", false, |record| Some(record.is_wrong())),
        ("right_endings", true, |record| Some(record.is_right())),
        ("handoff_recall", true, |record| {
            record.label.handoff_is_needed().then(|| record.did.outcome == Ending::Handoff)
        }),
        ("unsupported", false, |record| {
            Some(record.checked.as_ref().is_some_and(|checked| !checked.unsupported.is_empty()))
        }),
        ("citations_resolved", true, |record| {
            Some(record.checked.as_ref().is_none_or(|checked| checked.resolved == checked.citations))
        }),
    ]
}

fn means() -> [(&'static str, bool, Figure); 4] {
    [
        ("mrr_at_10", true, metrics::mrr_at_10),
        ("auroc", true, |records| metrics::auroc_answerable(records, |_| true)),
        ("nugget_recall", true, metrics::nugget_recall),
        ("grounded", true, metrics::grounded),
    ]
}

fn paired(pairs: &[(&Record, &Record)], name: &str, more_is_better: bool, of: YesNo, tolerance: Tolerance) -> Change {
    // Looked up once per question, not once per draw.
    let mut told: Vec<(f64, f64)> = Vec::with_capacity(pairs.len());
    let mut groups: Vec<&str> = Vec::with_capacity(pairs.len());
    for (old, now) in pairs {
        if let (Some(old), Some(yes)) = (of(old), of(now)) {
            told.push((f64::from(u8::from(old)), f64::from(u8::from(yes))));
            groups.push(&now.label.group);
        }
    }
    let only = |pair: (f64, f64)| told.iter().filter(|told| **told == pair).count();
    let share =
        |of: fn(&(f64, f64)) -> f64| (!told.is_empty()).then(|| told.iter().map(of).sum::<f64>() / told.len() as f64);
    let difference = intervals::bootstrap(&groups, SEED, &|at| {
        Some(at.iter().map(|at| told[*at].1 - told[*at].0).sum::<f64>() / at.len() as f64)
    });
    let mcnemar = Some(intervals::mcnemar(only((1.0, 0.0)), only((0.0, 1.0))));
    let sides = (share(|told| told.0), share(|told| told.1));
    change(name, more_is_better, sides, difference, mcnemar, tolerance)
}

fn drawn(pairs: &[(&Record, &Record)], name: &str, more_is_better: bool, of: Figure, tolerance: Tolerance) -> Change {
    let before: Vec<&Record> = pairs.iter().map(|(old, _)| *old).collect();
    let after: Vec<&Record> = pairs.iter().map(|(_, now)| *now).collect();
    let groups: Vec<&str> = after.iter().map(|record| record.label.group.as_str()).collect();
    let pick = |records: &[&Record], at: &[usize]| of(&at.iter().map(|at| records[*at]).collect::<Vec<_>>());
    let difference = intervals::bootstrap(&groups, SEED, &|at| Some(pick(&after, at)? - pick(&before, at)?));
    change(name, more_is_better, (of(&before), of(&after)), difference, None, tolerance)
}

fn change(
    name: &str,
    more_is_better: bool,
    (before, after): (Option<f64>, Option<f64>),
    difference: Option<Interval>,
    mcnemar: Option<f64>,
    tolerance: Tolerance,
) -> Change {
    let worse_by = difference.map(|interval| if more_is_better { -interval.high } else { interval.low });
    let fails = worse_by.is_some_and(|worse| worse > tolerance.points);
    Change { figure: name.to_owned(), more_is_better, before, after, difference, mcnemar, fails }
}

/// What flipped, and what only moved.
fn flips(pairs: &[(&Record, &Record)]) -> (Vec<Flip>, Vec<String>) {
    let all = pairs.iter().map(|(old, now)| Flip {
        id: now.label.id.clone(),
        question: now.label.question.clone(),
        must: now.label.must,
        before: side_of(old),
        after: side_of(now),
    });
    let ended = |side: &Side| (side.outcome, side.right);
    let (mut flips, same): (Vec<Flip>, Vec<Flip>) = all.partition(|flip| ended(&flip.before) != ended(&flip.after));
    flips.sort_by_key(|flip| {
        let gone_wrong = flip.before.right && !flip.after.right;
        let come_right = !flip.before.right && flip.after.right;
        (!(flip.must && gone_wrong), !gone_wrong, !come_right, flip.id.clone())
    });
    let way = |side: &Side| (side.code.clone(), side.documents.first().cloned());
    let moved = same.into_iter().filter(|same| way(&same.before) != way(&same.after)).map(|same| same.id);
    (flips, moved.collect())
}

fn side_of(record: &Record) -> Side {
    let documents = match record.did.outcome {
        Ending::Answer => record.did.cited.clone(),
        Ending::Offer if !record.did.offered.is_empty() => record.did.offered.clone(),
        Ending::Offer | Ending::Handoff => record.did.ranking.iter().take(1).cloned().collect(),
    };
    Side {
        outcome: record.did.outcome,
        code: record.did.code.clone(),
        documents,
        confidence: record.did.confidence,
        text: record.did.text.clone(),
        right: record.is_right(),
    }
}

fn in_words(change: &Change) -> String {
    let show = |value: Option<f64>| value.map_or("null".to_owned(), |value| format!("{value:.3}"));
    let interval =
        change.difference.map_or(String::new(), |of| format!(" (95% interval {:+.3} to {:+.3})", of.low, of.high));
    format!("`{}` went from {} to {}{interval}", change.figure, show(change.before), show(change.after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::metrics::tests::record;

    /// `n` answerable questions, the first `right` of them with the right document first and answered.
    fn run(n: usize, right: usize) -> Vec<Record> {
        (0..n)
            .map(|at| {
                record(&format!("q{at:03}"), true, if at < right { &["d"] } else { &["x", "d"] }, Ending::Answer, 0.9)
            })
            .collect()
    }

    fn change<'c>(comparison: &'c Comparison, figure: &str) -> &'c Change {
        comparison.changes.iter().find(|change| change.figure == figure).unwrap()
    }

    #[test]
    fn the_same_run_twice_shows_no_flip_and_passes() {
        let comparison = compare(&run(40, 30), &run(40, 30), Tolerance::default());
        assert!(comparison.flips.is_empty() && comparison.failures.is_empty(), "{comparison:?}");
        assert_eq!(change(&comparison, "recall_at_1").difference, Some(Interval { low: 0.0, high: 0.0 }));
        assert_eq!(change(&comparison, "recall_at_1").mcnemar, Some(1.0));
    }

    #[test]
    fn a_clear_loss_fails_and_noise_does_not() {
        let clear = compare(&run(200, 180), &run(200, 140), Tolerance::default());
        assert!(change(&clear, "recall_at_1").fails && change(&clear, "wrong_answers").fails);
        assert!(
            !change(&clear, "recall_at_5").fails
                && clear.failures.iter().any(|said| said.contains("`recall_at_1` went from 0.900 to 0.700"))
        );
        assert_eq!(clear.flips.len(), 40);
        let noise = compare(&run(200, 180), &run(200, 179), Tolerance::default());
        assert!(noise.failures.is_empty() && noise.flips.len() == 1, "{:?}", noise.failures);
        let better = compare(&run(200, 140), &run(200, 180), Tolerance::default());
        assert!(better.failures.is_empty());
    }

    #[test]
    fn a_question_that_ends_the_same_is_no_flip() {
        let of = |first: &str, code: &str| {
            let mut one = record("q", false, &[first], Ending::Handoff, 0.1);
            one.did.code = code.to_owned();
            one
        };
        let before = [of("d", "no_knowledge")];
        for (after, moved) in [
            (of("x", "no_knowledge"), 1),
            (of("d", "low_confidence"), 1),
            (
                Record {
                    did: crate::eval::record::Did { confidence: 0.2, ..before[0].did.clone() },
                    ..before[0].clone()
                },
                0,
            ),
        ] {
            let comparison = compare(&before, &[after], Tolerance::default());
            assert_eq!((comparison.flips.len(), comparison.moved.len()), (0, moved), "{comparison:?}");
        }
        let mut after = of("d", "no_knowledge");
        after.did.outcome = Ending::Offer;
        assert_eq!(compare(&before, &[after], Tolerance::default()).flips.len(), 1);
    }

    #[test]
    fn a_must_question_fails_alone_and_comes_first() {
        let before = run(50, 45);
        let mut after = run(50, 43);
        after[44].label.must = true;
        let comparison = compare(&before, &after, Tolerance::default());
        assert_eq!(comparison.failures, ["`q044` must stay right and went wrong"]);
        let flip = &comparison.flips[0];
        assert_eq!(
            (flip.id.as_str(), &flip.before.documents[..], &flip.after.documents[..]),
            ("q044", &["d".to_owned()][..], &["x".to_owned()][..])
        );
    }

    #[test]
    fn questions_that_came_and_went_are_told_apart() {
        let mut before = run(10, 10);
        let after = run(12, 12);
        before.push(record("old", true, &["d"], Ending::Answer, 0.9));
        before[0].label.accepted = vec!["other".to_owned()];
        let comparison = compare(&before, &after, Tolerance::default());
        assert_eq!((comparison.common, comparison.new, &comparison.gone[..]), (10, 2, &["old".to_owned()][..]));
        // Wrong by the old label, right by today's, and no flip.
        assert_eq!((&comparison.relabelled[..], comparison.flips.len()), (&["q000".to_owned()][..], 0));
    }
}
