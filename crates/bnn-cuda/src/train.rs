//! The contract of training.

use std::sync::Arc;

use bnn_core::{
    Draw, Error, Gather, Gradient, Grid, Loss, LossGrad, Norm, NormGrad, Normed, Operand, Param,
    Pooled, Quant, Result, Rule, Running, TrainBackend, Updated, Window,
};

use crate::backend::check_clock;
use crate::code::{Code, plane_bytes};
use crate::cuda::Cuda;
use crate::device::{Kernel, Shape, Value};
use crate::real::Real;
use crate::windows::check_rows;
use crate::{norm, operand, update};

impl TrainBackend for Cuda {
    fn product_grad_input(&self, dy: &Real, w: Operand<'_, Self>, gather: &Gather) -> Result<Real> {
        operand::grad_input(self, dy, w, gather)
    }

    fn product_grad_weight(
        &self,
        dy: &Real,
        a: Operand<'_, Self>,
        gather: &Gather,
    ) -> Result<Real> {
        operand::grad_weight(self, dy, a, gather)
    }

    fn norm(
        &self,
        x: &Real,
        gamma: &Real,
        beta: &Real,
        running: &mut Running<Self>,
        norm: &Norm,
    ) -> Result<Normed<Self>> {
        norm::norm(self, x, [gamma, beta], running, norm)
    }

    fn norm_grad(
        &self,
        dy: &Real,
        x: &Real,
        gamma: &Real,
        normed: &Normed<Self>,
        norm: &Norm,
    ) -> Result<NormGrad<Self>> {
        norm::norm_grad(self, dy, x, gamma, normed, norm)
    }

    fn norm_eval(
        &self,
        x: &Real,
        gamma: &Real,
        beta: &Real,
        running: &Running<Self>,
        norm: &Norm,
    ) -> Result<Real> {
        norm::norm_eval(self, x, [gamma, beta], running, norm)
    }

    fn max_pool(&self, x: &Real, grid: Grid, window: Window) -> Result<Pooled<Self>> {
        let gather = Gather::Patches { grid, window };
        let rows = gather.out_rows(x.dim.0)?;
        check_rows("max_pool", x.dim.0.max(rows))?;
        let windows = self.windows(&gather)?;
        let (y, taps) = (Real::new(self, (rows, x.dim.1))?, Real::new(self, (rows, x.dim.1))?);
        self.each(
            Kernel("pool", "max_pool"),
            y.len(),
            &[
                (&x.data).into(),
                (x.dim.1 as i32).into(),
                Value::Struct(&windows.patches),
                rows.into(),
                (&y.data).into(),
                (&taps.data).into(),
            ],
        )?;
        Ok(Pooled { y, taps })
    }

    fn max_pool_grad(&self, dy: &Real, taps: &Real, grid: Grid, window: Window) -> Result<Real> {
        let gather = Gather::Patches { grid, window };
        if dy.dim != taps.dim {
            let got = format!("{:?}", taps.dim);
            return Err(Error::shape("max_pool_grad", format!("taps {:?}", dy.dim), got));
        }
        let dx = Real::new(self, (gather.in_rows(dy.dim.0)?, dy.dim.1))?;
        check_rows("max_pool_grad", dx.dim.0.max(dy.dim.0))?;
        let windows = self.windows(&gather)?;
        self.each(
            Kernel("pool", "max_pool_grad"),
            dx.len(),
            &[
                (&dy.data).into(),
                (&taps.data).into(),
                dx.dim.0.into(),
                (dx.dim.1 as i32).into(),
                Value::Struct(&windows.patches),
                (&dx.data).into(),
            ],
        )?;
        Ok(dx)
    }

    fn pass_through(&self, dy: &Real, x: &Real, code: &Code, quant: &Quant) -> Result<Real> {
        if dy.dim != x.dim || code.dim != x.dim {
            let got = format!("{:?} and {:?}", dy.dim, code.dim);
            return Err(Error::shape("pass_through", format!("{:?}", x.dim), got));
        }
        let dx = Real::new(self, x.dim)?;
        self.each(
            Kernel("train", "pass_through"),
            x.len(),
            &[
                (&dy.data).into(),
                (&x.data).into(),
                code.mask.as_ref().into(),
                x.dim.0.into(),
                (x.dim.1 as i32).into(),
                code.stride().into(),
                quant.range.into(),
                (code.scale / quant.levels.scale).into(),
                (&dx.data).into(),
            ],
        )?;
        Ok(dx)
    }

    fn dropout(&self, x: &Code, keep: f32, draw: Draw<'_, Self>) -> Result<Code> {
        if !(keep > 0.0 && keep <= 1.0) {
            return Err(Error::value("keep", format!("{keep} is not in (0, 1]")));
        }
        check_clock(draw.clock)?;
        let mask = self.memory(plane_bytes(x.dim)?)?;
        self.each(
            Kernel("coding", "dropout"),
            x.bits(),
            &[
                x.mask.as_ref().into(),
                x.dim.0.into(),
                (x.dim.1 as i32).into(),
                x.stride().into(),
                keep.into(),
                (&draw.clock.data).into(),
                draw.stream.into(),
                (&mask).into(),
            ],
        )?;
        Ok(Code {
            dim: x.dim,
            scale: x.scale / keep,
            weights: x.weights.clone(),
            planes: Arc::clone(&x.planes),
            bytes: None,
            mask: Some(mask),
        })
    }

    fn loss(&self, scores: &Real, labels: &Real, loss: Loss) -> Result<LossGrad<Self>> {
        let (samples, classes) = scores.dim;
        if labels.dim != (samples, 1) {
            let got = format!("{:?}", labels.dim);
            return Err(Error::shape("loss labels", format!("{:?}", (samples, 1)), got));
        }
        if samples * classes == 0 || samples * classes > i32::MAX as usize {
            return Err(Error::shape("loss", "1 to 2^31 scores", format!("{:?}", scores.dim)));
        }
        if let Some(needed) = labels.classes.filter(|&needed| needed > classes) {
            let largest = match needed {
                usize::MAX => "one that is no class number".into(),
                needed => (needed - 1).to_string(),
            };
            return Err(Error::shape("loss", format!("labels below {classes}"), largest));
        }
        let Loss::SquaredHinge = loss;
        let (grad, tally) = (Real::new(self, scores.dim)?, Real::new(self, (1, 2))?);
        self.launch(
            Kernel("train", "squared_hinge"),
            Shape { grid: [1, 1, 1], block: 256, shared: 0 },
            &[
                (&scores.data).into(),
                (&labels.data).into(),
                (samples as i32).into(),
                (classes as i32).into(),
                (&grad.data).into(),
                (&tally.data).into(),
            ],
        )?;
        Ok(LossGrad { grad, tally })
    }

    fn update(
        &self,
        param: &mut Param<Self>,
        gradient: Gradient<'_, Self>,
        rule: &Rule,
        quant: Option<&Quant>,
        clock: &Real,
    ) -> Result<Updated<Self>> {
        match gradient {
            Gradient::Ready(gradient) => update::step(self, param, gradient, rule, quant, clock),
            Gradient::Product { dy, a, gather } => {
                let gradient = operand::grad_weight(self, dy, a, gather)?;
                update::step(self, param, &gradient, rule, quant, clock)
            }
        }
    }
}
