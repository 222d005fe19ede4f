//! What lies in the files, and what no longer does: a phrase that came in parts, contact data, erased conversations.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bip39::{Language, Mnemonic};
use deskhand::{
    config::Settings,
    error::{Error, Fault},
    http,
    safety::{
        contact::{ContactKey, Opened},
        incoming::Incoming,
        mask,
    },
    store::{
        NewConversation, NewEvent, NewIncoming, NewTicket, Priority, State, Store, StoreOptions, Ticket, TicketFilter,
        TicketNumber, Whose, Wording,
    },
    turn::{Bot, Policy, guard::Guard},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use sqlx::{Connection, Row};
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::support::Client;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const TOKEN: &str = "a-token-for-tests-0123456789";

/// No part gives a phrase away by itself; together they have a right checksum.
const FIRST: &str = "ok the first part is action guess gift wisdom poem buzz";
const SECOND: &str = "and the rest: local cash decline chuckle chase cement";

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("deskhand.sqlite")
    }

    async fn open(&self, key: Option<&str>) -> Store {
        let contact_key = key.map(|key| Arc::new(ContactKey::parse(key).unwrap()));
        Store::open(&self.path(), &StoreOptions { contact_key, ..StoreOptions::default() }).await.unwrap()
    }

    /// A bot without knowledge: it hands everything to a person, with a case.
    async fn bot(&self, key: Option<&str>) -> Bot {
        Bot::new(self.open(key).await, None, None, Guard::rules_only(), Policy::default())
    }

    fn holds(&self, bytes: &str) -> bool {
        holds(&self.path(), bytes)
    }

    /// Waits until the files hold none of these; scrubbing follows the commit.
    fn is_rid_of(&self, pieces: &[&str]) {
        let started = Instant::now();
        while let Some(piece) = pieces.iter().find(|piece| self.holds(piece)) {
            assert!(started.elapsed() < Duration::from_secs(20), "`{piece}` still stands in the files");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Whether the database, its log or any other file beside it holds these bytes.
fn holds(database: &Path, bytes: &str) -> bool {
    let files = std::fs::read_dir(database.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let of_database = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("deskhand.sqlite"));
    of_database.filter_map(|path| std::fs::read(path).ok()).any(|file| {
        let bytes = bytes.as_bytes();
        file.windows(bytes.len()).any(|window| window == bytes)
    })
}

async fn start(bot: &Bot) -> Uuid {
    bot.start("test", None, None).await.unwrap().id
}

async fn say(bot: &Bot, conversation: Uuid, text: &str) {
    if let Some(turn) = bot.say(conversation, text, None, None).await.unwrap().turn {
        turn.await.unwrap();
    }
}

async fn texts(store: &Store, conversation: Uuid) -> Vec<String> {
    let messages = store.messages(conversation, 0).await.unwrap();
    messages.into_iter().map(|message| message.text.as_str().to_owned()).collect()
}

/// Everything that the store has to say about a conversation, as one text.
async fn everything(store: &Store, conversation: Uuid) -> String {
    let messages = store.messages(conversation, 0).await.unwrap();
    let events = store.events(conversation, 0).await.unwrap();
    let filter = TicketFilter { conversation: Some(conversation), ..TicketFilter::default() };
    let tickets: Vec<Ticket> = store.tickets(filter).await.unwrap();
    json!([messages, events, tickets]).to_string()
}

#[tokio::test]
async fn a_phrase_in_two_messages_is_gone_from_every_row_and_every_byte() {
    let place = Place::new();
    let bot = place.bot(None).await;
    let store = bot.store();
    let conversation = start(&bot).await;
    say(&bot, conversation, FIRST).await;
    let ticket = store.open_ticket(conversation).await.unwrap().unwrap();
    assert!(ticket.case.to_string().contains("guess") && place.holds("action guess gift"), "it is stored at first");
    let quoting = mask("you wrote: action guess gift wisdom poem buzz");
    store.reply(ticket.number, "Ann", &quoting, None, vec![]).await.unwrap();
    say(&bot, conversation, "how long does it take?").await;
    say(&bot, conversation, SECOND).await;
    // The bot still looks at what was said to the person.
    while store.ticket(ticket.number).await.unwrap().case["watched_to"].as_i64() < Some(5) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let all = everything(store, conversation).await;
    for word in ["guess", "wisdom", "chuckle", "cement"] {
        assert!(!all.contains(word), "{word} in {all}");
    }
    let texts = texts(store, conversation).await;
    assert_eq!(texts[0], "ok the first part is [seed phrase 1]");
    assert!(
        texts.contains(&"how long does it take?".to_owned())
            && texts.contains(&"you wrote: [seed phrase 1]".to_owned()),
        "{texts:?}"
    );

    // The case still points at what it quotes.
    let ticket = store.ticket(ticket.number).await.unwrap();
    let (ask, span) = (&ticket.case["ask"]["value"], &ticket.case["ask"]["span"]);
    assert_eq!(ticket.case["ask"]["message"], 5, "what completed the phrase heads the case");
    let points: Vec<char> = texts[4].chars().collect();
    let quoted: String =
        points[span["start"].as_u64().unwrap() as usize..span["end"].as_u64().unwrap() as usize].iter().collect();
    assert_eq!(ask, &json!(quoted), "{}", ticket.case);
    assert!(
        ticket.case["masked"].to_string().contains("seed phrase: 2"),
        "the part that came later counts too: {}",
        ticket.case
    );
    assert!(ticket.case["text"].as_str().unwrap().contains("[seed phrase 1]"), "{}", ticket.case);

    // Readers are told which message reads otherwise now.
    let events = store.events(conversation, 0).await.unwrap();
    let replaced: Vec<_> = events.iter().filter(|event| event.kind == "replaced").map(|event| &event.json).collect();
    assert_eq!(replaced[0], &json!({"message": 1, "from": "customer", "text": "ok the first part is [seed phrase 1]"}));
    assert_eq!(replaced.len(), 2, "the customer's and the agent's: {replaced:?}");

    place.is_rid_of(&["action guess", "wisdom", "local cash"]);
    store.close().await;
    let store = place.open(None).await;
    assert_eq!(everything(&store, conversation).await, all, "a restart changes nothing");
    place.is_rid_of(&["action guess", "wisdom"]);
}

#[tokio::test]
async fn a_word_at_a_time_in_any_state_of_the_conversation() {
    let place = Place::new();
    let bot = place.bot(None).await;
    let conversation = start(&bot).await;
    let words = "zebra trumpet whale oxygen lumber sadness kiwi jealous velvet";
    for (at, word) in words.split(' ').enumerate() {
        say(&bot, conversation, word).await;
        if at == 3 {
            // The ticket is closed, and the bot answers again: still the same conversation.
            let number = bot.store().open_ticket(conversation).await.unwrap().unwrap().number;
            bot.store().close_ticket(number, "Ann", State::Bot, vec![]).await.unwrap();
        }
    }
    let all = everything(bot.store(), conversation).await;
    for word in words.split(' ') {
        assert!(!all.contains(word), "{word} in {all}");
    }
    place.is_rid_of(&["trumpet", "velvet", "sadness"]);
}

#[tokio::test]
async fn a_repeated_message_changes_nothing() {
    let place = Place::new();
    let bot = place.bot(None).await;
    let conversation = start(&bot).await;
    say(&bot, conversation, FIRST).await;
    let key = Some("key".to_owned());
    bot.say(conversation, "fine", None, key.clone()).await.unwrap();
    let before = texts(bot.store(), conversation).await;
    let again = bot.say(conversation, SECOND, None, key).await.unwrap();
    assert!(again.repeated);
    assert_eq!(texts(bot.store(), conversation).await, before);
}

/// SQLite leaves copies of rows behind when it splits pages: many rows, and none may be left of what was masked.
#[tokio::test]
async fn nothing_is_left_between_many_rows() {
    let place = Place::new();
    let bot = place.bot(None).await;
    let mut random = StdRng::seed_from_u64(9);
    let mut halves = Vec::new();
    while halves.len() < 40 {
        let entropy: [u8; 16] = random.random();
        let phrase = Mnemonic::from_entropy_in(Language::English, &entropy).unwrap();
        let words: Vec<&str> = phrase.words().collect();
        let (first, second) = (words[..6].join(" "), words[6..].join(" "));
        let said = [format!("it begins with {first} i think"), format!("and ends with {second}.")];
        let incoming = Incoming::new(&said[1]);
        let alone = mask(&said[0]);
        if alone.as_str() == said[0] && !incoming.after(&[alone]).changed.is_empty() {
            halves.push((first, said));
        }
    }
    let mut conversations = Vec::new();
    for (_, [first, _]) in &halves {
        let conversation = start(&bot).await;
        say(&bot, conversation, first).await;
        conversations.push(conversation);
        for _ in 0..random.random_range(0..12) {
            let other = conversations[random.random_range(0..conversations.len())];
            let length = [10, 80, 300, 1500, 3500][random.random_range(0..5)];
            say(&bot, other, &"请问 ".repeat(length / 8 + 1)).await;
        }
    }
    assert!(halves.iter().all(|(first, _)| place.holds(first)));
    for ((_, [_, second]), conversation) in halves.iter().zip(&conversations) {
        say(&bot, *conversation, second).await;
    }
    let mut pieces = Vec::new();
    for ((first, _), conversation) in halves.iter().zip(&conversations) {
        // What was said in between may have hidden it; what was found must be gone.
        if !everything(bot.store(), *conversation).await.contains(first.as_str()) {
            pieces.push(first.as_str());
        }
    }
    assert!(pieces.len() >= 35, "{} of 40 were found", pieces.len());
    place.is_rid_of(&pieces);
}

#[tokio::test]
async fn a_scrub_that_a_stop_left_open_is_done_at_the_next_start() {
    let place = Place::new();
    let bot = place.bot(None).await;
    let conversation = start(&bot).await;
    say(&bot, conversation, FIRST).await;
    // A reader of another process keeps the log from being taken away.
    let mut reader = sqlx::SqliteConnection::connect(&format!("sqlite://{}", place.path().display())).await.unwrap();
    sqlx::query("BEGIN").execute(&mut reader).await.unwrap();
    sqlx::query("SELECT count(*) FROM messages").fetch_one(&mut reader).await.unwrap();
    let second = tokio::time::timeout(Duration::from_secs(5), say(&bot, conversation, SECOND));
    second.await.expect("nobody waits for the scrub");
    assert!(place.holds("action guess"), "the log still has it");
    drop(bot); // As after a kill: nothing is closed.
    reader.close().await.unwrap();
    let store = place.open(None).await;
    place.is_rid_of(&["action guess", "wisdom"]);
    let started = Instant::now();
    while store.setting("scrub_due").await.unwrap().is_some() {
        assert!(started.elapsed() < Duration::from_secs(20), "the scrub is still due");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn wording() -> Wording {
    Wording {
        said: |text| NewEvent { kind: "message".into(), json: json!({ "from": "customer", "text": text }) },
        replaced: |message, _, text| NewEvent {
            kind: "replaced".into(),
            json: json!({ "message": message, "text": text }),
        },
        rewrite: |_, _| false,
        heard: |_, _, _| None,
    }
}

async fn hear(store: &Store, conversation: Uuid, text: &str) {
    let new = NewIncoming { conversation, said: Incoming::new(text), details: None, key: None };
    store.add_incoming(new, wording()).await.unwrap();
}

fn handoff(conversation: Uuid) -> NewTicket {
    NewTicket { conversation, number: None, priority: Priority::Normal, reason: "asked".into(), case: json!({}) }
}

async fn customer(store: &Store, customer: &str) -> Uuid {
    let new = NewConversation { channel: "test".into(), customer: Some(customer.into()), lang: None };
    store.start_conversation(new).await.unwrap().id
}

/// The contact of a ticket; `None` where it cannot be read.
async fn contact(store: &Store, number: TicketNumber) -> Option<Vec<String>> {
    match store.contact(number).await.unwrap() {
        Opened::Nothing => Some(Vec::new()),
        Opened::Contacts(contacts) => {
            Some(contacts.reveal().map(|(kind, value)| format!("{} {value}", kind.as_str())).collect())
        }
        Opened::Unreadable => None,
    }
}

#[tokio::test]
async fn contact_data_is_kept_once_sealed_at_the_ticket() {
    let place = Place::new();
    let store = place.open(Some(KEY)).await;
    let conversation = customer(&store, "one").await;
    hear(&store, conversation, "我的手机 13812345678，打给我").await;
    store.close().await;

    // It waits for a ticket, also over a restart; later ones are added.
    let store = place.open(Some(KEY)).await;
    let number = store.add_ticket(handoff(conversation)).await.unwrap().number;
    assert_eq!(contact(&store, number).await.unwrap(), ["phone 13812345678"]);
    hear(&store, conversation, "or ann.lee@example.com, phone 13812345678").await;
    assert_eq!(contact(&store, number).await.unwrap(), ["phone 13812345678", "email ann.lee@example.com"]);
    let other = customer(&store, "two").await;
    let others = store.add_ticket(handoff(other)).await.unwrap().number;
    assert_eq!(contact(&store, others).await.unwrap(), Vec::<String>::new());

    // A new ticket of the same conversation starts without.
    store.close_ticket(number, "Ann", State::Bot, vec![]).await.unwrap();
    let second = store.add_ticket(handoff(conversation)).await.unwrap().number;
    assert_eq!(contact(&store, second).await.unwrap(), Vec::<String>::new());
    store.close().await;

    assert!(!place.holds("13812345678") && !place.holds("ann.lee@"), "the files hold it sealed only");
    assert_eq!(contact(&place.open(Some(KEY)).await, number).await.unwrap().len(), 2);
    assert_eq!(contact(&place.open(Some(OTHER_KEY)).await, number).await, None);
    assert_eq!(contact(&place.open(None).await, number).await, None);
}

#[tokio::test]
async fn without_a_key_contact_data_is_not_kept() {
    let place = Place::new();
    let store = place.open(None).await;
    let conversation = customer(&store, "one").await;
    hear(&store, conversation, "call me: 13812345678").await;
    let number = store.add_ticket(handoff(conversation)).await.unwrap().number;
    hear(&store, conversation, "mail ann.lee@example.com").await;
    assert_eq!(contact(&store, number).await.unwrap(), Vec::<String>::new());
    assert_eq!(texts(&store, conversation).await, ["call me: [phone 1]", "mail [email 1]"]);
    assert!(!place.holds("13812345678") && !place.holds("ann.lee"));
}

/// Every table that knows conversations, with the number of its rows for one.
async fn rows_of(path: &Path, conversation: Uuid) -> BTreeMap<String, i64> {
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let tables = sqlx::query(
        "SELECT m.name AS t, p.name AS c FROM sqlite_schema m JOIN pragma_table_info(m.name) p
         WHERE m.type = 'table' AND (p.name = 'conversation' OR (m.name = 'conversations' AND p.name = 'id'))",
    );
    let mut rows = BTreeMap::new();
    for table in tables.fetch_all(&mut connection).await.unwrap() {
        let (name, column): (String, String) = (table.get("t"), table.get("c"));
        let sql = format!("SELECT count(*) FROM {name} WHERE {column} = ?1");
        let count = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(conversation.to_string()).fetch_one(&mut connection);
        rows.insert(name, count.await.unwrap().get(0));
    }
    connection.close().await.unwrap();
    rows
}

#[tokio::test]
async fn an_erased_customer_leaves_counts_and_nothing_else() {
    let place = Place::new();
    let bot = place.bot(Some(KEY)).await;
    let store = bot.store();
    let mut theirs = Vec::new();
    for _ in 0..3 {
        let conversation = bot.start("test", None, Some("user-4711".into())).await.unwrap().id;
        say(&bot, conversation, "My zanzibar parcel is late, call me: 13812345678").await;
        theirs.push(conversation);
    }
    let other = bot.start("test", None, Some("user-1".into())).await.unwrap().id;
    say(&bot, other, "Mine is late too, madagascar").await;
    assert!(rows_of(&place.path(), theirs[0]).await.values().all(|rows| *rows > 0), "the test fills every table");
    let of_other = everything(store, other).await;

    let whose = Whose::Customer("user-4711".into());
    let held = store.held(whose.clone()).await.unwrap();
    assert_eq!((held.conversations, held.messages, held.tickets, held.contacts), (3, 6, 3, 3));
    assert_eq!(store.erase(whose.clone(), "Ann".into()).await.unwrap(), held);
    assert!(store.scrub().await.unwrap());
    for conversation in theirs {
        assert!(rows_of(&place.path(), conversation).await.values().all(|rows| *rows == 0));
        assert!(matches!(store.conversation(conversation).await, Err(Error::NotFound { .. })));
    }
    place.is_rid_of(&["zanzibar", "user-4711"]);
    assert!(place.holds("madagascar"));
    assert_eq!(everything(store, other).await, of_other);

    let again = store.erase(whose, "Ann".into()).await.unwrap();
    assert_eq!(again.conversations, 0);
    let nobody = store.erase(Whose::Conversation(Uuid::now_v7()), "Ann".into()).await.unwrap_err();
    assert_eq!(nobody.fault(), Fault::Caller);
    let audit = store.audit().await.unwrap();
    assert_eq!(audit.len(), 2, "who found nothing is written down too: {audit:?}");
    assert_eq!((audit[0].who.as_str(), audit[0].act.as_str(), audit[0].counts), ("Ann", "erase", held));
    assert!(audit[0].subject.starts_with("customer sha256:"));

    store.erase(Whose::Conversation(other), "Ben".into()).await.unwrap();
    assert!(store.scrub().await.unwrap());
    place.is_rid_of(&["madagascar"]);
}

#[tokio::test]
async fn what_is_old_is_erased_in_batches_and_open_tickets_stay() {
    let place = Place::new();
    let store = place.open(None).await;
    let mut with_ticket = Vec::new();
    for number in 0..7 {
        let conversation = customer(&store, &format!("user-{number}")).await;
        hear(&store, conversation, "an old question about zanzibar").await;
        if number < 2 {
            with_ticket.push(store.add_ticket(handoff(conversation)).await.unwrap());
        }
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let before_ms = jiff::Timestamp::now().as_millisecond();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let young = customer(&store, "young").await;
    hear(&store, young, "a new question").await;
    let counts: Vec<u64> = {
        let mut counts = Vec::new();
        for _ in 0..4 {
            counts.push(store.erase_older(before_ms, 2).await.unwrap().conversations);
        }
        counts
    };
    assert_eq!(counts, [2, 2, 1, 0]);
    assert_eq!(store.overdue_tickets(before_ms).await.unwrap(), 2);
    assert_eq!(store.conversations(100).await.unwrap().len(), 3);
    assert_eq!(store.audit().await.unwrap().iter().map(|line| line.counts.conversations).sum::<u64>(), 5);
    for ticket in with_ticket {
        store.close_ticket(ticket.number, "Ann", State::Closed, vec![]).await.unwrap();
    }
    assert_eq!(store.erase_older(before_ms, 10).await.unwrap().conversations, 0, "closing is something that happened");
    let later_ms = jiff::Timestamp::now().as_millisecond() + 1;
    assert_eq!(store.erase_older(later_ms, 10).await.unwrap().conversations, 3);
    assert!(store.scrub().await.unwrap());
    place.is_rid_of(&["zanzibar", "a new question"]);
}

#[tokio::test]
async fn masks_are_counted_by_day_and_kind() {
    let place = Place::new();
    let store = place.open(None).await;
    let conversation = customer(&store, "one").await;
    for text in ["call me: 13812345678", "mail ann@example.com or bob@example.com", "nothing here"] {
        hear(&store, conversation, text).await;
    }
    let days = store.redactions(0).await.unwrap();
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    assert_eq!(days.len(), 1);
    assert_eq!(days[&today], BTreeMap::from([("phone", 1), ("email", 2)]));
    assert!(store.redactions(jiff::Timestamp::now().as_millisecond() + 60_000).await.unwrap().is_empty());
}

/// A server on a bot without knowledge.
struct Server {
    runtime: Runtime,
    client: Client,
    place: Place,
}

impl Server {
    fn start(key: Option<&str>) -> Self {
        let runtime = Runtime::new().unwrap();
        let place = Place::new();
        let mut flags = BTreeMap::from([("server.agent_token", TOKEN.to_owned())]);
        if let Some(key) = key {
            flags.insert("store.contact_key", key.to_owned());
        }
        let settings = Settings::load(None, std::iter::empty(), &flags, &[]).unwrap();
        let address: SocketAddr = runtime.block_on(async {
            let bot = place.bot(key).await;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(http::serve(bot, settings, listener, std::future::pending()));
            address
        });
        Server { runtime, client: Client::new(address), place }
    }

    fn as_agent(&self, path: &str) -> Value {
        let answer = self.client.call("GET", path, &[("authorization", &format!("Bearer {TOKEN}"))], None);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Says something; waits for the handoff where the bot has the conversation.
    fn say(&self, conversation: &str, text: &str) {
        let said = self.client.say(conversation, &json!({ "text": text }));
        assert_eq!(said.status, 202, "{}", said.text);
    }
}

#[test]
fn an_open_page_and_an_open_desk_hear_that_a_message_reads_otherwise() {
    let server = Server::start(None);
    let conversation = server.client.conversation();
    let mut page = server.client.follow(&conversation, 0);
    server.say(&conversation, FIRST);
    let handed = page.until(|event| event.kind == "handoff");
    let number = handed.data["ticket"].as_str().unwrap().to_owned();
    assert!(server.as_agent(&format!("/v1/desk/tickets/{number}")).to_string().contains("wisdom"));
    let token = format!("Bearer {TOKEN}");
    let mut desk = server.client.events("/v1/desk/events", &[("authorization", &token)]);
    server.say(&conversation, SECOND);
    let replaced = page.until(|event| event.kind == "replaced");
    assert_eq!(replaced.data["text"], "ok the first part is [seed phrase 1]");
    assert_eq!((&replaced.data["message"], &replaced.data["from"]), (&json!(1), &json!("customer")));
    desk.until(|event| event.kind == "ticket" && event.data["number"] == number.as_str());

    // Whoever reads from the beginning never sees it.
    let mut again = server.client.follow(&conversation, 0);
    loop {
        let event = again.next().unwrap();
        assert!(!event.data.to_string().contains("wisdom"), "{}", event.data);
        if event.id == replaced.id {
            break;
        }
    }
    for path in [
        format!("/v1/conversations/{conversation}/messages"),
        format!("/v1/desk/tickets/{number}"),
        "/v1/desk/tickets".into(),
    ] {
        let shown = server.as_agent(&path).to_string();
        assert!(!shown.contains("wisdom") && !shown.contains("chuckle"), "{path}: {shown}");
    }
    server.place.is_rid_of(&["wisdom", "local cash"]);
}

#[test]
fn an_agent_sees_the_contact_and_nobody_else_does() {
    let server = Server::start(Some(KEY));
    let conversation = server.client.conversation();
    let mut page = server.client.follow(&conversation, 0);
    server.say(&conversation, "please call me: 13812345678");
    let number = page.until(|event| event.kind == "handoff").data["ticket"].as_str().unwrap().to_owned();
    server.say(&conversation, "or ann.lee@example.com");
    let path = format!("/v1/desk/tickets/{number}");
    let whole = server.as_agent(&path);
    let expected = json!({"kept": true, "unreadable": false, "items": [
        {"kind": "phone", "value": "13812345678"}, {"kind": "email", "value": "ann.lee@example.com"}]});
    assert_eq!(whole["contact"], expected);
    assert_eq!(server.client.get(&path).status, 401);
    for path in [format!("/v1/conversations/{conversation}/messages"), "/v1/desk/tickets".into()] {
        assert!(!server.as_agent(&path).to_string().contains("13812345678"), "{path}");
    }
    assert!(!server.place.holds("13812345678"));

    let keyless = Server::start(None);
    let conversation = keyless.client.conversation();
    let mut page = keyless.client.follow(&conversation, 0);
    keyless.say(&conversation, "please call me: 13812345678");
    let number = page.until(|event| event.kind == "handoff").data["ticket"].as_str().unwrap().to_owned();
    let whole = keyless.as_agent(&format!("/v1/desk/tickets/{number}"));
    assert_eq!(whole["contact"], json!({"kept": false, "unreadable": false, "items": []}));
}

#[test]
fn a_host_may_name_the_customer() {
    let server = Server::start(None);
    let started = server.client.post("/v1/conversations", &json!({"customer": "user-4711"}));
    assert_eq!(started.status, 201, "{}", started.text);
    let id: Uuid = started.json()["id"].as_str().unwrap().parse().unwrap();
    let held = server.runtime.block_on(async {
        let store = server.place.open(None).await;
        assert_eq!(store.conversation(id).await.unwrap().customer.as_deref(), Some("user-4711"));
        store.held(Whose::Customer("user-4711".into())).await.unwrap()
    });
    assert_eq!(held.conversations, 1);
    for wrong in ["", "ann@example.com", "a b", "名", &"x".repeat(129)] {
        let refused = server.client.post("/v1/conversations", &json!({"customer": wrong}));
        assert_eq!((refused.status, refused.code().as_str()), (422, "invalid"), "{wrong}");
    }
}
