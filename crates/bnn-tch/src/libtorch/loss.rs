//! The loss; its gradient is that of autograd on processors.

use bnn_core::{Error, Loss};
use tch::{Kind, Tensor};

use super::device::Means;
use super::fault::Result;
use super::real::{Known, Real};

/// The gradient, and the row of the sum of losses and the errors.
pub fn loss(means: Means, scores: &Real, labels: &Real, loss: Loss) -> Result<[Tensor; 2]> {
    let Loss::SquaredHinge = loss;
    let labels = classes(scores, labels)?;
    let (samples, classes) = (scores.dim.0 as f64, scores.dim.1 as i64);
    let every = Tensor::f_arange(classes, (Kind::Int64, labels.device()))?;
    let targets = labels.f_eq_tensor(&every)?.f_to_kind(Kind::Double)?;
    let targets = targets.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?;
    let leaf = scores.double()?.f_set_requires_grad(means == Means::Direct)?;
    let margin = leaf.f_mul(&targets)?.f_neg()?.f_add_scalar(1.0)?;
    let slack = margin.f_masked_fill(&margin.f_le(0.0)?, 0.0)?; // unlike max, lets NaN through
    let total = slack.f_mul(&slack)?.f_sum(Kind::Double)?.f_div_scalar(classes as f64)?;
    let grad = match means {
        Means::Direct => {
            let mean = total.f_div_scalar(samples)?;
            let mut grads = Tensor::f_run_backward(&[mean], &[leaf], false, false)?;
            grads.pop().ok_or_else(|| Error::shape("loss", "a gradient", "none"))?
        }
        Means::Gathered => {
            slack.f_mul(&targets)?.f_mul_scalar_(-2.0 / (samples * classes as f64))?
        }
    };
    let best = scores.tensor()?.f_argmax(1, true)?; // the first of several
    let errors = best.f_ne_tensor(&labels)?.f_sum(Kind::Double)?;
    let tally = Tensor::f_stack(&[total.f_detach()?, errors], 0)?.f_unsqueeze(0)?;
    Ok([grad.f_to_kind(Kind::Float)?, tally.f_to_kind(Kind::Float)?])
}

/// A column of class numbers.
fn classes(scores: &Real, labels: &Real) -> Result<Tensor> {
    let (samples, classes) = scores.dim;
    if labels.dim != (samples, 1) {
        let (want, got) = (format!("{:?}", (samples, 1)), format!("{:?}", labels.dim));
        return Err(Error::shape("loss labels", want, got).into());
    }
    if samples * classes == 0 {
        let got = format!("{:?}", scores.dim);
        return Err(Error::shape("loss", "at least one score", got).into());
    }
    let real = labels.tensor()?;
    let whole = real.f_to_kind(Kind::Int64)?;
    if matches!(labels.known, Known::Below(limit) if limit <= classes as f32) {
        return Ok(whole);
    }
    let known = [whole.f_eq_tensor(&real)?, whole.f_ge(0)?, whole.f_lt(classes as i64)?];
    if Tensor::f_stack(&known, 0)?.f_all()?.f_int64_value(&[])? == 0 {
        return Err(Error::shape("loss", format!("labels below {classes}"), "others").into());
    }
    Ok(whole)
}
