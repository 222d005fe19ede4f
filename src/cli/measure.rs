//! `eval`: how good are the answers?

use std::{
    collections::BTreeMap,
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::Args;
use jiff::{Zoned, civil::Date};
use sha2::{Digest, Sha256};

use super::open::{Deskhand, Wanted, faults, open_store};
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
    turn::judge::{FEATURES, Judge},
    words::Document,
};

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
    /// The day that documents are in force on [default: the suite's own; today for `--knowledge`]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub day: Option<Date>,
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
    #[arg(long, default_value_t = 0.01, value_parser = share)]
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
    /// The suite's name or folder; with `--knowledge` it may be a new one
    #[arg(long, value_name = "SUITE")]
    pub to: String,
    /// Makes the suite that `--to` names: its questions are about these documents
    #[arg(long, value_name = "PATH")]
    pub knowledge: Option<PathBuf>,
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
        let documents = documents_of(&suite)?;
        let folder = tempfile::tempdir().map_err(Error::outside("making a temporary folder"))?;
        let wanted = Wanted { generator: generate, sample: false, progress: true, shared_vectors: true };
        let deskhand = Deskhand::open(folder.path(), settings, wanted).await?;
        let started = Instant::now();
        let published = deskhand.publish(documents).await?;
        aside!(
            "{} documents, {} points ready in {:.1} s",
            published.documents.len(),
            published.texts.len(),
            started.elapsed().as_secs_f64()
        );
        for bad in &suite.bad {
            aside!("passed over: {}:{}: {}", bad.file, bad.line, bad.reason);
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

/// The documents of the suite as its day finds them.
fn documents_of(suite: &Suite) -> Result<Vec<Document>> {
    if suite.knowledge.is_empty() {
        aside!("the suite names no knowledge: its questions are asked of the sample knowledge");
        return Ok(sample::read(day_of(suite)).documents);
    }
    let read = read::read_paths(&suite.knowledge, day_of(suite))?;
    for fault in faults(&read) {
        aside!("refused: {fault}");
    }
    Ok(read.documents)
}

/// A suite that names its day is the same in a month: a notice in force stays in force.
fn day_of(suite: &Suite) -> Date {
    suite.day.unwrap_or_else(|| Zoned::now().date())
}

/// A share on the command line, neither nothing nor all.
fn share(text: &str) -> std::result::Result<f64, String> {
    let share: Option<f64> = text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| "expected a share between 0 and 1, such as 0.01 for one in a hundred".to_owned())
}

/// A file that is written at the end is tried at the beginning: hours of questions are not asked in vain.
fn check_writable(path: &Path) -> Result<()> {
    let is_new = !path.exists();
    let tried = File::options().create(true).append(true).open(path);
    tried.map_err(|cause| match cause.kind() {
        ErrorKind::NotFound => {
            Error::invalid(format!("where to write {}", path.display()), "no such folder", "a folder that is there")
        }
        _ => Error::named("the file to write,", path)(cause),
    })?;
    if is_new {
        std::fs::remove_file(path).map_err(Error::file("taking back", path))?;
    }
    Ok(())
}

/// What an earlier `eval run --json` wrote.
fn read_report(what: &'static str, path: &Path) -> Result<Report> {
    let json = std::fs::read_to_string(path).map_err(Error::named(what, path))?;
    serde_json::from_str(&json).map_err(|error| {
        Error::invalid(
            format!("{what} {}", path.display()),
            error.to_string(),
            "a JSON written by `deskhand eval run --json`",
        )
    })
}

pub(super) async fn eval_run(mut settings: Settings, options: EvalRun) -> Result<ExitCode> {
    // Whatever was typed is looked at before anything is asked.
    let mut suite = match (&options.suite, &options.knowledge, &options.questions) {
        (_, Some(knowledge), Some(questions)) => {
            Suite::from_files(std::slice::from_ref(knowledge), std::slice::from_ref(questions))?
        }
        (Some(name), ..) => Suite::from_folder(&suite_folder(name)?)?,
        _ => return Err(Error::invalid("the suite", "none", "a suite, or --knowledge and --questions")),
    };
    suite.day = Some(options.day.unwrap_or_else(|| day_of(&suite)));
    let suite = match options.limit {
        Some(limit) => suite.limited_to(limit, options.seed),
        None => suite,
    };
    let before = options.baseline.as_deref().map(|path| read_report("the baseline", path)).transpose()?;
    let mut judge = None;
    if let Some(path) = &options.judge {
        let json = std::fs::read_to_string(path).map_err(Error::named("the judge", path))?;
        Judge::parse(&json)?;
        judge = Some(hex::encode(&Sha256::digest(&json)[..8]));
    }
    for path in [&options.json, &options.html, &options.resume].into_iter().flatten() {
        check_writable(path)?;
    }
    if options.judge.is_some() || options.cross_validate {
        // Not the maintainer's: the one to try, which must be made for these weights, or the folds'.
        settings.judge.file = options.judge.clone().unwrap_or_default();
    }
    let generator = if options.generate { settings.model.generator.clone() } else { "none".to_owned() };
    let stage = Stage::set(settings, suite, options.generate).await?;
    let run_options = Options { day: day_of(&stage.suite), progress: true };
    let bot = stage.deskhand.bot.clone();
    let mut kind = "default";
    let mut facts = BTreeMap::from([
        ("fingerprint".to_owned(), stage.deskhand.fingerprint()),
        ("knowledge".to_owned(), stage.knowledge.clone()),
        ("generator".to_owned(), generator),
        ("day".to_owned(), run_options.day.to_string()),
    ]);
    if let Some(digest) = judge {
        facts.insert("judge".to_owned(), digest);
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
    if let Some(before) = before {
        report.comparison = Some(baseline::compare(&before.records, &report.records, Tolerance::default()));
    }
    say!("{}", report.markdown());
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
        aside!("worse than the baseline: {failure}");
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

pub(super) async fn eval_calibrate(data: &Path, mut settings: Settings, options: EvalCalibrate) -> Result<ExitCode> {
    let suite = Suite::from_folder(&suite_folder(&options.suite)?)?;
    if !suite.questions.iter().any(|question| question.split.as_deref() == Some("fit")) {
        return Err(Error::invalid(
            format!("the suite {}", suite.name),
            "no question with the split `fit`",
            "some to fit on: `split = \"fit\"` beside a file in suite.toml, or `\"split\":\"fit\"` in a question's line",
        ));
    }
    let path = options.out.unwrap_or_else(|| data.join("judge").join("calibrated.json"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::named("making the folder", folder))?;
    }
    check_writable(&path)?;
    settings.judge.file = PathBuf::new(); // It may be the one to be made.
    let stage = Stage::set(settings, suite, false).await?;
    let run_options = Options { day: day_of(&stage.suite), progress: true };
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
        say!("{line}");
    }
    let json = serde_json::to_vec_pretty(&calibrated.judge).map_err(Error::outside("writing the judge"))?;
    std::fs::write(&path, json).map_err(Error::file("writing", &path))?;
    say!("written to {}", path.display());
    stage.deskhand.close().await?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a labelled question of a conversation.
pub(super) async fn eval_add(data: &Path, settings: &Settings, options: EvalAdd) -> Result<ExitCode> {
    let known = suite_folder(&options.to);
    if known.is_err() && options.knowledge.is_none() {
        return Err(Error::invalid(
            format!("the suite {}", options.to),
            "no such suite",
            "one that is there, or `--knowledge PATH`, the documents that a new one is about",
        ));
    }
    let store = open_store(data, settings).await?;
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
    let folder = match (known, &options.knowledge) {
        (Ok(folder), None) => folder,
        (Ok(_), Some(_)) => {
            return Err(Error::invalid("--knowledge", "a suite that is there already", "a new one in `--to`"));
        }
        (Err(_), Some(knowledge)) => add::new_suite(Path::new(&options.to), knowledge)?,
        (Err(unknown), None) => return Err(unknown),
    };
    add::append(&folder, &question)?;
    say!("{}", serde_json::to_string(&question).map_err(Error::outside("writing the question"))?);
    aside!("added to {}; its label: {}", folder.join(add::FILE).display(), question.note);
    Ok(ExitCode::SUCCESS)
}

/// Makes a run the baseline. The reason is kept in it.
pub(super) fn eval_bless(json: &Path, baseline: &Path, why: &str) -> Result<ExitCode> {
    if why.trim().is_empty() {
        return Err(Error::invalid(
            "--why",
            "nothing",
            "the reason why the baseline changes, for whoever reads it later",
        ));
    }
    let mut report = read_report("the run", json)?;
    report.how.facts.insert("blessed_because".to_owned(), why.to_owned());
    report.comparison = None;
    for record in &mut report.records {
        record.did.trim_for_baseline();
    }
    let out = serde_json::to_vec(&report).map_err(Error::outside("writing the baseline"))?;
    std::fs::write(baseline, out).map_err(Error::named("the baseline", baseline))?;
    say!("{} is the baseline now: {why}", baseline.display());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_to_be_written_is_tried_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        check_writable(&path).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "earlier").unwrap();
        check_writable(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "earlier");
        for wrong in [folder.path().join("none/x.json"), folder.path().to_owned()] {
            assert_eq!(check_writable(&wrong).unwrap_err().fault(), crate::error::Fault::Caller, "{}", wrong.display());
        }
    }

    #[test]
    fn a_baseline_changes_for_a_reason() {
        let error = eval_bless(Path::new("run.json"), Path::new("baseline.json"), " ").unwrap_err();
        assert!(error.to_string().contains("--why"), "{error}");
    }

    #[test]
    fn a_risk_is_a_share() {
        assert_eq!(share("0.02"), Ok(0.02));
        assert!(["2", "0", "1", "-0.1", "NaN", "a"].iter().all(|text| share(text).is_err()));
    }
}
