//! How fast do the models run here? Fixed texts, one warm-up, plain clocks; for `deskhand bench embed|generate`.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{Embed, Generate, Message, Prompt, Side, Speaker, Stop};
use crate::{
    error::{Error, Result},
    safety::mask,
};

/// What `bench embed` found.
#[derive(Debug, Clone, Serialize)]
pub struct EmbedReport {
    /// What was run.
    pub what: String,
    /// The weights.
    pub fingerprint: String,
    /// Threads that the products may use.
    pub threads: usize,
    /// One question at a time.
    pub query: Latency,
    /// Mean tokens of a question, prefix not counted.
    pub query_tokens: f64,
    /// Passages in one call.
    pub passages: usize,
    /// Their tokens in all.
    pub passage_tokens: usize,
    /// Passages per second.
    pub passages_per_s: f64,
    /// Passage tokens per second.
    pub tokens_per_s: f64,
}

/// What `bench generate` found.
#[derive(Debug, Clone, Serialize)]
pub struct GenerateReport {
    /// What was run.
    pub what: String,
    /// The model.
    pub model: String,
    /// Threads that the products may use.
    pub threads: usize,
    /// Tokens of the prompt, if the model tells.
    pub prompt_tokens: Option<usize>,
    /// Tokens of all timed replies.
    pub tokens: usize,
    /// From the request to its first text.
    pub first_text: Latency,
    /// From the request to its end.
    pub whole: Latency,
    /// Prompt tokens per second until the first text.
    pub prefill_tokens_per_s: Option<f64>,
    /// Tokens per second after the first text.
    pub tokens_per_s: f64,
}

/// Times of some equal runs.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// How many.
    pub runs: usize,
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile; of fewer than 100 runs the slowest.
    pub p99_ms: f64,
}

const QUERIES: [&str; 4] = [
    "提现一般多久能到账，为什么我的还没有到？",
    "How long does a withdrawal to my bank account take?",
    "银行卡被冻结了怎么办 please help",
    "I sent USDT on the wrong network, can I get it back?",
];

const PASSAGE: &str = "Withdrawals to a bank account are usually credited within one working day. 提现申请提交后，系统会先进行安全审核，\
                       审核通过后通常在一个工作日内到账；遇到周末或节假日会顺延。If it has not arrived after three working days, open \
                       Wallet > History, choose the withdrawal and tap Contact support.";

/// Times single questions, then `passages` passages in one call.
pub fn embed(model: &mut dyn Embed, runs: usize, passages: usize) -> Result<EmbedReport> {
    for query in QUERIES {
        model.embed(Side::Query, &[query])?;
    }
    let mut times = Vec::new();
    for run in 0..runs.max(1) {
        let begun = Instant::now();
        model.embed(Side::Query, &[QUERIES[run % QUERIES.len()]])?;
        times.push(begun.elapsed());
    }
    let texts: Vec<String> = (0..passages.max(1)).map(|at| format!("{at}. {PASSAGE}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokens: usize = texts.iter().map(|text| model.count_tokens(text)).sum();
    let begun = Instant::now();
    model.embed(Side::Passage, &texts)?;
    let seconds = begun.elapsed().as_secs_f64();
    let query_tokens = QUERIES.iter().map(|query| model.count_tokens(query)).sum::<usize>() as f64;
    Ok(EmbedReport {
        what: format!("{} questions one by one, then {} passages in one call", runs.max(1), texts.len()),
        fingerprint: model.abilities().fingerprint,
        threads: rayon::current_num_threads(),
        query: Latency::of(times),
        query_tokens: query_tokens / QUERIES.len() as f64,
        passages: texts.len(),
        passage_tokens: tokens,
        passages_per_s: texts.len() as f64 / seconds,
        tokens_per_s: tokens as f64 / seconds,
    })
}

/// Times `runs` replies of at most `limit_tokens` to prompts of about 400 tokens that share no beginning.
pub fn generate(model: &mut dyn Generate, runs: usize, limit_tokens: usize) -> Result<GenerateReport> {
    let abilities = model.abilities();
    let (mut first, mut whole, mut after) = (Vec::new(), Vec::new(), Duration::ZERO);
    let (mut tokens, mut later_tokens, mut prompt_tokens) = (0, 0, None);
    for run in 0..=runs.max(1) {
        let text = format!("{run}: {}\n\nQuestion: {}", PASSAGE.repeat(3), QUERIES[run % QUERIES.len()]);
        let prompt = Prompt { messages: vec![Message { speaker: Speaker::User, text: mask(&text) }] };
        let begun = Instant::now();
        let mut first_text = None;
        let mut said = String::new();
        let stop = model.generate(&prompt, None, limit_tokens, &mut |text| {
            if !text.is_empty() {
                first_text.get_or_insert_with(|| begun.elapsed());
                said.push_str(text);
            }
            ControlFlow::Continue(())
        })?;
        if stop == Stop::Cancelled {
            return Err(Error::Stopped("the benchmark"));
        }
        if run == 0 {
            continue; // The first run warms up: weights are read from disk and repacked.
        }
        let vocabulary = abilities.vocabulary.as_deref();
        let count = |text: &str| vocabulary.map_or(Ok(text.split_whitespace().count()), |v| Ok(v.encode(text)?.len()));
        let (total, until_first) = (begun.elapsed(), first_text.unwrap_or_else(|| begun.elapsed()));
        first.push(until_first);
        whole.push(total);
        after += total.saturating_sub(until_first);
        let reply_tokens: usize = count(&said)?;
        tokens += reply_tokens;
        later_tokens += reply_tokens.saturating_sub(1);
        prompt_tokens = vocabulary.map(|vocabulary| vocabulary.encode(&text).map(|ids| ids.len())).transpose()?;
    }
    let first_text = Latency::of(first);
    Ok(GenerateReport {
        what: format!("{} replies of at most {limit_tokens} tokens, one by one", runs.max(1)),
        model: abilities.name,
        threads: rayon::current_num_threads(),
        prompt_tokens,
        tokens,
        prefill_tokens_per_s: prompt_tokens.map(|tokens| tokens as f64 * 1000.0 / first_text.p50_ms),
        first_text,
        whole: Latency::of(whole),
        tokens_per_s: later_tokens as f64 / after.as_secs_f64().max(1e-9),
    })
}

impl Latency {
    /// Of at least one run.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let last = times.len().saturating_sub(1);
            let rank = ((times.len() as f64 * share).ceil() as usize).saturating_sub(1).min(last);
            times.get(rank).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
        };
        Latency { runs: times.len(), p50_ms: at(0.5), p99_ms: at(0.99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scripted::{ScriptedEmbedder, ScriptedGenerator};

    #[test]
    fn percentiles_are_ranks() {
        let latency = Latency::of((1..=200).map(Duration::from_millis).collect());
        assert_eq!((latency.runs, latency.p50_ms, latency.p99_ms), (200, 100.0, 198.0));
        assert_eq!(Latency::of(vec![Duration::from_millis(3)]).p99_ms, 3.0);
    }

    #[test]
    fn reports_say_what_was_run() {
        let report = embed(&mut ScriptedEmbedder, 5, 10).unwrap();
        assert_eq!((report.query.runs, report.passages), (5, 10));
        assert!(report.passage_tokens > 500 && report.tokens_per_s > 0.0);
        let report = generate(&mut ScriptedGenerator::replies(["one two three"]), 2, 2).unwrap();
        assert_eq!((report.tokens, report.whole.runs), (4, 2));
    }
}
