//! Conversations with their messages and events, and whole turns.

use std::{collections::HashMap, sync::Arc};

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Sqlite, documents::masked, failure::Failure, json_or_none, now_ms, tickets::put_ticket, word};
use crate::{
    error::{Error, Result},
    safety::contact::ContactKey,
    store::{
        Added, Conversation, Event, Message, NewConversation, NewEvent, NewMessage, NewTurn, Role, State, TurnWritten,
    },
    words::Lang,
};

impl Sqlite {
    pub(in crate::store) async fn start_conversation(&self, new: NewConversation) -> Result<Conversation> {
        let now_ms = now_ms();
        let conversation = Conversation {
            id: Uuid::now_v7(),
            lang: new.lang,
            channel: new.channel,
            customer: new.customer,
            state: State::Bot,
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        self.write("starting a conversation in", Some(conversation.id), move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO conversations (id, lang, channel, customer, state, created_ms, updated_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
                )
                .bind(conversation.id.to_string())
                .bind(conversation.lang.map(Lang::as_str))
                .bind(&conversation.channel)
                .bind(&conversation.customer)
                .bind(conversation.state.as_str())
                .bind(conversation.created_ms)
                .execute(connection)
                .await?;
                Ok(conversation)
            })
        })
        .await
    }

    pub(in crate::store) async fn conversation(&self, id: Uuid) -> Result<Conversation> {
        let act = "reading a conversation from";
        get_conversation(&mut *self.reader(act).await?, id).await.map_err(self.failed(act))
    }

    pub(in crate::store) async fn conversations(&self, limit: u32) -> Result<Vec<Conversation>> {
        let act = "reading conversations from";
        let mut reader = self.reader(act).await?;
        let rows = sqlx::query("SELECT * FROM conversations ORDER BY updated_ms DESC, id DESC LIMIT ?1")
            .bind(limit)
            .fetch_all(&mut *reader)
            .await
            .map_err(self.failed(act))?;
        rows.iter().map(conversation).collect::<Result<_, Failure>>().map_err(self.failed(act))
    }

    pub(in crate::store) async fn set_state(&self, id: Uuid, state: State) -> Result<()> {
        self.write("changing a conversation in", Some(id), move |connection| Box::pin(put_state(connection, id, state)))
            .await
    }

    pub(in crate::store) async fn set_lang(&self, id: Uuid, lang: Lang) -> Result<()> {
        self.write("changing a conversation in", Some(id), move |connection| Box::pin(put_lang(connection, id, lang)))
            .await
    }

    pub(in crate::store) async fn add_message(&self, new: NewMessage, events: Vec<NewEvent>) -> Result<Added> {
        self.write("adding a message to", Some(new.conversation), move |connection| {
            Box::pin(put_message(connection, new, events))
        })
        .await
    }

    pub(in crate::store) async fn messages(&self, conversation: Uuid, after_seq: i64) -> Result<Vec<Message>> {
        let act = "reading messages from";
        let mut reader = self.reader(act).await?;
        let rows = sqlx::query("SELECT * FROM messages WHERE conversation = ?1 AND seq > ?2 ORDER BY seq")
            .bind(conversation.to_string())
            .bind(after_seq)
            .fetch_all(&mut *reader)
            .await
            .map_err(self.failed(act))?;
        rows.iter().map(message).collect::<Result<_, Failure>>().map_err(self.failed(act))
    }

    pub(in crate::store) async fn add_events(&self, conversation: Uuid, events: Vec<NewEvent>) -> Result<Vec<Event>> {
        self.write("adding events to", Some(conversation), move |connection| {
            Box::pin(put_events(connection, conversation, events))
        })
        .await
    }

    pub(in crate::store) async fn events(&self, conversation: Uuid, after_seq: i64) -> Result<Vec<Event>> {
        let act = "reading events from";
        let mut reader = self.reader(act).await?;
        let rows = sqlx::query("SELECT * FROM events WHERE conversation = ?1 AND seq > ?2 ORDER BY seq")
            .bind(conversation.to_string())
            .bind(after_seq)
            .fetch_all(&mut *reader)
            .await
            .map_err(self.failed(act))?;
        rows.iter().map(event).collect::<Result<_, Failure>>().map_err(self.failed(act))
    }

    pub(in crate::store) async fn prune_events(&self, before_ms: i64) -> Result<u64> {
        self.write("pruning events in", None, move |connection| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM events WHERE created_ms < ?1").bind(before_ms).execute(connection);
                Ok(done.await?.rows_affected())
            })
        })
        .await
    }

    pub(in crate::store) async fn unanswered(&self) -> Result<Vec<(Conversation, Message)>> {
        let act = "reading unanswered messages from";
        let mut reader = self.reader(act).await?;
        let rows = sqlx::query(
            "SELECT messages.* FROM messages JOIN conversations ON conversations.id = messages.conversation
             WHERE messages.answered = 0 AND conversations.state = 'bot'
             ORDER BY messages.created_ms, messages.conversation, messages.seq",
        )
        .fetch_all(&mut *reader)
        .await
        .map_err(self.failed(act))?;
        let messages: Vec<Message> = rows.iter().map(message).collect::<Result<_, _>>().map_err(self.failed(act))?;
        let rows = sqlx::query(
            "SELECT * FROM conversations
             WHERE state = 'bot' AND id IN (SELECT conversation FROM messages WHERE answered = 0)",
        )
        .fetch_all(&mut *reader)
        .await
        .map_err(self.failed(act))?;
        let mut conversations = HashMap::with_capacity(rows.len());
        for row in &rows {
            let conversation = conversation(row).map_err(self.failed(act))?;
            conversations.insert(conversation.id, conversation);
        }
        // One that is gone from the second list was answered or handed over between the two.
        let with_conversation = |message: Message| Some((conversations.get(&message.conversation)?.clone(), message));
        Ok(messages.into_iter().filter_map(with_conversation).collect())
    }

    pub(in crate::store) async fn write_turn(&self, turn: NewTurn) -> Result<TurnWritten> {
        let id = turn.conversation;
        let strays =
            [turn.message.as_ref().map(|new| new.conversation), turn.ticket.as_ref().map(|new| new.conversation)];
        if let Some(stray) = strays.into_iter().flatten().find(|stray| *stray != id) {
            return Err(Error::invalid(
                "a turn's parts",
                format!("conversation {stray}"),
                format!("conversation {id}"),
            ));
        }
        let key = self.contact_key.clone();
        self.write("writing a turn to", Some(id), move |connection| Box::pin(put_turn(connection, turn, key))).await
    }
}

// The statements below are few and hold several steps each, because each one is a trip to SQLite's thread and back.
// They name their values `$1`: sqlx counts `?1` wrongly across the parts of one query.

/// Adds the events `$8` (JSON list of `kind` and `json`, both text) under the numbers from `$9` on.
macro_rules! insert_events {
    () => {
        "INSERT INTO events (conversation, seq, kind, json, created_ms)
         SELECT $1, $9 + key, value ->> 'kind', value ->> 'json', $2 FROM json_each($8);"
    };
}

/// Adds the message `$3` … `$7`, `$10` and `$11` to conversation `$1` at the time `$2`.
macro_rules! insert_message {
    () => {
        "INSERT INTO messages (id, conversation, seq, role, text, details, key, answered, created_ms)
         VALUES ($3, $1, $4, $5, $6, $7, $10, $11, $2);"
    };
}

async fn put_turn(
    connection: &mut SqliteConnection,
    turn: NewTurn,
    key: Option<Arc<ContactKey>>,
) -> Result<TurnWritten, Failure> {
    let (id, created_ms) = (turn.conversation, now_ms());
    let row = sqlx::query(
        "UPDATE conversations
         SET messages = messages + $2, events = events + $3, updated_ms = $4,
             lang = coalesce($5, lang), state = coalesce($6, state)
         WHERE id = $1 AND state <> 'person'
           AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation = $1 AND seq > $7 AND role = 'customer')
           AND EXISTS (SELECT 1 FROM messages WHERE conversation = $1 AND seq <= $7 AND role = 'customer' AND answered = 0)
         RETURNING messages, events, state",
    )
    .bind(id.to_string())
    .bind(i64::from(turn.message.is_some()))
    .bind(turn.events.len() as i64)
    .bind(created_ms)
    .bind(turn.lang.map(Lang::as_str))
    .bind(turn.state.map(State::as_str))
    .bind(turn.answers_up_to)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else {
        get_conversation(connection, id).await?;
        return Ok(TurnWritten { overtaken: true, message: None, events: Vec::new(), ticket: None });
    };
    let state: State = word(&row, "state")?;
    let message = turn.message.map(|new| numbered(new, row.try_get("messages"), created_ms)).transpose()?;
    let events = numbered_events(turn.events, id, row.try_get("events")?, created_ms);
    // What the bot left unanswered is now answered, or a person's, or nobody's.
    let answered_up_to = if state == State::Bot { turn.answers_up_to } else { i64::MAX };
    insert(connection, id, created_ms, message.as_ref().map(|message| (message, true)), &events, answered_up_to)
        .await?;
    let ticket = match turn.ticket {
        Some(new) => Some(put_ticket(connection, new, key.as_deref()).await?),
        None => None,
    };
    Ok(TurnWritten { overtaken: false, message, events, ticket })
}

/// Adds a message and its events under the next numbers, or finds the message that has its key.
pub(super) async fn put_message(
    connection: &mut SqliteConnection,
    new: NewMessage,
    events: Vec<NewEvent>,
) -> Result<Added, Failure> {
    let (id, created_ms) = (new.conversation, now_ms());
    let row = sqlx::query(
        "UPDATE conversations SET messages = messages + 1, events = events + $3, updated_ms = $4
         WHERE id = $1
           AND ($2 IS NULL OR NOT EXISTS (SELECT 1 FROM messages WHERE messages.conversation = $1 AND messages.key = $2))
         RETURNING messages, events, state",
    )
    .bind(id.to_string())
    .bind(&new.key)
    .bind(events.len() as i64)
    .bind(created_ms)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else {
        let row = sqlx::query("SELECT * FROM messages WHERE conversation = $1 AND key = $2")
            .bind(id.to_string())
            .bind(&new.key)
            .fetch_optional(connection)
            .await?;
        let earlier = row.ok_or_else(|| no_conversation(id))?;
        return Ok(Added { message: message(&earlier)?, repeated: true });
    };
    let bot_owes_reply = new.role == Role::Customer && word::<State>(&row, "state")? == State::Bot;
    let message = numbered(new, row.try_get("messages"), created_ms)?;
    let events = numbered_events(events, id, row.try_get("events")?, created_ms);
    insert(connection, id, created_ms, Some((&message, !bot_owes_reply)), &events, 0).await?;
    Ok(Added { message, repeated: false })
}

/// Adds events under the next numbers.
pub(super) async fn put_events(
    connection: &mut SqliteConnection,
    id: Uuid,
    events: Vec<NewEvent>,
) -> Result<Vec<Event>, Failure> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let created_ms = now_ms();
    let row = sqlx::query("UPDATE conversations SET events = events + $2 WHERE id = $1 RETURNING events")
        .bind(id.to_string())
        .bind(events.len() as i64)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or_else(|| no_conversation(id))?;
    let events = numbered_events(events, id, row.try_get(0)?, created_ms);
    insert(connection, id, created_ms, None, &events, 0).await?;
    Ok(events)
}

fn numbered(new: NewMessage, seq: Result<i64, sqlx::Error>, created_ms: i64) -> Result<Message, Failure> {
    let NewMessage { conversation, role, text, details, key } = new;
    Ok(Message { id: Uuid::now_v7(), conversation, seq: seq?, role, text, details, key, created_ms })
}

/// `last` is the number of the last of them.
fn numbered_events(events: Vec<NewEvent>, conversation: Uuid, last: i64, created_ms: i64) -> Vec<Event> {
    let first = last - events.len() as i64 + 1;
    let numbered = (first..).zip(events);
    numbered.map(|(seq, NewEvent { kind, json })| Event { conversation, seq, kind, json, created_ms }).collect()
}

/// Stores a message (with whether it is answered) and events that have their numbers, and marks what is answered.
async fn insert(
    connection: &mut SqliteConnection,
    id: Uuid,
    created_ms: i64,
    message: Option<(&Message, bool)>,
    events: &[Event],
    answered_up_to: i64,
) -> Result<(), Failure> {
    let mut list = Vec::with_capacity(events.len());
    for event in events {
        list.push(serde_json::json!({ "kind": event.kind, "json": event.json.to_string() }));
    }
    let sql = match message {
        Some(_) => concat!(
            "UPDATE messages SET answered = 1 WHERE conversation = $1 AND seq <= $12 AND answered = 0;",
            insert_message!(),
            insert_events!()
        ),
        None => concat!(
            "UPDATE messages SET answered = 1 WHERE conversation = $1 AND seq <= $12 AND answered = 0;",
            insert_events!()
        ),
    };
    let (message, answered) = message.unzip();
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(created_ms)
        .bind(message.map(|message| message.id.to_string()))
        .bind(message.map(|message| message.seq))
        .bind(message.map(|message| message.role.as_str()))
        .bind(message.map(|message| message.text.as_str()))
        .bind(message.and_then(|message| message.details.as_ref()).map(serde_json::Value::to_string))
        .bind(serde_json::Value::from(list).to_string())
        .bind(events.first().map_or(0, |event| event.seq))
        .bind(message.and_then(|message| message.key.as_deref()))
        .bind(answered)
        .bind(answered_up_to)
        .execute(connection)
        .await?;
    Ok(())
}

/// Says who answers next. What the bot left unanswered is now a person's, or nobody's.
pub(super) async fn put_state(connection: &mut SqliteConnection, id: Uuid, state: State) -> Result<(), Failure> {
    let changed = sqlx::query("UPDATE conversations SET state = ?2, updated_ms = ?3 WHERE id = ?1")
        .bind(id.to_string())
        .bind(state.as_str())
        .bind(now_ms())
        .execute(&mut *connection)
        .await?;
    if changed.rows_affected() == 0 {
        return Err(no_conversation(id).into());
    }
    if state != State::Bot {
        sqlx::query("UPDATE messages SET answered = 1 WHERE conversation = ?1 AND answered = 0")
            .bind(id.to_string())
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn put_lang(connection: &mut SqliteConnection, id: Uuid, lang: Lang) -> Result<(), Failure> {
    let changed = sqlx::query("UPDATE conversations SET lang = ?2 WHERE id = ?1")
        .bind(id.to_string())
        .bind(lang.as_str())
        .execute(connection)
        .await?;
    if changed.rows_affected() == 0 { Err(no_conversation(id).into()) } else { Ok(()) }
}

pub(super) async fn get_conversation(connection: &mut SqliteConnection, id: Uuid) -> Result<Conversation, Failure> {
    let row = sqlx::query("SELECT * FROM conversations WHERE id = ?1").bind(id.to_string());
    let row = row.fetch_optional(connection).await?.ok_or_else(|| no_conversation(id))?;
    conversation(&row)
}

fn no_conversation(id: Uuid) -> Error {
    Error::NotFound { what: "conversation", id: id.to_string() }
}

pub(super) fn uuid(row: &SqliteRow, column: &str) -> Result<Uuid, Failure> {
    row.try_get::<&str, _>(column)?.parse().map_err(Failure::unreadable::<uuid::Error>)
}

fn conversation(row: &SqliteRow) -> Result<Conversation, Failure> {
    let lang: Option<&str> = row.try_get("lang")?;
    Ok(Conversation {
        id: uuid(row, "id")?,
        lang: lang.map(str::parse).transpose()?,
        channel: row.try_get("channel")?,
        customer: row.try_get("customer")?,
        state: word(row, "state")?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

fn message(row: &SqliteRow) -> Result<Message, Failure> {
    Ok(Message {
        id: uuid(row, "id")?,
        conversation: uuid(row, "conversation")?,
        seq: row.try_get("seq")?,
        role: word(row, "role")?,
        text: masked(row.try_get("text")?)?,
        details: json_or_none(row, "details")?,
        key: row.try_get("key")?,
        created_ms: row.try_get("created_ms")?,
    })
}

fn event(row: &SqliteRow) -> Result<Event, Failure> {
    Ok(Event {
        conversation: uuid(row, "conversation")?,
        seq: row.try_get("seq")?,
        kind: row.try_get("kind")?,
        json: serde_json::from_str(row.try_get("json")?).map_err(Failure::unreadable)?,
        created_ms: row.try_get("created_ms")?,
    })
}
