//! What must be gone from the data folder is gone, on the real process: through `kill -9` in the midst of masking a phrase
//! that came in parts, and after `deskhand admin erase` beside a running server.

use std::{path::Path, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{Place, Process, kill::seed, run, said};

const FIRST: &str = "ok the first part is action guess gift wisdom poem buzz";
const SECOND: &str = "and the rest: local cash decline chuckle chase cement";

/// Whether a file of the store holds these bytes.
fn holds(data: &Path, bytes: &str) -> bool {
    let files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.filter_map(|path| std::fs::read(path).ok()).any(|file| {
        let bytes = bytes.as_bytes();
        file.windows(bytes.len()).any(|window| window == bytes)
    })
}

fn customers_texts(history: &Value) -> Vec<&str> {
    let messages = history["messages"].as_array().unwrap().iter();
    messages.filter(|message| message["from"] == "customer").map(|message| message["text"].as_str().unwrap()).collect()
}

#[test]
fn a_kill_leaves_both_halves_masked_or_the_second_unsaid() {
    const ROUNDS: usize = 6;
    let mut random = StdRng::seed_from_u64(seed());
    let place = Place::new();
    let (mut before, mut after) = (0, 0);
    let mut conversations = Vec::new();
    for _ in 0..ROUNDS {
        let mut process = Process::start(&place);
        let conversation = process.conversation();
        process.say(&conversation, &json!({ "text": FIRST }));
        process.replied(&conversation);
        let moment = Duration::from_micros(random.random_range(0..12_000));
        let (client, child) = (&process.client, &mut process.child);
        std::thread::scope(|scope| {
            let path = format!("/v1/conversations/{conversation}/messages");
            let saying =
                scope.spawn(move || client.try_post(&path, &json!({ "text": SECOND, "key": "second" })).is_ok());
            std::thread::sleep(moment);
            child.kill().unwrap();
            saying.join().unwrap()
        });
        process.kill();
        conversations.push(conversation);
        let process = Process::start(&place);
        let conversation = conversations.last().unwrap();
        let history = process.history(conversation);
        match customers_texts(&history).as_slice() {
            [first] => {
                before += 1;
                assert_eq!(*first, FIRST);
                process.say(conversation, &json!({ "text": SECOND, "key": "second" }));
            }
            [first, second] => {
                after += 1;
                assert!(first.contains("[seed phrase 1]") && !second.contains("chuckle"), "{history}");
            }
            other => panic!("{other:?}"),
        }
    }
    println!("killed before the commit {before} times, after it {after} times");
    let mut process = Process::start(&place);
    for conversation in &conversations {
        let history = process.replied(conversation).to_string();
        assert!(!history.contains("wisdom") && !history.contains("chuckle"), "{history}");
    }
    assert_eq!(process.stop().0, Some(0));
    for piece in ["action guess", "wisdom", "local cash"] {
        assert!(!holds(&place.data, piece), "{piece}");
    }
}

#[test]
fn a_customer_is_erased_beside_a_running_server() {
    let place = Place::new();
    let process = Process::start(&place);
    let mut theirs = Vec::new();
    for customer in ["user-4711", "user-4711", "user-1"] {
        let started = process.post("/v1/conversations", &json!({ "customer": customer }));
        let conversation = started.json()["id"].as_str().unwrap().to_owned();
        process.say(
            &conversation,
            &json!({ "text": format!("my zanzibar parcel of {customer} is late, call me: 13812345678") }),
        );
        process.replied(&conversation);
        theirs.push(conversation);
    }
    let admin = |arguments: &[&str]| {
        let output = run(&place.data, arguments, &[("USER", "ann")]);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    let dry = admin(&["admin", "erase", "--customer", "user-4711", "--dry-run"]);
    assert!(dry.contains("would erase 2 conversations"), "{dry}");
    assert!(holds(&place.data, "user-4711"));
    let report = admin(&["admin", "report", "redactions", "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report[0]["masks"], json!({ "phone": 3 }));
    let erased = admin(&["admin", "erase", "--customer", "user-4711"]);
    assert!(erased.contains("erased 2 conversations with 4 messages"), "{erased}");
    assert!(!erased.contains("note:"), "{erased}");
    assert!(!holds(&place.data, "user-4711"), "the id, the words and the customer are gone");
    assert!(holds(&place.data, "user-1"));
    let audit = admin(&["admin", "audit"]);
    assert!(audit.contains("erase by ann: 2 conversations") && !audit.contains("4711"), "{audit}");

    // The server goes on: what is erased is not found, the others are.
    for conversation in &theirs[..2] {
        assert_eq!(process.get(&format!("/v1/conversations/{conversation}/messages")).status, 404);
        assert_eq!(process.say(conversation, &json!({ "text": "hello" })).status, 404);
    }
    assert_eq!(process.history(&theirs[2])["messages"].as_array().unwrap().len(), 2);
    process.check_answers();

    let unknown = run(&place.data, &["admin", "erase", "--conversation", &uuid::Uuid::now_v7().to_string()], &[]);
    assert_eq!(unknown.status.code(), Some(2), "{}", said(&unknown));
    let nothing = run(&place.path("nowhere"), &["admin", "audit"], &[]);
    assert_eq!(nothing.status.code(), Some(2), "{}", said(&nothing));
    assert!(!place.path("nowhere").exists(), "asking creates nothing");
}

#[test]
fn what_is_older_than_the_retention_is_erased_at_the_start() {
    let place = Place::new();
    let mut process = Process::start(&place);
    let conversation = process.conversation();
    process.say(&conversation, &json!({ "text": super::QUESTIONS[0].0 }));
    process.replied(&conversation);
    process.stop();
    let database = place.data.join("deskhand.sqlite");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        use sqlx::Connection;
        let mut connection =
            sqlx::SqliteConnection::connect(&format!("sqlite://{}", database.display())).await.unwrap();
        let older = "UPDATE conversations SET updated_ms = updated_ms - 31 * 86400000";
        sqlx::query(older).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    let kept = Process::with(&place, &[("DESKHAND_STORE_RETENTION_DAYS", "40")]);
    assert_eq!(kept.get(&format!("/v1/conversations/{conversation}/messages")).status, 200);
    drop(kept);
    let process = Process::with(&place, &[("DESKHAND_STORE_RETENTION_DAYS", "30")]);
    let started = std::time::Instant::now();
    while process.get(&format!("/v1/conversations/{conversation}/messages")).status != 404
        || holds(&place.data, &conversation)
    {
        assert!(started.elapsed() < Duration::from_secs(20), "{}", process.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(process.log().contains("older than store.retention_days"), "{}", process.log());
}
