//! What may be a danger and may be none: never instead of an answer, but a tap away in an offer, and there at once where a person
//! takes over anyway.

use deskhand::turn::{guard::Class, phrases::card};
use deskhand::words::Lang;
use serde_json::{Value, json};

use super::{
    http::{Options, Server},
    sample::REFUND,
};

const OFFERED: &str = "a refund that somebody else took";
const UNKNOWN: &str = "somebody else spent from here";

/// A guard that has heard each of these told as theft four times for each three as an ordinary question: torn.
const TORN: &[(&str, Class)] = torn([OFFERED, UNKNOWN]).as_flattened();

const fn torn<const N: usize>(texts: [&'static str; N]) -> [[(&'static str, Class); 7]; N] {
    let mut told = [[("", Class::None); 7]; N];
    let mut at = 0;
    while at < 7 * N {
        told[at / 7][at % 7] = (texts[at / 7], if at % 7 < 4 { Class::Theft } else { Class::None });
        at += 1;
    }
    told
}

fn server() -> Server {
    Server::with(Options { guard: TORN, ..Options::default() })
}

fn theft_card() -> &'static str {
    card("theft", Lang::En).unwrap().title.as_str()
}

#[test]
fn a_suspected_danger_is_the_first_to_tap_and_its_tap_brings_card_and_person() {
    let server = server();
    let conversation = server.conversation();
    let offer = server.ask(&conversation, &json!({ "text": OFFERED }));
    assert_eq!(offer.kind, "offer", "{}", offer.data);
    let offered: Vec<&Value> = offer.data["offers"].as_array().unwrap().iter().map(|offer| &offer["title"]).collect();
    assert_eq!(offered[0], theft_card());
    assert!(offered.contains(&&json!(REFUND)), "{offered:?}");

    let reply = server.ask(&conversation, &json!({ "choice": { "document": "card-theft" } }));
    assert_eq!(reply.kind, "handoff");
    assert_eq!((&reply.data["mode"], &reply.data["reason"]["code"]), (&json!("card"), &json!("danger")));
    assert_eq!(reply.data["citations"][0]["document"], "card-theft");
    assert!(reply.data["asks"].as_array().is_some_and(|asks| !asks.is_empty()), "{}", reply.data);
    let ticket = format!("/v1/desk/tickets/{}", reply.data["ticket"].as_str().unwrap());
    let whole = server.as_agent("GET", &ticket, None).json();
    assert_eq!((&whole["ticket"]["priority"], &whole["ticket"]["ask"]), (&json!("urgent"), &json!(OFFERED)));
}

#[test]
fn a_suspected_danger_that_a_person_takes_over_comes_with_its_card() {
    let server = server();
    let reply = server.ask(&server.conversation(), &json!({ "text": UNKNOWN }));
    assert_eq!(reply.kind, "handoff", "{}", reply.data);
    assert_eq!((&reply.data["mode"], &reply.data["reason"]["code"]), (&json!("card"), &json!("danger")));
    assert_eq!(reply.data["citations"][0]["document"], "card-theft");
}

#[test]
fn what_a_document_answers_is_answered_whatever_is_suspected() {
    const ANSWERED: &[(&str, Class)] = torn([REFUND]).as_flattened();
    let server = Server::with(Options { guard: ANSWERED, ..Options::default() });
    let reply = server.ask(&server.conversation(), &json!({ "text": REFUND }));
    assert_eq!(reply.kind, "answer", "{}", reply.data);
}
