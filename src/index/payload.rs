//! How does a point look inside the engine? Names of payload fields and vectors, numbers for days, terms as columns: the same
//! on both bodies.

use jiff::civil::Date;

use super::{Hit, Point, Vector};
use crate::{
    error::{Error, Result},
    words::Span,
};

/// Payload keys, the same on both bodies.
pub(super) mod field {
    pub const DOCUMENT: &str = "document";
    pub const REVISION: &str = "revision";
    pub const LANG: &str = "lang";
    pub const KIND: &str = "kind";
    pub const AUDIENCE: &str = "audience";
    pub const TAGS: &str = "tags";
    pub const PRODUCT: &str = "product";
    pub const FROM: &str = "from";
    pub const UNTIL: &str = "until";
    pub const ROLE: &str = "role";
    pub const ORDINAL: &str = "ordinal";
    pub const START: &str = "start";
    pub const END: &str = "end";

    /// Fields that are compared as words. They get a payload index.
    pub const KEYWORDS: [&str; 7] = [DOCUMENT, LANG, KIND, AUDIENCE, TAGS, PRODUCT, ROLE];
    /// Fields that are compared as numbers. They get one too.
    pub const INTEGERS: [&str; 2] = [FROM, UNTIL];
}

/// Names of the vectors, the same on both bodies.
pub(super) mod vector_name {
    pub const QUESTION: &str = "question";
    pub const PASSAGE: &str = "passage";
    pub const TERMS: &str = "terms";
}

impl Vector {
    /// The named vectors to search.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Vector::Question => &[vector_name::QUESTION],
            Vector::Passage => &[vector_name::PASSAGE],
            Vector::Both => &[vector_name::QUESTION, vector_name::PASSAGE],
        }
    }
}

/// How wide the graph is searched: the number of candidates kept while walking it. Below it recall falls.
pub(super) const GRAPH_WIDTH: usize = 128;

/// A product that stands for "every product", so that the filter is one "any of" and needs no "is empty".
pub(super) const ANY_PRODUCT: &str = "";

/// A day as a number that sorts like the day: 2026-11-22 is 20261122.
pub(super) fn day_number(day: Date) -> i64 {
    i64::from(day.year()) * 10_000 + i64::from(day.month()) * 100 + i64::from(day.day())
}

/// What a point carries besides its vectors: identifiers, offsets and what filters need.
pub(super) fn payload_of(point: &Point) -> serde_json::Map<String, serde_json::Value> {
    use serde_json::Value;
    let mut payload = serde_json::Map::new();
    let mut put = |key: &str, value: Value| payload.insert(key.into(), value);
    put(field::DOCUMENT, point.document.as_str().into());
    put(field::REVISION, point.revision.as_str().into());
    put(field::LANG, point.lang.as_str().into());
    put(field::KIND, point.kind.as_str().into());
    put(field::AUDIENCE, point.audience.as_str().into());
    put(field::TAGS, point.tags.clone().into());
    put(field::PRODUCT, point.product.as_deref().unwrap_or(ANY_PRODUCT).into());
    put(field::FROM, day_number(point.valid_from.unwrap_or(Date::MIN)).into());
    put(field::UNTIL, day_number(point.valid_until.unwrap_or(Date::MAX)).into());
    put(field::ROLE, point.role.as_str().into());
    put(field::ORDINAL, point.ordinal.into());
    if let Some(span) = point.span {
        put(field::START, span.start.into());
        put(field::END, span.end.into());
    }
    payload
}

/// Reads a payload back. What we wrote ourselves and cannot read is damage, not "no hit".
pub(super) fn hit_of<S>(payload: &serde_json::Map<String, serde_json::Value>, score: S) -> Result<Hit<S>> {
    let text = |key: &'static str| {
        payload.get(key).and_then(|value| value.as_str()).ok_or_else(|| damaged(format!("a point without `{key}`")))
    };
    let number = |key: &'static str| payload.get(key).and_then(|value| value.as_u64());
    let span = match (number(field::START), number(field::END)) {
        (Some(start), Some(end)) => Some(Span { start: start as usize, end: end as usize }),
        _ => None,
    };
    Ok(Hit {
        document: text(field::DOCUMENT)?.to_owned(),
        revision: text(field::REVISION)?.to_owned(),
        lang: text(field::LANG)?.parse()?,
        kind: text(field::KIND)?.parse()?,
        audience: text(field::AUDIENCE)?.parse()?,
        role: text(field::ROLE)?.parse()?,
        ordinal: number(field::ORDINAL).ok_or_else(|| damaged("a point without `ordinal`".into()))? as u32,
        span,
        score,
    })
}

pub(super) fn damaged(what: String) -> Error {
    Error::Index { act: "reading", cause: what.into() }
}

/// Terms with their weights as two columns, sorted, without repeats: what both engines want.
pub(super) fn columns(terms: &[(u32, f32)]) -> (Vec<u32>, Vec<f32>) {
    let mut sorted = std::collections::BTreeMap::<u32, f32>::new();
    for (term, weight) in terms {
        *sorted.entry(*term).or_default() += weight;
    }
    sorted.into_iter().unzip()
}
