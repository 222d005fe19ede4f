//! Tickets: at most one that is not closed for each conversation, taken and answered by agents.

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Sqlite, contacts,
    conversations::{get_conversation, put_events, put_message, put_state, uuid},
    failure::Failure,
    next_number, now_ms, word,
};
use crate::{
    error::{Error, Result},
    safety::{Masked, contact::ContactKey},
    store::{
        Added, NewEvent, NewMessage, NewTicket, Noted, Priority, Role, State, Ticket, TicketFilter, TicketNumber,
        TicketState,
    },
};

/// The setting that holds the last number given out, reserved ones too.
const LAST_NUMBER: &str = "ticket_number";

const LISTED: u32 = 200;

impl Sqlite {
    pub(in crate::store) async fn reserve_ticket_number(&self, conversation: Uuid) -> Result<TicketNumber> {
        self.write("reserving a ticket's number in", None, move |connection| {
            Box::pin(async move {
                match get_open(connection, conversation).await? {
                    Some(ticket) => Ok(ticket.number),
                    None => Ok(TicketNumber(next_number(connection, LAST_NUMBER).await?)),
                }
            })
        })
        .await
    }

    pub(in crate::store) async fn add_ticket(&self, new: NewTicket) -> Result<Ticket> {
        let key = self.contact_key.clone();
        self.write("adding a ticket to", Some(new.conversation), move |connection| {
            Box::pin(async move {
                get_conversation(connection, new.conversation).await?;
                put_ticket(connection, new, key.as_deref()).await
            })
        })
        .await
    }

    pub(in crate::store) async fn note<T, F>(&self, conversation: Uuid, note: F) -> Result<Option<T>>
    where
        T: Send + 'static,
        F: FnOnce(&mut serde_json::Value) -> Option<(Noted, T)> + Send + 'static,
    {
        self.write("noting something in a ticket of", Some(conversation), move |connection| {
            Box::pin(async move {
                let Some(mut ticket) = get_open(connection, conversation).await? else { return Ok(None) };
                let Some((noted, besides)) = note(&mut ticket.case) else { return Ok(None) };
                sqlx::query(
                    "UPDATE tickets SET case_json = ?2, priority = max(priority, ?3), reason = coalesce(?4, reason),
                     updated_ms = ?5 WHERE number = ?1",
                )
                .bind(ticket.number.0)
                .bind(ticket.case.to_string())
                .bind(noted.priority as i64)
                .bind(noted.reason)
                .bind(now_ms())
                .execute(&mut *connection)
                .await?;
                match noted.message {
                    Some(message) => put_message(connection, message, noted.events).await.map(drop)?,
                    None => put_events(connection, conversation, noted.events).await.map(drop)?,
                }
                Ok(Some(besides))
            })
        })
        .await
    }

    pub(in crate::store) async fn ticket(&self, number: TicketNumber) -> Result<Ticket> {
        let act = "reading a ticket from";
        get_ticket(&mut *self.reader(act).await?, number).await.map_err(self.failed(act))
    }

    pub(in crate::store) async fn open_ticket(&self, conversation: Uuid) -> Result<Option<Ticket>> {
        let act = "reading a ticket from";
        get_open(&mut *self.reader(act).await?, conversation).await.map_err(self.failed(act))
    }

    pub(in crate::store) async fn tickets(&self, filter: TicketFilter) -> Result<Vec<Ticket>> {
        let act = "reading tickets from";
        let mut reader = self.reader(act).await?;
        let rows = sqlx::query(
            "SELECT * FROM tickets
             WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR agent = ?2) AND (?3 IS NULL OR conversation = ?3)
             ORDER BY priority DESC, created_ms, number LIMIT ?4",
        )
        .bind(filter.state.map(TicketState::as_str))
        .bind(filter.agent)
        .bind(filter.conversation.map(|id| id.to_string()))
        .bind(filter.limit.unwrap_or(LISTED))
        .fetch_all(&mut *reader)
        .await
        .map_err(self.failed(act))?;
        rows.iter().map(ticket).collect::<Result<_, Failure>>().map_err(self.failed(act))
    }

    pub(in crate::store) async fn take(
        &self,
        number: TicketNumber,
        agent: &str,
        events: Vec<NewEvent>,
    ) -> Result<Ticket> {
        let conversation = self.ticket(number).await?.conversation;
        let agent = agent.to_owned();
        self.write("taking a ticket in", Some(conversation), move |connection| {
            Box::pin(async move {
                let ticket = get_ticket(connection, number).await?;
                match ticket.state {
                    TicketState::Taken if ticket.agent.as_deref() == Some(&agent) => return Ok(ticket),
                    TicketState::Open => {}
                    TicketState::Taken | TicketState::Closed => return Err(not_open(&ticket).into()),
                }
                put_taken(connection, &ticket, &agent).await?;
                put_events(connection, ticket.conversation, events).await?;
                get_ticket(connection, number).await
            })
        })
        .await
    }

    pub(in crate::store) async fn reply(
        &self,
        number: TicketNumber,
        agent: &str,
        text: &Masked,
        key: Option<String>,
        events: Vec<NewEvent>,
    ) -> Result<Added> {
        let conversation = self.ticket(number).await?.conversation;
        let (agent, text) = (agent.to_owned(), text.clone());
        self.write("writing an agent's reply to", Some(conversation), move |connection| {
            Box::pin(async move {
                let ticket = get_ticket(connection, number).await?;
                let details = Some(serde_json::json!({ "agent": agent, "ticket": number }));
                let new = NewMessage { conversation, role: Role::Agent, text, details, key };
                let added = put_message(connection, new, events).await?;
                if added.repeated {
                    return Ok(added);
                }
                match ticket.state {
                    TicketState::Taken if ticket.agent.as_deref() == Some(&agent) => {}
                    TicketState::Open => put_taken(connection, &ticket, &agent).await?,
                    TicketState::Taken | TicketState::Closed => return Err(not_open(&ticket).into()),
                }
                sqlx::query("UPDATE tickets SET first_reply_ms = coalesce(first_reply_ms, ?2), updated_ms = ?2 WHERE number = ?1")
                    .bind(number.0)
                    .bind(added.message.created_ms)
                    .execute(&mut *connection)
                    .await?;
                Ok(added)
            })
        })
        .await
    }

    pub(in crate::store) async fn close_ticket(
        &self,
        number: TicketNumber,
        agent: &str,
        then: State,
        events: Vec<NewEvent>,
    ) -> Result<Ticket> {
        let conversation = self.ticket(number).await?.conversation;
        let agent = agent.to_owned();
        self.write("closing a ticket in", Some(conversation), move |connection| {
            Box::pin(async move {
                let ticket = get_ticket(connection, number).await?;
                if ticket.state == TicketState::Closed {
                    return Ok(ticket);
                }
                sqlx::query(
                    "UPDATE tickets SET state = 'closed', agent = ?2, closed_ms = ?3, updated_ms = ?3 WHERE number = ?1",
                )
                .bind(number.0)
                .bind(agent)
                .bind(now_ms())
                .execute(&mut *connection)
                .await?;
                put_state(connection, ticket.conversation, then).await?;
                put_events(connection, ticket.conversation, events).await?;
                get_ticket(connection, number).await
            })
        })
        .await
    }
}

/// Queues a case, or brings the conversation's open ticket up to date with it. The conversation must exist; contact data
/// that waits at it goes to the new ticket.
pub(super) async fn put_ticket(
    connection: &mut SqliteConnection,
    new: NewTicket,
    key: Option<&ContactKey>,
) -> Result<Ticket, Failure> {
    let now_ms = now_ms();
    let case = new.case.to_string();
    let updated = sqlx::query(
        "UPDATE tickets SET priority = max(priority, $2), reason = $3, case_json = $4, updated_ms = $5
         WHERE conversation = $1 AND state <> 'closed' RETURNING *",
    )
    .bind(new.conversation.to_string())
    .bind(new.priority as i64)
    .bind(&new.reason)
    .bind(&case)
    .bind(now_ms)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = updated {
        return ticket(&row);
    }
    let number = match new.number {
        Some(number) => number,
        None => TicketNumber(next_number(connection, LAST_NUMBER).await?),
    };
    let row = sqlx::query(
        "INSERT INTO tickets (number, conversation, state, priority, reason, case_json, created_ms, updated_ms)
         VALUES ($1, $2, 'open', $3, $4, $5, $6, $6) RETURNING *",
    )
    .bind(number.0)
    .bind(new.conversation.to_string())
    .bind(new.priority as i64)
    .bind(&new.reason)
    .bind(&case)
    .bind(now_ms)
    .fetch_one(&mut *connection)
    .await?;
    if let Some(key) = key {
        contacts::hand_over(connection, new.conversation, number, key).await?;
    }
    ticket(&row)
}

async fn put_taken(connection: &mut SqliteConnection, ticket: &Ticket, agent: &str) -> Result<(), Failure> {
    sqlx::query("UPDATE tickets SET state = 'taken', agent = ?2, updated_ms = ?3 WHERE number = ?1")
        .bind(ticket.number.0)
        .bind(agent)
        .bind(now_ms())
        .execute(&mut *connection)
        .await?;
    put_state(connection, ticket.conversation, State::Person).await
}

fn not_open(ticket: &Ticket) -> Error {
    let found = match (&ticket.state, &ticket.agent) {
        (TicketState::Taken, Some(agent)) => format!("taken by {agent}"),
        (state, _) => state.as_str().to_owned(),
    };
    Error::invalid(format!("ticket {}", ticket.number), found, "open, or taken by you")
}

async fn get_ticket(connection: &mut SqliteConnection, number: TicketNumber) -> Result<Ticket, Failure> {
    let row = sqlx::query("SELECT * FROM tickets WHERE number = ?1").bind(number.0).fetch_optional(connection).await?;
    ticket(&row.ok_or_else(|| Error::NotFound { what: "ticket", id: number.to_string() })?)
}

pub(super) async fn get_open(connection: &mut SqliteConnection, conversation: Uuid) -> Result<Option<Ticket>, Failure> {
    let row = sqlx::query("SELECT * FROM tickets WHERE conversation = ?1 AND state <> 'closed'")
        .bind(conversation.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(ticket).transpose()
}

fn ticket(row: &SqliteRow) -> Result<Ticket, Failure> {
    let rank: i64 = row.try_get("priority")?;
    let priority = usize::try_from(rank).ok().and_then(|rank| Priority::ALL.get(rank).copied());
    Ok(Ticket {
        number: TicketNumber(row.try_get("number")?),
        conversation: uuid(row, "conversation")?,
        state: word(row, "state")?,
        priority: priority.ok_or_else(|| Failure::unreadable(format!("a ticket has the priority {rank}")))?,
        reason: row.try_get("reason")?,
        agent: row.try_get("agent")?,
        case: serde_json::from_str(row.try_get("case_json")?).map_err(Failure::unreadable)?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
        first_reply_ms: row.try_get("first_reply_ms")?,
        closed_ms: row.try_get("closed_ms")?,
    })
}
