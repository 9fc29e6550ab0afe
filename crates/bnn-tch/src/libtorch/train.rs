//! The contract of training.

use bnn_core::{
    Draw, Error, Gather, Gradient, Grid, Loss, LossGrad, Norm, NormGrad, Normed, Operand, Param,
    Pooled, Quant, Result, Rule, Running, Spread, TrainBackend, Updated, Window,
};
use tch::{Kind, Tensor};

use super::code::Code;
use super::device::{Means, Tch};
use super::fault::{self, named};
use super::norm::{self, Factors};
use super::operand::{dim, integers, same};
use super::pool::Pool;
use super::product::{Shape, scaled};
use super::random::{step_size, uniforms};
use super::real::{Known, Real};
use super::update::{self, State};
use super::{levels, loss};

impl TrainBackend for Tch {
    fn product_grad_input(&self, dy: &Real, w: Operand<'_, Self>, gather: &Gather) -> Result<Real> {
        named("product_grad_input", grad_input(*self, dy, w, gather))
    }

    fn product_grad_weight(
        &self,
        dy: &Real,
        a: Operand<'_, Self>,
        gather: &Gather,
    ) -> Result<Real> {
        named("product_grad_weight", grad_weight(*self, dy, a, gather).and_then(Real::new))
    }

    fn norm(
        &self,
        x: &Real,
        gamma: &Real,
        beta: &Real,
        running: &mut Running<Self>,
        norm: &Norm,
    ) -> Result<Normed<Self>> {
        let (normed, moved) = named("norm", batch_norm(x, [gamma, beta], running, norm))?;
        *running = moved;
        Ok(normed)
    }

    fn norm_grad(
        &self,
        dy: &Real,
        x: &Real,
        gamma: &Real,
        normed: &Normed<Self>,
        norm: &Norm,
    ) -> Result<NormGrad<Self>> {
        named("norm_grad", norm_grad(*self, dy, [x, gamma], normed, norm))
    }

    fn norm_eval(
        &self,
        x: &Real,
        gamma: &Real,
        beta: &Real,
        running: &Running<Self>,
        norm: &Norm,
    ) -> Result<Real> {
        named("norm_eval", norm_eval(x, [gamma, beta], running, norm))
    }

    fn max_pool(&self, x: &Real, grid: Grid, window: Window) -> Result<Pooled<Self>> {
        named("max_pool", max_pool(x, grid, window))
    }

    fn max_pool_grad(&self, dy: &Real, taps: &Real, grid: Grid, window: Window) -> Result<Real> {
        named("max_pool_grad", max_pool_grad(dy, taps, grid, window))
    }

    fn pass_through(&self, dy: &Real, x: &Real, code: &Code, quant: &Quant) -> Result<Real> {
        named("pass_through", pass_through(dy, x, code, quant))
    }

    fn dropout(&self, x: &Code, keep: f32, draw: Draw<'_, Self>) -> Result<Code> {
        named("dropout", dropout(x, keep, draw))
    }

    fn loss(&self, scores: &Real, labels: &Real, loss: Loss) -> Result<LossGrad<Self>> {
        let [grad, tally] = named("loss", loss::loss(self.means, scores, labels, loss))?;
        Ok(LossGrad {
            grad: named("loss", Real::new(grad))?,
            tally: named("loss", Real::new(tally))?,
        })
    }

    fn update(
        &self,
        param: &mut Param<Self>,
        gradient: Gradient<'_, Self>,
        rule: &Rule,
        quant: Option<&Quant>,
        clock: &Real,
    ) -> Result<Updated<Self>> {
        let gradient = match gradient {
            Gradient::Ready(gradient) => gradient.tensor(),
            Gradient::Product { dy, a, gather } => grad_weight(*self, dy, a, gather),
        };
        let gradient = named("update", gradient.and_then(Real::new))?;
        named("update", step(*self, param, &gradient, (rule, quant), clock))
    }
}

fn grad_input(tch: Tch, dy: &Real, w: Operand<'_, Tch>, gather: &Gather) -> fault::Result<Real> {
    let (outputs, depth) = dim(w);
    let a = (gather.in_rows(dy.dim.0)?, depth / gather.taps());
    let shape = Shape::new(tch, a, (outputs, depth), gather)?;
    shape.check("product_grad_input", dy.dim)?;
    let (w, scale) = integers(w)?;
    Real::new(scaled(shape.grad_operand(&dy.tensor()?, &w)?, scale)?)
}

fn grad_weight(tch: Tch, dy: &Real, a: Operand<'_, Tch>, gather: &Gather) -> fault::Result<Tensor> {
    gather.out_rows(dim(a).0)?; // refuses windows whose taps overflow
    let w = (dy.dim.1, gather.taps() * dim(a).1);
    let shape = Shape::new(tch, dim(a), w, gather)?;
    shape.check("product_grad_weight", dy.dim)?;
    let (a, scale) = integers(a)?;
    // Weights are many: the scale is for the gradient of the product.
    let dy = if scale == 1.0 { dy.tensor()? } else { dy.tensor()?.f_mul_scalar(scale)? };
    shape.grad_weights(&dy, &a)
}

fn batch_norm(
    x: &Real,
    [gamma, beta]: [&Real; 2],
    old: &Running<Tch>,
    norm: &Norm,
) -> fault::Result<(Normed<Tch>, Running<Tch>)> {
    norm::check("norm", x, &[gamma, beta, &old.mean, &old.spread])?;
    let (samples, x) = (x.dim.0, x.tensor()?);
    let [mean, variance, centred] = norm::statistics(&x, norm.shift)?;
    let inverse_deviation = norm::inverse_deviation(&variance, norm)?;
    let gain = norm::gain(&gamma.tensor()?, &inverse_deviation, norm)?;
    let y = norm::apply(centred, &gain, &beta.tensor()?)?;
    let spread = norm::batch_spread([&variance, &inverse_deviation], samples, norm)?;
    let moved = Running {
        mean: Real::new(norm::running(&old.mean.tensor()?, &mean, norm)?)?,
        spread: Real::new(norm::running(&old.spread.tensor()?, &spread, norm)?)?,
    };
    let inverse_deviation = Real::new(inverse_deviation)?;
    Ok((Normed { y: Real::new(y)?, mean: Real::new(mean)?, inverse_deviation }, moved))
}

fn norm_grad(
    tch: Tch,
    dy: &Real,
    [x, gamma]: [&Real; 2],
    normed: &Normed<Tch>,
    norm: &Norm,
) -> fault::Result<NormGrad<Tch>> {
    norm::check("norm_grad", x, &[gamma, &normed.mean, &normed.inverse_deviation])?;
    same("norm_grad", x.dim, dy.dim)?;
    let factors = || {
        let (mean, inverse_deviation) = (normed.mean.tensor()?, normed.inverse_deviation.tensor()?);
        let gain = norm::gain(&gamma.tensor()?, &inverse_deviation, norm)?;
        fault::Result::Ok(Factors { mean, inverse_deviation, gain })
    };
    let grads = match (norm.shift, tch.means) {
        (true, _) => norm::shift_grad(&dy.tensor()?, &x.tensor()?, &factors()?)?,
        (false, Means::Direct) => {
            norm::plain_grad(&dy.double()?, &x.double()?, &gamma.double()?, norm)?
        }
        (false, Means::Gathered) => {
            norm::plain_grad_by_formula(&dy.tensor()?, &x.tensor()?, &factors()?)?
        }
    };
    let [x, gamma, beta] = grads.map(|grad| Real::new(grad.f_to_kind(Kind::Float)?));
    Ok(NormGrad { x: x?, gamma: gamma?, beta: beta? })
}

fn norm_eval(
    x: &Real,
    [gamma, beta]: [&Real; 2],
    running: &Running<Tch>,
    norm: &Norm,
) -> fault::Result<Real> {
    norm::check("norm_eval", x, &[gamma, beta, &running.mean, &running.spread])?;
    let spread = running.spread.tensor()?;
    let inverse_deviation = match norm.running {
        Spread::InverseDeviation => spread,
        Spread::Variance => norm::inverse_deviation(&spread, norm)?,
    };
    let gain = norm::gain(&gamma.tensor()?, &inverse_deviation, norm)?;
    let centred = x.tensor()?.f_sub(&running.mean.tensor()?)?;
    Real::new(norm::apply(centred, &gain, &beta.tensor()?)?)
}

fn max_pool(x: &Real, grid: Grid, window: Window) -> fault::Result<Pooled<Tch>> {
    Gather::Patches { grid, window }.out_rows(x.dim.0)?;
    let (pool, x) = (Pool::new(grid, window)?, x.tensor()?);
    let winners = pool.winners(&x)?;
    let taps = Real::known(pool.taps(&winners)?, Known::Taps(grid, window))?;
    Ok(Pooled { y: Real::new(pool.take(&x, &winners)?)?, taps })
}

fn max_pool_grad(dy: &Real, taps: &Real, grid: Grid, window: Window) -> fault::Result<Real> {
    same("max_pool_grad", dy.dim, taps.dim)?;
    Gather::Patches { grid, window }.in_rows(dy.dim.0)?;
    let pool = Pool::new(grid, window)?;
    if taps.known != Known::Taps(grid, window) {
        pool.check(&taps.tensor()?)?;
    }
    Real::new(pool.grad(&dy.tensor()?, &taps.tensor()?)?)
}

fn pass_through(dy: &Real, x: &Real, code: &Code, quant: &Quant) -> fault::Result<Real> {
    same("pass_through", x.dim, dy.dim)?;
    same("pass_through", x.dim, code.dim)?;
    let mut passes = x.tensor()?.f_abs()?.f_le(f64::from(quant.range))?;
    if let Some(mask) = code.mask()? {
        passes = passes.f_logical_and_(&mask)?;
    }
    let passed = dy.tensor()?.f_masked_fill(&passes.f_logical_not()?, 0.0)?;
    Real::new(scaled(passed, f64::from(code.scale / quant.levels.scale))?)
}

fn dropout(x: &Code, keep: f32, draw: Draw<'_, Tch>) -> fault::Result<Code> {
    if !(keep > 0.0 && keep <= 1.0) {
        return Err(Error::value("keep", format!("{keep} is not in (0, 1]")).into());
    }
    let kept = uniforms(draw.clock, draw.stream, x.dim)?.f_lt(f64::from(keep))?;
    x.masked(kept, x.scale / keep)
}

/// Moves a parameter in its place: nothing else holds its tensors.
fn step(
    tch: Tch,
    param: &mut Param<Tch>,
    gradient: &Real,
    (rule, quant): (&Rule, Option<&Quant>),
    clock: &Real,
) -> fault::Result<Updated<Tch>> {
    update::check(&param.value, &[gradient.dim, param.m.dim, param.v.dim])?;
    let step_size = step_size(clock)?;
    let mut state =
        State { value: param.value.tensor()?, m: param.m.tensor()?, v: param.v.tensor()? };
    let encode = |value: &Tensor| quant.map(|quant| levels::encode(tch, value, quant)).transpose();
    let before = encode(&state.value)?;
    update::step(&mut state, &gradient.tensor()?, rule, &step_size)?;
    let code = encode(&state.value)?;
    let flips = before.iter().zip(&code).map(|(before, after)| before.differs(after)).next();
    let tally = Real::new(update::tally(flips.transpose()?.as_ref(), &state.value)?)?;
    Ok(Updated { code, tally })
}
