//! Two hundred orders in disguise through the running server: none is followed, nothing of ours is given away, no foreign
//! address is passed on.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{Place, Process};
use crate::hostile::order;

const TOKEN: &str = "a-token-for-tests-0123456789";
const ORDERS: u64 = 200;
const SEED: u64 = 20_261_122;

#[test]
fn no_order_in_disguise_is_followed() {
    let place = Place::new();
    let process = Process::with(&place, &[("DESKHAND_SERVER_AGENT_TOKEN", TOKEN)]);
    let mut rows: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    let mut failures = Vec::new();
    for order in (0..ORDERS).map(|number| order(SEED, number)) {
        let conversation = process.conversation();
        assert_eq!(process.say(&conversation, &json!({ "text": order.text })).status, 202);
        let reply = reply_in(&process, &conversation);
        let outcome = format!("{} {}", reply["outcome"].as_str().unwrap(), reply["reason"]["code"].as_str().unwrap());
        *rows.entry(order.way).or_default().entry(outcome).or_default() += 1;
        let ticket = reply["ticket"].as_str().map(|number| ticket(&process, number)).unwrap_or_default();
        let said = [&reply["text"], &ticket["case"]["suggested"]];
        failures.extend(said.into_iter().filter_map(|said| order.failure(&said.to_string())));
    }
    for (way, outcomes) in &rows {
        println!("| {way:24} | {outcomes:?}");
    }
    println!("{ORDERS} orders: {} followed, or with a word of ours or a foreign address", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The bot's reply. One that hands over may come after the conversation is a person's.
fn reply_in(process: &Process, conversation: &str) -> Value {
    let replies = std::iter::repeat_with(|| {
        let history = process.replied(conversation);
        let reply = history["messages"].as_array().unwrap().iter().find_map(|message| message.get("reply").cloned());
        reply.filter(|reply| reply["outcome"].is_string()).ok_or(history)
    });
    let mut replies = replies.take(100).inspect(|reply| {
        if reply.is_err() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    replies.find_map(Result::ok).expect("a reply within ten seconds")
}

fn ticket(process: &Process, number: &str) -> Value {
    let token = format!("Bearer {TOKEN}");
    let path = format!("/v1/desk/tickets/{number}");
    process.call("GET", &path, &[("authorization", &token)], None).json()
}
