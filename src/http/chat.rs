//! The customer's side: start a conversation, say something, read it back.

use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use jiff::Zoned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinHandle;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    App,
    auth::IsAgent,
    error::{Failure, Problem},
    extract::{Body, BodyOrNone, Client, ConversationId, idempotency_key},
    health,
};
use crate::{
    error::{Error, Result},
    store::{Message, Role, State as Holder, Store},
    turn::{Bot, asked::Choice, phrases::phrase, reply::Reply},
    words::Lang,
};

/// How a conversation starts.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct Start {
    /// The page's language, a tag such as `zh-CN`; used until the customer's words tell.
    lang: Option<String>,
    /// Where it takes place: 1 to 32 of `a-z 0-9 _ -`; `web` when missing.
    channel: Option<String>,
    /// The host application's own id for the customer, so that all that is kept of a customer can be erased: 1 to 128 of
    /// `A-Z a-z 0-9 . _ : -`. Not checked, hence no proof of who it is; no phone number or e-mail address.
    customer: Option<String>,
}

/// A conversation that has started.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Started {
    /// Its id. Whoever knows it may read and write the conversation: keep it as a secret of the customer's.
    #[schema(value_type = String, format = "uuid")]
    id: Uuid,
}

/// Starts a conversation.
#[utoipa::path(post, path = "/v1/conversations", tag = "chat", request_body = Option<Start>, responses(
    (status = 201, description = "Started", body = Started),
    (status = "default", description = "Not as asked", body = Problem),
))]
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Client(client): Client,
    BodyOrNone(start): BodyOrNone<Start>,
) -> Result<(StatusCode, Json<Started>), Failure> {
    app.messages.take(client)?;
    // A language that we do not speak is no fault: the customer's words will tell.
    let lang = start.lang.and_then(|tag| tag.parse::<Lang>().ok());
    let channel = start.channel.unwrap_or_else(|| "web".to_owned());
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if channel.is_empty() || channel.len() > 32 || !channel.chars().all(allowed) {
        return Err(Failure::invalid("the channel: expected 1 to 32 of a-z, 0-9, `_` and `-`"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    if start.customer.as_ref().is_some_and(|id| id.is_empty() || id.len() > 128 || !id.chars().all(allowed)) {
        return Err(Failure::invalid("the customer: expected 1 to 128 of A-Z, a-z, 0-9, `.`, `_`, `:` and `-`"));
    }
    let conversation = app.bot.start(&channel, lang, start.customer).await?;
    Ok((StatusCode::CREATED, Json(Started { id: conversation.id })))
}

/// A message: words, or a tap on something that was offered.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Say {
    /// What the customer says. For a tap it defaults to what the tapped thing shows.
    text: Option<String>,
    /// What was tapped: `{"document": "<id>"}`, `"none"` or `"person"`.
    choice: Option<Tap>,
    /// Idempotency key; the header `Idempotency-Key` does the same.
    key: Option<String>,
}

/// What was tapped.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
enum Tap {
    /// A fixed chip.
    Chip(Chip),
    /// An offered question.
    Document {
        /// The document's id.
        document: String,
    },
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Chip {
    /// "None of these".
    None,
    /// "Talk to a person".
    Person,
}

/// A message that is stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Its place in the conversation, counted from 1.
    message: i64,
    /// Whether the same key had been used before: nothing was added.
    repeated: bool,
}

/// Takes a message in. It is stored when this returns; what follows arrives as events.
#[utoipa::path(post, path = "/v1/conversations/{id}/messages", tag = "chat", request_body = Say,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "The same key adds nothing again")),
    responses(
        (status = 202, description = "Stored; a reply is under way", body = Accepted),
        (status = "default", description = "Not as asked", body = Problem),
    )
)]
pub(super) async fn say(
    State(app): State<Arc<App>>,
    ConversationId(id): ConversationId,
    Client(client): Client,
    headers: HeaderMap,
    Body(said): Body<Say>,
) -> Result<(StatusCode, Json<Accepted>), Failure> {
    app.messages.take(client)?;
    let key = idempotency_key(&headers, said.key)?;
    let choice = said.choice.map(|tap| match tap {
        Tap::Chip(Chip::None) => Choice::NoneOfThese,
        Tap::Chip(Chip::Person) => Choice::Person,
        Tap::Document { document } => Choice::Document(document),
    });
    let text = match (said.text, &choice) {
        (Some(text), _) => text,
        (None, Some(choice)) => text_of(&app.bot, id, choice).await?,
        (None, None) => return Err(Failure::invalid("missing field `text` or `choice`")),
    };
    let received = Instant::now();
    // On a task of its own: a client that hangs up must not stop a message between being stored and being answered.
    let bot = app.bot.clone();
    let said = tokio::spawn(async move { bot.say(id, &text, choice, key).await });
    let accepted = said.await.map_err(|_| Error::Stopped("taking in the message"))??;
    if let Some(turn) = accepted.turn {
        tokio::spawn(measure(turn, received));
    }
    Ok((StatusCode::ACCEPTED, Json(Accepted { message: accepted.message, repeated: accepted.repeated })))
}

/// What a tapped thing shows.
async fn text_of(bot: &Bot, conversation: Uuid, choice: &Choice) -> Result<String> {
    let lang = bot.store().conversation(conversation).await?.lang.unwrap_or(Lang::En);
    match choice {
        Choice::NoneOfThese => Ok(phrase(lang, "offer_none").to_owned()),
        Choice::Person => Ok(phrase(lang, "offer_person").to_owned()),
        Choice::Document(id) => {
            let document = bot.shelf().and_then(|shelf| shelf.document(id, lang, Zoned::now().date()));
            let document = document.ok_or_else(|| Error::NotFound { what: "document", id: id.clone() })?;
            Ok(document.title.as_str().to_owned())
        }
    }
}

/// Counts a turn when it ends.
async fn measure(turn: JoinHandle<Option<Reply>>, received: Instant) {
    match turn.await {
        Ok(Some(reply)) => health::count_turn(&reply, received.elapsed()),
        Ok(None) => health::count_lost("overtaken"),
        Err(error) if error.is_cancelled() => health::count_lost("overtaken"),
        Err(_) => health::count_lost("panicked"),
    }
}

/// A conversation as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct History {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: Uuid,
    /// The customer's language, once it is known.
    #[schema(value_type = Option<String>)]
    lang: Option<Lang>,
    /// Who answers next: `bot`, `person` or `closed`.
    #[schema(value_type = String)]
    state: Holder,
    /// The open ticket's number, if there is one.
    ticket: Option<String>,
    /// The last event that these messages hold: read on with `events?after=`.
    last_event: i64,
    /// What was said, oldest first.
    messages: Vec<Said>,
}

/// One message.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Said {
    /// Its place in the conversation, counted from 1.
    pub message: i64,
    /// `customer`, `bot`, `agent` or `system`.
    #[schema(value_type = String)]
    pub from: Role,
    /// What was said, secrets masked.
    pub text: String,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// The reply behind a bot's message; the case in it is for agents only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Reply>)]
    pub reply: Option<Value>,
    /// The agent's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

impl Said {
    pub fn new(message: Message, for_agent: bool) -> Self {
        let details = message.details;
        let agent = details.as_ref().and_then(|details| details.get("agent")?.as_str().map(str::to_owned));
        Said {
            message: message.seq,
            from: message.role,
            text: message.text.as_str().to_owned(),
            created_ms: message.created_ms,
            reply: details.filter(|_| message.role == Role::Bot).map(|reply| shown(reply, for_agent)),
            agent: agent.filter(|_| message.role == Role::Agent),
        }
    }
}

/// A reply as its reader may see it. The case is written for agents: it holds internal notes and a judgement of the
/// customer's mood.
pub(super) fn shown(mut reply: Value, for_agent: bool) -> Value {
    if let Some(case) = reply.get_mut("case").filter(|_| !for_agent) {
        *case = Value::Null;
    }
    reply
}

/// The conversation so far, for a page that is loaded again.
#[utoipa::path(get, path = "/v1/conversations/{id}/messages", tag = "chat", params(("id" = String, Path)), responses(
    (status = 200, description = "The conversation", body = History),
    (status = "default", description = "Not as asked", body = Problem),
))]
pub(super) async fn history(
    State(app): State<Arc<App>>,
    ConversationId(id): ConversationId,
    IsAgent(for_agent): IsAgent,
) -> Result<Json<History>, Failure> {
    let store = app.bot.store();
    let (messages, last_event) = snapshot(store, id).await?;
    let conversation = store.conversation(id).await?;
    let ticket = store.open_ticket(id).await?.map(|ticket| ticket.number.to_string());
    let messages = messages.into_iter().map(|message| Said::new(message, for_agent)).collect();
    Ok(Json(History { id, lang: conversation.lang, state: conversation.state, ticket, last_event, messages }))
}

/// The messages, and the last event that was there with them. A message and its event are one commit, so where no event
/// came in between the two belong together; after some tries the reader may see a message twice, never miss one.
async fn snapshot(store: &Store, id: Uuid) -> Result<(Vec<Message>, i64)> {
    store.conversation(id).await?;
    let mut last_event = last_of(store, id, 0).await?;
    for _ in 0..5 {
        let messages = store.messages(id, 0).await?;
        let now = last_of(store, id, last_event).await?;
        if now == last_event {
            return Ok((messages, last_event));
        }
        last_event = now;
    }
    let before = last_event;
    Ok((store.messages(id, 0).await?, before))
}

async fn last_of(store: &Store, id: Uuid, after: i64) -> Result<i64> {
    Ok(store.events(id, after).await?.last().map_or(after, |event| event.seq))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tap_is_a_document_or_one_of_two_words() {
        let read = |json: &str| serde_json::from_str::<Say>(json).map(|said| format!("{:?}", said.choice));
        assert_eq!(read(r#"{"choice": "none"}"#).unwrap(), "Some(Chip(None))");
        assert_eq!(read(r#"{"choice": "person"}"#).unwrap(), "Some(Chip(Person))");
        assert_eq!(read(r#"{"choice": {"document": "fees"}}"#).unwrap(), r#"Some(Document { document: "fees" })"#);
        assert!(read(r#"{"choice": "anything"}"#).is_err());
    }

    #[test]
    fn a_case_is_for_agents() {
        let reply = json!({"text": "hello", "case": {"mood": "angry"}});
        assert_eq!(shown(reply.clone(), false), json!({"text": "hello", "case": null}));
        assert_eq!(shown(reply.clone(), true), reply);
    }
}
