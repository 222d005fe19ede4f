//! Two processes on one data folder: `ask` and `ingest` while `serve` runs; and documents that are too big.

use std::{
    fs,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{Place, Process, QUESTIONS, deskhand, kill::seed, run, said, write_documents};

#[test]
fn ask_answers_beside_a_running_server() {
    let place = Place::new();
    let process = Process::start(&place);
    let (question, document) = QUESTIONS[1];
    let asked = run(&place.data, &["ask", "--json", question], &[]);
    assert!(asked.status.success(), "{}", said(&asked));
    let reply: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!((&reply["outcome"], &reply["citations"][0]["document"]), (&json!("answer"), &json!(document)));
    let conversation = reply["conversation"].as_str().unwrap();
    assert_eq!(process.history(conversation)["messages"][1]["text"], reply["text"], "the server knows it too");
    process.check_answers();
}

#[test]
fn ask_tells_where_a_message_went_that_a_person_has() {
    let place = Place::new();
    let ask = |arguments: &[&str]| -> Value {
        let asked = run(&place.data, &[&["ask", "--json"], arguments].concat(), &[]);
        assert!(asked.status.success(), "{}", said(&asked));
        serde_json::from_slice(&asked.stdout).unwrap()
    };
    let handed_over = ask(&["转人工"]);
    let conversation = handed_over["conversation"].as_str().unwrap();
    // The first thing added gets its receipt as a message, the next ones only here.
    for text in ["是昨天的提现", "金额是 500 元"] {
        let added = ask(&["--conversation", conversation, text]);
        assert_eq!((&added["outcome"], &added["ticket"]), (&json!("handoff"), &handed_over["ticket"]), "{added}");
        assert!(added["text"].as_str().unwrap().contains(handed_over["ticket"].as_str().unwrap()), "{added}");
    }
}

/// An agent's page that is open at one server would hear nothing of what a customer says at the other.
#[test]
fn a_second_server_on_the_same_folder_is_refused_and_a_killed_one_leaves_no_lock() {
    let place = Place::new();
    let process = Process::start(&place);
    let refused = run(&place.data, &["serve", "--port", "0"], &[]);
    let words = said(&refused);
    assert_eq!(refused.status.code(), Some(2), "{words}");
    assert!(words.contains("another server") && words.contains("`--data`"), "{words}");
    process.check_answers();
    drop(process);
    Process::start(&place).check_answers();
}

/// `ingest` failed while a server had the index, although the documents were in; an answer could quote the old text by
/// the new one's offsets.
#[test]
fn a_running_server_takes_over_what_is_ingested_all_at_once() {
    let place = Place::new();
    let process = Process::start(&place);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let end = End(&over);
        let asking: Vec<_> = (0..3)
            .map(|number| {
                scope.spawn({
                    let (process, over) = (&process, &over);
                    move || keep_asking(process, number, over)
                })
            })
            .collect();
        for edition in ["two", "three, which is much longer than those before it and shifts every offset"] {
            let started = Instant::now();
            let ingested = place.ingest(edition);
            assert!(ingested.status.success(), "{}", said(&ingested));
            let in_service = started.elapsed();
            let reply = process.ask(QUESTIONS[4].0);
            assert!(reply["text"].as_str().unwrap().contains(edition), "ingest says it is in service: {reply}");
            // `ask` in another process sees the same.
            let asked = run(&place.data, &["ask", QUESTIONS[4].0], &[]);
            assert!(asked.status.success() && said(&asked).contains(edition), "{}", said(&asked));
            println!("ingested beside the server and in service after {:.1} s", in_service.as_secs_f64());
            assert!(in_service < Duration::from_secs(30), "{in_service:?}");
        }
        drop(end);
        let answers: usize = asking.into_iter().map(|asking| asking.join().unwrap()).sum();
        println!("{answers} answers meanwhile, each from one edition");
        assert!(answers > 20, "{answers}");
    });
}

/// Says that it is over, also where the test fails before that.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks until it is over. Every answer quotes one edition from its first to its last word, as the document that it cites
/// says it; no older edition comes after a newer one.
fn keep_asking(process: &Process, number: usize, over: &AtomicBool) -> usize {
    let mut newest = 0;
    for asked in 0.. {
        if over.load(Ordering::Relaxed) {
            return asked;
        }
        let (question, document) = QUESTIONS[(asked + number) % QUESTIONS.len()];
        let reply = process.ask(question);
        let citation = &reply["citations"][0];
        assert_eq!((&reply["outcome"], &citation["document"]), (&json!("answer"), &json!(document)), "{reply}");
        let revision = citation["revision"].as_str().unwrap();
        let cited = process.get(&format!("/v1/documents/{document}?lang=en&revision={revision}")).json();
        let (start, end) = (citation["start"].as_u64().unwrap() as usize, citation["end"].as_u64().unwrap() as usize);
        let quote: String = cited["body"].as_str().unwrap().chars().skip(start).take(end - start).collect();
        assert_eq!(json!(quote), citation["quote"], "{reply}");
        let text = reply["text"].as_str().unwrap();
        let edition =
            ["Edition one ", "Edition two ", "Edition three,"].iter().position(|edition| text.starts_with(edition));
        let edition = edition.unwrap_or_else(|| panic!("not from the beginning: {reply}"));
        assert!(text.ends_with("ends here."), "not to the end: {reply}");
        assert!(edition >= newest, "edition {edition} after {newest}: {reply}");
        newest = edition;
    }
    unreachable!("it is never over")
}

#[test]
fn documents_are_whole_after_a_kill_while_they_are_ingested() {
    kill_while_ingesting(2);
}

#[test]
#[ignore = "slow: 20 kills of server or ingest take minutes"]
fn documents_are_whole_after_20_kills_while_they_are_ingested() {
    kill_while_ingesting(20);
}

/// Kills the server and the ingesting process in turn. After a killed server the documents go in all the same; after a
/// killed `ingest` the old ones or the new ones are there, and the next one goes in.
fn kill_while_ingesting(rounds: usize) {
    let mut random = StdRng::seed_from_u64(seed());
    let place = Place::new();
    let mut process = Process::start(&place);
    for round in 0..rounds {
        let edition =
            format!("{round}, which is said in so many words that offsets move by {}", "a lot, ".repeat(round));
        write_documents(&place.path("documents"), &edition);
        let documents = place.path("documents");
        let arguments = ["ingest", &documents.to_string_lossy()];
        let mut ingesting = deskhand(&place.data, &arguments, &[]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.random_range(0..4_000)));
        if round % 2 == 0 {
            process.kill();
            process = Process::start(&place);
            assert!(ingesting.wait().unwrap().success(), "round {round}");
        } else {
            ingesting.kill().unwrap();
            ingesting.wait().unwrap();
            let ingested = place.ingest(&edition);
            assert!(ingested.status.success(), "round {round}: {}", said(&ingested));
        }
        let started = Instant::now();
        while !process.ask(QUESTIONS[0].0)["text"].as_str().unwrap().contains(&edition) {
            assert!(started.elapsed() < Duration::from_secs(20), "round {round}: still the old text");
        }
        for (question, document) in QUESTIONS {
            let reply = process.ask(question);
            assert_eq!(reply["citations"][0]["document"], document, "round {round}: {reply}");
            assert!(reply["text"].as_str().unwrap().contains(&edition), "round {round}: {reply}");
        }
        assert_eq!(process.ready(), (200, vec![]));
    }
}

#[test]
fn a_document_of_five_megabytes_is_refused_by_name_and_the_rest_goes_in() {
    let place = Place::new();
    let big = format!("---\nid: big\nlang: en\ntitle: Everything\n---\n{}", "All of it stands here. ".repeat(230_000));
    fs::create_dir_all(place.path("documents")).unwrap();
    fs::write(place.path("documents").join("big.md"), big).unwrap();
    let started = Instant::now();
    let ingested = place.ingest("two");
    let text = said(&ingested);
    println!("a document of 5 MB is refused in {:.1} s: {text}", started.elapsed().as_secs_f64());
    assert_eq!(ingested.status.code(), Some(4), "{text}");
    assert!(text.contains("refused: ") && text.contains("big.md") && text.contains("5 documents in service"), "{text}");
    let alone = run(&place.data, &["ingest", &place.path("documents").join("big.md").to_string_lossy()], &[]);
    assert_eq!(alone.status.code(), Some(2), "{}", said(&alone));
    assert!(said(&alone).contains("the old knowledge stays"), "{}", said(&alone));
    let process = Process::start(&place);
    assert!(process.ask(QUESTIONS[2].0)["text"].as_str().unwrap().contains("Edition two"));
}

#[test]
#[ignore = "slow: embeds a megabyte of text, which takes minutes"]
fn questions_are_answered_while_a_long_document_is_read_in() {
    let place = Place::new();
    let process = Process::start(&place);
    let mut body = String::new();
    for number in 0..6_000 {
        body.push_str(&format!(
            "Rule {number}: branch {} opens on day {} of the month and keeps {} counters open.\n\n",
            number * 7,
            number % 28,
            number % 11
        ));
    }
    let long = format!("---\nid: long\nlang: en\nkind: guide\ntitle: Branches and their days\n---\n{body}");
    fs::create_dir_all(place.path("documents")).unwrap();
    fs::write(place.path("documents").join("long.md"), &long).unwrap();
    let (ingested, took, mut times) = std::thread::scope(|scope| {
        let started = Instant::now();
        let ingesting = scope.spawn(|| place.ingest("two"));
        let mut times = Vec::new();
        while !ingesting.is_finished() {
            let asked = Instant::now();
            process.ask(QUESTIONS[0].0);
            times.push(asked.elapsed());
            std::thread::sleep(Duration::from_millis(200));
        }
        (ingesting.join().unwrap(), started.elapsed(), times)
    });
    assert!(ingested.status.success(), "{}", said(&ingested));
    times.sort();
    println!(
        "{:.2} MB in one document: in service after {:.1} s; {} questions meanwhile, median {} ms, worst {} ms",
        long.len() as f64 / 1e6,
        took.as_secs_f64(),
        times.len(),
        times[times.len() / 2].as_millis(),
        times[times.len() - 1].as_millis()
    );
    process.check_answers();
}
