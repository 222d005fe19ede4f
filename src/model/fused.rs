//! Which steps of the encoder are cheaper together? Elementwise work between two products, fused, over plain slices.
//!
//! candle's own `gelu_erf` and `softmax` call a scalar `erf` and `exp` per element, which costs more than the products
//! of a short text. These use polynomials that the compiler turns into vector code; each error is in its test.

use rayon::prelude::*;

use super::kernels::wide;

/// Below so many values a second thread costs more than it saves.
const PARALLEL_FROM: usize = 1 << 15;

/// `x <- gelu(x + bias)`, the exact (erf) GELU to 5e-7. `x`: `[n, d]`, `bias`: `[d]`.
pub(super) fn bias_gelu(x: &mut [f32], bias: &[f32]) {
    in_tasks(x, bias.len(), |_, rows| gelu_rows(rows, bias));
}

/// `x <- layer_norm(x + y + bias) * scale + shift`. `x`, `y`: `[n, d]`; `parameters`: `[3, d]` bias, scale, shift.
pub(super) fn add_norm(x: &mut [f32], y: &[f32], parameters: &[f32], epsilon: f32) {
    assert_eq!(x.len(), y.len(), "shapes of a sum");
    in_tasks(x, parameters.len() / 3, |at, rows| norm_rows(rows, &y[at..], parameters, epsilon));
}

wide! {
    fn gelu_rows(rows: &mut [f32], bias: &[f32]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            for (x, bias) in row.iter_mut().zip(bias) {
                *x = gelu(*x + bias);
            }
        }
    }
}

wide! {
    fn norm_rows(rows: &mut [f32], y: &[f32], parameters: &[f32], epsilon: f32) {
        let d = parameters.len() / 3;
        let (bias, rest) = parameters.split_at(d);
        let (scale, shift) = rest.split_at(d);
        for (row, y) in rows.chunks_exact_mut(d).zip(y.chunks_exact(d)) {
            for ((x, y), bias) in row.iter_mut().zip(y).zip(bias) {
                *x += y + bias;
            }
            let mean = sum(row) / d as f32;
            for x in row.iter_mut() {
                *x -= mean;
            }
            let variance = sum_of_squares(row) / d as f32;
            let inverse = 1.0 / (variance + epsilon).sqrt();
            for ((x, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
                *x = *x * inverse * scale + shift;
            }
        }
    }
}

/// `row <- softmax(row)`.
#[inline(always)]
pub(super) fn softmax(row: &mut [f32]) {
    let mut lanes = [f32::NEG_INFINITY; 8];
    let (chunks, rest) = row.as_chunks::<8>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    let mut most = f32::NEG_INFINITY;
    for x in lanes.iter().chain(rest) {
        most = if *x > most { *x } else { most };
    }
    for x in row.iter_mut() {
        *x = exp(*x - most);
    }
    let inverse = 1.0 / sum(row);
    for x in row.iter_mut() {
        *x *= inverse;
    }
}

/// Runs `work(place of the first value, rows)` on rows of `width`, on all cores when it is worth it.
fn in_tasks(values: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if values.len() < PARALLEL_FROM {
        return work(0, values);
    }
    let per_task = (PARALLEL_FROM / 4 / width).max(1) * width;
    values.par_chunks_mut(per_task).enumerate().for_each(|(task, rows)| work(task * per_task, rows));
}

/// Eight running sums instead of one, so that additions need not wait for each other.
#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    let mut sum = 0.0;
    for value in lanes.iter().chain(rest) {
        sum += value;
    }
    sum
}

#[inline(always)]
fn sum_of_squares(values: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value * value;
        }
    }
    let mut sum = 0.0;
    for lane in lanes {
        sum += lane;
    }
    for value in rest {
        sum += value * value;
    }
    sum
}

/// `e^x` to 2e-7 relative: `2^n * e^r` with `r` within half of ln 2, `e^r` by its Taylor polynomial of degree 6.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    /// Adding and subtracting 1.5 * 2^23 rounds to a whole number without a call.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    // The lowest bits of `rounded` are `n`; a checked addition or conversion would cost the vectors.
    p * f32::from_bits(rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23)
}

/// The exact GELU with erf by Abramowitz and Stegun 7.1.26 (1.5e-7), <https://personal.math.ubc.ca/~cbm/aands/>.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152;
    p = p * t + 1.421_413_7;
    p = p * t - 0.284_496_74;
    p = p * t + 0.254_829_6;
    let erf = 1.0 - p * t * exp(-z * z);
    0.5 * x * (1.0 + erf.copysign(x))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn random(count: usize, seed: f64) -> Vec<f32> {
        (0..count).map(|i| ((i as f64 * 0.7 + seed).sin() * 4.0) as f32).collect()
    }

    fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
    }

    fn close(ours: &[f32], plain: &Tensor, tolerance: f32) {
        let plain = plain.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(ours.len(), plain.len());
        for (at, (ours, plain)) in ours.iter().zip(plain).enumerate() {
            assert!((ours - plain).abs() <= tolerance, "{ours} instead of {plain} at {at}");
        }
    }

    #[test]
    fn the_polynomials_keep_their_promises() {
        for step in -8700..8800 {
            let x = step as f32 / 100.0;
            let (want, got) = ((x as f64).exp(), exp(x) as f64);
            assert!((got / want - 1.0).abs() < 4e-7, "exp({x})");
        }
        let xs: Vec<f32> = (-12_000..12_000).map(|step| step as f32 / 1000.0).collect();
        let ours: Vec<f32> = xs.iter().copied().map(gelu).collect();
        close(&ours, &tensor(&xs, &[xs.len()]).gelu_erf().unwrap(), 1e-6);
    }

    #[test]
    fn each_fused_step_equals_its_plain_twin() {
        for n in [3, 300] {
            let (x, y, bias) = (random(n * 384, 0.0), random(n * 384, 1.0), random(384, 2.0));
            let mut fused = x.clone();
            bias_gelu(&mut fused, &bias);
            let (xs, ys) = (tensor(&x, &[n, 384]), tensor(&y, &[n, 384]));
            close(&fused, &xs.broadcast_add(&tensor(&bias, &[384])).unwrap().gelu_erf().unwrap(), 1e-6);

            let parameters = random(3 * 384, 3.0);
            let parts = tensor(&parameters, &[3, 384]);
            let sum = (xs + ys).unwrap().broadcast_add(&parts.get(0).unwrap()).unwrap();
            let (scale, shift) = (parts.get(1).unwrap(), parts.get(2).unwrap());
            let mut fused = x.clone();
            add_norm(&mut fused, &y, &parameters, 1e-12);
            close(&fused, &candle_nn::ops::layer_norm_slow(&sum, &scale, &shift, 1e-12).unwrap(), 2e-5);
        }
        for n in [1, 7, 8, 100] {
            let x = random(n, 4.0);
            let mut ours = x.clone();
            softmax(&mut ours);
            close(&ours, &candle_nn::ops::softmax_last_dim(&tensor(&x, &[1, n])).unwrap(), 1e-6);
        }
    }
}
