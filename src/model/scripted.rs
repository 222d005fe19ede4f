//! What runs in tests that must not load weights? Deterministic models with plain rules.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use super::{
    Embed, EmbedAbilities, Generate, GenerateAbilities, Prompt, Side, Stop, TokenCounter, decode::Constraint,
    embedder::to_unit_length,
};
use crate::error::Result;

/// Length of the scripted vectors, the same as the default embedder's.
pub const DIMS: usize = 384;

/// An embedder without weights: hashed words and character n-grams. The cosine of two texts grows with what
/// they share; texts that share nothing are near 0. No meaning, no synonyms, no other language.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScriptedEmbedder;

impl Embed for ScriptedEmbedder {
    fn embed(&mut self, _side: Side, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| vector(text)).collect())
    }

    fn counter(&self) -> TokenCounter {
        Arc::new(|text| terms(text).len())
    }

    fn abilities(&self) -> EmbedAbilities {
        EmbedAbilities { dims: DIMS, limit_tokens: 512, fingerprint: "scripted-1".into() }
    }
}

/// A generator without weights: gives the written replies in turn, a word at a time, then begins anew.
pub struct ScriptedGenerator {
    replies: Vec<String>,
    next: usize,
    gate: Option<mpsc::Receiver<()>>,
    said: Arc<AtomicUsize>,
}

impl ScriptedGenerator {
    /// Gives these replies in turn.
    pub fn replies<const N: usize>(replies: [&str; N]) -> Self {
        ScriptedGenerator { replies: replies.map(str::to_owned).to_vec(), next: 0, gate: None, said: Arc::default() }
    }

    /// The same, but waits for a signal before each word; goes on freely once the sender is dropped.
    pub fn gated<const N: usize>(replies: [&str; N]) -> (Self, mpsc::Sender<()>) {
        let (signal, gate) = mpsc::channel();
        (ScriptedGenerator { gate: Some(gate), ..ScriptedGenerator::replies(replies) }, signal)
    }

    /// Counts the words it says, for those who want to know whether it has stopped.
    pub fn words_said(&self) -> Arc<AtomicUsize> {
        self.said.clone()
    }
}

impl Generate for ScriptedGenerator {
    fn generate(
        &mut self,
        _prompt: &Prompt,
        _constraint: Option<&mut dyn Constraint>,
        limit_tokens: usize,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Stop> {
        let reply = self.replies.get(self.next % self.replies.len().max(1)).cloned().unwrap_or_default();
        self.next += 1;
        for (count, word) in reply.split_inclusive(' ').enumerate() {
            if count == limit_tokens {
                return Ok(Stop::Limit);
            }
            if let Some(gate) = &self.gate {
                let _ = gate.recv(); // A dropped sender opens the gate.
            }
            self.said.fetch_add(1, Ordering::SeqCst);
            if on_text(word).is_break() {
                return Ok(Stop::Cancelled);
            }
        }
        Ok(Stop::End)
    }

    fn abilities(&self) -> GenerateAbilities {
        GenerateAbilities { name: "scripted".into(), limit_tokens: 4096, obeys_constraints: false, vocabulary: None }
    }
}

/// Words of letters and digits; each Chinese character is a word.
fn terms(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    for c in text.chars().flat_map(char::to_lowercase) {
        let wide = c as u32 >= 0x2e80;
        if wide || !c.is_alphanumeric() {
            terms.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(last) = terms.last_mut()
        {
            last.push(c);
        }
        if wide {
            terms.push(String::new());
        }
    }
    terms.retain(|term| !term.is_empty());
    terms
}

fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0f32; DIMS];
    let terms = terms(text);
    let mut add = |feature: &str, weight: f32| {
        // Several places per feature make a chance collision small beside a real match.
        for round in 0..4u64 {
            let hash = feature.bytes().fold(0xcbf2_9ce4_8422_2325 ^ (round << 7), |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
            let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
            vector[(hash >> 20) as usize % DIMS] += sign * weight;
        }
    };
    for term in &terms {
        add(term, 1.0);
        let letters: Vec<char> = term.chars().collect();
        for trigram in letters.windows(3).filter(|_| letters.len() > 3) {
            add(&trigram.iter().collect::<String>(), 0.4);
        }
    }
    for pair in terms.windows(2) {
        add(&pair.join(" "), 0.7);
    }
    if terms.is_empty() {
        add("\u{0}", 1.0); // Unit length also for a text without words.
    }
    to_unit_length(&mut vector);
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &str, b: &str) -> f32 {
        vector(a).iter().zip(vector(b)).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn the_cosine_grows_with_what_is_shared() {
        for (text, near, far) in [
            ("how do I withdraw USDT", "how can I withdraw my USDT", "where is my card"),
            ("提现多久到账", "提现一般多久能到账", "怎么修改手机号"),
            ("freeze my account", "freezing the account", "points expire when"),
        ] {
            assert!((cosine(text, text) - 1.0).abs() < 1e-5);
            assert!(cosine(text, near) > cosine(text, far) + 0.2, "{text}");
            assert!(cosine(text, far).abs() < 0.35, "{text}: {}", cosine(text, far));
        }
        for text in ["", "!!!", "😀"] {
            assert!((cosine(text, text) - 1.0).abs() < 1e-5, "{text:?}");
        }
    }
}
