//! WHAT SURVIVES A RESTART? The only room that knows SQL: documents, conversations, turns, tickets, settings.
//!
//! [`Store::open`] opens or creates the database; every write is acknowledged after its commit, so what a caller
//! was told is there after `kill -9` of the process (and, with [`Sync::Full`], after a loss of power).
//! Writes of many callers share one commit; reads go past them. Customers' words come in as
//! [`Masked`] only; JSON (`details`, `case`, events) is made from masked text by its caller.
//!
//! A message of a customer in a conversation that the bot holds is *unanswered* until a [`NewTurn`] covers it or a
//! person takes over: [`Store::unanswered`] finds at start what a crash left open.

mod conversation;

mod erasure;

mod ticket;

mod sqlite;

use std::{path::Path, sync::Arc, time::Duration};

use tokio::sync::broadcast;
use uuid::Uuid;

pub use self::{
    conversation::{
        Added, Conversation, Event, Message, NewConversation, NewEvent, NewIncoming, NewMessage, NewTurn, Noted, Role,
        State, TurnWritten, Wording,
    },
    erasure::{AuditLine, Erased, Redactions, Whose},
    sqlite::Sqlite,
    ticket::{NewTicket, Priority, Ticket, TicketFilter, TicketNumber, TicketState},
};
use crate::{
    error::Result,
    safety::{
        Masked,
        contact::{ContactKey, Opened},
    },
    words::{Document, Lang},
};

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    /// Nothing acknowledged is lost when the process dies.
    #[default]
    Normal,
    /// Nor when the power fails: each commit waits for the disk.
    Full,
}

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// What a commit waits for.
    pub sync: Sync,
    /// How long to wait for another process that holds the database.
    pub busy_timeout: Duration,
    /// Seals contact data; without it none is kept.
    pub contact_key: Option<Arc<ContactKey>>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions { sync: Sync::Normal, busy_timeout: Duration::from_secs(5), contact_key: None }
    }
}

/// What survives a restart. A closed set of bodies; cheap to clone, all clones share one writer.
#[derive(Clone)]
pub enum Store {
    /// One file in the data folder.
    Sqlite(Sqlite),
}

impl Store {
    /// Opens the SQLite database at `path`, creating file and folder where they are missing.
    ///
    /// A file that is damaged, or that another program wrote, is refused and left as it is. Needs a tokio runtime.
    pub async fn open(path: &Path, options: &StoreOptions) -> Result<Store> {
        Ok(Store::Sqlite(Sqlite::open(path, options).await?))
    }

    /// Finishes the writes that were accepted and closes the files. Later calls fail with `Error::Stopped`.
    pub async fn close(&self) {
        let Store::Sqlite(body) = self;
        body.close().await;
    }

    /// Tells, after each commit, which conversation got a message, an event or another state. A receiver that
    /// lags reads [`Store::events`] again; writes of other processes are not told.
    pub fn changes(&self) -> broadcast::Receiver<Uuid> {
        let Store::Sqlite(body) = self;
        body.changes()
    }

    // Documents.

    /// Makes `documents` the current revisions and takes `removed` out of force, all at once; returns the new
    /// generation. With nothing to do the generation stays. Older revisions are kept for citations.
    pub async fn publish(&self, documents: &[Document], removed: &[(String, Lang)]) -> Result<i64> {
        let Store::Sqlite(body) = self;
        body.publish(documents, removed).await
    }

    /// The current documents, by id and language.
    pub async fn documents(&self) -> Result<Vec<Document>> {
        let Store::Sqlite(body) = self;
        body.documents().await
    }

    /// The number of the last publication; 0 before the first.
    pub async fn generation(&self) -> Result<i64> {
        let Store::Sqlite(body) = self;
        body.generation().await
    }

    /// One document: that `revision`, or the current one. Without `lang` either language will do.
    pub async fn document(&self, id: &str, lang: Option<Lang>, revision: Option<&str>) -> Result<Document> {
        let Store::Sqlite(body) = self;
        body.document(id, lang, revision).await
    }

    // Conversations.

    /// Starts a conversation; the bot holds it.
    pub async fn start_conversation(&self, new: NewConversation) -> Result<Conversation> {
        let Store::Sqlite(body) = self;
        body.start_conversation(new).await
    }

    /// One conversation.
    pub async fn conversation(&self, id: Uuid) -> Result<Conversation> {
        let Store::Sqlite(body) = self;
        body.conversation(id).await
    }

    /// The conversations touched last, newest first.
    pub async fn conversations(&self, limit: u32) -> Result<Vec<Conversation>> {
        let Store::Sqlite(body) = self;
        body.conversations(limit).await
    }

    /// Says who answers next. When the bot no longer holds it, nothing in it stays unanswered.
    pub async fn set_state(&self, id: Uuid, state: State) -> Result<()> {
        let Store::Sqlite(body) = self;
        body.set_state(id, state).await
    }

    /// Remembers the customer's language.
    pub async fn set_lang(&self, id: Uuid, lang: Lang) -> Result<()> {
        let Store::Sqlite(body) = self;
        body.set_lang(id, lang).await
    }

    /// Adds a message, and with it `events`, under the next number. A key that is known in the conversation gives
    /// the earlier message back and adds nothing, whatever the text.
    pub async fn add_message(&self, new: NewMessage, events: Vec<NewEvent>) -> Result<Added> {
        let Store::Sqlite(body) = self;
        body.add_message(new, events).await
    }

    /// Adds a customer's message with its event. Where it completes a seed phrase that earlier messages began, those are
    /// masked further in the same commit, with everything that was made from them and an event for each; the files are
    /// scrubbed after it. The case of an open ticket takes the message in. Contact data is sealed and goes to that ticket, or
    /// waits for one. A known key adds nothing.
    pub async fn add_incoming(&self, new: NewIncoming, wording: Wording) -> Result<Added> {
        let Store::Sqlite(body) = self;
        body.add_incoming(new, wording).await
    }

    /// The messages after number `after_seq`, in order; 0 for all.
    pub async fn messages(&self, conversation: Uuid, after_seq: i64) -> Result<Vec<Message>> {
        let Store::Sqlite(body) = self;
        body.messages(conversation, after_seq).await
    }

    /// Adds events that belong to no message, such as steps of a turn under way.
    pub async fn add_events(&self, conversation: Uuid, events: Vec<NewEvent>) -> Result<Vec<Event>> {
        let Store::Sqlite(body) = self;
        body.add_events(conversation, events).await
    }

    /// The events after number `after_seq`, in order; 0 for all that are kept.
    pub async fn events(&self, conversation: Uuid, after_seq: i64) -> Result<Vec<Event>> {
        let Store::Sqlite(body) = self;
        body.events(conversation, after_seq).await
    }

    /// Deletes events older than `before_ms` (Unix milliseconds); returns how many.
    pub async fn prune_events(&self, before_ms: i64) -> Result<u64> {
        let Store::Sqlite(body) = self;
        body.prune_events(before_ms).await
    }

    /// Customers' messages that the bot accepted and has not answered, oldest first.
    pub async fn unanswered(&self) -> Result<Vec<(Conversation, Message)>> {
        let Store::Sqlite(body) = self;
        body.unanswered().await
    }

    /// Stores what a finished turn leaves behind: message, events, ticket, state; all of it or nothing. A turn that a
    /// later message of the customer, a person, or another process's reply has overtaken leaves nothing, and says so.
    pub async fn write_turn(&self, turn: NewTurn) -> Result<TurnWritten> {
        let Store::Sqlite(body) = self;
        body.write_turn(turn).await
    }

    // Tickets.

    /// The number that a ticket of this conversation would get: that of its open ticket, or a fresh one that is
    /// never given again. For a reply that names the ticket before it is stored.
    pub async fn reserve_ticket_number(&self, conversation: Uuid) -> Result<TicketNumber> {
        let Store::Sqlite(body) = self;
        body.reserve_ticket_number(conversation).await
    }

    /// Queues a case. If the conversation has a ticket that is not closed, that one gets the new case and reason,
    /// and the higher priority.
    pub async fn add_ticket(&self, new: NewTicket) -> Result<Ticket> {
        let Store::Sqlite(body) = self;
        body.add_ticket(new).await
    }

    /// Changes the case of the conversation's open ticket inside a commit, and adds what is to be told beside it; who answers
    /// the conversation stays. `note` reads the case as it is then; where it gives `None`, or there is no such ticket,
    /// nothing is written. Gives what `note` gave besides.
    pub async fn note<T, F>(&self, conversation: Uuid, note: F) -> Result<Option<T>>
    where
        T: Send + 'static,
        F: FnOnce(&mut serde_json::Value) -> Option<(Noted, T)> + Send + 'static,
    {
        let Store::Sqlite(body) = self;
        body.note(conversation, note).await
    }

    /// One ticket.
    pub async fn ticket(&self, number: TicketNumber) -> Result<Ticket> {
        let Store::Sqlite(body) = self;
        body.ticket(number).await
    }

    /// The ticket of this conversation that is not closed.
    pub async fn open_ticket(&self, conversation: Uuid) -> Result<Option<Ticket>> {
        let Store::Sqlite(body) = self;
        body.open_ticket(conversation).await
    }

    /// Tickets, the most urgent first, then the oldest.
    pub async fn tickets(&self, filter: TicketFilter) -> Result<Vec<Ticket>> {
        let Store::Sqlite(body) = self;
        body.tickets(filter).await
    }

    /// Gives the ticket to `agent`, and the conversation to a person. Refused if another agent has it or it is closed.
    pub async fn take(&self, number: TicketNumber, agent: &str, events: Vec<NewEvent>) -> Result<Ticket> {
        let Store::Sqlite(body) = self;
        body.take(number, agent, events).await
    }

    /// An agent writes to the customer: adds the message and `events`, notes the first reply, takes the ticket if
    /// nobody has it. A known key gives the earlier message back.
    pub async fn reply(
        &self,
        number: TicketNumber,
        agent: &str,
        text: &Masked,
        key: Option<String>,
        events: Vec<NewEvent>,
    ) -> Result<Added> {
        let Store::Sqlite(body) = self;
        body.reply(number, agent, text, key, events).await
    }

    /// Closes the ticket; `then` says who answers the conversation next. Closing twice changes nothing.
    pub async fn close_ticket(
        &self,
        number: TicketNumber,
        agent: &str,
        then: State,
        events: Vec<NewEvent>,
    ) -> Result<Ticket> {
        let Store::Sqlite(body) = self;
        body.close_ticket(number, agent, then, events).await
    }

    /// Whether contact data is kept at all: there is a key to seal it with.
    pub fn keeps_contacts(&self) -> bool {
        let Store::Sqlite(body) = self;
        body.keeps_contacts()
    }

    /// The contact data kept at a ticket.
    pub async fn contact(&self, number: TicketNumber) -> Result<Opened> {
        let Store::Sqlite(body) = self;
        body.contact(number).await
    }

    // Erasing.

    /// Erases conversations with their messages, events, tickets and contacts, and writes an audit line in the name of
    /// `who`. The bytes are gone from the files after [`Store::scrub`].
    pub async fn erase(&self, whose: Whose, who: String) -> Result<Erased> {
        let Store::Sqlite(body) = self;
        body.erase(whose, who).await
    }

    /// What [`Store::erase`] would erase.
    pub async fn held(&self, whose: Whose) -> Result<Erased> {
        let Store::Sqlite(body) = self;
        body.held(whose).await
    }

    /// Erases at most `limit` conversations in which nothing has happened since `before_ms` (Unix milliseconds), oldest
    /// first. One with a ticket that is not closed stays.
    pub async fn erase_older(&self, before_ms: i64, limit: u32) -> Result<Erased> {
        let Store::Sqlite(body) = self;
        body.erase_older(before_ms, limit).await
    }

    /// Tickets that keep their conversations from being erased, because nobody has closed them since `before_ms`.
    pub async fn overdue_tickets(&self, before_ms: i64) -> Result<u64> {
        let Store::Sqlite(body) = self;
        body.overdue_tickets(before_ms).await
    }

    /// Takes the bytes of what was erased or masked further out of the files, if there are any. False when another
    /// process is reading: try again later.
    pub async fn scrub(&self) -> Result<bool> {
        let Store::Sqlite(body) = self;
        body.scrub().await
    }

    /// Who erased how much, oldest first.
    pub async fn audit(&self) -> Result<Vec<AuditLine>> {
        let Store::Sqlite(body) = self;
        body.audit().await
    }

    /// Counts the masks in the customers' and agents' messages since `since_ms` (Unix milliseconds).
    pub async fn redactions(&self, since_ms: i64) -> Result<Redactions> {
        let Store::Sqlite(body) = self;
        body.redactions(since_ms).await
    }

    /// Whether a write would be acknowledged now: writes a note and waits for its commit. Reading goes on when the disk
    /// is full, so that reading proves nothing.
    pub async fn writable(&self) -> Result<()> {
        self.set_setting("last_probe_ms", Some(&jiff::Timestamp::now().as_millisecond().to_string())).await
    }

    // Settings.

    /// A remembered value, for instance the hash of the judge in force.
    pub async fn setting(&self, key: &str) -> Result<Option<String>> {
        let Store::Sqlite(body) = self;
        body.setting(key).await
    }

    /// Remembers a value; `None` forgets it.
    pub async fn set_setting(&self, key: &str, value: Option<&str>) -> Result<()> {
        let Store::Sqlite(body) = self;
        body.set_setting(key, value).await
    }
}
