//! What was typed (file, environment, flags) becomes checked [`Settings`], all faults at once.
//!
//! The defaults are a commented TOML file in the binary. A file, then `DESKHAND_<SECTION>_<KEY>` variables, then
//! flags are laid over it; every value is checked against the default's type and the rules below, and every
//! fault is reported with its key, what was found and what is allowed. Secrets are never printed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use toml::{Table, Value};

use crate::{
    error::{Error, Result},
    safety::contact::ContactKey,
};

/// The commented defaults, as `deskhand admin config` prints them.
pub const DEFAULTS: &str = include_str!("config.default.toml");

/// A secret that never shows in a log, an error or a debug print.
#[derive(Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret that did not come from the settings, for instance one made at the start.
    pub fn new(secret: impl Into<String>) -> Self {
        Secret(secret.into())
    }

    /// The secret itself; empty when none is set.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "unset" } else { "set" })
    }
}

/// Everything that can be set; see `config.default.toml` for units and reasons.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// How people reach us.
    pub server: Server,
    /// Limits on what customers send.
    pub question: Question,
    /// Which weights run.
    pub model: Model,
    /// Where the vectors are.
    pub index: Index,
    /// Which documents count.
    pub knowledge: Knowledge,
    /// Which judge decides.
    pub judge: Judge,
    /// How answers are made.
    pub answer: Answer,
    /// How hard the store tries.
    pub store: Store,
    /// What agents read.
    pub desk: Desk,
    /// What is logged.
    pub log: Log,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each key is described in config.default.toml")]
pub struct Server {
    pub address: std::net::IpAddr,
    pub port: u16,
    pub agent_token: Secret,
    pub allowed_origins: Vec<String>,
    pub body_limit_bytes: usize,
    pub heartbeat_s: u64,
    pub messages_per_minute: u32,
    pub proxy_header: String,
    pub connections_limit: usize,
    pub connections_per_address: usize,
    pub queue_limit: usize,
    pub stop_after_s: u64,
}

/// `[question]`
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each key is described in config.default.toml")]
pub struct Question {
    pub limit_characters: usize,
    pub limit_messages: usize,
}

/// `[model]`
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each key is described in config.default.toml")]
pub struct Model {
    pub embedder: String,
    pub generator: String,
    pub queue_limit: usize,
}

/// `[index]`
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each key is described in config.default.toml")]
pub struct Index {
    pub kind: IndexKind,
    pub url: String,
    pub api_key: Secret,
    pub collection: String,
}

/// Where the index runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexKind {
    /// In this process.
    Embedded,
    /// On a Qdrant server.
    Server,
}

/// `[knowledge]`
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each key is described in config.default.toml")]
pub struct Knowledge {
    pub product: String,
}

/// `[judge]`
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each key is described in config.default.toml")]
pub struct Judge {
    pub file: PathBuf,
    pub require_certificate: bool,
}

/// `[answer]`
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each key is described in config.default.toml")]
pub struct Answer {
    pub composed: bool,
    pub limit_tokens: usize,
    pub slots: usize,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each key is described in config.default.toml")]
pub struct Store {
    pub sync: Sync,
    pub contact_key: Secret,
    pub retention_days: u32,
}

impl Store {
    /// The key that contact data is sealed with, if one is set.
    pub fn key(&self) -> Option<Arc<ContactKey>> {
        ContactKey::parse(self.contact_key.reveal()).ok().map(Arc::new)
    }
}

/// How hard a commit tries to reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// Survives a killed process.
    Normal,
    /// Also survives loss of power.
    Full,
}

/// `[desk]`
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each key is described in config.default.toml")]
pub struct Desk {
    pub language: String,
    pub hours_zh: String,
    pub hours_en: String,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "each key is described in config.default.toml")]
pub struct Log {
    pub level: String,
    pub format: String,
}

/// What a number may be, inclusive.
const RANGES: &[(&str, f64, f64)] = &[
    ("server.port", 0.0, 65535.0),
    ("server.body_limit_bytes", 1024.0, 16_777_216.0),
    ("server.heartbeat_s", 1.0, 300.0),
    ("server.messages_per_minute", 0.0, 1_000_000.0),
    ("server.connections_limit", 1.0, 1_000_000.0),
    ("server.connections_per_address", 0.0, 1_000_000.0),
    ("server.queue_limit", 1.0, 100_000.0),
    ("server.stop_after_s", 0.0, 600.0),
    ("question.limit_characters", 16.0, 100_000.0),
    ("question.limit_messages", 2.0, 100_000.0),
    ("model.queue_limit", 1.0, 1_000_000.0),
    ("answer.limit_tokens", 16.0, 2048.0),
    ("store.retention_days", 0.0, 36_500.0),
    ("answer.slots", 1.0, 1000.0),
];

/// Which words a key takes.
const CHOICES: &[(&str, &[&str])] = &[
    ("index.kind", &["embedded", "server"]),
    ("store.sync", &["normal", "full"]),
    ("desk.language", &["zh", "en", "customer"]),
    ("log.format", &["text", "json"]),
];

/// How much can be logged.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What begins with `DESKHAND_` and is no setting: where things are, and what repeats a test.
const NO_SETTINGS: [&str; 8] =
    ["DATA", "MODELS", "SEED", "ROUNDS", "MESSAGES", "DATA_SETS", "DATA_TEXTS", "KEEP_REPORT"];

impl Settings {
    /// Reads the settings: defaults, then `file`, then `environment`, then `flags` (`"server.port" -> "9000"`). `choices` are
    /// words that a key takes and only other rooms know, such as the names of models.
    ///
    /// # Errors
    /// [`Error::Settings`] with every fault found; [`Error::Invalid`] where there is no such file.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &BTreeMap<&str, String>,
        choices: &[(&str, Vec<String>)],
    ) -> Result<Self> {
        let mut table: Table = DEFAULTS.parse().expect("the default configuration parses; this is a bug");
        let mut faults = Vec::new();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(Error::named("the settings", path))?;
            match text.parse::<Table>() {
                Ok(given) => lay_over(&mut table, given, &path.display().to_string(), &mut faults),
                Err(error) => faults.push(format!("  {}: not TOML: {}", path.display(), error.message())),
            }
        }
        for (name, value) in environment {
            match key_of_variable(&table, &name) {
                Some(key) => lay_text_over(&mut table, &key, &value, &name, &mut faults),
                None => faults.extend(misspelt(&table, &name)),
            }
        }
        for (key, value) in flags {
            lay_text_over(&mut table, key, value, &format!("--{}", key.replace('.', "-")), &mut faults);
        }
        check(&table, choices, &mut faults);
        if !faults.is_empty() {
            return Err(Error::Settings(faults));
        }
        Settings::deserialize(Value::Table(table)).map_err(|error| Error::Settings(vec![format!("  {error}")]))
    }

    /// The defaults alone, for tests and tools.
    pub fn defaults() -> Self {
        Settings::load(None, std::iter::empty(), &BTreeMap::new(), &[]).expect("the defaults are valid; this is a bug")
    }
}

/// Variables that begin as our settings do and are neither settings nor anything else of ours: worth a word, for a typo looks
/// like that too.
pub fn foreign_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let table: Table = DEFAULTS.parse().expect("the default configuration parses; this is a bug");
    let is_foreign = |name: &String| {
        name.strip_prefix("DESKHAND_").is_some_and(|rest| !NO_SETTINGS.contains(&rest))
            && key_of_variable(&table, name).is_none()
    };
    names.filter(is_foreign).collect()
}

/// `DESKHAND_SERVER_PORT` -> `server.port`, if there is such a key.
fn key_of_variable(table: &Table, name: &str) -> Option<String> {
    let rest = name.strip_prefix("DESKHAND_")?.to_ascii_lowercase();
    let (section, key) = rest.split_once('_')?;
    table.get(section)?.as_table()?.get(key)?;
    Some(format!("{section}.{key}"))
}

/// What to say of a variable that is no setting but was meant to be one: its section is one of ours, or nearly. Other names
/// are let through, for a cluster sets its own, such as `DESKHAND_PORT_8080_TCP`. The value may be a secret.
fn misspelt(table: &Table, name: &str) -> Option<String> {
    let rest = name.strip_prefix("DESKHAND_").filter(|rest| !NO_SETTINGS.contains(rest))?.to_ascii_lowercase();
    let (section, key) = rest.split_once('_')?;
    let (near, off) = nearest(section, table.keys().map(String::as_str))?;
    if off > usize::from(section.len() > 4) + usize::from(section.len() > 2) {
        return None;
    }
    let keys = table.get(near)?.as_table()?;
    let (key, _) = nearest(key, keys.keys().map(String::as_str))?;
    let meant = format!("{near}_{key}").to_ascii_uppercase();
    Some(format!("  {name} in the environment: no such setting; did you mean `DESKHAND_{meant}`?"))
}

fn lay_over(table: &mut Table, given: Table, from: &str, faults: &mut Vec<String>) {
    for (section, value) in given {
        let Some(known) = table.get_mut(&section).and_then(Value::as_table_mut) else {
            let sections = table.keys().cloned().collect::<Vec<_>>().join(", ");
            faults.push(format!("  [{section}] in {from}: no such section; there are {sections}"));
            continue;
        };
        let Value::Table(values) = value else {
            // Not shown: it may be a secret that was put beside its section.
            faults.push(format!("  {section} in {from}: found {}, expected a section [{section}]", sort(&value)));
            continue;
        };
        for (key, value) in values {
            let Some(default) = known.get_mut(&key) else {
                let near = nearest(&key, known.keys().map(String::as_str)).map_or("", |(near, _)| near);
                faults.push(format!("  {section}.{key} in {from}: no such key; did you mean `{near}`?"));
                continue;
            };
            match cast(default, value) {
                Ok(value) => *default = value,
                Err(value) => faults.push(format!(
                    "  {section}.{key} in {from}: found {}, expected {}",
                    shown(&key, &value),
                    sort(default)
                )),
            }
        }
    }
}

fn lay_text_over(table: &mut Table, key: &str, text: &str, from: &str, faults: &mut Vec<String>) {
    let (section, name) = key.split_once('.').unwrap_or((key, ""));
    let Some(default) = table.get_mut(section).and_then(Value::as_table_mut).and_then(|table| table.get_mut(name))
    else {
        faults.push(format!("  {key} from {from}: no such key"));
        return;
    };
    let value = match default {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Float(_) => text.parse().ok().map(Value::Float),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        Value::Table(_) | Value::Datetime(_) => None,
    };
    match value {
        Some(value) => *default = value,
        None => faults.push(format!("  {key} from {from}: found `{text}`, expected {}", sort(default))),
    }
}

/// The value in the default's type, or the value back. A whole number may stand for a fraction.
fn cast(default: &Value, value: Value) -> std::result::Result<Value, Value> {
    match (default, &value) {
        (Value::Float(_), Value::Integer(whole)) => Ok(Value::Float(*whole as f64)),
        (Value::Array(_), Value::Array(items)) if !items.iter().all(Value::is_str) => Err(value),
        _ if default.same_type(&value) => Ok(value),
        _ => Err(value),
    }
}

fn check(table: &Table, choices: &[(&str, Vec<String>)], faults: &mut Vec<String>) {
    let get = |key: &str| {
        let (section, name) = key.split_once('.')?;
        table.get(section)?.get(name)
    };
    for (key, least, most) in RANGES {
        let number = get(key).and_then(|value| value.as_float().or(value.as_integer().map(|whole| whole as f64)));
        if let Some(number) = number
            && !(*least..=*most).contains(&number)
        {
            faults.push(format!("  {key}: found {number}, expected {least} to {most}"));
        }
    }
    let fixed = CHOICES.iter().map(|(key, words)| (*key, words.iter().map(|word| (*word).to_owned()).collect()));
    for (key, words) in fixed.chain(choices.iter().cloned()) {
        let words: Vec<String> = words;
        if let Some(word) = get(key).and_then(Value::as_str)
            && !words.iter().any(|known| known == word)
        {
            faults.push(format!("  {key}: found `{word}`, expected one of {}", words.join(", ")));
        }
    }
    if let Some(level) = get("log.level").and_then(Value::as_str)
        && let Some(wrong) = level.split(',').map(str::trim).find(|part| !is_level(part))
    {
        faults.push(format!(
            "  log.level: found `{wrong}`, expected error, warn, info, debug or trace, or one per room such as \
             info,deskhand::turn=debug"
        ));
    }
    let address = get("server.address").and_then(Value::as_str).unwrap_or_default();
    match address.parse::<std::net::IpAddr>() {
        Err(_) => faults.push(format!("  server.address: found `{address}`, expected an IP address such as 127.0.0.1")),
        Ok(ip) if !ip.is_loopback() => {
            let unset = |key| {
                get(key).is_none_or(|value| value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty))
            };
            if unset("server.agent_token") || unset("server.allowed_origins") {
                faults.push(format!(
                    "  server.address: {ip} can be reached from other machines; set server.agent_token and \
                     server.allowed_origins first, or use 127.0.0.1"
                ));
            }
        }
        Ok(_) => {}
    }
    for origin in
        get("server.allowed_origins").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
        if host.is_empty() || host.contains(|c: char| !(c.is_ascii_alphanumeric() || "-.:[]".contains(c))) {
            faults.push(format!(
                "  server.allowed_origins: found `{origin}`, expected scheme and host only, such as https://app.example"
            ));
        }
    }
    if get("index.url").and_then(Value::as_str).is_some_and(|url| url.contains('@')) {
        faults.push(
            "  index.url: found a name or password before the host, expected index.api_key to hold it".to_owned(),
        );
    }
    let token = get("server.agent_token").and_then(Value::as_str).unwrap_or_default();
    if !token.is_empty() && token.len() < 16 {
        faults.push("  server.agent_token: found fewer than 16 characters, expected at least 16".to_owned());
    }
    let contact_key = get("store.contact_key").and_then(Value::as_str).unwrap_or_default();
    if !contact_key.is_empty()
        && let Err(found) = ContactKey::parse(contact_key)
    {
        faults.push(format!(
            "  store.contact_key: {found}, expected 32 random bytes in base64 or hexadecimal; `openssl rand -base64 32` makes some"
        ));
    }
}

/// `info`, or `deskhand::turn=debug`. The log itself would take a lone word for the name of a room, and stay silent.
fn is_level(part: &str) -> bool {
    let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
    LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
}

/// What sort of value a key takes, in words.
fn sort(default: &Value) -> &'static str {
    match default {
        Value::String(_) => "a text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list of texts",
        Value::Table(_) => "a section",
        Value::Datetime(_) => "a date",
    }
}

/// A value for an error text; secrets are not shown.
fn shown(key: &str, value: &Value) -> String {
    if key.contains("token") || key.contains("api_key") || key.contains("contact_key") {
        "a secret of the wrong type".into()
    } else {
        format!("`{value}`")
    }
}

/// The nearest of `known` and how far it is, for "did you mean".
pub(crate) fn nearest<'k>(found: &str, known: impl Iterator<Item = &'k str>) -> Option<(&'k str, usize)> {
    known.map(|known| (known, distance(known, found))).min_by_key(|(_, off)| *off)
}

/// Edit distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let cost = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
