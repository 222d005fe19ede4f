//! The report as one static HTML page: no network, light and dark, Chinese and English.
//!
//! Whatever customers wrote is escaped by the template engine; only our own plots go in as markup.

use std::collections::BTreeMap;

use minijinja::{Environment, Value, context};

use super::{
    blame::Blame,
    cases::{CaseFigures, CaseRecord, SlotValue},
    metrics, plots,
    record::Record,
    report::{Report, between, headline, show},
};
use crate::error::{Error, Result};

const TEMPLATE: &str = include_str!("report.html.jinja");
/// Misses shown with everything that explains them.
const WORST: usize = 40;
/// Flips shown side by side.
const FLIPS: usize = 200;

/// Renders the page.
///
/// # Errors
/// When the template does not fit the report, which is a bug.
pub fn render(report: &Report) -> Result<String> {
    let broken = || Error::outside("rendering the report");
    let json = serde_json::to_value(report).map_err(Error::outside("reading the report's fields"))?;
    let scored: Vec<(f64, f64)> = report
        .records
        .iter()
        .map(|record| (record.did.confidence, f64::from(u8::from(record.first_is_right()))))
        .collect();
    let confidences = |right: bool| -> Vec<f64> {
        report
            .records
            .iter()
            .filter(|record| record.first_is_right() == right)
            .map(|record| record.did.confidence)
            .collect()
    };
    let thresholds: Vec<f64> = report.judge_details.thresholds.values().map(|thresholds| thresholds.answer).collect();
    let mut environment = Environment::new();
    environment.add_template("report.html", TEMPLATE).map_err(broken())?;
    let page = environment.get_template("report.html").map_err(broken())?;
    page.render(context! {
        suite => report.suite.clone(),
        notes => report.notes.clone(),
        judge => report.judge.clone(),
        questions => report.figures.questions,
        headline => headline_rows(report),
        slices => slice_rows(report),
        risk_coverage => Value::from_safe_string(plots::risk_coverage(&metrics::risk_coverage(&scored))),
        reliability => Value::from_safe_string(plots::reliability(&metrics::bins(&scored))),
        histogram => Value::from_safe_string(plots::histogram(&confidences(true), &confidences(false), &thresholds)),
        blame => report.blame.iter().map(|(step, n)| Value::from(vec![Value::from(step.as_str()), Value::from(*n)])).collect::<Vec<_>>(),
        worst => report.worst(WORST).into_iter().map(miss).collect::<Vec<_>>(),
        misses => report.records.iter().filter(|record| record.blame.is_some()).count(),
        cases => report.cases.as_ref().map(cases),
        case_misses => report.case_records.iter().filter(|record| !record.is_perfect()).map(case_miss).collect::<Vec<_>>(),
        time => value(&json["time"]),
        judge_details => value(&json["judge_details"]),
        comparison => comparison(&json["comparison"]),
        bad_lines => value(&json["bad_lines"]),
        unknown_documents => value(&json["unknown_documents"]),
        how => value(&json["how"]),
    })
    .map_err(broken())
}

fn headline_rows(report: &Report) -> Vec<Value> {
    let rooms = [("retrieval", 3), ("decision", 18), ("answers", 4)];
    let rooms = rooms.iter().flat_map(|(room, n)| std::iter::repeat_n(*room, *n));
    headline(&report.figures)
        .into_iter()
        .zip(rooms)
        .map(|((name, number), room)| {
            let detail = report.figures.details.values().find_map(|room| room.get(name));
            let interval = detail.and_then(|detail| detail.interval);
            map([
                ("name", name.into()),
                ("room", room.into()),
                ("value", show(number).into()),
                ("interval", between(interval).into()),
                (
                    "count",
                    detail.and_then(|detail| detail.count).map_or(String::new(), |count| count.to_string()).into(),
                ),
                ("n", detail.map_or(String::new(), |detail| detail.n.to_string()).into()),
                ("method", detail.map_or(String::new(), |detail| detail.method.replace('_', "-")).into()),
            ])
        })
        .collect()
}

fn slice_rows(report: &Report) -> Vec<Value> {
    let row = |slice: &metrics::Slice| {
        let (retrieval, decision, answers) =
            (&slice.figures.retrieval, &slice.figures.decision, &slice.figures.answers);
        let values = [
            retrieval.recall_at_1,
            retrieval.recall_at_5,
            decision.auroc,
            decision.coverage,
            decision.wrong_answer_rate,
            decision.handoff_recall,
            decision.offer_rate,
            decision.ece,
            answers.nugget_recall,
            slice.figures.latency_ms.p99,
        ];
        map([
            ("by", slice.by.clone().into()),
            ("slice", slice.slice.clone().into()),
            ("n", slice.figures.questions.into()),
            ("small", slice.figures.small.into()),
            ("values", values.map(|value| Value::from(show(value))).to_vec().into()),
        ])
    };
    report.slices.iter().map(row).collect()
}

fn miss(record: &Record) -> Value {
    let features = record
        .did
        .features
        .iter()
        .map(|(name, value)| Value::from(vec![Value::from(name.clone()), Value::from(format!("{value:.4}"))]));
    let list = |ids: &[String]| ids.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let checked = record.checked.clone().unwrap_or_default();
    map([
        ("id", record.label.id.clone().into()),
        ("question", record.label.question.clone().into()),
        ("history", record.label.history.iter().map(|said| Value::from(said.text.clone())).collect::<Vec<_>>().into()),
        ("kind", record.label.kind.clone().unwrap_or_default().into()),
        ("lang", record.label.lang.as_str().into()),
        ("blame", record.blame.map_or("", Blame::as_str).into()),
        ("wrong", record.is_wrong().into()),
        ("outcome", format!("{:?}", record.did.outcome).to_lowercase().into()),
        ("code", record.did.code.clone().into()),
        ("why", record.did.why.clone().into()),
        ("text", record.did.text.clone().into()),
        ("confidence", format!("{:.3}", record.did.confidence).into()),
        ("accepted", list(&record.label.accepted).into()),
        ("ranking", list(&record.did.ranking).into()),
        ("rank", record.rank().map_or("–".to_owned(), |rank| rank.to_string()).into()),
        ("unsupported", checked.unsupported.join("; ").into()),
        ("nuggets", format!("{}/{}", checked.matched, checked.vital).into()),
        ("features", features.collect::<Vec<_>>().into()),
    ])
}

fn cases(figures: &CaseFigures) -> Value {
    let rows = figures.rates().into_iter().map(|(name, rate)| {
        map([
            ("name", name.into()),
            ("value", show(rate.value).into()),
            ("interval", between(rate.interval).into()),
            ("count", rate.count.into()),
            ("n", rate.n.into()),
        ])
    });
    map([
        ("n", figures.cases.into()),
        ("f1", show(figures.slots.f1).into()),
        ("invented", figures.invented.into()),
        ("rates", rows.collect::<Vec<_>>().into()),
    ])
}

fn case_miss(record: &CaseRecord) -> Value {
    let list = |facts: Vec<&SlotValue>| {
        facts.iter().map(|fact| format!("{}: {}", fact.slot, fact.value)).collect::<Vec<_>>().join("; ")
    };
    map([
        ("id", record.id.clone().into()),
        ("missed", list(record.missed()).into()),
        ("extra", list(record.extra()).into()),
        ("invented", list(record.invented.iter().collect()).into()),
        ("ask", record.ask.clone().into()),
        ("ask_contains", record.ask_contains.clone().unwrap_or_default().into()),
        ("ask_missed", (record.ask_hits() == Some(false)).into()),
        ("tried", record.tried.join("; ").into()),
        ("labelled_tried", record.labelled_tried.join("; ").into()),
    ])
}

fn comparison(json: &serde_json::Value) -> Value {
    let mut shown = json.clone();
    if let Some(flips) = shown.get_mut("flips").and_then(|flips| flips.as_array_mut()) {
        flips.truncate(FLIPS);
    }
    value(&shown)
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<String, Value>>().into()
}

/// JSON as a value of the template: by hand, as the engine's own serde support is not built in.
fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(yes) => Value::from(*yes),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::from(whole),
            None => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.clone()),
        serde_json::Value::Array(list) => Value::from(list.iter().map(value).collect::<Vec<_>>()),
        serde_json::Value::Object(fields) => {
            Value::from(fields.iter().map(|(name, of)| (name.clone(), value(of))).collect::<BTreeMap<String, Value>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::report::tests::report;

    #[test]
    fn the_page_stands_alone_and_escapes_what_customers_wrote() {
        let mut report = report();
        report.suite = "</title><script>".to_owned();
        let page = render(&report).unwrap();
        assert!(page.contains("&lt;script&gt;alert(") && !page.contains("<script>alert("));
        assert!(page.contains("&lt;b&gt;earlier") && !page.contains("<b>earlier"));
        assert_eq!(page.matches("<svg").count(), 3);
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("where is &lt;b&gt;it"));
        assert!(page.contains("prefers-color-scheme") && page.contains("召回"));
        let row = page.lines().find(|line| line.contains("coverage_at_risk_0.05")).unwrap();
        assert!(row.contains("<td class=\"n\">40</td>") && row.contains("oracle"), "{row}");
        assert!(page.contains("top_cosine") && page.contains("0.800"));
        if let Some(folder) = std::env::var_os("DESKHAND_KEEP_REPORT") {
            std::fs::write(std::path::Path::new(&folder).join("report.html"), page).unwrap();
        }
    }

    /// Every text of a report, whoever wrote it: customers, documents, labels, the names of facts and features.
    #[test]
    fn no_text_of_a_report_becomes_markup() {
        const HOSTILE: &str = "\"'><img src=x onerror=alert(1)></script></details><script>alert(2)</script>";
        let mut report = report();
        report.records.truncate(12);
        report.how.facts.insert(HOSTILE.to_owned(), HOSTILE.to_owned());
        report.unknown_documents.push(HOSTILE.to_owned());
        for record in &mut report.records {
            record.did.features.insert(HOSTILE.to_owned(), 0.5);
        }
        let mut json = serde_json::to_value(report).unwrap();
        let mut places = Vec::new();
        texts_of(&json, String::new(), &mut places);
        let mut poisoned = 0;
        for place in places {
            let before = std::mem::replace(json.pointer_mut(&place).unwrap(), HOSTILE.into());
            // A word of a closed set cannot be hostile.
            match serde_json::from_value::<Report>(json.clone()) {
                Ok(_) => poisoned += 1,
                Err(_) => *json.pointer_mut(&place).unwrap() = before,
            }
        }
        assert!(poisoned > 50, "{poisoned}");
        let page = render(&serde_json::from_value(json).unwrap()).unwrap();
        assert!(page.matches("&lt;img src=x onerror=alert(1)&gt;").count() > 50);
        assert!(!page.contains("<img") && !page.contains("\"'>"));
        assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (1, 1), "the page's own");
    }

    fn texts_of(json: &serde_json::Value, place: String, places: &mut Vec<String>) {
        match json {
            serde_json::Value::String(_) => places.push(place),
            serde_json::Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, item)| texts_of(item, format!("{place}/{at}"), places));
            }
            serde_json::Value::Object(fields) => fields.iter().for_each(|(name, field)| {
                let name = name.replace('~', "~0").replace('/', "~1");
                texts_of(field, format!("{place}/{name}"), places);
            }),
            _ => {}
        }
    }

    #[test]
    fn an_empty_run_still_makes_a_page() {
        let mut report = report();
        report.records.clear();
        report.comparison = None;
        report.slices.clear();
        report.figures = metrics::figures(&[], true);
        assert!(render(&report).unwrap().contains("–"));
    }
}
