//! What a ticket is: a case in the queue, its number, its priority and who has taken it.

use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use crate::error::{Error, Result};

/// A ticket's number as people say it: `T-000123`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketNumber(pub(super) i64);

impl std::fmt::Display for TicketNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "T-{:06}", self.0)
    }
}

impl std::str::FromStr for TicketNumber {
    type Err = Error;

    /// Reads `T-000123`, `t-123` or `123`.
    fn from_str(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let digits = trimmed.strip_prefix(['T', 't']).map_or(trimmed, |rest| rest.strip_prefix('-').unwrap_or(rest));
        match digits.parse::<i64>() {
            Ok(number) if number > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(TicketNumber(number)),
            _ => Err(Error::invalid("the ticket's number", format!("`{text}`"), "a number such as T-000123")),
        }
    }
}

impl Serialize for TicketNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How soon a person must look. Ordered: `Urgent` is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// When there is time.
    Low,
    /// In turn.
    #[default]
    Normal,
    /// Before the others.
    High,
    /// Now: money is leaving, a key has leaked.
    Urgent,
}

impl Priority {
    /// All of them, lowest first.
    pub const ALL: [Priority; 4] = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];

    /// The lowercase word, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Low => "low",
            Priority::Normal => "normal",
            Priority::High => "high",
            Priority::Urgent => "urgent",
        }
    }
}

/// How far a ticket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TicketState {
    /// Nobody has it.
    Open,
    /// An agent has it.
    Taken,
    /// Done.
    Closed,
}

impl TicketState {
    /// The lowercase word, as stored and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            TicketState::Open => "open",
            TicketState::Taken => "taken",
            TicketState::Closed => "closed",
        }
    }
}

impl std::str::FromStr for TicketState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [TicketState::Open, TicketState::Taken, TicketState::Closed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::invalid("the ticket's state", format!("`{text}`"), "open, taken or closed"))
    }
}

/// A handoff about to be queued.
#[derive(Debug, Clone)]
pub struct NewTicket {
    /// The conversation that is handed over.
    pub conversation: Uuid,
    /// A number got beforehand, because the reply names it; `None` takes the next one.
    pub number: Option<TicketNumber>,
    /// How soon a person must look.
    pub priority: Priority,
    /// Why, as a code such as `asked`.
    pub reason: String,
    /// The case. Made from masked text by the caller.
    pub case: serde_json::Value,
}

/// A case in the queue. A conversation has at most one that is not closed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ticket {
    /// Its number as people say it.
    pub number: TicketNumber,
    /// The conversation that was handed over.
    pub conversation: Uuid,
    /// How far it is.
    pub state: TicketState,
    /// How soon a person must look.
    pub priority: Priority,
    /// Why, as a code.
    pub reason: String,
    /// Who has taken it, or closed it.
    pub agent: Option<String>,
    /// The case.
    pub case: serde_json::Value,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Unix milliseconds of the last change.
    pub updated_ms: i64,
    /// When an agent first wrote to the customer, Unix milliseconds.
    pub first_reply_ms: Option<i64>,
    /// When it was closed, Unix milliseconds.
    pub closed_ms: Option<i64>,
}

/// Which tickets to list; every `None` lets all pass.
#[derive(Debug, Clone, Default)]
pub struct TicketFilter {
    /// Only these.
    pub state: Option<TicketState>,
    /// Only those of this agent.
    pub agent: Option<String>,
    /// Only those of this conversation.
    pub conversation: Option<Uuid>,
    /// At most so many; `None` means 200.
    pub limit: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reads_as_it_prints() {
        for (text, expect) in [("T-000123", "T-000123"), ("t-7", "T-000007"), ("1234567", "T-1234567")] {
            assert_eq!(text.parse::<TicketNumber>().unwrap().to_string(), expect);
        }
        for text in ["", "T-", "T-0", "-5", "T-+5", "T-99999999999999999999", "abc"] {
            assert!(text.parse::<TicketNumber>().is_err(), "{text}");
        }
    }
}
