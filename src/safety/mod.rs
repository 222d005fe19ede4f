//! WHAT MUST NEVER PASS? Masked text is the only text that the other rooms take.
//!
//! [`mask`] is the one door: it finds secrets and replaces them by typed, numbered masks such as
//! `[seed phrase 1]`. There is no other way to make a [`Masked`] from a customer's words.
//!
//! fold -> seed phrases, keys, cards, codes, contacts -> overlaps settled -> masks written
//!
//! What an agent needs stays: addresses, transaction hashes and order numbers ([`identifiers`]). Text that tries to
//! give orders is only told apart here ([`injection`]); what follows from it is for `turn` to say.
//!
//! A raw text is never stored. A phrase that is split over messages is put together while the newest of them is still
//! in hand ([`incoming`]), and the earlier ones are masked further where they are stored. Contact data is masked like a
//! secret and may be kept beside the text, sealed ([`contact`]).

pub mod contact;

pub mod identifiers;

pub mod incoming;

pub mod injection;

mod encoded;

mod fold;

mod grouped;

mod keys;

mod numbers;

mod phrase_lists;

mod repeats;

mod secrets;

mod seed_han;

mod seed_phrase;

mod split;

mod split_han;

mod talk;

mod told;

use std::collections::BTreeMap;

pub use phrase_lists::is_chinese_word;

use serde::{Deserialize, Serialize};

/// Text without secrets. Made by [`mask`] and [`mask_document`] only; read back from the store as it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Masked(String);

impl Masked {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What was taken out: each kind with the number of its masks, by name. Read from the text itself, so it holds for
    /// a text that comes back from the store.
    pub fn redactions(&self) -> Vec<(&'static str, usize)> {
        let mut counts = BTreeMap::new();
        for (kind, _, _) in secrets::masks_in(&self.0) {
            *counts.entry(kind.name()).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }
}

impl std::fmt::Display for Masked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Several masked texts as one.
pub fn join<'m>(texts: impl Iterator<Item = &'m Masked>, between: &str) -> Masked {
    Masked(texts.map(Masked::as_str).collect::<Vec<_>>().join(between))
}

/// Finds and replaces every secret and every piece of contact data: for what a customer or an agent writes.
pub fn mask(text: &str) -> Masked {
    Masked(secrets::replace(text, secrets::Source::Person))
}

/// Finds and replaces secrets in an approved document. Phone numbers, e-mail addresses and bare hashes stay: a document
/// is published, and its contacts are the official ones.
pub fn mask_document(text: &str) -> Masked {
    Masked(secrets::replace(text, secrets::Source::Document))
}
