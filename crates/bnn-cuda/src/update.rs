//! One step of an optimizer, with the new code and what changed.

use bnn_core::{Error, Optimizer, Param, Quant, Result, Rule, Updated};

use crate::backend::check_clock;
use crate::code::{Code, WORD, form, reals};
use crate::cuda::Cuda;
use crate::device::{Buffer, Kernel, Shape, Value};
use crate::real::Real;

/// Blocks per processor; each takes words in turn.
const BLOCKS: usize = 8;

/// `Rule` of train.cu.
fn constants(rule: &Rule) -> [u64; 5] {
    let (beta1, beta2, eps, shift, written_back) = match rule.optimizer {
        Optimizer::Adam { beta1, beta2, eps } => (beta1, beta2, eps, false, false),
        Optimizer::ShiftAdaMax { beta1, beta2, eps, written_back } => {
            (beta1, beta2, eps, true, written_back)
        }
    };
    let pair = |low: f32, high: f32| u64::from(low.to_bits()) | u64::from(high.to_bits()) << 32;
    [
        pair(beta1 as f32, (1.0 - beta1) as f32),
        pair(beta2 as f32, (1.0 - beta2) as f32),
        pair(eps, rule.scale),
        u64::from(shift) | u64::from(written_back) << 32,
        u64::from(rule.clip),
    ]
}

/// See [`TrainBackend::update`](bnn_core::TrainBackend::update), from a gradient that is ready.
pub(crate) fn step(
    cuda: &Cuda,
    param: &mut Param<Cuda>,
    gradient: &Real,
    rule: &Rule,
    quant: Option<&Quant>,
    clock: &Real,
) -> Result<Updated<Cuda>> {
    check_clock(clock)?;
    let dim = param.value.dim;
    if let Some(other) = [gradient, &param.m, &param.v].into_iter().find(|x| x.dim != dim) {
        return Err(Error::shape("update", format!("{dim:?}"), format!("{:?}", other.dim)));
    }
    quant.map_or(Ok(()), Quant::check)?;
    let code = quant.map(|quant| Code::of_levels(cuda, dim, &quant.levels)).transpose()?;
    // Rows of values in fours can be moved four at a time.
    let (kernel, side) = if dim.1.is_multiple_of(4) { ("update_fours", 4) } else { ("update", 1) };
    let blocks = blocks(cuda, dim, code.as_ref(), side)?;
    let tally = Real::new(cuda, (1, 2))?;
    let partial = cuda.memory(2 * blocks as usize * size_of::<i32>())?;
    let (binary, planes) = quant.map_or((0, 0), |quant| form(&quant.levels));
    let cuts = quant.map_or(&[][..], |quant| &quant.cuts);
    cuda.launch(
        Kernel("train", kernel),
        Shape { grid: [blocks, 1, 1], block: 256, shared: 0 },
        &[
            (&param.value.data).into(),
            (&gradient.data).into(),
            (&param.m.data).into(),
            (&param.v.data).into(),
            dim.0.into(),
            (dim.1 as i32).into(),
            code.as_ref().map_or(0, Code::stride).into(),
            Value::Struct(&constants(rule)),
            (&clock.data).into(),
            Value::Struct(&reals(cuts)),
            (cuts.len() as i32).into(),
            binary.into(),
            planes.into(),
            code.as_ref().map(|code| &*code.planes).into(),
            (&partial).into(),
            (&tally.data).into(),
        ],
    )?;
    if blocks > 1 {
        add_up(cuda, &partial, blocks, &tally)?;
    }
    Ok(Updated { code, tally })
}

/// Blocks that move `side` values a thread: as many as there is work for, or as keep the device busy.
fn blocks(cuda: &Cuda, dim: (usize, usize), code: Option<&Code>, side: usize) -> Result<u32> {
    let words = dim.0 * code.map_or(dim.1.div_ceil(WORD), |code| code.stride() as usize);
    if words >= i32::MAX as usize {
        return Err(Error::shape("update", "less than 2^36 values", format!("{dim:?}")));
    }
    let most = cuda.device().processors() * BLOCKS;
    Ok(words.div_ceil(side * 256 / WORD).clamp(1, most) as u32)
}

/// The tally of all blocks.
fn add_up(cuda: &Cuda, partial: &Buffer, blocks: u32, tally: &Real) -> Result<()> {
    cuda.launch(
        Kernel("train", "tally"),
        Shape { grid: [1, 1, 1], block: 64, shared: 0 },
        &[partial.into(), blocks.into(), (&tally.data).into()],
    )
}
