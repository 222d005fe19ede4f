//! What is asked, and what would be right: suites and labelled questions, read from files.
//!
//! A suite is a folder with `suite.toml`, a folder without one, or loose files. A line that cannot be used is reported
//! with its file, line and reason; the rest goes in.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use jiff::civil::Date;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::cases::CaseLabel;
use crate::{
    error::{Error, Result},
    words::{Lang, is_han},
};

/// How a turn can end. The contract's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// A grounded, cited answer.
    Answer,
    /// Questions to tap, or a card that needs no person.
    Offer,
    /// A person takes over.
    Handoff,
}

/// How far an unanswerable question is from the knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// In the domain: a near miss, an account matter, an intent left out of the documents.
    Near,
    /// Out of the domain.
    Far,
}

/// Who said an earlier message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The customer.
    #[serde(alias = "customer")]
    User,
    /// Whoever answered: a person or the bot.
    #[serde(alias = "bot", alias = "assistant")]
    Agent,
}

/// An earlier message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub text: String,
}

/// A fact that a good answer holds: it is there when any of the patterns for the answer's language matches.
#[derive(Debug, Clone)]
pub struct Nugget {
    /// Patterns for an answer in Chinese.
    pub zh: Vec<Regex>,
    /// Patterns for an answer in English.
    pub en: Vec<Regex>,
    /// Whether an answer without it is incomplete; the others are welcome only.
    pub vital: bool,
}

/// One labelled question.
#[derive(Debug, Clone)]
pub struct Question {
    /// Unique in its suite.
    pub id: String,
    /// The customer's words.
    pub question: String,
    /// The language that the customer writes in.
    pub lang: Lang,
    /// Documents that answer it.
    pub relevant: Vec<String>,
    /// Documents that also answer it, or a part of it: a hit, not required.
    pub also_acceptable: Vec<String>,
    /// Documents judged not to answer it.
    pub hard_negative: Vec<String>,
    /// Whether the knowledge answers it. If not, the right end is a person or a polite card, never an answer.
    pub answerable: bool,
    /// `plain`, `typo`, `near_miss`, `off_topic`, …
    pub kind: Option<String>,
    /// What it is about.
    pub topic: Option<String>,
    /// Anything for people.
    pub note: Option<String>,
    /// What was said before, oldest first.
    pub history: Vec<Said>,
    /// Facts that a good answer holds.
    pub nuggets: Vec<Nugget>,
    /// The endings that are right, where the suite overrides the defaults.
    pub expected: Vec<Ending>,
    /// The situation whose card fits, for danger.
    pub situation: Option<String>,
    /// The part of the suite that it belongs to: `fit`, `certify`, `test`, …
    pub split: Option<String>,
    /// Whether its flipping from right to wrong fails a build.
    pub must: bool,
    /// File and line.
    pub place: String,
}

/// A line that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadLine {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// Why, and what would have been right.
    pub reason: String,
}

/// Labelled questions and the knowledge that they are about.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// Anything for people: where the questions come from, how they were split.
    pub notes: String,
    /// Files and folders to ingest; none for what is already in force.
    pub knowledge: Vec<PathBuf>,
    /// The day that its documents are in force on; none for today.
    pub day: Option<Date>,
    /// The questions, in file order.
    pub questions: Vec<Question>,
    /// Conversations whose written case is labelled.
    pub cases: Vec<CaseLabel>,
    /// The lines left out.
    pub bad: Vec<BadLine>,
}

/// `suite.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    #[serde(default)]
    notes: String,
    #[serde(default)]
    knowledge: Option<OneOrMany<PathBuf>>,
    /// With or without quotes.
    #[serde(default)]
    day: Option<toml::Value>,
    #[serde(default)]
    questions: Vec<QuestionFile>,
    #[serde(default)]
    cases: Vec<CaseFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuestionFile {
    file: PathBuf,
    #[serde(default)]
    split: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> From<OneOrMany<T>> for Vec<T> {
    fn from(value: OneOrMany<T>) -> Self {
        match value {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// A question as it stands in a line. Unknown keys are let through: the public sets carry their own.
#[derive(Debug, Deserialize)]
struct RawQuestion {
    id: String,
    question: String,
    #[serde(default)]
    lang: Option<String>,
    #[serde(default)]
    relevant: Vec<String>,
    answerable: bool,
    #[serde(default)]
    also_acceptable: Vec<String>,
    #[serde(default)]
    hard_negative: Vec<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    history: Vec<Said>,
    #[serde(default)]
    nuggets: Option<OneOrMany<RawNugget>>,
    #[serde(default)]
    expected: Option<OneOrMany<Ending>>,
    #[serde(default)]
    situation: Option<String>,
    #[serde(default)]
    split: Option<String>,
    #[serde(default)]
    must: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawNugget {
    Pattern(String),
    AnyOf(Vec<String>),
    ByLanguage {
        #[serde(default)]
        zh: Option<OneOrMany<String>>,
        #[serde(default)]
        en: Option<OneOrMany<String>>,
        #[serde(default = "yes")]
        vital: bool,
    },
}

fn yes() -> bool {
    true
}

impl Suite {
    /// Reads a suite's folder: by its `suite.toml`, or without one every `questions*`, `followups*` and `adversarial*`
    /// JSON-lines file in it and every `cases*` one, with `knowledge/`, `knowledge.jsonl` or `docs*.jsonl` as its knowledge.
    ///
    /// # Errors
    /// When the folder or `suite.toml` cannot be read, or no question is left.
    pub fn from_folder(folder: &Path) -> Result<Suite> {
        let manifest = folder.join("suite.toml");
        let mut suite = if manifest.is_file() { from_manifest(folder, &manifest)? } else { without_manifest(folder)? };
        suite.check(folder)?;
        Ok(suite)
    }

    /// A suite of loose files.
    ///
    /// # Errors
    /// When a file cannot be read, or no question is left.
    pub fn from_files(knowledge: &[PathBuf], questions: &[PathBuf]) -> Result<Suite> {
        let name = questions.first().map(|file| name_of(&file.with_extension(""))).unwrap_or_default();
        let mut suite = Suite { name, knowledge: knowledge.to_vec(), ..Suite::default() };
        for file in questions {
            suite.read(file, &name_of(file), None)?;
        }
        suite.check(questions.first().map_or(Path::new("."), PathBuf::as_path))?;
        Ok(suite)
    }

    /// The same suite with only the questions of these splits; all of them when none is named.
    pub fn of_splits(mut self, splits: &[String]) -> Suite {
        if !splits.is_empty() {
            self.questions.retain(|question| question.split.as_ref().is_some_and(|split| splits.contains(split)));
        }
        self
    }

    fn read(&mut self, file: &Path, shown: &str, split: Option<&str>) -> Result<()> {
        for mut question in self.read_lines(file, shown, parse)? {
            question.split = question.split.or_else(|| split.map(str::to_owned));
            self.questions.push(question);
        }
        Ok(())
    }

    fn read_cases(&mut self, file: &Path, shown: &str) -> Result<()> {
        let cases = self.read_lines(file, shown, |line, _| CaseLabel::parse(line))?;
        self.cases.extend(cases);
        Ok(())
    }

    /// The lines of a file that `parse`, given each with its place, takes; the others are kept as bad.
    fn read_lines<T>(
        &mut self,
        file: &Path,
        shown: &str,
        parse: impl Fn(&str, String) -> Result<T, String>,
    ) -> Result<Vec<T>> {
        let bytes = std::fs::read(file).map_err(Error::named("the questions", file))?;
        let mut read = Vec::new();
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let place = format!("{shown}:{}", at + 1);
            let parsed = match std::str::from_utf8(line) {
                Ok(text) if text.trim_start_matches('\u{feff}').trim().is_empty() => continue,
                Ok(text) => parse(text.trim_start_matches('\u{feff}').trim(), place),
                Err(_) => Err("not UTF-8".to_owned()),
            };
            match parsed {
                Ok(one) => read.push(one),
                Err(reason) => self.bad.push(BadLine { file: shown.to_owned(), line: at + 1, reason }),
            }
        }
        Ok(read)
    }

    /// Takes out questions whose id came before, and refuses a suite without questions.
    fn check(&mut self, at: &Path) -> Result<()> {
        let mut seen = HashSet::new();
        let mut kept = Vec::with_capacity(self.questions.len());
        for question in std::mem::take(&mut self.questions) {
            if seen.insert(question.id.clone()) {
                kept.push(question);
            } else {
                let (file, line) = question.place.rsplit_once(':').unwrap_or((&question.place, "0"));
                let reason = format!("the id `{}` came before; ids are unique in a suite", question.id);
                self.bad.push(BadLine { file: file.to_owned(), line: line.parse().unwrap_or(0), reason });
            }
        }
        self.questions = kept;
        if self.questions.is_empty() {
            let found = match self.bad.first() {
                Some(bad) => format!("none; {}:{}: {}", bad.file, bad.line, bad.reason),
                None => "none".to_owned(),
            };
            return Err(Error::invalid(
                format!("the questions of {}", at.display()),
                found,
                "at least one labelled question",
            ));
        }
        Ok(())
    }
}

impl Question {
    /// Whether `document` answers it: S of the figures, relevant or also acceptable.
    pub fn accepts(&self, document: &str) -> bool {
        self.relevant.iter().chain(&self.also_acceptable).any(|id| id == document)
    }

    /// How far an unanswerable question is from the knowledge, where its label says so.
    pub fn distance(&self) -> Option<Distance> {
        if self.answerable {
            return None;
        }
        let note = self.note.as_deref().unwrap_or_default();
        match self.kind.as_deref() {
            Some("near_miss" | "account_access" | "left_out") => Some(Distance::Near),
            Some("off_topic" | "oos") => Some(Distance::Far),
            Some(_) => None,
            // The public intent sets say it in the note.
            None if note.starts_with("left-out intent") => Some(Distance::Near),
            None if note.starts_with("oos") || note.contains("out of scope") => Some(Distance::Far),
            None => None,
        }
    }

    /// The document that it is about, for statistics that must not count ten wordings of one thing as ten things: its
    /// first document, else the intent in its note, else itself.
    pub fn group(&self) -> String {
        let document = self.relevant.first().or(self.hard_negative.first());
        let intent = || self.note.as_deref().and_then(|note| note.strip_prefix("left-out intent: ")).map(str::to_owned);
        document.cloned().or_else(intent).unwrap_or_else(|| self.id.clone())
    }

    /// The turn that it is, counted from 1.
    pub fn turn(&self) -> usize {
        1 + self.history.iter().filter(|said| said.role == Role::User).count()
    }
}

fn from_manifest(folder: &Path, manifest: &Path) -> Result<Suite> {
    let text = std::fs::read_to_string(manifest).map_err(Error::named("the suite", manifest))?;
    let read: Manifest = toml::from_str(&text).map_err(|cause| {
        Error::invalid(manifest.display().to_string(), cause.to_string(), "name, knowledge, [[questions]]")
    })?;
    let knowledge: Vec<PathBuf> = read.knowledge.map(Vec::from).unwrap_or_default();
    let knowledge = knowledge.into_iter().map(|path| folder.join(path)).collect();
    let day = read.day.map(|day| {
        let text = day.as_str().map_or_else(|| day.to_string(), str::to_owned);
        text.parse::<Date>().map_err(|_| {
            Error::invalid(format!("day in {}", manifest.display()), format!("`{text}`"), "a day such as 2026-11-22")
        })
    });
    let day = day.transpose()?;
    let mut suite = Suite { name: read.name, notes: read.notes, knowledge, day, ..Suite::default() };
    for part in read.questions {
        suite.read(&folder.join(&part.file), &part.file.display().to_string(), part.split.as_deref())?;
    }
    for part in read.cases {
        suite.read_cases(&folder.join(&part.file), &part.file.display().to_string())?;
    }
    Ok(suite)
}

fn without_manifest(folder: &Path) -> Result<Suite> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::named("the suite", folder))? {
        files.push(entry.map_err(Error::named("the suite", folder))?.path());
    }
    files.sort();
    let lines = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "jsonl");
    let starts = |file: &Path, heads: &[&str]| heads.iter().any(|head| name_of(file).starts_with(head));
    let knowledge = files.iter().filter(|file| {
        (file.is_dir() && name_of(file) == "knowledge") || (lines(file) && starts(file, &["knowledge", "docs"]))
    });
    let mut suite = Suite { name: name_of(folder), knowledge: knowledge.cloned().collect(), ..Suite::default() };
    for file in files.iter().filter(lines).filter(|file| starts(file, &["questions", "followups", "adversarial"])) {
        suite.read(file, &name_of(file), None)?;
    }
    for file in files.iter().filter(lines).filter(|file| starts(file, &["cases"])) {
        suite.read_cases(file, &name_of(file))?;
    }
    Ok(suite)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The language of a question that names none.
pub(super) fn language(question: &str) -> Lang {
    if question.chars().any(is_han) { Lang::Zh } else { Lang::En }
}

fn parse(line: &str, place: String) -> Result<Question, String> {
    // The parser takes each line for a file of its own: its `line 1` would mislead.
    let raw: RawQuestion =
        serde_json::from_str(line).map_err(|cause| cause.to_string().replace(" at line 1 column ", " at column "))?;
    if raw.question.trim().is_empty() {
        return Err("the question is empty".to_owned());
    }
    if raw.answerable && raw.relevant.is_empty() && raw.also_acceptable.is_empty() {
        return Err("answerable, but `relevant` names no document".to_owned());
    }
    let lang = match &raw.lang {
        Some(lang) => lang.parse::<Lang>().map_err(|cause| cause.to_string())?,
        None => language(&raw.question),
    };
    let nuggets = raw.nuggets.map(Vec::from).unwrap_or_default();
    Ok(Question {
        id: raw.id,
        question: raw.question,
        lang,
        relevant: raw.relevant,
        also_acceptable: raw.also_acceptable,
        hard_negative: raw.hard_negative,
        answerable: raw.answerable,
        kind: raw.kind,
        topic: raw.topic,
        note: raw.note,
        history: raw.history,
        nuggets: nuggets.into_iter().map(Nugget::try_from).collect::<Result<_, String>>()?,
        expected: raw.expected.map(Vec::from).unwrap_or_default(),
        situation: raw.situation,
        split: raw.split,
        must: raw.must,
        place,
    })
}

impl TryFrom<RawNugget> for Nugget {
    type Error = String;

    fn try_from(raw: RawNugget) -> Result<Self, String> {
        let compile = |patterns: Vec<String>| -> Result<Vec<Regex>, String> {
            patterns.iter().map(|pattern| pattern_of(pattern)).collect()
        };
        let (zh, en, vital) = match raw {
            RawNugget::Pattern(pattern) => (vec![pattern.clone()], vec![pattern], true),
            RawNugget::AnyOf(patterns) => (patterns.clone(), patterns, true),
            RawNugget::ByLanguage { zh, en, vital } => {
                let list = |patterns: Option<OneOrMany<String>>| patterns.map(Vec::from).unwrap_or_default();
                (list(zh), list(en), vital)
            }
        };
        if zh.is_empty() && en.is_empty() {
            return Err("a nugget has no pattern: give a regex, a list of them, or one by `zh` and `en`".to_owned());
        }
        Ok(Nugget { zh: compile(zh)?, en: compile(en)?, vital })
    }
}

fn pattern_of(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(1 << 20)
        .build()
        .map_err(|cause| format!("nugget `{pattern}`: {}", cause.to_string().replace('\n', " ")))
}

#[cfg(test)]
#[path = "suite_tests.rs"]
mod tests;
