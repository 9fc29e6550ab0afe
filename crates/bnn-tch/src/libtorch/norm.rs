//! Batch normalization; the gradients of the plain one are those of libtorch's own by autograd on
//! processors.

use bnn_core::{Error, Norm, Spread};
use tch::{Kind, Tensor};

use super::fault::Result;
use super::real::Real;

/// The mean of every column, its biased variance about that mean with `AP2(c)` for one factor if
/// shift-based (rows of f32), and x less the mean.
pub fn statistics(x: &Tensor, shift: bool) -> Result<[Tensor; 3]> {
    let mean = x.f_mean_dim(0, true, Kind::Double)?.f_to_kind(Kind::Float)?;
    let centred = x.f_sub(&mean)?;
    let wide = centred.f_to_kind(Kind::Double)?;
    let square = if shift {
        wide.f_mul(&ap2(&centred)?.f_to_kind(Kind::Double)?)?
    } else {
        wide.f_square()?
    };
    let variance = square.f_mean_dim(0, true, Kind::Double)?.f_to_kind(Kind::Float)?;
    Ok([mean, variance, centred])
}

/// `1 / sqrt(variance + eps)`, rounded after each operation.
///
/// libtorch's root of an f32 comes from a vector library that may err in the last bit; its root of
/// an f64 is far closer to the real one than that can be to the middle of two f32.
pub fn inverse_deviation(variance: &Tensor, norm: &Norm) -> Result<Tensor> {
    let spread = variance.f_add_scalar(f64::from(norm.eps))?;
    let deviation = spread.f_to_kind(Kind::Double)?.f_sqrt()?.f_to_kind(Kind::Float)?;
    Ok(deviation.f_reciprocal()?)
}

/// What a running statistic moves towards, from the statistics of so many samples.
pub fn batch_spread(
    [variance, inverse_deviation]: [&Tensor; 2],
    samples: usize,
    norm: &Norm,
) -> Result<Tensor> {
    match norm.running {
        Spread::InverseDeviation => Ok(inverse_deviation.f_detach()?),
        Spread::Variance if samples > 1 => {
            let more = variance.f_mul_scalar(samples as f64)?;
            Ok(more.f_div_scalar((samples - 1) as f64)?)
        }
        Spread::Variance => Ok(variance.f_detach()?),
    }
}

/// A running statistic after a batch.
pub fn running(old: &Tensor, batch: &Tensor, norm: &Norm) -> Result<Tensor> {
    let kept = old.f_mul_scalar(f64::from(1.0 - norm.momentum))?;
    Ok(kept.f_add(&batch.f_mul_scalar(f64::from(norm.momentum))?)?)
}

/// The factor of every column, from gamma and the inverse deviation.
pub fn gain(gamma: &Tensor, inverse_deviation: &Tensor, norm: &Norm) -> Result<Tensor> {
    if norm.shift {
        Ok(ap2(gamma)?.f_mul(&ap2(inverse_deviation)?)?)
    } else {
        Ok(gamma.f_mul(inverse_deviation)?)
    }
}

/// `centred * gain + beta`, in the place of the centred input: two kernels, so that nothing is fused.
pub fn apply(mut centred: Tensor, gain: &Tensor, beta: &Tensor) -> Result<Tensor> {
    Ok(centred.f_mul_(gain)?.f_add_(beta)?)
}

/// Gradients of the plain norm by x, gamma and beta, in double precision.
pub fn plain_grad(dy: &Tensor, x: &Tensor, gamma: &Tensor, norm: &Norm) -> Result<[Tensor; 3]> {
    let leaf = |x: &Tensor| x.f_detach()?.f_set_requires_grad(true);
    let (x, gamma) = (leaf(x)?, leaf(&gamma.f_flatten(0, 1)?)?);
    let beta = leaf(&gamma.f_detach()?.f_zeros_like()?)?;
    let none = None::<&Tensor>;
    let eps = f64::from(norm.eps);
    let y = x.f_batch_norm(Some(&gamma), Some(&beta), none, none, true, 0.0, eps, false)?;
    let met = y.f_mul(dy)?.f_sum(Kind::Double)?;
    let grads = Tensor::f_run_backward(&[met], &[&x, &gamma, &beta], false, false)?;
    let three = |_| Error::shape("norm_grad", "three gradients", "others");
    let [x, gamma, beta] = <[Tensor; 3]>::try_from(grads).map_err(three)?;
    Ok([x, gamma.f_unsqueeze(0)?, beta.f_unsqueeze(0)?])
}

/// Gradients of the plain norm by x, gamma and beta in double precision, written out: with the
/// centred input c, `gain (dy - mean(dy) - c mean(c dy) s^2)`, `sum(c s dy)`, `sum(dy)`.
pub fn plain_grad_by_formula(dy: &Tensor, x: &Tensor, factors: &Factors) -> Result<[Tensor; 3]> {
    let double = |x: &Tensor| x.f_to_kind(Kind::Double);
    let (scale, gain) = (double(&factors.inverse_deviation)?, double(&factors.gain)?);
    let samples = x.size2()?.0 as f64;
    let hats = double(&x.f_sub(&factors.mean)?)?.f_mul_(&scale)?;
    let mut g = double(dy)?;
    let gamma = hats.f_mul(&g)?.f_sum_dim_intlist(0, true, Kind::Double)?;
    let beta = g.f_sum_dim_intlist(0, true, Kind::Double)?;
    let slant = hats.f_mul(&gamma.f_div_scalar(samples)?)?;
    let mut dx = g.f_sub_(&beta.f_div_scalar(samples)?)?.f_sub_(&slant)?;
    Ok([dx.f_mul_(&gain)?, gamma, beta])
}

/// Gradients of the shift-based norm as the paper's code has them, which are those of no function:
/// `AP2` counts as if it rounded nothing.
pub fn shift_grad(dy: &Tensor, x: &Tensor, factors: &Factors) -> Result<[Tensor; 3]> {
    let Factors { mean, inverse_deviation, gain } = factors;
    let double = |x: &Tensor| x.f_to_kind(Kind::Double);
    let average = |x: &Tensor| x.f_mean_dim(0, true, Kind::Double);
    let total = |x: &Tensor| x.f_sum_dim_intlist(0, true, Kind::Double);
    let scale = ap2(inverse_deviation)?;
    let centred = x.f_sub(mean)?;
    let rounded = double(&ap2(&centred)?)?;
    let hats = double(&ap2(&centred.f_mul(&scale)?)?)?;
    let (g, scale) = (double(dy)?, double(&scale)?);
    let slope = average(&rounded.f_mul(&g)?)?.f_mul(&scale)?.f_mul(&scale)?;
    let slanted = g.f_sub(&average(&g)?)?.f_sub(&rounded.f_mul(&slope)?)?;
    Ok([slanted.f_mul(&double(gain)?)?, total(&hats.f_mul(&g)?)?, total(&g)?])
}

/// Rows of f32 with which a norm made its batch.
pub struct Factors {
    pub mean: Tensor,
    pub inverse_deviation: Tensor,
    pub gain: Tensor,
}

/// The power of two nearest to every number on a logarithmic scale, with its sign.
///
/// x is `m 2^e` with m in [1/2, 1), which lies above the border `sqrt(1/2)` where `m m > 1/2`, and
/// f64 holds that square exactly. The power is made of the bits of its exponent.
pub fn ap2(x: &Tensor) -> Result<Tensor> {
    let (fraction, exponent) = x.f_abs()?.f_frexp()?;
    let fraction = fraction.f_to_kind(Kind::Double)?;
    let below = fraction.f_mul(&fraction)?.f_lt(0.5)?.f_to_kind(Kind::Int64)?;
    let exponent = exponent.f_to_kind(Kind::Int64)?.f_sub(&below)?;
    let bits = exponent.f_add_scalar(1023)?.f_mul_scalar(1_i64 << 52)?;
    let power = bits.f_view_dtype(Kind::Double)?.f_to_kind(Kind::Float)?;
    let power = power.f_masked_fill(&x.f_eq(0)?, 0.0)?.f_copysign(x)?;
    Ok(power.f_where_self(&x.f_isfinite()?, x)?)
}

/// Refuses an empty batch, and rows that are not one number per column of it.
pub fn check(op: &'static str, x: &Real, rows: &[&Real]) -> Result<()> {
    if x.dim.0 == 0 {
        return Err(Error::shape(op, "at least one sample", "none").into());
    }
    let want = (1, x.dim.1);
    match rows.iter().find(|row| row.dim != want) {
        Some(row) => {
            Err(Error::shape(op, format!("a row {want:?}"), format!("{:?}", row.dim)).into())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bnn_core::scalar;
    use proptest::prelude::*;
    use tch::Device;

    use super::*;

    proptest! {
        /// Every bit pattern: subnormal numbers, infinities and NaN too.
        #[test]
        fn powers_are_those_of_the_core(bits: Vec<u32>, near in 0x3FB5_04F0u32..0x3FB5_04F8) {
            let numbers = bits.into_iter().chain([near, 0, 1 << 31, 1, 0x7F7F_FFFF, 0x7F80_0000]);
            let x = Vec::from_iter(numbers.map(f32::from_bits));
            let there = Tensor::f_from_slice(&x).unwrap().f_to_device(Device::Cpu).unwrap();
            let mut got = vec![0.0_f32; x.len()];
            ap2(&there).unwrap().f_copy_data(&mut got, x.len()).unwrap();
            for (&x, got) in x.iter().zip(got) {
                let want = scalar::ap2(x);
                prop_assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{x:e}");
            }
        }
    }
}
