//! WHICH PUBLIC IDENTIFIERS STAND IN A TEXT? Addresses, transaction hashes, order numbers: an agent needs them, so they
//! are never masked, and the case lists them.

use serde::{Deserialize, Serialize};

use crate::words::Span;

/// A chain, as far as an address tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chain {
    /// Ethereum and every network with its addresses.
    Evm,
    /// Bitcoin.
    Bitcoin,
    /// TRON.
    Tron,
    /// Solana.
    Solana,
}

/// What an identifier names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum IdentifierKind {
    /// A transaction.
    TxHash,
    /// An account or contract.
    Address {
        /// Where it lives.
        chain: Chain,
    },
    /// An order, ticket or transfer number of a company.
    Order,
}

/// One identifier in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identifier {
    /// What it names.
    pub kind: IdentifierKind,
    /// Where it stands, in code points.
    pub span: Span,
}

/// The identifiers of a text, in order, without overlaps.
pub fn find(_text: &str) -> Vec<Identifier> {
    Vec::new()
}
