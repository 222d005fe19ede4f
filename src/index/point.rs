//! What is searched, and what is found? Points, the conditions on them, and hits with their raw scores.

use std::collections::HashSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    words::{Audience, Kind, Lang, Span},
};

/// Which text of the document a point was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The document's question, or its title.
    Question,
    /// Another phrasing of the question.
    Alias,
    /// One short line of the body.
    Line,
    /// A chunk of the body.
    Chunk,
    /// Everything the document says, its question several times: found by its terms only, without a vector.
    Whole,
}

impl Role {
    /// All of them, in the order of the enum.
    pub const ALL: [Role; 5] = [Role::Question, Role::Alias, Role::Line, Role::Chunk, Role::Whole];

    /// The lowercase word, as in the payload.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Question => "question",
            Role::Alias => "alias",
            Role::Line => "line",
            Role::Chunk => "chunk",
            Role::Whole => "whole",
        }
    }

    /// The named vector that a point of this role fills: questions are compared with questions, passages with passages.
    pub fn vector(self) -> Vector {
        match self {
            Role::Question | Role::Alias => Vector::Question,
            Role::Line | Role::Chunk | Role::Whole => Vector::Passage,
        }
    }
}

impl std::str::FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| Error::invalid("the role", format!("`{text}`"), "question, alias, line, chunk or whole"))
    }
}

/// The named dense vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vector {
    /// Questions and aliases.
    Question,
    /// Lines and chunks.
    Passage,
    /// Every point, whichever of the two it has.
    Both,
}

/// One text of one document, as numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The document's id.
    pub document: String,
    /// The document's revision.
    pub revision: String,
    /// The document's language. `(document, lang)` names a document.
    pub lang: Lang,
    /// The document's kind.
    pub kind: Kind,
    /// Who may see it.
    pub audience: Audience,
    /// Topics.
    pub tags: Vec<String>,
    /// The product it is about; `None` holds for every product.
    pub product: Option<String>,
    /// First day on which it holds.
    pub valid_from: Option<Date>,
    /// Last day on which it holds.
    pub valid_until: Option<Date>,
    /// Which text of the document this is.
    pub role: Role,
    /// Counts the texts of one role in one document, from 0.
    pub ordinal: u32,
    /// Where the text stands in the body; `None` for questions and aliases.
    pub span: Option<Span>,
    /// Unit length; goes to the named vector of the role. Empty when there is no embedder: then the point is found
    /// by its terms only.
    pub vector: Vec<f32>,
    /// The tf part of BM25 for each term, as made by [`Frequencies::weigh_point`](super::keywords::Frequencies::weigh_point).
    pub terms: Vec<(u32, f32)>,
}

impl Point {
    /// The same for the same document, language, role and ordinal: writing a point again replaces it.
    pub fn id(&self) -> Uuid {
        let mut hash = Sha256::new();
        for part in [self.document.as_str(), self.lang.as_str(), self.role.as_str(), &self.ordinal.to_string()] {
            hash.update((part.len() as u64).to_be_bytes()); // No two lists of parts run together.
            hash.update(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// Refuses what the engine would store in silence and then score as nonsense.
    pub(super) fn check(&self, dimensions: usize) -> Result<()> {
        check_vector(&self.vector, dimensions, true)?;
        if self.terms.iter().any(|(_, weight)| !weight.is_finite()) {
            return Err(Error::invalid("a term weight", "not a finite number", "a finite number"));
        }
        Ok(())
    }
}

/// Conditions on the points to search; an empty one is no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this language.
    pub lang: Option<Lang>,
    /// One of these kinds.
    pub kinds: Vec<Kind>,
    /// Only this audience.
    pub audience: Option<Audience>,
    /// At least one of these tags.
    pub tags: Vec<String>,
    /// About this product, or about no product in particular.
    pub product: Option<String>,
    /// Holds on this day.
    pub on: Option<Date>,
    /// Made from one of these texts.
    pub roles: Vec<Role>,
}

impl Filter {
    /// Whether a point passes. The engines evaluate the same conditions; this is their specification.
    pub fn admits(&self, point: &Point) -> bool {
        self.lang.is_none_or(|lang| point.lang == lang)
            && (self.roles.is_empty() || self.roles.contains(&point.role))
            && (self.kinds.is_empty() || self.kinds.contains(&point.kind))
            && self.audience.is_none_or(|audience| point.audience == audience)
            && (self.tags.is_empty() || self.tags.iter().any(|tag| point.tags.contains(tag)))
            && self.product.as_ref().is_none_or(|product| point.product.as_ref().is_none_or(|own| own == product))
            && self.on.is_none_or(|day| {
                point.valid_from.is_none_or(|from| from <= day) && point.valid_until.is_none_or(|until| day <= until)
            })
    }
}

/// The cosine of two unit vectors, in [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cosine(pub f32);

/// A BM25 score: from 0 to the query's [`Frequencies::self_score`](super::keywords::Frequencies::self_score) and a little above.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bm25(pub f32);

/// A point that was found. `S` is [`Cosine`] or [`Bm25`]: the one generic type of the room, so that two scales
/// cannot be compared by mistake.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit<S> {
    /// The document's id.
    pub document: String,
    /// The document's revision at the time it was indexed.
    pub revision: String,
    /// The document's language.
    pub lang: Lang,
    /// The document's kind.
    pub kind: Kind,
    /// Who may see it.
    pub audience: Audience,
    /// Which text of the document was found.
    pub role: Role,
    /// Which of the texts of that role.
    pub ordinal: u32,
    /// Where it stands in the body.
    pub span: Option<Span>,
    /// The raw score.
    pub score: S,
}

/// Every point well formed, and no two of them in one place.
pub(super) fn check_points(points: &[Point], dimensions: usize) -> Result<()> {
    let mut ids = HashSet::with_capacity(points.len());
    for point in points {
        point.check(dimensions)?;
        if !ids.insert(point.id()) {
            let what = format!("the points of `{}` ({})", point.document, point.lang);
            let found = format!("{} {} twice", point.role.as_str(), point.ordinal);
            return Err(Error::invalid(what, found, "each ordinal once"));
        }
    }
    Ok(())
}

/// A vector of another length, or with a hole in it, would be scored as nonsense.
pub(super) fn check_vector(vector: &[f32], dimensions: usize, may_be_empty: bool) -> Result<()> {
    let expected = || format!("{dimensions} finite numbers, not all zero");
    if may_be_empty && vector.is_empty() {
        return Ok(());
    }
    if vector.len() != dimensions {
        return Err(Error::invalid("a vector", format!("{} numbers", vector.len()), expected()));
    }
    if vector.iter().any(|number| !number.is_finite()) {
        return Err(Error::invalid("a vector", "a number that is not finite", expected()));
    }
    if vector.iter().all(|number| *number == 0.0) {
        return Err(Error::invalid("a vector", "zeros only", expected()));
    }
    Ok(())
}

/// Best first; equal scores in the order of document, language, role and ordinal, so that a search repeats itself.
pub(super) fn rank<T, S>(found: &mut Vec<T>, limit: usize, hit: impl Fn(&T) -> &Hit<S>, score: impl Fn(&S) -> f32) {
    found.sort_by(|a, b| {
        let (a, b) = (hit(a), hit(b));
        score(&b.score)
            .total_cmp(&score(&a.score))
            .then_with(|| (&a.document, a.lang, a.role, a.ordinal).cmp(&(&b.document, b.lang, b.role, b.ordinal)))
    });
    found.truncate(limit);
}
