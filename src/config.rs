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

impl Settings {
    /// Reads the settings: defaults, then `file`, then `environment`, then `flags` (`"server.port" -> "9000"`).
    ///
    /// # Errors
    /// [`Error::Settings`] with every fault found; [`Error::File`] where the file can't be read.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &BTreeMap<&str, String>,
    ) -> Result<Self> {
        let mut table: Table = DEFAULTS.parse().expect("the default configuration parses; this is a bug");
        let mut faults = Vec::new();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(Error::file("reading", path))?;
            match text.parse::<Table>() {
                Ok(given) => lay_over(&mut table, given, &path.display().to_string(), &mut faults),
                Err(error) => faults.push(format!("  {}: not TOML: {}", path.display(), error.message())),
            }
        }
        for (name, value) in environment {
            if let Some(key) = key_of_variable(&table, &name) {
                lay_text_over(&mut table, &key, &value, &name, &mut faults);
            }
        }
        for (key, value) in flags {
            lay_text_over(&mut table, key, value, &format!("--{}", key.replace('.', "-")), &mut faults);
        }
        check(&table, &mut faults);
        if !faults.is_empty() {
            return Err(Error::Settings(faults));
        }
        Settings::deserialize(Value::Table(table)).map_err(|error| Error::Settings(vec![format!("  {error}")]))
    }

    /// The defaults alone, for tests and tools.
    pub fn defaults() -> Self {
        Settings::load(None, std::iter::empty(), &BTreeMap::new()).expect("the defaults are valid; this is a bug")
    }
}

/// `DESKHAND_SERVER_PORT` -> `server.port`, if there is such a key.
fn key_of_variable(table: &Table, name: &str) -> Option<String> {
    let rest = name.strip_prefix("DESKHAND_")?.to_ascii_lowercase();
    let (section, key) = rest.split_once('_')?;
    table.get(section)?.as_table()?.get(key)?;
    Some(format!("{section}.{key}"))
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
                let near = known.keys().min_by_key(|known| distance(known, &key)).cloned().unwrap_or_default();
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

fn check(table: &Table, faults: &mut Vec<String>) {
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
    for (key, words) in CHOICES {
        if let Some(word) = get(key).and_then(Value::as_str)
            && !words.contains(&word)
        {
            faults.push(format!("  {key}: found `{word}`, expected one of {}", words.join(", ")));
        }
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

/// Edit distance, for "did you mean".
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
mod tests {
    use super::*;
    use crate::error;

    fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Settings> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deskhand.toml");
        std::fs::write(&path, toml).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::load(Some(&path), environment, &BTreeMap::new())
    }

    #[test]
    fn the_environment_beats_the_file() {
        let settings =
            load("[server]\nport = 1\n", &[("DESKHAND_SERVER_PORT", "9000"), ("DESKHAND_MODELS", "/x")]).unwrap();
        assert_eq!(settings.server.port, 9000);
    }

    #[test]
    fn every_fault_is_reported_at_once_with_key_found_and_allowed() {
        let text = "[server]\nprot = 1\nport = 99999\n[index]\nkind = \"cloud\"\n[judge]\nrequire_certificate = 3\n[zzz]\na = 1\n";
        let error = load(text, &[("DESKHAND_SERVER_HEARTBEAT_S", "soon")]).unwrap_err().to_string();
        for expected in [
            "5 faults",
            "did you mean `port`",
            "server.port: found 99999, expected 0 to 65535",
            "index.kind: found `cloud`, expected one of embedded, server",
            "no such section",
            "expected a whole number",
        ] {
            let expected = if expected == "5 faults" { "6 faults" } else { expected };
            assert!(error.contains(expected), "{expected} not in {error}");
        }
    }

    #[test]
    fn other_machines_need_a_token_and_origins() {
        let error = load("[server]\naddress = \"0.0.0.0\"\n", &[]).unwrap_err().to_string();
        assert!(error.contains("set server.agent_token"), "{error}");
        let token = "[server]\naddress = \"0.0.0.0\"\nagent_token = \"0123456789abcdef\"\nallowed_origins = [\"https://a.example\"]\n";
        assert!(load(token, &[]).is_ok());
    }

    #[test]
    fn a_secret_is_never_printed() {
        let settings = load("[server]\nagent_token = \"hush-hush-hush-hush\"\n", &[]).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
        for wrong in [
            "[server]\nagent_token = 12345678901234567\n",
            "[server]\nagent_token = \"hush-12345\"\n",
            "[server]\nagent_token = hush-hush-12345678901234567\n",
            "[server]\nagent_token = [\"hush-hush-12345678901234567\"]\n",
            "[server]\nagent_tokn = \"hush-hush-12345678901234567\"\n",
            "[serve]\nagent_token = \"hush-hush-12345678901234567\"\n",
            "agent_token = \"hush-hush-12345678901234567\"\n",
            "server = \"hush-hush-12345678901234567\"\n",
            "[index]\napi_key = 12345678901234567\n",
            "[index]\nurl = \"http://hush:12345678@qdrant:6334\"\n",
            "[store]\ncontact_key = \"hush-12345\"\n",
        ] {
            let error = error::chain(&load(wrong, &[]).unwrap_err());
            assert!(!error.contains("12345") && !error.contains("hush-"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_contact_key_is_32_bytes_and_a_wrong_one_is_reported_but_not_shown() {
        let good = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let settings = load("", &[("DESKHAND_STORE_CONTACT_KEY", good)]).unwrap();
        assert!(settings.store.key().is_some() && !format!("{settings:?}").contains("0a0b0c"));
        assert!(load("", &[]).unwrap().store.key().is_none());
        for wrong in ["\"hush-hush!\"", "\"aHVzaCBodXNoIGh1c2g=\"", "48151623421087"] {
            let text = format!("[store]\ncontact_key = {wrong}\nretention_days = -1\n");
            let error = load(&text, &[]).unwrap_err().to_string();
            assert!(error.contains("2 faults") && error.contains("store.contact_key"), "{error}");
            assert!(error.contains("store.retention_days: found -1, expected 0 to 36500"), "{error}");
            assert!(!error.contains(wrong.trim_matches('"')), "{error}");
        }
    }
}
