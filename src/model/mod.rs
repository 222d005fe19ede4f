//! HOW DO WEIGHTS RUN? The only room that knows candle.
//!
//! ```text
//! manifest -> files (cache, sources, import) -> embedder, generator -> one thread each -> Embedder, Generator
//! ```
//! [`files::Models`] brings the weights, [`Embed`] and [`Generate`] run them (in this process, on a remote server, or
//! scripted for tests), and the handles [`Embedder`] and [`Generator`] are what the rest of the program holds.
//! Invariants: one thread owns one model; a full queue is [`Busy`](crate::error::Error::Busy), never an endless wait; work for a
//! client that has left is dropped; a text is never cut in silence.

pub mod files;

pub mod manifest;

pub mod progress;

mod sources;

mod import;

mod gguf;

mod tokenizer;

mod kernels;

mod fused;

mod attention;

mod adapter;

pub mod embedder;

pub mod generator;

pub mod decode;

mod byte_pairs;

mod chat_format;

pub mod bench;

pub mod remote;

pub mod scripted;

mod embed_thread;

mod generate_thread;

use std::{ops::ControlFlow, sync::Arc};

pub use embed_thread::Embedder;
pub use generate_thread::{Ask, Generator, Piece, Pieces};

use self::decode::{Constraint, Vocabulary};
use crate::{error::Result, safety::Masked};

/// Counts the tokens of a text, from any thread.
pub type TokenCounter = Arc<dyn Fn(&str) -> usize + Send + Sync>;

/// Which side of a search a text is on; embedders are trained with a prefix for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// What the customer asks.
    Query,
    /// What a document says.
    Passage,
}

/// What an embedder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedAbilities {
    /// Length of a vector.
    pub dims: usize,
    /// Longest text in tokens that is read in one piece, prefix, start and end included.
    pub limit_tokens: usize,
    /// Names the weights. Vectors of two fingerprints cannot be compared: the index is rebuilt.
    pub fingerprint: String,
}

/// Text to vector. Three bodies: candle, a remote server, a script for tests.
///
/// Blocking on purpose: an embedder owns one thread and is reached through [`Embedder`].
pub trait Embed: Send {
    /// One vector of length 1 per text, in order.
    fn embed(&mut self, side: Side, texts: &[&str]) -> Result<Vec<Vec<f32>>>;

    /// Counts tokens, without prefix, start and end; callable while the model is busy.
    fn counter(&self) -> TokenCounter;

    /// What it is. No default: a wrong guess would mix vectors that cannot be compared.
    fn abilities(&self) -> EmbedAbilities;

    /// Tokens of `text`, without prefix, start and end.
    fn count_tokens(&self, text: &str) -> usize {
        (self.counter())(text)
    }
}

/// Who speaks a message of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// We, setting the rules.
    System,
    /// The customer, or we in their place.
    User,
    /// The model.
    Assistant,
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub speaker: Speaker,
    /// What is said. Control tokens in it are broken apart.
    pub text: Masked,
}

/// What a generator goes on from; the model's own chat format turns it into tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompt {
    /// In order; the model speaks next.
    pub messages: Vec<Message>,
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The model was done.
    End,
    /// The limit was reached: the last sentence may be cut.
    Limit,
    /// Nobody wanted to hear more.
    Cancelled,
    /// The constraint forbade every token.
    Stuck,
}

/// What a generator is.
#[derive(Clone)]
pub struct GenerateAbilities {
    /// The model's name, for logs and certificates.
    pub name: String,
    /// Prompt and reply together, in tokens.
    pub limit_tokens: usize,
    /// Whether a constraint is obeyed; a remote server cannot.
    pub obeys_constraints: bool,
    /// Its tokens, for those who constrain it.
    pub vocabulary: Option<Arc<Vocabulary>>,
}

/// A language model that continues a prompt. Three bodies: candle, a remote server, a script for tests.
///
/// Blocking on purpose: a generator owns one thread and is reached through [`Generator`].
pub trait Generate: Send {
    /// Continues `prompt` under `constraint` and hands each piece of text to `on_text`, until end of text,
    /// `limit_tokens`, or `on_text` breaks. `on_text` is also called with nothing, to ask whether to go on.
    fn generate(
        &mut self,
        prompt: &Prompt,
        constraint: Option<&mut dyn Constraint>,
        limit_tokens: usize,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Stop>;

    /// What it is. No default: a wrong guess truncates in silence.
    fn abilities(&self) -> GenerateAbilities;
}
