//! What a conversation is made of: its messages, the events that a reader can resume from, and one whole turn.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ticket::{NewTicket, Priority, Ticket};
use crate::{
    error::{Error, Result},
    safety::{
        Masked,
        incoming::{Incoming, Remasked},
    },
    words::Lang,
};

/// Who answers the next message of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The bot.
    Bot,
    /// A person; the bot keeps silent.
    Person,
    /// Nobody: it is over.
    Closed,
}

impl State {
    /// The lowercase word, as stored and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Bot => "bot",
            State::Person => "person",
            State::Closed => "closed",
        }
    }
}

impl std::str::FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [State::Bot, State::Person, State::Closed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::invalid("the conversation's state", format!("`{text}`"), "bot, person or closed"))
    }
}

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The customer.
    Customer,
    /// The bot.
    Bot,
    /// A person at the desk.
    Agent,
    /// The program itself: "Ann has joined".
    System,
}

impl Role {
    /// The lowercase word, as stored and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Customer => "customer",
            Role::Bot => "bot",
            Role::Agent => "agent",
            Role::System => "system",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Role::Customer, Role::Bot, Role::Agent, Role::System]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| Error::invalid("the role", format!("`{text}`"), "customer, bot, agent or system"))
    }
}

/// A conversation about to start.
#[derive(Debug, Clone, Default)]
pub struct NewConversation {
    /// The customer's language, when it is known already.
    pub lang: Option<Lang>,
    /// Where it takes place, for instance `web` or `ask`.
    pub channel: String,
    /// The host application's own id for the customer.
    pub customer: Option<String>,
}

/// The turns of one customer, on any channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conversation {
    /// UUID version 7: sorts by time.
    pub id: Uuid,
    /// The customer's language, once it is known.
    pub lang: Option<Lang>,
    /// Where it takes place.
    pub channel: String,
    /// The host application's own id for the customer.
    pub customer: Option<String>,
    /// Who answers next.
    pub state: State,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Unix milliseconds of the last message or change of state.
    pub updated_ms: i64,
}

/// A message about to be stored.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Where it belongs.
    pub conversation: Uuid,
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub text: Masked,
    /// The reply's JSON for a bot's message, or whatever belongs to it. Made from masked text by the caller.
    pub details: Option<serde_json::Value>,
    /// Idempotency key, unique within the conversation: the same key gives the same message back.
    pub key: Option<String>,
}

/// A customer's message about to be stored.
#[derive(Debug, Clone)]
pub struct NewIncoming {
    /// Where it belongs.
    pub conversation: Uuid,
    /// What came in.
    pub said: Incoming,
    /// Whatever belongs to it, without words of the customer's.
    pub details: Option<serde_json::Value>,
    /// Idempotency key, unique within the conversation.
    pub key: Option<String>,
}

/// How the conversation's owner writes what the store keeps but does not understand. Used inside a commit.
#[derive(Debug, Clone, Copy)]
pub struct Wording {
    /// The event that tells readers of a customer's message.
    pub said: fn(&Masked) -> NewEvent,
    /// The event that tells readers that message number so, of this role, reads otherwise now.
    pub replaced: fn(i64, Role, &Masked) -> NewEvent,
    /// Brings JSON that was made from earlier messages (by number) up to date; whether anything changed.
    pub rewrite: fn(&mut serde_json::Value, &BTreeMap<i64, Remasked>) -> bool,
    /// Reads the message of this number into the case of the open ticket; how soon a person must look now. `None` leaves
    /// the ticket as it is.
    pub heard: fn(&mut serde_json::Value, i64, &Masked) -> Option<Priority>,
}

/// What is written beside a case that was changed inside a commit.
#[derive(Debug, Clone)]
pub struct Noted {
    /// How soon a person must look now; a ticket's priority is never lowered.
    pub priority: Priority,
    /// Why a person has it, as a code; `None` leaves it as it is.
    pub reason: Option<String>,
    /// What the customer gets from the bot beside the person.
    pub message: Option<NewMessage>,
    /// What readers of the conversation are told, in order.
    pub events: Vec<NewEvent>,
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// UUID version 7.
    pub id: Uuid,
    /// Where it belongs.
    pub conversation: Uuid,
    /// 1, 2, 3 … without gaps within the conversation.
    pub seq: i64,
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub text: Masked,
    /// The reply's JSON for a bot's message.
    pub details: Option<serde_json::Value>,
    /// Idempotency key, if one was given.
    pub key: Option<String>,
    /// Unix milliseconds.
    pub created_ms: i64,
}

/// What became of a message that was to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// The stored message: the earlier one if its key was known.
    pub message: Message,
    /// Its key was known: nothing new was stored, and no new turn is due.
    pub repeated: bool,
}

/// An event about to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// For instance `step`, `answer`, `handoff`.
    pub kind: String,
    /// What it carries.
    pub json: serde_json::Value,
}

/// Something that a reader of the conversation is told, in order, even after being away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Where it belongs.
    pub conversation: Uuid,
    /// 1, 2, 3 … within the conversation. Never given twice, even after pruning.
    pub seq: i64,
    /// For instance `step`, `answer`, `handoff`.
    pub kind: String,
    /// What it carries.
    pub json: serde_json::Value,
    /// Unix milliseconds.
    pub created_ms: i64,
}

/// Everything that one finished turn leaves behind; stored whole or not at all.
#[derive(Debug, Clone)]
pub struct NewTurn {
    /// Where it belongs.
    pub conversation: Uuid,
    /// Every customer's message up to this number counts as answered.
    pub answers_up_to: i64,
    /// What the customer gets. Its `conversation` must be the turn's; its key, if any, must be new.
    pub message: Option<NewMessage>,
    /// What readers of the conversation are told, in order.
    pub events: Vec<NewEvent>,
    /// The handoff, if there was one. Its `conversation` must be the turn's.
    pub ticket: Option<NewTicket>,
    /// Who answers next; `None` leaves it as it is.
    pub state: Option<State>,
    /// The language that the turn found; `None` leaves it as it is.
    pub lang: Option<Lang>,
}

/// A turn as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnWritten {
    /// A later message of the customer, a person, or another reply came first: nothing was written.
    pub overtaken: bool,
    /// The bot's message.
    pub message: Option<Message>,
    /// The events with their numbers.
    pub events: Vec<Event>,
    /// The ticket: a new one, or the conversation's open one with the new case.
    pub ticket: Option<Ticket>,
}
