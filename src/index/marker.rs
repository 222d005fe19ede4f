//! What was the index made from, and can it be used as it is?

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::folder;
use crate::error::Result;

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

    pub(super) fn check(&self, dimensions: usize, fingerprint: &str) -> Result<(), Rebuild> {
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
