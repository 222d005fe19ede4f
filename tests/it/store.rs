//! What the store promises, as contracts on `&Store`, and what must hold for the file after `kill -9`.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use deskhand::{
    error::{Error, Fault, chain},
    safety::mask,
    store::{
        NewConversation, NewEvent, NewMessage, NewTicket, NewTurn, Priority, Role, State, Store, StoreOptions, Sync,
        TicketFilter, TicketNumber, TicketState,
    },
    words::{Audience, Document, Kind, Lang},
};
use serde_json::json;
use sqlx::{Connection, Executor};
use uuid::Uuid;

async fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("deskhand.db"), &StoreOptions::default()).await.unwrap()
}

fn document(id: &str, lang: Lang, revision: &str, body: &str) -> Document {
    Document {
        id: id.into(),
        revision: revision.into(),
        lang,
        kind: Kind::Faq,
        audience: Audience::Customer,
        title: mask("提现到银行卡要多久到账？"),
        aliases: vec![mask("提现几天能到"), mask("a \"quoted\" alias, with 'marks'")],
        body: mask(body),
        tags: vec!["withdrawal".into()],
        product: Some("balance".into()),
        valid_from: Some(jiff::civil::date(2026, 11, 1)),
        valid_until: None,
        source: Some("withdrawal.zh.md:1".into()),
    }
}

async fn conversation(store: &Store) -> Uuid {
    let new = NewConversation { channel: "test".into(), ..NewConversation::default() };
    store.start_conversation(new).await.unwrap().id
}

fn said(conversation: Uuid, role: Role, text: &str) -> NewMessage {
    NewMessage { conversation, role, text: mask(text), details: None, key: None }
}

fn event(kind: &str) -> NewEvent {
    NewEvent { kind: kind.into(), json: json!({ "kind": kind }) }
}

fn handoff(conversation: Uuid, priority: Priority, ask: &str) -> NewTicket {
    NewTicket { conversation, number: None, priority, reason: "asked".into(), case: json!({ "ask": ask }) }
}

fn turn(conversation: Uuid, answers_up_to: i64) -> NewTurn {
    NewTurn { conversation, answers_up_to, message: None, events: vec![], ticket: None, state: None, lang: None }
}

// Contracts: one function for each promise, for every body of the store.

async fn a_published_document_reads_back_as_it_was(store: &Store) {
    assert_eq!(store.generation().await.unwrap(), 0);
    let documents = vec![
        document("one", Lang::En, "aaaaaaaa-2026-11-22", "One body.\nSecond line 😀."),
        document("one", Lang::Zh, "bbbbbbbb-2026-11-22", "正文，1.5%。"),
    ];
    assert_eq!(store.publish(&documents, &[]).await.unwrap(), 1);
    assert_eq!(store.documents().await.unwrap(), documents);
    assert_eq!(store.document("one", Some(Lang::En), None).await.unwrap(), documents[0]);
    assert_eq!(store.document("one", None, None).await.unwrap().id, "one");
}

async fn an_older_revision_stays_readable_and_only_one_is_current(store: &Store) {
    let old = document("moving", Lang::En, "11111111-2026-11-01", "Old.");
    let new = document("moving", Lang::En, "22222222-2026-11-02", "New.");
    let other = document("moving", Lang::Zh, "33333333-2026-11-02", "旧。");
    store.publish(&[old.clone(), other.clone()], &[]).await.unwrap();
    let generation = store.publish(std::slice::from_ref(&new), &[]).await.unwrap();
    assert_eq!(store.generation().await.unwrap(), generation);
    assert_eq!(store.document("moving", Some(Lang::En), None).await.unwrap(), new);
    assert_eq!(store.document("moving", None, Some(&old.revision)).await.unwrap(), old);
    assert_eq!(store.document("moving", Some(Lang::Zh), None).await.unwrap(), other, "the other language is untouched");

    store.publish(&[], &[("moving".into(), Lang::En)]).await.unwrap();
    let gone = store.document("moving", Some(Lang::En), None).await.unwrap_err();
    assert!(matches!(gone, Error::NotFound { what: "document", .. }), "{gone}");
    assert_eq!(store.document("moving", None, Some(&new.revision)).await.unwrap(), new, "still there for citations");
    let held = store.documents().await.unwrap();
    assert_eq!(held.iter().filter(|document| document.id == "moving").count(), 1);

    store.publish(std::slice::from_ref(&old), &[]).await.unwrap();
    assert_eq!(store.document("moving", Some(Lang::En), None).await.unwrap(), old, "an old revision can come back");
    let before = store.generation().await.unwrap();
    assert_eq!(store.publish(&[], &[]).await.unwrap(), before, "nothing to do is no new generation");
}

async fn messages_are_numbered_without_gaps_and_keys_are_idempotent(store: &Store) {
    let id = conversation(store).await;
    let first = NewMessage { key: Some("k1".into()), ..said(id, Role::Customer, "提现还没到") };
    let added = store.add_message(first.clone(), vec![event("message")]).await.unwrap();
    assert!(!added.repeated);
    let again = NewMessage { text: mask("another text"), ..first };
    let again = store.add_message(again, vec![event("message")]).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.message, added.message);
    assert_eq!(store.events(id, 0).await.unwrap().len(), 1, "a repeated message has no event of its own");

    let bot = NewMessage { details: Some(json!({ "outcome": "answer" })), ..said(id, Role::Bot, "18:00 前到账") };
    let bot = store.add_message(bot, vec![]).await.unwrap().message;
    assert_eq!((added.message.seq, bot.seq), (1, 2));
    assert_eq!(store.messages(id, 0).await.unwrap(), vec![added.message, bot.clone()]);
    assert_eq!(store.messages(id, 1).await.unwrap(), vec![bot]);

    let elsewhere = conversation(store).await;
    let same_key = NewMessage { key: Some("k1".into()), ..said(elsewhere, Role::Customer, "hi") };
    assert!(!store.add_message(same_key, vec![]).await.unwrap().repeated, "a key belongs to its conversation");

    let nowhere = store.add_message(said(Uuid::now_v7(), Role::Customer, "hi"), vec![]).await.unwrap_err();
    assert!(matches!(nowhere, Error::NotFound { what: "conversation", .. }), "{nowhere}");
}

async fn many_writers_at_once_lose_nothing(store: &Store) {
    let id = conversation(store).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..20 {
        let store = store.clone();
        tasks.spawn(async move {
            for number in 0..10 {
                // Every third one breaks a rule; it must not take its neighbours in the batch with it.
                let stray = said(Uuid::now_v7(), Role::Customer, "stray");
                if number % 3 == 0 {
                    store.add_message(stray, vec![]).await.unwrap_err();
                }
                let new = said(id, Role::Customer, &format!("{task}-{number}"));
                store.add_message(new, vec![event("message")]).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let messages = store.messages(id, 0).await.unwrap();
    assert_eq!(messages.iter().map(|message| message.seq).collect::<Vec<_>>(), (1..=200).collect::<Vec<_>>());
    let mut texts: Vec<_> = messages.iter().map(|message| message.text.as_str()).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 200);
    assert_eq!(store.events(id, 0).await.unwrap().len(), 200);
}

async fn pruned_event_numbers_never_return(store: &Store) {
    let id = conversation(store).await;
    let stored = store.add_events(id, vec![event("step"), event("step"), event("answer")]).await.unwrap();
    assert_eq!(stored.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(store.events(id, 2).await.unwrap(), stored[2..]);
    assert!(store.prune_events(stored[2].created_ms + 1).await.unwrap() >= 3);
    assert!(store.events(id, 0).await.unwrap().is_empty());
    assert_eq!(store.add_events(id, vec![event("step")]).await.unwrap()[0].seq, 4);
}

async fn a_message_is_unanswered_until_a_turn_covers_it(store: &Store) {
    let id = conversation(store).await;
    store.add_message(said(id, Role::Customer, "one"), vec![]).await.unwrap();
    store.add_message(said(id, Role::Customer, "two"), vec![]).await.unwrap();
    let waiting = async || -> Vec<i64> {
        let all = store.unanswered().await.unwrap();
        all.into_iter().filter(|(conversation, _)| conversation.id == id).map(|(_, message)| message.seq).collect()
    };
    assert_eq!(waiting().await, [1, 2]);

    let reply = NewTurn {
        message: Some(said(id, Role::Bot, "a reply")),
        events: vec![event("answer")],
        lang: Some(Lang::En),
        ..turn(id, 1)
    };
    assert!(store.write_turn(reply.clone()).await.unwrap().overtaken, "the second message came first");
    assert_eq!(waiting().await, [1, 2]);
    assert_eq!((store.messages(id, 0).await.unwrap().len(), store.events(id, 0).await.unwrap().len()), (2, 0));

    let written = store.write_turn(NewTurn { answers_up_to: 2, ..reply.clone() }).await.unwrap();
    assert_eq!((written.overtaken, written.message.unwrap().seq, written.events[0].seq), (false, 3, 1));
    assert!(waiting().await.is_empty());
    // `ask` was still at it when `serve` started and took up what was open: the customer read the reply twice.
    assert!(
        store.write_turn(NewTurn { answers_up_to: 2, ..reply.clone() }).await.unwrap().overtaken,
        "answered already"
    );
    assert_eq!(store.conversation(id).await.unwrap().lang, Some(Lang::En));
    store.add_message(said(id, Role::Customer, "and then?"), vec![]).await.unwrap();
    assert_eq!(waiting().await, [4]);

    store.set_state(id, State::Person).await.unwrap();
    assert!(waiting().await.is_empty(), "a person has it now");
    assert!(store.write_turn(NewTurn { answers_up_to: 4, ..reply }).await.unwrap().overtaken, "a person came first");
    store.add_message(said(id, Role::Customer, "three"), vec![]).await.unwrap();
    store.set_state(id, State::Bot).await.unwrap();
    assert!(waiting().await.is_empty(), "what a person was told is not the bot's to answer");
}

async fn a_turn_is_stored_whole_or_not_at_all(store: &Store) {
    let id = conversation(store).await;
    store.add_message(said(id, Role::Customer, "human!"), vec![]).await.unwrap();
    let whole = NewTurn {
        message: Some(said(id, Role::Bot, "A person will answer.")),
        events: vec![event("handoff")],
        ticket: Some(handoff(id, Priority::Normal, "human!")),
        state: Some(State::Person),
        ..turn(id, 1)
    };
    // A ticket number that is taken makes the last part fail.
    let taken = store.add_ticket(handoff(conversation(store).await, Priority::Low, "other")).await.unwrap().number;
    let ticket = NewTicket { number: Some(taken), ..handoff(id, Priority::Normal, "human!") };
    store.write_turn(NewTurn { ticket: Some(ticket), ..whole.clone() }).await.unwrap_err();
    assert_eq!(store.messages(id, 0).await.unwrap().len(), 1);
    assert!(store.events(id, 0).await.unwrap().is_empty());
    assert_eq!(store.conversation(id).await.unwrap().state, State::Bot);
    assert!(store.unanswered().await.unwrap().iter().any(|(conversation, _)| conversation.id == id));

    let written = store.write_turn(whole).await.unwrap();
    assert_eq!(written.message.unwrap().seq, 2, "the failed turn used no number");
    assert_eq!(store.conversation(id).await.unwrap().state, State::Person);
    assert_eq!(store.open_ticket(id).await.unwrap(), written.ticket);

    let stray = NewTurn { message: Some(said(Uuid::now_v7(), Role::Bot, "hi")), ..turn(id, 1) };
    assert_eq!(store.write_turn(stray).await.unwrap_err().fault(), Fault::Caller);
}

async fn a_conversation_has_one_open_ticket(store: &Store) {
    let id = conversation(store).await;
    let reserved = store.reserve_ticket_number(id).await.unwrap();
    let new = NewTicket { number: Some(reserved), ..handoff(id, Priority::High, "first") };
    let first = store.add_ticket(new).await.unwrap();
    assert_eq!(first.number, reserved);
    assert_eq!((first.state, first.agent.as_deref()), (TicketState::Open, None));

    let second = store.add_ticket(handoff(id, Priority::Normal, "second")).await.unwrap();
    assert_eq!(second.number, first.number);
    assert_eq!(second.case, json!({ "ask": "second" }));
    assert_eq!(second.priority, Priority::High, "the higher priority stays");
    assert_eq!(store.reserve_ticket_number(id).await.unwrap(), first.number);

    store.close_ticket(first.number, "ann", State::Bot, vec![]).await.unwrap();
    assert_eq!(store.open_ticket(id).await.unwrap(), None);
    let next = store.add_ticket(handoff(id, Priority::Normal, "third")).await.unwrap();
    assert!(next.number > first.number);
}

async fn one_agent_takes_replies_and_closes(store: &Store) {
    let id = conversation(store).await;
    let number = store.add_ticket(handoff(id, Priority::Normal, "help")).await.unwrap().number;
    let taken = store.take(number, "ann", vec![event("taken")]).await.unwrap();
    assert_eq!((taken.state, taken.agent.as_deref()), (TicketState::Taken, Some("ann")));
    assert_eq!(store.conversation(id).await.unwrap().state, State::Person);
    assert_eq!(store.take(number, "ann", vec![]).await.unwrap(), taken, "twice is no fault");
    let refused = store.take(number, "bob", vec![]).await.unwrap_err();
    assert!(refused.to_string().contains("taken by ann"), "{refused}");
    store.reply(number, "bob", &mask("mine!"), None, vec![]).await.unwrap_err();
    assert!(store.messages(id, 0).await.unwrap().is_empty(), "a refused reply leaves nothing");

    let reply = store.reply(number, "ann", &mask("Hello"), Some("r1".into()), vec![event("message")]).await.unwrap();
    assert_eq!(reply.message.role, Role::Agent);
    let again = store.reply(number, "ann", &mask("Hello"), Some("r1".into()), vec![event("message")]).await.unwrap();
    assert!(again.repeated);
    let first_reply_ms = store.ticket(number).await.unwrap().first_reply_ms;
    assert_eq!(first_reply_ms, Some(reply.message.created_ms));
    tokio::time::sleep(Duration::from_millis(3)).await;
    store.reply(number, "ann", &mask("More"), None, vec![]).await.unwrap();
    assert_eq!(store.ticket(number).await.unwrap().first_reply_ms, first_reply_ms, "the first one stays");
    assert_eq!(store.events(id, 0).await.unwrap().len(), 2);

    let closed = store.close_ticket(number, "ann", State::Bot, vec![event("closed")]).await.unwrap();
    assert!(closed.closed_ms.is_some());
    assert_eq!(store.conversation(id).await.unwrap().state, State::Bot);
    assert_eq!(store.close_ticket(number, "bob", State::Closed, vec![]).await.unwrap(), closed);
    store.reply(number, "ann", &mask("late"), None, vec![]).await.unwrap_err();
    let missing = store.ticket("T-999999".parse::<TicketNumber>().unwrap()).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { what: "ticket", .. }));
}

async fn the_queue_lists_the_urgent_first_then_the_oldest(store: &Store) {
    let mut numbers = Vec::new();
    for priority in [Priority::Low, Priority::Urgent, Priority::Normal, Priority::Urgent] {
        let id = conversation(store).await;
        let ticket = store.add_ticket(handoff(id, priority, "q")).await.unwrap();
        store.take(ticket.number, "queue-test", vec![]).await.unwrap();
        numbers.push(ticket.number);
    }
    let filter = TicketFilter { agent: Some("queue-test".into()), ..TicketFilter::default() };
    let listed = store.tickets(filter.clone()).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|ticket| ticket.number).collect();
    assert_eq!(listed, [numbers[1], numbers[3], numbers[2], numbers[0]]);
    let none = TicketFilter { state: Some(TicketState::Closed), ..filter.clone() };
    assert!(store.tickets(none).await.unwrap().is_empty());
    assert_eq!(store.tickets(TicketFilter { limit: Some(1), ..filter }).await.unwrap().len(), 1);
}

async fn settings_are_remembered_and_forgotten(store: &Store) {
    assert_eq!(store.setting("judge").await.unwrap(), None);
    store.set_setting("judge", Some("a")).await.unwrap();
    store.set_setting("judge", Some("b")).await.unwrap();
    assert_eq!(store.setting("judge").await.unwrap().as_deref(), Some("b"));
    store.set_setting("judge", None).await.unwrap();
    assert_eq!(store.setting("judge").await.unwrap(), None);
}

async fn listeners_hear_of_a_change_after_its_commit(store: &Store) {
    let id = conversation(store).await;
    let mut changes = store.changes();
    store.add_message(said(id, Role::Customer, "hi"), vec![]).await.unwrap();
    assert_eq!(changes.recv().await.unwrap(), id);
    assert_eq!(store.messages(id, 0).await.unwrap().len(), 1);
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    a_published_document_reads_back_as_it_was(&store).await;
    an_older_revision_stays_readable_and_only_one_is_current(&store).await;
    messages_are_numbered_without_gaps_and_keys_are_idempotent(&store).await;
    many_writers_at_once_lose_nothing(&store).await;
    pruned_event_numbers_never_return(&store).await;
    a_message_is_unanswered_until_a_turn_covers_it(&store).await;
    a_turn_is_stored_whole_or_not_at_all(&store).await;
    a_conversation_has_one_open_ticket(&store).await;
    one_agent_takes_replies_and_closes(&store).await;
    the_queue_lists_the_urgent_first_then_the_oldest(&store).await;
    settings_are_remembered_and_forgotten(&store).await;
    listeners_hear_of_a_change_after_its_commit(&store).await;
}

// The file.

#[tokio::test]
async fn everything_is_there_after_closing_and_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let id = conversation(&store).await;
    let message = store.add_message(said(id, Role::Customer, "hi"), vec![]).await.unwrap().message;
    store.close().await;
    assert!(matches!(store.messages(id, 0).await.unwrap_err(), Error::Stopped(_)));
    assert!(matches!(store.set_lang(id, Lang::En).await.unwrap_err(), Error::Stopped(_)));

    let options = StoreOptions { sync: Sync::Full, ..StoreOptions::default() };
    let store = Store::open(&folder.path().join("deskhand.db"), &options).await.unwrap();
    assert_eq!(store.messages(id, 0).await.unwrap(), std::slice::from_ref(&message));
    assert_eq!(store.unanswered().await.unwrap()[0].1, message);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("deskhand.db"), b"").unwrap();
    std::fs::set_permissions(folder.path().join("deskhand.db"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(&folder).await;
    conversation(&store).await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, b"x").unwrap();
    let error = Store::open(&file.join("deskhand.db"), &StoreOptions::default()).await.err().unwrap();
    assert!(matches!(error, Error::File { .. }) && chain(&error).contains("a-file"), "{}", chain(&error));
    let error = Store::open(folder.path(), &StoreOptions::default()).await.err().unwrap();
    assert!(matches!(error, Error::File { .. }), "{}", chain(&error));
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let refused = async |path: &Path, why: &str| {
        let before = std::fs::read(path).unwrap();
        let error = Store::open(path, &StoreOptions::default()).await.err().expect(why);
        let said = chain(&error);
        assert!(said.contains(&path.display().to_string()) && said.contains("left as it was"), "{why}: {said}");
        assert_eq!(std::fs::read(path).unwrap(), before, "{why}");
    };

    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is no database, but somebody's notes").unwrap();
    refused(&text, "no SQLite file").await;

    let foreign = folder.path().join("foreign.db");
    let mut other = sqlx::SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", foreign.display())).await.unwrap();
    other.execute("CREATE TABLE recipes (name TEXT)").await.unwrap();
    other.close().await.unwrap();
    refused(&foreign, "another program's").await;

    let store = open(&folder).await;
    let id = conversation(&store).await;
    for number in 0..200 {
        store.add_message(said(id, Role::Customer, &"x".repeat(500 + number)), vec![]).await.unwrap();
    }
    store.close().await;
    let ours = folder.path().join("deskhand.db");
    let mut bytes = std::fs::read(&ours).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xa5);
    std::fs::write(&ours, bytes).unwrap();
    refused(&ours, "a damaged page").await;
}

#[tokio::test]
async fn a_database_held_by_another_process_is_waited_for_then_said_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deskhand.db");
    let options = StoreOptions { busy_timeout: Duration::from_millis(300), ..StoreOptions::default() };
    let store = Store::open(&path, &options).await.unwrap();
    let id = conversation(&store).await;
    let mut other = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();

    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.add_message(said(id, Role::Customer, "waits"), vec![]).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    other.execute("COMMIT").await.unwrap();
    waiting.await.unwrap().unwrap();

    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let error = store.add_message(said(id, Role::Customer, "too long"), vec![]).await.unwrap_err();
    let said_to_owner = chain(&error);
    assert!(
        said_to_owner.contains("another process holds") && said_to_owner.contains("deskhand.db"),
        "{said_to_owner}"
    );
    assert_eq!(store.messages(id, 0).await.unwrap().len(), 1, "reading goes on meanwhile");
    other.execute("ROLLBACK").await.unwrap();
    store.add_message(said(id, Role::Customer, "after"), vec![]).await.unwrap();
}

// kill -9.

const CHILD: &str = "DESKHAND_STORE_KILL_CHILD";

/// Not a test of its own: the process that [`acknowledged_writes_survive_kill_9`] starts and kills. It adds messages
/// and turns from eight tasks and prints each acknowledged one.
#[test]
fn kill_child() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(Path::new(&path), &StoreOptions::default()).await.unwrap();
        let shared = conversation(&store).await;
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..8 {
            let store = store.clone();
            tasks.spawn(async move {
                let own = conversation(&store).await;
                for number in 0.. {
                    let id = if number % 2 == 0 { own } else { shared };
                    let key = Some(format!("{task}-{number}"));
                    let new = NewMessage { key: key.clone(), ..said(id, Role::Customer, "提现还没到") };
                    let asked = store.add_message(new, vec![event("message")]).await.unwrap().message;
                    acknowledge(id, asked.seq, asked.id);
                    if id == own {
                        let reply = NewTurn {
                            message: Some(said(id, Role::Bot, "18:00 前到账")),
                            events: vec![event("answer")],
                            ticket: Some(handoff(id, Priority::Normal, &format!("{}", asked.seq + 1))),
                            ..turn(id, asked.seq)
                        };
                        let reply = store.write_turn(reply).await.unwrap().message.unwrap();
                        acknowledge(id, reply.seq, reply.id);
                    }
                }
            });
        }
        tasks.join_next().await;
    });
}

fn acknowledge(conversation: Uuid, seq: i64, id: Uuid) {
    let line = format!("ack {conversation} {seq} {id}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    let rounds = if std::env::var_os("RUN_SLOW_TESTS").is_some() { 200 } else { 20 };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deskhand.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut seen = 0;
    for round in 0..rounds {
        let acknowledged = run_and_kill(&path);
        seen += acknowledged.len();
        runtime.block_on(check_after_kill(&path, &acknowledged, round));
    }
    assert!(seen > rounds * 10, "only {seen} acknowledgements in {rounds} rounds: the test proves nothing");
}

/// Runs the child, kills it at a random moment, returns what it acknowledged: conversation, seq, id.
fn run_and_kill(path: &Path) -> Vec<(Uuid, i64, Uuid)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["store::kill_child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The clock's low digits say after how many acknowledgements, and how long after the last of them.
    let moment = jiff::Timestamp::now().as_nanosecond().unsigned_abs() as u64 / 1000;
    let (kill_after, pause_us) = (1 + (moment % 61) as usize, moment / 61 % 5000);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    loop {
        let mut line = String::new();
        // A last line without its end was cut by the kill: it was never acknowledged.
        if lines.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
            break;
        }
        let Some((_, fields)) = line.trim_end().split_once("ack ") else { continue };
        let fields: Vec<_> = fields.split(' ').collect();
        acknowledged.push((fields[0].parse().unwrap(), fields[1].parse().unwrap(), fields[2].parse().unwrap()));
        if acknowledged.len() == kill_after {
            std::thread::sleep(Duration::from_micros(pause_us));
            child.kill().unwrap(); // SIGKILL; what it had written to the pipe is still read.
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success() && acknowledged.len() >= kill_after, "the child ended by itself: {status}");
    acknowledged
}

async fn check_after_kill(path: &Path, acknowledged: &[(Uuid, i64, Uuid)], round: usize) {
    let store = Store::open(path, &StoreOptions::default()).await.unwrap();
    let mut conversations: Vec<Uuid> = acknowledged.iter().map(|(conversation, ..)| *conversation).collect();
    conversations.sort_unstable();
    conversations.dedup();
    let unanswered = store.unanswered().await.unwrap();
    for id in conversations {
        let messages = store.messages(id, 0).await.unwrap();
        let numbers: Vec<_> = messages.iter().map(|message| message.seq).collect();
        assert_eq!(numbers, (1..=messages.len() as i64).collect::<Vec<_>>(), "round {round}: gapless and once");
        for (_, seq, message) in acknowledged.iter().filter(|(conversation, ..)| *conversation == id) {
            let stored = messages.iter().filter(|stored| stored.id == *message).map(|stored| stored.seq);
            assert_eq!(stored.collect::<Vec<_>>(), [*seq], "round {round}: {message} once, where it was said to be");
        }
        // Each turn is whole: as many answers as bot messages, and the case of the last one.
        let replies: Vec<_> = messages.iter().filter(|message| message.role == Role::Bot).collect();
        let events = store.events(id, 0).await.unwrap();
        assert_eq!(events.iter().filter(|event| event.kind == "answer").count(), replies.len(), "round {round}");
        assert_eq!(events.len(), messages.len(), "round {round}");
        if let Some(last) = replies.last() {
            let case = store.open_ticket(id).await.unwrap().unwrap().case;
            assert_eq!(case["ask"], last.seq.to_string(), "round {round}");
        }
        // What is unanswered is exactly what no turn covered.
        let covered = replies.last().map_or(0, |reply| reply.seq);
        let expected =
            messages.iter().filter(|message| message.role == Role::Customer && message.seq > covered).count();
        assert_eq!(unanswered.iter().filter(|(conversation, _)| conversation.id == id).count(), expected);
        // The customer's app sends again what it saw no answer for.
        if let Some(first) = messages.iter().find(|message| message.key.is_some()) {
            let again = NewMessage { key: first.key.clone(), ..said(id, Role::Customer, "again") };
            let again = store.add_message(again, vec![]).await.unwrap();
            assert!(again.repeated && again.message == *first, "round {round}");
        }
    }
    store.close().await;
}
