//! What does the product mean? The plain body, for every processor; the fast ones must agree with it.

use super::{GROUP, LANES, QUERIES, Tile};

pub(super) fn product(tile: Tile<'_>) {
    let Tile { weight, activations, first_token, first_group, out } = tile;
    let blocks = weight.blocks;
    for (token, out) in out.into_iter().enumerate() {
        let token = &activations.values[(first_token + token) * blocks..][..blocks];
        for (group, out) in out.chunks_mut(GROUP).enumerate() {
            let group = &weight.groups[(first_group + group) * blocks..][..blocks];
            let mut sums = [0f32; GROUP];
            for (token, group) in token.iter().zip(group) {
                let mut dots = [-token.offset; GROUP];
                for (step, four) in group.numbers.iter().zip(&token.numbers) {
                    let four = four.to_le_bytes().map(|byte| i32::from(byte as i8));
                    for (dot, weights) in dots.iter_mut().zip(step.chunks_exact(4)) {
                        *dot += weights.iter().zip(four).map(|(weight, four)| i32::from(*weight) * four).sum::<i32>();
                    }
                }
                for ((sum, dot), scale) in sums.iter_mut().zip(dots).zip(&group.scales) {
                    *sum += dot as f32 * (token.scale * scale);
                }
            }
            out.copy_from_slice(&sums[..out.len()]);
        }
    }
}

pub(super) fn small_product(a: [&[f32]; QUERIES], b: &[f32], width: usize, c: &mut [f32]) {
    for (a, c) in a.into_iter().zip(c.chunks_exact_mut(width)) {
        for (from, c) in (0..width).step_by(LANES).zip(c.chunks_exact_mut(LANES)) {
            let mut sums = [0f32; LANES];
            for (a, b) in a.iter().zip(b.chunks_exact(width)) {
                for (sum, b) in sums.iter_mut().zip(&b[from..]) {
                    *sum += a * b;
                }
            }
            c.copy_from_slice(&sums);
        }
    }
}
