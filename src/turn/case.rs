//! What does an agent need to take over without asking again? The written case of a handoff: typed fields, each
//! pointing at the message and the characters it came from. Start at [`write()`].
//!
//! Template first and no model: every fact, the ask and every step tried is a piece of a customer's message, so a case
//! cannot hold what nobody said. [`Case::text`] is rendered from the fields and nothing else. Pure: no I/O, no clock.

mod corrections;

mod danger;

mod facts;

mod form;

mod heard;

mod story;

mod why;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use minijinja::{Environment, Value, syntax::SyntaxConfig};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::why::why;
use super::{
    asked::{From, Past},
    ground::fold::fold,
    reply::{Code, Offer},
};
use crate::{
    safety::{
        Masked,
        incoming::{Remasked, rewrite},
    },
    words::{Lang, Span},
};

/// Writes the case of a conversation that a person takes over.
pub fn write(input: CaseInput<'_>) -> Case {
    let customer = input.history.iter().filter(|past| past.from == From::Customer);
    let mut messages: Vec<story::Message<'_>> = customer.map(|past| (past.message, past.text.as_str())).collect();
    messages.push((input.message, input.text.as_str()));

    let facts = facts_of(&messages);
    let mood = story::mood(&messages);
    let missing = story::missing(&messages, &given(&facts));
    let mut case = Case {
        lang: input.customer_lang,
        written_in: input.lang,
        ask: ask_of(&messages, input.message),
        code: input.code,
        why: why(input.lang, input.code, input.confidence, input.features),
        situation: None,
        priority: story::priority(input.code, mood, &messages),
        mood: mood.to_owned(),
        tried: tried_in(&messages),
        solved: None,
        told: Vec::new(),
        said: input.history.iter().filter_map(said).collect(),
        offered: input.offered,
        nearest: input.nearest,
        missing,
        suggested: input.suggested,
        masked: Vec::new(),
        read_to: input.message,
        watched_to: input.message,
        raised_ms: None,
        facts,
        text: String::new(),
    };
    case.count_masks(masks_in(&messages));
    case.render();
    case
}

/// The clauses of a message, in which a danger is looked for one by one.
pub fn clauses(text: &str) -> Vec<Span> {
    story::spans(text)
}

/// What a message asks for, as a case of it alone would say.
pub fn ask_in(text: &str) -> Span {
    ask_of(&[(1, text)], 1).span
}

/// The customer says that it did not help, that they tried it already, or that it happens again.
pub fn still_unsolved(text: &str) -> bool {
    story::unsolved(text)
}

/// How a message is said, where that asks for other words of ours: `angry`, `unsolved` (it failed again) or `worried`.
pub fn tone(text: &str) -> Option<&'static str> {
    match story::mood(&[(1, text)]) {
        "angry" => Some("angry"),
        _ if still_unsolved(text) => Some("unsolved"),
        "worried" => Some("worried"),
        _ => None,
    }
}

/// A fact, and where the customer said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fact {
    /// What sort of fact: `tx_hash`, `address`, `amount`, `order`, `network`, `token`, `error_code`, `app_version`,
    /// `device`, `time`, `bank`, `product`; of a danger's form also `merchant`, `card`, `wallet`, `contact`, `requested`.
    pub slot: String,
    /// The words as the customer wrote them: the message's text at `span`.
    pub value: String,
    /// Which message, by its place in the conversation, counted from 1.
    pub message: u32,
    /// Where in that message.
    #[schema(value_type = Object)]
    pub span: Span,
}

/// Cosine from which a document is worth an agent's look. In the sample suite 95% of the right documents that rank first
/// lie above it, and two fifths of what ranks first for questions off topic below.
const NEAR_COSINE: f64 = 0.3;

/// Share of the question's term weight from which a document is worth a look whatever its cosine.
const NEAR_TERMS: f64 = 0.5;

/// The judge's confidence from which a reply is suggested: below it the best document is wrong more often than not.
const PLAUSIBLE: f64 = 0.25;

/// A document near the question, for the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Near {
    /// The document's id.
    pub document: String,
    /// Its title.
    pub title: String,
    /// Its revision.
    pub revision: String,
    /// Only for agents: a resolution or an internal note.
    pub agent_only: bool,
    /// Raw cosine of its best passage, in [-1, 1].
    pub cosine: f64,
    /// Share of the question's term weight found in it, in [0, 1].
    pub terms: f64,
}

impl Near {
    /// Near enough that an agent would want to see it.
    pub fn is_worth_a_look(&self) -> bool {
        self.cosine >= NEAR_COSINE || self.terms >= NEAR_TERMS
    }
}

/// Whether the best document is plausible enough that its text may be suggested as a reply. A customer who only asks for a
/// person has asked nothing that a document answers.
pub fn suggests(code: Code, confidence: f64) -> bool {
    confidence >= PLAUSIBLE
        && !matches!(code, Code::Asked | Code::OffTopic | Code::Injection | Code::SmallTalk | Code::NoLanguage)
}

/// What the bot said earlier in the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Said {
    /// Which message.
    pub message: u32,
    /// Outcome in a word: `answer`, `offer`, `handoff`.
    pub outcome: String,
    /// The documents it cited or offered.
    pub documents: Vec<String>,
}

/// Everything an agent needs to take over without asking again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Case {
    /// The customer's language.
    #[schema(value_type = String)]
    pub lang: Lang,
    /// The language that `why` and `text` are written in.
    #[schema(value_type = String)]
    pub written_in: Lang,
    /// What the customer asks for, in their own words.
    pub ask: Fact,
    /// Why the bot handed over.
    pub code: Code,
    /// The same in one sentence for the agent, with the numbers.
    pub why: String,
    /// The situation, when it is one of danger, for instance `theft`.
    pub situation: Option<String>,
    /// 1 = at once (danger), 2 = soon (account, dispute, anger, fear, what failed again), 3 = normal.
    pub priority: u8,
    /// `calm`, `worried` or `angry`.
    pub mood: String,
    /// Facts that the customer gave.
    pub facts: Vec<Fact>,
    /// Clauses in which the customer says what they tried already.
    pub tried: Vec<Fact>,
    /// Where the customer says, while the case waits, that it is solved; a person closes it all the same.
    #[serde(default)]
    pub solved: Option<Fact>,
    /// What the bot said before.
    pub said: Vec<Said>,
    /// Questions that were offered and refused.
    pub offered: Vec<Offer>,
    /// The nearest documents with their scores, resolutions among them.
    pub nearest: Vec<Near>,
    /// Facts that an agent will need and the customer has not given, by slot.
    pub missing: Vec<String>,
    /// A reply the agent could send: an approved document's text.
    pub suggested: Option<Suggested>,
    /// Secrets that were masked, by kind with a count, for instance `seed phrase: 1`.
    pub masked: Vec<String>,
    /// The last message that was read into it, by its place in the conversation.
    #[serde(default)]
    pub read_to: u32,
    /// The last message in which the guard looked for danger, by its place in the conversation.
    #[serde(default)]
    pub watched_to: u32,
    /// When a danger came up while the case waited, Unix milliseconds: from then on it is urgent.
    #[serde(default)]
    pub raised_ms: Option<i64>,
    /// What the customer was told of itself with this case: cards by their situation, `receipt`, `solved`, `contact`.
    #[serde(default)]
    pub told: Vec<String>,
    /// The whole case as text in the agent's language, rendered from the fields above.
    pub text: String,
}

impl Case {
    /// Brings the case up to date with messages (by number) that were masked further: what it quotes of them, where, and
    /// how much was masked. Renders the text again.
    pub fn remask(&mut self, changed: &BTreeMap<i64, Remasked>) {
        let facts = [&mut self.ask].into_iter().chain(&mut self.facts).chain(&mut self.tried).chain(&mut self.solved);
        for fact in facts {
            let message = changed.get(&i64::from(fact.message));
            if let Some((message, span)) =
                message.and_then(|message| Some((message, message.moved(fact.span, &fact.value)?)))
            {
                (fact.value, fact.span) = (span.of(message.text().as_str()).to_owned(), span);
            } else if let Some(now) = rewrite(&fact.value, changed.values()) {
                // A question may be several messages in one; its value is then no piece of a single one.
                fact.value = now;
            }
        }
        // Only what the case has read; one that does not say so, up to the question behind the last message that it names.
        let quoted = [&self.ask].into_iter().chain(&self.facts).chain(&self.tried).map(|fact| fact.message);
        let last = quoted.chain(self.said.iter().map(|said| said.message)).max().map_or(0, |last| last + 1);
        let read = changed.range(..=i64::from(if self.read_to > 0 { self.read_to } else { last }));
        self.count_masks([("seed phrase", read.map(|(_, message)| message.masks()).sum())]);
        self.render();
    }

    /// Adds to the masks, by kind.
    fn count_masks(&mut self, more: impl IntoIterator<Item = (&'static str, usize)>) {
        for (kind, more) in more.into_iter().filter(|(_, more)| *more > 0) {
            let count = |line: &str| line.strip_prefix(kind)?.strip_prefix(": ")?.parse::<usize>().ok();
            match self.masked.iter_mut().find_map(|line| count(line.as_str()).map(|before| (line, before))) {
                Some((line, before)) => *line = format!("{kind}: {}", before + more),
                None => self.masked.push(format!("{kind}: {more}")),
            }
        }
    }

    /// The fields by name, as templates read them.
    fn for_template(&self) -> Value {
        fn value(json: serde_json::Value) -> Value {
            match json {
                serde_json::Value::Null => Value::from(()),
                serde_json::Value::Bool(yes) => Value::from(yes),
                serde_json::Value::Number(number) => match number.as_u64() {
                    Some(whole) => Value::from(whole),
                    None => Value::from(number.as_f64()),
                },
                serde_json::Value::String(text) => Value::from(text),
                serde_json::Value::Array(items) => Value::from(items.into_iter().map(value).collect::<Vec<_>>()),
                serde_json::Value::Object(fields) => {
                    Value::from_pairs(fields.into_iter().map(|(name, field)| (name, value(field))))
                }
            }
        }
        serde_json::to_value(self).map_or_else(|_| Value::from(()), value)
    }

    fn render(&mut self) {
        let name = match self.written_in {
            Lang::Zh => "zh",
            Lang::En => "en",
        };
        // A case without its text would be worse than a plain one: what is left is still true.
        self.text = match TEMPLATES.get_template(name).and_then(|template| template.render(self.for_template())) {
            Ok(text) => format!("{}\n", text.trim_end()),
            Err(error) => {
                tracing::error!("a case could not be rendered: {error}");
                format!("{}\n{}\n", self.ask.value, self.why)
            }
        };
    }
}

/// One template per language, compiled in.
static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        templates.set_syntax(syntax);
    }
    templates.add_filter("line", one_line);
    templates.add_filter("quoted", |text: String| text.trim().replace('\n', "\n> "));
    templates.add_filter("two", |number: f64| format!("{number:.2}"));
    for (name, source) in
        [("zh", include_str!("../../prompts/case.zh.md.jinja")), ("en", include_str!("../../prompts/case.en.md.jinja"))]
    {
        #[expect(clippy::expect_used, reason = "a fixed template that the tests compile")]
        templates.add_template(name, source).expect("this is a bug: a case template does not compile");
    }
    templates
});

/// Customers press Enter; a field stays on one line.
fn one_line(text: String) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn fact(slot: &str, message: u32, text: &str, span: Span) -> Fact {
    Fact { slot: slot.to_owned(), value: span.of(text).to_owned(), message, span }
}

/// Every fact once, where it was said first, without those taken back.
fn facts_of(messages: &[story::Message<'_>]) -> Vec<Fact> {
    let mut seen = BTreeSet::new();
    let mut facts = Vec::new();
    for (message, text) in messages {
        for (slot, span) in facts::find(text) {
            let found = fact(slot, *message, text, span);
            if seen.insert((slot, found.value.to_lowercase())) {
                facts.push(found);
            }
        }
    }
    corrections::standing(messages, facts)
}

/// Every step tried once, where it was said first.
fn tried_in(messages: &[story::Message<'_>]) -> Vec<Fact> {
    let mut steps: Vec<Fact> = Vec::new();
    for (message, text) in messages {
        for step in story::tried(text).into_iter().map(|span| fact("tried", *message, text, span)) {
            if steps.iter().all(|known| !says_the_same(known, &step)) {
                steps.push(step);
            }
        }
    }
    steps
}

/// Whether two steps differ in no more than signs, spaces and capitals.
fn says_the_same(one: &Fact, other: &Fact) -> bool {
    let letters =
        |fact: &Fact| fold(&fact.value).to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    letters(one) == letters(other)
}

/// The slots that these facts fill.
fn given(facts: &[Fact]) -> BTreeSet<&str> {
    let token = facts.iter().any(names_a_token).then_some("token");
    facts.iter().map(|fact| fact.slot.as_str()).chain(token).collect()
}

/// "500 USDT" gives the token too, though no two facts overlap.
fn names_a_token(fact: &Fact) -> bool {
    fact.slot == "amount" && fact.value.chars().any(|c| c.is_ascii_alphabetic())
}

fn ask_of(messages: &[story::Message<'_>], last: u32) -> Fact {
    let nothing = (last, Span { start: 0, end: 0 });
    let (message, span) = story::ask(messages).unwrap_or(nothing);
    let text = messages.iter().rev().find(|(number, _)| *number == message).map_or("", |(_, text)| text);
    fact("ask", message, text, span)
}

fn said(past: &Past) -> Option<Said> {
    let reply = past.reply.as_ref()?;
    let outcome = match reply.outcome {
        super::reply::Outcome::Answer => "answer",
        super::reply::Outcome::Offer => "offer",
        super::reply::Outcome::Handoff => "handoff",
    };
    let offered = reply.offers.iter().map(|offer| offer.document.clone());
    let documents = reply.documents.iter().cloned().chain(offered).collect();
    Some(Said { message: past.message, outcome: outcome.to_owned(), documents })
}

/// How many masks of each kind stand in the customer's messages.
fn masks_in(messages: &[story::Message<'_>]) -> Vec<(&'static str, usize)> {
    // The names that `safety` writes into its masks; other brackets are the customer's own.
    const KINDS: &[&str] = &[
        "seed phrase",
        "private key",
        "keystore",
        "API key",
        "card number",
        "ID number",
        "CVV",
        "password",
        "one-time code",
        "email",
        "phone",
        "hash or key",
    ];
    let mut counts: BTreeMap<&'static str, BTreeSet<(u32, &str)>> = BTreeMap::new();
    for (message, text) in messages {
        for found in facts::MASK.captures_iter(text) {
            let (Some(kind), Some(number)) = (found.get(1), found.get(2)) else { continue };
            if let Some(kind) = KINDS.iter().find(|known| **known == kind.as_str()) {
                counts.entry(*kind).or_default().insert((*message, number.as_str()));
            }
        }
    }
    counts.into_iter().map(|(kind, found)| (kind, found.len())).collect()
}

/// A reply the agent could send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suggested {
    /// The document it is from.
    pub document: String,
    /// Its revision.
    pub revision: String,
    /// The approved text.
    pub text: String,
}

/// Everything a case is written from.
#[derive(Debug)]
pub struct CaseInput<'a> {
    /// The language that the case is written in.
    pub lang: Lang,
    /// The customer's language.
    pub customer_lang: Lang,
    /// The place of the last question in the conversation, counted from 1.
    pub message: u32,
    /// The last question.
    pub text: &'a Masked,
    /// What was said before, oldest first.
    pub history: &'a [Past],
    /// Why it is handed over.
    pub code: Code,
    /// The judge's confidence, in [0, 1].
    pub confidence: f64,
    /// The judge's features and the guard's scores, by name.
    pub features: &'a BTreeMap<String, f64>,
    /// Questions that were offered and refused.
    pub offered: Vec<Offer>,
    /// The nearest documents.
    pub nearest: Vec<Near>,
    /// A reply the agent could send.
    pub suggested: Option<Suggested>,
}

#[cfg(test)]
mod tests;
