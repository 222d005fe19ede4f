//! HOW DO PEOPLE REACH US? Every route in one list ([`routes`]): chat, desk, health, pages. The only room that knows axum.
//!
//! ```text
//! connection -> log -> panic -> headers -> origins -> time limit -> size limit -> (agents only) -> route
//! ```
//! A route extracts, checks, calls one function and replies: no policy, no SQL. Statuses stand in [`error`]; one
//! layer logs, once, ids and durations only. Start at [`serve()`].
//!
//! Who may do what: a conversation is opened by its id alone. The id is a UUID version 7 with 74 random bits, made here
//! and told to nobody else, so it cannot be guessed; it is not logged by this room. The desk needs the agents' token.

mod auth;

mod chat;

mod desk;

mod documents;

mod error;

mod events;

mod extract;

mod health;

mod layers;

mod limits;

mod openapi;

mod pages;

mod serve;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, Method, StatusCode},
    middleware,
    routing::{self, MethodRouter},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Semaphore, watch};

pub use self::{auth::new_token, serve::serve};
use crate::{config::Settings, turn::Bot};

/// What every handler may use.
struct App {
    bot: Bot,
    settings: Settings,
    key: auth::Key,
    messages: limits::Buckets,
    logins: limits::Buckets,
    /// Name of the header in which our own proxy names the client.
    proxy_header: Option<HeaderName>,
    /// Event streams that may be open at once.
    streams: Arc<Semaphore>,
    metrics: PrometheusHandle,
    last_ready: health::LastReady,
    /// Turns true when event streams must end.
    ending: watch::Receiver<bool>,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Anyone, from our own pages or other programs.
    Anyone,
    /// Anyone, and pages of the allowed origins too.
    Chat,
    /// Agents only.
    Agents,
}

/// One route.
struct Route {
    method: Method,
    path: &'static str,
    who: Who,
    handler: MethodRouter<Arc<App>>,
}

fn get(path: &'static str, who: Who, handler: MethodRouter<Arc<App>>) -> Route {
    Route { method: Method::GET, path, who, handler }
}

fn post(path: &'static str, who: Who, handler: MethodRouter<Arc<App>>) -> Route {
    Route { method: Method::POST, path, who, handler }
}

/// Every route there is. `openapi` documents each of them, and a test holds it to that.
fn routes() -> Vec<Route> {
    use Who::{Agents, Anyone, Chat};
    vec![
        post("/v1/conversations", Chat, routing::post(chat::start)),
        post("/v1/conversations/{id}/messages", Chat, routing::post(chat::say)),
        get("/v1/conversations/{id}/messages", Chat, routing::get(chat::history)),
        get("/v1/conversations/{id}/events", Chat, routing::get(events::conversation)),
        get("/v1/documents/{id}", Chat, routing::get(documents::document)),
        post("/v1/desk/session", Anyone, routing::post(auth::sign_in)),
        Route {
            method: Method::DELETE,
            path: "/v1/desk/session",
            who: Anyone,
            handler: routing::delete(auth::sign_out),
        },
        get("/v1/desk/tickets", Agents, routing::get(desk::tickets)),
        get("/v1/desk/tickets/{number}", Agents, routing::get(desk::ticket)),
        post("/v1/desk/tickets/{number}/take", Agents, routing::post(desk::take)),
        post("/v1/desk/tickets/{number}/reply", Agents, routing::post(desk::reply)),
        post("/v1/desk/tickets/{number}/close", Agents, routing::post(desk::close)),
        post("/v1/desk/tickets/{number}/hand_back", Agents, routing::post(desk::hand_back)),
        get("/v1/desk/events", Agents, routing::get(events::desk)),
        get("/healthz", Anyone, routing::get(health::alive)),
        get("/readyz", Anyone, routing::get(health::ready)),
        get("/metrics", Anyone, routing::get(health::metrics)),
        get("/openapi.json", Anyone, routing::get(openapi::json)),
        get("/", Anyone, routing::get(pages::chat)),
        get("/desk", Anyone, routing::get(pages::desk)),
        get("/web/{file}", Chat, routing::get(pages::module)),
    ]
}

/// The routes with everything around them.
fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for Route { method, path, who, handler } in routes() {
        tracing::debug!(%method, path, ?who, "a route");
        let handler = match who {
            Who::Anyone => handler,
            Who::Chat => handler.layer(middleware::from_fn_with_state(app.clone(), layers::origins)),
            Who::Agents => handler.layer(middleware::from_fn_with_state(app.clone(), auth::agents_only)),
        };
        router = router.route(path, handler);
    }
    // A preflight asks with OPTIONS for what another method may do; it has a body-less answer of its own.
    let chat_paths: std::collections::BTreeSet<_> =
        routes().into_iter().filter(|route| route.who == Who::Chat).map(|route| route.path).collect();
    for path in chat_paths {
        let preflight = routing::options(|| async { StatusCode::NO_CONTENT });
        router = router.route(path, preflight.layer(middleware::from_fn_with_state(app.clone(), layers::origins)));
    }
    router
        .fallback(error::no_such_page)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(app.settings.server.body_limit_bytes))
        .layer(middleware::from_fn(layers::time_limit))
        .layer(tower_http::compression::CompressionLayer::new())
        .layer(middleware::from_fn_with_state(app.clone(), layers::headers))
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(error::panicked))
        .layer(middleware::from_fn(layers::log))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_documented_and_nothing_else_is() {
        let document = serde_json::to_value(openapi::document()).unwrap();
        let mut documented: Vec<String> = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            documented.extend(methods.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
        }
        let mut listed: Vec<String> =
            routes().iter().map(|route| format!("{} {}", route.method.as_str().to_lowercase(), route.path)).collect();
        documented.sort();
        listed.sort();
        assert_eq!(documented, listed);
    }

    #[test]
    fn the_desk_is_for_agents_only() {
        for route in routes().iter().filter(|route| route.path.starts_with("/v1/desk/")) {
            let opens_the_door = route.path == "/v1/desk/session";
            assert_eq!(route.who == Who::Agents, !opens_the_door, "{}", route.path);
        }
    }
}
