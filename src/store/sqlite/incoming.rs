//! A customer's message, what it changes of the earlier ones, and what it adds to the case of an open ticket: one
//! transaction, so that no stop in between leaves a seed phrase half masked.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::{
    Sqlite, contacts,
    conversations::{put_events, put_message},
    documents::masked,
    failure::Failure,
    now_ms, put_scrub_due,
    tickets::get_open,
    word,
};
use crate::{
    error::Result,
    safety::{
        Masked,
        contact::ContactKey,
        incoming::{LOOK_BACK, Remasked, rewrite},
    },
    store::{Added, NewIncoming, NewMessage, Role, Wording},
};

impl Sqlite {
    pub(in crate::store) async fn add_incoming(&self, new: NewIncoming, wording: Wording) -> Result<Added> {
        let (key, scrub) = (self.contact_key.clone(), self.writer.scrub_soon());
        self.write("adding a message to", Some(new.conversation), move |connection| {
            Box::pin(async move {
                let (added, remasked) = put_incoming(connection, new, wording, key).await?;
                // Should the commit fail after all, tidying up for nothing does no harm.
                scrub.fetch_or(remasked, Ordering::Relaxed);
                Ok(added)
            })
        })
        .await
    }
}

/// Adds the message; whether earlier ones were masked further.
async fn put_incoming(
    connection: &mut SqliteConnection,
    new: NewIncoming,
    wording: Wording,
    key: Option<Arc<ContactKey>>,
) -> Result<(Added, bool), Failure> {
    let NewIncoming { conversation, said, details, key: idempotency } = new;
    let (numbers, texts) = earlier(connection, conversation).await?;
    let joined = said.after(&texts);
    let event = (wording.said)(&joined.text);
    let message = NewMessage { conversation, role: Role::Customer, text: joined.text, details, key: idempotency };
    let added = put_message(connection, message, vec![event]).await?;
    if added.repeated {
        return Ok((added, false));
    }
    let changed: BTreeMap<i64, Remasked> =
        joined.changed.into_iter().map(|(at, change)| (numbers[at], change)).collect();
    let is_remasked = !changed.is_empty();
    if is_remasked {
        remask(connection, conversation, &changed, wording).await?;
    }
    let message = &added.message;
    if let Some(mut ticket) = get_open(connection, conversation).await?
        && let Some(priority) = (wording.heard)(&mut ticket.case, message.seq, &message.text)
    {
        sqlx::query(
            "UPDATE tickets SET case_json = ?2, priority = max(priority, ?3), updated_ms = ?4 WHERE number = ?1",
        )
        .bind(ticket.number.0)
        .bind(ticket.case.to_string())
        .bind(priority as i64)
        .bind(now_ms())
        .execute(&mut *connection)
        .await?;
    }
    if let Some(key) = key.filter(|_| !said.contacts().is_empty()) {
        contacts::keep(connection, conversation, said.contacts(), &key).await?;
    }
    Ok((added, is_remasked))
}

/// The customer's last messages, oldest first: their numbers and their texts.
async fn earlier(connection: &mut SqliteConnection, id: Uuid) -> Result<(Vec<i64>, Vec<Masked>), Failure> {
    let rows = sqlx::query(
        "SELECT seq, text FROM messages WHERE conversation = ?1 AND role = 'customer' ORDER BY seq DESC LIMIT ?2",
    )
    .bind(id.to_string())
    .bind(LOOK_BACK as i64)
    .fetch_all(connection)
    .await?;
    let mut numbers = Vec::with_capacity(rows.len());
    let mut texts = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        numbers.push(row.try_get("seq")?);
        texts.push(masked(row.try_get("text")?)?);
    }
    Ok((numbers, texts))
}

/// Masks stored messages further, and everything that was made from them: replies, cases, events, tickets. Adds an event
/// for each text that changed. What is read here is small: one conversation.
async fn remask(
    connection: &mut SqliteConnection,
    id: Uuid,
    changed: &BTreeMap<i64, Remasked>,
    wording: Wording,
) -> Result<(), Failure> {
    let mut told = Vec::new();
    let rows = sqlx::query("SELECT seq, role, text, details FROM messages WHERE conversation = ?1 ORDER BY seq");
    for row in rows.bind(id.to_string()).fetch_all(&mut *connection).await? {
        let (seq, role): (i64, Role) = (row.try_get("seq")?, word(&row, "role")?);
        let text: &str = row.try_get("text")?;
        let now = match changed.get(&seq) {
            Some(change) => Some(change.text().as_str().to_owned()),
            None if role == Role::Customer => None,
            None => rewrite(text, changed.values()),
        };
        let details = rewritten(row.try_get("details")?, changed, wording)?;
        if now.is_none() && details.is_none() {
            continue;
        }
        sqlx::query(
            "UPDATE messages SET text = coalesce(?3, text), details = coalesce(?4, details)
             WHERE conversation = ?1 AND seq = ?2",
        )
        .bind(id.to_string())
        .bind(seq)
        .bind(&now)
        .bind(details)
        .execute(&mut *connection)
        .await?;
        if let Some(text) = now {
            told.push((wording.replaced)(seq, role, &masked(text)?));
        }
    }
    let rows = sqlx::query("SELECT seq, json FROM events WHERE conversation = ?1").bind(id.to_string());
    for row in rows.fetch_all(&mut *connection).await? {
        if let Some(json) = rewritten(row.try_get("json")?, changed, wording)? {
            sqlx::query("UPDATE events SET json = ?3 WHERE conversation = ?1 AND seq = ?2")
                .bind(id.to_string())
                .bind(row.try_get::<i64, _>("seq")?)
                .bind(json)
                .execute(&mut *connection)
                .await?;
        }
    }
    let rows = sqlx::query("SELECT number, case_json FROM tickets WHERE conversation = ?1").bind(id.to_string());
    for row in rows.fetch_all(&mut *connection).await? {
        if let Some(json) = rewritten(row.try_get("case_json")?, changed, wording)? {
            sqlx::query("UPDATE tickets SET case_json = ?2 WHERE number = ?1")
                .bind(row.try_get::<i64, _>("number")?)
                .bind(json)
                .execute(&mut *connection)
                .await?;
        }
    }
    put_events(connection, id, told).await?;
    put_scrub_due(connection).await
}

/// Stored JSON brought up to date; `None` where nothing in it changes.
fn rewritten(
    json: Option<&str>,
    changed: &BTreeMap<i64, Remasked>,
    wording: Wording,
) -> Result<Option<String>, Failure> {
    let Some(json) = json else { return Ok(None) };
    let mut value = serde_json::from_str(json).map_err(Failure::unreadable)?;
    Ok((wording.rewrite)(&mut value, changed).then(|| value.to_string()))
}
