//! How is a 4-bit weight multiplied fast? Our own product: int8 activations times 4-bit weights, summed in integers.
//!
//! A weight row and a token are both cut into blocks of 32. A weight block is a scale and 32 numbers 0..=15 that stand
//! for -8..=7 (GGUF's Q4_0); a token block is a scale and 32 numbers -127..=127 ([`Activations`]). The product of two
//! blocks is exact in integers, so only the order of the float additions over blocks differs between the bodies.
//!
//! Eight rows lie interleaved, four numbers of each in turn, so that one 32-byte vector meets one broadcast of four
//! activations and every lane belongs to its own row: no sums across lanes, and the scales of eight rows are one vector.
//! The bodies: [`avx2`] where the processor has AVX2 and FMA, [`portable`] everywhere.

#[cfg(target_arch = "x86_64")]
mod avx2;

mod portable;

use rayon::prelude::*;

/// Numbers under one scale.
pub(super) const BLOCK: usize = 32;

/// Bytes of a Q4_0 block in a GGUF: an f16 scale, then byte `i` with number `i` low and number `i + 16` high.
const Q4_0_BYTES: usize = 18;

/// Rows that lie interleaved.
const GROUP: usize = 8;

/// Steps of four numbers in a block.
const STEPS: usize = BLOCK / 4;

/// Multiplications below which a second thread costs more than it saves.
const PARALLEL_FROM: usize = 1 << 21;

/// Rows of the left side of a [`small_product`].
pub(super) const QUERIES: usize = 4;

/// Columns of a [`small_product`] that are computed together.
pub(super) const LANES: usize = 16;

/// Values below which a second thread does not help to round them.
const QUANTISE_PARALLEL_FROM: usize = 1 << 15;

/// Tokens and row groups of one task: 64 tokens of 384 fit the first cache beside the weights of one group.
const TASK_TOKENS: usize = 64;
const TASK_GROUPS: usize = 16;

/// A weight `[rows, columns]` for [`Weight::times`].
pub(super) struct Weight {
    rows: usize,
    blocks: usize,
    /// `[group][block]`
    groups: Vec<GroupBlock>,
}

/// One block of eight rows. Rows that fill up the last group are 0.
#[derive(Clone)]
#[repr(C, align(32))]
struct GroupBlock {
    /// `[step]`: four numbers 0..=15 of each of the eight rows.
    numbers: [[u8; GROUP * 4]; STEPS],
    scales: [f32; GROUP],
}

/// Tokens `[tokens, columns]`, as int8 in blocks.
pub(super) struct Activations {
    tokens: usize,
    blocks: usize,
    /// `[token][block]`
    values: Vec<TokenBlock>,
}

/// One block of a token.
#[derive(Clone, Default)]
#[repr(C)]
struct TokenBlock {
    /// 32 numbers, four to an i32, the first in the lowest byte.
    numbers: [i32; STEPS],
    scale: f32,
    /// 8 times the sum of the numbers: what is too much because weights are stored 8 too large.
    offset: i32,
}

/// The part of a product that one call of a body computes: some tokens, some row groups.
struct Tile<'a> {
    weight: &'a Weight,
    activations: &'a Activations,
    first_token: usize,
    first_group: usize,
    /// For each token the values of the tile's rows.
    out: Vec<&'a mut [f32]>,
}

type Body = fn(Tile<'_>);

impl Weight {
    /// Joins weights of equal `columns` row after row, each given as the Q4_0 blocks of a GGUF.
    pub(super) fn from_q4_0(parts: &[&[u8]], columns: usize) -> Result<Self, String> {
        let blocks = columns / BLOCK;
        let row_bytes = blocks * Q4_0_BYTES;
        if blocks == 0
            || !columns.is_multiple_of(BLOCK)
            || parts.iter().any(|part| !part.len().is_multiple_of(row_bytes))
        {
            return Err(format!("a weight of {columns} columns cannot be cut into blocks of {BLOCK}"));
        }
        let rows = parts.iter().map(|part| part.len() / row_bytes).sum::<usize>();
        let empty = GroupBlock { numbers: [[0; GROUP * 4]; STEPS], scales: [0.0; GROUP] };
        let mut groups = vec![empty; rows.div_ceil(GROUP) * blocks];
        for (row, bytes) in parts.iter().flat_map(|part| part.chunks_exact(row_bytes)).enumerate() {
            let (group, lane) = (row / GROUP, row % GROUP);
            for (block, bytes) in bytes.chunks_exact(Q4_0_BYTES).enumerate() {
                let to = &mut groups[group * blocks + block];
                to.scales[lane] = f16_to_f32(u16::from_le_bytes([bytes[0], bytes[1]]));
                for (i, byte) in bytes[2..].iter().enumerate() {
                    for (i, number) in [(i, byte & 15), (i + BLOCK / 2, byte >> 4)] {
                        to.numbers[i / 4][lane * 4 + i % 4] = number;
                    }
                }
            }
        }
        Ok(Weight { rows, blocks, groups })
    }

    /// Values of a product per token.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Values of a token.
    pub(super) fn columns(&self) -> usize {
        self.blocks * BLOCK
    }

    /// `out[token][row] <- sum over columns of activations[token][column] * weight[row][column]`.
    ///
    /// * `out`: `tokens * rows` f32; panics if it or the columns do not fit
    pub(super) fn times(&self, activations: &Activations, out: &mut [f32]) {
        self.times_with(body(), activations, out);
    }

    fn times_with(&self, body: Body, activations: &Activations, out: &mut [f32]) {
        let tokens = activations.tokens;
        assert_eq!((activations.blocks, out.len()), (self.blocks, tokens * self.rows), "shapes of a product");
        if out.is_empty() {
            return;
        }
        let width = TASK_GROUPS * GROUP;
        let mut tiles = Vec::with_capacity(tokens.div_ceil(TASK_TOKENS) * self.rows.div_ceil(width));
        for (chunk, out) in out.chunks_mut(TASK_TOKENS * self.rows).enumerate() {
            let first = tiles.len();
            tiles.extend((0..self.rows.div_ceil(width)).map(|at| Tile {
                weight: self,
                activations,
                first_token: chunk * TASK_TOKENS,
                first_group: at * TASK_GROUPS,
                out: Vec::with_capacity(out.len() / self.rows),
            }));
            for row in out.chunks_mut(self.rows) {
                tiles[first..].iter_mut().zip(row.chunks_mut(width)).for_each(|(tile, part)| tile.out.push(part));
            }
        }
        if tokens * self.rows * self.columns() < PARALLEL_FROM {
            tiles.into_iter().for_each(body);
        } else {
            tiles.into_par_iter().for_each(body);
        }
    }
}

impl Activations {
    /// Rounds `values` (`[tokens, columns]` f32, `columns` a multiple of 32) to int8: error at most 1/254 of the
    /// largest of each block.
    pub(super) fn of(values: &[f32], columns: usize) -> Self {
        assert!(
            columns > 0 && columns.is_multiple_of(BLOCK) && values.len().is_multiple_of(columns),
            "shape of activations"
        );
        let (tokens, blocks) = (values.len() / columns, columns / BLOCK);
        let mut blocks_of_tokens = vec![TokenBlock::default(); tokens * blocks];
        if values.len() < QUANTISE_PARALLEL_FROM {
            round_blocks(values, &mut blocks_of_tokens);
        } else {
            let task = QUANTISE_PARALLEL_FROM / 4;
            let places = blocks_of_tokens.par_chunks_mut(task / BLOCK);
            places.zip(values.par_chunks(task)).for_each(|(to, values)| round_blocks(values, to));
        }
        Activations { tokens, blocks, values: blocks_of_tokens }
    }
}

/// One block to int8.
#[inline(always)]
fn round_block(values: &[f32; BLOCK], to: &mut TokenBlock) {
    /// Adding it puts the nearest whole number into the lowest bits, without a call.
    const ROUND: f32 = 12_582_912.0;
    let mut lanes = [0f32; 8];
    for part in values.as_chunks::<8>().0 {
        for (lane, value) in lanes.iter_mut().zip(part) {
            let value = value.abs();
            // Not `max`, which must mind NaN and is slow for it.
            *lane = if value > *lane { value } else { *lane };
        }
    }
    let mut most = 0.0;
    for lane in lanes {
        most = if lane > most { lane } else { most };
    }
    let inverse = if most > 0.0 { 127.0 / most } else { 0.0 };
    let mut wholes = [0i32; BLOCK];
    for (whole, value) in wholes.iter_mut().zip(values) {
        *whole = (value * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    }
    let mut sum = 0;
    for whole in wholes {
        sum = whole.wrapping_add(sum);
    }
    let mut bytes = [0u8; BLOCK];
    for (byte, whole) in bytes.iter_mut().zip(wholes) {
        *byte = whole as u8;
    }
    for (number, four) in to.numbers.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *number = i32::from_le_bytes(*four);
    }
    to.scale = most / 127.0;
    to.offset = 8 * sum;
}

/// Defines a function whose body is compiled twice on x86-64: for every processor, and for those with AVX2 and FMA,
/// where the compiler's own vectors are twice as wide. To gain, the body must call what is `#[inline(always)]`, and loop
/// by `for`: a closure given to an iterator or array is compiled once, for every processor; and add integers by `wrapping_add`: a check for overflow costs the vectors of a dev
/// build.
macro_rules! wide {
    ($(#[$about:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$about])*
        $vis fn $name($($argument: $type),*) {
            #[inline(always)]
            fn plain($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wider($($argument: $type),*) {
                    plain($($argument),*);
                }
                if $crate::model::kernels::has_avx2() {
                    #[expect(unsafe_code, reason = "the processor has AVX2 and FMA: asked one line above")]
                    unsafe {
                        wider($($argument),*);
                    }
                    return;
                }
            }
            plain($($argument),*);
        }
    };
}

pub(super) use wide;

/// Whether bodies for AVX2 and FMA can run here. For [`wide`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn has_avx2() -> bool {
    avx2::is_here()
}

wide! {
    /// Rounds blocks of 32 values to int8.
    fn round_blocks(values: &[f32], to: &mut [TokenBlock]) {
        for (values, to) in values.as_chunks::<BLOCK>().0.iter().zip(to) {
            round_block(values, to);
        }
    }
}

fn body() -> Body {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_here() {
        return avx2::product;
    }
    portable::product
}

/// `c <- a * b` in f32, for the small products of attention.
///
/// * `a`: `[QUERIES, a_width]`, of which as many columns count as `b` has rows
/// * `b`: `[rows, width]`, `width` a multiple of [`LANES`]
/// * `c`: `[QUERIES, width]`
pub(super) fn small_product(a: &[f32], a_width: usize, b: &[f32], width: usize, c: &mut [f32]) {
    let rows = b.len() / width;
    assert!(width.is_multiple_of(LANES) && c.len() == QUERIES * width, "shape of a small product");
    let a: [&[f32]; QUERIES] = std::array::from_fn(|query| &a[query * a_width..][..rows]);
    #[cfg(target_arch = "x86_64")]
    if avx2::is_here() {
        return avx2::small_product(a, b, width, c);
    }
    portable::small_product(a, b, width, c);
}

fn f16_to_f32(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023) / 1024.0);
    match exponent {
        0 => sign * fraction * 2f32.powi(-14),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A number between 0 and 1 that looks random.
    fn noise(at: usize, seed: u64) -> f64 {
        let mut x = (at as u64).wrapping_add(seed.wrapping_mul(0x9E37_79B9)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 32)) & 0xFFFF_FFFF) as f64 / 4_294_967_296.0
    }

    fn q4_0(rows: usize, columns: usize, seed: u64, loud: bool) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..rows * columns / BLOCK * Q4_0_BYTES).map(|at| (noise(at, seed) * 256.0) as u8).collect();
        for block in bytes.chunks_exact_mut(Q4_0_BYTES) {
            if loud {
                block.fill(0xFF);
            }
            block[1] = block[1] & 0x83 | 0x24; // An f16 between 2^-6 and 2^-5 or its negative.
        }
        bytes
    }

    fn bodies() -> Vec<(&'static str, Body)> {
        let mut bodies: Vec<(&'static str, Body)> = vec![("portable", portable::product)];
        #[cfg(target_arch = "x86_64")]
        if avx2::is_here() {
            bodies.push(("avx2", avx2::product));
        }
        bodies
    }

    /// From the stored bytes and numbers alone, not from the interleaved weight.
    fn check(tokens: usize, parts: &[usize], blocks: usize, seed: u64, loud: bool) {
        let columns = blocks * BLOCK;
        let weights: Vec<Vec<u8>> =
            parts.iter().enumerate().map(|(at, rows)| q4_0(*rows, columns, seed + at as u64, loud)).collect();
        let weight = Weight::from_q4_0(&weights.iter().map(Vec::as_slice).collect::<Vec<_>>(), columns).unwrap();
        let bytes = weights.concat();
        let rows: usize = parts.iter().sum();
        assert_eq!((weight.rows(), weight.columns()), (rows, columns));
        let values: Vec<f32> = (0..tokens * columns)
            .map(|at| if loud { 1.0 } else { (noise(at, seed + 77) - 0.5) as f32 * 6.0 })
            .collect();
        let activations = Activations::of(&values, columns);
        for (name, body) in bodies() {
            let mut out = vec![f32::NAN; tokens * rows];
            weight.times_with(body, &activations, &mut out);
            for (at, got) in out.iter().enumerate() {
                let (token, row) = (at / rows, at % rows);
                let (mut want, mut size) = (0f64, 0f64);
                for column in 0..columns {
                    let (block, i) = (column / BLOCK, column % BLOCK);
                    let bytes = &bytes[(row * blocks + block) * Q4_0_BYTES..][..Q4_0_BYTES];
                    let byte = bytes[2 + i % 16];
                    let number = if i < 16 { byte & 15 } else { byte >> 4 };
                    let scale = f64::from(f16_to_f32(u16::from_le_bytes([bytes[0], bytes[1]])));
                    let place = token * blocks + block;
                    let four = activations.values[place].numbers[i / 4].to_le_bytes();
                    let term = (f64::from(number) - 8.0)
                        * scale
                        * f64::from(four[i % 4] as i8)
                        * f64::from(activations.values[place].scale);
                    want += term;
                    size += term.abs();
                }
                let error = (f64::from(*got) - want).abs();
                assert!(error <= 1e-6 * size + 1e-9, "{name}, token {token}, row {row}: {got} instead of {want}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_body_equals_the_naive_sum(
            tokens in 0usize..12, rows in 1usize..40, more in 0usize..20, blocks in 1usize..6, seed in 0u64..1000,
        ) {
            check(tokens, &[rows, more], blocks, seed, false);
        }

        #[test]
        fn activations_stay_near(values in prop::collection::vec(-50f32..50.0, 64)) {
            let activations = Activations::of(&values, 64);
            for (block, values) in values.chunks_exact(BLOCK).enumerate() {
                let numbers: Vec<i8> =
                    activations.values[block].numbers.iter().flat_map(|four| four.to_le_bytes().map(|b| b as i8)).collect();
                let most = values.iter().fold(0f32, |most, value| most.max(value.abs()));
                for (number, value) in numbers.iter().zip(values) {
                    let back = f32::from(*number) * activations.values[block].scale;
                    prop_assert!((back - value).abs() <= most / 254.0 * 1.0001 && *number > -128);
                }
                let sum: i32 = numbers.iter().map(|number| i32::from(*number)).sum();
                prop_assert_eq!(activations.values[block].offset, 8 * sum);
            }
        }
    }

    #[test]
    fn many_tokens_and_rows_in_parallel_too() {
        check(131, &[300, 7], 3, 5, false);
        check(4, &[9], 2, 6, true); // Everything at its largest: 127 times 15, the sums that sixteen bits must hold.
    }

    #[test]
    fn zeros_give_zeros_and_odd_shapes_are_refused() {
        let weight = Weight::from_q4_0(&[&q4_0(9, 64, 1, false)], 64).unwrap();
        let mut out = [f32::NAN; 18];
        weight.times(&Activations::of(&[0.0; 128], 64), &mut out);
        assert_eq!(out, [0.0; 18]);
        assert!(Weight::from_q4_0(&[&[0; 18]], 33).is_err());
        assert!(Weight::from_q4_0(&[&[0; 19]], 32).is_err());
    }

    #[test]
    fn small_products_equal_the_naive_sum() {
        for (rows, width, a_width) in [(1, 16, 1), (32, 48, 32), (37, 32, 48)] {
            let a: Vec<f32> = (0..QUERIES * a_width).map(|at| noise(at, 1) as f32 - 0.5).collect();
            let b: Vec<f32> = (0..rows * width).map(|at| noise(at, 2) as f32 - 0.5).collect();
            let left: [&[f32]; QUERIES] = std::array::from_fn(|query| &a[query * a_width..][..rows]);
            let (mut chosen, mut plain) = (vec![f32::NAN; QUERIES * width], vec![f32::NAN; QUERIES * width]);
            small_product(&a, a_width, &b, width, &mut chosen);
            portable::small_product(left, &b, width, &mut plain);
            for (at, (chosen, plain)) in chosen.iter().zip(&plain).enumerate() {
                let terms =
                    (0..rows).map(|row| f64::from(left[at / width][row]) * f64::from(b[row * width + at % width]));
                let want: f64 = terms.sum();
                assert!((f64::from(*chosen) - want).abs() < 1e-5 && (f64::from(*plain) - want).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn half_floats_become_floats() {
        let pairs =
            [(0x3C00, 1.0), (0xC000, -2.0), (0x7BFF, 65504.0), (0x0400, 2f32.powi(-14)), (0x0001, 2f32.powi(-24))];
        for (bits, value) in pairs {
            assert_eq!(f16_to_f32(bits), value);
        }
        assert!(f16_to_f32(0x7C00).is_infinite() && f16_to_f32(0x7E00).is_nan());
    }
}
