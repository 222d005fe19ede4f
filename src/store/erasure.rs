//! What is erased on request or by age, and the audit that stays of it: who, when, how much; never what.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Whose data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// All conversations of the customer that the host application knows by this id.
    Customer(String),
    /// One conversation.
    Conversation(Uuid),
}

impl Whose {
    /// Names it in the audit without naming it: the first 16 digits of the id's SHA-256.
    pub(super) fn hashed(&self) -> String {
        let (what, id) = match self {
            Whose::Customer(id) => ("customer", id.clone()),
            Whose::Conversation(id) => ("conversation", id.to_string()),
        };
        format!("{what} sha256:{}", &hex::encode(Sha256::digest(id.as_bytes()))[..16])
    }
}

/// How much there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Erased {
    /// Conversations.
    pub conversations: u64,
    /// Messages in them, with the replies.
    pub messages: u64,
    /// Events of them.
    pub events: u64,
    /// Tickets with their cases.
    pub tickets: u64,
    /// Sealed contact fields.
    pub contacts: u64,
}

impl std::ops::AddAssign for Erased {
    fn add_assign(&mut self, more: Self) {
        self.conversations += more.conversations;
        self.messages += more.messages;
        self.events += more.events;
        self.tickets += more.tickets;
        self.contacts += more.contacts;
    }
}

/// One line of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditLine {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Who did it: a name given on the command line, or `retention`.
    pub who: String,
    /// What was done: `erase`.
    pub act: String,
    /// To what, as a hash of its id, or which rule.
    pub subject: String,
    /// How much.
    pub counts: Erased,
}

/// Masks by day (UTC) and kind, counted in the messages that are kept.
pub type Redactions = BTreeMap<Date, BTreeMap<&'static str, u64>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_does_not_name_whom_it_is_about() {
        let hashed = Whose::Customer("user-4711".into()).hashed();
        assert!(hashed.starts_with("customer sha256:") && hashed.len() == 32 && !hashed.contains("4711"), "{hashed}");
    }
}
