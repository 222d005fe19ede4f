//! What the bot does while a person has the conversation: it looks for danger in every message, and says as little as it can.
//!
//! ```text
//! message stored -> guard -+-> danger: its card at once, the case and its ticket raised
//!                          +-> else, once each: a receipt; that it is noted as solved; what became of contact data
//! ```
//! No turn, no search and no model that writes: nobody but a person answers here. Which messages were looked at stands in the
//! case, and what is found is written in the same commit: a process that is killed in between looks again at its next start.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{Timestamp, Zoned};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{kind_of, priority_of};
use crate::{
    error::{self, Result},
    safety::{self, Masked},
    store::{Conversation, Message, NewEvent, NewMessage, Noted, Role, Ticket, TicketFilter, TicketState},
    turn::{
        Bot,
        alarm::Alarm,
        answer,
        case::{Case, why},
        endings::{belongs_to, card_of},
        guard::{
            Guard, Look,
            wordings::{self, Chat},
        },
        phrases::phrase,
        question::Question,
        reply::{Code, Mode, Outcome, Reason, Reply},
    },
    words::{Document, Lang},
};

/// How often the embedder is asked again before the rules alone have to do.
const TRIES: u32 = 4;
/// How long it is left alone after it failed; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);

impl Bot {
    /// Looks at what the customer added since the case was written or last looked at. Gives the last thing that was said.
    pub(super) async fn listen(&self, conversation: &Conversation) -> Result<Option<Reply>> {
        let Some(ticket) = self.store.open_ticket(conversation.id).await? else { return Ok(None) };
        let Ok(case) = Case::deserialize(&ticket.case) else { return Ok(None) };
        let mut last = None;
        for message in self.store.messages(conversation.id, i64::from(case.watched_to)).await? {
            if message.role == Role::Customer {
                last = self.look_at_message(conversation, &ticket, case.read_to, message).await?.or(last);
            }
        }
        Ok(last)
    }

    /// Where a message went that a person has and the bot says nothing to; `None` where no case is open.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn added_to_case(&self, conversation: &Conversation) -> Result<Option<Reply>> {
        let Some(ticket) = self.store.open_ticket(conversation.id).await? else { return Ok(None) };
        let lang = conversation.lang.unwrap_or(Lang::En);
        let number = ticket.number.to_string();
        let code = Case::deserialize(&ticket.case).map_or(Code::Asked, |case| case.code);
        let text = receipt(lang, "receipt", &number);
        Ok(Some(with_person(conversation.id, lang, &number, text, code, BTreeMap::new())))
    }

    /// Conversations of open cases with messages that nobody has looked at: a killed process left them.
    pub(super) async fn unwatched(&self) -> Result<Vec<Uuid>> {
        let mut unwatched = Vec::new();
        for state in [TicketState::Open, TicketState::Taken] {
            let filter = TicketFilter { state: Some(state), limit: Some(u32::MAX), ..TicketFilter::default() };
            for ticket in self.store.tickets(filter).await? {
                let Ok(case) = Case::deserialize(&ticket.case) else { continue };
                // A case of an earlier version does not say what was looked at.
                let from = if case.watched_to > 0 { case.watched_to } else { u32::MAX };
                let added = self.store.messages(ticket.conversation, i64::from(from)).await?;
                if added.iter().any(|message| message.role == Role::Customer) {
                    unwatched.push(ticket.conversation);
                }
            }
        }
        Ok(unwatched)
    }

    async fn look_at_message(
        &self,
        conversation: &Conversation,
        ticket: &Ticket,
        read_to: u32,
        message: Message,
    ) -> Result<Option<Reply>> {
        let question = Question::understand(message.text.clone(), &[], conversation.lang);
        let look = self.look_for_danger(&message.text).await;
        // Where a rule has settled it, nobody has looked for despair.
        let may_hide_despair = look.finding.is_ruled() || look.hints_at_despair();
        let alarm = match self.danger(&message.text, look.finding, may_hide_despair).await {
            Some(danger) => Some(self.alarm(&message.text, danger).await),
            None => None,
        };
        let shelf = self.shelf();
        let card = match &alarm {
            Some(alarm) => Some(card_of(shelf.as_deref(), alarm.card, question.lang, Zoned::now().date())?),
            None => None,
        };
        let is_thanks = matches!(wordings::chat(message.text.as_str()), Some(Chat::Thanks | Chat::Closing));
        let added = Added {
            conversation: conversation.id,
            message: message.seq,
            has_contact: has_contact(&message.text),
            text: message.text,
            read_to,
            lang: question.lang,
            alarm,
            card,
            // Whoever has taken it is there: they answer, and read what is added.
            wants_receipt: ticket.state == TicketState::Open,
            is_thanks,
            number: ticket.number.to_string(),
        };
        let bot = self.clone();
        let belongs = move |document: &str, situation: &str| {
            let day = Zoned::now().date();
            let document = shelf.as_ref().and_then(|shelf| shelf.document(document, question.lang, day));
            document.is_some_and(|document| belongs_to(&document, situation))
        };
        let note = move |json: &mut Value| {
            let mut case = Case::deserialize(&*json).ok()?;
            // A message came in meanwhile, and may have masked this one further: who looks at that one looks at both.
            if case.read_to != added.read_to {
                return None;
            }
            // Looked at already, by whoever ran beside this.
            let message = u32::try_from(added.message).ok().filter(|message| *message > case.watched_to)?;
            case.watched_to = message;
            let was = case.code;
            let reply = added.note(&mut case, &bot, belongs);
            *json = serde_json::to_value(&case).ok()?;
            let reason = (case.code != was).then(|| case.code.as_str().to_owned());
            let (message, events) = match &reply {
                Some(reply) => {
                    told(added.conversation, reply).ok().map(|(message, event)| (Some(message), vec![event]))?
                }
                None => (None, Vec::new()),
            };
            Some((Noted { priority: priority_of(&case), reason, message, events }, reply))
        };
        self.store.note(conversation.id, note).await.map(Option::flatten)
    }

    /// What the guard says of a message; by its rules alone only after the embedder has had time to come back.
    async fn look_for_danger(&self, text: &Masked) -> Look {
        let mut pause = PAUSE;
        for attempt in 1.. {
            match self.danger_in(text).await {
                Ok(look) => return look,
                Err(error) if attempt == TRIES => {
                    tracing::error!("a message to a person was read by rules only: {}", error::chain(&error));
                    break;
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        Guard::rules(text).map_or(Look::NOTHING, Look::ruled)
    }
}

/// A customer's message to a person, and what was found in it.
struct Added {
    conversation: Uuid,
    message: i64,
    text: Masked,
    /// The last message that the case had read when this one was loaded.
    read_to: u32,
    lang: Lang,
    alarm: Option<Alarm>,
    card: Option<Arc<Document>>,
    has_contact: bool,
    wants_receipt: bool,
    is_thanks: bool,
    number: String,
}

impl Added {
    /// Brings the case up to date with what was found; what the customer is told, if anything.
    fn note(&self, case: &mut Case, bot: &Bot, belongs: impl Fn(&str, &str) -> bool) -> Option<Reply> {
        let message = self.message as u32;
        let shown = match (&self.alarm, &self.card) {
            (Some(alarm), Some(card)) => {
                // Asked first: a case that is about it from now on must not look as if it had been before.
                let is_shown = case.has_shown(alarm.card);
                if case.priority > 1 {
                    case.raised_ms = Some(Timestamp::now().as_millisecond());
                }
                let is_raised = case.raise(message, self.text.as_str(), alarm);
                if is_raised {
                    case.keep_suggestion(|document| belongs(document, alarm.situation));
                    case.situate(Some(alarm.situation));
                }
                (!is_shown).then_some((alarm, card, is_raised))
            }
            _ => None,
        };
        let is_solved = case.solved.as_ref().is_some_and(|solved| solved.message == message);
        let contact = self.has_contact && case.tell("contact");
        let (mode, text, citations, asks) = if let Some((alarm, card, is_raised)) = shown {
            case.tell(alarm.card);
            let answered = answer::verbatim(card, None);
            let asks = if is_raised { case.asks(self.lang) } else { Vec::new() };
            (Some(Mode::Card), answered.text, answered.citations, asks)
        } else if is_solved && self.wants_receipt && case.tell("solved") {
            case.tell("receipt");
            (None, self.receipt("receipt_solved"), Vec::new(), Vec::new())
        } else if (self.wants_receipt && !self.is_thanks && case.tell("receipt")) || contact {
            (None, self.receipt("receipt"), Vec::new(), Vec::new())
        } else {
            return None;
        };
        let certain = self.alarm.iter().map(|alarm| (format!("guard_{}", alarm.situation), alarm.probability));
        let (code, features) = (case.code, certain.collect());
        let mut reply = Reply {
            mode,
            citations,
            asks,
            case: mode.is_some().then(|| case.clone()),
            ..with_person(self.conversation, self.lang, &self.number, text, code, features)
        };
        if contact {
            bot.add_contact_note(&mut reply);
        }
        if mode.is_some() {
            bot.add_ticket_line(&mut reply, &self.number);
        }
        Some(reply)
    }

    fn receipt(&self, key: &str) -> String {
        receipt(self.lang, key, &self.number)
    }
}

fn receipt(lang: Lang, key: &str, number: &str) -> String {
    phrase(lang, key).replace("{ticket}", number)
}

/// What is said to a message that a person will answer. `features`: the numbers behind it.
fn with_person(
    conversation: Uuid,
    lang: Lang,
    number: &str,
    text: String,
    code: Code,
    features: BTreeMap<String, f64>,
) -> Reply {
    Reply {
        outcome: Outcome::Handoff,
        mode: None,
        text,
        lang,
        confidence: 0.0,
        citations: Vec::new(),
        offers: Vec::new(),
        asks: Vec::new(),
        case: None,
        ticket: Some(number.to_owned()),
        conversation: conversation.to_string(),
        steps: Vec::new(),
        reason: Reason { code, text: why(lang, code, 0.0, &features), features },
    }
}

impl Bot {
    /// Names the case, and says when people are there.
    pub(super) fn add_ticket_line(&self, reply: &mut Reply, number: &str) {
        let lang = reply.lang;
        reply.text.push_str("\n\n");
        reply.text.push_str(&phrase(lang, "ticket_line").replace("{ticket}", number));
        if let Some(hours) = self.policy.hours.get(&lang).filter(|hours| !hours.is_empty()) {
            reply.text.push_str(&format!(" {hours} {}", phrase(lang, "hours_line")));
        }
    }

    /// Says what became of a number or an address to be reached at: whoever gave one waits for a call.
    pub(super) fn add_contact_note(&self, reply: &mut Reply) {
        let key = if self.store.keeps_contacts() { "contact_kept" } else { "contact_dropped" };
        reply.text.push_str("\n\n");
        reply.text.push_str(phrase(reply.lang, key));
    }
}

/// Whether a phone number or an e-mail address was masked in it.
fn has_contact(text: &Masked) -> bool {
    text.redactions().iter().any(|(kind, _)| matches!(*kind, "phone" | "email"))
}

/// The bot's message and the event that tells of it.
fn told(conversation: Uuid, reply: &Reply) -> serde_json::Result<(NewMessage, NewEvent)> {
    let json = serde_json::to_value(reply)?;
    let text = safety::mask_document(&reply.text);
    let message = NewMessage { conversation, role: Role::Bot, text, details: Some(json.clone()), key: None };
    Ok((message, NewEvent { kind: kind_of(reply.outcome).to_owned(), json }))
}
