//! Which steps of the encoder are cheaper together? Elementwise work between two products, fused, over plain slices.
//!
//! candle's own `gelu_erf` and `softmax` call a scalar `erf` and `exp` per element, which costs more than the products
//! of a short text. These use polynomials that the compiler turns into vector code; each error is in its test.

use candle_core::{CpuStorage, DType, InplaceOp1, InplaceOp2, InplaceOp3, Layout, Result, Tensor, bail};
use rayon::prelude::*;

/// Below so many values a second thread costs more than it saves.
const PARALLEL_FROM: usize = 1 << 15;

/// `x <- gelu(x + bias)`, the exact (erf) GELU to 5e-7. `x`: `[n, d]` f32, `bias`: `[d]` f32.
pub(super) fn bias_gelu(x: &Tensor, bias: &Tensor) -> Result<()> {
    x.inplace_op2(bias, &BiasGelu)
}

/// `x <- layer_norm(x + y + bias) * scale + shift`. `x`, `y`: `[n, d]` f32; `parameters`: `[3, d]` bias, scale, shift.
pub(super) fn add_norm(x: &Tensor, y: &Tensor, parameters: &Tensor, epsilon: f32) -> Result<()> {
    x.inplace_op3(y, parameters, &AddNorm { epsilon })
}

/// Softmax over the last axis of `scores`, of which only the first `lengths[b]` columns count; the others become 0.
///
/// * `scores`: `[b, heads, t, t]` f32; row `b` belongs to a text of `lengths[b]` tokens, at least 1
pub(super) fn masked_softmax(scores: &Tensor, lengths: &[usize]) -> Result<()> {
    let (b, heads, t, _) = scores.dims4()?;
    if b != lengths.len() || lengths.iter().any(|length| *length == 0 || *length > t) {
        bail!("lengths {lengths:?} do not fit scores {:?}", scores.shape());
    }
    scores.inplace_op1(&MaskedSoftmax { lengths: lengths.to_vec(), rows: heads * t, columns: t })
}

/// Cuts the joint projection into heads: `[b * t, 3 * d]` plus `bias` -> `[3, b, heads, t, d / heads]`, with the
/// query part scaled by `1 / sqrt(d / heads)`.
pub(super) fn split_heads(qkv: &Tensor, bias: &Tensor, b: usize, heads: usize) -> Result<Tensor> {
    let (tokens, width) = qkv.dims2()?;
    let (t, d) = (tokens / b, width / 3);
    let size = d / heads;
    let out = Tensor::zeros((3, b, heads, t, size), DType::F32, qkv.device())?;
    out.inplace_op3(qkv, bias, &SplitHeads { t, d, heads })?;
    Ok(out)
}

struct BiasGelu;
struct AddNorm {
    epsilon: f32,
}
struct MaskedSoftmax {
    lengths: Vec<usize>,
    rows: usize,
    columns: usize,
}
struct SplitHeads {
    t: usize,
    d: usize,
    heads: usize,
}

impl InplaceOp2 for BiasGelu {
    fn name(&self) -> &'static str {
        "bias-gelu"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, xl: &Layout, bias: &CpuStorage, bl: &Layout) -> Result<()> {
        let (x, bias) = (slice_mut(x, xl)?, slice(bias, bl)?);
        in_rows(x, bias.len(), |_, row| {
            for (x, bias) in row.iter_mut().zip(bias) {
                *x = gelu(*x + bias);
            }
        });
        Ok(())
    }
}

impl InplaceOp3 for AddNorm {
    fn name(&self) -> &'static str {
        "add-norm"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        xl: &Layout,
        y: &CpuStorage,
        yl: &Layout,
        parameters: &CpuStorage,
        pl: &Layout,
    ) -> Result<()> {
        let (x, y, parameters) = (slice_mut(x, xl)?, slice(y, yl)?, slice(parameters, pl)?);
        let d = parameters.len() / 3;
        let (bias, rest) = parameters.split_at(d);
        let (scale, shift) = rest.split_at(d);
        in_rows(x, d, |at, row| {
            for ((x, y), bias) in row.iter_mut().zip(&y[at * d..]).zip(bias) {
                *x += y + bias;
            }
            let mean = sum(row) / d as f32;
            row.iter_mut().for_each(|x| *x -= mean);
            let variance = sum_of_squares(row) / d as f32;
            let inverse = 1.0 / (variance + self.epsilon).sqrt();
            for ((x, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
                *x = *x * inverse * scale + shift;
            }
        });
        Ok(())
    }
}

impl InplaceOp1 for MaskedSoftmax {
    fn name(&self) -> &'static str {
        "masked-softmax"
    }

    fn cpu_fwd(&self, scores: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let scores = slice_mut(scores, layout)?;
        in_rows(scores, self.columns, |at, row| {
            let (real, padding) = row.split_at_mut(self.lengths[at / self.rows]);
            padding.fill(0.0);
            let most = real.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            real.iter_mut().for_each(|x| *x = exp(*x - most));
            let inverse = 1.0 / sum(real);
            real.iter_mut().for_each(|x| *x *= inverse);
        });
        Ok(())
    }
}

impl InplaceOp3 for SplitHeads {
    fn name(&self) -> &'static str {
        "split-heads"
    }

    fn cpu_fwd(
        &self,
        out: &mut CpuStorage,
        ol: &Layout,
        qkv: &CpuStorage,
        ql: &Layout,
        bias: &CpuStorage,
        bl: &Layout,
    ) -> Result<()> {
        let (out, qkv, bias) = (slice_mut(out, ol)?, slice(qkv, ql)?, slice(bias, bl)?);
        let SplitHeads { t, d, heads } = *self;
        let size = d / heads;
        let b = qkv.len() / (3 * d * t);
        let scale = 1.0 / (size as f32).sqrt();
        in_rows(out, size, |at, row| {
            // Rows are counted over [3, b, heads, t].
            let (token, rest) = (at % t, at / t);
            let (head, rest) = (rest % heads, rest / heads);
            let (text, part) = (rest % b, rest / b);
            let column = part * d + head * size;
            let from = &qkv[(text * t + token) * 3 * d + column..][..size];
            let factor = if part == 0 { scale } else { 1.0 };
            for ((out, x), bias) in row.iter_mut().zip(from).zip(&bias[column..]) {
                *out = (x + bias) * factor;
            }
        });
        Ok(())
    }
}

/// Runs `work(row number, row)` on every row of `width`, on all cores when it is worth it.
fn in_rows(values: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if values.len() < PARALLEL_FROM {
        values.chunks_exact_mut(width).enumerate().for_each(|(at, row)| work(at, row));
        return;
    }
    let per_task = (PARALLEL_FROM / 4 / width).max(1);
    values.par_chunks_mut(width * per_task).enumerate().for_each(|(task, rows)| {
        rows.chunks_exact_mut(width).enumerate().for_each(|(at, row)| work(task * per_task + at, row));
    });
}

fn slice<'s>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("expected a contiguous f32 tensor"),
    }
}

fn slice_mut<'s>(storage: &'s mut CpuStorage, layout: &Layout) -> Result<&'s mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => bail!("expected a contiguous f32 tensor"),
    }
}

/// Eight running sums instead of one, so that additions need not wait for each other.
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let chunks = values.chunks_exact(8);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

fn sum_of_squares(values: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let chunks = values.chunks_exact(8);
    let rest: f32 = chunks.remainder().iter().map(|value| value * value).sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value * value;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// `e^x` to 2e-7 relative: `2^n * e^r` with `r` within half of ln 2, `e^r` by its Taylor polynomial of degree 6.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    /// Adding and subtracting 1.5 * 2^23 rounds to a whole number without a call.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    p * f32::from_bits((((n as i32) + 127) << 23) as u32)
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
    use candle_core::Device;

    use super::*;

    fn random(shape: &[usize], seed: f64) -> Tensor {
        let count = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|i| ((i as f64 * 0.7 + seed).sin() * 4.0) as f32).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn close(a: &Tensor, b: &Tensor, tolerance: f32) {
        assert_eq!(a.shape(), b.shape());
        let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        let difference = difference.to_scalar::<f32>().unwrap();
        assert!(difference <= tolerance, "differs by {difference}");
    }

    #[test]
    fn the_polynomials_keep_their_promises() {
        for step in -8700..8800 {
            let x = step as f32 / 100.0;
            let (want, got) = ((x as f64).exp(), exp(x) as f64);
            assert!((got / want - 1.0).abs() < 4e-7, "exp({x})");
        }
        let wide = Tensor::arange_step(-12f32, 12.0, 0.001, &Device::Cpu).unwrap();
        let ours: Vec<f32> = wide.to_vec1::<f32>().unwrap().into_iter().map(gelu).collect();
        let ours = Tensor::from_vec(ours, wide.shape(), &Device::Cpu).unwrap();
        close(&ours, &wide.gelu_erf().unwrap(), 1e-6);
    }

    #[test]
    fn each_fused_step_equals_its_plain_twin() {
        for n in [3, 300] {
            let (x, y, bias) = (random(&[n, 384], 0.0), random(&[n, 384], 1.0), random(&[384], 2.0));
            let plain = x.broadcast_add(&bias).unwrap().gelu_erf().unwrap();
            let fused = x.copy().unwrap();
            bias_gelu(&fused, &bias).unwrap();
            close(&fused, &plain, 1e-6);

            let parameters = random(&[3, 384], 3.0);
            let sum = (&x + &y).unwrap().broadcast_add(&parameters.get(0).unwrap()).unwrap();
            let (scale, shift) = (parameters.get(1).unwrap(), parameters.get(2).unwrap());
            let plain = candle_nn::ops::layer_norm_slow(&sum, &scale, &shift, 1e-12).unwrap();
            let fused = x.copy().unwrap();
            add_norm(&fused, &y, &parameters, 1e-12).unwrap();
            close(&fused, &plain, 2e-5);
        }
        let qkv = random(&[2 * 5, 3 * 16], 4.0);
        let bias = random(&[3 * 16], 5.0);
        let heads = split_heads(&qkv, &bias, 2, 4).unwrap();
        let plain = qkv.broadcast_add(&bias).unwrap().reshape((2, 5, 3, 4, 4)).unwrap();
        let plain = plain.permute((2, 0, 3, 1, 4)).unwrap().contiguous().unwrap();
        close(&heads.get(0).unwrap(), &(plain.get(0).unwrap() * 0.5).unwrap(), 1e-6);
        close(&heads.get(2).unwrap(), &plain.get(2).unwrap(), 1e-6);
    }

    #[test]
    fn padding_gets_no_attention() {
        let scores = random(&[2, 3, 4, 4], 6.0);
        let plain = candle_nn::ops::softmax_last_dim(&scores.narrow(3, 0, 2).unwrap().contiguous().unwrap()).unwrap();
        let fused = scores.copy().unwrap();
        masked_softmax(&fused, &[4, 2]).unwrap();
        close(&fused.narrow(3, 0, 2).unwrap().get(1).unwrap(), &plain.get(1).unwrap(), 1e-6);
        let rest = fused.get(1).unwrap().narrow(2, 2, 2).unwrap().abs().unwrap().sum_all().unwrap();
        assert_eq!(rest.to_scalar::<f32>().unwrap(), 0.0);
        assert!(masked_softmax(&fused, &[5, 2]).is_err());
    }
}
