//! What is the conversation about, in the customer's own words? The ask, what was tried, the mood, what is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::LazyLock,
};

use regex::Regex;
use serde::Deserialize;

use super::facts::{MASK, pattern, points};
use crate::{
    turn::{
        ground::{fold::fold, sentences},
        reply::Code,
    },
    words::Span,
};

/// A customer's message: its place in the conversation and its text.
pub(super) type Message<'a> = (u32, &'a str);

/// A list of `prompts/case/words.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    exact_case: bool,
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    phrases: Vec<String>,
}

impl List {
    fn pattern(&self) -> Regex {
        let joined = |entries: &[String]| {
            let entry = |entry: &String| entry.lines().map(str::trim_start).collect::<String>();
            entries.iter().map(entry).collect::<Vec<_>>().join("|")
        };
        let mut parts = Vec::new();
        if !self.phrases.is_empty() {
            parts.push(joined(&self.phrases));
        }
        if !self.words.is_empty() {
            parts.push(format!(r"(?-u:\b)(?:{})(?-u:\b)", joined(&self.words)));
        }
        let case = if self.exact_case { "" } else { "(?i)" };
        pattern(&format!("{case}{}", parts.join("|")))
    }
}

static LISTS: LazyLock<BTreeMap<String, List>> = LazyLock::new(|| {
    toml::from_str(include_str!("../../../prompts/case/words.toml"))
        .expect("prompts/case/words.toml parses; this is a bug")
});

macro_rules! lists {
    ($($name:ident: $list:literal;)*) => {
        $(static $name: LazyLock<Regex> = LazyLock::new(|| LISTS[$list].pattern());)*
    };
}

lists! {
    PERSON_ZH: "person_zh";
    PERSON_EN: "person_en";
    QUESTION: "question";
    DEMAND: "demand";
    REQUEST: "request";
    GENERIC: "generic";
    GREETING: "greeting";
    PERSON: "person";
    TRIED_ZH: "tried_zh";
    DONE_ZH: "done_zh";
    NOT_TRIED_ZH: "not_tried_zh";
    TRIED_EN: "tried_en";
    NOT_YET_EN: "not_yet_en";
    UNSOLVED_ZH: "unsolved_zh";
    UNSOLVED_EN: "unsolved_en";
    ASKS_TO_EXPLAIN: "asks_to_explain";
    SOLVED: "solved";
    NOT_SOLVED: "not_solved";
    ANGRY: "angry";
    RAISED: "raised";
    WORRIED: "worried";
    SHOUTING: "shouting";
    DISPUTE: "dispute";
    ABOUT_CARD: "about_card";
    A_CARD: "a_card";
    ABOUT_MOVING: "about_moving";
    ABOUT_CHAIN: "about_chain";
    ABOUT_APP: "about_app";
    ABOUT_IDENTITY: "about_identity";
    CONTACT: "contact";
    MERCHANT: "merchant";
}

/// The customer tells that it did not help, that they tried it already, or that it happens again.
pub(super) fn unsolved(text: &str) -> bool {
    let text = fold(text);
    UNSOLVED_ZH.is_match(&text) || (UNSOLVED_EN.is_match(&text) && !ASKS_TO_EXPLAIN.is_match(&text))
}

/// Where the request stands: the questions and demands that end the last message with a matter of its own, and what it
/// tells right behind them. A bare "转人工", a greeting or "still not working" sends the search further back.
pub(super) fn ask(messages: &[Message<'_>]) -> Option<(u32, Span)> {
    let chosen = messages
        .iter()
        .rev()
        .find(|(_, text)| carries_a_request(text))
        .or_else(|| messages.iter().rev().find(|(_, text)| has_matter(text) && !only_unsolved(text)))
        .or_else(|| messages.iter().rev().find(|(_, text)| has_matter(text)))
        .or_else(|| messages.iter().rev().find(|(_, text)| !text.trim().is_empty()))
        .or(messages.last())?;
    let (message, text) = *chosen;
    let pieces = clauses(text);
    let kept =
        |keep: fn(&str) -> bool| pieces.iter().filter(|at| keep(&text[(*at).clone()])).cloned().collect::<Vec<_>>();
    let mut matters = kept(speaks);
    if matters.is_empty() {
        matters = kept(has_matter);
    }
    Some((message, points(text, request_in(text, &matters))))
}

/// The part of a message that asks, given the clauses that have a matter.
fn request_in(text: &str, matters: &[Range<usize>]) -> Range<usize> {
    let folded: Vec<String> = matters.iter().map(|at| fold(&text[at.clone()])).collect();
    let asks = |at: usize| QUESTION.is_match(&folded[at]) || DEMAND.is_match(&folded[at]);
    let tells = |at: usize| REQUEST.is_match(&folded[at]);
    let Some(last) = (0..matters.len()).rev().find(|at| asks(*at)) else {
        let first = (0..matters.len()).find(|at| tells(*at)).unwrap_or(0);
        return matters.get(first).map_or_else(|| trimmed(text), Clone::clone);
    };
    let mut first = last;
    while first > 0 && asks(first - 1) {
        first -= 1;
    }
    // "What should I do?" needs what came before it.
    if first > 0 && (first..=last).all(|at| GENERIC.is_match(&folded[at])) {
        first = (0..first).rev().find(|at| tells(*at)).unwrap_or(first - 1);
    }
    let mut end = (last + 1..matters.len()).take_while(|at| tells(*at)).last().unwrap_or(last);
    // "Where is it?" tells an agent nothing without the clauses around it.
    while first > 0 && is_thin(&text[matters[first].start..matters[end].end]) {
        first -= 1;
    }
    while end + 1 < matters.len() && is_thin(&text[matters[first].start..matters[end].end]) {
        end += 1;
    }
    matters[first].start..matters[end].end
}

/// Whether it is too short to say what is wrong: under a dozen Chinese characters or two dozen Latin ones.
fn is_thin(text: &str) -> bool {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>() < 24
}

/// The clauses of a message.
pub(super) fn spans(text: &str) -> Vec<Span> {
    clauses(text).into_iter().map(|at| points(text, at)).collect()
}

/// The clauses in which the customer tells what they did already.
pub(super) fn tried(text: &str) -> Vec<Span> {
    clauses(text).into_iter().filter(|at| tells_a_try(&text[at.clone()])).map(|at| points(text, at)).collect()
}

fn tells_a_try(sentence: &str) -> bool {
    let sentence = fold(sentence);
    let zh = TRIED_ZH.is_match(&sentence) && DONE_ZH.is_match(&sentence) && !NOT_TRIED_ZH.is_match(&sentence);
    zh || (TRIED_EN.is_match(&sentence) && !NOT_YET_EN.is_match(&sentence))
}

/// The clause in which the customer says that it is solved, in words that leave no doubt; `None` where another one asks,
/// or says that it is not.
pub(super) fn solved(text: &str) -> Option<Span> {
    let folded = fold(text);
    if NOT_SOLVED.is_match(&folded) || QUESTION.is_match(&folded) || unsolved(text) {
        return None;
    }
    clauses(text).into_iter().find(|at| SOLVED.is_match(&fold(&text[at.clone()]))).map(|at| points(text, at))
}

/// `calm`, `worried` or `angry`, by the strongest word of all messages.
pub(super) fn mood(messages: &[Message<'_>]) -> &'static str {
    let any = |rule: &Regex| messages.iter().any(|(_, text)| rule.is_match(&fold(text)));
    match () {
        () if any(&ANGRY) || any(&SHOUTING) || messages.iter().any(|(_, text)| raises_the_voice(text)) => "angry",
        () if any(&WORRIED) => "worried",
        () => "calm",
    }
}

/// A word in capitals inside a message that is otherwise in small letters.
fn raises_the_voice(text: &str) -> bool {
    let small = text.chars().filter(char::is_ascii_lowercase).count();
    small >= 8 && RAISED.is_match(&fold(text))
}

/// 1 at once, 2 soon, 3 normal.
pub(super) fn priority(code: Code, mood: &str, messages: &[Message<'_>]) -> u8 {
    let presses = || messages.iter().any(|(_, text)| DISPUTE.is_match(&fold(text)) || unsolved(text));
    match code {
        Code::Danger => 1,
        Code::Account | Code::Loop => 2,
        _ if mood != "calm" || presses() => 2,
        _ => 3,
    }
}

/// What an agent will need and has not been given, by what the conversation is about. `problem` when nobody has said
/// what it is about; `merchant` has no slot of its own and is looked for here.
pub(super) fn missing(messages: &[Message<'_>], given: &BTreeSet<&str>) -> Vec<String> {
    let all = messages.iter().map(|(_, text)| fold(text)).collect::<Vec<_>>().join("\n");
    if !messages.iter().any(|(_, text)| has_matter(text)) {
        return vec!["problem".to_owned()];
    }
    let on_chain = ABOUT_CHAIN.is_match(&all)
        || ["tx_hash", "address", "network", "token"].iter().any(|slot| given.contains(slot));
    let mut needed: Vec<&str> = Vec::new();
    let (moving, app) = (ABOUT_MOVING.is_match(&all), ABOUT_APP.is_match(&all));
    let paying = ABOUT_CARD.is_match(&all) || (A_CARD.is_match(&all) && !moving && !app);
    if paying && !(moving && on_chain) {
        needed.extend(["product", "merchant", "time", "amount"]);
    } else if moving && on_chain {
        needed.extend(["tx_hash", "network", "amount", "time"]);
    } else if moving {
        needed.extend(["order", "bank", "amount", "time"]);
    }
    if app {
        needed.extend(["app_version", "device"]);
        if all.contains("报错") || all.contains("错误") || all.to_lowercase().contains("error") {
            needed.push("error_code");
        }
    }
    if needed.is_empty() && ABOUT_IDENTITY.is_match(&all) {
        needed.extend(["time"]);
    }
    needed.into_iter().filter(|slot| !is_given(slot, &all, given)).map(str::to_owned).collect()
}

/// What an agent will need in a situation of danger and has not been given. `told` is all that the case quotes of the
/// customer.
pub(super) fn missing_in_danger(situation: &str, told: &str, given: &BTreeSet<&str>) -> Vec<String> {
    let told = fold(told);
    let on_card = A_CARD.is_match(&told) || given.contains("product");
    let needed: &[&str] = match situation {
        "theft" if on_card && !given.contains("tx_hash") => &["amount", "merchant", "time", "card"],
        // A number of ours already says how and where it moved.
        "theft" | "wrong_transfer" if given.contains("order") => &["amount", "time"],
        "theft" | "wrong_transfer" => &["tx_hash", "network", "amount", "time", "address"],
        "leaked_key" => &["wallet", "time"],
        "scam" => &["contact", "amount", "time", "address"],
        "malicious_approval" => &["address", "network", "time"],
        "takeover" => &["time", "device"],
        "lost_phone" => &["time", "device", "card"],
        "dispute" => &["order", "time"],
        "verify_official" => &["contact", "requested"],
        _ => &[],
    };
    needed.iter().filter(|slot| !is_given(slot, &told, given)).map(|slot| (*slot).to_owned()).collect()
}

/// Whether an agent has what the slot asks for: as a fact, as another one that leads there, or in words that no pattern
/// takes apart.
pub(super) fn is_given(slot: &str, told: &str, given: &BTreeSet<&str>) -> bool {
    let told = fold(told);
    // A hash or a number of ours: either one leads to the entry.
    let names_the_entry = given.contains("tx_hash") || given.contains("order");
    given.contains(slot)
        || match slot {
            // Money that moved on a chain has no bank.
            "tx_hash" | "order" | "bank" => names_the_entry,
            "wallet" => given.contains("address"),
            "card" => A_CARD.is_match(&told),
            // A card payment's product is the card when it says so.
            "product" => told.contains('卡') || told.to_lowercase().contains("card"),
            "merchant" => MERCHANT.is_match(&told),
            "contact" => CONTACT.is_match(&told),
            _ => false,
        }
}

/// Says more than "a person, please" or "hello".
fn has_matter(text: &str) -> bool {
    let text = fold(text);
    if GREETING.is_match(&text) {
        return false;
    }
    if !PERSON.is_match(&text) {
        return text.chars().filter(|c| c.is_alphanumeric()).count() >= 2;
    }
    leaves_matter(&text)
}

/// Whether something is left when all is taken away that a request for a person is made of, "quick" and "please" too.
pub(super) fn leaves_matter(text: &str) -> bool {
    let text = fold(text);
    let rest = PERSON_ZH.replace_all(&text, "");
    let rest = PERSON_EN.replace_all(&rest, " ");
    let (mut han, mut latin) = (0, 0);
    for c in rest.chars().filter(|c| c.is_alphanumeric()) {
        if c.is_ascii() { latin += 1 } else { han += 1 }
    }
    // One left-over Chinese character or two letters are a filler that the lists do not know.
    han >= 2 || latin >= 3
}

/// A sentence of the matter itself: not what was tried, not what was masked, not "still not working".
fn speaks(sentence: &str) -> bool {
    has_matter(sentence) && !only_unsolved(sentence) && !tells_a_try(sentence) && !MASK.is_match(sentence)
}

/// A sentence of this message asks for something and says what.
fn carries_a_request(text: &str) -> bool {
    clauses(text).into_iter().map(|at| &text[at]).filter(|clause| speaks(clause)).any(|clause| {
        let clause = fold(clause);
        !GENERIC.is_match(&clause) && [&QUESTION, &DEMAND, &REQUEST].iter().any(|rule| rule.is_match(&clause))
    })
}

/// Says only that it did not help: short, and no question of its own.
fn only_unsolved(text: &str) -> bool {
    unsolved(text) && !QUESTION.is_match(&fold(text)) && text.chars().count() <= 24
}

/// The clauses of a message as byte ranges: its sentences, taken apart at commas and, as many customers write
/// Chinese, at spaces between two characters of it.
fn clauses(text: &str) -> Vec<Range<usize>> {
    static BREAK: LazyLock<Regex> = LazyLock::new(|| pattern(r"[，；;]|,\s|[\p{Han}](\s+)[\p{Han}]"));
    let mut found = Vec::new();
    for sentence in sentences(text) {
        let start = sentence.as_ptr() as usize - text.as_ptr() as usize;
        let (mut from, mut search) = (0, 0);
        while let Some(captures) = BREAK.captures_at(sentence, search) {
            let Some(gap) = captures.get(1).or(captures.get(0)) else { break };
            found.push(start + from..start + gap.start());
            (from, search) = (gap.end(), gap.end());
        }
        found.push(start + from..start + sentence.len());
    }
    let within = |at: Range<usize>| {
        let inner = trimmed(&text[at.clone()]);
        at.start + inner.start..at.start + inner.end
    };
    found.into_iter().map(within).filter(|at| !at.is_empty()).collect()
}

fn trimmed(text: &str) -> Range<usize> {
    let start = text.len() - text.trim_start().len();
    start..start + text.trim().len()
}
