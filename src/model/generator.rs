//! How does a prompt become text? A quantized decoder from a GGUF: prefill, KV, logits, one token at a time.
//!
//! The architecture, the tokenizer, the chat template and the stop tokens are the file's own.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use super::{
    Generate, GenerateAbilities, Prompt, Stop, byte_pairs,
    chat_format::ChatFormat,
    decode::{Chooser, Constraint, Pieces, Sampling, Vocabulary},
    gguf::{Gguf, damaged, plain},
};
use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor, quantized::gguf_file::Content};
use candle_transformers::models::{
    quantized_llama::ModelWeights as Llama, quantized_qwen2::ModelWeights as Qwen2,
    quantized_qwen3::ModelWeights as Qwen3,
};

/// Longest run of prompt tokens per pass; between passes a reply can be cancelled.
const PREFILL_TOKENS: usize = 256;

/// Ends of a turn, by the names that the families give them.
const STOPS: [&str; 4] = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>"];

/// A generator in this process.
pub struct LocalGenerator {
    weights: Weights,
    vocabulary: Arc<Vocabulary>,
    chat: ChatFormat,
    sampling: Sampling,
    name: String,
    limit_tokens: usize,
    /// The tokens whose keys and values the model holds now.
    held: Vec<u32>,
}

enum Weights {
    Llama(Llama),
    Qwen2(Qwen2),
    Qwen3(Qwen3),
}

impl LocalGenerator {
    /// Loads the GGUF that [`super::files::Models::fetch`] gave. Prompt and reply together get at most
    /// `limit_tokens`, or what the model was trained for if that is less.
    pub fn load(path: &Path, limit_tokens: usize, sampling: Sampling) -> Result<Self> {
        let gguf = Gguf::open(path)?;
        Self::read(&gguf, limit_tokens, sampling).map_err(|problem| damaged(path, problem))
    }

    fn read(gguf: &Gguf, limit_tokens: usize, sampling: Sampling) -> Result<Self, String> {
        let architecture = gguf.text("general.architecture")?.to_owned();
        let name = gguf.text("general.name").unwrap_or(&architecture).to_owned();
        let trained = gguf.number(&format!("{architecture}.context_length"))?;
        let tokenizer = byte_pairs::from_gguf(gguf)?;
        let end = gguf.number("tokenizer.ggml.eos_token_id").ok().map(|id| id as u32);
        let mut stops: Vec<u32> = STOPS.iter().filter_map(|stop| tokenizer.token_to_id(stop)).chain(end).collect();
        stops.sort_unstable();
        stops.dedup();
        if stops.is_empty() {
            return Err("it names no token that ends a reply".into());
        }
        let special = |key: &str| {
            let id = gguf.number(key).ok().and_then(|id| tokenizer.id_to_token(id as u32));
            id.unwrap_or_default()
        };
        let mut controls: Vec<String> =
            tokenizer.get_added_tokens_decoder().into_values().map(|token| token.content).collect();
        controls.retain(|control| control.chars().count() > 1);
        controls.sort_by_key(|control| (std::cmp::Reverse(control.len()), control.clone()));
        let chat = ChatFormat::new(
            gguf.text("tokenizer.chat_template").ok(),
            controls,
            &special("tokenizer.ggml.bos_token_id"),
            &special("tokenizer.ggml.eos_token_id"),
        );

        // The loaders take the head by value, and it cannot be cloned: it is read again, which costs little.
        let content = Content::read(&mut gguf.reader()).map_err(plain)?;
        let (mut reader, device) = (gguf.reader(), Device::Cpu);
        let weights = match architecture.as_str() {
            "llama" => Weights::Llama(Llama::from_gguf(content, &mut reader, &device).map_err(plain)?),
            "qwen2" => Weights::Qwen2(Qwen2::from_gguf(content, &mut reader, &device).map_err(plain)?),
            "qwen3" => Weights::Qwen3(Qwen3::from_gguf(content, &mut reader, &device).map_err(plain)?),
            other => return Err(format!("architecture `{other}`; llama, qwen2 and qwen3 can be run")),
        };
        Ok(LocalGenerator {
            weights,
            vocabulary: Vocabulary::new(tokenizer, stops),
            chat,
            sampling,
            name,
            limit_tokens: limit_tokens.min(trained),
            held: Vec::new(),
        })
    }

    /// The prompt as the model gets it. For tests and `bench`.
    pub fn written(&self, prompt: &Prompt) -> Result<String> {
        self.chat.render(prompt)
    }

    /// Feeds `tokens` after what is held; the logits of the next token.
    fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let at = self.held.len();
        let logits = Tensor::from_slice(tokens, (1, tokens.len()), &Device::Cpu)
            .and_then(|input| match &mut self.weights {
                Weights::Llama(model) => model.forward(&input, at),
                Weights::Qwen2(model) => model.forward(&input, at),
                Weights::Qwen3(model) => model.forward(&input, at),
            })
            .and_then(|logits| logits.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>())
            .map_err(|cause| {
                self.forget();
                Error::Inference("the generator", cause.into())
            })?;
        self.held.extend_from_slice(tokens);
        Ok(logits)
    }

    fn forget(&mut self) {
        self.held.clear();
        match &mut self.weights {
            Weights::Llama(model) => model.clear_kv_cache(),
            Weights::Qwen2(model) => model.clear_kv_cache(),
            Weights::Qwen3(model) => model.clear_kv_cache(),
        }
    }

    /// Makes the model hold `prompt`; `None` if `go_on` says stop meanwhile.
    fn prefill(&mut self, prompt: &[u32], go_on: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Option<Vec<f32>>> {
        // What is held is kept when the prompt goes on from it, as the next turn of a conversation does.
        if !(self.held.len() < prompt.len() && prompt.starts_with(&self.held)) {
            self.forget();
        }
        let mut rest = &prompt[self.held.len()..];
        let mut logits = Vec::new();
        while !rest.is_empty() {
            if go_on().is_break() {
                return Ok(None);
            }
            // Powers of two, falling: the models keep a mask for every length they have ever seen, for ever.
            let run = PREFILL_TOKENS.min(1 << rest.len().ilog2());
            logits = self.feed(&rest[..run])?;
            rest = &rest[run..];
        }
        Ok(Some(logits))
    }
}

impl Generate for LocalGenerator {
    fn generate(
        &mut self,
        prompt: &Prompt,
        mut constraint: Option<&mut dyn Constraint>,
        limit_tokens: usize,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Stop> {
        let vocabulary = self.vocabulary.clone();
        let prompt = vocabulary.encode(&self.written(prompt)?)?;
        if prompt.is_empty() || prompt.len() >= self.limit_tokens {
            let expected = format!("1 to {} tokens", self.limit_tokens - 1);
            return Err(Error::invalid("the prompt", format!("{} tokens", prompt.len()), expected));
        }
        let limit_tokens = limit_tokens.min(self.limit_tokens - prompt.len());
        let Some(mut logits) = self.prefill(&prompt, &mut || on_text(""))? else {
            return Ok(Stop::Cancelled);
        };
        let mut chooser = Chooser::new(self.sampling);
        let mut pieces = Pieces::new(&vocabulary);
        let stop = loop {
            if pieces.ids().len() == limit_tokens {
                break Stop::Limit;
            }
            if let Some(constraint) = constraint.as_deref_mut() {
                constraint.allowed(pieces.ids(), &mut logits);
            }
            let Some(id) = chooser.choose(&logits)? else { break Stop::Stuck };
            if vocabulary.stops().contains(&id) {
                break Stop::End;
            }
            let text = pieces.push(id)?;
            if on_text(&text).is_break() {
                return Ok(Stop::Cancelled);
            }
            logits = self.feed(&[id])?;
        };
        let rest = pieces.finish()?;
        if !rest.is_empty() {
            // The reply is over either way.
            let _ = on_text(&rest);
        }
        Ok(stop)
    }

    fn abilities(&self) -> GenerateAbilities {
        GenerateAbilities {
            name: self.name.clone(),
            limit_tokens: self.limit_tokens,
            obeys_constraints: true,
            vocabulary: Some(self.vocabulary.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_model_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gguf");
        let load = || LocalGenerator::load(&path, 100, Sampling::Greedy).map(|_| ());
        assert!(matches!(load(), Err(Error::File { .. })));
        for bytes in [&b"GGUF"[..], b"not a model at all", &[0; 4096]] {
            std::fs::write(&path, bytes).unwrap();
            let error = crate::error::chain(&load().unwrap_err());
            assert!(error.contains("x.gguf") && error.contains("models fetch"), "{error}");
        }
    }
}
