//! How does a prompt become a generator's token ids? Byte-pair encoding, built from what the weights carry.

use tokenizers::{
    AddedToken, SplitDelimiterBehavior, Tokenizer,
    models::bpe::BPE,
    normalizers::unicode::NFC,
    pre_tokenizers::{
        PreTokenizerWrapper,
        byte_level::ByteLevel,
        digits::Digits,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

use super::gguf::Gguf;

/// How a text is cut before pairs are joined, for the families that we run: part of the trained model, not a choice.
/// `{digits}` is how many digits stay together. Source: `tokenizer.json` of Qwen2.5 and Llama 3.
const WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Kinds of token, as llama.cpp numbers them: everything but ordinary ones and single bytes is matched as a whole.
const CONTROL_KINDS: std::ops::RangeInclusive<u32> = 2..=5;

/// Builds the tokenizer of a GGUF.
pub(super) fn from_gguf(gguf: &Gguf) -> Result<Tokenizer, String> {
    let kind = gguf.text("tokenizer.ggml.model")?;
    if kind != "gpt2" {
        return Err(format!("tokenizer `{kind}`; byte-pair ones (`gpt2`) can be read"));
    }
    let texts = |key: &str| -> Result<Vec<String>, String> {
        gguf.row(key)?
            .iter()
            .map(|text| text.to_string().cloned().map_err(|cause| format!("`{key}`: {cause}")))
            .collect()
    };
    let tokens = texts("tokenizer.ggml.tokens")?;
    let mut merges = Vec::new();
    for merge in texts("tokenizer.ggml.merges")? {
        let (left, right) = merge.split_once(' ').ok_or_else(|| format!("the merge `{merge}`"))?;
        merges.push((left.to_owned(), right.to_owned()));
    }
    let vocabulary: Vec<(String, u32)> = tokens.iter().cloned().zip(0..).collect();
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges)
        .build()
        .map_err(|cause| cause.to_string())?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_decoder(Some(ByteLevel::default()));

    let bytes = ByteLevel::new(false, false, false);
    let cut = |digits: &str| -> Result<PreTokenizerWrapper, String> {
        let pattern = SplitPattern::Regex(WORDS.replace("{digits}", digits));
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(|cause| cause.to_string())?;
        Ok(Sequence::new(vec![split.into(), bytes.into()]).into())
    };
    let cutter: PreTokenizerWrapper = match gguf.text("tokenizer.ggml.pre").unwrap_or("gpt-2") {
        "qwen2" => {
            tokenizer.with_normalizer(Some(NFC));
            cut("")?
        }
        "llama-bpe" | "llama3" => cut("{1,3}")?,
        // SmolLM reads each digit by itself.
        "smollm" => Sequence::new(vec![Digits::new(true).into(), ByteLevel::new(false, false, true).into()]).into(),
        "gpt-2" | "default" => ByteLevel::new(false, false, true).into(),
        other => return Err(format!("its text is cut by `{other}`, which we do not know")),
    };
    tokenizer.with_pre_tokenizer(Some(cutter));

    let mut controls = Vec::new();
    for (token, kind) in tokens.iter().zip(gguf.row("tokenizer.ggml.token_type")?) {
        let kind = match kind {
            candle_core::quantized::gguf_file::Value::I32(kind) => *kind as u32,
            other => other.to_u32().map_err(|cause| format!("a token's kind: {cause}"))?,
        };
        if CONTROL_KINDS.contains(&kind) {
            controls.push(AddedToken::from(token.clone(), true));
        }
    }
    tokenizer.add_special_tokens(&controls);
    Ok(tokenizer)
}
