//! What a turn ends in: the reply that the customer gets, and everything that explains it. This is the JSON of
//! `deskhand ask --json`, of the `answer`, `offer` and `handoff` events, and of the suite: names are a contract.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::case::Case;
use crate::words::Lang;

/// Which of the three endings a turn has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A grounded, cited answer.
    Answer,
    /// A few nearest questions to tap, and a person one tap away.
    Offer,
    /// A person takes over, with a written case.
    Handoff,
}

/// How the text of a reply was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The approved text of one document, or of one section of a guide.
    Verbatim,
    /// Generated sentence by sentence from the evidence, each sentence checked.
    Composed,
    /// An approved fixed text for a situation.
    Card,
}

/// Why the turn ended as it did. The strings are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The judge was sure enough.
    Confident,
    /// The customer asked for a person.
    Asked,
    /// Nothing in the knowledge is near.
    NoKnowledge,
    /// Something is near, not near enough.
    LowConfidence,
    /// No sentence of the answer was held up by the evidence.
    Unsupported,
    /// Only someone with access to the customer's account can help.
    Account,
    /// Money or safety is in danger.
    Danger,
    /// The conversation goes round in circles.
    Loop,
    /// Not a question for this support.
    OffTopic,
    /// Text that tries to give orders.
    Injection,
    /// A greeting, thanks, a question about the bot.
    SmallTalk,
    /// A language that Deskhand does not answer in.
    NoLanguage,
    /// Something failed; a person takes over.
    Error,
}

impl Code {
    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Confident => "confident",
            Code::Asked => "asked",
            Code::NoKnowledge => "no_knowledge",
            Code::LowConfidence => "low_confidence",
            Code::Unsupported => "unsupported",
            Code::Account => "account",
            Code::Danger => "danger",
            Code::Loop => "loop",
            Code::OffTopic => "off_topic",
            Code::Injection => "injection",
            Code::SmallTalk => "small_talk",
            Code::NoLanguage => "no_language",
            Code::Error => "error",
        }
    }
}

/// A document named in the reply, down to the characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// The document's id.
    pub document: String,
    /// Its revision at the time of the reply.
    pub revision: String,
    /// Its title.
    pub title: String,
    /// Its language.
    #[schema(value_type = String)]
    pub lang: Lang,
    /// The cited text: the stored text of that revision at `[start, end)`.
    pub quote: String,
    /// First code point.
    pub start: usize,
    /// One past the last code point.
    pub end: usize,
    /// Whether this is all of the document's text; if not, the reader is shown where the rest is.
    #[serde(default)]
    pub whole: bool,
}

/// A question to tap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Offer {
    /// The document that a tap answers with.
    pub document: String,
    /// Its title, as shown.
    pub title: String,
}

/// A fact that the customer is asked for. A message with a line `<label>: <value>` gives it, and the case reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AskedFact {
    /// Which fact, by its slot in a case: `tx_hash`, `address`, `amount`, …
    pub slot: String,
    /// What it is called, in the reply's language.
    pub label: String,
}

/// Time spent in one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// `guard`, `embed`, `retrieve`, `judge`, `answer`, `case`: parts of the turn, one after the other. `first_sentence`: from
    /// the turn's start until the first sentence of a composed answer, or a danger's card, was out. `whole`: all of the turn.
    pub step: String,
    /// Wall-clock milliseconds.
    pub ms: f64,
}

/// A sentence of a composed answer, checked and sent while the next one is being written; or the card of a plain danger, whole, sent
/// while documents are still searched for the case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sentence {
    /// Its place in the reply, counted from 1.
    pub number: usize,
    /// The sentence with the space before it: the texts one after the other are the answer.
    pub text: String,
    /// What holds it up; null for a fixed sentence of our own.
    pub citation: Option<Citation>,
}

/// Why, in a code, in words and in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// The code.
    pub code: Code,
    /// One sentence for a person, in the reply's language.
    pub text: String,
    /// The judge's features and thresholds by name, and the guard's scores.
    pub features: BTreeMap<String, f64>,
}

/// What the customer gets, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reply {
    /// Answer, offer or handoff.
    pub outcome: Outcome,
    /// How the text was made; null for a plain handoff or offer.
    pub mode: Option<Mode>,
    /// What the customer reads.
    pub text: String,
    /// The language of `text`.
    #[schema(value_type = String)]
    pub lang: Lang,
    /// Calibrated P(the document that the turn would answer from is right), computed before any guard.
    pub confidence: f64,
    /// Where the text comes from.
    pub citations: Vec<Citation>,
    /// Questions to tap.
    pub offers: Vec<Offer>,
    /// The few facts that a danger's card asks for and the customer has not given: fields of a short form.
    #[serde(default)]
    pub asks: Vec<AskedFact>,
    /// The written case of a handoff.
    pub case: Option<Case>,
    /// The ticket's number, once the case is in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The conversation that the turn belongs to.
    pub conversation: String,
    /// Where the time went.
    pub steps: Vec<Step>,
    /// Why.
    pub reason: Reason,
}
