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

mod marker;

mod payload;

mod point;

pub mod server;

mod shard;

pub mod statistics;

mod terms;

mod wallet_words;

use std::path::Path;

pub use self::{
    marker::{BuildTimes, Marker, Rebuild},
    point::{Bm25, Cosine, Filter, Hit, Point, Role, Vector},
};
use crate::{error::Result, words::Lang};

/// Keeps the engine's log to what matters: it warns about its own start at every shard. For a log filter, before the level.
pub const QUIET_ENGINE: &str = "qdrant_edge=error";

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
