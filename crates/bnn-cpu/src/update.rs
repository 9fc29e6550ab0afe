//! Steps of optimizers: gradient, step, clip and encoding in one pass over memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use bnn_core::{Clock, Gather, Gradient, Optimizer, Param, Quant, Result, Rule, Updated};

use crate::code::Code;
use crate::cpu::Cpu;
use crate::elementwise::encode_row;
use crate::gradient::{ByOutputs, weight};
use crate::kernels::Lanes;
use crate::memory::Buffer;
use crate::real::{Real, same};

/// Rows that one task takes where the gradient is there already.
const ROWS: usize = 128;

/// See [`TrainBackend::update`](bnn_core::TrainBackend::update).
pub(crate) fn update(
    cpu: &Cpu,
    param: &mut Param<Cpu>,
    gradient: Gradient<'_, Cpu>,
    (rule, quant): (&Rule, Option<&Quant>),
    clock: &Real,
) -> Result<Updated<Cpu>> {
    let dim = param.value.dim();
    let source = Source::of(cpu, gradient)?;
    for other in [source.dim(), param.m.dim(), param.v.dim()] {
        same("update", dim, other)?;
    }
    quant.map_or(Ok(()), Quant::check)?;
    let step = Step { rule, step_size: Clock::from_row(clock.view())?.step_size };
    let mut code = quant.map(|quant| cpu.code(dim, quant.levels.scale, quant.levels.weights()));
    let (flips, clipped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    cpu.workers.each(blocks(param, &mut code, source.rows_per_task()), |mut block| {
        let gradient = source.rows(cpu, block.first, block.value.len() / block.cols);
        let (flip, clip) = block.run(cpu, gradient.numbers(), step, quant);
        flips.fetch_add(flip, Ordering::Relaxed);
        clipped.fetch_add(clip, Ordering::Relaxed);
    });
    let tally = [flips.into_inner() as f32, clipped.into_inner() as f32];
    Ok(Updated { code, tally: cpu.real_of((1, 2), &tally) })
}

/// Where a gradient comes from.
enum Source<'a> {
    Borrowed(&'a Real),
    Formed(Real),
    /// A product to be formed block by block.
    Product(ByOutputs<'a>),
}

/// Some rows of a gradient.
enum Rows<'a> {
    Borrowed(&'a [f32]),
    Formed(Buffer<f32>),
}

impl<'a> Source<'a> {
    fn of(cpu: &Cpu, gradient: Gradient<'a, Cpu>) -> Result<Self> {
        match gradient {
            Gradient::Ready(real) => Ok(Self::Borrowed(real)),
            Gradient::Product { dy, a, gather: Gather::Rows } => {
                Ok(Self::Product(ByOutputs::new(cpu, dy, &a)?))
            }
            Gradient::Product { dy, a, gather } => Ok(Self::Formed(weight(cpu, dy, a, gather)?)),
        }
    }

    fn dim(&self) -> (usize, usize) {
        match self {
            Self::Borrowed(real) => real.dim(),
            Self::Formed(real) => real.dim(),
            Self::Product(product) => product.dim(),
        }
    }

    /// Rows of the parameter that one task takes.
    fn rows_per_task(&self) -> usize {
        match self {
            Self::Product(product) => product.outputs(),
            Self::Borrowed(_) | Self::Formed(_) => ROWS,
        }
    }

    /// Some rows of the gradient.
    fn rows(&self, cpu: &Cpu, first: usize, count: usize) -> Rows<'_> {
        match self {
            Self::Borrowed(real) => Rows::Borrowed(real.rows_at(first, count)),
            Self::Formed(real) => Rows::Borrowed(real.rows_at(first, count)),
            Self::Product(product) => Rows::Formed(product.rows(cpu, first, count)),
        }
    }
}

impl Rows<'_> {
    fn numbers(&self) -> &[f32] {
        match self {
            Self::Borrowed(numbers) => numbers,
            Self::Formed(numbers) => numbers,
        }
    }
}

/// Some rows of a parameter and of its code.
struct Block<'a> {
    /// Its first row.
    first: usize,
    cols: usize,
    value: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    bits: Option<&'a mut [u64]>,
    words: usize,
}

/// The blocks of a parameter, of so many rows each.
fn blocks<'a>(
    param: &'a mut Param<Cpu>,
    code: &'a mut Option<Code>,
    rows: usize,
) -> impl Iterator<Item = Block<'a>> + Send {
    let cols = param.value.cols;
    let len = (rows * cols).max(1);
    let (stride, words) = code.as_ref().map_or((1, 1), |code| (code.stride(), code.words()));
    let mut bits = code.as_mut().map(|code| code.bits.chunks_mut((rows * stride).max(1)));
    let moments = param.m.data.chunks_mut(len).zip(param.v.data.chunks_mut(len));
    let values = param.value.data.chunks_mut(len).zip(moments).enumerate();
    values.map(move |(index, (value, (m, v)))| {
        let bits = bits.as_mut().and_then(Iterator::next);
        Block { first: index * rows, cols, value, m, v, bits, words }
    })
}

/// A step of an optimizer.
#[derive(Clone, Copy)]
struct Step<'a> {
    rule: &'a Rule,
    step_size: f32,
}

impl Block<'_> {
    /// Takes the step; returns how many codes changed and how many values lie at the clip.
    fn run(
        &mut self,
        cpu: &Cpu,
        gradient: &[f32],
        step: Step<'_>,
        quant: Option<&Quant>,
    ) -> (usize, usize) {
        let (cols, mut flips, mut clipped) = (self.cols, 0, 0);
        let stride = self.bits.as_ref().map_or(0, |bits| bits.len() * cols / self.value.len());
        let mut before = cpu.take(stride);
        for row in 0..self.value.len() / cols {
            let at = row * cols..(row + 1) * cols;
            let value = &mut self.value[at.clone()];
            if let Some(quant) = quant {
                encode_row(cpu, value, quant, &mut before);
            }
            let (m, v) = (&mut self.m[at.clone()], &mut self.v[at.clone()]);
            clipped +=
                cpu.kernel.lanes(Move { step, value, gradient: &gradient[at.clone()], m, v });
            if let (Some(quant), Some(bits)) = (quant, &mut self.bits) {
                let after = &mut bits[row * stride..][..stride];
                encode_row(cpu, &self.value[at], quant, after);
                flips += differing(&before, after, self.words);
            }
        }
        (flips, clipped)
    }
}

/// Entries whose bit differs in any plane.
fn differing(before: &[u64], after: &[u64], words: usize) -> usize {
    let changed = |at: usize| {
        let pairs = before[at..].iter().zip(&after[at..]).step_by(words);
        pairs.fold(0, |changed, (before, after)| changed | (before ^ after)).count_ones() as usize
    };
    (0..words.min(before.len())).map(changed).sum()
}

/// The step of one row.
struct Move<'a> {
    step: Step<'a>,
    value: &'a mut [f32],
    gradient: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl Lanes for Move<'_> {
    type Output = usize;

    /// Each arm knows its optimizer, so that the loop in it has no branch and fills the registers.
    #[inline(always)]
    fn run(self) -> usize {
        let rule = *self.step.rule;
        match rule.optimizer {
            Optimizer::Adam { beta1, beta2, eps } => {
                self.by(Rule { optimizer: Optimizer::Adam { beta1, beta2, eps }, ..rule })
            }
            Optimizer::ShiftAdaMax { beta1, beta2, eps, written_back } => {
                let optimizer = Optimizer::ShiftAdaMax { beta1, beta2, eps, written_back };
                self.by(Rule { optimizer, ..rule })
            }
        }
    }
}

impl Move<'_> {
    #[inline(always)]
    fn by(self, rule: Rule) -> usize {
        let step_size = self.step.step_size;
        let moments = self.m.iter_mut().zip(self.v);
        let mut clipped = 0u32;
        for ((p, &g), (m, v)) in self.value.iter_mut().zip(self.gradient).zip(moments) {
            *p = rule.step(*p, g, m, v, step_size);
            clipped += u32::from(p.abs() >= 1.0);
        }
        clipped as usize
    }
}
