//! Server-sent events: a conversation for its customer, the queue for agents.
//!
//! A reader never misses an event: changes are subscribed to before the first read, the store is read again after every
//! change, and the place to read on from is the last event sent. Nothing is sent ahead of the reader: a slow one holds
//! one batch here and reads the rest from the store when it gets there.

use std::{
    collections::{BTreeSet, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use uuid::Uuid;

use super::{
    App,
    auth::IsAgent,
    chat,
    desk::Line,
    error::{Failure, Problem},
    extract::{ConversationId, Params},
    serve::turns_true,
};
use crate::{
    error::{self, Error, Result},
    store::{self, Store, TicketFilter},
};

/// How soon a reader that lost its connection comes back.
const RETRY: Duration = Duration::from_millis(1500);

/// Where to read on.
#[derive(Debug, Deserialize)]
pub(super) struct After {
    after: Option<i64>,
}

/// The conversation's events: those after `after`, then each as it happens.
///
/// `message` is `{from, text}` of the customer, an agent or the system (`joined`, `closed`, `handed_back`); `step` tells
/// how far a turn is and which message it answers; `sentence` is `{message, number, text, citation}`, the next checked piece of
/// the answer to that message, and is void once a later `step` names another; `answer`, `offer` and `handoff` are
/// replies, each whole; a `handoff` that names the open ticket again is what the bot says while a person has the case: a
/// danger's card, or a receipt. `replaced` is `{message, from, text}`: that message, by its place in the conversation, reads otherwise
/// now, because a later one gave away a secret in it. Comments keep the connection open.
#[utoipa::path(get, path = "/v1/conversations/{id}/events", tag = "chat",
    params(
        ("id" = String, Path),
        ("after" = Option<i64>, Query, description = "Number of the last event that the reader has"),
        ("Last-Event-ID" = Option<i64>, Header, description = "The same, as browsers send it; wins over `after`"),
    ),
    responses(
        (status = 200, description = "Events with their numbers as ids", content_type = "text/event-stream", body = String),
        (status = "default", description = "Not as asked", body = Problem),
    )
)]
pub(super) async fn conversation(
    State(app): State<Arc<App>>,
    ConversationId(id): ConversationId,
    Params(after): Params<After>,
    IsAgent(for_agent): IsAgent,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let after = match headers.get("last-event-id") {
        None => after.after.unwrap_or(0),
        Some(value) => {
            let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
            number.ok_or_else(|| Failure::invalid("the header `Last-Event-ID`: expected the number of an event"))?
        }
    };
    let line = Subscription::new(&app)?;
    app.bot.store().conversation(id).await?;
    let follow = Follow { id, after: after.max(0), for_agent, ready: VecDeque::new(), line };
    Ok(respond(&app, stream::unfold(follow, Follow::next)))
}

/// The queue's changes: `ticket` with one line of the queue, `reload` when changes were missed.
#[utoipa::path(get, path = "/v1/desk/events", tag = "desk", responses(
    (status = 200, description = "Events without numbers: a reader that comes back reads the queue again",
        content_type = "text/event-stream", body = String),
    (status = "default", description = "Not as asked", body = Problem),
))]
pub(super) async fn desk(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let watch = Watch { changed: BTreeSet::new(), line: Subscription::new(&app)? };
    Ok(respond(&app, stream::unfold(watch, Watch::next)))
}

fn respond(app: &App, events: impl Stream<Item = std::result::Result<Event, Infallible>> + Send + 'static) -> Response {
    let hello = stream::once(async { Ok(Event::default().retry(RETRY).comment("connected")) });
    let heartbeat = KeepAlive::new().interval(Duration::from_secs(app.settings.server.heartbeat_s)).text("heartbeat");
    let events = futures_util::StreamExt::chain(hello, events);
    let mut response = Sse::new(events).keep_alive(heartbeat).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer would turn a stream into silence.
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// What every stream listens to.
struct Subscription {
    store: Store,
    changes: broadcast::Receiver<Uuid>,
    ending: watch::Receiver<bool>,
    /// The store does not tell of other processes' writes (`deskhand ask`): look anyway, this often.
    look_again: Duration,
    /// Read the store before waiting.
    stale: bool,
    over: bool,
    _slot: OwnedSemaphorePermit,
}

enum Heard {
    Changed(Uuid),
    Missed,
}

impl Subscription {
    fn new(app: &App) -> Result<Self, Failure> {
        let limit = app.settings.server.connections_limit;
        let full = Error::Busy { what: "the list of open event streams", limit };
        let slot = app.streams.clone().try_acquire_owned().map_err(|_| full)?;
        Ok(Subscription {
            store: app.bot.store().clone(),
            changes: app.bot.store().changes(),
            ending: app.ending.clone(),
            look_again: Duration::from_secs(app.settings.server.heartbeat_s),
            stale: true,
            over: false,
            _slot: slot,
        })
    }

    /// The next news. Sets `over` when the stream has to end.
    async fn hear(&mut self) -> Heard {
        tokio::select! {
            heard = self.changes.recv() => match heard {
                Ok(conversation) => Heard::Changed(conversation),
                Err(broadcast::error::RecvError::Lagged(_)) => Heard::Missed,
                Err(broadcast::error::RecvError::Closed) => { self.over = true; Heard::Missed }
            },
            () = turns_true(&mut self.ending) => { self.over = true; Heard::Missed }
            () = tokio::time::sleep(self.look_again) => Heard::Missed,
        }
    }
}

/// A reader of one conversation.
struct Follow {
    id: Uuid,
    after: i64,
    for_agent: bool,
    ready: VecDeque<store::Event>,
    line: Subscription,
}

impl Follow {
    async fn next(mut self) -> Option<(std::result::Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.after = event.seq;
                return Some((Ok(self.written(event)), self));
            }
            if self.line.stale {
                self.line.stale = false;
                match self.line.store.events(self.id, self.after).await {
                    Ok(events) => self.ready = events.into(),
                    Err(error) => {
                        // The reader comes back and reads on from where it is.
                        tracing::error!("an event stream ends: {}", error::chain(&error));
                        return None;
                    }
                }
                continue;
            }
            if self.line.over {
                return None;
            }
            self.line.stale = match self.line.hear().await {
                Heard::Changed(conversation) => conversation == self.id,
                Heard::Missed => true,
            };
        }
    }

    fn written(&self, event: store::Event) -> Event {
        let json = chat::shown(event.json, self.for_agent);
        Event::default().id(event.seq.to_string()).event(event.kind).data(json.to_string())
    }
}

/// A reader of the queue.
struct Watch {
    changed: BTreeSet<Uuid>,
    line: Subscription,
}

impl Watch {
    async fn next(mut self) -> Option<(std::result::Result<Event, Infallible>, Self)> {
        loop {
            while let Some(conversation) = self.changed.pop_first() {
                match ticket_of(&self.line.store, conversation).await {
                    Ok(None) => {}
                    Ok(Some(line)) => {
                        let json = serde_json::to_string(&line).unwrap_or_default();
                        return Some((Ok(Event::default().event("ticket").data(json)), self));
                    }
                    Err(error) => {
                        tracing::error!("a desk's event stream ends: {}", error::chain(&error));
                        return None;
                    }
                }
            }
            if self.line.over {
                return None;
            }
            match self.line.hear().await {
                Heard::Changed(conversation) => {
                    self.changed.insert(conversation);
                    // A turn is several commits; one look at the ticket serves them all.
                    while let Ok(more) = self.line.changes.try_recv() {
                        self.changed.insert(more);
                    }
                }
                Heard::Missed if self.line.over => {}
                Heard::Missed => return Some((Ok(Event::default().event("reload").data("{}")), self)),
            }
        }
    }
}

/// The queue's line about a conversation: its open ticket, or the one that changed last.
async fn ticket_of(store: &Store, conversation: Uuid) -> Result<Option<Line>> {
    if let Some(ticket) = store.open_ticket(conversation).await? {
        return Ok(Some(Line::new(ticket)));
    }
    let filter = TicketFilter { conversation: Some(conversation), ..TicketFilter::default() };
    let tickets = store.tickets(filter).await?;
    Ok(tickets.into_iter().max_by_key(|ticket| ticket.updated_ms).map(Line::new))
}
