//! The API, described for programs: `/openapi.json`.

use axum::Json;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
};

use super::{auth, chat, desk, documents, events, health, pages};
use crate::turn::reply::Reply;

#[derive(OpenApi)]
#[openapi(
    info(title = "Deskhand", description = "Support that answers from your own documents, and hands over to a person when it is not sure."),
    paths(
        chat::start, chat::say, chat::history, events::conversation, documents::document,
        auth::sign_in, auth::sign_out, desk::tickets, desk::ticket, desk::take, desk::reply, desk::close, desk::hand_back,
        events::desk, health::alive, health::ready, health::metrics, json, pages::chat, pages::desk, pages::module,
    ),
    components(schemas(Reply)),
    modifiers(&Security),
)]
struct Api;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        let cookie = ApiKey::Cookie(ApiKeyValue::new("deskhand_desk"));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// The description.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "operation", responses((status = 200, description = "OpenAPI", body = Object)))]
pub(super) async fn json() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
