//! WHICH POINTS ARE NEAR? The only room that knows Qdrant.
//!
//! A document becomes several [`Point`]s: its question, every alias, each short line and each chunk of its body, and
//! the whole of it as terms.
//! A point holds numbers and identifiers, never text: a leak through the index is impossible by construction.
//!
//! ```text
//! publish -> rebuild | update -> [new folder or collection] -> flush, optimise, marker -> one swap
//! turn    -> search_dense | search_terms -> Hit<Cosine> | Hit<Bm25>, raw scores, best first
//! ```
//!
//! The index is derived: the store is the truth, and a [`Marker`] says what the index was made from. Two bodies:
//! [`embedded`] (the engine as a library, the default) and [`server`] (a Qdrant server or cluster).
//! Invariants: a search that failed is an error, never an empty list; a search during a rebuild or an update sees
//! all of the old points or all of the new ones; equal points give equal raw scores on both bodies.

pub mod bench;

pub mod embedded;

mod folder;

pub mod keywords;

pub mod server;

mod shard;

pub mod statistics;

mod terms;

mod wallet_words;

use std::{collections::HashSet, path::Path};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    words::{Audience, Kind, Lang, Span},
};

/// Where the points are.
#[derive(Debug, Clone)]
pub enum Index {
    /// In this process, in a folder.
    Embedded(embedded::Embedded),
    /// On a Qdrant server or cluster.
    Server(server::Server),
}

/// What [`Index::open_embedded`] and [`Index::connect`] found.
#[derive(Debug)]
pub struct Opened {
    /// The index. Searching it is an error while `rebuild` says that it must be built first.
    pub index: Index,
    /// Why the index must be rebuilt before it can be searched; `None` when it is ready.
    pub rebuild: Option<Rebuild>,
}

/// Why an index cannot be used as it was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rebuild {
    /// There is no marker: nothing was ever built here, or the first build was cut.
    #[error("no index has been built yet")]
    Missing,
    /// Built with other weights: its vectors mean nothing to ours.
    #[error("built with embedder `{found}`, now it is `{expected}`")]
    Fingerprint {
        /// What the marker says.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// Built with vectors of another length.
    #[error("built with {found} dimensions, now there are {expected}")]
    Dimensions {
        /// What the marker says.
        found: usize,
        /// What was asked for.
        expected: usize,
    },
    /// The engine holds another number of points than the marker promises.
    #[error("{found} points found, the marker promises {expected}")]
    Count {
        /// What the engine holds.
        found: usize,
        /// What the marker says.
        expected: usize,
    },
    /// The files, or the marker, cannot be read.
    #[error("damaged: {0}")]
    Damaged(String),
}

/// What the index was made from. Written after the points are safe; a mismatch at start means rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The caller's name for this state of the documents, for instance a revision number or a content hash.
    pub generation: String,
    /// The embedder's fingerprint.
    pub fingerprint: String,
    /// Length of the dense vectors.
    pub dimensions: usize,
    /// How many points there are.
    pub count: usize,
}

impl Marker {
    /// The marker in a folder of the embedded index, without opening it.
    pub fn read(folder: &Path) -> Option<Marker> {
        folder::read_marker(folder).ok().map(|on_disk| on_disk.marker)
    }

    fn check(&self, dimensions: usize, fingerprint: &str) -> Result<(), Rebuild> {
        if self.fingerprint != fingerprint {
            return Err(Rebuild::Fingerprint { found: self.fingerprint.clone(), expected: fingerprint.to_owned() });
        }
        if self.dimensions != dimensions {
            return Err(Rebuild::Dimensions { found: self.dimensions, expected: dimensions });
        }
        Ok(())
    }
}

/// The steps of a build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildTimes {
    /// Writing the points.
    pub ingest_ms: u64,
    /// Building the graph, and making everything durable.
    pub optimise_ms: u64,
    /// Closing, loading and swapping.
    pub swap_ms: u64,
}

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
    /// The tf part of BM25 for each term, as made by [`keywords::Frequencies::weigh_point`].
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
    fn check(&self, dimensions: usize) -> Result<()> {
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

/// A BM25 score: from 0 to the query's [`keywords::Frequencies::self_score`] and a little above.
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

impl Index {
    /// Opens the index in `folder`, making the folder when it is not there. `dimensions` and `fingerprint` are the
    /// embedder's. An error means that the folder cannot be used at all; anything that a rebuild mends is in
    /// [`Opened::rebuild`]. When another process has the folder, its points are searched in a private copy, and
    /// writing is an error.
    pub fn open_embedded(folder: &Path, dimensions: usize, fingerprint: &str) -> Result<Opened> {
        embedded::Embedded::open(folder, dimensions, fingerprint)
    }

    /// Connects to a Qdrant server (gRPC, port 6334). `alias` is the one name that searches use; each generation
    /// is a collection behind it.
    pub async fn connect(server: server::Address, dimensions: usize, fingerprint: &str) -> Result<Opened> {
        server::Server::connect(server, dimensions, fingerprint).await
    }

    /// The points nearest to `query` (unit length), best first. `exact` compares with every point instead of
    /// walking the graph.
    pub async fn search_dense(
        &self,
        which: Vector,
        query: &[f32],
        filter: &Filter,
        limit: usize,
        exact: bool,
    ) -> Result<Vec<Hit<Cosine>>> {
        match self {
            Index::Embedded(index) => index.search_dense(which, query, filter, limit, exact).await,
            Index::Server(index) => index.search_dense(which, query, filter, limit, exact).await,
        }
    }

    /// The same through the graph, each hit with its stored vector (unit length): for rankings that compare the hits
    /// with each other.
    pub async fn search_dense_with_vectors(
        &self,
        which: Vector,
        query: &[f32],
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<(Hit<Cosine>, Vec<f32>)>> {
        match self {
            Index::Embedded(index) => index.search_dense_with_vectors(which, query, filter, limit).await,
            Index::Server(index) => index.search_dense_with_vectors(which, query, filter, limit).await,
        }
    }

    /// The points with the highest sum of query weight times point weight over shared terms, best first; always
    /// exact. `query` comes from [`keywords::Frequencies::query`]; without terms nothing can be found.
    pub async fn search_terms(&self, query: &[(u32, f32)], filter: &Filter, limit: usize) -> Result<Vec<Hit<Bm25>>> {
        match self {
            Index::Embedded(index) => index.search_terms(query, filter, limit).await,
            Index::Server(index) => index.search_terms(query, filter, limit).await,
        }
    }

    /// Replaces everything by `points` at once. Searches go on with the old points until the swap.
    pub async fn rebuild(&self, generation: &str, points: Vec<Point>) -> Result<()> {
        match self {
            Index::Embedded(index) => index.rebuild(generation, points).await,
            Index::Server(index) => index.rebuild(generation, points).await,
        }
    }

    /// Removes the documents in `delete`, and those that `upsert` brings points of, then adds `upsert`; at once for
    /// searches. Works on a copy of the current points.
    pub async fn update(&self, generation: &str, upsert: Vec<Point>, delete: Vec<(String, Lang)>) -> Result<()> {
        match self {
            Index::Embedded(index) => index.update(generation, upsert, delete).await,
            Index::Server(index) => index.update(generation, upsert, delete).await,
        }
    }

    /// A handle that keeps searching the points in service now, whatever comes after them: a turn makes several searches,
    /// and documents and points must fit. The old points go with the last such handle. A server's alias cannot be
    /// held back: there the handle is as any other.
    pub fn pinned(&self) -> Index {
        match self {
            Index::Embedded(index) => Index::Embedded(index.pinned()),
            Index::Server(index) => Index::Server(index.clone()),
        }
    }

    /// Whether this process may write. Of the processes on one folder the first may; a server takes anyone's writes.
    pub fn is_ours(&self) -> bool {
        match self {
            Index::Embedded(index) => index.is_ours(),
            Index::Server(_) => true,
        }
    }

    /// For a process that may not write: waits, 2 s at most, until the one that may has put `generation` in service, and
    /// searches that from now on. `false` where it has not; it may also be gone, and the index be ours now.
    pub async fn follow(&self, generation: &str) -> Result<bool> {
        match self {
            Index::Embedded(index) => index.follow(generation).await,
            Index::Server(_) => Ok(false),
        }
    }

    /// How many points there are.
    pub async fn count(&self) -> Result<usize> {
        match self {
            Index::Embedded(index) => index.count().await,
            Index::Server(index) => index.count().await,
        }
    }

    /// What the points being searched were made from; `None` before the first build.
    pub fn marker(&self) -> Option<Marker> {
        match self {
            Index::Embedded(index) => index.marker(),
            Index::Server(index) => index.marker(),
        }
    }

    /// How long the last rebuild or update of this process took; only the embedded index counts.
    pub fn last_build(&self) -> Option<BuildTimes> {
        match self {
            Index::Embedded(index) => index.last_build(),
            Index::Server(_) => None,
        }
    }

    /// Whether a search would work now; the error says why not.
    pub async fn healthy(&self) -> Result<()> {
        match self {
            Index::Embedded(index) => index.count().await.map(|_| ()),
            Index::Server(index) => index.refresh().await,
        }
    }

    /// Waits for the writer to finish and lets go of the files. Searches after it are errors. Whoever holds a
    /// [pinned](Index::pinned) handle lets go of it first.
    pub async fn close(&self) -> Result<()> {
        match self {
            Index::Embedded(index) => index.close().await,
            Index::Server(_) => Ok(()),
        }
    }
}

/// Payload keys, the same on both bodies.
mod field {
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
mod vector_name {
    pub const QUESTION: &str = "question";
    pub const PASSAGE: &str = "passage";
    pub const TERMS: &str = "terms";
}

impl Vector {
    /// The named vectors to search.
    fn names(self) -> &'static [&'static str] {
        match self {
            Vector::Question => &[vector_name::QUESTION],
            Vector::Passage => &[vector_name::PASSAGE],
            Vector::Both => &[vector_name::QUESTION, vector_name::PASSAGE],
        }
    }
}

/// How wide the graph is searched: the number of candidates kept while walking it. Below it recall falls.
const GRAPH_WIDTH: usize = 128;

/// A product that stands for "every product", so that the filter is one "any of" and needs no "is empty".
const ANY_PRODUCT: &str = "";

/// A day as a number that sorts like the day: 2026-11-22 is 20261122.
fn day_number(day: Date) -> i64 {
    i64::from(day.year()) * 10_000 + i64::from(day.month()) * 100 + i64::from(day.day())
}

/// What a point carries besides its vectors: identifiers, offsets and what filters need.
fn payload_of(point: &Point) -> serde_json::Map<String, serde_json::Value> {
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
fn hit_of<S>(payload: &serde_json::Map<String, serde_json::Value>, score: S) -> Result<Hit<S>> {
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

fn damaged(what: String) -> Error {
    Error::Index { act: "reading", cause: what.into() }
}

/// Every point well formed, and no two of them in one place.
fn check_points(points: &[Point], dimensions: usize) -> Result<()> {
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
fn check_vector(vector: &[f32], dimensions: usize, may_be_empty: bool) -> Result<()> {
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

/// Terms with their weights as two columns, sorted, without repeats: what both engines want.
fn columns(terms: &[(u32, f32)]) -> (Vec<u32>, Vec<f32>) {
    let mut sorted = std::collections::BTreeMap::<u32, f32>::new();
    for (term, weight) in terms {
        *sorted.entry(*term).or_default() += weight;
    }
    sorted.into_iter().unzip()
}

/// Best first; equal scores in the order of document, language, role and ordinal, so that a search repeats itself.
fn rank<T, S>(found: &mut Vec<T>, limit: usize, hit: impl Fn(&T) -> &Hit<S>, score: impl Fn(&S) -> f32) {
    found.sort_by(|a, b| {
        let (a, b) = (hit(a), hit(b));
        score(&b.score)
            .total_cmp(&score(&a.score))
            .then_with(|| (&a.document, a.lang, a.role, a.ordinal).cmp(&(&b.document, b.lang, b.role, b.ordinal)))
    });
    found.truncate(limit);
}
