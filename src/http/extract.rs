//! What handlers are given: a checked body, parameters, ids, the client's address. Nothing said by the caller is echoed.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, header, request::Parts},
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{App, error::Failure, limits::limited};
use crate::{error::Error, store::TicketNumber};

/// A JSON body.
pub(super) struct Body<T>(pub T);

/// A JSON body, or none at all.
pub(super) struct BodyOrNone<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        // Also what keeps another site's form from posting here: a form cannot send this type.
        if !is_json(request.headers()) {
            return Err(Failure::wrong_type());
        }
        parse(&read(request, app).await?).map(Body)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<Arc<App>> for BodyOrNone<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        let typed = request.headers().contains_key(header::CONTENT_TYPE);
        let json = is_json(request.headers());
        let bytes = read(request, app).await?;
        if bytes.is_empty() && (json || !typed) {
            return Ok(BodyOrNone(T::default()));
        }
        if !json {
            return Err(Failure::wrong_type());
        }
        parse(&bytes).map(BodyOrNone)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn read(request: Request, app: &App) -> Result<Bytes, Failure> {
    let limit_bytes = app.settings.server.body_limit_bytes;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: usize| bytes > limit_bytes) {
        return Err(Failure::too_large(limit_bytes));
    }
    Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status().as_u16() {
        413 => Failure::too_large(limit_bytes),
        _ => Failure::malformed("the request's body broke off"),
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Failure::malformed(format!("the body is not UTF-8: byte {} cannot stand there", error.valid_up_to()))
    })?;
    serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        let said = error.to_string();
        if !error.is_data() {
            Failure::malformed(format!("the body is not JSON: {place}"))
        } else if said.starts_with("missing field") {
            // Names a field of ours; the other texts may quote the caller's words.
            Failure::invalid(said)
        } else {
            Failure::invalid(format!("a field has the wrong type: {place}; see /openapi.json"))
        }
    })
}

/// The parameters after the `?`.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(Failure))]
pub(super) struct Params<T>(pub T);

/// The conversation in the path.
pub(super) struct ConversationId(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for ConversationId {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let id = path(parts, state).await?;
        let unknown = || Error::NotFound { what: "conversation", id: short(&id) };
        Ok(ConversationId(id.parse().map_err(|_| unknown())?))
    }
}

/// The ticket in the path.
pub(super) struct Number(pub TicketNumber);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let number = path(parts, state).await?;
        let unknown = || Error::NotFound { what: "ticket", id: short(&number) };
        Ok(Number(number.parse().map_err(|_| unknown())?))
    }
}

/// The one name in the path, whatever it names.
pub(super) struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        path(parts, state).await.map(Name)
    }
}

async fn path<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Failure> {
    let Path(name) = Path::<String>::from_request_parts(parts, state)
        .await
        .map_err(|_| Failure::malformed("the address is not UTF-8"))?;
    Ok(name)
}

fn short(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// The other end of the connection, put there by the accept loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// The client's address; `None` where it is not to be limited: loopback without a proxy in front.
pub(super) struct Client(pub Option<IpAddr>);

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
        let Some(header) = &app.proxy_header else { return Ok(Client(peer.and_then(limited))) };
        // A proxy appends what it saw itself: only the last entry is not the client's own claim.
        let named = parts.headers.get_all(header).iter().next_back().and_then(|value| value.to_str().ok());
        let named = named.and_then(|list| list.rsplit(',').next()).and_then(|last| last.trim().parse().ok());
        Ok(Client(named.or(peer).map(|ip| ip.to_canonical())))
    }
}

/// An idempotency key from the header or the body.
///
/// # Errors
/// When both are given and differ, or the key is empty or too long.
pub(super) fn idempotency_key(headers: &HeaderMap, in_body: Option<String>) -> Result<Option<String>, Failure> {
    const LIMIT: usize = 200;
    let in_header = match headers.get("idempotency-key") {
        None => None,
        Some(value) => {
            let text = value.to_str().map_err(|_| Failure::invalid("the idempotency key must be visible ASCII"))?;
            Some(text.to_owned())
        }
    };
    let key = match (in_header, in_body) {
        (Some(header), Some(body)) if header != body => {
            return Err(Failure::invalid("the header `Idempotency-Key` and the body's `key` differ"));
        }
        (header, body) => header.or(body),
    };
    match key {
        Some(key) if key.is_empty() || key.len() > LIMIT => {
            Err(Failure::invalid(format!("the idempotency key: found {} bytes, expected 1 to {LIMIT}", key.len())))
        }
        key => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Said {
        #[expect(dead_code, reason = "only parsed")]
        text: String,
    }

    fn text_of(bytes: &[u8]) -> String {
        format!("{:?}", parse::<Said>(bytes).err())
    }

    #[test]
    fn a_bad_body_is_explained_without_quoting_it() {
        assert!(text_of(b"{\"text\": \"hi\xff\"}").contains("not UTF-8: byte 12"));
        assert!(text_of(b"{\"text\": ").contains("not JSON: line 1"));
        assert!(text_of(b"{}").contains("missing field `text`"));
        let wrong = text_of(b"\"abandon abandon about\"");
        assert!(wrong.contains("wrong type") && !wrong.contains("abandon"), "{wrong}");
    }

    #[test]
    fn header_and_body_must_name_the_same_key() {
        let headers = |key: &str| HeaderMap::from_iter([("idempotency-key".parse().unwrap(), key.parse().unwrap())]);
        assert_eq!(idempotency_key(&headers("a"), None).unwrap().unwrap(), "a");
        assert_eq!(idempotency_key(&headers("a"), Some("a".into())).unwrap().unwrap(), "a");
        assert_eq!(idempotency_key(&HeaderMap::new(), Some("b".into())).unwrap().unwrap(), "b");
        assert!(idempotency_key(&headers("a"), Some("b".into())).is_err());
        assert!(idempotency_key(&HeaderMap::new(), Some(String::new())).is_err());
    }
}
