//! From reals or sums to planes.

use bnn_core::{Form, Levels, Quant};
use tch::{Kind, Tensor};

use super::code::Code;
use super::device::Tch;
use super::fault::Result;

/// The code of reals.
pub fn encode(tch: Tch, x: &Tensor, quant: &Quant) -> Result<Code> {
    quant.check()?;
    code(tch, &quant.levels, |cut| Ok(x.f_ge(f64::from(quant.cuts[cut]))?))
}

/// The code whose crossings of cut `cut` are `crossed(cut)`, booleans.
pub fn code(tch: Tch, levels: &Levels, crossed: impl Fn(usize) -> Result<Tensor>) -> Result<Code> {
    let planes: Vec<Tensor> = match &levels.form {
        Form::Steps(weights) => (0..weights.len()).map(crossed).collect::<Result<_>>()?,
        Form::Binary { planes } => {
            let mut count = crossed(0)?.f_to_kind(Kind::Int)?;
            for cut in 1..levels.cuts() {
                count = count.f_add(&crossed(cut)?)?;
            }
            let digit = |plane: u32| {
                let digit = count.f_bitwise_right_shift_tensor_scalar(i64::from(plane))?;
                Ok(digit.f_bitwise_and(1)?.f_to_kind(Kind::Bool)?)
            };
            (0..*planes).map(digit).collect::<Result<_>>()?
        }
    };
    let planes = match planes.as_slice() {
        [plane] => plane.f_unsqueeze(0)?, // without a copy
        planes => Tensor::f_stack(planes, 0)?,
    };
    Code::new(tch.means, planes, levels.weights(), levels.scale)
}
