//! Operands of products, which may be codes or reals.

use bnn_core::{Error, Operand};
use tch::Tensor;

use super::device::Tch;
use super::fault;

/// Rows and columns.
pub fn dim(operand: Operand<'_, Tch>) -> (usize, usize) {
    match operand {
        Operand::Code(code) => code.dim,
        Operand::Real(real) => real.dim,
    }
}

/// The values, in f32.
pub fn values(operand: Operand<'_, Tch>) -> fault::Result<Tensor> {
    match operand {
        Operand::Code(code) => code.values(),
        Operand::Real(real) => real.tensor(),
    }
}

/// What a product multiplies, and what scales it afterwards.
pub fn integers(operand: Operand<'_, Tch>) -> fault::Result<(Tensor, f64)> {
    match operand {
        Operand::Code(code) => Ok((code.integers()?, f64::from(code.scale))),
        Operand::Real(real) => Ok((real.tensor()?, 1.0)),
    }
}

/// Refuses another shape than the one that is wanted.
pub fn same(op: &'static str, want: (usize, usize), got: (usize, usize)) -> fault::Result<()> {
    if want == got {
        return Ok(());
    }
    Err(Error::shape(op, format!("{want:?}"), format!("{got:?}")).into())
}
