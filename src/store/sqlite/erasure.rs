//! Erasing conversations whole, the audit of it, and what was masked when.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{Sqlite, documents::masked, failure::Failure, now_ms, put_scrub_due};
use crate::{
    error::{Error, Result},
    store::{AuditLine, Erased, Redactions, Whose},
};

/// The conversations at hand, as every statement below names them.
const CHOSEN: &str = "CREATE TEMP TABLE IF NOT EXISTS chosen (id TEXT PRIMARY KEY NOT NULL) STRICT; DELETE FROM chosen";

impl Sqlite {
    pub(in crate::store) async fn erase(&self, whose: Whose, who: String) -> Result<Erased> {
        self.write("erasing from", None, move |connection| {
            Box::pin(async move {
                choose(connection, &whose).await?;
                let erased = erase_chosen(connection).await?;
                put_audit(connection, &who, "erase", &whose.hashed(), &erased).await?;
                Ok(erased)
            })
        })
        .await
    }

    pub(in crate::store) async fn held(&self, whose: Whose) -> Result<Erased> {
        // On the writer's connection, because readers may not make even a temporary table.
        self.write("counting in", None, move |connection| {
            Box::pin(async move {
                choose(connection, &whose).await?;
                count_chosen(connection).await
            })
        })
        .await
    }

    pub(in crate::store) async fn erase_older(&self, before_ms: i64, limit: u32) -> Result<Erased> {
        self.write("erasing from", None, move |connection| {
            Box::pin(async move {
                sqlx::query(CHOSEN).execute(&mut *connection).await?;
                sqlx::query(
                    "INSERT INTO chosen SELECT id FROM conversations WHERE updated_ms < ?1 AND NOT EXISTS
                       (SELECT 1 FROM tickets WHERE conversation = conversations.id AND state <> 'closed')
                     ORDER BY updated_ms LIMIT ?2",
                )
                .bind(before_ms)
                .bind(limit)
                .execute(&mut *connection)
                .await?;
                let erased = erase_chosen(connection).await?;
                if erased.conversations > 0 {
                    put_audit(connection, "retention", "erase", "older than store.retention_days", &erased).await?;
                }
                Ok(erased)
            })
        })
        .await
    }

    pub(in crate::store) async fn overdue_tickets(&self, before_ms: i64) -> Result<u64> {
        let act = "reading tickets from";
        let row = sqlx::query(
            "SELECT count(*) FROM tickets JOIN conversations ON conversations.id = tickets.conversation
             WHERE tickets.state <> 'closed' AND conversations.updated_ms < ?1",
        )
        .bind(before_ms)
        .fetch_one(&mut *self.reader(act).await?)
        .await
        .map_err(self.failed(act))?;
        let count: i64 = row.try_get(0).map_err(self.failed(act))?;
        Ok(count.unsigned_abs())
    }

    pub(in crate::store) async fn audit(&self) -> Result<Vec<AuditLine>> {
        let act = "reading the audit from";
        let rows = sqlx::query("SELECT * FROM audit ORDER BY id")
            .fetch_all(&mut *self.reader(act).await?)
            .await
            .map_err(self.failed(act))?;
        rows.iter().map(audit_line).collect::<Result<_, Failure>>().map_err(self.failed(act))
    }

    pub(in crate::store) async fn redactions(&self, since_ms: i64) -> Result<Redactions> {
        /// Rows in memory at once.
        const PAGE: i64 = 1000;
        let act = "reading messages from";
        let mut days: Redactions = BTreeMap::new();
        // Ids are UUIDs of version 7: by time, and unique.
        let mut after = String::new();
        loop {
            let rows = sqlx::query(
                "SELECT id, text, created_ms FROM messages
                 WHERE id > ?1 AND created_ms >= ?2 AND role IN ('customer', 'agent') ORDER BY id LIMIT ?3",
            )
            .bind(&after)
            .bind(since_ms)
            .bind(PAGE)
            .fetch_all(&mut *self.reader(act).await?)
            .await
            .map_err(self.failed(act))?;
            let Some(last) = rows.last() else { return Ok(days) };
            after = last.try_get("id").map_err(self.failed(act))?;
            for row in &rows {
                add_redactions(row, &mut days).map_err(self.failed(act))?;
            }
        }
    }
}

fn add_redactions(row: &SqliteRow, days: &mut Redactions) -> Result<(), Failure> {
    let redactions = masked(row.try_get("text")?)?.redactions();
    if redactions.is_empty() {
        return Ok(());
    }
    let kinds = days.entry(day_of(row.try_get("created_ms")?)?).or_default();
    for (kind, count) in redactions {
        *kinds.entry(kind).or_default() += count as u64;
    }
    Ok(())
}

fn day_of(created_ms: i64) -> Result<Date, Failure> {
    let at = Timestamp::from_millisecond(created_ms).map_err(Failure::unreadable)?;
    Ok(at.to_zoned(TimeZone::UTC).date())
}

async fn choose(connection: &mut SqliteConnection, whose: &Whose) -> Result<(), Failure> {
    sqlx::query(CHOSEN).execute(&mut *connection).await?;
    let (sql, id) = match whose {
        Whose::Customer(id) => ("INSERT INTO chosen SELECT id FROM conversations WHERE customer = ?1", id.clone()),
        Whose::Conversation(id) => ("INSERT INTO chosen SELECT id FROM conversations WHERE id = ?1", id.to_string()),
    };
    let chosen = sqlx::query(sql).bind(&id).execute(connection).await?;
    match whose {
        Whose::Conversation(_) if chosen.rows_affected() == 0 => {
            Err(Error::NotFound { what: "conversation", id }.into())
        }
        _ => Ok(()),
    }
}

async fn count_chosen(connection: &mut SqliteConnection) -> Result<Erased, Failure> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM chosen) AS conversations,
                (SELECT count(*) FROM messages WHERE conversation IN chosen) AS messages,
                (SELECT count(*) FROM events WHERE conversation IN chosen) AS events,
                (SELECT count(*) FROM tickets WHERE conversation IN chosen) AS tickets,
                (SELECT count(contact) FROM tickets WHERE conversation IN chosen)
                    + (SELECT count(contact) FROM conversations WHERE id IN chosen) AS contacts",
    )
    .fetch_one(connection)
    .await?;
    let count = |name: &str| row.try_get::<i64, _>(name).map(i64::unsigned_abs);
    Ok(Erased {
        conversations: count("conversations")?,
        messages: count("messages")?,
        events: count("events")?,
        tickets: count("tickets")?,
        contacts: count("contacts")?,
    })
}

/// Deletes the chosen conversations with everything that belongs to them. A new table with a column `conversation` belongs
/// into this list; a test looks for those that are missing.
async fn erase_chosen(connection: &mut SqliteConnection) -> Result<Erased, Failure> {
    let erased = count_chosen(connection).await?;
    if erased.conversations == 0 {
        return Ok(erased);
    }
    for sql in [
        "DELETE FROM events WHERE conversation IN chosen",
        "DELETE FROM tickets WHERE conversation IN chosen",
        "DELETE FROM messages WHERE conversation IN chosen",
        "DELETE FROM conversations WHERE id IN chosen",
    ] {
        sqlx::query(sql).execute(&mut *connection).await?;
    }
    put_scrub_due(connection).await?;
    Ok(erased)
}

async fn put_audit(
    connection: &mut SqliteConnection,
    who: &str,
    act: &str,
    subject: &str,
    erased: &Erased,
) -> Result<(), Failure> {
    let counts = serde_json::to_string(erased).map_err(Failure::unreadable)?;
    sqlx::query("INSERT INTO audit (at_ms, who, act, subject, counts) VALUES (?1, ?2, ?3, ?4, ?5)")
        .bind(now_ms())
        .bind(who)
        .bind(act)
        .bind(subject)
        .bind(counts)
        .execute(connection)
        .await?;
    Ok(())
}

fn audit_line(row: &SqliteRow) -> Result<AuditLine, Failure> {
    Ok(AuditLine {
        at_ms: row.try_get("at_ms")?,
        who: row.try_get("who")?,
        act: row.try_get("act")?,
        subject: row.try_get("subject")?,
        counts: serde_json::from_str(row.try_get("counts")?).map_err(Failure::unreadable)?,
    })
}
