//! The conversation around a turn: take the message in, run the turn, store what it leaves.
//!
//! ```text
//! say -> stored (acknowledged) -> a turn starts at once -> one transaction: message, event, ticket, state
//!                                      +-> an event for each sentence of a composed answer, and a plain danger's card, as it comes
//! ```
//! A message that arrives before the reply to the last one is complete cancels that turn, and the generator with it; both are
//! answered as one question. The sentences of a turn that was cancelled belong to no message; they name the message that
//! they answer, so that a reader can drop them. A message that completes a seed phrase masks the earlier ones further, in
//! the commit that stores it. The store has the last word: a turn that was overtaken writes nothing. Once a person has the conversation,
//! the bot answers nothing in it until the ticket is closed: what the customer adds goes into the case, and danger in it is
//! still noticed (see [`listen`]).

mod listen;

mod remask;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Zoned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{AbortHandle, JoinHandle},
};
use uuid::Uuid;

use super::{
    Bot, Said,
    asked::{Asked, Choice, From, Past, PastReply},
    case::Case,
    phrases::phrase,
    question::Question,
    reply::{Code, Offer, Outcome, Reply},
};
use crate::{
    error::{self, Error, Fault, Result},
    safety::{self, Masked},
    store::{
        Conversation, Message, NewConversation, NewEvent, NewIncoming, NewMessage, NewTicket, NewTurn, Priority, Role,
        State, Store, Wording,
    },
    words::Lang,
};

/// How long a turn that could not be stored waits before it runs again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such wait: short enough that a customer is still there when the disk has room again.
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// A message that was taken in: it is stored, and a turn is under way unless a person has the conversation.
#[derive(Debug)]
pub struct Accepted {
    /// The message's place in the conversation, counted from 1.
    pub message: i64,
    /// Whether the same idempotency key had been used before: nothing was added.
    pub repeated: bool,
    /// The turn that answers it; `None` when no turn runs. Dropping it does not stop the turn. It yields `None` when a
    /// later message overtook it.
    pub turn: Option<JoinHandle<Option<Reply>>>,
    /// Where a person has the conversation: the look for danger and facts in the message. It yields what the bot says to it, `None`
    /// where that is nothing.
    pub heard: Option<JoinHandle<Option<Reply>>>,
}

/// The turns under way, at most one per conversation.
#[derive(Debug)]
pub struct Running {
    limit: usize,
    slots: Arc<Semaphore>,
    turns: Mutex<HashMap<Uuid, AbortHandle>>,
}

impl Running {
    pub(super) fn new(limit: usize) -> Self {
        Running { limit, slots: Arc::new(Semaphore::new(limit)), turns: Mutex::default() }
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit> {
        self.slots
            .clone()
            .try_acquire_owned()
            .map_err(|_| Error::Busy { what: "the queue of turns", limit: self.limit })
    }

    /// Replaces the conversation's turn; the one before it is cancelled.
    fn replace(&self, conversation: Uuid, turn: AbortHandle) {
        let mut turns = self.turns.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        turns.retain(|_, turn| !turn.is_finished());
        if let Some(before) = turns.insert(conversation, turn) {
            before.abort();
        }
    }

    /// Turns that have not ended.
    fn count(&self) -> usize {
        self.limit - self.slots.available_permits()
    }
}

/// What a bot's message remembers of its reply.
#[derive(Serialize, Deserialize)]
struct Remembered {
    outcome: Outcome,
    reason: RememberedReason,
    citations: Vec<RememberedCitation>,
    offers: Vec<Offer>,
}

#[derive(Serialize, Deserialize)]
struct RememberedReason {
    code: Code,
}

#[derive(Serialize, Deserialize)]
struct RememberedCitation {
    document: String,
}

/// The text of the system message that ends a ticket; what came before it is history no more.
pub const CLOSED: &str = "closed";

impl Bot {
    /// Starts a conversation.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn start(&self, channel: &str, lang: Option<Lang>, customer: Option<String>) -> Result<Conversation> {
        self.store.start_conversation(NewConversation { lang, channel: channel.to_owned(), customer }).await
    }

    /// Takes a customer's message in. When this returns, the message is stored; its turn is under way.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a message that breaks a limit, [`Error::Busy`] when too many turns wait (nothing is
    /// stored then), [`Error::NotFound`] for an unknown conversation.
    pub async fn say(
        &self,
        conversation: Uuid,
        text: &str,
        choice: Option<Choice>,
        key: Option<String>,
    ) -> Result<Accepted> {
        let said = Question::check(text, self.policy.limit_characters)?;
        let found = self.store.conversation(conversation).await?;
        let slot = if found.state == State::Person { None } else { Some(self.running.slot()?) };
        if found.state == State::Closed {
            self.store.set_state(conversation, State::Bot).await?;
        }
        let details = choice.map(|choice| json!({ "choice": written(&choice) }));
        let wording = Wording { said: told, replaced: told_again, rewrite: remask::rewrite, heard };
        let added = self.store.add_incoming(NewIncoming { conversation, said, details, key }, wording).await?;
        let (message, repeated) = (added.message.seq, added.repeated);
        let (turn, heard) = match slot {
            _ if repeated => (None, None),
            Some(slot) => (Some(self.begin(conversation, Some(slot))), None),
            // Not refused when all slots are full, and not counted as a turn.
            None => (None, Some(self.begin(conversation, None))),
        };
        Ok(Accepted { message, repeated, turn, heard })
    }

    /// Begins the turns that a killed process left open, and looks at the messages to people that it had not looked at.
    /// Returns how many turns.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn resume(&self) -> Result<usize> {
        let mut conversations: Vec<Uuid> = Vec::new();
        for (conversation, _) in self.store.unanswered().await? {
            if !conversations.contains(&conversation.id) {
                conversations.push(conversation.id);
            }
        }
        let count = conversations.len();
        for conversation in conversations {
            // More than the limit may have been left open by a stop under load: they wait here, not in memory.
            let Ok(slot) = self.running.slots.clone().acquire_owned().await else { break };
            self.begin(conversation, Some(slot));
        }
        for conversation in self.unwatched().await? {
            self.begin(conversation, None);
        }
        Ok(count)
    }

    /// Turns under way.
    pub fn turns_under_way(&self) -> usize {
        self.running.count()
    }

    fn begin(&self, conversation: Uuid, slot: Option<OwnedSemaphorePermit>) -> JoinHandle<Option<Reply>> {
        let bot = self.clone();
        let turn = tokio::spawn(async move {
            let _slot = slot;
            bot.run_until_stored(conversation).await
        });
        self.running.replace(conversation, turn.abort_handle());
        turn
    }

    /// Runs the turn again while its reply cannot be stored: on a full disk the customer waits, and is answered once
    /// there is room. What is still open when the process ends is taken up at the next start.
    async fn run_until_stored(&self, conversation: Uuid) -> Option<Reply> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.run(conversation).await {
                Ok(reply) => return reply,
                Err(error) => error,
            };
            let told = error::chain(&error);
            if error.fault() == Fault::Caller || matches!(error, Error::Stopped(_)) {
                tracing::error!("a turn could not be stored: {told}");
                return None;
            }
            tracing::error!(again_in_s = pause.as_secs(), "a turn could not be stored, it will run again: {told}");
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Runs one turn on what the conversation holds and stores it. Where a person has it, only listens. `None` when it was
    /// overtaken or has nothing to say.
    async fn run(&self, conversation: Uuid) -> Result<Option<Reply>> {
        let found = self.store.conversation(conversation).await?;
        if found.state == State::Person {
            return self.listen(&found).await;
        }
        let messages = self.store.messages(conversation, 0).await?;
        let Some((asked, parts)) = asked(&found, &messages) else { return Ok(None) };
        let last = i64::from(asked.message);
        let step = NewEvent { kind: "step".to_owned(), json: json!({ "step": "reading", "message": last }) };
        self.store.add_events(conversation, vec![step]).await?;
        let mut reply = self.turn_told(conversation, last, asked).await;
        if messages.len() > self.policy.limit_messages && reply.outcome != Outcome::Handoff {
            tracing::info!(messages = messages.len(), "a long conversation");
        }
        if let Some(case) = &mut reply.case {
            case.place(&parts);
        }
        let ticket = self.ticket(conversation, &mut reply).await?;
        let text = safety::mask_document(&reply.text);
        let json = serde_json::to_value(&reply).map_err(Error::outside("writing the reply"))?;
        let written = self
            .store
            .write_turn(NewTurn {
                conversation,
                answers_up_to: last,
                message: Some(NewMessage {
                    conversation,
                    role: Role::Bot,
                    text,
                    details: Some(json.clone()),
                    key: None,
                }),
                events: vec![NewEvent { kind: kind_of(reply.outcome).to_owned(), json }],
                state: ticket.is_some().then_some(State::Person),
                ticket,
                lang: Some(reply.lang),
            })
            .await?;
        if written.overtaken {
            // Perhaps by a handoff that came while the message was on its way: then it is one to a person.
            return self.listen(&found).await;
        }
        Ok(Some(reply))
    }

    /// Runs the turn on the messages up to `last`, and tells the conversation's readers each sentence as it comes.
    async fn turn_told(&self, conversation: Uuid, last: i64, asked: Asked) -> Reply {
        let (listener, mut sentences) = mpsc::unbounded_channel::<Said>();
        let tell = async {
            while let Some(said) = sentences.recv().await {
                let sentence = &said.sentence;
                let json = json!({
                    "message": last, "number": sentence.number, "text": sentence.text, "citation": sentence.citation,
                });
                let event = NewEvent { kind: "sentence".to_owned(), json };
                if let Err(error) = self.store.add_events(conversation, vec![event]).await {
                    // The reply holds it too; a reader must not get the sentences after it without it.
                    tracing::warn!("a sentence could not be told: {}", error::chain(&error));
                    break;
                }
            }
        };
        let (reply, ()) = tokio::join!(self.turn_aloud(asked, listener), tell);
        reply
    }

    /// The ticket of a handoff; its number goes into the reply, so that the customer can name it.
    async fn ticket(&self, conversation: Uuid, reply: &mut Reply) -> Result<Option<NewTicket>> {
        let Some(case) = &mut reply.case else { return Ok(None) };
        let has_contact = case.masked.iter().any(|kind| kind.starts_with("phone: ") || kind.starts_with("email: "));
        let number = self.store.reserve_ticket_number(conversation).await?;
        if has_contact {
            case.tell("contact");
        }
        let case_json = serde_json::to_value(&*case).map_err(Error::outside("writing the case"))?;
        let priority = priority_of(case);
        reply.ticket = Some(number.to_string());
        if has_contact {
            self.add_contact_note(reply);
        }
        self.add_ticket_line(reply, &number.to_string());
        let reason = reply.reason.code.as_str().to_owned();
        Ok(Some(NewTicket { conversation, number: Some(number), priority, reason, case: case_json }))
    }
}

/// The event that tells of a customer's message.
fn told(text: &Masked) -> NewEvent {
    NewEvent { kind: "message".to_owned(), json: json!({ "from": "customer", "text": text }) }
}

/// The event that tells that a message reads otherwise now: a secret was found in it afterwards.
fn told_again(message: i64, from: Role, text: &Masked) -> NewEvent {
    NewEvent { kind: "replaced".to_owned(), json: json!({ "message": message, "from": from, "text": text }) }
}

/// Reads a message into the case that waits for a person. `None` for what is no case of this version.
fn heard(case: &mut serde_json::Value, message: i64, text: &Masked) -> Option<Priority> {
    let mut read = Case::deserialize(&*case).ok()?;
    read.hear(u32::try_from(message).ok()?, text.as_str());
    *case = serde_json::to_value(&read).ok()?;
    Some(priority_of(&read))
}

fn priority_of(case: &Case) -> Priority {
    match case.priority {
        1 => Priority::Urgent,
        2 => Priority::High,
        _ => Priority::Normal,
    }
}

/// A turn's input from what the conversation holds: every customer's message since the last reply is one question.
/// Those messages come with it, each with its place and its length in characters. `None` when there is nothing to answer.
fn asked(conversation: &Conversation, messages: &[Message]) -> Option<(Asked, Vec<(u32, usize)>)> {
    let closed = messages.iter().rposition(|message| message.role == Role::System && message.text.as_str() == CLOSED);
    let messages = &messages[closed.map_or(0, |at| at + 1)..];
    let replied =
        messages.iter().rposition(|message| matches!(message.role, Role::Bot | Role::Agent)).map_or(0, |at| at + 1);
    let (before, open) = messages.split_at(replied);
    let open: Vec<&Message> = open.iter().filter(|message| message.role == Role::Customer).collect();
    let last = open.last()?;
    let text = safety::join(open.iter().map(|message| &message.text), "\n");
    let history = before
        .iter()
        .filter_map(|message| {
            let from = match message.role {
                Role::Customer => From::Customer,
                Role::Bot => From::Bot,
                Role::Agent => From::Agent,
                Role::System => return None,
            };
            let reply = message.details.as_ref().filter(|_| from == From::Bot).and_then(remembered);
            Some(Past { message: message.seq as u32, from, text: message.text.clone(), reply })
        })
        .collect::<Vec<_>>();
    let choice = read_choice(last).or_else(|| typed_choice(&text, &history));
    let asked = Asked {
        conversation: conversation.id.to_string(),
        message: last.seq as u32,
        text,
        choice,
        history,
        lang: conversation.lang,
        day: Zoned::now().date(),
    };
    let parts = open.iter().map(|message| (message.seq as u32, message.text.as_str().chars().count())).collect();
    Some((asked, parts))
}

fn remembered(details: &serde_json::Value) -> Option<PastReply> {
    let reply = Remembered::deserialize(details).ok()?;
    Some(PastReply {
        outcome: reply.outcome,
        code: reply.reason.code,
        documents: reply.citations.into_iter().map(|citation| citation.document).collect(),
        offers: reply.offers,
    })
}

fn written(choice: &Choice) -> serde_json::Value {
    match choice {
        Choice::Document(id) => json!({ "document": id }),
        Choice::NoneOfThese => json!("none"),
        Choice::Person => json!("person"),
    }
}

/// The tap that a message was, if it was one.
pub fn read_choice(message: &Message) -> Option<Choice> {
    let choice = message.details.as_ref()?.get("choice")?;
    match choice.as_str() {
        Some("none") => Some(Choice::NoneOfThese),
        Some("person") => Some(Choice::Person),
        _ => choice.get("document").and_then(|id| id.as_str()).map(|id| Choice::Document(id.to_owned())),
    }
}

/// An answer to an offer in words: its number, its title, or "none of these".
fn typed_choice(text: &Masked, history: &[Past]) -> Option<Choice> {
    let offers = &history
        .last()?
        .reply
        .as_ref()
        .filter(|reply| reply.outcome == Outcome::Offer && !reply.offers.is_empty())?
        .offers;
    let text = text.as_str().trim().trim_end_matches(['.', '。', '!', '！']);
    for lang in Lang::ALL {
        if text.eq_ignore_ascii_case(phrase(lang, "offer_none").trim_end_matches(['.', '。'])) {
            return Some(Choice::NoneOfThese);
        }
    }
    let by_number = text.parse::<usize>().ok().and_then(|number| offers.get(number.checked_sub(1)?));
    let by_title = offers.iter().find(|offer| offer.title.eq_ignore_ascii_case(text));
    by_number.or(by_title).map(|offer| Choice::Document(offer.document.clone()))
}

/// The name of the event that carries a reply.
fn kind_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answer => "answer",
        Outcome::Offer => "offer",
        Outcome::Handoff => "handoff",
    }
}

/// Closes a ticket's conversation for the desk: a clean start for the customer's next question.
///
/// # Errors
/// Where the store fails.
pub async fn mark_closed(store: &Store, conversation: Uuid) -> Result<()> {
    let new = NewMessage { conversation, role: Role::System, text: safety::mask(CLOSED), details: None, key: None };
    store.add_message(new, Vec::new()).await.map(|_| ())
}
