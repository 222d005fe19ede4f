//! Anger, fear and what failed again change our own words and the priority, never a fact, a document or a card.

use deskhand::{
    turn::phrases::{card, phrase},
    words::Lang,
};
use serde_json::{Value, json};

use super::{
    http::Server,
    sample::{REFUND, WITHDRAWAL},
};

/// A calm message in each language, and what makes it another.
const CALM: [(Lang, &str); 2] = [
    (Lang::En, "Order 20261120-8841: I sent 500 USDT over TRC20 yesterday."),
    (Lang::Zh, "单号 WD20261119017，昨天转了 500 USDT，走的 TRC20。"),
];
const TONES: [(&str, &str, &str); 3] = [
    ("tone_angry", " This is ridiculous, you people did nothing!!!", "你们就是骗子公司，我要投诉！"),
    ("tone_unsolved", " I tried it again and it still does not work.", "试过了，还是不行。"),
    ("tone_worried", " I am scared, please help.", "我好怕，急死了。"),
];

/// The reply's own words, without the line about the ticket.
fn words(reply: &Value) -> &str {
    reply["text"].as_str().unwrap().split("\n\n").next().unwrap()
}

/// Asks for a person with these words; the reply and the ticket as its agent sees it.
fn handed_over(server: &Server, text: &str) -> (Value, Value) {
    let conversation = server.conversation();
    let reply = server.ask(&conversation, &json!({ "text": text, "choice": "person" })).data;
    let ticket = format!("/v1/desk/tickets/{}", reply["ticket"].as_str().unwrap());
    (reply, server.as_agent("GET", &ticket, None).json())
}

fn facts(whole: &Value) -> Vec<(&Value, &Value)> {
    whole["case"]["facts"].as_array().unwrap().iter().map(|fact| (&fact["slot"], &fact["value"])).collect()
}

#[test]
fn the_tone_changes_words_and_priority_and_never_a_fact() {
    let server = Server::start();
    for (lang, text) in CALM {
        let (calm, calm_ticket) = handed_over(&server, text);
        assert_eq!(words(&calm), phrase(lang, "handoff_asked"));
        assert_eq!(calm_ticket["ticket"]["priority"], "normal");
        assert_eq!(facts(&calm_ticket).len(), 4, "{calm_ticket}");
        for (tone, en, zh) in TONES {
            let said = format!("{text}{}", if lang == Lang::Zh { zh } else { en });
            let (reply, ticket) = handed_over(&server, &said);
            let between = if lang == Lang::Zh { "" } else { " " };
            assert_eq!(
                words(&reply),
                format!("{}{between}{}", phrase(lang, tone), phrase(lang, "handoff_asked")),
                "{said}"
            );
            assert_eq!(ticket["ticket"]["priority"], "high", "{said}");
            assert_eq!(facts(&ticket), facts(&calm_ticket), "{said}");
            for same in ["outcome", "mode", "citations", "offers", "asks"] {
                assert_eq!(reply[same], calm[same], "{same}: {said}");
            }
        }
    }
}

#[test]
fn documents_and_cards_are_said_as_approved_in_any_tone() {
    let server = Server::start();
    let answers = ["", "!!!", " ?!?!!"].map(|tone| {
        let reply = server.ask(&server.conversation(), &json!({ "text": format!("{WITHDRAWAL}{tone}") })).data;
        (reply["text"].clone(), reply["citations"].clone())
    });
    assert_eq!(answers[0].0, "A withdrawal takes **two** working days.");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    for (lang, text) in
        [(Lang::En, "WHERE IS MY MONEY NOW you thieves!!! my phrase:"), (Lang::Zh, "骗子公司！！！我的助记词是")]
    {
        let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
        let reply = server.ask(&server.conversation(), &json!({ "text": format!("{text} {phrase}") })).data;
        let card = card("secret_masked", lang).unwrap().body.as_str();
        assert!(reply["text"].as_str().unwrap().starts_with(card), "{}", reply["text"]);
    }
}

#[test]
fn an_offer_answers_the_tone_and_offers_the_same() {
    let server = Server::start();
    let ask = |text: &str| server.ask(&server.conversation(), &json!({ "text": text })).data;
    // How much of a question has to be found for an answer is the judge's matter: one of these is half found.
    let questions =
        ["withdrawal zebra", "withdrawal zebra giraffe", "withdrawal refund points limit", "withdrawal bank refund"];
    let mut asked = questions.iter().map(|text| (*text, ask(text)));
    let (text, calm) = asked.find(|(_, reply)| reply["outcome"] == "offer").expect("an offer");
    assert_eq!(words(&calm), phrase(Lang::En, "offer_intro"));
    let angry = ask(&format!("{text}!!!"));
    assert_eq!(words(&angry), format!("{} {}", phrase(Lang::En, "tone_angry"), words(&calm)));
    assert_eq!(angry["offers"], calm["offers"]);
}

#[test]
fn a_conversation_in_circles_ends_at_a_person_with_an_apology() {
    for (lang, again) in [(Lang::En, "still not working, same problem"), (Lang::Zh, "试过了，还是不行")] {
        let server = Server::start();
        let conversation = server.conversation();
        for question in [WITHDRAWAL, REFUND] {
            assert_eq!(server.ask(&conversation, &json!({ "text": question })).kind, "answer");
        }
        let reply = server.ask(&conversation, &json!({ "text": again })).data;
        assert_eq!(reply["reason"]["code"], "loop", "{reply}");
        assert_eq!(words(&reply), phrase(lang, "handoff_loop"), "one apology is enough");
        let ticket = format!("/v1/desk/tickets/{}", reply["ticket"].as_str().unwrap());
        let whole = server.as_agent("GET", &ticket, None).json();
        assert_eq!(whole["ticket"]["priority"], "high");
        let said: Vec<&Value> =
            whole["case"]["said"].as_array().unwrap().iter().map(|said| &said["documents"][0]).collect();
        assert_eq!(said, ["withdrawal-time", "refund-time"], "what did not help is in the case");
    }
}
