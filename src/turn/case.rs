//! The written case of a handoff: typed fields, each pointing at the message and the characters it came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    asked::Past,
    reply::{Code, Offer},
};
use crate::{
    safety::Masked,
    words::{Lang, Span},
};

/// A fact, and where the customer said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fact {
    /// What sort of fact: `tx_hash`, `address`, `amount`, `order`, `network`, `token`, `error_code`, `app_version`,
    /// `device`, `time`, `bank`, `product`.
    pub slot: String,
    /// The words as the customer wrote them: the message's text at `span`.
    pub value: String,
    /// Which message, by its place in the conversation, counted from 1.
    pub message: u32,
    /// Where in that message.
    #[schema(value_type = Object)]
    pub span: Span,
}

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
    pub lang: Lang,
    /// What the customer asks for, in their own words.
    pub ask: Fact,
    /// Why the bot handed over.
    pub code: Code,
    /// The same in one sentence for the agent, with the numbers.
    pub why: String,
    /// The situation, when it is one of danger, for instance `theft`.
    pub situation: Option<String>,
    /// 1 = at once (danger), 2 = soon (account, dispute, anger), 3 = normal.
    pub priority: u8,
    /// `calm`, `worried` or `angry`.
    pub mood: String,
    /// Facts that the customer gave.
    pub facts: Vec<Fact>,
    /// Sentences in which the customer says what they tried already.
    pub tried: Vec<Fact>,
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
    /// The whole case as text in the agent's language, rendered from the fields above.
    pub text: String,
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
