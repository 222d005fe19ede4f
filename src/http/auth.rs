//! Who is an agent: the token in a header, or a signed cookie that the token was exchanged for.
//!
//! The cookie holds its expiry and an HMAC of it under the token, so nothing is kept here and it survives a restart with
//! the same token. It is HttpOnly and SameSite=Strict; a change asked for with a cookie must also carry the header
//! `X-Deskhand: 1`, which another site's page cannot send.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{
    App,
    error::{Failure, Problem},
    extract::{Body, Client},
};
use crate::{config::Secret, error::Error};

/// The cookie's name.
const COOKIE: &str = "deskhand_desk";

/// How long a signed-in agent stays so: a working day.
const SESSION_S: u64 = 12 * 3600;

/// A new agents' token: 128 random bits.
pub fn new_token() -> Secret {
    Secret::new(hex::encode(rand::random::<[u8; 16]>()))
}

/// What tokens and cookies are checked against. An empty token opens nothing.
pub(super) struct Key {
    token: Option<String>,
}

impl Key {
    pub fn new(token: &Secret) -> Self {
        let token = token.reveal();
        Key { token: (!token.is_empty()).then(|| token.to_owned()) }
    }

    fn is_token(&self, said: &str) -> bool {
        self.token.as_ref().is_some_and(|token| same(said.as_bytes(), token.as_bytes()))
    }

    /// `None` where no token is set.
    fn cookie(&self, expires_s: u64) -> Option<String> {
        let token = self.token.as_ref()?;
        let signature = signature(token, &format!("desk session until {expires_s}"));
        Some(format!("{expires_s}.{}", hex::encode(signature)))
    }

    fn is_cookie(&self, said: &str, now_s: u64) -> bool {
        let Some(expires_s) = said.split('.').next().and_then(|expiry| expiry.parse::<u64>().ok()) else {
            return false;
        };
        expires_s > now_s
            && expires_s <= now_s + SESSION_S
            && self.cookie(expires_s).is_some_and(|cookie| same(cookie.as_bytes(), said.as_bytes()))
    }

    /// How the caller has shown to be an agent, if so.
    fn shown(&self, headers: &HeaderMap) -> Option<Shown> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            return (scheme.eq_ignore_ascii_case("bearer") && self.is_token(token.trim())).then_some(Shown::Token);
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| name == COOKIE && self.is_cookie(value, now_s()))
            .then_some(Shown::Cookie)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Token,
    Cookie,
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Compares in a time that depends on neither content: digests have one length, and every byte is looked at.
fn same(left: &[u8], right: &[u8]) -> bool {
    let (left, right) = (Sha256::digest(left), Sha256::digest(right));
    left.iter().zip(right.iter()).fold(0u8, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn signature(token: &str, message: &str) -> [u8; 32] {
    let mut signer =
        Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length; this is a bug");
    signer.update(message.as_bytes());
    signer.finalize().into_bytes().into()
}

/// Lets only agents pass, and changes by cookie only with the header that other sites cannot send.
pub(super) async fn agents_only(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match app.key.shown(request.headers()) {
        None => Failure::unknown_caller().into_response(),
        Some(Shown::Cookie) if !is_read(request.method()) && !has_our_header(request.headers()) => {
            let why = "a change by cookie needs the header `X-Deskhand: 1`";
            Failure::from(Error::Forbidden(why)).into_response()
        }
        Some(_) => next.run(request).await,
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn has_our_header(headers: &HeaderMap) -> bool {
    headers.get("x-deskhand").is_some_and(|value| value == "1")
}

/// Whether an agent is reading, where customers may read too but see less.
pub(super) struct IsAgent(pub bool);

impl FromRequestParts<Arc<App>> for IsAgent {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        Ok(IsAgent(app.key.shown(&parts.headers).is_some()))
    }
}

/// The agents' token.
#[derive(Deserialize, ToSchema)]
pub(super) struct SignIn {
    /// As printed at the start, or set as `server.agent_token`.
    token: String,
}

/// Exchanges the agents' token for a cookie.
#[utoipa::path(post, path = "/v1/desk/session", tag = "desk", request_body = SignIn, responses(
    (status = 204, description = "Signed in: the cookie is set"),
    (status = 401, description = "Not the token", body = Problem),
    (status = 429, description = "Too many tries from this address", body = Problem),
))]
pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    Client(client): Client,
    Body(said): Body<SignIn>,
) -> Result<Response, Failure> {
    app.logins.take(client)?;
    if !app.key.is_token(said.token.trim()) {
        return Err(Failure::unknown_caller());
    }
    let cookie = app.key.cookie(now_s() + SESSION_S).unwrap_or_default();
    Ok(set_cookie(&format!("{COOKIE}={cookie}; Path=/; Max-Age={SESSION_S}; HttpOnly; SameSite=Strict")))
}

/// Forgets the cookie.
#[utoipa::path(delete, path = "/v1/desk/session", tag = "desk", responses((status = 204, description = "Signed out")))]
pub(super) async fn sign_out() -> Response {
    set_cookie(&format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"))
}

fn set_cookie(cookie: &str) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let value = HeaderValue::from_str(cookie).unwrap_or_else(|_| HeaderValue::from_static(""));
    response.headers_mut().insert(header::SET_COOKIE, value);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_holds_until_it_expires_and_under_its_token_only() {
        let key = Key::new(&Secret::new("0123456789abcdef"));
        let cookie = key.cookie(1000).unwrap();
        assert!(key.is_cookie(&cookie, 999));
        assert!(!key.is_cookie(&cookie, 1000), "expired");
        assert!(!key.is_cookie(&cookie.replace("1000", "1001"), 999), "changed");
        assert!(!key.is_cookie(&key.cookie(u64::MAX).unwrap(), 999), "longer than a session");
        assert!(!Key::new(&Secret::new("fedcba9876543210")).is_cookie(&cookie, 999), "another token");
        assert!(!key.is_cookie("", 999) && !key.is_cookie("1000.", 999));
    }

    #[test]
    fn without_a_token_nobody_is_an_agent() {
        let key = Key::new(&Secret::default());
        assert!(!key.is_token(""));
        assert!(key.cookie(5).is_none());
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer "))]);
        assert_eq!(key.shown(&headers), None);
    }

    #[test]
    fn new_tokens_differ_and_are_long_enough() {
        assert!(new_token() != new_token() && new_token().reveal().len() == 32);
    }
}
