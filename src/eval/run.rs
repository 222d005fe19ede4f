//! Runs a suite through the real `Bot::turn`, one question at a time. The only file of this room that knows the bot:
//! it turns questions into turns and replies into plain records.

use std::{
    collections::{BTreeMap, HashSet},
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{Timestamp, civil::Date};

use super::{
    answers::{self, Quote, Sent},
    blame::blame,
    calibrate::{Fitted, Row},
    cases::{CaseLabel, CaseRecord, SlotValue},
    record::{Checked, Did, KEPT_RANKS, Label, Record},
    report::How,
    resume::Resume,
    suite::{Ending, Question, Role, Said, Suite},
};
use crate::{
    error::{Error, Result},
    safety,
    turn::{
        Bot, Explanation, Policy,
        asked::{Asked, Choice, From, Past, PastReply},
        case::Case,
        judge::Judge,
        reply::{Code, Outcome, Reply},
    },
    words::Span,
};

/// Turns before the clock starts: caches fill, threads wake.
const WARM_UPS: usize = 20;
/// Lines of progress where nobody watches a bar.
const PLAIN_LINES: usize = 10;

/// How to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The day that the documents are read on: fixed, so that a rerun next month is the same.
    pub day: Date,
    /// Show progress on stderr.
    pub progress: bool,
}

/// What a run gives.
#[derive(Debug, Clone)]
pub struct Ran {
    /// A record per question, in the suite's order.
    pub records: Vec<Record>,
    /// A record per labelled case, in the suite's order.
    pub cases: Vec<CaseRecord>,
    /// How it was run.
    pub how: How,
    /// Documents that labels name and the knowledge does not have.
    pub unknown_documents: Vec<String>,
}

/// Asks `bot` every question of the suite that `resume` does not know yet, and keeps each there as soon as it is answered.
///
/// # Errors
/// When no knowledge is in force (figures about an empty shelf would mislead), or a record cannot be kept.
pub async fn run(bot: &Bot, suite: &Suite, options: &Options, resume: Option<&mut Resume>) -> Result<Ran> {
    let fold_of = vec![0; suite.questions.len()];
    run_by_fold(std::slice::from_ref(bot), &fold_of, suite, options, resume).await
}

/// Asks each question of the bot whose judge has not seen its document: `fold_of` gives each question's bot.
///
/// # Errors
/// As [`run`], and when `fold_of` does not fit the suite and the bots.
pub async fn run_by_fold(
    bots: &[Bot],
    fold_of: &[usize],
    suite: &Suite,
    options: &Options,
    mut resume: Option<&mut Resume>,
) -> Result<Ran> {
    if fold_of.len() != suite.questions.len() || fold_of.iter().any(|fold| *fold >= bots.len()) {
        let found = format!("{} folds for {} questions and {} bots", fold_of.len(), suite.questions.len(), bots.len());
        return Err(Error::invalid("the folds", found, "one fold per question, one bot per fold"));
    }
    let unknown_documents = unknown_documents(bots, suite)?;
    let quoting = bots[0].with_policy(Policy { composed: false, ..bots[0].policy().clone() });
    for question in suite.questions.iter().cycle().take(WARM_UPS) {
        quoting.turn_explained(asked(question, options.day)).await;
    }
    let started = (Timestamp::now(), Instant::now(), cpu_seconds());
    let progress = Progress::new(suite.questions.len(), options.progress);
    let mut records = Vec::with_capacity(suite.questions.len());
    for (question, fold) in suite.questions.iter().zip(fold_of) {
        let known = resume.as_mut().and_then(|resume| resume.take(&question.id));
        let record = match known {
            Some(record) => record,
            None => {
                let record = ask(&bots[*fold], question, options.day).await;
                if let Some(resume) = &mut resume {
                    resume.keep(&record)?;
                }
                record
            }
        };
        records.push(record);
        progress.one_more(records.len());
    }
    progress.end();
    let mut cases = Vec::with_capacity(suite.cases.len());
    for label in &suite.cases {
        cases.extend(write_case(&bots[0], label, options.day).await);
    }
    let how = How {
        started: started.0.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        seconds: started.1.elapsed().as_secs_f64(),
        cpu_seconds: started.2.zip(cpu_seconds()).map(|(before, after)| after - before),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        facts: BTreeMap::from([("day".to_owned(), options.day.to_string())]),
    };
    Ok(Ran { records, cases, how, unknown_documents })
}

/// For each question the fold that `fold_of_row` gives its row. Questions without a row (their turn broke) go to fold 0.
pub fn fold_of_questions(records: &[Record], fold_of_row: &[usize]) -> Vec<usize> {
    let mut folds = fold_of_row.iter();
    records.iter().map(|record| Row::of(record).and_then(|_| folds.next().copied()).unwrap_or(0)).collect()
}

/// The judge that decides turns, from a fitted one: written and read back like any judge file, so that what is measured is
/// what would be shipped.
///
/// # Errors
/// When it was fitted on other features than this build's.
pub fn judge_of(fitted: &Fitted) -> Result<Judge> {
    let file = serde_json::to_string(fitted).map_err(Error::outside("writing the judge"))?;
    Judge::parse(&file)
}

async fn ask(bot: &Bot, question: &Question, day: Date) -> Record {
    let asked = asked(question, day);
    let masked = asked.text.as_str().to_owned();
    let history = asked.history.iter().map(|past| Said {
        role: if past.from == From::Customer { Role::User } else { Role::Agent },
        text: past.text.as_str().to_owned(),
    });
    let label = Label::new(question, masked, history.collect());
    let started = Instant::now();
    let (reply, explanation) = bot.turn_explained(asked).await;
    let ms = started.elapsed().as_secs_f64() * 1000.0;
    let draft = explanation.draft.as_deref();
    let checked = (reply.outcome == Outcome::Answer).then(|| check(bot, &reply, draft, question, day));
    let mut record = Record { label, did: did(reply, explanation, ms), checked, blame: None };
    record.blame = blame(&record);
    record
}

/// The case that the bot writes when the customer, with the last message, taps "talk to a person".
async fn write_case(bot: &Bot, label: &CaseLabel, day: Date) -> Option<CaseRecord> {
    let (last, earlier) = label.messages.split_last()?;
    let asked = Asked { choice: Some(Choice::Person), ..turn_of(&label.id, &last.text, earlier, day) };
    let customer = asked.history.iter().filter(|past| past.from == From::Customer).map(|past| &past.text);
    let said: Vec<String> = customer.chain([&asked.text]).map(|text| text.as_str().to_owned()).collect();
    let case = bot.turn(asked).await.case?;
    Some(case_record(label, case, &said))
}

fn case_record(label: &CaseLabel, case: Case, said: &[String]) -> CaseRecord {
    let found: Vec<SlotValue> =
        case.facts.into_iter().map(|fact| SlotValue { slot: fact.slot, value: fact.value }).collect();
    let invented = |fact: &&SlotValue| !said.iter().any(|text| text.contains(fact.value.trim()));
    CaseRecord {
        id: label.id.clone(),
        lang: label.lang,
        labelled: label.facts.clone(),
        invented: found.iter().filter(invented).cloned().collect(),
        found,
        labelled_tried: label.tried.clone(),
        tried: case.tried.into_iter().map(|fact| fact.value).collect(),
        ask: case.ask.value,
        ask_contains: label.ask_contains.clone(),
    }
}

fn asked(question: &Question, day: Date) -> Asked {
    turn_of(&question.id, &question.question, &question.history, day)
}

/// A message as a turn: masked at the door like a customer's, what was said before as its history. No language is given:
/// finding it is the turn's work.
fn turn_of(id: &str, text: &str, earlier: &[Said], day: Date) -> Asked {
    let history = past(earlier);
    Asked {
        conversation: format!("eval-{id}"),
        message: history.len() as u32 + 1,
        text: safety::mask(text),
        choice: None,
        history,
        lang: None,
        day,
    }
}

/// What was said before, as a turn remembers it.
fn past(said: &[Said]) -> Vec<Past> {
    said.iter()
        .zip(1..)
        .map(|(said, message)| Past {
            message,
            from: if said.role == Role::User { From::Customer } else { From::Bot },
            text: safety::mask(&said.text),
            // What the suite's bot said came from somewhere unknown: an answer without documents.
            reply: (said.role == Role::Agent).then(|| PastReply {
                outcome: Outcome::Answer,
                code: Code::Confident,
                documents: Vec::new(),
                offers: Vec::new(),
            }),
        })
        .collect()
}

fn did(reply: Reply, explanation: Explanation, ms: f64) -> Did {
    let word =
        |value: serde_json::Result<serde_json::Value>| value.ok().and_then(|value| value.as_str().map(str::to_owned));
    Did {
        outcome: match reply.outcome {
            Outcome::Answer => Ending::Answer,
            Outcome::Offer => Ending::Offer,
            Outcome::Handoff => Ending::Handoff,
        },
        mode: reply.mode.and_then(|mode| word(serde_json::to_value(mode))),
        code: reply.reason.code.as_str().to_owned(),
        why: reply.reason.text,
        text: reply.text,
        confidence: reply.confidence,
        ranking: explanation.ranking.into_iter().take(KEPT_RANKS).collect(),
        cited: distinct(reply.citations.into_iter().map(|citation| citation.document)),
        offered: distinct(reply.offers.into_iter().map(|offer| offer.document)),
        features: reply.reason.features,
        vector: explanation.features,
        ms,
        steps: reply.steps.into_iter().map(|step| (step.step, step.ms)).collect(),
    }
}

fn check(bot: &Bot, reply: &Reply, draft: Option<&str>, question: &Question, day: Date) -> Checked {
    let quotes: Vec<Quote> = reply
        .citations
        .iter()
        .map(|citation| Quote {
            document: citation.document.clone(),
            revision: citation.revision.clone(),
            lang: citation.lang,
            text: citation.quote.clone(),
            span: Span { start: citation.start, end: citation.end },
        })
        .collect();
    let shelf = bot.shelf();
    let stored = |quote: &Quote| {
        let document = shelf.as_ref()?.document(&quote.document, quote.lang, day)?;
        let same = document.revision == quote.revision && document.lang == quote.lang;
        same.then(|| document.body.as_str().to_owned())
    };
    let sent = Sent { text: &reply.text, lang: reply.lang, draft, quotes: &quotes };
    answers::check(&sent, &question.nuggets, &stored)
}

/// The ids in order, each once.
fn distinct(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    ids.filter(|id| seen.insert(id.clone())).collect()
}

fn unknown_documents(bots: &[Bot], suite: &Suite) -> Result<Vec<String>> {
    let Some(shelf) = bots.first().and_then(Bot::shelf) else {
        return Err(Error::invalid(
            "the knowledge to measure on",
            "nothing in force",
            "an ingested knowledge folder or file",
        ));
    };
    let known: HashSet<&str> = shelf.documents().map(|document| document.id.as_str()).collect();
    let named = suite.questions.iter().flat_map(|question| question.relevant.iter().chain(&question.also_acceptable));
    let mut unknown: Vec<String> = named.filter(|id| !known.contains(id.as_str())).cloned().collect();
    unknown.sort();
    unknown.dedup();
    Ok(unknown)
}

/// CPU time of this process so far, all threads; known on Linux only. The clock ticks 100 times a second there
/// (`USER_HZ`, fixed in the kernel's interface).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold anything: count fields after it. User time is field 14, system time 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum();
    Some(ticks / 100.0)
}

/// A bar with an estimate where somebody watches, ten plain lines where nobody does.
struct Progress {
    bar: ProgressBar,
    plain: bool,
    total: usize,
    started: Instant,
}

impl Progress {
    fn new(total: usize, wanted: bool) -> Progress {
        let watched = wanted && std::io::stderr().is_terminal();
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} questions, {per_sec}, {eta} left") {
            bar.set_style(style);
        }
        Progress { bar, plain: wanted && !watched, total, started: Instant::now() }
    }

    fn one_more(&self, done: usize) {
        self.bar.inc(1);
        let every = self.total.div_ceil(PLAIN_LINES).max(1);
        if self.plain && (done.is_multiple_of(every) || done == self.total) {
            let spent = self.started.elapsed();
            let left = Duration::from_secs_f64(spent.as_secs_f64() / done as f64 * (self.total - done) as f64);
            // A closed stderr is no reason to stop.
            let _ = writeln!(
                std::io::stderr(),
                "{done}/{} questions, {:.0} s, about {:.0} s left",
                self.total,
                spent.as_secs_f64(),
                left.as_secs_f64()
            );
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        eval::calibrate::{Wanted, calibrate},
        turn::judge::{FEATURES, Features},
        words::Lang,
    };

    #[test]
    fn a_fitted_judge_decides_turns_as_it_was_measured() {
        let rows: Vec<Row> = (0..80)
            .map(|at| Row {
                features: (0..FEATURES.len()).map(|of| f64::from((at * (of as u32 + 3)) % 17) / 17.0).collect(),
                right: (at * 3) % 17 > 8,
                answerable: true,
                offer_hits: true,
                guarded: false,
                lang: Lang::En,
                group: at.to_string(),
            })
            .collect();
        let wanted = Wanted::new(FEATURES.map(str::to_owned).to_vec(), jiff::civil::date(2026, 11, 22));
        let fitted = calibrate(&rows, &rows, &wanted).unwrap().judge;
        let judge = judge_of(&fitted).unwrap();
        for row in &rows {
            let features = Features::new(row.features.clone().try_into().unwrap());
            assert!((judge.confidence(&features) - fitted.confidence(&row.features)).abs() < 1e-9);
        }
        let other = Fitted { feature_names: vec!["other".to_owned()], ..fitted };
        assert!(judge_of(&other).is_err());
    }

    #[test]
    fn history_becomes_messages_and_secrets_stay_out() {
        let folder = tempfile::tempdir().unwrap();
        let line = r#"{"id":"f1","question":"and then?","lang":"en","relevant":["d"],"answerable":true,
            "history":[{"role":"user","text":"stuck"},{"role":"agent","text":"wait"}]}"#;
        std::fs::write(folder.path().join("followups.jsonl"), line.replace('\n', " ")).unwrap();
        let suite = Suite::from_folder(folder.path()).unwrap();
        let asked = asked(&suite.questions[0], jiff::civil::date(2026, 11, 22));
        assert_eq!((asked.message, asked.history.len(), asked.history[1].message), (3, 2, 2));
        assert!(asked.history[0].reply.is_none() && asked.history[1].reply.is_some());
        assert_eq!(suite.questions[0].turn(), 2);
    }
}
