//! What an agent does with a ticket, and the event that tells the customer.

use serde_json::json;

use crate::{
    error::{Error, Result},
    safety::{self, Masked},
    store::{Message, NewEvent, State, Store, Ticket, TicketNumber, TicketState},
    turn::conversation::{CLOSED, mark_closed},
};

/// The text of the event that tells a customer that a person is here.
pub const JOINED: &str = "joined";

/// The text of the event that tells a customer that the bot answers again.
pub const HANDED_BACK: &str = "handed_back";

/// Longest name of an agent, in characters.
const LIMIT_NAME: usize = 64;

/// An agent's name, as the customer may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent(String);

impl Agent {
    /// Trims and checks a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is empty, too long or holds control characters.
    pub fn new(name: &str) -> Result<Self> {
        let name = name.trim();
        let length = name.chars().count();
        if length == 0 || length > LIMIT_NAME || name.chars().any(char::is_control) {
            let expected = format!("1 to {LIMIT_NAME} characters on one line");
            return Err(Error::invalid("the agent's name", format!("{length} characters"), expected));
        }
        Ok(Agent(safety::mask(name).as_str().to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An agent's words, checked and masked: an agent may quote the customer's secret by accident.
///
/// # Errors
/// [`Error::Invalid`] when there is nothing to read or more than `limit_characters`.
pub fn words(text: &str, limit_characters: usize) -> Result<Masked> {
    let length = text.trim().chars().count();
    if length == 0 || length > limit_characters {
        let expected = format!("1 to {limit_characters}");
        return Err(Error::invalid("the reply", format!("{length} characters"), expected));
    }
    // The desk speaks for the company: official phone numbers and addresses stay readable, secrets do not.
    Ok(safety::mask_document(text.trim()))
}

/// Gives the ticket to an agent. The customer reads that a person is here.
///
/// # Errors
/// [`Error::Invalid`] when somebody else has it or it is closed; [`Error::NotFound`]; where the store fails.
pub async fn take(store: &Store, number: TicketNumber, agent: &Agent) -> Result<Ticket> {
    // Taking one's own ticket again tells nobody: the store drops the event then.
    store.take(number, agent.as_str(), vec![told("system", JOINED, agent)]).await
}

/// Sends an agent's words to the customer; takes the ticket if nobody has it. A known `key` sends nothing again.
///
/// # Errors
/// As [`take`].
pub async fn reply(
    store: &Store,
    number: TicketNumber,
    agent: &Agent,
    text: &Masked,
    key: Option<String>,
) -> Result<(Message, bool)> {
    let events = vec![told("agent", text.as_str(), agent)];
    let added = store.reply(number, agent.as_str(), text, key, events).await?;
    Ok((added.message, added.repeated))
}

/// Closes the ticket: the customer's next question starts clean.
///
/// # Errors
/// As [`take`].
pub async fn close(store: &Store, number: TicketNumber, agent: &Agent) -> Result<Ticket> {
    let before = store.ticket(number).await?;
    if before.state == TicketState::Closed {
        return Ok(before);
    }
    // The mark first: should the process die between the two, the ticket is still open and is closed once more.
    mark_closed(store, before.conversation).await?;
    store.close_ticket(number, agent.as_str(), State::Closed, vec![told("system", CLOSED, agent)]).await
}

/// Closes the ticket and lets the bot go on where the conversation stands.
///
/// # Errors
/// As [`take`].
pub async fn hand_back(store: &Store, number: TicketNumber, agent: &Agent) -> Result<Ticket> {
    store.close_ticket(number, agent.as_str(), State::Bot, vec![told("system", HANDED_BACK, agent)]).await
}

fn told(from: &str, text: &str, agent: &Agent) -> NewEvent {
    NewEvent { kind: "message".to_owned(), json: json!({ "from": from, "text": text, "agent": agent.as_str() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_line() {
        assert_eq!(Agent::new("  小林 ").unwrap().as_str(), "小林");
        for name in ["", "  ", "a\nb", &"x".repeat(65)] {
            assert!(Agent::new(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_reply_says_something_and_not_too_much() {
        assert_eq!(words(" 好的 ", 2).unwrap().as_str(), "好的");
        assert!(words(" \n ", 10).is_err());
        assert!(words("three", 4).is_err());
    }
}
