//! How does a text become a vector? Tokens `[b, t]` -> unit vectors `[b, d]`, with a BERT encoder from a GGUF.
//!
//! The layers' 4-bit weights go through our own `kernels` (24 MB for e5-small); the table of token vectors (54 MB)
//! stays as it is and is read row by row. Texts of a pass lie packed, token after token: nothing is computed for padding.
//! Source of the encoder: BERT, <https://arxiv.org/abs/1810.04805>; of the pooling: Sentence-BERT,
//! <https://arxiv.org/abs/1908.10084>, section 3 (MEAN).

use std::{path::Path, sync::Arc};

use candle_core::{
    DType, Device, Tensor,
    quantized::{GgmlDType, QTensor},
};

use super::{
    Embed, EmbedAbilities, Side, TokenCounter,
    adapter::Adapter,
    attention::attention,
    fused,
    gguf::{Gguf, damaged, plain},
    import::keys,
    kernels::{Activations, Weight},
    tokenizer::Unigram,
};
use crate::error::{Error, Result};

/// Tokens of one pass: enough to keep the cores busy, few enough to stay in the cache.
const BATCH_TOKENS: usize = 1024;

/// An embedder in this process.
pub struct LocalEmbedder {
    tokenizer: Arc<Unigram>,
    words: QTensor,
    /// `[positions, d]`: position plus the first token type.
    positions: Vec<f32>,
    first_norm: Vec<f32>,
    layers: Vec<Layer>,
    heads: usize,
    epsilon: f32,
    query_prefix: String,
    passage_prefix: String,
    abilities: EmbedAbilities,
}

/// One encoder layer. Norms are `[3, d]`: bias of the product before, scale, shift.
struct Layer {
    qkv: Weight,
    qkv_bias: Vec<f32>,
    out: Weight,
    out_norm: Vec<f32>,
    up: Weight,
    up_bias: Vec<f32>,
    down: Weight,
    down_norm: Vec<f32>,
}

impl LocalEmbedder {
    /// Loads the GGUF that [`super::files::Models::fetch`] gave, with the shipped adapter for it where there is one.
    pub fn load(path: &Path) -> Result<Self> {
        let gguf = Gguf::open(path)?;
        let adapter = gguf.text(keys::FINGERPRINT).ok().and_then(Adapter::shipped);
        Self::read(&gguf, adapter.as_ref()).map_err(|problem| damaged(path, problem))
    }

    /// Loads the weights as they were fetched, without an adapter: to be compared with their own engine.
    pub fn load_as_fetched(path: &Path) -> Result<Self> {
        Self::read(&Gguf::open(path)?, None).map_err(|problem| damaged(path, problem))
    }

    fn read(gguf: &Gguf, adapter: Option<&Adapter>) -> Result<Self, String> {
        let epsilon = gguf.value("bert.attention.layer_norm_epsilon")?.to_f32().map_err(plain)?;
        let (dims, heads) = (gguf.number("bert.embedding_length")?, gguf.number("bert.attention.head_count")?);
        let limit_tokens = gguf.number("bert.context_length")?;
        let layer_count = gguf.number("bert.block_count")?;
        if heads == 0 || dims % heads != 0 || limit_tokens < 3 {
            return Err(format!("{dims} dims, {heads} heads, {limit_tokens} tokens"));
        }

        let words = gguf.tensor("token_embd.weight")?;
        let values = |name: &str| {
            let tensor = gguf.tensor(name)?.dequantize(&Device::Cpu).and_then(|tensor| tensor.to_dtype(DType::F32));
            let mut values = tensor.and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>()).map_err(plain)?;
            adapter.map_or(Ok(()), |adapter| adapter.add_to(name, &mut values))?;
            Ok::<_, String>(values)
        };
        let types = values("token_types.weight")?; // [types, d]
        let mut positions = values("position_embd.weight")?; // [positions, d]
        if types.len() < dims || positions.len() < limit_tokens * dims {
            return Err(format!("{} positions and types do not fit {dims} dims", positions.len() + types.len()));
        }
        for position in positions.chunks_exact_mut(dims) {
            position.iter_mut().zip(&types).for_each(|(value, first_type)| *value += first_type);
        }
        let rows = |names: [&str; 3], widths: [usize; 3]| -> Result<Vec<f32>, String> {
            let mut joint = Vec::with_capacity(widths.iter().sum());
            for (name, width) in names.into_iter().zip(widths) {
                let row = values(name)?;
                if row.len() != width {
                    return Err(format!("`{name}` has {} values, not {width}", row.len()));
                }
                joint.extend(row);
            }
            Ok(joint)
        };
        let norm = rows(["token_embd_norm.weight", "token_embd_norm.bias", "token_embd_norm.bias"], [dims; 3])?;
        let first_norm = [&vec![0.0; dims], &norm[..2 * dims]].concat(); // No product before, so no bias.
        let mut layers = Vec::with_capacity(layer_count);
        for layer in 0..layer_count {
            let name = |name: &str| format!("blk.{layer}.{name}");
            let three = |names: [&str; 3]| {
                let names = names.map(&name);
                rows([&names[0], &names[1], &names[2]], [dims; 3])
            };
            let weight = |names: &[&str], columns: usize, rows: Option<usize>| {
                let tensors = names.iter().map(|part| gguf.tensor(&name(part))).collect::<Result<Vec<_>, _>>()?;
                joined(&tensors, columns, rows).map_err(|problem| format!("`{}`: {problem}", name(names[0])))
            };
            let up = weight(&["ffn_up.weight"], dims, None)?;
            let up_bias = values(&name("ffn_up.bias"))?;
            if up_bias.len() != up.rows() {
                return Err(format!("{} values after {} rows in layer {layer}", up_bias.len(), up.rows()));
            }
            layers.push(Layer {
                qkv: weight(&["attn_q.weight", "attn_k.weight", "attn_v.weight"], dims, Some(3 * dims))?,
                qkv_bias: three(["attn_q.bias", "attn_k.bias", "attn_v.bias"])?,
                out: weight(&["attn_output.weight"], dims, Some(dims))?,
                out_norm: three(["attn_output.bias", "attn_output_norm.weight", "attn_output_norm.bias"])?,
                down: weight(&["ffn_down.weight"], up.rows(), Some(dims))?,
                down_norm: three(["ffn_down.bias", "layer_output_norm.weight", "layer_output_norm.bias"])?,
                up,
                up_bias,
            });
        }
        let tokenizer = Unigram::from_gguf(gguf)?;
        let fetched = gguf.text(keys::FINGERPRINT)?.to_owned();
        let fingerprint = adapter.map_or(fetched, Adapter::fingerprint);
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
            abilities: EmbedAbilities { dims, limit_tokens, fingerprint },
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
        let d = self.abilities.dims;
        let lengths: Vec<usize> = batch.iter().map(|ids| ids.len()).collect();
        let ids = batch.concat();
        let tokens = ids.len();
        let ids = Tensor::from_vec(ids, tokens, &Device::Cpu)?;
        let mut x = self.words.embedding(&ids)?.flatten_all()?.to_vec1::<f32>()?; // [tokens, d]
        let positions: Vec<&[f32]> = lengths.iter().map(|length| &self.positions[..length * d]).collect();
        fused::add_norm(&mut x, &positions.concat(), &self.first_norm, self.epsilon);
        for layer in &self.layers {
            let qkv = times(&x, &layer.qkv); // [tokens, 3 * d]
            let mixed = attention(&qkv, &layer.qkv_bias, &lengths, self.heads); // [tokens, d]
            fused::add_norm(&mut x, &times(&mixed, &layer.out), &layer.out_norm, self.epsilon);
            let mut wide = times(&x, &layer.up); // [tokens, f]
            fused::bias_gelu(&mut wide, &layer.up_bias);
            fused::add_norm(&mut x, &times(&wide, &layer.down), &layer.down_norm, self.epsilon);
        }
        let mut means = vec![0f32; batch.len() * d];
        let mut states = x.chunks_exact(d);
        for (mean, length) in means.chunks_exact_mut(d).zip(lengths) {
            for state in states.by_ref().take(length) {
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

/// How many of the first rows go together.
fn pass_size(rows: &[(usize, Vec<u32>)]) -> usize {
    let mut tokens = 0;
    let fits = |(_, ids): &&(usize, Vec<u32>)| {
        tokens += ids.len();
        tokens <= BATCH_TOKENS
    };
    rows.iter().take_while(fits).count().max(1)
}

/// Scales a vector to L2 length 1, so that a dot product is the cosine.
pub(super) fn to_unit_length(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
    vector.iter_mut().for_each(|x| *x /= length);
}

/// `x` (`[tokens, columns]`) times a weight: `[tokens, rows]`.
fn times(x: &[f32], weight: &Weight) -> Vec<f32> {
    let activations = Activations::of(x, weight.columns());
    let mut out = vec![0f32; x.len() / weight.columns() * weight.rows()];
    weight.times(&activations, &mut out);
    out
}

/// The rows of some Q4_0 tensors, one after the other.
fn joined(tensors: &[QTensor], columns: usize, rows: Option<usize>) -> Result<Weight, String> {
    if let Some(other) = tensors.iter().find(|tensor| tensor.dtype() != GgmlDType::Q4_0) {
        return Err(format!("is {:?}, only Q4_0 is supported", other.dtype()));
    }
    if tensors.iter().any(|tensor| tensor.shape().dims().last() != Some(&columns)) {
        return Err(format!("does not have {columns} columns"));
    }
    let parts = tensors.iter().map(QTensor::data).collect::<candle_core::Result<Vec<_>>>().map_err(plain)?;
    let weight = Weight::from_q4_0(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>(), columns)?;
    match rows {
        Some(rows) if rows != weight.rows() => Err(format!("has {} rows, not {rows}", weight.rows())),
        _ => Ok(weight),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_stay_within_their_tokens() {
        let rows = |lengths: &[usize]| lengths.iter().map(|n| (0, vec![0; *n])).collect::<Vec<_>>();
        assert_eq!(pass_size(&rows(&[512, 512, 512])), 2);
        assert_eq!(pass_size(&rows(&[5000, 1])), 1); // Alone it goes even above the budget.
        assert_eq!(pass_size(&rows(&[20, 1000, 4, 1])), 3);
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
