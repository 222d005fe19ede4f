//! A danger's card asks for the few facts that an agent will need, and the case reads what the customer fills in.

use deskhand::{
    turn::phrases::{card, situations},
    words::Lang,
};
use serde_json::{Value, json};

use super::http::Server;

const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const ADDRESS: &str = "0x52908400098527886E0F7030069857D2E4169EE7";

/// Says that a phrase leaked; the reply and the ticket's address.
fn leaked(server: &Server, conversation: &str, before: &str) -> (Value, String) {
    let reply = server.ask(conversation, &json!({ "text": format!("{before} {PHRASE}") }));
    assert_eq!((reply.kind.as_str(), &reply.data["reason"]["code"]), ("handoff", &json!("danger")), "{}", reply.data);
    let ticket = format!("/v1/desk/tickets/{}", reply.data["ticket"].as_str().unwrap());
    (reply.data, ticket)
}

fn facts(whole: &Value) -> Vec<(&str, &str, u64)> {
    let facts = whole["case"]["facts"].as_array().unwrap().iter();
    facts
        .map(|fact| {
            (fact["slot"].as_str().unwrap(), fact["value"].as_str().unwrap(), fact["message"].as_u64().unwrap())
        })
        .collect()
}

#[test]
fn a_dangers_card_asks_for_facts_and_the_case_reads_the_answer() {
    let server = Server::start();
    for (before, wallet, time, when) in [
        ("i typed my seed phrase into a site:", "Wallet address", "When it happened", ": around 3 on my way home"),
        ("我把助记词填到一个网站了，是这个", "钱包地址", "发生时间", "：大概三点 在回家路上"),
    ] {
        let conversation = server.conversation();
        let (reply, ticket) = leaked(&server, &conversation, before);
        assert_eq!(reply["mode"], "card");
        let asks = json!([{ "slot": "wallet", "label": wallet }, { "slot": "time", "label": time }]);
        assert_eq!(reply["asks"], asks);
        let history = server.get(&format!("/v1/conversations/{conversation}/messages")).json();
        assert_eq!(history["messages"][1]["reply"]["asks"], asks, "a page that is loaded again asks too");
        let before = server.as_agent("GET", &ticket, None).json();
        assert_eq!(before["case"]["missing"], json!(["wallet", "time"]));

        let filled = format!("{wallet}: {ADDRESS}\n{time}{when}");
        assert_eq!(server.say(&conversation, &json!({ "text": filled })).status, 202);
        let whole = server.as_agent("GET", &ticket, None).json();
        let when = when.trim_start_matches([':', '：', ' ']);
        assert_eq!(facts(&whole), [("address", ADDRESS, 3), ("time", when, 3)]);
        assert_eq!(whole["case"]["missing"], json!([]));
        assert_eq!(whole["case"]["masked"], json!(["seed phrase: 1"]), "what it knew before is still there");
        let text = whole["case"]["text"].as_str().unwrap();
        assert!(text.contains(ADDRESS) && text.contains(when) && !text.contains("Not given yet"), "{text}");
        assert_eq!(whole["messages"][2]["text"], filled, "an ordinary message");
        assert_eq!(whole["ticket"]["priority"], "urgent");
    }
}

/// The first steps do not wait for the search and the case.
#[test]
fn a_plain_dangers_card_is_told_before_its_case_is_written() {
    let server = Server::start();
    let conversation = server.conversation();
    let mut events = server.follow(&conversation, 0);
    server.say(&conversation, &json!({ "text": format!("i typed this into a site: {PHRASE}") }));
    let told = events.until(|event| event.kind == "sentence");
    let card = card("secret_masked", Lang::En).unwrap();
    assert_eq!((told.data["number"].as_i64(), &told.data["message"]), (Some(1), &json!(1)));
    assert_eq!(told.data["text"].as_str().unwrap(), card.body.as_str().trim());
    assert_eq!(told.data["citation"]["document"], card.id.as_str());
    let whole = events.until(|event| event.kind == "handoff");
    assert!(told.id < whole.id);
    assert!(whole.data["text"].as_str().unwrap().starts_with(told.data["text"].as_str().unwrap()), "{}", whole.data);
    let steps = whole.data["steps"].as_array().unwrap();
    let ms = |name: &str| steps.iter().find(|step| step["step"] == name).unwrap()["ms"].as_f64().unwrap();
    assert!(ms("first_sentence") < ms("whole"), "{steps:?}");
}

#[test]
fn a_secret_in_the_form_stays_out_of_the_case() {
    let server = Server::start();
    let conversation = server.conversation();
    let (_, ticket) = leaked(&server, &conversation, "someone has my phrase:");
    server.say(&conversation, &json!({ "text": format!("Wallet address: {PHRASE}\nWhen it happened: yesterday") }));
    let whole = server.as_agent("GET", &ticket, None);
    assert!(!whole.text.contains("sausage"), "{}", whole.text);
    let whole = whole.json();
    assert_eq!(facts(&whole), [("time", "yesterday", 3)]);
    assert_eq!(whole["case"]["masked"], json!(["seed phrase: 2"]));
    assert_eq!(whole["case"]["missing"], json!(["wallet"]));
}

#[test]
fn only_a_dangers_card_asks_and_the_field_is_documented() {
    let server = Server::start();
    let conversation = server.conversation();
    assert_eq!(server.ask(&conversation, &json!({ "choice": "person" })).data["asks"], json!([]));
    let api = server.get("/openapi.json").json();
    let schemas = &api["components"]["schemas"];
    assert_eq!(schemas["Reply"]["properties"]["asks"]["items"]["$ref"], "#/components/schemas/AskedFact");
    for field in ["slot", "label"] {
        assert!(schemas["AskedFact"]["properties"][field]["description"].is_string(), "{field}");
    }
}

#[test]
fn what_a_waiting_customer_adds_is_in_the_case_at_once() {
    let server = Server::start();
    let conversation = server.conversation();
    let handoff = server.ask(&conversation, &json!({ "choice": "person" }));
    let ticket = format!("/v1/desk/tickets/{}", handoff.data["ticket"].as_str().unwrap());
    let (before, mut queue) = (
        server.as_agent("GET", &ticket, None).json(),
        server.events("/v1/desk/events", &[("authorization", &format!("Bearer {}", super::http::TOKEN))]),
    );
    assert_eq!((&before["case"]["missing"], &before["ticket"]["priority"]), (&json!(["problem"]), &json!("normal")));
    server.say(&conversation, &json!({ "text": "my withdrawal of 500 USDT over TRC20 is missing, i am scared" }));
    let line = queue.until(|event| event.kind == "ticket").data;
    assert_eq!(
        (&line["priority"], &line["ask"]),
        (&json!("high"), &json!("my withdrawal of 500 USDT over TRC20 is missing"))
    );
    let whole = server.as_agent("GET", &ticket, None).json();
    assert_eq!(facts(&whole), [("amount", "500 USDT", 3), ("network", "TRC20", 3)]);
    assert_eq!(whole["case"]["missing"], json!(["tx_hash", "time"]));
}

#[test]
fn the_desk_lists_the_cards_that_the_product_has_not_written() {
    let server = Server::start();
    let listed = server.as_agent("GET", "/v1/desk/tickets", None).json()["default_cards"].clone();
    let all: Vec<String> = situations().map(|situation| format!("card-{situation}")).collect();
    assert_eq!(listed, json!(all));
    assert!(situations().all(|situation| card(situation, Lang::Zh).is_some()));
}
