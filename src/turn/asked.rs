//! What a turn starts from: the question, and what was said before it.

use jiff::civil::Date;

use super::reply::{Code, Offer, Outcome};
use crate::{safety::Masked, words::Lang};

/// Who said an earlier message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The customer.
    Customer,
    /// Deskhand.
    Bot,
    /// A person at the desk.
    Agent,
}

/// An earlier message of the conversation.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its place in the conversation, counted from 1.
    pub message: u32,
    /// Who said it.
    pub from: From,
    /// What was said.
    pub text: Masked,
    /// The reply behind a bot's message.
    pub reply: Option<PastReply>,
}

/// What is remembered of an earlier reply.
#[derive(Debug, Clone)]
pub struct PastReply {
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub code: Code,
    /// The documents it cited.
    pub documents: Vec<String>,
    /// What it offered.
    pub offers: Vec<Offer>,
}

/// A tap on something that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This document's question.
    Document(String),
    /// None of those offered.
    NoneOfThese,
    /// A person, please.
    Person,
}

/// One turn's input.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Names the conversation in the reply.
    pub conversation: String,
    /// The question's place in the conversation, counted from 1.
    pub message: u32,
    /// The customer's words, masked and checked by `Question::check`.
    pub text: Masked,
    /// What was tapped, if it was a tap.
    pub choice: Option<Choice>,
    /// What was said before, oldest first.
    pub history: Vec<Past>,
    /// The conversation's language, when it is known.
    pub lang: Option<Lang>,
    /// Today, for documents that hold for a time.
    pub day: Date,
}
