//! While a person has the case: danger is noticed all the same, what is added is acknowledged once, and promises are kept.

use deskhand::{
    safety::incoming::Incoming,
    store::{NewEvent, NewIncoming, Wording},
    turn::{
        guard::Class,
        phrases::{card, phrase},
    },
    words::Lang,
};
use serde_json::{Value, json};

use super::{
    http::{Options, Server, TOKEN},
    sample::{REFUND, WITHDRAWAL},
    support::Event,
};

const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const DESPAIR: &str = "someone stole 3000 USDT from my wallet and i want to kill myself";
const ABOUT_FEES: &str = "a thief emptied my wallet, how long does a withdrawal to my bank take";

/// A guard that has heard of these and no others.
const HEARD: &[(&str, Class)] = &[
    (DESPAIR, Class::SelfHarm),
    ("我不想活了", Class::SelfHarm),
    ("i want to kill myself", Class::SelfHarm),
    ("钱全没了，我不想活了", Class::Theft),
    ("钱全没了", Class::Theft),
    ("钱包被盗了", Class::Theft),
    ("a thief emptied my wallet", Class::Theft),
    (ABOUT_FEES, Class::Theft),
    ("我把助记词告诉骗子了", Class::LeakedKey),
    (WITHDRAWAL, Class::None),
    (REFUND, Class::None),
    ("how long does a withdrawal to my bank take", Class::None),
    ("my order number is 20261120-8841", Class::None),
    ("算了，我自己解决了", Class::None),
    ("my app is version 6.8.2 on Android", Class::None),
    ("please call me on [phone 1]", Class::None),
    ("转人工", Class::None),
    ("Talk to a person", Class::None),
    ("thanks a lot", Class::SmallTalk),
];

fn server() -> Server {
    Server::with(Options { guard: HEARD, ..Options::default() })
}

/// A conversation that a person has, its ticket's address, and the last event so far.
fn handed_over(server: &Server) -> (String, String, i64) {
    let conversation = server.conversation();
    let reply = server.ask(&conversation, &json!({ "choice": "person" }));
    let ticket = format!("/v1/desk/tickets/{}", reply.data["ticket"].as_str().unwrap());
    (conversation, ticket, reply.id)
}

/// Says it, and waits for what the bot says to it.
fn say(server: &Server, conversation: &str, text: &str, after: i64) -> Event {
    let mut events = server.follow(conversation, after);
    assert_eq!(server.say(conversation, &json!({ "text": text })).status, 202);
    events.until(|event| event.kind == "handoff")
}

/// Says it and waits until it was looked at; how many replies of the bot there are then.
fn say_and_count(server: &Server, conversation: &str, ticket: &str, text: &str) -> usize {
    let message = server.say(conversation, &json!({ "text": text })).json()["message"].clone();
    for _ in 0..200 {
        let whole = server.as_agent("GET", ticket, None).json();
        if whole["case"]["watched_to"].as_i64() >= message.as_i64() {
            return whole["messages"].as_array().unwrap().iter().filter(|message| message["from"] == "bot").count();
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    panic!("nobody looked at `{text}`");
}

/// The case is headed by these words, and they stand where it says.
fn check_headed(whole: &Value, words: &str) {
    let ask = &whole["case"]["ask"];
    assert_eq!(ask["value"], words, "{}", whole["case"]);
    let message = &whole["messages"][ask["message"].as_u64().unwrap() as usize - 1]["text"];
    let (start, end) = (ask["span"]["start"].as_u64().unwrap(), ask["span"]["end"].as_u64().unwrap());
    let at = message.as_str().unwrap().chars().skip(start as usize).take((end - start) as usize);
    assert_eq!(at.collect::<String>(), words);
}

#[test]
fn danger_said_after_a_handoff_gets_its_card_and_raises_the_ticket() {
    let server = server();
    let secret = format!("my phrase is {PHRASE}");
    let both = format!("my phrase is {PHRASE}, i want to kill myself");
    for (text, lang, shown, situation, headline) in [
        (DESPAIR, Lang::En, "self_harm", "self_harm", DESPAIR),
        ("我把助记词告诉骗子了", Lang::Zh, "leaked_key", "leaked_key", "我把助记词告诉骗子了"),
        ("钱全没了，我不想活了", Lang::Zh, "self_harm", "self_harm", "我不想活了"),
        (secret.as_str(), Lang::En, "secret_masked", "leaked_key", "my phrase is [seed phrase 1]"),
        (both.as_str(), Lang::En, "self_harm", "self_harm", "i want to kill myself"),
    ] {
        let (conversation, ticket, after) = handed_over(&server);
        let before = server.as_agent("GET", &ticket, None).json();
        assert_eq!((&before["ticket"]["priority"], &before["case"]["situation"]), (&json!("normal"), &Value::Null));
        let mut queue = server.events("/v1/desk/events", &[("authorization", &format!("Bearer {TOKEN}"))]);
        let reply = say(&server, &conversation, text, after).data;
        let body = card(shown, lang).unwrap().body.as_str();
        assert!(reply["text"].as_str().unwrap().starts_with(body), "{text}: {}", reply["text"]);
        assert_eq!((&reply["mode"], &reply["reason"]["code"]), (&json!("card"), &json!("danger")), "{text}");
        assert_eq!(reply["citations"][0]["document"], format!("card-{shown}"));
        assert!(ticket.ends_with(reply["ticket"].as_str().unwrap()), "no second ticket");
        assert_eq!(reply["case"], Value::Null, "the case is written for agents");

        let line = queue.until(|event| event.kind == "ticket" && event.data["situation"].is_string()).data;
        let seen = (&line["priority"], &line["situation"], &line["ask"], &line["reason"]);
        assert_eq!(seen, (&json!("urgent"), &json!(situation), &json!(headline), &json!("danger")), "{text}");
        assert!(line["raised_ms"].as_i64() >= line["created_ms"].as_i64(), "{line}");
        let whole = server.as_agent("GET", &ticket, None).json();
        check_headed(&whole, headline);
        assert_eq!(whole["messages"].as_array().unwrap().last().unwrap()["reply"]["mode"], "card");
        assert_eq!(whole["state"], "person");
    }
}

#[test]
fn a_card_is_shown_once_and_only_what_is_graver_takes_the_case() {
    let server = server();
    let (conversation, ticket, after) = handed_over(&server);
    let theft = say(&server, &conversation, "钱包被盗了", after);
    assert_eq!(theft.data["citations"][0]["document"], "card-theft");
    assert!(!theft.data["asks"].as_array().unwrap().is_empty(), "the form of a danger's card");
    assert_eq!(say_and_count(&server, &conversation, &ticket, "钱包被盗了"), 3, "a receipt, and no card again");
    assert_eq!(say_and_count(&server, &conversation, &ticket, "钱包被盗了"), 3, "then nothing");
    let newest = server.as_agent("GET", &ticket, None).json();
    let last = server.get(&format!("/v1/conversations/{conversation}/messages")).json()["last_event"].as_i64();
    assert_eq!(newest["case"]["situation"], "theft");
    let despair = say(&server, &conversation, "我不想活了", last.unwrap());
    assert_eq!(despair.data["citations"][0]["document"], "card-self_harm");
    let leaked = say(&server, &conversation, "我把助记词告诉骗子了", despair.id);
    assert_eq!(leaked.data["citations"][0]["document"], "card-leaked_key", "a card of its own for the lesser danger");
    let whole = server.as_agent("GET", &ticket, None).json();
    assert_eq!((&whole["case"]["situation"], &whole["ticket"]["priority"]), (&json!("self_harm"), &json!("urgent")));
    check_headed(&whole, "我不想活了");
}

#[test]
fn a_waiting_customer_gets_one_receipt_and_an_agent_is_not_interrupted() {
    let server = server();
    let (conversation, ticket, after) = handed_over(&server);
    let number = ticket.rsplit('/').next().unwrap();
    assert_eq!(say_and_count(&server, &conversation, &ticket, "thanks a lot"), 1, "thanks are no addition");
    let receipt = say(&server, &conversation, "my order number is 20261120-8841", after).data;
    assert_eq!(receipt["text"], phrase(Lang::En, "receipt").replace("{ticket}", number));
    assert_eq!((&receipt["mode"], &receipt["ticket"]), (&Value::Null, &json!(number)));
    assert_eq!(say_and_count(&server, &conversation, &ticket, "my app is version 6.8.2 on Android"), 2);

    let (conversation, ticket, _) = handed_over(&server);
    server.as_agent("POST", &format!("{ticket}/take"), Some(&json!({ "agent": "Ann" })));
    assert_eq!(say_and_count(&server, &conversation, &ticket, "my order number is 20261120-8841"), 1);
}

#[test]
fn a_customer_may_say_that_it_is_solved_and_a_person_closes_it() {
    let server = server();
    let (conversation, ticket, after) = handed_over(&server);
    let receipt = say(&server, &conversation, "算了，我自己解决了", after).data;
    let number = ticket.rsplit('/').next().unwrap();
    assert_eq!(receipt["text"], phrase(Lang::Zh, "receipt_solved").replace("{ticket}", number));
    let whole = server.as_agent("GET", &ticket, None).json();
    assert_eq!(whole["case"]["solved"]["value"], "我自己解决了");
    assert_eq!((&whole["ticket"]["solved"], &whole["ticket"]["state"]), (&json!(true), &json!("open")));
    assert!(whole["case"]["text"].as_str().unwrap().contains("The customer says it is solved"), "{}", whole["case"]);
}

#[test]
fn what_a_killed_process_did_not_look_at_is_looked_at_at_the_next_start() {
    let server = server();
    let (conversation, ticket, after) = handed_over(&server);
    let mut events = server.follow(&conversation, after);
    server.runtime.block_on(async {
        let said = Incoming::new("我不想活了");
        let new = NewIncoming { conversation: conversation.parse().unwrap(), said, details: None, key: None };
        let wording = Wording {
            said: |text| NewEvent { kind: "message".into(), json: json!({ "from": "customer", "text": text }) },
            replaced: |_, _, _| NewEvent { kind: "replaced".into(), json: json!({}) },
            rewrite: |_, _| false,
            heard: |_, _, _| None,
        };
        server.store.add_incoming(new, wording).await.unwrap();
        assert_eq!(server.bot().resume().await.unwrap(), 0, "no turn");
    });
    assert_eq!(events.until(|event| event.kind == "handoff").data["citations"][0]["document"], "card-self_harm");
    assert_eq!(server.as_agent("GET", &ticket, None).json()["ticket"]["priority"], "urgent");
}

#[test]
fn a_case_of_danger_is_headed_by_the_words_that_told_of_it() {
    let server = server();
    let conversation = server.conversation();
    let reply = server.ask(&conversation, &json!({ "text": "钱全没了，我不想活了" })).data;
    assert_eq!(reply["citations"][0]["document"], "card-self_harm", "despair is not outvoted");
    let ticket = format!("/v1/desk/tickets/{}", reply["ticket"].as_str().unwrap());
    check_headed(&server.as_agent("GET", &ticket, None).json(), "我不想活了");
}

#[test]
fn no_text_about_something_else_is_suggested_in_a_danger() {
    let server = server();
    let conversation = server.conversation();
    let reply = server.ask(&conversation, &json!({ "text": ABOUT_FEES })).data;
    assert_eq!(reply["reason"]["code"], "danger", "{reply}");
    let ticket = format!("/v1/desk/tickets/{}", reply["ticket"].as_str().unwrap());
    let whole = server.as_agent("GET", &ticket, None).json();
    assert_eq!(whole["case"]["nearest"][0]["document"], "withdrawal-time", "it was found");
    assert_eq!(whole["case"]["suggested"], Value::Null, "and is not suggested");

    // A suggestion of before goes when danger comes up.
    let conversation = server.conversation();
    let asked = format!("{WITHDRAWAL} zebra giraffe");
    server.ask(&conversation, &json!({ "text": asked }));
    let ticket = server.ask(&conversation, &json!({ "choice": "none" })).data["ticket"].as_str().unwrap().to_owned();
    let ticket = format!("/v1/desk/tickets/{ticket}");
    say_and_count(&server, &conversation, &ticket, "钱包被盗了");
    assert_eq!(server.as_agent("GET", &ticket, None).json()["case"]["suggested"], Value::Null);
}

#[test]
fn what_became_of_a_phone_number_is_said_plainly() {
    const KEPT: &str = "[store]\ncontact_key = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"\n";
    for (settings, key) in [("", "contact_dropped"), (KEPT, "contact_kept")] {
        let server = Server::with(Options { settings, guard: HEARD, ..Options::default() });
        let told = phrase(Lang::En, key);
        let conversation = server.conversation();
        let reply = server.ask(&conversation, &json!({ "text": "please call me on +44 7700 900123" }));
        assert_eq!(reply.kind, "handoff", "{}", reply.data);
        assert!(reply.data["text"].as_str().unwrap().contains(told), "{}", reply.data["text"]);

        // Also where it is added later; once is enough.
        let (conversation, ticket, after) = handed_over(&server);
        let plain = say(&server, &conversation, "my order number is 20261120-8841", after);
        assert!(!plain.data["text"].as_str().unwrap().contains(told));
        let added = say(&server, &conversation, "please call me on +44 7700 900123", plain.id);
        assert!(added.data["text"].as_str().unwrap().ends_with(told), "{}", added.data["text"]);
        let replies = say_and_count(&server, &conversation, &ticket, "please call me on +44 7700 900123");
        assert_eq!(replies, 3, "{settings}");
    }
}
