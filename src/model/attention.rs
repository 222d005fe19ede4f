//! Who listens to whom? Attention of each text to itself alone, over tokens that lie packed without padding.
//!
//! One task is one head of one text. Its keys are turned once, so that both products run over rows of [`LANES`] values
//! that the compiler keeps in vectors; scores exist for [`QUERIES`] tokens at a time and never leave the first cache.

use rayon::prelude::*;

use super::{
    fused::softmax,
    kernels::{LANES, QUERIES, small_product, wide},
};

/// Multiplications below which a second thread costs more than it saves.
const PARALLEL_FROM: usize = 1 << 19;

/// Mixes the values of each text's tokens by softmax(query * key / sqrt(size)).
///
/// * `qkv`: `[tokens, 3 * d]`, without `bias` (`[3 * d]`)
/// * `lengths`: tokens of each text, in order; they sum up to `tokens`
///
/// Returns `[tokens, d]`.
pub(super) fn attention(qkv: &[f32], bias: &[f32], lengths: &[usize], heads: usize) -> Vec<f32> {
    let d = bias.len() / 3;
    let size = d / heads;
    let mut mixed = vec![0f32; qkv.len() / 3];
    assert_eq!(lengths.iter().sum::<usize>() * d, mixed.len(), "lengths of texts");
    let mut tasks = Vec::with_capacity(lengths.len() * heads);
    let mut rest = mixed.as_mut_slice();
    let mut first_token = 0;
    for length in lengths {
        let (text, later) = rest.split_at_mut(length * d);
        let first = tasks.len();
        let of_text = &qkv[first_token * 3 * d..][..length * 3 * d];
        tasks.extend((0..heads).map(|head| (of_text, head, Vec::with_capacity(*length))));
        for row in text.chunks_exact_mut(d) {
            tasks[first..].iter_mut().zip(row.chunks_exact_mut(size)).for_each(|(task, part)| task.2.push(part));
        }
        (rest, first_token) = (later, first_token + length);
    }
    let run = |(qkv, head, mut out): (&[f32], usize, Vec<&mut [f32]>)| one_head(qkv, bias, head, &mut out);
    if lengths.iter().map(|length| length * length * d * 2).sum::<usize>() < PARALLEL_FROM {
        tasks.into_iter().for_each(run);
    } else {
        tasks.into_par_iter().for_each(run);
    }
    mixed
}

wide! {
    /// One head of one text; `out` has the head's part of each token.
    fn one_head(qkv: &[f32], bias: &[f32], head: usize, out: &mut [&mut [f32]]) {
        let (tokens, size, width) = (out.len(), out.first().map_or(0, |part| part.len()), bias.len());
        let (query_at, key_at, value_at) = (head * size, width / 3 + head * size, width / 3 * 2 + head * size);
        let scale = 1.0 / (size as f32).sqrt();
        let (key_lanes, value_lanes) = (tokens.next_multiple_of(LANES), size.next_multiple_of(LANES));
        let mut keys = vec![0f32; size * key_lanes]; // [size, tokens]
        let mut values = vec![0f32; tokens * value_lanes]; // [tokens, size]
        for (token, row) in qkv.chunks_exact(width).enumerate() {
            let mut at = token;
            for (x, bias) in row[key_at..][..size].iter().zip(&bias[key_at..][..size]) {
                keys[at] = x + bias;
                at = at.wrapping_add(key_lanes);
            }
            let to = &mut values[token * value_lanes..][..size];
            for ((to, x), bias) in to.iter_mut().zip(&row[value_at..][..size]).zip(&bias[value_at..][..size]) {
                *to = x + bias;
            }
        }
        let mut queries = vec![0f32; QUERIES * size];
        let mut scores = vec![0f32; QUERIES * key_lanes];
        let mut mixed = vec![0f32; QUERIES * value_lanes];
        for (out, rows) in out.chunks_mut(QUERIES).zip(qkv.chunks(QUERIES * width)) {
            for (query, row) in queries.chunks_exact_mut(size).zip(rows.chunks_exact(width)) {
                for ((to, x), bias) in query.iter_mut().zip(&row[query_at..][..size]).zip(&bias[query_at..][..size]) {
                    *to = (x + bias) * scale;
                }
            }
            small_product(&queries, size, &keys, key_lanes, &mut scores);
            for row in scores.chunks_exact_mut(key_lanes) {
                softmax(&mut row[..tokens]);
            }
            small_product(&scores, key_lanes, &values, value_lanes, &mut mixed);
            for (out, mixed) in out.iter_mut().zip(mixed.chunks_exact(value_lanes)) {
                out.copy_from_slice(&mixed[..size]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In f64, token by token, as the formula reads.
    fn naive(qkv: &[f32], bias: &[f32], lengths: &[usize], heads: usize) -> Vec<f64> {
        let (width, d) = (bias.len(), bias.len() / 3);
        let size = d / heads;
        let at = |token: usize, column: usize| f64::from(qkv[token * width + column] + bias[column]);
        let mut mixed = vec![0f64; qkv.len() / 3];
        let mut first = 0;
        for length in lengths {
            for (token, head) in (0..*length).flat_map(|token| (0..heads).map(move |head| (first + token, head))) {
                let weights: Vec<f64> = (first..first + length)
                    .map(|other| {
                        let dot: f64 = (head * size..(head + 1) * size).map(|i| at(token, i) * at(other, d + i)).sum();
                        (dot / (size as f64).sqrt()).exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for i in head * size..(head + 1) * size {
                    mixed[token * d + i] =
                        weights.iter().enumerate().map(|(other, w)| w / total * at(first + other, 2 * d + i)).sum();
                }
            }
            first += length;
        }
        mixed
    }

    #[test]
    fn each_text_attends_to_itself_alone() {
        for (lengths, heads, size) in
            [(vec![1], 2, 4), (vec![5, 3], 4, 4), (vec![17, 1, 40], 3, 20), (vec![90, 64], 2, 32)]
        {
            let d = heads * size;
            let tokens: usize = lengths.iter().sum();
            let qkv: Vec<f32> = (0..tokens * 3 * d).map(|i| (i as f32 * 0.7).sin()).collect();
            let bias: Vec<f32> = (0..3 * d).map(|i| (i as f32 * 1.3).cos()).collect();
            let ours = attention(&qkv, &bias, &lengths, heads);
            for (at, (ours, naive)) in ours.iter().zip(naive(&qkv, &bias, &lengths, heads)).enumerate() {
                assert!((f64::from(*ours) - naive).abs() < 1e-5, "{ours} instead of {naive} at {at} of {lengths:?}");
            }
        }
    }
}
