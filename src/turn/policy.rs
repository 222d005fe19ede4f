//! How a bot behaves: what the settings say about turns.

use std::collections::BTreeMap;

use crate::words::Lang;

/// How a bot behaves; each value comes from the settings.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Longest message, in characters.
    pub limit_characters: usize,
    /// Messages that one conversation may hold before a person takes over.
    pub limit_messages: usize,
    /// Turns that may wait or run at once.
    pub limit_turns: usize,
    /// Compose answers with the generator instead of quoting.
    pub composed: bool,
    /// Longest composed answer, in tokens.
    pub limit_answer_tokens: usize,
    /// Language of the cases; `None` for the customer's own.
    pub case_lang: Option<Lang>,
    /// When people are there, in words; empty promises nothing.
    pub hours: BTreeMap<Lang, String>,
    /// Only documents about this product, or about none in particular.
    pub product: Option<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            limit_characters: 4000,
            limit_messages: 400,
            limit_turns: 256,
            composed: false,
            limit_answer_tokens: 220,
            case_lang: None,
            hours: BTreeMap::new(),
            product: None,
        }
    }
}
