//! What is handed over: the JSON of the contract, with every question, and a Markdown page. The HTML page is in
//! [`html`](super::html).

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use super::{
    baseline::Comparison,
    blame::Blame,
    calibrate::Thresholds,
    cases::{self, CaseFigures, CaseRecord},
    certify::Certificate,
    intervals,
    metrics::{self, Figures, Slice},
    record::Record,
    suite::{BadLine, Suite},
};
use crate::{error::plural, words::Lang};

/// Questions named that only moved against a baseline.
const MOVED: usize = 10;

/// Everything about a run. The names of [`Figures`] stand at the top level: they are a contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The suite's name.
    pub suite: String,
    /// The suite's notes.
    pub notes: String,
    /// Which judge decided: `label-free`, `file` or `cross-validated`.
    pub judge: String,
    /// What that judge decides by.
    pub judge_details: JudgeDetails,
    /// `questions`, `retrieval`, `decision`, `answers`, `latency_ms`, `details`.
    #[serde(flatten)]
    pub figures: Figures,
    /// The same for each part of the questions.
    pub slices: Vec<Slice>,
    /// The written cases; null without labelled ones.
    #[serde(default)]
    pub cases: Option<CaseFigures>,
    /// Misses by the step to blame.
    pub blame: BTreeMap<Blame, usize>,
    /// Where the time went.
    pub time: Vec<StepTime>,
    /// Against a baseline, when there was one.
    pub comparison: Option<Comparison>,
    /// Lines of the suite that could not be used.
    pub bad_lines: Vec<BadLine>,
    /// Documents that labels name and the knowledge does not have.
    pub unknown_documents: Vec<String>,
    /// How it was run; the only part, with the times, that differs on a rerun.
    pub how: How,
    /// Every question.
    pub records: Vec<Record>,
    /// Every labelled case.
    #[serde(default)]
    pub case_records: Vec<CaseRecord>,
}

/// What a judge decides by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgeDetails {
    /// The file it came from.
    pub file: Option<String>,
    /// By language; none where each fold has its own.
    pub thresholds: BTreeMap<Lang, Thresholds>,
    /// By language; none where nothing is promised.
    pub certificates: BTreeMap<Lang, Certificate>,
}

/// Time spent in one step of the turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepTime {
    /// The step.
    pub step: String,
    /// Turns that had it.
    pub n: usize,
    /// Nearest-rank median.
    pub p50_ms: f64,
    /// Nearest-rank 99th percentile.
    pub p99_ms: f64,
    /// All turns together.
    pub total_s: f64,
}

/// How it was run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct How {
    /// When it began, UTC.
    pub started: String,
    /// Seconds of wall-clock, without ingest.
    pub seconds: f64,
    /// CPU seconds of the process in that time, where the system tells.
    pub cpu_seconds: Option<f64>,
    /// Logical processors.
    pub cores: usize,
    /// Deskhand's version.
    pub version: String,
    /// The build: `debug` figures say nothing about speed.
    pub build: String,
    /// Anything else that a reader needs: fingerprint, knowledge hash, command line.
    pub facts: BTreeMap<String, String>,
}

impl Report {
    /// Computes everything from the records of a run.
    pub fn new(suite: &Suite, records: Vec<Record>, judge: &str, judge_details: JudgeDetails, how: How) -> Report {
        let all: Vec<&Record> = records.iter().collect();
        let mut blame = BTreeMap::new();
        for step in records.iter().filter_map(|record| record.blame) {
            *blame.entry(step).or_default() += 1;
        }
        Report {
            suite: suite.name.clone(),
            notes: suite.notes.clone(),
            judge: judge.to_owned(),
            judge_details,
            figures: metrics::figures(&all, true),
            slices: metrics::slices(&all),
            cases: None,
            blame,
            time: time(&records),
            comparison: None,
            bad_lines: suite.bad.clone(),
            unknown_documents: Vec::new(),
            how,
            records,
            case_records: Vec::new(),
        }
    }

    /// The same report with the written cases.
    pub fn with_cases(self, records: Vec<CaseRecord>) -> Report {
        Report { cases: cases::figures(&records), case_records: records, ..self }
    }

    /// Misses, the worst first: wrong answers by confidence, then broken turns, then what was held back though it
    /// was known.
    pub fn worst(&self, limit: usize) -> Vec<&Record> {
        let mut misses: Vec<&Record> = self.records.iter().filter(|record| record.blame.is_some()).collect();
        misses.sort_by(|a, b| {
            let sort = |record: &Record| (!record.is_wrong(), record.blame != Some(Blame::Error), record.is_right());
            sort(a)
                .cmp(&sort(b))
                .then_with(|| b.did.confidence.total_cmp(&a.did.confidence))
                .then_with(|| a.label.id.cmp(&b.label.id))
        });
        misses.truncate(limit);
        misses
    }

    /// The page as Markdown: headline, slices, misses, flips.
    pub fn markdown(&self) -> String {
        let mut page = String::new();
        let mut line = |text: String| {
            page.push_str(&text);
            page.push('\n');
        };
        line(format!("# {}: {}, judge {}\n", self.suite, plural(self.figures.questions, "question"), self.judge));
        line("| figure | value | 95% interval | count | n |\n| --- | ---: | --- | ---: | ---: |".to_owned());
        for (name, value) in headline(&self.figures) {
            let detail = self.figures.details.values().find_map(|room| room.get(name));
            let interval = between(detail.and_then(|detail| detail.interval));
            let (count, n) = (detail.and_then(|detail| detail.count), detail.map(|detail| detail.n));
            let number = |number: Option<usize>| number.map_or(String::new(), |number| number.to_string());
            line(format!("| {name} | {} | {interval} | {} | {} |", show(value), number(count), number(n)));
        }
        line(
            "\n| slice | n | recall@1 | AUROC | coverage | wrong |\n| --- | ---: | ---: | ---: | ---: | ---: |"
                .to_owned(),
        );
        for slice in &self.slices {
            let of = &slice.figures;
            let mark = if of.small { " (few)" } else { "" };
            let values =
                [of.retrieval.recall_at_1, of.decision.auroc, of.decision.coverage, of.decision.wrong_answer_rate]
                    .map(show);
            line(format!("| {} {} | {}{mark} | {} |", slice.by, cell(&slice.slice), of.questions, values.join(" | ")));
        }
        if let Some(cases) = &self.cases {
            line(case_table(cases));
        }
        line(format!(
            "\nMisses by step: {}",
            self.blame.iter().map(|(step, n)| format!("{} {n}", step.as_str())).collect::<Vec<_>>().join(", ")
        ));
        for record in self.worst(20) {
            let step = record.blame.map_or("", Blame::as_str);
            line(format!(
                "- `{}` {step}, {:.3}: {}",
                cell(&record.label.id),
                record.did.confidence,
                cell(&record.label.question)
            ));
        }
        if let Some(comparison) = &self.comparison {
            line(format!("\n## Against the baseline: {}\n", plural(comparison.flips.len(), "flip")));
            line(change_table(comparison));
            for failure in &comparison.failures {
                line(format!("- fails: {failure}"));
            }
            for flip in &comparison.flips {
                let side = |side: &super::baseline::Side| {
                    let (outcome, right) = (format!("{:?}", side.outcome), if side.right { "right" } else { "wrong" });
                    let documents = side.documents.join(", ");
                    format!("{} ({right}), {} {:.3} {documents}", outcome.to_lowercase(), side.code, side.confidence)
                };
                line(format!("- `{}` {} → {}", cell(&flip.id), cell(&side(&flip.before)), cell(&side(&flip.after))));
            }
            if !comparison.moved.is_empty() {
                let named: Vec<String> =
                    comparison.moved.iter().take(MOVED).map(|id| format!("`{}`", cell(id))).collect();
                let more = comparison.moved.len().saturating_sub(MOVED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                line(format!(
                    "\n{} more ended as before, with another first document or for another reason: {}{more}",
                    comparison.moved.len(),
                    named.join(", ")
                ));
            }
        }
        page
    }
}

/// The written cases as a Markdown table.
fn case_table(cases: &CaseFigures) -> String {
    let mut lines = vec![
        format!(
            "\n## {}: F1 {}, {} invented\n",
            plural(cases.cases, "written case"),
            show(cases.slots.f1),
            cases.invented
        ),
        "| figure | value | 95% interval | n |\n| --- | ---: | --- | ---: |".to_owned(),
    ];
    for (name, rate) in cases.rates() {
        lines.push(format!("| {name} | {} | {} | {} |", show(rate.value), between(rate.interval), rate.n));
    }
    lines.join("\n")
}

/// Every figure before and after on the common questions, and the paired interval of the difference.
fn change_table(comparison: &Comparison) -> String {
    let head = format!(
        "{}\n\n| figure | before | now | 95% interval of the difference |\n| --- | ---: | ---: | --- |",
        plural(comparison.common, "common question")
    );
    let rows = comparison.changes.iter().map(|change| {
        let difference = change.difference.map_or(String::new(), |of| format!("{:+.3} to {:+.3}", of.low, of.high));
        format!("| {} | {} | {} | {difference} |", change.figure, show(change.before), show(change.after))
    });
    std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n") + "\n"
}

/// An interval in words; empty where there is none.
pub fn between(interval: Option<intervals::Interval>) -> String {
    interval.map_or(String::new(), |of| format!("{:.3} – {:.3}", of.low, of.high))
}

/// The figures that a reader looks at first, in order.
pub fn headline(figures: &Figures) -> Vec<(&'static str, Option<f64>)> {
    let (retrieval, decision, answers) = (&figures.retrieval, &figures.decision, &figures.answers);
    let at_risk = |risk: &str| decision.coverage_at_risk.get(risk).copied().flatten();
    vec![
        ("recall_at_1", retrieval.recall_at_1),
        ("recall_at_5", retrieval.recall_at_5),
        ("mrr_at_10", retrieval.mrr_at_10),
        ("auroc", decision.auroc),
        ("auroc_near", decision.auroc_near),
        ("auroc_far", decision.auroc_far),
        ("auroc_correct", decision.auroc_correct),
        ("aurc", decision.aurc),
        ("coverage", decision.coverage),
        ("coverage_at_risk_0.01", at_risk("0.01")),
        ("coverage_at_risk_0.02", at_risk("0.02")),
        ("coverage_at_risk_0.05", at_risk("0.05")),
        ("wrong_answer_rate", decision.wrong_answer_rate),
        ("wrong_upper_95", decision.wrong_upper_95),
        ("handoff_precision", decision.handoff_precision),
        ("handoff_recall", decision.handoff_recall),
        ("offer_rate", decision.offer_rate),
        ("offer_hit", decision.offer_hit),
        ("ece", decision.ece),
        ("ece_floor", decision.ece_floor),
        ("brier", decision.brier),
        ("grounded", answers.grounded),
        ("unsupported", answers.unsupported.map(|count| count as f64)),
        ("citations_resolved", answers.citations_resolved),
        ("nugget_recall", answers.nugget_recall),
    ]
}

/// Three digits; a dash for what does not exist.
pub fn show(value: Option<f64>) -> String {
    let mut text = String::new();
    match value {
        Some(value) if value.fract() == 0.0 && value > 1.0 => write!(text, "{value:.0}"),
        Some(value) => write!(text, "{value:.3}"),
        None => write!(text, "–"),
    }
    .map(|()| text)
    .unwrap_or_default()
}

/// Text from outside in one table cell: no line breaks, no bars, no markup.
fn cell(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.replace('&', "&amp;").replace('<', "&lt;").replace(['|', '`', '[', ']'], " ")
}

fn time(records: &[Record]) -> Vec<StepTime> {
    let mut order: Vec<&str> = Vec::new();
    let mut spent: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (step, ms) in records.iter().flat_map(|record| &record.did.steps) {
        if !spent.contains_key(step.as_str()) {
            order.push(step);
        }
        spent.entry(step).or_default().push(*ms);
    }
    order
        .into_iter()
        .map(|step| {
            let times = &spent[step];
            StepTime {
                step: step.to_owned(),
                n: times.len(),
                p50_ms: intervals::percentile(times, 50.0).unwrap_or(0.0),
                p99_ms: intervals::percentile(times, 99.0).unwrap_or(0.0),
                total_s: times.iter().sum::<f64>() / 1000.0,
            }
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::eval::{
        baseline::{Tolerance, compare},
        blame::blame,
        metrics::tests::record,
        suite::{Distance, Ending},
    };

    pub(crate) fn report() -> Report {
        let mut records: Vec<Record> = (0..60)
            .map(|at| {
                let answerable = at % 3 != 0;
                let confidence = f64::from(at % 20) / 20.0;
                let outcome = if confidence > 0.5 { Ending::Answer } else { Ending::Handoff };
                let mut record = record(
                    &format!("q{at:02}"),
                    answerable,
                    if at % 5 == 0 { &["x", "d"] } else { &["d", "x"] },
                    outcome,
                    confidence,
                );
                record.label.question = format!("<script>alert({at})</script> | 提现?");
                record.label.distance = (!answerable).then_some(Distance::Near);
                record.did.features.insert("top_cosine".to_owned(), confidence);
                record.did.steps = vec![("guard".to_owned(), 0.1), ("embed".to_owned(), f64::from(at))];
                record
            })
            .collect();
        records.iter_mut().for_each(|record| record.blame = blame(record));
        let suite = Suite { name: "sample".to_owned(), ..Suite::default() };
        let mut report = Report::new(&suite, records.clone(), "label-free", JudgeDetails::default(), How::default());
        let mut before = records;
        before[11].did.outcome = Ending::Handoff;
        before[11].did.text = "<b>earlier</b>".to_owned();
        report.comparison = Some(compare(&before, &report.records, Tolerance::default()));
        report.with_cases(vec![cases::tests::record()])
    }

    #[test]
    fn the_json_has_the_names_of_the_contract() {
        let json = serde_json::to_value(report()).unwrap();
        let names = [
            ("retrieval", &["recall_at_1", "recall_at_5", "mrr_at_10"][..]),
            (
                "decision",
                &[
                    "auroc",
                    "auroc_near",
                    "auroc_far",
                    "aurc",
                    "ece",
                    "ece_floor",
                    "brier",
                    "coverage",
                    "coverage_at_risk",
                    "wrong_answer_rate",
                    "wrong_upper_95",
                    "handoff_precision",
                    "handoff_recall",
                    "offer_rate",
                    "offer_hit",
                ],
            ),
            ("answers", &["grounded", "unsupported", "citations_resolved", "nugget_recall"]),
            ("latency_ms", &["p50", "p95", "p99"]),
        ];
        let slice = &json["slices"][0];
        for (room, names) in names {
            for name in names {
                let plain =
                    |value: &serde_json::Value| value.is_number() || value.is_null() || *name == "coverage_at_risk";
                assert!(json[room].get(*name).is_some_and(plain), "{room}.{name}");
                assert!(slice[room].get(*name).is_some_and(plain), "slice {room}.{name}");
            }
        }
        assert_eq!((json["questions"].as_u64(), json["judge"].as_str()), (Some(60), Some("label-free")));
        assert!(["0.01", "0.02", "0.05"].iter().all(|risk| json["decision"]["coverage_at_risk"][risk].is_number()));
        assert_eq!(json["details"]["retrieval"]["recall_at_1"]["n"], 40);
        assert!(json["details"]["decision"]["auroc"]["interval"]["low"].is_number());
        assert_eq!(json["records"][1]["id"], "q01");
        assert_eq!((&json["cases"]["slots"]["recall"]["n"], &json["case_records"][0]["id"]), (&3.into(), &"c1".into()));
    }

    #[test]
    fn a_report_reads_back_as_a_baseline() {
        let report = report();
        let read: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert!(compare(&read.records, &report.records, Tolerance::default()).flips.is_empty());
        assert_eq!(read.blame, report.blame);
    }

    #[test]
    fn the_worst_miss_is_the_surest_wrong_answer() {
        let report = report();
        let worst = report.worst(5);
        assert!(worst[0].is_wrong());
        assert!(worst.windows(2).all(|two| !two[1].is_wrong() || two[0].did.confidence >= two[1].did.confidence));
    }

    #[test]
    fn the_markdown_keeps_questions_in_their_cells() {
        let page = report().markdown();
        assert!(page.contains("| recall_at_1 | 0.800 |") && page.contains("&lt;script>"), "{page}");
        assert!(!page.contains("<script"));
        assert!(
            page.contains("60 common questions") && page.contains("| recall_at_1 | 0.800 | 0.800 | +0.000 to +0.000 |"),
            "{page}"
        );
        assert!(page.contains("1 written case: F1") && page.contains("| slot_recall | 0.333 |"), "{page}");
        let oracle = report().figures.decision.coverage_at_risk["0.05"];
        let row = page.lines().find(|line| line.starts_with("| coverage_at_risk_0.05 |")).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (count, n): (f64, f64) = (cells[4].parse().unwrap(), cells[5].parse().unwrap());
        assert_eq!((cells[2], n), (show(oracle).as_str(), 40.0), "{row}");
        assert!((count / n - oracle.unwrap()).abs() < 1e-9, "{row}");
        assert!(page.contains("baseline: 1 flip\n") && page.contains("handoff (wrong)"), "{page}");
        assert_eq!(show(None), "–");
    }

    #[test]
    fn time_is_by_step_in_the_turns_order() {
        let time = report().time;
        assert_eq!(time.iter().map(|of| of.step.as_str()).collect::<Vec<_>>(), ["guard", "embed"]);
        assert_eq!((time[1].n, time[1].p50_ms, time[1].p99_ms), (60, 29.0, 59.0));
    }
}
