//! How does a text become a vector? Tokens `[b, t]` -> unit vectors `[b, d]`, with a BERT encoder from a GGUF.
//!
//! The layers' 4-bit weights are made f32 once (85 MB for e5-small), because candle's f32 product is faster than its
//! Q4_0 one at every length we measured; the table of token vectors (54 MB) stays 4-bit and is read row by row.
//! Source of the encoder: BERT, <https://arxiv.org/abs/1810.04805>; of the pooling: Sentence-BERT,
//! <https://arxiv.org/abs/1908.10084>, section 3 (MEAN).

use std::{path::Path, sync::Arc};

use candle_core::{DType, Device, Tensor, quantized::QTensor};

use super::{
    Embed, EmbedAbilities, Side, TokenCounter, fused,
    gguf::{Gguf, damaged, plain},
    import::keys,
    tokenizer::Unigram,
};
use crate::error::{Error, Result};

/// Tokens of one pass, padding included: enough to keep the cores busy, few enough to stay in the cache.
const BATCH_TOKENS: usize = 1024;

/// Rows share a pass while padding stays under this part of it.
const PADDING_SHARE: f64 = 0.1;

/// An embedder in this process.
pub struct LocalEmbedder {
    tokenizer: Arc<Unigram>,
    words: QTensor,
    /// `[positions, d]`: position plus the first token type.
    positions: Tensor,
    first_norm: Tensor,
    layers: Vec<Layer>,
    heads: usize,
    epsilon: f32,
    query_prefix: String,
    passage_prefix: String,
    abilities: EmbedAbilities,
}

/// One encoder layer. Weights are `[in, out]`; norms are `[3, d]`: bias of the product before, scale, shift.
struct Layer {
    qkv: Tensor,
    qkv_bias: Tensor,
    out: Tensor,
    out_norm: Tensor,
    up: Tensor,
    up_bias: Tensor,
    down: Tensor,
    down_norm: Tensor,
}

impl LocalEmbedder {
    /// Loads the GGUF that [`super::files::Models::fetch`] gave.
    pub fn load(path: &Path) -> Result<Self> {
        let gguf = Gguf::open(path)?;
        Self::read(&gguf).map_err(|problem| damaged(path, problem))
    }

    fn read(gguf: &Gguf) -> Result<Self, String> {
        let epsilon = gguf.value("bert.attention.layer_norm_epsilon")?.to_f32().map_err(plain)?;
        let (dims, heads) = (gguf.number("bert.embedding_length")?, gguf.number("bert.attention.head_count")?);
        let limit_tokens = gguf.number("bert.context_length")?;
        let layer_count = gguf.number("bert.block_count")?;
        if heads == 0 || dims % heads != 0 || limit_tokens < 3 {
            return Err(format!("{dims} dims, {heads} heads, {limit_tokens} tokens"));
        }

        let words = gguf.tensor("token_embd.weight")?;
        let tensor = |name: &str| {
            let tensor = gguf.tensor(name)?.dequantize(&Device::Cpu).map_err(plain)?;
            tensor.to_dtype(DType::F32).map_err(plain)
        };
        let types = tensor("token_types.weight")?; // [types, d]
        let first_type = types.narrow(0, 0, 1).map_err(plain)?; // [1, d]
        let positions = tensor("position_embd.weight")?.broadcast_add(&first_type).map_err(plain)?; // [positions, d]
        let no_bias = Tensor::zeros(dims, DType::F32, &Device::Cpu).map_err(plain)?;
        let first_norm = rows(&[no_bias, tensor("token_embd_norm.weight")?, tensor("token_embd_norm.bias")?])?;
        let mut layers = Vec::with_capacity(layer_count);
        for layer in 0..layer_count {
            let get = |name: &str| tensor(&format!("blk.{layer}.{name}"));
            let joint = [get("attn_q.weight")?, get("attn_k.weight")?, get("attn_v.weight")?];
            let joint_bias = [get("attn_q.bias")?, get("attn_k.bias")?, get("attn_v.bias")?];
            layers.push(Layer {
                qkv: turned(&Tensor::cat(&joint, 0).map_err(plain)?)?,
                qkv_bias: Tensor::cat(&joint_bias, 0).map_err(plain)?,
                out: turned(&get("attn_output.weight")?)?,
                out_norm: rows(&[
                    get("attn_output.bias")?,
                    get("attn_output_norm.weight")?,
                    get("attn_output_norm.bias")?,
                ])?,
                up: turned(&get("ffn_up.weight")?)?,
                up_bias: get("ffn_up.bias")?,
                down: turned(&get("ffn_down.weight")?)?,
                down_norm: rows(&[
                    get("ffn_down.bias")?,
                    get("layer_output_norm.weight")?,
                    get("layer_output_norm.bias")?,
                ])?,
            });
        }
        let tokenizer = Unigram::from_gguf(gguf)?;
        Ok(LocalEmbedder {
            tokenizer: Arc::new(tokenizer),
            words,
            positions,
            first_norm,
            layers,
            heads,
            epsilon,
            query_prefix: gguf.text(keys::QUERY_PREFIX)?.to_owned(),
            passage_prefix: gguf.text(keys::PASSAGE_PREFIX)?.to_owned(),
            abilities: EmbedAbilities { dims, limit_tokens, fingerprint: gguf.text(keys::FINGERPRINT)?.to_owned() },
        })
    }

    /// The ids of a text as the model sees it: prefix in front, start and end around. For tests and `bench`.
    pub fn token_ids(&self, side: Side, text: &str) -> Vec<u32> {
        let content = self.content(side, text);
        [&[self.tokenizer.bos], content.as_slice(), &[self.tokenizer.eos]].concat()
    }

    fn content(&self, side: Side, text: &str) -> Vec<u32> {
        let prefix = match side {
            Side::Query => &self.query_prefix,
            Side::Passage => &self.passage_prefix,
        };
        self.tokenizer.encode(&format!("{prefix}{text}"))
    }

    /// The mean token state of each row, not yet of unit length.
    ///
    /// * `batch`: token ids of `b` texts with start and end, each at most `limit_tokens` long
    ///
    /// Returns `b * d` f32, row by row.
    fn forward(&self, batch: &[&[u32]]) -> candle_core::Result<Vec<f32>> {
        let (b, heads) = (batch.len(), self.heads);
        let lengths: Vec<usize> = batch.iter().map(|ids| ids.len()).collect();
        let t = lengths.iter().copied().max().unwrap_or(0);
        let d = self.abilities.dims;
        let mut ids = vec![self.tokenizer.padding; b * t];
        for (row, batch) in ids.chunks_exact_mut(t).zip(batch) {
            row[..batch.len()].copy_from_slice(batch);
        }
        let ids = Tensor::from_vec(ids, b * t, &Device::Cpu)?;
        let x = self.words.embedding(&ids)?; // [b * t, d]
        let positions = self.positions.narrow(0, 0, t)?.unsqueeze(0)?.expand((b, t, d))?.reshape((b * t, d))?;
        fused::add_norm(&x, &positions, &self.first_norm, self.epsilon)?;
        for layer in &self.layers {
            let qkv = fused::split_heads(&x.matmul(&layer.qkv)?, &layer.qkv_bias, b, heads)?; // [3, b, heads, t, s]
            let (q, k, v) = (qkv.get(0)?, qkv.get(1)?, qkv.get(2)?);
            let attention = q.matmul(&k.t()?)?; // [b, heads, t, t]
            fused::masked_softmax(&attention, &lengths)?;
            let mixed = attention.matmul(&v)?.transpose(1, 2)?.reshape((b * t, d))?; // [b * t, d]
            fused::add_norm(&x, &mixed.matmul(&layer.out)?, &layer.out_norm, self.epsilon)?;
            let wide = x.matmul(&layer.up)?; // [b * t, f]
            fused::bias_gelu(&wide, &layer.up_bias)?;
            fused::add_norm(&x, &wide.matmul(&layer.down)?, &layer.down_norm, self.epsilon)?;
        }
        let states = x.to_vec2::<f32>()?;
        let mut means = vec![0f32; b * d];
        for (row, (mean, length)) in means.chunks_exact_mut(d).zip(lengths).enumerate() {
            for state in &states[row * t..row * t + length] {
                mean.iter_mut().zip(state).for_each(|(mean, state)| *mean += state / length as f32);
            }
        }
        Ok(means)
    }
}

impl Embed for LocalEmbedder {
    /// A text longer than the limit is read in windows; its vector is their mean, weighted by tokens.
    fn embed(&mut self, side: Side, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let window = self.abilities.limit_tokens - 2;
        let mut rows: Vec<(usize, Vec<u32>)> = Vec::new();
        for (text, content) in texts.iter().map(|text| self.content(side, text)).enumerate() {
            for piece in content.chunks(window) {
                rows.push((text, [&[self.tokenizer.bos], piece, &[self.tokenizer.eos]].concat()));
            }
        }
        // Longest first: rows of about the same length share a pass, and memory peaks at the start.
        rows.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
        let mut vectors = vec![vec![0f32; self.abilities.dims]; texts.len()];
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(pass_size(rest));
            let batch: Vec<&[u32]> = now.iter().map(|(_, ids)| ids.as_slice()).collect();
            let means = self.forward(&batch).map_err(Error::inference("the embedder"))?;
            for ((text, ids), mean) in now.iter().zip(means.chunks_exact(self.abilities.dims)) {
                let weight = (ids.len() - 2) as f32;
                vectors[*text].iter_mut().zip(mean).for_each(|(sum, mean)| *sum += mean * weight);
            }
            rest = later;
        }
        vectors.iter_mut().for_each(|vector| to_unit_length(vector));
        Ok(vectors)
    }

    fn counter(&self) -> TokenCounter {
        let tokenizer = self.tokenizer.clone();
        Arc::new(move |text| tokenizer.encode(text).len())
    }

    fn abilities(&self) -> EmbedAbilities {
        self.abilities.clone()
    }
}

/// How many of the first rows (sorted, longest first) go together.
fn pass_size(rows: &[(usize, Vec<u32>)]) -> usize {
    let longest = rows[0].1.len();
    let mut real = 0;
    for (count, (_, ids)) in rows.iter().enumerate() {
        real += ids.len();
        let padded = longest * (count + 1);
        if count > 0 && (padded > BATCH_TOKENS || (padded - real) as f64 > PADDING_SHARE * padded as f64) {
            return count;
        }
    }
    rows.len()
}

/// Scales a vector to L2 length 1, so that a dot product is the cosine.
pub(super) fn to_unit_length(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
    vector.iter_mut().for_each(|x| *x /= length);
}

fn rows(tensors: &[Tensor]) -> Result<Tensor, String> {
    Tensor::stack(tensors, 0).map_err(plain)
}

/// `[out, in]` as stored -> `[in, out]` as multiplied.
fn turned(weight: &Tensor) -> Result<Tensor, String> {
    weight.t().and_then(|weight| weight.contiguous()).map_err(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_stay_within_tokens_and_padding() {
        let rows = |lengths: &[usize]| lengths.iter().map(|n| (0, vec![0; *n])).collect::<Vec<_>>();
        assert_eq!(pass_size(&rows(&[512, 512, 512])), 2);
        assert_eq!(pass_size(&rows(&[5000])), 1); // Alone it goes even above the budget.
        assert_eq!(pass_size(&rows(&[20, 19, 18, 5])), 3);
        assert_eq!(pass_size(&rows(&[10; 7])), 7);
    }

    #[test]
    fn what_is_no_model_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gguf");
        assert!(matches!(LocalEmbedder::load(&path), Err(Error::File { .. })));
        for bytes in [&b"GGUF"[..], b"not a model at all", &[0; 4096]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(LocalEmbedder::load(&path), Err(Error::Weights { .. })));
        }
    }
}
