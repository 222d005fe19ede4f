//! Is it alive, is it ready, how does it do? Numbers only: no ids and no words leave here.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, error::Failure};
use crate::{
    error::{self, Error, Result},
    store::{TicketFilter, TicketState},
    turn::reply::{Outcome, Reply},
    words::Lang,
};

/// Upper bounds of the histogram of turns, in seconds: a card takes milliseconds, a composed answer many seconds.
const TURN_BUCKETS_S: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// How long a look at every part holds: `/readyz` is open to anyone, and each look embeds and writes.
const READY_HOLDS: Duration = Duration::from_secs(1);

/// Tickets looked at for the gauge; a longer queue shows as this many.
const LIMIT_COUNTED: u32 = 1000;

/// The process's recorder. There can be only one, so a second server in the same process shares it.
pub(super) fn recorder() -> Result<PrometheusHandle> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("deskhand_turn_seconds".to_owned()), TURN_BUCKETS_S)
        .map_err(Error::outside("setting up the metrics"))?
        .build_recorder();
    let handle = HANDLE.get_or_init(|| recorder.handle()).clone();
    // Refused only where another one was first; then this handle stays empty, which is no reason not to serve.
    if metrics::set_global_recorder(recorder).is_ok() {
        metrics::describe_counter!("deskhand_turns_total", "Turns by outcome and reason");
        metrics::describe_counter!("deskhand_turns_lost_total", "Turns without a reply, by cause");
        metrics::describe_histogram!("deskhand_turn_seconds", "Seconds from a message to its stored reply");
        metrics::describe_gauge!("deskhand_turns_under_way", "Turns that wait or run");
        metrics::describe_gauge!("deskhand_tickets", "Tickets that are not closed, by state");
    }
    Ok(handle)
}

/// Counts a turn that ended in a reply.
pub(super) fn count_turn(reply: &Reply, took: Duration) {
    let outcome = match reply.outcome {
        Outcome::Answer => "answer",
        Outcome::Offer => "offer",
        Outcome::Handoff => "handoff",
    };
    metrics::counter!("deskhand_turns_total", "outcome" => outcome, "code" => reply.reason.code.as_str()).increment(1);
    metrics::histogram!("deskhand_turn_seconds", "outcome" => outcome).record(took.as_secs_f64());
}

/// Counts a turn that left no reply.
pub(super) fn count_lost(cause: &'static str) {
    metrics::counter!("deskhand_turns_lost_total", "cause" => cause).increment(1);
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "Alive", body = String)))]
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether questions can be answered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Ready {
    /// True when everything works.
    ready: bool,
    /// What does not.
    why_not: Vec<String>,
    /// The judge in force.
    judge: Option<JudgeInForce>,
    /// Names the state of the knowledge.
    knowledge: Option<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
struct JudgeInForce {
    /// `default` or `calibrated`.
    kind: String,
    /// The languages that it has a certificate for.
    #[schema(value_type = Vec<String>)]
    certificates: Vec<Lang>,
}

/// Ready to answer, or why not. Without it every question still ends at a person.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses(
    (status = 200, description = "Ready", body = Ready),
    (status = 503, description = "Not ready, and why", body = Ready),
))]
pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Ready>) {
    let mut last = app.last_ready.lock().await;
    let fresh = last.as_ref().filter(|(looked, _)| looked.elapsed() < READY_HOLDS);
    let ready = match fresh {
        Some((_, ready)) => ready.clone(),
        None => {
            let ready = look(&app).await;
            *last = Some((Instant::now(), ready.clone()));
            ready
        }
    };
    (if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(ready))
}

/// What was found at the last look, and when that was.
pub(super) type LastReady = tokio::sync::Mutex<Option<(Instant, Ready)>>;

/// Tries every part that a turn needs.
async fn look(app: &App) -> Ready {
    let mut why_not = Vec::new();
    let mut failed = |what: &str, result: Result<()>| {
        if let Err(error) = result {
            // The chain may name paths and addresses: it is for the log, this page is open to anyone.
            tracing::warn!("not ready: {what}: {}", error::chain(&error));
            why_not.push(what.to_owned());
        }
    };
    failed("the store cannot be read", app.bot.store().generation().await.map(|_| ()));
    failed("the store cannot be written", app.bot.store().writable().await);
    failed("the embedder does not answer", app.bot.embedder_answers().await);
    let shelf = app.bot.shelf();
    match &shelf {
        Some(shelf) => failed("the index does not answer", shelf.healthy().await),
        None => failed("no knowledge is on the shelf", Err(Error::Stopped("the shelf"))),
    }
    let judge = shelf.as_ref().map(|shelf| JudgeInForce {
        kind: shelf.judge.kind.clone(),
        certificates: shelf.judge.certificates.keys().copied().collect(),
    });
    Ready { ready: why_not.is_empty(), why_not, judge, knowledge: shelf.map(|shelf| shelf.generation.clone()) }
}

/// Figures in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "operation", responses((status = 200, description = "Figures", body = String)))]
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    metrics::gauge!("deskhand_turns_under_way").set(app.bot.turns_under_way() as f64);
    for state in [TicketState::Open, TicketState::Taken] {
        let filter = TicketFilter { state: Some(state), limit: Some(LIMIT_COUNTED), ..TicketFilter::default() };
        let count = app.bot.store().tickets(filter).await?.len();
        metrics::gauge!("deskhand_tickets", "state" => state.as_str()).set(count as f64);
    }
    app.metrics.run_upkeep();
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((content_type, app.metrics.render()).into_response())
}
