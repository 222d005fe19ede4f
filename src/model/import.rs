//! How does the packed e5 file become a GGUF? Once, after the download, without touching a weight.
//!
//! The packed file ("E5S1") holds ggml Q4_0 blocks, a unigram vocabulary with scores, and normaliser rules, one per
//! code point; its layout is in the package's `e5.c`, function `e5_parse`. The GGUF carries the same blocks under
//! the names that llama.cpp uses for BERT, and the vocabulary and rules as metadata, so that one file is the model.

use std::{
    borrow::Cow,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use candle_core::{
    Device,
    quantized::{GgmlDType, QTensor, ggml_file::qtensor_from_ggml, gguf_file},
};
use gguf_file::Value;

use super::manifest::{Manifest, Pooling};
use crate::error::{Error, Result};

/// Raised when an import would give another file: what is in the cache is then imported again.
pub(super) const VERSION: u32 = 1;

/// Metadata keys of ours.
pub(super) mod keys {
    /// Names the weights; another value means other vectors.
    pub const FINGERPRINT: &str = "deskhand.fingerprint";
    pub const QUERY_PREFIX: &str = "deskhand.query_prefix";
    pub const PASSAGE_PREFIX: &str = "deskhand.passage_prefix";
    /// Code points that the normaliser replaces, ascending.
    pub const RULE_POINTS: &str = "deskhand.normalizer.points";
    /// How many code points replace each of them; 0 drops it.
    pub const RULE_LENGTHS: &str = "deskhand.normalizer.lengths";
    /// The replacements, one after the other.
    pub const RULE_OUTPUTS: &str = "deskhand.normalizer.outputs";
    pub const PIECES: &str = "tokenizer.ggml.tokens";
    pub const SCORES: &str = "tokenizer.ggml.scores";
    pub const BOS: &str = "tokenizer.ggml.bos_token_id";
    pub const EOS: &str = "tokenizer.ggml.eos_token_id";
    pub const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";
    pub const PADDING: &str = "tokenizer.ggml.padding_token_id";
}

/// Reads a packed e5 file and writes the same model as a GGUF.
pub(super) fn e5s1_to_gguf(manifest: &Manifest, packed: &Path, packed_sha256: &str, to: &Path) -> Result<()> {
    let bytes = std::fs::read(packed).map_err(Error::file("reading", packed))?;
    let broken = |problem: String| Error::Weights {
        model: manifest.name.clone(),
        problem: format!("{} cannot be imported: {problem}", packed.display()),
        cause: None,
    };
    let (metadata, tensors) = read_packed(manifest, &bytes, packed_sha256).map_err(broken)?;
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let file = File::create(to).map_err(Error::file("creating", to))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    gguf_file::write(&mut writer, &metadata, &tensors).map_err(Error::outside(format!("writing {}", to.display())))?;
    writer.flush().map_err(Error::file("writing", to))
}

type Parts = (Vec<(&'static str, Value)>, Vec<(String, QTensor)>);

fn read_packed(manifest: &Manifest, bytes: &[u8], sha256: &str) -> Result<Parts, String> {
    let mut at = Cursor { bytes, at: 0 };
    if at.take(4)? != b"E5S1" {
        return Err("it does not begin with E5S1".into());
    }
    let version = at.u32()?;
    if version != 1 {
        return Err(format!("layout {version}, expected 1"));
    }
    let [dims, layers, heads, feed_forward, vocabulary, positions, types] = at.u32s()?;
    let epsilon = at.f32()?;
    let block = at.u32()?;
    if block != 32 || manifest.dims != Some(dims as usize) {
        return Err(format!("{dims} dims in blocks of {block}, expected {:?} in blocks of 32", manifest.dims));
    }
    let [pieces, bos, eos, padding, unknown] = at.u32s()?;
    let text_len = at.u64()? as usize;
    let ends: Vec<usize> = at.u32_row(pieces as usize + 1)?.into_iter().map(|end| end as usize).collect();
    let scores: Vec<Value> = (0..pieces).map(|_| at.f32().map(Value::F32)).collect::<Result<_, _>>()?;
    let text = at.take(text_len)?;
    let mut texts = Vec::with_capacity(pieces as usize);
    for pair in ends.windows(2) {
        let piece = text.get(pair[0]..pair[1]).ok_or("a piece lies outside the vocabulary")?;
        let piece = std::str::from_utf8(piece).map_err(|_| "a piece is not UTF-8")?;
        texts.push(Value::String(piece.to_owned()));
    }
    let rules = at.u32()?;
    let _rules_size_bytes = at.u32()?;
    let (mut points, mut lengths, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rules {
        points.push(Value::U32(at.u32()?));
        let length = at.take(1)?[0];
        lengths.push(Value::U32(length.into()));
        for _ in 0..length {
            outputs.push(Value::U32(at.u32()?));
        }
    }

    let rules_of_use = manifest.embedder.as_ref().ok_or("the manifest has no [embedder]")?;
    let Pooling::Mean = rules_of_use.pooling;
    let short = sha256.get(..16).unwrap_or(sha256);
    let metadata = vec![
        ("general.architecture", Value::String("bert".into())),
        ("general.name", Value::String(manifest.title.clone())),
        ("general.license", Value::String(manifest.licence.clone())),
        (keys::FINGERPRINT, Value::String(format!("{}-{short}-{VERSION}", manifest.name))),
        (keys::QUERY_PREFIX, Value::String(rules_of_use.query_prefix.clone())),
        (keys::PASSAGE_PREFIX, Value::String(rules_of_use.passage_prefix.clone())),
        ("bert.embedding_length", Value::U32(dims)),
        ("bert.block_count", Value::U32(layers)),
        ("bert.attention.head_count", Value::U32(heads)),
        ("bert.feed_forward_length", Value::U32(feed_forward)),
        ("bert.context_length", Value::U32(positions)),
        ("bert.attention.layer_norm_epsilon", Value::F32(epsilon)),
        ("bert.pooling_type", Value::U32(1)), // 1 is the mean, in llama.cpp's numbering.
        ("tokenizer.ggml.model", Value::String("unigram".into())),
        (keys::PIECES, Value::Array(texts)),
        (keys::SCORES, Value::Array(scores)),
        (keys::BOS, Value::U32(bos)),
        (keys::EOS, Value::U32(eos)),
        (keys::PADDING, Value::U32(padding)),
        (keys::UNKNOWN, Value::U32(unknown)),
        (keys::RULE_POINTS, Value::Array(points)),
        (keys::RULE_LENGTHS, Value::Array(lengths)),
        (keys::RULE_OUTPUTS, Value::Array(outputs)),
    ];

    let mut tensors = Vec::new();
    let count = at.u32()?;
    for _ in 0..count {
        let name_len = at.u16()?;
        let name = String::from_utf8_lossy(at.take(name_len as usize)?).into_owned();
        let kind = at.take(1)?[0];
        let _elements = at.u32()?;
        let (start, length) = (at.u64()? as usize, at.u64()? as usize);
        let Some((name, shape)) = renamed(&name, dims, feed_forward, vocabulary, positions, types) else {
            return Err(format!("unknown tensor `{name}`"));
        };
        let dtype = if kind == 1 { GgmlDType::Q4_0 } else { GgmlDType::F32 };
        let elements: usize = shape.iter().product();
        if length != elements / dtype.block_size() * dtype.type_size() {
            return Err(format!("tensor `{name}` has {length} bytes, which is not {shape:?} of {dtype:?}"));
        }
        let data = start.checked_add(length).and_then(|end| bytes.get(start..end)).ok_or("a tensor is cut off")?;
        // ggml wants its blocks aligned; the packed file does not promise that.
        let data: Cow<'_, [u8]> = Cow::Owned(data.to_vec());
        let tensor = qtensor_from_ggml(dtype, &data, shape, &Device::Cpu).map_err(|cause| cause.to_string())?;
        tensors.push((name, tensor));
    }
    let expected = 5 + 16 * layers as usize;
    if tensors.len() != expected {
        return Err(format!("{} tensors, expected {expected}", tensors.len()));
    }
    Ok((metadata, tensors))
}

/// llama.cpp's name and the shape (rows first) of a packed tensor.
fn renamed(
    name: &str,
    dims: u32,
    feed_forward: u32,
    vocabulary: u32,
    positions: u32,
    types: u32,
) -> Option<(String, Vec<usize>)> {
    let shape = |sizes: &[u32]| sizes.iter().map(|size| *size as usize).collect::<Vec<usize>>();
    let fixed = match name {
        "emb.word" => Some(("token_embd.weight", shape(&[vocabulary, dims]))),
        "emb.pos" => Some(("position_embd.weight", shape(&[positions, dims]))),
        "emb.type" => Some(("token_types.weight", shape(&[types, dims]))),
        "emb.ln.w" => Some(("token_embd_norm.weight", shape(&[dims]))),
        "emb.ln.b" => Some(("token_embd_norm.bias", shape(&[dims]))),
        _ => None,
    };
    if let Some((name, shape)) = fixed {
        return Some((name.to_owned(), shape));
    }
    let (layer, rest) = name.strip_prefix('l')?.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let (part, suffix) = rest.split_once('.')?;
    let (part, rows, columns) = match part {
        "q" => ("attn_q", dims, Some(dims)),
        "k" => ("attn_k", dims, Some(dims)),
        "v" => ("attn_v", dims, Some(dims)),
        "ao" => ("attn_output", dims, Some(dims)),
        "fi" => ("ffn_up", feed_forward, Some(dims)),
        "fo" => ("ffn_down", dims, Some(feed_forward)),
        "aln" => ("attn_output_norm", dims, None),
        "oln" => ("layer_output_norm", dims, None),
        _ => return None,
    };
    Some(match (suffix, columns) {
        ("w", Some(columns)) => (format!("blk.{layer}.{part}.weight"), shape(&[rows, columns])),
        ("w", None) => (format!("blk.{layer}.{part}.weight"), shape(&[rows])),
        ("b", _) => (format!("blk.{layer}.{part}.bias"), shape(&[rows])),
        _ => return None,
    })
}

/// Reads little-endian numbers, and says so when the file ends too early.
struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], String> {
        let end = self.at.checked_add(length);
        let piece = end.and_then(|end| self.bytes.get(self.at..end));
        let piece = piece.ok_or_else(|| format!("it ends at byte {} of a longer record", self.bytes.len()))?;
        self.at += length;
        Ok(piece)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn f32(&mut self) -> Result<f32, String> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    fn u32s<const N: usize>(&mut self) -> Result<[u32; N], String> {
        let mut out = [0; N];
        for value in &mut out {
            *value = self.u32()?;
        }
        Ok(out)
    }

    fn u32_row(&mut self, length: usize) -> Result<Vec<u32>, String> {
        let row = self.take(length.checked_mul(4).ok_or("a length is too big")?)?;
        Ok(row.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_or_foreign_file_is_an_error_and_never_a_panic() {
        let manifest = crate::model::manifest::all(None).unwrap().remove(0);
        let mut head = b"E5S1".to_vec();
        for number in [1u32, 384, 12, 12, 1536, 250_037, 512, 2] {
            head.extend(number.to_le_bytes());
        }
        head.extend(1e-12f32.to_le_bytes());
        for number in [32u32, u32::MAX, 0, 2, 1, 3] {
            head.extend(number.to_le_bytes());
        }
        head.extend(u64::MAX.to_le_bytes());
        for cut in 0..=head.len() {
            assert!(read_packed(&manifest, &head[..cut], "00").is_err(), "{cut}");
        }
        assert!(read_packed(&manifest, b"GGUF, but not ours", "00").is_err());
    }

    #[test]
    fn tensors_get_their_gguf_names_and_shapes() {
        for (packed, name, shape) in [
            ("emb.word", "token_embd.weight", vec![250, 8]),
            ("l11.fo.w", "blk.11.ffn_down.weight", vec![8, 32]),
            ("l0.aln.b", "blk.0.attn_output_norm.bias", vec![8]),
        ] {
            assert_eq!(renamed(packed, 8, 32, 250, 16, 2), Some((name.to_owned(), shape)), "{packed}");
        }
        assert_eq!(renamed("l0.zz.w", 8, 32, 250, 16, 2), None);
    }
}
