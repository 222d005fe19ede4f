//! Bad input, too much of it, and clients that are slow or gone: each gets a clear answer and nothing is lost.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::json;

use super::{Place, Process, QUESTIONS, check_history};

#[test]
fn bad_input_gets_a_clear_answer_and_loses_nothing() {
    let place = Place::new();
    let process = Process::start(&place);
    let conversation = process.conversation();
    let path = format!("/v1/conversations/{conversation}/messages");
    let huge = json!({ "text": "a".repeat(100_000) }).to_string();
    let cases: [(&[u8], u16, &str, &str); 6] = [
        (b"{\"text\": \"\"}", 422, "invalid", "1 to 4000 characters"),
        (b"{\"text\": \" \\n\\u200b\"}", 422, "invalid", "1 to 4000 characters"),
        (huge.as_bytes(), 413, "too_large", "65536 bytes"),
        (b"{\"text\": \"caf\xe9\"}", 400, "malformed", "not UTF-8: byte 13"),
        (b"{\"text\": \"hello", 400, "malformed", "line 1, column 15"),
        (b"", 400, "malformed", "not JSON"),
    ];
    for (body, status, code, clear) in cases {
        // Its own connection: one whose body was refused unread is closed, perhaps while the next request is on its way.
        let headers = [("content-type", "application/json"), ("connection", "close")];
        let answer = process.call("POST", &path, &headers, Some(body));
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text);
        assert!(answer.text.contains(clear), "`{clear}` is not in {}", answer.text);
    }
    assert_eq!(process.history(&conversation)["messages"], json!([]), "nothing of it was stored");
    for (text, code) in [
        ("เงินของฉันจะมาถึงเมื่อไหร่", "no_language"),
        ("متى يصل المال إلى حسابي؟", "no_language"),
        ("😀🙏💸", "small_talk"),
        ("????", "small_talk"),
    ] {
        let reply = process.ask(text);
        assert_eq!(reply["reason"]["code"], code, "{text}: {reply}");
        assert!(reply["text"].as_str().unwrap().chars().count() > 10, "{text}: {reply}");
    }
    assert_eq!(process.say(&conversation, &json!({ "text": QUESTIONS[1].0 })).status, 202);
    assert_eq!(process.replied(&conversation)["messages"][1]["reply"]["outcome"], "answer");
    process.check_answers();
}

#[test]
fn a_message_of_two_questions_offers_what_its_answer_leaves_out() {
    let place = Place::new();
    let process = Process::start(&place);
    let (first, second) = (QUESTIONS[0], QUESTIONS[1]);
    let both = format!("{}? {}?", first.0.trim_end_matches(['?', '？']), second.0.trim_end_matches(['?', '？']));
    let reply = process.ask(&both);
    let named = |list: &str| -> Vec<String> {
        reply[list].as_array().unwrap().iter().map(|one| one["document"].as_str().unwrap().to_owned()).collect()
    };
    let said = [named("citations"), named("offers")].concat();
    for document in [first.1, second.1] {
        assert!(said.iter().any(|said| said == document), "{document} is not in {reply}");
    }
    let thanks = process.ask("thanks, that's all");
    assert_eq!((&thanks["reason"]["code"], &thanks["offers"]), (&json!("small_talk"), &json!([])));
}

#[test]
fn two_hundred_messages_at_once_are_answered_or_asked_to_come_back() {
    for (limit, may_refuse) in [("256", false), ("16", true)] {
        let place = Place::new();
        let process = Process::with(&place, &[("DESKHAND_SERVER_QUEUE_LIMIT", limit)]);
        let conversations: Vec<String> = (0..200).map(|_| process.conversation()).collect();
        let refused: usize = std::thread::scope(|scope| {
            let senders: Vec<_> = conversations
                .iter()
                .enumerate()
                .map(|(number, conversation)| {
                    let process = &process;
                    scope.spawn(move || patient_say(process, conversation, QUESTIONS[number % 5].0))
                })
                .collect();
            senders.into_iter().map(|sender| sender.join().unwrap()).sum()
        });
        println!("200 at once, {limit} turns may wait: {refused} times asked to come back");
        assert_eq!(refused > 0, may_refuse, "{refused} refused");
        for (number, conversation) in conversations.iter().enumerate() {
            let history = process.replied(conversation);
            let said = (1, ("".to_owned(), QUESTIONS[number % 5].0.to_owned()));
            check_history(&history, &BTreeMap::from([said]), "after the rush");
            assert_eq!(history["messages"][1]["reply"]["citations"][0]["document"], QUESTIONS[number % 5].1);
        }
    }
}

/// Says it until it is accepted; returns how often it was refused.
fn patient_say(process: &Process, conversation: &str, text: &str) -> usize {
    for refused in 0.. {
        let answer = process.say(conversation, &json!({ "text": text }));
        if answer.status == 202 {
            return refused;
        }
        assert_eq!((answer.status, answer.code().as_str()), (503, "busy"), "{}", answer.text);
        let seconds: u64 = answer.headers["retry-after"].parse().unwrap();
        assert!((1..=10).contains(&seconds), "{seconds}");
        std::thread::sleep(Duration::from_millis(250 * seconds));
    }
    unreachable!("it is refused for ever")
}

/// A message was stored, its turn never began, and the client's retry was told that all is well.
#[test]
fn a_client_that_hangs_up_is_answered_all_the_same() {
    let place = Place::new();
    let process = Process::start(&place);
    let conversations: Vec<String> = (0..40).map(|_| process.conversation()).collect();
    for (number, conversation) in conversations.iter().enumerate() {
        let body = json!({ "text": QUESTIONS[3].0, "key": "once" }).to_string();
        let mut stream = TcpStream::connect(process.address).unwrap();
        let head = format!(
            "POST /v1/conversations/{conversation}/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_micros(100 * number as u64));
    }
    for conversation in &conversations {
        let again = process.say(conversation, &json!({ "text": QUESTIONS[3].0, "key": "once" }));
        assert_eq!(again.status, 202, "{}", again.text);
        let said = (1, ("once".to_owned(), QUESTIONS[3].0.to_owned()));
        check_history(&process.replied(conversation), &BTreeMap::from([said]), "after hanging up");
    }
}

#[test]
fn a_stop_lets_turns_in_flight_end() {
    let place = Place::new();
    let mut process = Process::start(&place);
    let conversations: Vec<String> = (0..20).map(|_| process.conversation()).collect();
    for conversation in &conversations {
        assert_eq!(process.say(conversation, &json!({ "text": QUESTIONS[0].0 })).status, 202);
    }
    let (code, took) = process.stop();
    assert_eq!(code, Some(0), "{}", process.log());
    assert!(took < Duration::from_secs(20), "{took:?}");
    let process = Process::start(&place);
    assert!(!process.log().contains("took up questions"), "the stop left turns open: {}", process.log());
    for conversation in &conversations {
        assert_eq!(process.history(conversation)["messages"].as_array().unwrap().len(), 2);
    }
}

#[test]
#[ignore = "slow: waits for the time limits of 15 s and 30 s"]
fn slow_clients_are_let_go_and_hold_up_nobody() {
    let place = Place::new();
    let process = Process::with(&place, &[("DESKHAND_SERVER_QUEUE_LIMIT", "256")]);
    let ticket = process.ask("I want to talk to a human")["conversation"].as_str().unwrap().to_owned();
    std::thread::scope(|scope| {
        let trickle = scope.spawn(|| trickle_a_head(process.address));
        let stall = scope.spawn(|| stall_on_events(&process, &ticket));
        let started = Instant::now();
        let mut worst = Duration::ZERO;
        while started.elapsed() < Duration::from_secs(20) {
            let asked = Instant::now();
            process.check_answers();
            worst = worst.max(asked.elapsed());
        }
        println!("worst answer beside slow clients: {} ms", worst.as_millis());
        assert!(worst < Duration::from_secs(5), "{worst:?}");
        let trickled = trickle.join().unwrap();
        println!("a head that trickles in is cut after {:.1} s", trickled.as_secs_f64());
        assert!((14.0..20.0).contains(&trickled.as_secs_f64()), "{trickled:?}");
        let stalled = stall.join().unwrap();
        println!("a reader of events that takes nothing is let go after {:.1} s", stalled.as_secs_f64());
        assert!(stalled < Duration::from_secs(60), "{stalled:?}");
    });
    process.check_answers();
}

/// Sends one byte of a head each half second until the server has enough of it.
fn trickle_a_head(address: SocketAddr) -> Duration {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut answer = [0; 512];
    for byte in b"GET /healthz HTTP/1.1\r\nx-slow: ".iter().chain(std::iter::repeat(&b'a')) {
        let sent = stream.write_all(&[*byte]);
        match stream.read(&mut answer) {
            Ok(_) => break, // A word of farewell, or the end.
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                if sent.is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
        assert!(started.elapsed() < Duration::from_secs(40), "it waits for ever");
    }
    started.elapsed()
}

/// Opens an event stream, reads nothing, and has far more sent to it than the system buffers.
fn stall_on_events(process: &Process, conversation: &str) -> Duration {
    let mut stream = TcpStream::connect(process.address).unwrap();
    let head = format!("GET /v1/conversations/{conversation}/events HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let long = "很长的消息".repeat(790);
    for _ in 0..1200 {
        assert_eq!(process.say(conversation, &json!({ "text": long })).status, 202);
    }
    let started = Instant::now();
    std::thread::sleep(Duration::from_secs(32));
    // What the system has buffered comes first; then the end, or a reset.
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let end = std::iter::repeat_with(|| stream.read(&mut buffer)).find(|read| !matches!(read, Ok(1..)));
    let still_open = |error: &std::io::Error| [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind());
    assert!(!end.is_some_and(|end| end.is_err_and(|error| still_open(&error))), "the stream was kept open");
    started.elapsed()
}
