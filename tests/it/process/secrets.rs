//! Hostile messages through the running server, its log at debug: no sink keeps what they should not have said.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::{Value, json};

use super::{Place, Process};
use crate::{
    hostile::{Message, Secret, leak, message, readings_of_bytes},
    support::Client,
};

const TOKEN: &str = "a-token-for-tests-0123456789";
/// Customers that write at the same time.
const CUSTOMERS: usize = 4;

#[test]
fn three_hundred_hostile_messages_leave_no_trace() {
    leave_no_trace(300);
}

#[test]
#[ignore = "slow: 5,000 turns and every byte that is left of them take minutes"]
fn five_thousand_hostile_messages_leave_no_trace() {
    leave_no_trace(5_000);
}

fn leave_no_trace(messages: u64) {
    let place = Place::new();
    let process = Process::with(&place, &[("DESKHAND_LOG_LEVEL", "debug"), ("DESKHAND_SERVER_AGENT_TOKEN", TOKEN)]);
    let said = say_all(&process, messages);
    let mut leaks: Vec<String> =
        said.iter().filter_map(|(conversation, message)| conversation_leak(&process, conversation, message)).collect();
    let (cases, in_cases) = case_leaks(&process, &said);
    leaks.extend(in_cases);

    let metrics = process.get("/metrics").text.into_bytes();
    let log = fs::read(&process.log).unwrap();
    let mut sinks = vec![("/metrics".to_owned(), metrics), ("log".to_owned(), log)];
    sinks.extend(files(&place.data).into_iter().map(|path| (path.display().to_string(), fs::read(&path).unwrap())));
    let traces = Traces::new(said.values());
    let bytes: usize = sinks.iter().map(|(_, bytes)| bytes.len()).sum();
    leaks.extend(sinks.iter().filter_map(|(name, bytes)| Some(format!("{name}: {}", traces.first(bytes)?))));
    println!("{messages} messages, {cases} cases, {} sinks, {bytes} bytes: {} leaks", sinks.len(), leaks.len());
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// Says each message in a conversation of its own and waits for the replies.
fn say_all(process: &Process, messages: u64) -> BTreeMap<String, Message> {
    let say = |number: u64| {
        let (_, message) = message(number);
        let conversation = process.conversation();
        let accepted = process.say(&conversation, &json!({ "text": message.text }));
        assert_eq!(accepted.status, 202, "{}", accepted.text);
        process.replied(&conversation);
        (conversation, message)
    };
    std::thread::scope(|scope| {
        let say = &say;
        let customer = |first| scope.spawn(move || (first..messages).step_by(CUSTOMERS).map(say).collect::<Vec<_>>());
        let customers: Vec<_> = (0..CUSTOMERS as u64).map(customer).collect();
        customers.into_iter().flat_map(|customer| customer.join().unwrap()).collect()
    })
}

fn conversation_leak(client: &Client, conversation: &str, message: &Message) -> Option<String> {
    let history = client.get(&format!("/v1/conversations/{conversation}/messages")).json();
    json_leak(&history, message).map(|leak| format!("conversation: {leak}"))
}

/// How many cases there are, and what leaks from them.
fn case_leaks(client: &Client, said: &BTreeMap<String, Message>) -> (usize, Vec<String>) {
    let token = format!("Bearer {TOKEN}");
    let tickets = (1..).map(|number| {
        client.call("GET", &format!("/v1/desk/tickets/T-{number:06}"), &[("authorization", &token)], None)
    });
    let tickets: Vec<Value> = tickets.take_while(|ticket| ticket.status == 200).map(|ticket| ticket.json()).collect();
    let leaks = tickets.iter().filter_map(|ticket| {
        let message = &said[ticket["ticket"]["conversation"].as_str().unwrap()];
        json_leak(ticket, message).map(|leak| format!("case: {leak}"))
    });
    (tickets.len(), leaks.collect())
}

/// Looks into every text but ids and numbers of cases, in which short codes stand by chance.
fn json_leak(value: &Value, message: &Message) -> Option<String> {
    match value {
        Value::String(text) if uuid::Uuid::try_parse(text).is_ok() => None,
        Value::String(text) => {
            let without_numbers = text.split_whitespace().filter(|word| !word.contains("T-0")).collect::<Vec<_>>();
            leak(message, &without_numbers.join(" ")).map(|leak| format!("`{leak}` in {text:?} of {:?}", message.text))
        }
        Value::Array(values) => values.iter().find_map(|value| json_leak(value, message)),
        Value::Object(fields) => fields.values().find_map(|value| json_leak(value, message)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Every smallest leak of every message, searched for at once.
struct Traces {
    words: AhoCorasick,
    keys: AhoCorasick,
}

impl Traces {
    fn new<'m>(messages: impl Iterator<Item = &'m Message>) -> Self {
        let secrets = messages.flat_map(|message| &message.hidden);
        let (phrases, keys): (Vec<&Secret>, Vec<&Secret>) = secrets.partition(|secret| secret.is_phrase());
        let search = |secrets: Vec<&Secret>| {
            let needles = secrets.into_iter().flat_map(Secret::needles);
            AhoCorasick::builder().match_kind(MatchKind::Standard).build(needles).unwrap()
        };
        Traces { words: search(phrases), keys: search(keys) }
    }

    /// The first leak in a sink's bytes, with what stands around it.
    fn first(&self, bytes: &[u8]) -> Option<String> {
        let found = |text: &str, search: &AhoCorasick| {
            let found = search.find(text)?;
            let before = text[..found.start()].chars().rev().take(40).collect::<Vec<_>>().into_iter().rev();
            let around = before.chain(text[found.start()..].chars().take(80)).collect::<String>();
            Some(format!("`{}` in …{around}…", &text[found.range()]))
        };
        readings_of_bytes(bytes).iter().find_map(|(letters, alphanumerics)| {
            found(letters, &self.words).or_else(|| found(alphanumerics, &self.keys))
        })
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
