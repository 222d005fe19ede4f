//! How does a processor with AVX2 and FMA multiply? Four tokens times eight rows at a time, all sums in registers.

#![expect(clippy::needless_range_loop, reason = "an index runs over several register blocks at once")]

use std::arch::x86_64::{
    __m256, __m256i, _mm256_add_epi16, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_mul_ps, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256,
    _mm256_sub_epi32,
};

use super::{GROUP, LANES, QUERIES, STEPS, Tile, TokenBlock};

/// Whether this processor can run this file. The answer is cached by std.
#[inline(always)]
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

pub(super) fn product(tile: Tile<'_>) {
    assert!(is_here());
    #[expect(unsafe_code, reason = "the processor has AVX2 and FMA: asserted above")]
    unsafe {
        product_unchecked(tile);
    }
}

#[target_feature(enable = "avx2,fma")]
fn product_unchecked(mut tile: Tile<'_>) {
    let groups = tile.out.first().map_or(0, |row| row.len().div_ceil(GROUP));
    let tokens = tile.out.len();
    for group in 0..groups {
        let mut token = 0;
        while token < tokens {
            match tokens - token {
                1 => some_tokens::<1>(&mut tile, token, group),
                2 => some_tokens::<2>(&mut tile, token, group),
                3 => some_tokens::<3>(&mut tile, token, group),
                _ => some_tokens::<4>(&mut tile, token, group),
            }
            token += 4;
        }
    }
}

/// `N` tokens times the eight rows of a group.
///
/// The sixteen-bit sums of a block cannot overflow: 8 steps of two products of at most 15 * 128 are 30 720.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn some_tokens<const N: usize>(tile: &mut Tile<'_>, token: usize, group: usize) {
    let (weight, activations) = (tile.weight, tile.activations);
    let blocks = weight.blocks;
    let group_blocks = &weight.groups[(tile.first_group + group) * blocks..][..blocks];
    let tokens: [&[TokenBlock]; N] =
        std::array::from_fn(|n| &activations.values[(tile.first_token + token + n) * blocks..][..blocks]);

    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_ps(); N];
    for (block, group) in group_blocks.iter().enumerate() {
        let mut pairs = [_mm256_setzero_si256(); N];
        for step in 0..STEPS {
            let weights = load(&group.numbers[step]);
            for n in 0..N {
                let four = _mm256_set1_epi32(tokens[n][block].numbers[step]);
                pairs[n] = _mm256_add_epi16(pairs[n], _mm256_maddubs_epi16(weights, four));
            }
        }
        let scales = load_f32(&group.scales);
        for n in 0..N {
            let token = &tokens[n][block];
            let dots = _mm256_sub_epi32(_mm256_madd_epi16(pairs[n], ones), _mm256_set1_epi32(token.offset));
            let scale = _mm256_mul_ps(scales, _mm256_set1_ps(token.scale));
            sums[n] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), scale, sums[n]);
        }
    }
    for n in 0..N {
        let values = to_array(sums[n]);
        let row = &mut tile.out[token + n][group * GROUP..];
        let count = row.len().min(GROUP);
        row[..count].copy_from_slice(&values[..count]);
    }
}

pub(super) fn small_product(a: [&[f32]; QUERIES], b: &[f32], width: usize, c: &mut [f32]) {
    assert!(is_here());
    #[expect(unsafe_code, reason = "the processor has AVX2 and FMA: asserted above")]
    unsafe {
        small_product_unchecked(a, b, width, c);
    }
}

#[target_feature(enable = "avx2,fma")]
fn small_product_unchecked(a: [&[f32]; QUERIES], b: &[f32], width: usize, c: &mut [f32]) {
    for from in (0..width).step_by(LANES) {
        let mut sums = [[_mm256_setzero_ps(); 2]; QUERIES];
        let mut rest = b;
        for row in 0..a[0].len() {
            let (now, later) = rest.split_at(width);
            rest = later;
            let (halves, _) = now[from..][..LANES].as_chunks::<8>();
            let (low, high) = (load_f32(&halves[0]), load_f32(&halves[1]));
            for query in 0..QUERIES {
                let value = _mm256_set1_ps(a[query][row]);
                sums[query][0] = _mm256_fmadd_ps(value, low, sums[query][0]);
                sums[query][1] = _mm256_fmadd_ps(value, high, sums[query][1]);
            }
        }
        for (query, [low, high]) in sums.into_iter().enumerate() {
            let to = &mut c[query * width + from..][..LANES];
            to[..8].copy_from_slice(&to_array(low));
            to[8..].copy_from_slice(&to_array(high));
        }
    }
}

/// The bits of 32 bytes as a vector. (`_mm256_loadu_si256` checks for overlap in a dev build, which at every
/// load makes the whole product three times slower.)
#[target_feature(enable = "avx2,fma")]
#[inline]
fn load(bytes: &[u8; 32]) -> __m256i {
    #[expect(unsafe_code, reason = "both are 32 bytes without invalid values")]
    unsafe {
        std::mem::transmute::<[u8; 32], __m256i>(*bytes)
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn load_f32(values: &[f32; GROUP]) -> __m256 {
    #[expect(unsafe_code, reason = "both are eight f32")]
    unsafe {
        std::mem::transmute::<[f32; GROUP], __m256>(*values)
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn to_array(values: __m256) -> [f32; GROUP] {
    #[expect(unsafe_code, reason = "both are eight f32")]
    unsafe {
        std::mem::transmute::<__m256, [f32; GROUP]>(values)
    }
}
