//! `eval`: how good are the answers?

#![expect(clippy::print_stdout, reason = "this is where figures are printed")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::Args;
use jiff::{Zoned, civil::Date};
use sha2::{Digest, Sha256};

use super::open::{Deskhand, Wanted, faults};
use crate::{
    config::Settings,
    error::{Error, Result},
    eval::{
        add::{self, Label},
        baseline::{self, Tolerance},
        calibrate::{self, Row, Wanted as Aim},
        html,
        report::{JudgeDetails, Report},
        resume::Resume,
        run::{self, Options},
        suite::{Ending, Suite},
    },
    knowledge::{publish, read, sample},
    store::{Store, StoreOptions},
    turn::judge::{FEATURES, Judge},
};

/// Suites are read on this day, so that a notice in force stays in force.
pub(super) const SUITE_DAY: Date = Date::constant(2026, 11, 22);

/// Options of `deskhand eval run`.
#[derive(Debug, Args)]
pub struct EvalRun {
    /// A suite's name or folder, such as `wallet`
    #[arg(required_unless_present = "questions")]
    pub suite: Option<String>,
    /// Documents to index, instead of a suite's
    #[arg(long, requires = "questions", value_name = "PATH")]
    pub knowledge: Option<PathBuf>,
    /// Questions to ask, JSON lines
    #[arg(long, requires = "knowledge", value_name = "FILE")]
    pub questions: Option<PathBuf>,
    /// Decide with this judge
    #[arg(long, value_name = "FILE", conflicts_with = "cross_validate")]
    pub judge: Option<PathBuf>,
    /// Fit the judge on four fifths by document, score the fifth
    #[arg(long)]
    pub cross_validate: bool,
    /// Compose answers with the generator too
    #[arg(long)]
    pub generate: bool,
    /// Ask only so many of the questions: each language and kind in its share, drawn by `--seed`
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Draws the questions of `--limit`
    #[arg(long, default_value_t = 1, requires = "limit")]
    pub seed: u64,
    /// Keep every finished question in FILE, and do not ask again what an earlier run like this one has left there
    #[arg(long, value_name = "FILE", conflicts_with = "cross_validate")]
    pub resume: Option<PathBuf>,
    /// Write every figure and every question
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Fail where it is worse than this earlier JSON
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
}

/// Options of `deskhand eval calibrate`.
#[derive(Debug, Args)]
pub struct EvalCalibrate {
    /// A suite's name or folder; its split `fit` is fitted on, its split `certify` only certifies
    pub suite: String,
    /// Allowed share of wrong answers among those sent
    #[arg(long, default_value_t = 0.01)]
    pub risk: f64,
    /// Where the judge goes [default: calibrated.json in the data folder's `judge`]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Options of `deskhand eval add`.
#[derive(Debug, Args)]
pub struct EvalAdd {
    /// The conversation in the data folder
    #[arg(long, value_name = "ID")]
    pub from: uuid::Uuid,
    /// The suite's name or folder; a folder that does not exist is made
    #[arg(long, value_name = "SUITE")]
    pub to: String,
    /// The customer's message, by its number; the last question without it
    #[arg(long, value_name = "N")]
    pub message: Option<i64>,
    /// Documents that answer it [default: what the customer tapped, or the bot cited where nobody had to take over]
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    pub relevant: Vec<String>,
    /// No document answers it
    #[arg(long, conflicts_with = "relevant")]
    pub unanswerable: bool,
    /// The endings that are right: answer, offer, handoff
    #[arg(long, value_name = "ENDING,ENDING", value_delimiter = ',')]
    pub expected: Vec<Ending>,
    /// A build fails when it flips from right to wrong
    #[arg(long)]
    pub must: bool,
}

/// A suite's bot on a data folder of its own, which goes away with it.
pub(super) struct Stage {
    pub(super) deskhand: Deskhand,
    suite: Suite,
    knowledge: String,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// Publishes the suite's documents, or the sample's where it names none. With `generate` answers are composed.
    pub(super) async fn set(mut settings: Settings, suite: Suite, generate: bool) -> Result<Stage> {
        settings.answer.composed = generate;
        let folder = tempfile::tempdir().map_err(Error::outside("making a temporary folder"))?;
        let wanted = Wanted { generator: generate, sample: false, progress: true, shared_vectors: true };
        let deskhand = Deskhand::open(folder.path(), settings, wanted).await?;
        let mut documents = Vec::new();
        if suite.knowledge.is_empty() {
            documents = sample::read(SUITE_DAY).documents;
        }
        for path in &suite.knowledge {
            let read = read::read_path(path, SUITE_DAY)?;
            for fault in faults(&read) {
                eprintln!("refused: {fault}");
            }
            documents.extend(read.documents);
        }
        let started = Instant::now();
        let published = deskhand.publish(documents).await?;
        eprintln!(
            "{} documents, {} points ready in {:.1} s",
            published.documents.len(),
            published.texts.len(),
            started.elapsed().as_secs_f64()
        );
        for bad in &suite.bad {
            eprintln!("passed over: {}:{}: {}", bad.file, bad.line, bad.reason);
        }
        Ok(Stage { deskhand, suite, knowledge: publish::hash_of(&published.documents), _folder: folder })
    }

    fn aim(&self, risk: f64, about: String) -> Aim {
        Aim {
            risk,
            about,
            fingerprint: self.deskhand.fingerprint(),
            knowledge: self.knowledge.clone(),
            ..Aim::new(FEATURES.map(str::to_owned).to_vec(), Zoned::now().date())
        }
    }
}

pub(super) async fn eval_run(settings: Settings, options: EvalRun) -> Result<ExitCode> {
    let suite = match (&options.suite, &options.knowledge, &options.questions) {
        (_, Some(knowledge), Some(questions)) => {
            Suite::from_files(std::slice::from_ref(knowledge), std::slice::from_ref(questions))?
        }
        (Some(name), ..) => Suite::from_folder(&suite_folder(name)?)?,
        _ => return Err(Error::invalid("the suite", "none", "a suite, or --knowledge and --questions")),
    };
    let suite = match options.limit {
        Some(limit) => suite.limited_to(limit, options.seed),
        None => suite,
    };
    let generator = if options.generate { settings.model.generator.clone() } else { "none".to_owned() };
    let stage = Stage::set(settings, suite, options.generate).await?;
    let run_options = Options { day: SUITE_DAY, progress: true };
    let mut bot = stage.deskhand.bot.clone();
    let mut kind = "default";
    let mut facts = BTreeMap::from([
        ("fingerprint".to_owned(), stage.deskhand.fingerprint()),
        ("knowledge".to_owned(), stage.knowledge.clone()),
        ("generator".to_owned(), generator),
    ]);
    if let Some(path) = &options.judge {
        let json = std::fs::read_to_string(path).map_err(Error::file("reading", path))?;
        facts.insert("judge".to_owned(), hex::encode(&Sha256::digest(&json)[..8]));
        bot = bot.with_judge(Judge::parse(&json)?);
        kind = "file";
    }
    let made_with = facts.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
    let mut resume = options.resume.as_ref().map(|path| Resume::open(path, &made_with)).transpose()?;
    let mut ran = run::run(&bot, &stage.suite, &run_options, resume.as_mut()).await?;
    if options.cross_validate {
        let rows: Vec<Row> = ran.records.iter().filter_map(Row::of).collect();
        let crossed = calibrate::cross_validate(&rows, &stage.aim(0.01, "cross-validated".to_owned()))?;
        let bots = crossed
            .judges
            .iter()
            .map(|judge| run::judge_of(judge).map(|judge| bot.with_judge(judge)))
            .collect::<Result<Vec<_>>>()?;
        let folds = run::fold_of_questions(&ran.records, &crossed.fold_of);
        ran = run::run_by_fold(&bots, &folds, &stage.suite, &run_options, None).await?;
        kind = "cross-validated";
    }
    let details = JudgeDetails {
        file: options.judge.as_ref().map(|path| path.display().to_string()),
        ..judge_details(&bot, kind)?
    };
    let mut report = Report::new(&stage.suite, ran.records, kind, details, ran.how).with_cases(ran.cases);
    report.unknown_documents = ran.unknown_documents;
    report.how.facts.extend(facts);
    if let Some(limit) = options.limit {
        report.how.facts.insert("limit".to_owned(), format!("{limit} questions, seed {}", options.seed));
    }
    if let Some(path) = &options.baseline {
        let json = std::fs::read_to_string(path).map_err(Error::file("reading", path))?;
        let before: Report = serde_json::from_str(&json).map_err(|error| {
            Error::invalid("the baseline", error.to_string(), "a JSON written by `deskhand eval run`")
        })?;
        report.comparison = Some(baseline::compare(&before.records, &report.records, Tolerance::default()));
    }
    println!("{}", report.markdown());
    if let Some(path) = &options.json {
        let json = serde_json::to_vec_pretty(&report).map_err(Error::outside("writing the figures"))?;
        std::fs::write(path, json).map_err(Error::file("writing", path))?;
    }
    if let Some(path) = &options.html {
        std::fs::write(path, html::render(&report)?).map_err(Error::file("writing", path))?;
    }
    drop(bot); // With a judge of its own it has a shelf of its own, which holds the points.
    stage.deskhand.close().await?;
    let failures = report.comparison.map(|comparison| comparison.failures).unwrap_or_default();
    for failure in &failures {
        eprintln!("worse than the baseline: {failure}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The thresholds in force, as the report names them.
fn judge_details(bot: &crate::turn::Bot, kind: &str) -> Result<JudgeDetails> {
    let Some(shelf) = bot.shelf().filter(|_| kind != "cross-validated") else { return Ok(JudgeDetails::default()) };
    // The two rooms describe thresholds and certificates with the same names; the file is the contract between them.
    let json = serde_json::json!({ "file": null, "thresholds": shelf.judge.thresholds, "certificates": {} });
    serde_json::from_value(json).map_err(Error::outside("describing the judge"))
}

pub(super) async fn eval_calibrate(data: &Path, settings: Settings, options: EvalCalibrate) -> Result<ExitCode> {
    let suite = Suite::from_folder(&suite_folder(&options.suite)?)?;
    let stage = Stage::set(settings, suite, false).await?;
    let run_options = Options { day: SUITE_DAY, progress: true };
    let ran = run::run(&stage.deskhand.bot, &stage.suite, &run_options, None).await?;
    let of_split = |split: &str| -> Vec<Row> {
        let wanted: std::collections::BTreeSet<&str> = stage
            .suite
            .questions
            .iter()
            .filter(|question| question.split.as_deref() == Some(split))
            .map(|question| question.id.as_str())
            .collect();
        ran.records.iter().filter(|record| wanted.contains(record.label.id.as_str())).filter_map(Row::of).collect()
    };
    let (fit, certify) = (of_split("fit"), of_split("certify"));
    let about = format!("suite {}: {} questions to fit, {} to certify", stage.suite.name, fit.len(), certify.len());
    let calibrated = calibrate::calibrate(&fit, &certify, &stage.aim(options.risk, about))?;
    for line in &calibrated.said {
        println!("{line}");
    }
    let path = options.out.unwrap_or_else(|| data.join("judge").join("calibrated.json"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::file("making the folder", folder))?;
    }
    let json = serde_json::to_vec_pretty(&calibrated.judge).map_err(Error::outside("writing the judge"))?;
    std::fs::write(&path, json).map_err(Error::file("writing", &path))?;
    println!("written to {}", path.display());
    stage.deskhand.close().await?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a labelled question of a conversation.
pub(super) async fn eval_add(data: &Path, options: EvalAdd) -> Result<ExitCode> {
    let store = Store::open(&data.join("deskhand.sqlite"), &StoreOptions::default()).await?;
    store.conversation(options.from).await?;
    let messages = store.messages(options.from, 0).await?;
    store.close().await;
    let label = Label {
        message: options.message,
        relevant: options.relevant,
        unanswerable: options.unanswerable,
        expected: options.expected,
        must: options.must,
    };
    let question = add::question(&messages, &label)?;
    let folder = suite_folder(&options.to).unwrap_or_else(|_| PathBuf::from(&options.to));
    std::fs::create_dir_all(&folder).map_err(Error::file("making the folder", &folder))?;
    add::append(&folder, &question)?;
    println!("{}", serde_json::to_string(&question).map_err(Error::outside("writing the question"))?);
    eprintln!("added to {}; its label: {}", folder.join(add::FILE).display(), question.note);
    Ok(ExitCode::SUCCESS)
}

/// Makes a run the baseline. The reason is kept in it.
pub(super) fn eval_bless(json: &Path, baseline: &Path, why: &str) -> Result<ExitCode> {
    let text = std::fs::read_to_string(json).map_err(Error::file("reading", json))?;
    let mut report: Report = serde_json::from_str(&text)
        .map_err(|error| Error::invalid("the run", error.to_string(), "a JSON written by `deskhand eval run`"))?;
    report.how.facts.insert("blessed_because".to_owned(), why.to_owned());
    report.comparison = None;
    for record in &mut report.records {
        record.did.trim_for_baseline();
    }
    let out = serde_json::to_vec(&report).map_err(Error::outside("writing the baseline"))?;
    std::fs::write(baseline, out).map_err(Error::file("writing", baseline))?;
    println!("{} is the baseline now: {why}", baseline.display());
    Ok(ExitCode::SUCCESS)
}

/// A folder as typed, or a suite of this repository by its name.
fn suite_folder(name: &str) -> Result<PathBuf> {
    let typed = PathBuf::from(name);
    let named = Path::new("eval/suites").join(name);
    [typed, named]
        .into_iter()
        .find(|folder| folder.is_dir())
        .ok_or_else(|| Error::NotFound { what: "suite", id: name.to_owned() })
}
