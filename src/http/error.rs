//! Errors become statuses here and nowhere else. The body is always `{"error": {"code", "text"}}`.
//!
//! What the caller can mend is explained to the caller. What only we can mend gets a plain text and an id; the log line
//! with that id has the chain of causes.

use std::any::Any;

use axum::{
    Json,
    body::Body,
    extract::rejection::QueryRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::{self, Error};

/// Seconds after which trying again is worth it when a queue is full.
const RETRY_AFTER_S: u64 = 2;

/// What went wrong, for a program and for a person.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    error: ProblemDetails,
}

#[derive(Debug, Serialize, ToSchema)]
struct ProblemDetails {
    /// A stable word, such as `not_found`.
    code: &'static str,
    /// One sentence for a person.
    text: String,
    /// Names the log line, for failures on our side.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    id: Option<Uuid>,
}

/// A request that cannot be answered as asked.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: &'static str,
    text: String,
    retry_after_s: Option<u64>,
    cause: Option<Cause>,
}

/// What the log needs of a failure on our side. Rides in the response's extensions to the one layer that logs.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// The id that the caller was given.
    pub id: Uuid,
    /// The chain of causes.
    pub chain: String,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Failure { status, code, text: text.into(), retry_after_s: None, cause: None }
    }

    /// 400: the request's form is broken.
    pub fn malformed(text: impl Into<String>) -> Self {
        Failure::new(StatusCode::BAD_REQUEST, "malformed", text)
    }

    /// 422: the form is right, a value is not.
    pub fn invalid(text: impl Into<String>) -> Self {
        Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", text)
    }

    /// 413.
    pub fn too_large(limit_bytes: usize) -> Self {
        let text = format!("the request is larger than {limit_bytes} bytes; send less, or in parts");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
    }

    /// 415.
    pub fn wrong_type() -> Self {
        let text = "the body must be JSON: send the header `content-type: application/json`";
        Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_type", text)
    }

    /// 401: nobody has been named.
    pub fn unknown_caller() -> Self {
        let text = "this is for agents: sign in, or send `Authorization: Bearer <token>`";
        Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", text)
    }

    /// 429.
    pub fn too_many(retry_after_s: u64) -> Self {
        let text = format!("too many requests from this address; try again in {retry_after_s} s");
        let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, "too_many", text);
        Failure { retry_after_s: Some(retry_after_s), ..failure }
    }

    /// 408: the request did not arrive, or was not answered, in time.
    pub fn too_slow(limit_s: u64) -> Self {
        Failure::new(StatusCode::REQUEST_TIMEOUT, "too_slow", format!("the request took longer than {limit_s} s"))
    }

    /// The error of an act whose input was checked before: what is invalid is the state that it meets, hence 409.
    pub fn of_act(error: Error) -> Self {
        match error {
            Error::Invalid { .. } => Failure::new(StatusCode::CONFLICT, "conflict", error.to_string()),
            error => error.into(),
        }
    }

    fn ours(chain: String) -> Self {
        let cause = Cause { id: Uuid::now_v7(), chain };
        let text = "something failed on our side; it was nothing you did. Please try again";
        let failure = Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", text);
        Failure { cause: Some(cause), ..failure }
    }
}

/// The table.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { .. } => Failure::invalid(error.to_string()),
            Error::NotFound { .. } => Failure::new(StatusCode::NOT_FOUND, "not_found", error.to_string()),
            Error::Forbidden(why) => Failure::new(StatusCode::FORBIDDEN, "forbidden", why),
            Error::Busy { .. } => {
                let text = format!("{error}; try again in {RETRY_AFTER_S} s");
                let failure = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text);
                Failure { retry_after_s: Some(RETRY_AFTER_S), ..failure }
            }
            Error::Settings(_)
            | Error::File { .. }
            | Error::Weights { .. }
            | Error::Inference(..)
            | Error::Index { .. }
            | Error::Store { .. }
            | Error::Outside { .. }
            | Error::Stopped(_) => Failure::ours(error::chain(&error)),
        }
    }
}

impl From<QueryRejection> for Failure {
    fn from(_: QueryRejection) -> Self {
        Failure::invalid("a parameter after the `?` has the wrong form; see /openapi.json")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let id = self.cause.as_ref().map(|cause| cause.id);
        let problem = Problem { error: ProblemDetails { code: self.code, text: self.text, id } };
        let mut response = (self.status, Json(problem)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

/// 404 for a path that no route has.
pub(super) async fn no_such_page() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address; see /openapi.json")
}

/// 405.
pub(super) async fn no_such_method() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this address does not take that method; see /openapi.json")
}

/// A handler panicked: a bug, but not a broken connection.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    // The panic's own text may hold anything; the panic hook has written it where panics go.
    Failure::ours("a handler panicked".to_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_the_status_that_says_who_can_act() {
        let cases = [
            (Error::invalid("the message", "nothing", "something"), 422, None),
            (Error::NotFound { what: "conversation", id: "x".into() }, 404, None),
            (Error::Forbidden("no"), 403, None),
            (Error::Busy { what: "the queue", limit: 1 }, 503, Some("2")),
            (Error::Stopped("the store"), 500, None),
        ];
        for (error, status, retry_after) in cases {
            let response = Failure::from(error).into_response();
            assert_eq!(response.status().as_u16(), status);
            let found = response.headers().get("retry-after").map(|value| value.to_str().unwrap());
            assert_eq!(found, retry_after);
        }
    }

    #[test]
    fn our_own_failures_keep_their_causes_to_the_log() {
        let failure = Failure::from(Error::store("reading")("disk /secret/path on fire"));
        assert!(!failure.text.contains("secret"), "{}", failure.text);
        let response = failure.into_response();
        let cause = response.extensions().get::<Cause>().unwrap();
        assert_eq!(cause.chain, "reading the store: disk /secret/path on fire");
    }

    #[test]
    fn a_ticket_in_other_hands_is_a_conflict() {
        let failure = Failure::of_act(Error::invalid("ticket T-000001", "taken by Ann", "open"));
        assert_eq!(failure.status, StatusCode::CONFLICT);
    }
}
