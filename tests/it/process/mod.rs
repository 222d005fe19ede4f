//! What the product promises when things break, proved on the real process: the binary, real weights from the model cache, a
//! knowledge of five documents. `DESKHAND_SEED` repeats a run's random moments, `DESKHAND_ROUNDS` sets how often the
//! process is killed.

mod disk;

mod forget;

mod input;

mod kill;

mod models;

mod orders;

mod secrets;

mod settings;

mod together;

mod typed;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::support::Client;

/// Questions with the document that answers each.
const QUESTIONS: [(&str, &str); 5] = [
    ("How long does a withdrawal to my bank take?", "withdrawal-time"),
    ("What is the monthly limit of the virtual card?", "card-limit"),
    ("When do loyalty points expire?", "points-expiry"),
    ("How long does a refund take?", "refund-time"),
    ("What does a replacement card cost?", "card-replacement"),
];

/// The five documents of one edition: every body names its edition twice, at its beginning and at its end.
fn write_documents(folder: &Path, edition: &str) {
    fs::create_dir_all(folder).unwrap();
    for (title, id) in QUESTIONS {
        let body = format!(
            "Edition {edition} says that {id} is settled within two working days. Nothing else is needed. Edition {edition} ends here."
        );
        let text = format!("---\nid: {id}\nlang: en\nkind: faq\ntitle: \"{title}\"\n---\n{body}\n");
        fs::write(folder.join(format!("{id}.md")), text).unwrap();
    }
}

/// A data folder with the first edition in it, and a folder of documents.
struct Place {
    folder: tempfile::TempDir,
    data: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Place::at(folder, data)
    }

    /// The data goes to `data`, which may be on another disk. Without the index: the first start builds it.
    fn at(folder: tempfile::TempDir, data: PathBuf) -> Self {
        static FIRST: OnceLock<tempfile::TempDir> = OnceLock::new();
        let first = FIRST.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            write_documents(&folder.path().join("documents"), "one");
            let data = folder.path().join("data");
            let ingested = run(&data, &["ingest", &folder.path().join("documents").to_string_lossy()], &[]);
            assert!(ingested.status.success(), "{}", said(&ingested));
            folder
        });
        copy(&first.path().join("data"), &data, "index");
        write_documents(&folder.path().join("documents"), "one");
        Place { folder, data }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes an edition of the documents and hands it to `deskhand ingest`.
    fn ingest(&self, edition: &str) -> Output {
        write_documents(&self.path("documents"), edition);
        run(&self.data, &["ingest", &self.path("documents").to_string_lossy()], &[])
    }
}

fn copy(from: &Path, to: &Path, except: &str) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != except) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target, "");
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn deskhand(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deskhand"));
    command.args(arguments).arg("--data").arg(data).envs(environment.iter().copied());
    command.env_remove("DESKHAND_DATA").env("RUST_BACKTRACE", "0").env("NO_COLOR", "1");
    command
}

/// Runs a command to its end.
fn run(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    deskhand(data, arguments, environment).stdin(Stdio::null()).output().unwrap()
}

/// Everything that a command printed.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// `deskhand serve` as it runs, and a client of it. Killed when dropped.
struct Process {
    child: Child,
    client: Client,
    log: PathBuf,
    /// From the start to "ready".
    ready_in: Duration,
    _stdout: BufReader<ChildStdout>,
}

impl Deref for Process {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Process {
    fn start(place: &Place) -> Self {
        Process::with(place, &[])
    }

    #[expect(clippy::zombie_processes, reason = "it outlives this call; dropping it kills it and waits")]
    fn with(place: &Place, environment: &[(&str, &str)]) -> Self {
        let started = Instant::now();
        let log = place.path(&format!("log-{}", uuid::Uuid::new_v4()));
        let mut command = deskhand(&place.data, &["serve", "--port", "0"], environment);
        let mut child = command.stdout(Stdio::piped()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut address = None;
        loop {
            let mut line = String::new();
            if stdout.read_line(&mut line).unwrap() == 0 {
                panic!("it did not start: {}", fs::read_to_string(&log).unwrap());
            }
            if let Some(url) = line.strip_prefix("chat") {
                let url = url.trim().trim_start_matches("http://").trim_end_matches('/');
                address = Some(url.parse::<SocketAddr>().unwrap());
            }
            if line.starts_with("ready in") {
                let client = Client::new(address.unwrap());
                return Process { child, client, log, ready_in: started.elapsed(), _stdout: stdout };
            }
        }
    }

    /// `kill -9`.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; the exit code, and how long it took.
    fn stop(&mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        (self.child.wait().unwrap().code(), started.elapsed())
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn history(&self, conversation: &str) -> Value {
        let answer = self.get(&format!("/v1/conversations/{conversation}/messages"));
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Says something in a conversation of its own and waits for the reply.
    fn ask(&self, text: &str) -> Value {
        let conversation = self.conversation();
        let accepted = self.say(&conversation, &json!({ "text": text }));
        assert_eq!(accepted.status, 202, "{}", accepted.text);
        self.replied(&conversation)["messages"].as_array().unwrap().last().unwrap()["reply"].clone()
    }

    /// The conversation once nothing in it waits for the bot.
    fn replied(&self, conversation: &str) -> Value {
        let started = Instant::now();
        loop {
            let history = self.history(conversation);
            if !is_waiting(&history) {
                return history;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "no reply: {history}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `/readyz` says, looked at anew: a look holds for a second.
    fn ready(&self) -> (u16, Vec<String>) {
        std::thread::sleep(Duration::from_millis(1100));
        let answer = self.get("/readyz");
        let why_not =
            answer.json()["why_not"].as_array().unwrap().iter().map(|why| why.as_str().unwrap().to_owned()).collect();
        (answer.status, why_not)
    }

    /// Store, index and embedder work: a known question is answered from its document.
    fn check_answers(&self) {
        assert_eq!(self.ready(), (200, vec![]));
        let (question, document) = QUESTIONS[0];
        let reply = self.ask(question);
        assert_eq!(
            (&reply["outcome"], &reply["citations"][0]["document"]),
            (&json!("answer"), &json!(document)),
            "{reply}"
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // Gone already where the test stopped it.
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// Whether the customer spoke last and the bot has the conversation.
fn is_waiting(history: &Value) -> bool {
    let last = history["messages"].as_array().unwrap().last();
    history["state"] == "bot" && last.is_some_and(|message| message["from"] == "customer")
}

/// Every acknowledged message is there under its number; numbers have no gaps; nothing of the customer's is there twice;
/// nothing was replied to twice.
fn check_history(history: &Value, acknowledged: &BTreeMap<i64, (String, String)>, when: &str) {
    let messages = history["messages"].as_array().unwrap();
    for (at, message) in messages.iter().enumerate() {
        assert_eq!(message["message"], json!(at + 1), "{when}: {history}");
        let twice = message["from"] == "bot" && at > 0 && messages[at - 1]["from"] == "bot";
        assert!(!twice, "{when}: replied twice: {history}");
    }
    for (number, (key, text)) in acknowledged {
        let message = messages.get(*number as usize - 1).unwrap_or(&Value::Null);
        let found = (&message["from"], &message["text"]);
        assert_eq!(found, (&json!("customer"), &json!(text)), "{when}: {number} ({key}) of {history}");
    }
    let said = messages.iter().filter(|message| message["from"] == "customer").count();
    assert_eq!(said, acknowledged.len(), "{when}: what nobody said, or twice: {history}");
}
