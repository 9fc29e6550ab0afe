//! The contract of the float baselines.

use bnn_core::{Activation, FloatBackend, Gather, Operand, Result};

use super::device::Tch;
use super::fault::named;
use super::operand::{dim, same, values};
use super::product::Shape;
use super::real::Real;

impl FloatBackend for Tch {
    fn product_real(
        &self,
        a: Operand<'_, Self>,
        w: Operand<'_, Self>,
        gather: &Gather,
    ) -> Result<Real> {
        let product = || {
            let shape = Shape::new(*self, dim(a), dim(w), gather)?;
            Real::new(shape.reals(&values(a)?, &values(w)?)?)
        };
        named("product_real", product())
    }

    fn activate(&self, x: &Real, activation: Activation) -> Result<Real> {
        let value = || {
            let x = x.tensor()?;
            Real::new(match activation {
                Activation::HardTanh => x.f_clamp(-1.0, 1.0)?,
                // Not max: NaN becomes 0, as in the definition.
                Activation::Relu => x.f_masked_fill(&x.f_gt(0.0)?.f_logical_not()?, 0.0)?,
            })
        };
        named("activate", value())
    }

    fn activate_grad(&self, dy: &Real, x: &Real, activation: Activation) -> Result<Real> {
        let grad = || {
            same("activate_grad", x.dim, dy.dim)?;
            let x = x.tensor()?;
            let passes = match activation {
                Activation::HardTanh => x.f_abs()?.f_le(1.0)?,
                Activation::Relu => x.f_gt(0.0)?,
            };
            Real::new(dy.tensor()?.f_masked_fill(&passes.f_logical_not()?, 0.0)?)
        };
        named("activate_grad", grad())
    }
}
