//! Deskhand answers a product's support questions from the product's own documents, and hands over to a
//! person, with a written case, when it is not sure enough. This page is the map; there is no code here.
//!
//! | room | question it answers |
//! | --- | --- |
//! | [`turn`] | What do we reply? Start here: [`turn::Bot::turn`] |
//! | [`safety`] | What must never pass? |
//! | [`model`] | How do weights run? The only room that knows candle |
//! | [`index`] | Which points are near? The only room that knows Qdrant |
//! | [`knowledge`] | How do documents become points? |
//! | [`store`] | What survives a restart? The only room that knows SQL |
//! | [`desk`] | Who takes over? |
//! | [`http`] | How do people reach us? The only room that knows axum |
//! | [`eval`] | Are we good? |
//! | [`cli`], [`config`], [`error`] | What was typed, what it means, what went wrong |
//!
//! Arrows point one way: `cli` -> `http`, `eval` -> `turn`, `knowledge`, `desk` -> `model`, `index`, `store` -> `config`,
//! `safety`, `words`, `error`; `desk` also uses `turn` and `knowledge`, and documents (`words`) are made of masked text (`safety`)
//! with spans. `tests/it/tidy.rs` holds `src/` to it. Invariants: text reaches a sink only as [`safety::Masked`]; a failed search is an error,
//! never "no passages"; the eval suite, the test page and the live chat run the same [`turn::Bot::turn`].

pub mod turn;

pub mod safety;

pub mod model;

pub mod index;

pub mod knowledge;

pub mod store;

pub mod desk;

pub mod http;

pub mod eval;

pub mod cli;

pub mod config;

pub mod words;

pub mod error;
