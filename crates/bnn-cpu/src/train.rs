//! The contract of training on the processor. The loss keeps its default: scores are few.

use bnn_core::{
    Draw, Gather, Gradient, Grid, Norm, NormGrad, Normed, Operand, Param, Pooled, Quant, Result,
    Rule, Running, TrainBackend, Updated, Window,
};

use crate::{Code, Cpu, Real, elementwise, gradient, norm, pooling, update};

impl TrainBackend for Cpu {
    fn product_grad_input(&self, dy: &Real, w: Operand<'_, Self>, gather: &Gather) -> Result<Real> {
        gradient::input(self, dy, w, gather)
    }

    fn product_grad_weight(
        &self,
        dy: &Real,
        a: Operand<'_, Self>,
        gather: &Gather,
    ) -> Result<Real> {
        gradient::weight(self, dy, a, gather)
    }

    fn norm(
        &self,
        x: &Real,
        gamma: &Real,
        beta: &Real,
        running: &mut Running<Self>,
        norm: &Norm,
    ) -> Result<Normed<Self>> {
        norm::forward(self, x, (gamma, beta), running, norm)
    }

    fn norm_grad(
        &self,
        dy: &Real,
        x: &Real,
        gamma: &Real,
        normed: &Normed<Self>,
        norm: &Norm,
    ) -> Result<NormGrad<Self>> {
        norm::backward(self, (dy, x), gamma, normed, norm)
    }

    fn norm_eval(
        &self,
        x: &Real,
        gamma: &Real,
        beta: &Real,
        running: &Running<Self>,
        norm: &Norm,
    ) -> Result<Real> {
        norm::evaluate(self, x, (gamma, beta), running, norm)
    }

    fn max_pool(&self, x: &Real, grid: Grid, window: Window) -> Result<Pooled<Self>> {
        pooling::max_pool(self, x, grid, window)
    }

    fn max_pool_grad(&self, dy: &Real, taps: &Real, grid: Grid, window: Window) -> Result<Real> {
        pooling::max_pool_grad(self, dy, taps, grid, window)
    }

    fn pass_through(&self, dy: &Real, x: &Real, code: &Code, quant: &Quant) -> Result<Real> {
        elementwise::pass_through(self, dy, x, code, quant)
    }

    fn dropout(&self, x: &Code, keep: f32, draw: Draw<'_, Self>) -> Result<Code> {
        elementwise::dropout(self, x, keep, draw)
    }

    fn update(
        &self,
        param: &mut Param<Self>,
        gradient: Gradient<'_, Self>,
        rule: &Rule,
        quant: Option<&Quant>,
        clock: &Real,
    ) -> Result<Updated<Self>> {
        update::update(self, param, gradient, (rule, quant), clock)
    }
}
