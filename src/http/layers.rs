//! What stands around every route: one log line, safe headers, other origins, a time limit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use super::{
    App,
    error::{Cause, Failure},
};

/// Seconds within which a request must have arrived and been answered. An event stream is answered when it begins.
const LIMIT_S: u64 = 30;

/// Writes the one line about a request: route, status, duration, never what was said nor who asked.
pub(super) async fn log(request: Request, next: Next) -> Response {
    let started = Instant::now();
    // The route, not the address: a conversation's id opens the conversation.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let id = Uuid::now_v7();
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
    match response.extensions_mut().remove::<Cause>() {
        Some(cause) => {
            tracing::error!(request = %cause.id, %method, route, status, duration_ms, "a request failed: {}", cause.chain);
        }
        None if status == 503 => {
            tracing::warn!(request = %id, %method, route, status, duration_ms, "a request was refused")
        }
        None => tracing::info!(request = %id, %method, route, status, duration_ms, "answered"),
    }
    response
}

/// Headers that keep a browser from doing what we did not mean.
pub(super) async fn headers(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // The chat may stand in a frame of the allowed origins' pages; nothing else may stand in any.
    let framed = request.uri().path() == "/" && !app.settings.server.allowed_origins.is_empty();
    let frames = if framed { app.settings.server.allowed_origins.join(" ") } else { "'none'".to_owned() };
    let mut response = next.run(request).await;
    let policy = format!(
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; \
         base-uri 'none'; form-action 'self'; frame-ancestors {frames}"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if !framed {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A document's address holds no secret, but where a customer comes from is nobody's business.
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=()"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets pages of the allowed origins use the chat. Never with cookies, so never as an agent.
pub(super) async fn origins(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.filter(|origin| {
        let same = |allowed: &String| allowed.trim_end_matches('/').as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        app.settings.server.allowed_origins.iter().any(same)
    });
    let preflight = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = allowed else { return response };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if preflight {
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type, idempotency-key, last-event-id"),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// Gives up on requests that trickle in.
pub(super) async fn time_limit(request: Request, next: Next) -> Response {
    match tokio::time::timeout(Duration::from_secs(LIMIT_S), next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::too_slow(LIMIT_S).into_response(),
    }
}
