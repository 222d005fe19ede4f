//! The agents' side: the queue, a ticket with its case, and what an agent does with it.

use std::sync::Arc;

use axum::{Json, extract::State, http::HeaderMap};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    App,
    chat::Said,
    error::{Failure, Problem},
    extract::{Body, Number, Params, idempotency_key},
};
use crate::{
    desk::queue::{self, Agent},
    safety::contact::Opened,
    store::{Priority, State as Holder, Ticket, TicketFilter, TicketState},
    turn::case::Case,
};

/// Which tickets.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// `open`, `taken` or `closed`; all when missing.
    state: Option<String>,
    /// Only those of this agent.
    agent: Option<String>,
    /// At most so many; 200 when missing, 1000 at most.
    limit: Option<u32>,
}

/// One line of the queue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Line {
    /// The ticket's number, for instance `T-000123`.
    number: String,
    /// The conversation that was handed over.
    #[schema(value_type = String, format = "uuid")]
    conversation: Uuid,
    /// `open`, `taken` or `closed`.
    #[schema(value_type = String)]
    state: TicketState,
    /// `low`, `normal`, `high` or `urgent`.
    #[schema(value_type = String)]
    priority: Priority,
    /// Why it was handed over, as a code.
    reason: String,
    /// Who has taken or closed it.
    agent: Option<String>,
    /// What the customer asks for, in their own words.
    ask: String,
    /// The customer's language.
    lang: String,
    /// The situation, when it is one of danger.
    situation: Option<String>,
    /// When a danger came up while the case waited, Unix milliseconds: from then on it is urgent, not from its beginning.
    raised_ms: Option<i64>,
    /// Whether the customer says that it is solved; the words stand in the case.
    solved: bool,
    /// Unix milliseconds.
    created_ms: i64,
    /// Unix milliseconds of the last change.
    updated_ms: i64,
    /// When an agent first wrote, Unix milliseconds.
    first_reply_ms: Option<i64>,
    /// When it was closed, Unix milliseconds.
    closed_ms: Option<i64>,
}

impl Line {
    pub fn new(ticket: Ticket) -> Self {
        let of_case = |path: &str| ticket.case.pointer(path).and_then(Value::as_str).map(str::to_owned);
        Line {
            ask: of_case("/ask/value").unwrap_or_default(),
            lang: of_case("/lang").unwrap_or_default(),
            situation: of_case("/situation"),
            raised_ms: ticket.case.pointer("/raised_ms").and_then(Value::as_i64),
            solved: ticket.case.pointer("/solved").is_some_and(|solved| !solved.is_null()),
            number: ticket.number.to_string(),
            conversation: ticket.conversation,
            state: ticket.state,
            priority: ticket.priority,
            reason: ticket.reason,
            agent: ticket.agent,
            created_ms: ticket.created_ms,
            updated_ms: ticket.updated_ms,
            first_reply_ms: ticket.first_reply_ms,
            closed_ms: ticket.closed_ms,
        }
    }
}

/// The queue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Queue {
    /// The most urgent first, then the oldest.
    tickets: Vec<Line>,
    /// Cards that the product should write: situations that only a default card answers, by the card's id.
    default_cards: Vec<String>,
}

// No `Debug`: it holds what no log may.
/// How to reach the customer.
#[derive(Serialize, ToSchema)]
pub(super) struct Contact {
    /// Whether contact data is kept at all: `store.contact_key` is set.
    kept: bool,
    /// Something was kept with another key and cannot be read.
    unreadable: bool,
    /// What the customer gave, oldest first.
    items: Vec<ContactItem>,
}

/// A way to reach the customer.
#[derive(Serialize, ToSchema)]
struct ContactItem {
    /// `phone` or `email`.
    kind: &'static str,
    /// As the customer wrote it.
    value: String,
}

impl Contact {
    fn new(opened: &Opened, kept: bool) -> Self {
        let items = match opened {
            Opened::Contacts(contacts) => contacts
                .reveal()
                .map(|(kind, value)| ContactItem { kind: kind.as_str(), value: value.to_owned() })
                .collect(),
            Opened::Nothing | Opened::Unreadable => Vec::new(),
        };
        Contact { kept, unreadable: matches!(opened, Opened::Unreadable), items }
    }
}

/// A ticket with everything an agent needs.
#[derive(Serialize, ToSchema)]
pub(super) struct Whole {
    /// Its line of the queue.
    ticket: Line,
    /// The written case.
    #[schema(value_type = Case)]
    case: Value,
    /// How to reach the customer.
    contact: Contact,
    /// Who answers the conversation next: `bot`, `person` or `closed`.
    #[schema(value_type = String)]
    state: Holder,
    /// The conversation, oldest first.
    messages: Vec<Said>,
}

/// Lists tickets.
#[utoipa::path(get, path = "/v1/desk/tickets", tag = "desk", params(Which), responses(
    (status = 200, description = "The queue", body = Queue),
    (status = "default", description = "Not as asked", body = Problem),
))]
pub(super) async fn tickets(State(app): State<Arc<App>>, Params(which): Params<Which>) -> Result<Json<Queue>, Failure> {
    let state = which.state.as_deref().filter(|state| !state.is_empty()).map(str::parse).transpose()?;
    let limit = which.limit.map(|limit| limit.clamp(1, 1000));
    let tickets =
        app.bot.store().tickets(TicketFilter { state, agent: which.agent, conversation: None, limit }).await?;
    let default_cards = app.bot.shelf().map(|shelf| shelf.default_cards()).unwrap_or_default();
    Ok(Json(Queue { tickets: tickets.into_iter().map(Line::new).collect(), default_cards }))
}

/// One ticket with its case and the conversation.
#[utoipa::path(get, path = "/v1/desk/tickets/{number}", tag = "desk", params(("number" = String, Path)), responses(
    (status = 200, description = "The ticket", body = Whole),
    (status = "default", description = "Not as asked", body = Problem),
))]
pub(super) async fn ticket(State(app): State<Arc<App>>, Number(number): Number) -> Result<Json<Whole>, Failure> {
    let store = app.bot.store();
    let ticket = store.ticket(number).await?;
    let messages = store.messages(ticket.conversation, 0).await?;
    let state = store.conversation(ticket.conversation).await?.state;
    let messages = messages.into_iter().map(|message| Said::new(message, true)).collect();
    let contact = Contact::new(&store.contact(number).await?, !app.settings.store.contact_key.reveal().is_empty());
    let case = ticket.case.clone();
    Ok(Json(Whole { ticket: Line::new(ticket), case, contact, state, messages }))
}

/// Who acts.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Act {
    /// The agent's name, as the customer may read it.
    agent: String,
}

/// An agent's words.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AgentReply)]
pub(super) struct Reply {
    /// The agent's name, as the customer may read it.
    agent: String,
    /// What the customer gets.
    text: String,
    /// Idempotency key; the header `Idempotency-Key` does the same.
    key: Option<String>,
}

/// A reply that is stored and on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sent {
    /// Its place in the conversation, counted from 1.
    message: i64,
    /// Whether the same key had been used before: nothing was sent.
    repeated: bool,
}

/// Takes a ticket.
#[utoipa::path(post, path = "/v1/desk/tickets/{number}/take", tag = "desk", request_body = Act,
    params(("number" = String, Path)), responses(
    (status = 200, description = "Yours", body = Line),
    (status = 409, description = "Somebody else has it, or it is closed", body = Problem),
    (status = "default", description = "Not as asked", body = Problem),
))]
pub(super) async fn take(
    State(app): State<Arc<App>>,
    Number(number): Number,
    Body(act): Body<Act>,
) -> Result<Json<Line>, Failure> {
    let agent = Agent::new(&act.agent)?;
    let ticket = queue::take(app.bot.store(), number, &agent).await.map_err(Failure::of_act)?;
    Ok(Json(Line::new(ticket)))
}

/// Writes to the customer; takes the ticket if nobody has it.
#[utoipa::path(post, path = "/v1/desk/tickets/{number}/reply", tag = "desk", request_body = Reply,
    params(("number" = String, Path), ("Idempotency-Key" = Option<String>, Header)), responses(
    (status = 200, description = "Stored and on its way", body = Sent),
    (status = 409, description = "Somebody else has it, or it is closed", body = Problem),
    (status = "default", description = "Not as asked", body = Problem),
))]
pub(super) async fn reply(
    State(app): State<Arc<App>>,
    Number(number): Number,
    headers: HeaderMap,
    Body(reply): Body<Reply>,
) -> Result<Json<Sent>, Failure> {
    let agent = Agent::new(&reply.agent)?;
    let text = queue::words(&reply.text, app.bot.policy().limit_characters)?;
    let key = idempotency_key(&headers, reply.key)?;
    let sent = queue::reply(app.bot.store(), number, &agent, &text, key).await;
    let (message, repeated) = sent.map_err(Failure::of_act)?;
    Ok(Json(Sent { message: message.seq, repeated }))
}

/// Closes a ticket; the customer's next question starts clean.
#[utoipa::path(post, path = "/v1/desk/tickets/{number}/close", tag = "desk", request_body = Act,
    params(("number" = String, Path)), responses(
    (status = 200, description = "Closed", body = Line),
    (status = "default", description = "Not as asked", body = Problem),
))]
pub(super) async fn close(
    State(app): State<Arc<App>>,
    Number(number): Number,
    Body(act): Body<Act>,
) -> Result<Json<Line>, Failure> {
    let agent = Agent::new(&act.agent)?;
    let ticket = queue::close(app.bot.store(), number, &agent).await.map_err(Failure::of_act)?;
    Ok(Json(Line::new(ticket)))
}

/// Closes a ticket and lets the bot go on where the conversation stands.
#[utoipa::path(post, path = "/v1/desk/tickets/{number}/hand_back", tag = "desk", request_body = Act,
    params(("number" = String, Path)), responses(
    (status = 200, description = "The bot answers again", body = Line),
    (status = "default", description = "Not as asked", body = Problem),
))]
pub(super) async fn hand_back(
    State(app): State<Arc<App>>,
    Number(number): Number,
    Body(act): Body<Act>,
) -> Result<Json<Line>, Failure> {
    let agent = Agent::new(&act.agent)?;
    let ticket = queue::hand_back(app.bot.store(), number, &agent).await.map_err(Failure::of_act)?;
    Ok(Json(Line::new(ticket)))
}
