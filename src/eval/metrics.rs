//! The figures, from plain records. Each one's definition is in its function's doc; undefined is `None`.
//!
//! A = answerable questions; S = their right documents; D = the ranking; y = A and D\[0\] in S. Every rate carries its
//! count, its n and a 95% interval; slices under [`SMALL`] questions are marked.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    intervals::{self, Draws, Interval},
    record::{Checked, Record},
    suite::{Distance, Ending},
};

/// A slice with fewer questions is marked.
pub const SMALL: usize = 30;
/// Bins of the calibration error.
const BINS: usize = 15;
/// Label sets drawn for the floor of the calibration error.
const FLOOR_DRAWS: usize = 1000;
/// Every draw starts here, so that a rerun prints the same.
const SEED: u64 = 0x5eed;
/// Risks of `coverage_at_risk`, as the contract writes them.
const RISKS: [(&str, f64); 3] = [("0.01", 0.01), ("0.02", 0.02), ("0.05", 0.05)];

/// Everything that is measured on a set of questions. The JSON names are a contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How many questions.
    pub questions: usize,
    /// Whether they are too few to read much into.
    pub small: bool,
    /// Was the right document found?
    pub retrieval: Retrieval,
    /// Was the right thing done?
    pub decision: Decision,
    /// Was the text good?
    pub answers: Answers,
    /// How long did it take?
    pub latency_ms: Latency,
    /// Count, n and interval of each figure, by the same names.
    pub details: BTreeMap<String, BTreeMap<String, Detail>>,
}

/// Figures of retrieval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Share of A with D\[0\] in S.
    pub recall_at_1: Option<f64>,
    /// Share of A with any of D\[:5\] in S.
    pub recall_at_5: Option<f64>,
    /// Mean over A of 1 / rank of the first in S within 10, else 0.
    pub mrr_at_10: Option<f64>,
}

/// Figures of the decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// A against not A, by confidence.
    pub auroc: Option<f64>,
    /// A against near not A.
    pub auroc_near: Option<f64>,
    /// A against far not A.
    pub auroc_far: Option<f64>,
    /// y against not y.
    pub auroc_correct: Option<f64>,
    /// Mean over k of the error rate among the k most confident.
    pub aurc: Option<f64>,
    /// Calibration error.
    pub ece: Option<f64>,
    /// What a perfectly calibrated judge would show on as many questions, 95th percentile.
    pub ece_floor: Option<f64>,
    /// Mean squared difference of confidence and y.
    pub brier: Option<f64>,
    /// Answered A / A.
    pub coverage: Option<f64>,
    /// The share of A rightly answered at an oracle's threshold, by risk.
    pub coverage_at_risk: BTreeMap<String, Option<f64>>,
    /// Wrong answers / answers.
    pub wrong_answer_rate: Option<f64>,
    /// Its exact one-sided upper bound at 95%.
    pub wrong_upper_95: Option<f64>,
    /// Handoffs that were right / handoffs.
    pub handoff_precision: Option<f64>,
    /// Handoffs on questions that need one / questions that need one.
    pub handoff_recall: Option<f64>,
    /// Offers / questions.
    pub offer_rate: Option<f64>,
    /// Offers on A with a right document / offers on A.
    pub offer_hit: Option<f64>,
}

/// Figures of the texts sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// Mean share of an answer's content terms that stand in its quotes.
    pub grounded: Option<f64>,
    /// How many answers state something that their quotes do not; null without answers.
    pub unsupported: Option<usize>,
    /// Citations whose stored text is their quote / citations.
    pub citations_resolved: Option<f64>,
    /// Vital nuggets matched / vital, over the answers sent.
    pub nugget_recall: Option<f64>,
}

/// Nearest-rank percentiles of whole turns, one at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half are faster.
    pub p50: Option<f64>,
    /// One in twenty is slower.
    pub p95: Option<f64>,
    /// One in a hundred is slower.
    pub p99: Option<f64>,
}

/// How much a figure rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// What was counted; null for a figure that is no rate.
    pub count: Option<usize>,
    /// Out of how many.
    pub n: usize,
    /// The 95% interval.
    pub interval: Option<Interval>,
    /// `wilson`, `clopper_pearson`, `bootstrap` (drawn by document), or `oracle` (it saw the labels; no interval).
    pub method: String,
}

/// A part of the questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// What they share: `lang`, `kind`, `topic`, `turn`, `distance`, `split`.
    pub by: String,
    /// The value that they share.
    pub slice: String,
    /// The same figures.
    #[serde(flatten)]
    pub figures: Figures,
}

#[derive(Clone, Copy)]
struct Rate {
    count: usize,
    n: usize,
}

impl Rate {
    fn over(records: &[&Record], among: impl Fn(&Record) -> bool, counted: impl Fn(&Record) -> bool) -> Rate {
        let among: Vec<_> = records.iter().filter(|record| among(record)).collect();
        Rate { count: among.iter().filter(|record| counted(record)).count(), n: among.len() }
    }

    fn value(self) -> Option<f64> {
        (self.n > 0).then(|| self.count as f64 / self.n as f64)
    }
}

/// Computes everything on `records`. `thorough` adds the seeded simulations: the floor of the calibration error and the
/// bootstrap intervals, too slow and too noisy for every slice.
pub fn figures(records: &[&Record], thorough: bool) -> Figures {
    let mut details: BTreeMap<String, BTreeMap<String, Detail>> = BTreeMap::new();
    let mut add = |room: &str, name: &str, detail: Detail| {
        details.entry(room.to_owned()).or_default().insert(name.to_owned(), detail);
    };
    let rates = rates(records);
    for (room, name, rate) in &rates {
        let exact = *name == "wrong_answer_rate";
        let interval =
            if exact { intervals::clopper_pearson(rate.count, rate.n) } else { intervals::wilson(rate.count, rate.n) };
        let method = if exact { "clopper_pearson" } else { "wilson" };
        add(room, name, Detail { count: Some(rate.count), n: rate.n, interval, method: method.to_owned() });
    }
    let rate =
        |name: &str| rates.iter().find(|(_, of, _)| *of == name).map_or(Rate { count: 0, n: 0 }, |(_, _, rate)| *rate);

    let at_risk = coverage_at_risk(records);
    for (risk, rate) in &at_risk {
        // The threshold was chosen with the labels in sight: an interval over draws of them would promise something.
        let detail = Detail { count: Some(rate.count), n: rate.n, interval: None, method: "oracle".to_owned() };
        add("decision", &format!("coverage_at_risk_{risk}"), detail);
    }
    let groups: Vec<&str> = records.iter().map(|record| record.label.group.as_str()).collect();
    for (room, name, among, figure) in means() {
        let n = records.iter().filter(|record| among(record)).count();
        let of = |drawn: &[usize]| figure(&drawn.iter().map(|at| records[*at]).collect::<Vec<_>>());
        let interval = if thorough { intervals::bootstrap(&groups, SEED, &of) } else { None };
        add(room, name, Detail { count: None, n, interval, method: "bootstrap".to_owned() });
    }
    let scored: Vec<(f64, f64)> =
        records.iter().map(|record| (record.did.confidence, f64::from(u8::from(record.first_is_right())))).collect();
    let wrong = rate("wrong_answer_rate");
    let unsupported = rate("unsupported");
    let times: Vec<f64> = records.iter().map(|record| record.did.ms).collect();
    Figures {
        questions: records.len(),
        small: records.len() < SMALL,
        retrieval: Retrieval {
            recall_at_1: rate("recall_at_1").value(),
            recall_at_5: rate("recall_at_5").value(),
            mrr_at_10: mrr_at_10(records),
        },
        decision: Decision {
            auroc: auroc_answerable(records, |_| true),
            auroc_near: auroc_answerable(records, |record| record.label.distance == Some(Distance::Near)),
            auroc_far: auroc_answerable(records, |record| record.label.distance == Some(Distance::Far)),
            auroc_correct: auroc_correct(records),
            aurc: aurc(&scored),
            ece: ece(&scored),
            ece_floor: if thorough { ece_floor(&scored) } else { None },
            brier: brier(&scored),
            coverage: rate("coverage").value(),
            coverage_at_risk: at_risk.into_iter().map(|(risk, rate)| (risk.to_owned(), rate.value())).collect(),
            wrong_answer_rate: wrong.value(),
            wrong_upper_95: intervals::upper_bound(wrong.count, wrong.n, 0.95),
            handoff_precision: rate("handoff_precision").value(),
            handoff_recall: rate("handoff_recall").value(),
            offer_rate: rate("offer_rate").value(),
            offer_hit: rate("offer_hit").value(),
        },
        answers: Answers {
            grounded: grounded(records),
            unsupported: (unsupported.n > 0).then_some(unsupported.count),
            citations_resolved: rate("citations_resolved").value(),
            nugget_recall: rate("nugget_recall").value(),
        },
        latency_ms: Latency {
            p50: intervals::percentile(&times, 50.0),
            p95: intervals::percentile(&times, 95.0),
            p99: intervals::percentile(&times, 99.0),
        },
        details,
    }
}

/// The figures of every slice with at least one question: by language, kind, topic, turn, distance and split; `None`
/// values make no slice, and neither does a value that all questions share.
pub fn slices(records: &[&Record]) -> Vec<Slice> {
    type Of = fn(&Record) -> Option<String>;
    let ways: [(&str, Of); 6] = [
        ("lang", |record| Some(record.label.lang.to_string())),
        ("kind", |record| record.label.kind.clone()),
        ("topic", |record| record.label.topic.clone()),
        ("turn", |record| Some(if record.label.turn >= 2 { ">=2" } else { "1" }.to_owned())),
        ("distance", |record| {
            record.label.distance.map(|distance| if distance == Distance::Near { "near" } else { "far" }.to_owned())
        }),
        ("split", |record| record.label.split.clone()),
    ];
    let mut found = Vec::new();
    for (by, of) in ways {
        let values: BTreeSet<String> = records.iter().filter_map(|record| of(record)).collect();
        for value in values {
            let part: Vec<&Record> =
                records.iter().copied().filter(|record| of(record).as_ref() == Some(&value)).collect();
            if part.len() < records.len() {
                found.push(Slice { by: by.to_owned(), slice: value, figures: figures(&part, false) });
            }
        }
    }
    found
}

fn rates(records: &[&Record]) -> Vec<(&'static str, &'static str, Rate)> {
    let answerable = |record: &Record| record.label.answerable;
    let any = |_: &Record| true;
    let handoff = |record: &Record| record.did.outcome == Ending::Handoff;
    let offer = |record: &Record| record.did.outcome == Ending::Offer;
    let checked: Vec<&Checked> = sent(records).filter_map(|record| record.checked.as_ref()).collect();
    let sum = |of: fn(&Checked) -> usize| checked.iter().map(|checked| of(checked)).sum::<usize>();
    let before_gate: Vec<_> = checked.iter().filter_map(|checked| checked.unsupported_before_gate.as_ref()).collect();
    vec![
        ("retrieval", "recall_at_1", Rate::over(records, answerable, |record| record.rank() == Some(1))),
        (
            "retrieval",
            "recall_at_5",
            Rate::over(records, answerable, |record| record.rank().is_some_and(|rank| rank <= 5)),
        ),
        ("decision", "coverage", Rate::over(records, answerable, Record::answered)),
        ("decision", "wrong_answer_rate", Rate::over(records, Record::answered, Record::is_wrong)),
        ("decision", "handoff_precision", Rate::over(records, handoff, |record| record.label.handoff_is_right())),
        ("decision", "handoff_recall", Rate::over(records, |record| record.label.handoff_is_needed(), handoff)),
        ("decision", "offer_rate", Rate::over(records, any, offer)),
        (
            "decision",
            "offer_hit",
            Rate::over(records, |record| offer(record) && answerable(record), Record::offer_hits),
        ),
        ("decision", "right_endings", Rate::over(records, any, Record::is_right)),
        (
            "answers",
            "unsupported",
            Rate { count: checked.iter().filter(|checked| !checked.unsupported.is_empty()).count(), n: checked.len() },
        ),
        (
            "answers",
            "unsupported_before_gate",
            Rate { count: before_gate.iter().filter(|found| !found.is_empty()).count(), n: before_gate.len() },
        ),
        (
            "answers",
            "citations_resolved",
            Rate { count: sum(|checked| checked.resolved), n: sum(|checked| checked.citations) },
        ),
        ("answers", "nugget_recall", Rate { count: sum(|checked| checked.matched), n: sum(|checked| checked.vital) }),
    ]
}

type Figure = fn(&[&Record]) -> Option<f64>;
/// Where a figure stands, its name, the questions that it is about, and the figure.
type Mean = (&'static str, &'static str, fn(&Record) -> bool, Figure);

/// The figures that are no rates, with the questions that they are about.
fn means() -> [Mean; 7] {
    [
        ("retrieval", "mrr_at_10", |record| record.label.answerable, mrr_at_10),
        ("decision", "auroc", |_| true, |records| auroc_answerable(records, |_| true)),
        ("decision", "auroc_correct", |_| true, auroc_correct),
        ("decision", "aurc", |_| true, |records| aurc(&scored(records))),
        ("decision", "ece", |_| true, |records| ece(&scored(records))),
        ("decision", "brier", |_| true, |records| brier(&scored(records))),
        ("answers", "grounded", Record::answered, grounded),
    ]
}

fn scored(records: &[&Record]) -> Vec<(f64, f64)> {
    records.iter().map(|record| (record.did.confidence, f64::from(u8::from(record.first_is_right())))).collect()
}

fn sent<'r>(records: &'r [&Record]) -> impl Iterator<Item = &'r Record> {
    records.iter().copied().filter(|record| record.answered())
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0usize);
    for value in values {
        sum += value;
        n += 1;
    }
    (n > 0).then(|| sum / n as f64)
}

/// Mean over A of 1 / rank of the first right document within 10, else 0.
pub fn mrr_at_10(records: &[&Record]) -> Option<f64> {
    mean(records.iter().filter(|record| record.label.answerable).map(|record| match record.rank() {
        Some(rank @ 1..=10) => 1.0 / rank as f64,
        _ => 0.0,
    }))
}

/// Mean share of a sent answer's content terms that stand in its quotes.
pub fn grounded(records: &[&Record]) -> Option<f64> {
    mean(sent(records).filter_map(|record| record.checked.as_ref().and_then(|checked| checked.grounded)))
}

/// A against those not in A that `among` picks, by confidence.
pub fn auroc_answerable(records: &[&Record], among: fn(&Record) -> bool) -> Option<f64> {
    let (answerable, not): (Vec<&Record>, Vec<&Record>) =
        records.iter().copied().partition(|record| record.label.answerable);
    let confidence = |records: Vec<&Record>| records.iter().map(|record| record.did.confidence).collect::<Vec<_>>();
    let not = not.into_iter().filter(|record| among(record)).collect();
    auroc(&confidence(answerable), &confidence(not))
}

/// Vital nuggets matched / vital, over the answers sent.
pub fn nugget_recall(records: &[&Record]) -> Option<f64> {
    let checked = || sent(records).filter_map(|record| record.checked.as_ref());
    let vital: usize = checked().map(|checked| checked.vital).sum();
    let matched: usize = checked().map(|checked| checked.matched).sum();
    (vital > 0).then(|| matched as f64 / vital as f64)
}

fn auroc_correct(records: &[&Record]) -> Option<f64> {
    let of = |right: bool| -> Vec<f64> {
        records.iter().filter(|record| record.first_is_right() == right).map(|record| record.did.confidence).collect()
    };
    auroc(&of(true), &of(false))
}

/// The probability that a positive scores above a negative, ties 1/2.
pub fn auroc(positive: &[f64], negative: &[f64]) -> Option<f64> {
    if positive.is_empty() || negative.is_empty() {
        return None;
    }
    let mut negative = negative.to_vec();
    negative.sort_by(f64::total_cmp);
    let above: f64 = positive
        .iter()
        .map(|score| {
            let below = negative.partition_point(|other| other < score);
            let tied = negative.partition_point(|other| other <= score) - below;
            below as f64 + 0.5 * tied as f64
        })
        .sum();
    Some(above / (positive.len() as f64 * negative.len() as f64))
}

/// `(confidence, y)` from the most confident on, each y replaced by the mean of those that are equally confident: a figure
/// over an order must not depend on how ties happen to fall.
fn by_confidence(scored: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    for tied in sorted.chunk_by_mut(|a, b| a.0 == b.0) {
        let y = tied.iter().map(|(_, y)| y).sum::<f64>() / tied.len() as f64;
        tied.iter_mut().for_each(|one| one.1 = y);
    }
    sorted
}

/// Mean over k of the error rate among the k most confident; its expectation over the order of equal confidences.
pub fn aurc(scored: &[(f64, f64)]) -> Option<f64> {
    mean(risk_coverage(scored).into_iter().map(|(_, risk)| risk))
}

/// The risk-coverage curve: for every k, k / n and the error rate among the k most confident.
pub fn risk_coverage(scored: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut errors = 0.0;
    let sorted = by_confidence(scored);
    sorted
        .iter()
        .enumerate()
        .map(|(at, (_, y))| {
            errors += 1.0 - y;
            let k = (at + 1) as f64;
            (k / sorted.len() as f64, errors / k)
        })
        .collect()
}

/// For each risk r: the largest k whose error rate among the k most confident is at most r, equal confidences together;
/// the y among them / |A|. An oracle that sees the labels, not the certificate.
fn coverage_at_risk(records: &[&Record]) -> Vec<(&'static str, Rate)> {
    let answerable = records.iter().filter(|record| record.label.answerable).count();
    let mut sorted: Vec<&&Record> = records.iter().collect();
    sorted.sort_by(|a, b| b.did.confidence.total_cmp(&a.did.confidence));
    let of = |risk: f64| {
        let (mut right, mut seen, mut covered) = (0usize, 0usize, 0usize);
        for tied in sorted.chunk_by(|a, b| a.did.confidence == b.did.confidence) {
            right += tied.iter().filter(|record| record.first_is_right()).count();
            seen += tied.len();
            if (seen - right) as f64 <= risk * seen as f64 + 1e-9 {
                covered = right;
            }
        }
        Rate { count: covered, n: answerable }
    };
    RISKS.iter().map(|(name, risk)| (*name, of(*risk))).collect()
}

/// One bin of the reliability plot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Mean confidence.
    pub confidence: f64,
    /// Share of y.
    pub right: f64,
    /// Questions in it.
    pub n: usize,
}

/// Equal-mass bins over `(confidence, y)`, least confident first; fewer than 15 where there are fewer questions.
pub fn bins(scored: &[(f64, f64)]) -> Vec<Bin> {
    let mut sorted = by_confidence(scored);
    sorted.reverse();
    let (n, bins) = (sorted.len(), BINS.min(sorted.len()));
    (0..bins)
        .map(|bin| {
            let part = &sorted[bin * n / bins..(bin + 1) * n / bins];
            let share = |of: fn(&(f64, f64)) -> f64| part.iter().map(of).sum::<f64>() / part.len() as f64;
            Bin { confidence: share(|one| one.0), right: share(|one| one.1), n: part.len() }
        })
        .collect()
}

/// Calibration error: over the bins, weighted by their questions, how far mean confidence and share of y are apart.
pub fn ece(scored: &[(f64, f64)]) -> Option<f64> {
    let n = scored.len() as f64;
    (!scored.is_empty())
        .then(|| bins(scored).iter().map(|bin| bin.n as f64 / n * (bin.confidence - bin.right).abs()).sum())
}

/// The 95th percentile of [`ece`] when the labels are drawn from the confidences: what chance alone shows.
pub fn ece_floor(scored: &[(f64, f64)]) -> Option<f64> {
    let mut draws = Draws::new(SEED);
    let mut drawn = scored.to_vec();
    // The order of the questions must not change what is drawn.
    drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut values = Vec::with_capacity(FLOOR_DRAWS);
    for _ in 0..FLOOR_DRAWS {
        drawn.iter_mut().for_each(|one| one.1 = f64::from(u8::from(draws.unit() < one.0)));
        values.extend(ece(&drawn));
    }
    intervals::percentile(&values, 95.0)
}

/// Mean squared difference of confidence and y.
pub fn brier(scored: &[(f64, f64)]) -> Option<f64> {
    mean(scored.iter().map(|(confidence, y)| (confidence - y) * (confidence - y)))
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
pub(crate) mod tests;
