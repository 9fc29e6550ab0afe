//! Steps of the optimizers.

use bnn_core::{Error, Optimizer, Rule};
use tch::{Kind, Tensor};

use super::fault::Result;
use super::norm::ap2;
use super::real::Real;

/// A parameter and its moments as tensors.
pub struct State {
    pub value: Tensor,
    pub m: Tensor,
    pub v: Tensor,
}

/// Moves the state by one step, in its place.
pub fn step(state: &mut State, g: &Tensor, rule: &Rule, step_size: &Tensor) -> Result<()> {
    let State { value, m, v } = state;
    let divisor = match rule.optimizer {
        Optimizer::Adam { beta1, beta2, eps } => {
            average(beta1, m, g)?;
            average(beta2, v, &g.f_square()?)?;
            v.f_sqrt()?.f_add_scalar_(f64::from(eps))?
        }
        Optimizer::ShiftAdaMax { beta1, beta2, eps, written_back } => {
            average(beta1, m, g)?;
            let kept = v.f_mul_scalar(f64::from(beta2 as f32))?;
            let u = kept.f_maximum(&g.f_abs()?)?;
            let divisor = ap2(&u)?.f_add_scalar_(f64::from(eps))?;
            v.f_copy_(if written_back { &divisor } else { &u })?;
            divisor
        }
    };
    let back = m.f_mul(&step_size.f_mul_scalar(-f64::from(rule.scale))?)?;
    let _ = value.f_addcdiv_(&back, &divisor)?;
    if rule.clip {
        let _ = value.f_clamp_(-1.0, 1.0)?;
    }
    Ok(())
}

/// A row: how many codes changed, and how many values lie at the clip.
pub fn tally(flips: Option<&Tensor>, value: &Tensor) -> Result<Tensor> {
    // What is left of the others is 0, which this norm does not count.
    let whole = value.f_trunc()?;
    let clipped = whole.f_flatten(0, -1)?.f_linalg_norm(0, None::<i64>, false, Kind::Float)?;
    let flips = match flips {
        Some(flips) => count(flips)?,
        None => clipped.f_zeros_like()?,
    };
    Ok(Tensor::f_stack(&[flips, clipped], 0)?.f_unsqueeze(0)?)
}

/// Refuses a gradient or moments that have not the parameter's shape.
pub fn check(value: &Real, others: &[(usize, usize)]) -> Result<()> {
    match others.iter().find(|&&dim| dim != value.dim) {
        Some(dim) => {
            Err(Error::shape("update", format!("{:?}", value.dim), format!("{dim:?}")).into())
        }
        None => Ok(()),
    }
}

/// Moves `old` to `decay * old + (1 - decay) * new`, the complement taken in f64.
fn average(decay: f64, old: &mut Tensor, new: &Tensor) -> Result<()> {
    let _ = old.f_lerp_(new, f64::from((1.0 - decay) as f32))?;
    Ok(())
}

/// How many are true, exact up to 2^24. From booleans libtorch would make a copy of 8 bytes for each.
fn count(booleans: &Tensor) -> Result<Tensor> {
    Ok(booleans.f_to_kind(Kind::BFloat16)?.f_sum(Kind::Float)?)
}
