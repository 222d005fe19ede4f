//! Which token comes next, and which text is it? Logits -> constraint -> token; tokens -> whole characters.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use candle_transformers::generation::LogitsProcessor;
use tokenizers::Tokenizer;

use crate::error::{Error, Result};

/// Says which tokens may come next.
pub trait Constraint: Send {
    /// Sets the logit of every forbidden token to negative infinity. `generated`: the tokens of the reply so far.
    fn allowed(&mut self, generated: &[u32], logits: &mut [f32]);
}

/// How a token is chosen among the allowed ones.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Sampling {
    /// The most likely one.
    #[default]
    Greedy,
    /// By chance; the same seed gives the same text.
    Random {
        /// Starts the chance anew for each reply.
        seed: u64,
        /// Above 0; small is careful.
        temperature: f64,
        /// In (0, 1]: the most likely tokens that together have this probability.
        top_p: f64,
    },
}

/// Chooses tokens for one reply.
pub(super) struct Chooser {
    random: Option<LogitsProcessor>,
}

impl Chooser {
    pub(super) fn new(sampling: Sampling) -> Self {
        let random = match sampling {
            Sampling::Greedy => None,
            Sampling::Random { seed, temperature, top_p } => {
                Some(LogitsProcessor::new(seed, Some(temperature), Some(top_p)))
            }
        };
        Chooser { random }
    }

    /// The next token, or `None` when everything is forbidden.
    pub(super) fn choose(&mut self, logits: &[f32]) -> Result<Option<u32>> {
        let (mut best, mut most) = (None, f32::NEG_INFINITY);
        for (id, logit) in logits.iter().enumerate() {
            if *logit > most {
                (best, most) = (Some(id as u32), *logit);
            }
        }
        let (Some(random), Some(_)) = (&mut self.random, best) else { return Ok(best) };
        let logits = Tensor::from_slice(logits, logits.len(), &Device::Cpu);
        let chosen = logits.and_then(|logits| random.sample(&logits));
        chosen.map(Some).map_err(Error::inference("the sampler"))
    }
}

/// A generator's tokens, for those who constrain it.
pub struct Vocabulary {
    tokenizer: Tokenizer,
    stops: Vec<u32>,
}

impl Vocabulary {
    pub(super) fn new(tokenizer: Tokenizer, stops: Vec<u32>) -> Arc<Self> {
        Arc::new(Vocabulary { tokenizer, stops })
    }

    /// How many tokens there are.
    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The tokens that end a reply.
    pub fn stops(&self) -> &[u32] {
        &self.stops
    }

    /// The tokens of a text that is the model's own or already neutralised: control tokens are recognised.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, false);
        encoding.map(|encoding| encoding.get_ids().to_vec()).map_err(Error::inference("the tokenizer"))
    }

    /// The text of some tokens; control tokens have none, half a character is `U+FFFD`.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.tokenizer.decode(ids, true).map_err(Error::inference("the tokenizer"))
    }
}

/// Turns tokens into text as they come, holding back half characters.
pub(super) struct Pieces<'v> {
    vocabulary: &'v Vocabulary,
    ids: Vec<u32>,
    /// Tokens before this one are printed and no longer looked at.
    from: usize,
    /// Tokens before this one are printed; those since `from` are kept because a token's text depends on its neighbours.
    printed: usize,
}

impl<'v> Pieces<'v> {
    pub(super) fn new(vocabulary: &'v Vocabulary) -> Self {
        Pieces { vocabulary, ids: Vec::new(), from: 0, printed: 0 }
    }

    /// All tokens so far.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Adds a token and gives the text that has become certain, perhaps none.
    pub(super) fn push(&mut self, id: u32) -> Result<String> {
        self.ids.push(id);
        let (before, now) = self.ends()?;
        if now.ends_with('\u{fffd}') || now.len() <= before.len() {
            return Ok(String::new());
        }
        self.from = self.printed;
        self.printed = self.ids.len();
        Ok(now[before.len()..].to_owned())
    }

    /// What was held back, at the end of the reply.
    pub(super) fn finish(&mut self) -> Result<String> {
        let (before, now) = self.ends()?;
        self.printed = self.ids.len();
        Ok(now.get(before.len()..).unwrap_or_default().replace('\u{fffd}', ""))
    }

    fn ends(&self) -> Result<(String, String)> {
        let before = self.vocabulary.decode(&self.ids[self.from..self.printed])?;
        Ok((before, self.vocabulary.decode(&self.ids[self.from..])?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_most_likely_and_obeys() {
        let mut greedy = Chooser::new(Sampling::Greedy);
        assert_eq!(greedy.choose(&[0.1, 3.0, 2.0]).unwrap(), Some(1));
        assert_eq!(greedy.choose(&[0.1, f32::NEG_INFINITY, 2.0]).unwrap(), Some(2));
        assert_eq!(greedy.choose(&[f32::NEG_INFINITY; 3]).unwrap(), None);
    }

    #[test]
    fn the_same_seed_gives_the_same_tokens_and_never_a_forbidden_one() {
        let logits: Vec<f32> = (0..50).map(|i| if i % 2 == 0 { f32::NEG_INFINITY } else { (i % 7) as f32 }).collect();
        let run = |seed| {
            let mut chooser = Chooser::new(Sampling::Random { seed, temperature: 1.0, top_p: 0.9 });
            (0..40).map(|_| chooser.choose(&logits).unwrap().unwrap()).collect::<Vec<u32>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert!(run(3).iter().all(|id| id % 2 == 1));
    }
}
