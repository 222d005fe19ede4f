//! `bench`: how fast are the parts, and a whole turn?

use std::{collections::BTreeMap, process::ExitCode};

use clap::{Args, Subcommand};
use jiff::civil::Date;
use serde::Serialize;

use super::measure::Stage;
use crate::{
    config::Settings,
    error::{Error, Result},
    eval::{intervals, suite::Suite},
    index,
    model::{
        bench, decode::Sampling, embedder::LocalEmbedder, files::Models, generator::LocalGenerator, progress::Progress,
    },
    safety,
    turn::{
        Bot, Policy,
        asked::Asked,
        reply::{Mode, Outcome, Reply},
    },
};

/// The day that the sample is asked on, so that a notice in force stays in force.
const SAMPLE_DAY: Date = Date::constant(2026, 11, 22);
/// Turns before the clock starts: caches fill, threads wake.
const WARM_UPS: usize = 20;
/// Replies of `bench generate`, at most: each takes seconds.
const LIMIT_REPLIES: usize = 10;

/// What can be timed.
#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Embed questions one by one and passages in batches
    Embed(BenchOptions),
    /// Generate text
    Generate(BenchOptions),
    /// Whole turns on the sample knowledge, step by step
    Turn(BenchTurn),
    /// Search synthetic points: by vectors, by terms and by both, with and without a filter
    Search(BenchSearch),
}

/// Options of every benchmark.
#[derive(Debug, Args)]
pub(super) struct BenchOptions {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Runs to measure
    #[arg(long, default_value_t = 100)]
    runs: usize,
}

/// Options of `bench turn`.
#[derive(Debug, Args)]
pub(super) struct BenchTurn {
    #[command(flatten)]
    common: BenchOptions,
    /// Compose the answers to so many of the questions that are answered, with the generator
    #[arg(long, value_name = "N", default_value_t = 0)]
    composed: usize,
}

/// Options of `bench search`.
#[derive(Debug, Args)]
pub(super) struct BenchSearch {
    #[command(flatten)]
    common: BenchOptions,
    /// Points to index
    #[arg(long, default_value_t = 100_000)]
    points: usize,
}

pub(super) async fn run(settings: Settings, command: BenchCommand) -> Result<ExitCode> {
    match command {
        BenchCommand::Embed(options) => {
            let path = Models::from_env()?.fetch(&settings.model.embedder, &Progress::stderr())?;
            print(options.json, &bench::embed(&mut LocalEmbedder::load(&path)?, options.runs, 256)?)
        }
        BenchCommand::Generate(options) => {
            let path = Models::from_env()?.fetch(&settings.model.generator, &Progress::stderr())?;
            let mut generator = LocalGenerator::load(&path, 4096, Sampling::Greedy)?;
            print(options.json, &bench::generate(&mut generator, options.runs.min(LIMIT_REPLIES), 64)?)
        }
        BenchCommand::Search(options) => {
            let folder = tempfile::tempdir().map_err(Error::outside("making a temporary folder"))?;
            let searches = options.common.runs.max(1);
            let plan = index::bench::Plan { points: options.points, searches, ..index::bench::Plan::default() };
            print(options.common.json, &index::bench::run(folder.path(), plan).await?)
        }
        BenchCommand::Turn(options) => {
            let report = turns(settings, options.common.runs, options.composed).await?;
            if options.common.json {
                return print(true, &report);
            }
            say!("{}", report.table());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn print(on_one_line: bool, report: &impl Serialize) -> Result<ExitCode> {
    let json = serde_json::to_value(report).map_err(Error::outside("writing the figures"))?;
    if on_one_line {
        say!("{json}");
    } else {
        say!("{json:#}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The time table of turns.
#[derive(Debug, Default, Serialize)]
struct TurnReport {
    /// What was run.
    what: String,
    /// Cores that the turns may use.
    threads: usize,
    /// Processes that wanted a core when it began, a minute's mean; null where the system does not tell.
    load: Option<f64>,
    /// Every step of the quoting turns.
    steps: BTreeMap<String, Times>,
    /// The same by how the turn ended: `verbatim`, `composed`, `card`, `offer`, `handoff`.
    endings: BTreeMap<String, BTreeMap<String, Times>>,
}

/// Milliseconds of one step.
#[derive(Debug, Default, Serialize)]
struct Times {
    n: usize,
    p50_ms: f64,
    p99_ms: f64,
    #[serde(skip)]
    all_ms: Vec<f64>,
}

impl Times {
    fn add(&mut self, ms: f64) {
        self.all_ms.push(ms);
        self.n = self.all_ms.len();
        self.p50_ms = intervals::percentile(&self.all_ms, 50.0).unwrap_or_default();
        self.p99_ms = intervals::percentile(&self.all_ms, 99.0).unwrap_or_default();
    }
}

impl TurnReport {
    fn add(&mut self, reply: Reply) {
        let ending = ending_of(&reply);
        for step in reply.steps {
            if ending != "composed" {
                self.steps.entry(step.step.clone()).or_default().add(step.ms);
            }
            self.endings.entry(ending.clone()).or_default().entry(step.step).or_default().add(step.ms);
        }
    }

    /// For people: each ending with its steps, the whole turn last.
    fn table(&self) -> String {
        let mut lines =
            vec![self.what.clone(), format!("{:<10} {:<15} {:>5} {:>10} {:>10}", "", "ms", "n", "p50", "p99")];
        for (ending, steps) in &self.endings {
            for (step, times) in steps {
                lines.push(format!(
                    "{ending:<10} {step:<15} {:>5} {:>10.1} {:>10.1}",
                    times.n, times.p50_ms, times.p99_ms
                ));
            }
        }
        lines.push(format!("{} threads, load {:.1}", self.threads, self.load.unwrap_or(f64::NAN)));
        lines.join("\n")
    }
}

fn ending_of(reply: &Reply) -> String {
    match (reply.outcome, reply.mode) {
        (Outcome::Answer, Some(mode)) => super::commands::word(&mode),
        (Outcome::Offer, Some(Mode::Card)) => "card".to_owned(),
        (outcome, _) => super::commands::word(&outcome),
    }
}

/// Whole turns over the sample's own phrasings, one at a time; then the first `composed` answered ones again, composed.
async fn turns(settings: Settings, runs: usize, composed: usize) -> Result<TurnReport> {
    let sample = Suite { day: Some(SAMPLE_DAY), ..Suite::default() };
    let stage = Stage::set(settings, sample, composed > 0).await?;
    let composing = stage.deskhand.bot.clone();
    let quoting = composing.with_policy(Policy { composed: false, ..composing.policy().clone() });
    let questions = phrasings(&quoting);
    let question = |at: usize| asked(&questions[at * 7919 % questions.len()]);
    let mut report = TurnReport {
        what: format!(
            "{runs} turns on the sample knowledge, one at a time, after {WARM_UPS} warm-ups; {composed} of the answered composed"
        ),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        load: load(),
        ..TurnReport::default()
    };
    for at in 0..WARM_UPS {
        quoting.turn(question(at)).await;
    }
    let mut answered = Vec::new();
    for at in WARM_UPS..WARM_UPS + runs {
        let reply = quoting.turn(question(at)).await;
        if reply.outcome == Outcome::Answer {
            answered.push(at);
        }
        report.add(reply);
    }
    if let Some(first) = answered.first().filter(|_| composed > 0) {
        composing.turn(question(*first)).await; // The first reply reads the weights.
    }
    for at in answered.into_iter().take(composed) {
        report.add(composing.turn(question(at)).await);
    }
    stage.deskhand.close().await?;
    Ok(report)
}

/// Every alias of every document, in order.
fn phrasings(bot: &Bot) -> Vec<String> {
    let Some(shelf) = bot.shelf() else { return Vec::new() };
    let aliases = shelf.documents().flat_map(|document| &document.aliases);
    let mut phrasings: Vec<String> = aliases.map(|alias| alias.as_str().to_owned()).collect();
    phrasings.sort();
    phrasings
}

fn asked(text: &str) -> Asked {
    Asked {
        conversation: "bench".to_owned(),
        message: 1,
        text: safety::mask(text),
        choice: None,
        history: Vec::new(),
        lang: None,
        day: SAMPLE_DAY,
    }
}

/// The system's mean load over the last minute, on Linux.
fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_by_ending_and_composed_ones_apart() {
        let mut report = TurnReport::default();
        let mut times = BTreeMap::new();
        for ms in [1.0, 3.0, 2.0] {
            times.entry("whole".to_owned()).or_insert_with(Times::default).add(ms);
        }
        report.endings.insert("offer".to_owned(), times);
        let whole = &report.endings["offer"]["whole"];
        assert_eq!((whole.n, whole.p50_ms, whole.p99_ms), (3, 2.0, 3.0));
        assert!(
            report.table().contains("offer      whole               3        2.0        3.0"),
            "{}",
            report.table()
        );
    }
}
