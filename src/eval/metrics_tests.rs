//! Every figure against a small example worked out by hand.

use proptest::prelude::*;

use super::*;
use crate::{
    eval::record::{Did, Label},
    words::Lang,
};

/// A question whose only right document is `d`, when it is answerable. An answer cites the first of the ranking, an
/// offer offers the whole ranking.
pub(crate) fn record(id: &str, answerable: bool, ranking: &[&str], outcome: Ending, confidence: f64) -> Record {
    let ranking: Vec<String> = ranking.iter().map(|id| (*id).to_owned()).collect();
    let label = Label {
        id: id.to_owned(),
        question: format!("question {id}"),
        history: Vec::new(),
        lang: Lang::En,
        kind: None,
        topic: None,
        split: None,
        turn: 1,
        must: false,
        answerable,
        accepted: if answerable { vec!["d".to_owned()] } else { Vec::new() },
        expected: Vec::new(),
        distance: None,
        group: id.to_owned(),
    };
    let cited = ranking.iter().take(1).filter(|_| outcome == Ending::Answer).cloned().collect();
    let offered = if outcome == Ending::Offer { ranking.clone() } else { Vec::new() };
    let code = if outcome == Ending::Answer { "confident" } else { "low_confidence" };
    let did = Did {
        outcome,
        mode: None,
        code: code.to_owned(),
        why: String::new(),
        text: String::new(),
        confidence,
        ranking,
        cited,
        offered,
        features: BTreeMap::new(),
        vector: Vec::new(),
        ms: 1.0,
        steps: Vec::new(),
    };
    Record { label, did, checked: None, blame: None }
}

/// 5 answerable, 5 not.
///
/// | | A | ranking | outcome | confidence | y |
/// | --- | --- | --- | --- | --- | --- |
/// | a | yes | d | answer | .9 | 1 |
/// | b | yes | x d | answer, wrong | .8 | 0 |
/// | c | yes | d | offer, hit | .5 | 1 |
/// | d | yes | x y z w v d | handoff | .4 | 0 |
/// | e | yes | (nothing) | offer, no hit | .1 | 0 |
/// | f | near_miss | x | answer, wrong | .8 | 0 |
/// | g | near_miss | x | handoff | .4 | 0 |
/// | h | off_topic | x | offer | .1 | 0 |
/// | i | off_topic | x | handoff | .2 | 0 |
/// | j | human_request | x | offer | .3 | 0 |
fn ten() -> Vec<Record> {
    use Ending::{Answer, Handoff, Offer};
    let mut records = vec![
        record("a", true, &["d"], Answer, 0.9),
        record("b", true, &["x", "d"], Answer, 0.8),
        record("c", true, &["d"], Offer, 0.5),
        record("d", true, &["x", "y", "z", "w", "v", "d"], Handoff, 0.4),
        record("e", true, &[], Offer, 0.1),
        record("f", false, &["x"], Answer, 0.8),
        record("g", false, &["x"], Handoff, 0.4),
        record("h", false, &["x"], Offer, 0.1),
        record("i", false, &["x"], Handoff, 0.2),
        record("j", false, &["x"], Offer, 0.3),
    ];
    let kinds = ["near_miss", "near_miss", "off_topic", "off_topic", "human_request"];
    for (record, kind) in records[5..].iter_mut().zip(kinds) {
        record.label.kind = Some(kind.to_owned());
        record.label.distance = match kind {
            "near_miss" => Some(Distance::Near),
            "off_topic" => Some(Distance::Far),
            _ => None,
        };
    }
    records
}

fn near(value: Option<f64>, expected: f64) {
    assert!(value.is_some_and(|value| (value - expected).abs() < 1e-9), "{value:?} is not {expected}");
}

fn all(records: &[Record]) -> Figures {
    figures(&records.iter().collect::<Vec<_>>(), true)
}

#[test]
fn retrieval_by_hand() {
    let figures = all(&ten());
    near(figures.retrieval.recall_at_1, 2.0 / 5.0);
    near(figures.retrieval.recall_at_5, 3.0 / 5.0);
    near(figures.retrieval.mrr_at_10, (1.0 + 0.5 + 1.0 + 1.0 / 6.0) / 5.0);
    let detail = &figures.details["retrieval"]["recall_at_1"];
    assert_eq!((detail.count, detail.n, detail.interval), (Some(2), 5, intervals::wilson(2, 5)));
}

#[test]
fn auroc_by_hand() {
    let figures = all(&ten());
    // A .9 .8 .5 .4 .1 against not A .8 .4 .1 .2 .3: 5 + 4.5 + 4 + 3.5 + 0.5 of 25.
    near(figures.decision.auroc, 17.5 / 25.0);
    // Near .8 .4: 2 + 1.5 + 1 + 0.5 + 0 of 10. Far .1 .2: 2 + 2 + 2 + 2 + 0.5 of 10.
    near(figures.decision.auroc_near, 5.0 / 10.0);
    near(figures.decision.auroc_far, 8.5 / 10.0);
    // y .9 .5 against .8 .4 .1 .8 .4 .1 .2 .3: 8 + 6 of 16.
    near(figures.decision.auroc_correct, 14.0 / 16.0);
    assert_eq!(auroc(&[], &[0.5]), None);
}

#[test]
fn risk_by_hand() {
    // Right, wrong, wrong (tied), right, then six wrong.
    let figures = all(&ten());
    let errors = [0.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    near(figures.decision.aurc, errors.iter().zip(1..).map(|(errors, k)| errors / f64::from(k)).sum::<f64>() / 10.0);
    for risk in ["0.01", "0.02", "0.05"] {
        near(figures.decision.coverage_at_risk[risk], 1.0 / 5.0);
    }
}

#[test]
fn equal_confidences_are_taken_together() {
    // One right and one wrong, equally sure: no k has an error rate of 0.
    let mut records =
        vec![record("a", true, &["d"], Ending::Answer, 0.5), record("b", true, &["x"], Ending::Answer, 0.5)];
    near(all(&records).decision.coverage_at_risk["0.05"], 0.0);
    near(all(&records).decision.aurc, 0.5);
    records.reverse();
    near(all(&records).decision.aurc, 0.5);
    records[1].did.confidence = 0.6;
    near(all(&records).decision.coverage_at_risk["0.05"], 0.5);
}

#[test]
fn a_later_k_counts_even_if_an_earlier_one_failed() {
    // Wrong first, then 99 right: 1% at k = 100 only.
    let mut records: Vec<Record> =
        (0..99).map(|at| record(&at.to_string(), true, &["d"], Ending::Answer, 0.5 - f64::from(at) / 1000.0)).collect();
    records.push(record("wrong", true, &["x"], Ending::Answer, 0.9));
    near(all(&records).decision.coverage_at_risk["0.01"], 0.99);
}

#[test]
fn the_decision_by_hand() {
    let decision = all(&ten()).decision;
    near(decision.coverage, 2.0 / 5.0);
    near(decision.wrong_answer_rate, 2.0 / 3.0);
    assert_eq!(decision.wrong_upper_95, intervals::upper_bound(2, 3, 0.95));
    // Handoffs d g i; right on g and i.
    near(decision.handoff_precision, 2.0 / 3.0);
    // Needed on f g j; done on g.
    near(decision.handoff_recall, 1.0 / 3.0);
    near(decision.offer_rate, 4.0 / 10.0);
    near(decision.offer_hit, 1.0 / 2.0);
}

#[test]
fn a_suite_overrides_the_defaults() {
    let mut records = ten();
    // d is answerable and wants a person; j wants the offer that it got.
    records[3].label.expected = vec![Ending::Handoff];
    records[9].label.expected = vec![Ending::Offer];
    let decision = all(&records).decision;
    near(decision.handoff_precision, 1.0);
    // Needed on d f g; done on d and g.
    near(decision.handoff_recall, 2.0 / 3.0);
    // A right document is still a wrong answer where a person was needed.
    records[0].label.expected = vec![Ending::Handoff];
    near(all(&records).decision.wrong_answer_rate, 1.0);
}

#[test]
fn calibration_by_hand() {
    // 10 questions make 10 bins of one: but .8, .4 and .1 are tied, and all of them wrong.
    let figures = all(&ten());
    near(figures.decision.ece, (0.1 + 0.8 + 0.5 + 0.4 + 0.1 + 0.8 + 0.4 + 0.1 + 0.2 + 0.3) / 10.0);
    near(figures.decision.brier, (0.01 + 0.64 + 0.25 + 0.16 + 0.01 + 0.64 + 0.16 + 0.01 + 0.04 + 0.09) / 10.0);
    // 30 questions in 15 bins of two: .2 is right half the time, .7 always.
    let scored: Vec<(f64, f64)> =
        (0..30).map(|at| if at < 20 { (0.2, f64::from(at % 2)) } else { (0.7, 1.0) }).collect();
    near(ece(&scored), (20.0 * 0.3 + 10.0 * 0.3) / 30.0);
    let bins = bins(&scored);
    assert_eq!((bins.len(), bins[0].n), (15, 2));
    assert!((bins[0].right - 0.5).abs() < 1e-9 && (bins[14].right - 1.0).abs() < 1e-9);
}

#[test]
fn the_floor_separates_a_calibrated_judge_from_a_bold_one() {
    let mut draws = Draws::new(7);
    let honest: Vec<(f64, f64)> = (0..600)
        .map(|_| {
            let confidence = draws.unit();
            (confidence, f64::from(u8::from(draws.unit() < confidence)))
        })
        .collect();
    let bold: Vec<(f64, f64)> = honest.iter().map(|(confidence, y)| (confidence.sqrt(), *y)).collect();
    assert!(ece(&honest) <= ece_floor(&honest), "{:?} {:?}", ece(&honest), ece_floor(&honest));
    assert!(ece(&bold) > ece_floor(&bold));
    let mut turned = honest.clone();
    turned.reverse();
    assert_eq!(ece_floor(&honest), ece_floor(&turned));
}

#[test]
fn the_texts_by_hand() {
    let mut records = ten();
    records[0].checked =
        Some(Checked { grounded: Some(1.0), citations: 2, resolved: 1, vital: 2, matched: 2, ..Checked::default() });
    records[1].checked = Some(Checked {
        grounded: Some(0.5),
        unsupported: vec!["number 3".to_owned()],
        unsupported_before_gate: Some(vec!["number 3".to_owned()]),
        citations: 1,
        resolved: 1,
        vital: 3,
        matched: 1,
    });
    // Not sent as an answer: does not count.
    records[2].checked = Some(Checked { grounded: Some(0.0), citations: 9, ..Checked::default() });
    let figures = all(&records);
    near(figures.answers.grounded, 0.75);
    assert_eq!(figures.answers.unsupported, Some(1));
    near(figures.answers.citations_resolved, 2.0 / 3.0);
    near(figures.answers.nugget_recall, 3.0 / 5.0);
    let before = &figures.details["answers"]["unsupported_before_gate"];
    assert_eq!((before.count, before.n), (Some(1), 1));
}

#[test]
fn what_does_not_exist_is_null() {
    let figures = all(&[]);
    let json = serde_json::to_value(&figures).unwrap();
    for (room, name) in [
        ("retrieval", "recall_at_1"),
        ("decision", "auroc"),
        ("decision", "ece_floor"),
        ("answers", "unsupported"),
        ("latency_ms", "p99"),
    ] {
        assert!(json[room].get(name).is_some_and(serde_json::Value::is_null), "{room}.{name} in {json}");
    }
    assert!(json["decision"]["coverage_at_risk"]["0.01"].is_null());
    assert_eq!((json["questions"].as_u64(), json["small"].as_bool()), (Some(0), Some(true)));
}

#[test]
fn slices_are_by_what_questions_share() {
    let mut records = ten();
    records[0].label.lang = Lang::Zh;
    records[1].label.turn = 2;
    let found = slices(&records.iter().collect::<Vec<_>>());
    let of = |by: &str| -> Vec<(String, usize)> {
        found
            .iter()
            .filter(|slice| slice.by == by)
            .map(|slice| (slice.slice.clone(), slice.figures.questions))
            .collect()
    };
    let owned = |pairs: &[(&str, usize)]| pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(of("lang"), owned(&[("en", 9), ("zh", 1)]));
    assert_eq!(of("kind"), owned(&[("human_request", 1), ("near_miss", 2), ("off_topic", 2)]));
    assert_eq!(of("turn"), owned(&[("1", 9), (">=2", 1)]));
    assert_eq!(of("distance"), owned(&[("far", 2), ("near", 2)]));
    assert!(of("topic").is_empty() && found.iter().all(|slice| slice.figures.small));
}

proptest! {
    #[test]
    fn auroc_is_the_share_of_pairs_in_order(
        positive in proptest::collection::vec(0u8..6, 1..12),
        negative in proptest::collection::vec(0u8..6, 1..12),
    ) {
        let mut pairs = 0.0;
        for p in &positive {
            for n in &negative {
                pairs += match p.cmp(n) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
        let of = |scores: &[u8]| scores.iter().map(|score| f64::from(*score)).collect::<Vec<_>>();
        let value = auroc(&of(&positive), &of(&negative)).unwrap();
        prop_assert!((value - pairs / (positive.len() * negative.len()) as f64).abs() < 1e-12);
    }

    #[test]
    fn no_figure_depends_on_the_order_of_the_questions(
        scored in proptest::collection::vec((0u8..8, any::<bool>()), 1..40),
        turn in 0usize..40,
    ) {
        let of = |(score, y): &(u8, bool)| (f64::from(*score) / 8.0, f64::from(u8::from(*y)));
        let one: Vec<(f64, f64)> = scored.iter().map(of).collect();
        let mut other = one.clone();
        other.rotate_left(turn % one.len());
        for figure in [aurc, ece, brier] {
            let (a, b) = (figure(&one).unwrap(), figure(&other).unwrap());
            prop_assert!((a - b).abs() < 1e-12, "{} {}", a, b);
        }
    }
}
