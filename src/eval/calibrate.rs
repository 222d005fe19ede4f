//! How sure is sure enough? Labelled features become a judge: standardise, logistic, Platt or isotonic, thresholds with
//! certificates per language.
//!
//! Whatever is scored is never what was fitted on: the calibration is fitted on out-of-fold scores (folds by document),
//! the certificates on questions that neither fit nor tuning has seen, and [`cross_validate`] makes one judge per fold.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{
    certify::{self, Certificate},
    fit::{Calibration, Logistic},
    record::Record,
};
use crate::{
    error::{Error, Result},
    words::Lang,
};

/// From this many labels on, isotonic steps beat a sigmoid (methods A2).
const LABELS_FOR_ISOTONIC: usize = 1000;
/// Fewer labels of either sort fit nothing.
const FEWEST: usize = 5;

/// A labelled question as the judge sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The judge's features, all rows in the same order.
    pub features: Vec<f64>,
    /// y: answerable, and the first document is right.
    pub right: bool,
    /// Whether the knowledge answers it.
    pub answerable: bool,
    /// Whether one of the documents that would be offered is right.
    pub offer_hits: bool,
    /// Whether the guard settles it, so that no threshold matters.
    pub guarded: bool,
    /// The customer's language.
    pub lang: Lang,
    /// The document that it is about: never in two folds.
    pub group: String,
}

/// What the maintainer wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The features' names, in order.
    pub feature_names: Vec<String>,
    /// The wrong-answer rate that is allowed, in (0, 1).
    pub risk: f64,
    /// How sure the certificate has to be, in (0, 1).
    pub level: f64,
    /// The share of offers that have to hold a right document, in (0, 1).
    pub useful_offers: f64,
    /// Penalty of the logistic, on standardised features.
    pub decay: f64,
    /// How many folds.
    pub folds: usize,
    /// Today, for the certificate.
    pub date: Date,
    /// How the labels came about, for people.
    pub about: String,
    /// The embedder's fingerprint.
    pub fingerprint: String,
    /// Names the knowledge.
    pub knowledge: String,
}

impl Wanted {
    /// 1% wrong at 95%, every second offer useful, five folds.
    pub fn new(feature_names: Vec<String>, date: Date) -> Wanted {
        Wanted {
            feature_names,
            risk: 0.01,
            level: 0.95,
            useful_offers: 0.5,
            decay: 1.0,
            folds: 5,
            date,
            about: String::new(),
            fingerprint: String::new(),
            knowledge: String::new(),
        }
    }
}

/// From which confidence on a judge answers and offers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Answer from here on.
    pub answer: f64,
    /// Offer from here on; never above `answer`.
    pub offer: f64,
}

/// A judge. Written as JSON it is a judge file, with the names that `turn/judge.rs` reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// `calibrated`.
    pub kind: String,
    /// How it was made, for people.
    pub about: String,
    /// The features' names, in order.
    #[serde(rename = "features")]
    pub feature_names: Vec<String>,
    /// Subtracted from each feature.
    pub means: Vec<f64>,
    /// Each feature is divided by it; 1 where a feature never varies.
    pub scales: Vec<f64>,
    /// Of the standardised features.
    pub weights: Vec<f64>,
    /// Added to their sum.
    pub bias: f64,
    /// From that score to a probability.
    pub calibration: Calibration,
    /// By language.
    pub thresholds: BTreeMap<Lang, Thresholds>,
    /// By language; none where nothing could be promised.
    pub certificates: BTreeMap<Lang, Certificate>,
    /// The embedder's fingerprint: a judge for other vectors is void.
    pub fingerprint: String,
    /// Names the knowledge that it was made for.
    pub knowledge: String,
    /// Labels fitted on.
    pub labels: usize,
}

/// A judge, and what there is to say about it: what is feasible first.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// The judge.
    pub judge: Fitted,
    /// Sentences for the maintainer, in the order to print them.
    pub said: Vec<String>,
}

/// One judge per fold, each fitted on the other folds.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossFitted {
    /// The judges.
    pub judges: Vec<Fitted>,
    /// For each row, the judge that has not seen its document.
    pub fold_of: Vec<usize>,
}

impl Row {
    /// The row of a record; `None` where the turn broke before the judge.
    pub fn of(record: &Record) -> Option<Row> {
        let judged = record.did.code != "error" && !record.did.vector.is_empty();
        let offered = record.did.ranking.iter().take(4);
        judged.then(|| Row {
            features: record.did.vector.clone(),
            right: record.first_is_right(),
            answerable: record.label.answerable,
            offer_hits: offered.clone().any(|document| record.label.accepted.contains(document)),
            guarded: record.is_guarded(),
            lang: record.label.lang,
            group: record.label.group.clone(),
        })
    }
}

impl Fitted {
    /// Log odds before calibration.
    pub fn score(&self, features: &[f64]) -> f64 {
        let standardised =
            features.iter().zip(&self.means).zip(&self.scales).map(|((x, mean), scale)| (x - mean) / scale);
        self.bias + self.weights.iter().zip(standardised).map(|(weight, x)| weight * x).sum::<f64>()
    }

    /// Calibrated P(the first document is right).
    pub fn confidence(&self, features: &[f64]) -> f64 {
        self.calibration.probability(self.score(features))
    }
}

/// Fits on `rows`, tunes the thresholds on their out-of-fold confidences, and certifies the answer's on `unseen`.
///
/// # Errors
/// When rows differ in length, a feature is no number, or there are too few labels of either sort.
pub fn calibrate(rows: &[Row], unseen: &[Row], wanted: &Wanted) -> Result<Calibrated> {
    let (mut judge, confidences) = fit(rows, wanted)?;
    check(unseen, wanted)?;
    let mut said = Vec::new();
    for lang in Lang::ALL {
        let labels: Vec<&Row> = unseen.iter().filter(|row| row.lang == lang && !row.guarded).collect();
        let answerable = labels.iter().filter(|row| row.answerable).count();
        said.push(format!("{lang}: {}", certify::feasible(wanted.risk, answerable, wanted.level)));
        let scored: Vec<(f64, bool)> = labels.iter().map(|row| (judge.confidence(&row.features), row.right)).collect();
        let Some(passed) = certify::walk(&scored, wanted.risk, wanted.level) else {
            let strict = judge.thresholds.get(&lang).map_or(1.0, |thresholds| thresholds.answer);
            said.push(format!(
                "{lang}: no certificate; the threshold {strict:.3} is tuned on {} labels, not promised",
                rows.len()
            ));
            continue;
        };
        let certificate = Certificate {
            answered: passed.answered,
            errors: passed.errors,
            risk: passed.bound,
            allowed: wanted.risk,
            level: wanted.level,
            date: wanted.date,
        };
        let covered =
            labels.iter().filter(|row| row.answerable && judge.confidence(&row.features) >= passed.threshold).count();
        said.push(format!(
            "{lang}: certified: at {:.3} and above {} answered, {} wrong, at most {:.2}% at {:.0}% confidence; {covered} of {answerable} answerable ones",
            passed.threshold,
            passed.answered,
            passed.errors,
            100.0 * passed.bound,
            100.0 * wanted.level,
        ));
        judge.certificates.insert(lang, certificate);
        let tuned = offer_threshold(&of_lang(rows, &confidences, lang), passed.threshold, wanted.useful_offers);
        judge.thresholds.insert(lang, Thresholds { answer: passed.threshold, offer: tuned });
    }
    Ok(Calibrated { judge, said })
}

/// One judge per fold, with thresholds tuned on the other folds and nothing promised.
///
/// # Errors
/// As [`calibrate`].
pub fn cross_validate(rows: &[Row], wanted: &Wanted) -> Result<CrossFitted> {
    let fold_of = folds(rows, wanted.folds);
    let mut judges = Vec::with_capacity(wanted.folds);
    for fold in 0..wanted.folds {
        let others: Vec<Row> =
            rows.iter().zip(&fold_of).filter(|(_, of)| **of != fold).map(|(row, _)| row.clone()).collect();
        judges.push(fit(&others, wanted)?.0);
    }
    Ok(CrossFitted { judges, fold_of })
}

/// The fold of each row: documents whole, the largest first into the emptiest fold. No chance in it.
pub fn folds(rows: &[Row], folds: usize) -> Vec<usize> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *sizes.entry(&row.group).or_default() += 1;
    }
    let mut groups: Vec<(&str, usize)> = sizes.into_iter().collect();
    // Stable: groups of one size stay in order of their names.
    groups.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let mut filled = vec![0usize; folds.max(1)];
    let mut fold_of_group: BTreeMap<&str, usize> = BTreeMap::new();
    for (group, size) in groups {
        let emptiest = (0..filled.len()).min_by_key(|fold| filled[*fold]).unwrap_or(0);
        filled[emptiest] += size;
        fold_of_group.insert(group, emptiest);
    }
    rows.iter().map(|row| fold_of_group.get(row.group.as_str()).copied().unwrap_or(0)).collect()
}

/// The judge, and the out-of-fold confidence of each row.
fn fit(rows: &[Row], wanted: &Wanted) -> Result<(Fitted, Vec<f64>)> {
    check(rows, wanted)?;
    let right = rows.iter().filter(|row| row.right).count();
    if right < FEWEST || rows.len() - right < FEWEST {
        let found = format!("{right} right and {} others", rows.len() - right);
        return Err(Error::invalid("the labels to fit on", found, format!("at least {FEWEST} of each")));
    }
    let fold_of = folds(rows, wanted.folds);
    let mut scores = vec![0.0; rows.len()];
    for fold in 0..wanted.folds {
        let others: Vec<&Row> = rows.iter().zip(&fold_of).filter(|(_, of)| **of != fold).map(|(row, _)| row).collect();
        let judge = uncalibrated(&others, wanted);
        for (at, row) in rows.iter().enumerate().filter(|(at, _)| fold_of[*at] == fold) {
            scores[at] = judge.score(&row.features);
        }
    }
    let labels: Vec<bool> = rows.iter().map(|row| row.right).collect();
    let calibration = if rows.len() < LABELS_FOR_ISOTONIC {
        Calibration::platt(&scores, &labels)
    } else {
        Calibration::isotonic(&scores, &labels)
    };
    let confidences: Vec<f64> = scores.iter().map(|score| calibration.probability(*score)).collect();
    let mut judge = uncalibrated(&rows.iter().collect::<Vec<_>>(), wanted);
    judge.calibration = calibration;
    for lang in Lang::ALL {
        let part = of_lang(rows, &confidences, lang);
        let scored: Vec<(f64, bool)> = part.iter().map(|(row, confidence)| (*confidence, row.right)).collect();
        // Nothing of a language, or nothing good enough: never answer in it.
        let answer = certify::tuned(&scored, wanted.risk).unwrap_or(1.0);
        judge
            .thresholds
            .insert(lang, Thresholds { answer, offer: offer_threshold(&part, answer, wanted.useful_offers) });
    }
    Ok((judge, confidences))
}

/// The rows of a language that the guard leaves to the judge, with their confidences.
fn of_lang<'r>(rows: &'r [Row], confidences: &[f64], lang: Lang) -> Vec<(&'r Row, f64)> {
    rows.iter()
        .zip(confidences)
        .filter(|(row, _)| row.lang == lang && !row.guarded)
        .map(|(row, of)| (row, *of))
        .collect()
}

/// The lowest threshold at which, of all questions between it and `answer`, the wanted share finds a right document
/// among the offers; `answer` itself (no offers) where none is good enough.
fn offer_threshold(part: &[(&Row, f64)], answer: f64, useful: f64) -> f64 {
    let offered = part.iter().filter(|(_, confidence)| *confidence < answer);
    let scored: Vec<(f64, bool)> = offered.map(|(row, confidence)| (*confidence, row.offer_hits)).collect();
    certify::tuned(&scored, 1.0 - useful).unwrap_or(answer).min(answer)
}

/// Standardised logistic, calibration left open (the sigmoid itself).
fn uncalibrated(rows: &[&Row], wanted: &Wanted) -> Fitted {
    let dims = wanted.feature_names.len();
    let n = rows.len().max(1) as f64;
    let mean = |of: &dyn Fn(&Row) -> f64| rows.iter().map(|row| of(row)).sum::<f64>() / n;
    let means: Vec<f64> = (0..dims).map(|at| mean(&|row| row.features[at])).collect();
    let scales: Vec<f64> = (0..dims)
        .map(|at| {
            let deviation = mean(&|row| (row.features[at] - means[at]).powi(2)).sqrt();
            if deviation > 1e-9 { deviation } else { 1.0 }
        })
        .collect();
    let standardised: Vec<Vec<f64>> =
        rows.iter().map(|row| (0..dims).map(|at| (row.features[at] - means[at]) / scales[at]).collect()).collect();
    let standardised: Vec<&[f64]> = standardised.iter().map(Vec::as_slice).collect();
    let targets: Vec<f64> = rows.iter().map(|row| f64::from(u8::from(row.right))).collect();
    let logistic = Logistic::fit(&standardised, &targets, wanted.decay);
    Fitted {
        kind: "calibrated".to_owned(),
        about: wanted.about.clone(),
        fingerprint: wanted.fingerprint.clone(),
        knowledge: wanted.knowledge.clone(),
        feature_names: wanted.feature_names.clone(),
        means,
        scales,
        weights: if logistic.weights.is_empty() { vec![0.0; dims] } else { logistic.weights },
        bias: logistic.bias,
        calibration: Calibration::Platt { slope: 1.0, offset: 0.0 },
        thresholds: BTreeMap::new(),
        certificates: BTreeMap::new(),
        labels: rows.len(),
    }
}

fn check(rows: &[Row], wanted: &Wanted) -> Result<()> {
    let in_unit = |value: f64| value > 0.0 && value < 1.0;
    if !in_unit(wanted.risk) || !in_unit(wanted.level) || wanted.folds < 2 {
        let found = format!("risk {}, level {}, {} folds", wanted.risk, wanted.level, wanted.folds);
        return Err(Error::invalid(
            "what to calibrate for",
            found,
            "risk and level between 0 and 1, two folds or more",
        ));
    }
    let dims = wanted.feature_names.len();
    for row in rows {
        if row.features.len() != dims {
            return Err(Error::invalid(
                "a row of features",
                format!("{} numbers", row.features.len()),
                format!("{dims}"),
            ));
        }
        if let Some(at) = row.features.iter().position(|x| !x.is_finite()) {
            return Err(Error::invalid(
                format!("the feature `{}`", wanted.feature_names[at]),
                "no number",
                "a finite number",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{
        fit::sigmoid,
        intervals::Draws,
        metrics::{auroc, ece, ece_floor},
    };

    /// Two features that matter on odd scales, one that never varies; P(right) = sigmoid(2 a - b).
    fn rows(n: usize, seed: u64) -> Vec<Row> {
        let mut draws = Draws::new(seed);
        (0..n)
            .map(|at| {
                let (a, b) = (4.0 * draws.unit() - 2.0, 2.0 * draws.unit());
                let right = draws.unit() < sigmoid(2.0 * a - b);
                Row {
                    features: vec![100.0 * a, b / 100.0 + 7.0, 3.0],
                    right,
                    answerable: right || draws.unit() < 0.5,
                    offer_hits: right || draws.unit() < 0.3,
                    guarded: false,
                    lang: if at % 2 == 0 { Lang::Zh } else { Lang::En },
                    group: format!("document {}", at / 3),
                }
            })
            .collect()
    }

    fn wanted() -> Wanted {
        Wanted::new(["a", "b", "c"].map(str::to_owned).to_vec(), jiff::civil::date(2026, 11, 22))
    }

    #[test]
    fn a_judge_is_calibrated_on_questions_it_has_not_seen() {
        for n in [600, 2400] {
            let judge = calibrate(&rows(n, 1), &[], &wanted()).unwrap().judge;
            assert_eq!(matches!(judge.calibration, Calibration::Platt { .. }), n == 600);
            let unseen: Vec<(f64, f64)> = rows(1500, 2)
                .iter()
                .map(|row| (judge.confidence(&row.features), f64::from(u8::from(row.right))))
                .collect();
            let (ece, floor) = (ece(&unseen).unwrap(), ece_floor(&unseen).unwrap());
            assert!(ece <= 1.3 * floor, "{n}: {ece} against {floor}");
            let of = |right: f64| unseen.iter().filter(|one| one.1 == right).map(|one| one.0).collect::<Vec<_>>();
            assert!(auroc(&of(1.0), &of(0.0)).unwrap() > 0.85);
        }
    }

    #[test]
    fn a_judge_file_reads_back_as_it_was() {
        let judge = calibrate(&rows(400, 1), &rows(400, 2), &wanted()).unwrap().judge;
        let text = serde_json::to_string(&judge).unwrap();
        for part in [r#""features":["a","b","c"]"#, r#""by":"platt","slope":"#, r#""thresholds":{"zh":{"answer":"#] {
            assert!(text.contains(part), "{text}");
        }
        let read: Fitted = serde_json::from_str(&text).unwrap();
        for row in rows(20, 3) {
            assert!((read.confidence(&row.features) - judge.confidence(&row.features)).abs() < 1e-12);
        }
    }

    #[test]
    fn documents_stay_whole_and_folds_even() {
        let rows = rows(100, 1);
        let fold_of = folds(&rows, 5);
        let mut sizes = [0; 5];
        for (row, fold) in rows.iter().zip(&fold_of) {
            sizes[*fold] += 1;
            let other = rows.iter().zip(&fold_of).find(|(other, _)| other.group == row.group);
            assert_eq!(other.map(|(_, fold)| fold), Some(fold));
        }
        assert!(sizes.iter().all(|size| (18..=22).contains(size)), "{sizes:?}");
        let cross = cross_validate(&rows, &wanted()).unwrap();
        assert_eq!((cross.judges.len(), cross.fold_of), (5, fold_of));
    }

    #[test]
    fn a_label_of_a_fold_does_not_reach_the_judge_that_scores_it() {
        let before = rows(200, 1);
        let cross = cross_validate(&before, &wanted()).unwrap();
        let mut turned = before.clone();
        for (row, fold) in turned.iter_mut().zip(&cross.fold_of) {
            row.right ^= *fold == 2;
        }
        let after = cross_validate(&turned, &wanted()).unwrap();
        assert_eq!(cross.judges[2], after.judges[2]);
        assert_ne!(cross.judges[1], after.judges[1]);
    }

    #[test]
    fn a_certificate_needs_enough_labels_and_says_so_first() {
        // Far apart: certain questions at a = 2, hopeless ones at a = -2.
        let apart = |n: usize| -> Vec<Row> {
            let mut rows = rows(n, 5);
            for (at, row) in rows.iter_mut().enumerate() {
                (row.right, row.answerable, row.offer_hits) = (at % 4 < 2, at % 4 < 2, at % 4 < 2);
                row.features[0] = if row.right { 200.0 } else { -200.0 } + (at % 50) as f64;
            }
            rows
        };
        let few = calibrate(&apart(400), &apart(400), &wanted()).unwrap();
        assert!(few.said[0].contains("you have 100: the best you can certify is 3%"), "{:?}", few.said);
        assert!(few.judge.certificates.is_empty() && few.said[1].contains("no certificate"));
        let many = calibrate(&apart(400), &apart(2000), &wanted()).unwrap();
        let certificate = &many.judge.certificates[&Lang::Zh];
        assert!(certificate.answered >= 299 && certificate.errors <= 5 && certificate.risk <= 0.01, "{certificate:?}");
        let thresholds = many.judge.thresholds[&Lang::Zh];
        assert!(thresholds.offer <= thresholds.answer);
    }

    #[test]
    fn what_cannot_be_fitted_is_refused_in_words() {
        let few = calibrate(&rows(4, 1), &[], &wanted()).unwrap_err().to_string();
        assert!(few.contains("at least 5 of each"), "{few}");
        let mut broken = rows(50, 1);
        broken[3].features[1] = f64::NAN;
        assert!(calibrate(&broken, &[], &wanted()).unwrap_err().to_string().contains("`b`"));
        broken[3].features.pop();
        assert!(calibrate(&broken, &[], &wanted()).unwrap_err().to_string().contains("2 numbers"));
    }
}
