//! Contact data, sealed: at the conversation until there is a ticket, then at the ticket.

use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::{Sqlite, failure::Failure};
use crate::{
    error::{Error, Result},
    safety::contact::{ContactKey, Contacts, Opened},
    store::TicketNumber,
};

impl Sqlite {
    pub(in crate::store) fn keeps_contacts(&self) -> bool {
        self.contact_key.is_some()
    }

    pub(in crate::store) async fn contact(&self, number: TicketNumber) -> Result<Opened> {
        let act = "reading a ticket's contact from";
        let row = sqlx::query("SELECT contact FROM tickets WHERE number = ?1")
            .bind(number.0)
            .fetch_optional(&mut *self.reader(act).await?)
            .await
            .map_err(self.failed(act))?;
        let row = row.ok_or_else(|| Error::NotFound { what: "ticket", id: number.to_string() })?;
        let sealed: Option<Vec<u8>> = row.try_get("contact").map_err(self.failed(act))?;
        Ok(match (&self.contact_key, &sealed) {
            (_, None) => Opened::Nothing,
            (None, Some(_)) => Opened::Unreadable,
            (Some(key), Some(sealed)) => key.open(Some(sealed), &number.to_string()),
        })
    }
}

/// Where contacts wait for a ticket, as the seal knows it.
fn place_of(conversation: Uuid) -> String {
    format!("conversation {conversation}")
}

/// Adds contacts to those of the open ticket, or to those that wait for one.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    conversation: Uuid,
    contacts: &Contacts,
    key: &ContactKey,
) -> Result<(), Failure> {
    let id = conversation.to_string();
    let ticket = sqlx::query("SELECT number, contact FROM tickets WHERE conversation = ?1 AND state <> 'closed'")
        .bind(&id)
        .fetch_optional(&mut *connection)
        .await?;
    match ticket {
        Some(row) => {
            let number = TicketNumber(row.try_get("number")?);
            let sealed = with(row.try_get("contact")?, contacts, key, &number.to_string())?;
            put(connection, number, sealed).await
        }
        None => {
            let waiting = sqlx::query("SELECT contact FROM conversations WHERE id = ?1").bind(&id);
            let sealed = match waiting.fetch_optional(&mut *connection).await? {
                Some(row) => with(row.try_get("contact")?, contacts, key, &place_of(conversation))?,
                None => return Ok(()),
            };
            sqlx::query("UPDATE conversations SET contact = ?2 WHERE id = ?1")
                .bind(&id)
                .bind(sealed)
                .execute(connection)
                .await?;
            Ok(())
        }
    }
}

/// Moves what waits at the conversation to its new ticket.
pub(super) async fn hand_over(
    connection: &mut SqliteConnection,
    conversation: Uuid,
    number: TicketNumber,
    key: &ContactKey,
) -> Result<(), Failure> {
    let id = conversation.to_string();
    let row = sqlx::query("SELECT contact FROM conversations WHERE id = ?1").bind(&id);
    let sealed: Option<Vec<u8>> =
        row.fetch_optional(&mut *connection).await?.map(|row| row.try_get("contact")).transpose()?.flatten();
    match key.open(sealed.as_deref(), &place_of(conversation)) {
        Opened::Nothing => return Ok(()),
        Opened::Contacts(contacts) => put(connection, number, key.seal(&contacts, &number.to_string())?).await?,
        Opened::Unreadable => tracing::warn!(%number, "contact data sealed with another key was dropped"),
    }
    sqlx::query("UPDATE conversations SET contact = NULL WHERE id = ?1").bind(&id).execute(connection).await?;
    Ok(())
}

async fn put(connection: &mut SqliteConnection, number: TicketNumber, sealed: Vec<u8>) -> Result<(), Failure> {
    sqlx::query("UPDATE tickets SET contact = ?2 WHERE number = ?1")
        .bind(number.0)
        .bind(sealed)
        .execute(connection)
        .await?;
    Ok(())
}

/// What was sealed and `more`, sealed.
fn with(sealed: Option<Vec<u8>>, more: &Contacts, key: &ContactKey, place: &str) -> Result<Vec<u8>, Failure> {
    let mut contacts = match key.open(sealed.as_deref(), place) {
        Opened::Contacts(contacts) => contacts,
        Opened::Nothing => Contacts::default(),
        Opened::Unreadable => {
            tracing::warn!("contact data sealed with another key was replaced by newer");
            Contacts::default()
        }
    };
    contacts.add(more);
    Ok(key.seal(&contacts, place)?)
}
