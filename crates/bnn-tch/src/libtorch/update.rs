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

/// The state after one step.
pub fn step(old: &State, g: &Tensor, rule: &Rule, step_size: &Tensor) -> Result<State> {
    let step_size = step_size.f_mul_scalar(f64::from(rule.scale))?;
    let (m, v, divisor) = match rule.optimizer {
        Optimizer::Adam { beta1, beta2, eps } => {
            let m = average(beta1, &old.m, g)?;
            let v = average(beta2, &old.v, &g.f_mul(g)?)?;
            let divisor = v.f_sqrt()?.f_add_scalar(f64::from(eps))?;
            (m, v, divisor)
        }
        Optimizer::ShiftAdaMax { beta1, beta2, eps, written_back } => {
            let m = average(beta1, &old.m, g)?;
            let kept = old.v.f_mul_scalar(f64::from(beta2 as f32))?;
            let u = kept.f_maximum(&g.f_abs()?)?;
            let divisor = ap2(&u)?.f_add_scalar(f64::from(eps))?;
            let v = if written_back { divisor.f_detach()? } else { u };
            (m, v, divisor)
        }
    };
    let moved = old.value.f_sub(&m.f_mul(&step_size)?.f_div(&divisor)?)?;
    let value = if rule.clip { moved.f_clamp(-1.0, 1.0)? } else { moved };
    Ok(State { value, m, v })
}

/// A row: how many integers changed, and how many values lie at the clip.
pub fn tally(integers: Option<[&Tensor; 2]>, value: &Tensor) -> Result<Tensor> {
    let clipped = count(&value.f_abs()?.f_ge(1.0)?)?;
    let flips = match integers {
        Some([before, after]) => count(&before.f_ne_tensor(after)?)?,
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

/// `decay * old + (1 - decay) * new`, the complement taken in f64.
fn average(decay: f64, old: &Tensor, new: &Tensor) -> Result<Tensor> {
    let new = new.f_mul_scalar(f64::from((1.0 - decay) as f32))?;
    Ok(old.f_mul_scalar(f64::from(decay as f32))?.f_add(&new)?)
}

fn count(booleans: &Tensor) -> Result<Tensor> {
    Ok(booleans.f_sum(Kind::Int64)?.f_to_kind(Kind::Float)?)
}
