//! Gradients of products: sums of reals under signs by tables, anything else by a float GEMM.
//!
//! Blocks depend on shapes alone, so that results do not depend on the number of threads.

mod floats;
mod signs;
mod tables;

use bnn_core::{Error, Gather, Operand, Result};

use crate::cpu::Cpu;
use crate::memory::Buffer;
use crate::operand;
use crate::real::Real;

use signs::Signs;
use tables::Digits;

/// Gathered rows that are taken at a time.
const ROWS: usize = 4096;

/// See [`TrainBackend::product_grad_input`](bnn_core::TrainBackend::product_grad_input).
pub(crate) fn input(cpu: &Cpu, dy: &Real, w: Operand<'_, Cpu>, gather: &Gather) -> Result<Real> {
    let channels = operand::dim(&w).1 / gather.taps();
    let shape = (gather.in_rows(dy.rows)?, channels);
    check(gather, shape, operand::dim(&w), dy)?;
    Ok(match (Signs::of(&w, gather), gather) {
        (Some(w), Gather::Rows) => signs::input_of_rows(cpu, dy, &w),
        (Some(w), Gather::Patches { .. }) => signs::input_of_patches(cpu, dy, &w, gather, shape),
        (None, Gather::Rows) => floats::input_of_rows(cpu, dy, &w),
        (None, Gather::Patches { .. }) => floats::input_of_patches(cpu, dy, w, gather, shape),
    })
}

/// See [`TrainBackend::product_grad_weight`](bnn_core::TrainBackend::product_grad_weight).
pub(crate) fn weight(cpu: &Cpu, dy: &Real, a: Operand<'_, Cpu>, gather: &Gather) -> Result<Real> {
    let shape = (dy.cols, gather.taps() * operand::dim(&a).1);
    check(gather, operand::dim(&a), shape, dy)?;
    Ok(match Signs::of(&a, gather) {
        Some(a) if *gather == Gather::Rows && dy.rows <= ROWS => {
            signs::weight_of_rows(cpu, dy, &a, shape)
        }
        Some(a) => signs::weight(cpu, dy, &a, gather, shape),
        None => floats::weight(cpu, dy, a, gather, shape),
    })
}

/// The weight gradient of a dense product, formed some outputs at a time.
pub(crate) struct ByOutputs<'a> {
    dy: &'a Real,
    /// Number of inputs.
    depth: usize,
    source: Source,
}

/// The input of a dense product.
enum Source {
    Signs { digits: Digits, scale: f32 },
    Floats(Buffer<f32>),
}

impl<'a> ByOutputs<'a> {
    /// Checks the operands and prepares the input.
    ///
    /// # Errors
    /// [`Error::Shape`] if they do not fit.
    pub(crate) fn new(cpu: &Cpu, dy: &'a Real, a: &Operand<'_, Cpu>) -> Result<Self> {
        let (rows, depth) = operand::dim(a);
        check(&Gather::Rows, (rows, depth), (dy.cols, depth), dy)?;
        let source = match Signs::of(a, &Gather::Rows) {
            Some(a) => Source::Signs { digits: a.digits(cpu), scale: a.scale },
            None => Source::Floats(operand::gathered(cpu, a, &Gather::Rows, (0, rows))),
        };
        Ok(Self { dy, depth, source })
    }

    /// Outputs by inputs.
    pub(crate) fn dim(&self) -> (usize, usize) {
        (self.dy.cols, self.depth)
    }

    /// Outputs that are best formed together.
    pub(crate) fn outputs(&self) -> usize {
        match self.source {
            Source::Signs { .. } => signs::OUTPUTS,
            Source::Floats(_) => floats::OUTPUTS,
        }
    }

    /// The gradients of `count` outputs from `first` on, a row each; runs on this thread alone.
    pub(crate) fn rows(&self, cpu: &Cpu, first: usize, count: usize) -> Buffer<f32> {
        let mut out = cpu.take(count * self.depth);
        match &self.source {
            Source::Signs { digits, scale } => {
                signs::outputs(cpu, (self.dy, *scale), digits, first..first + count, &mut out);
            }
            Source::Floats(a) => {
                out.fill(0.0);
                let (rows, to) = ((0, self.dy.rows), (first, self.depth));
                floats::weight_block(cpu, self.dy, rows, a, to, &mut out);
            }
        }
        out
    }
}

/// Adds the gradients of gathered entries to those of their sources.
fn scatter(columns: &[f32], gather: &Gather, channels: usize, dx: &mut [f32]) {
    for (row, taps) in columns.chunks_exact(gather.taps() * channels).enumerate() {
        for (tap, source) in gather.sources(row) {
            let to = &mut dx[source * channels..][..channels];
            to.iter_mut().zip(&taps[tap * channels..]).for_each(|(to, from)| *to += from);
        }
    }
}

/// Images of an operand of `rows` rows; at least 1.
fn image_count(gather: &Gather, rows: usize) -> usize {
    match gather {
        Gather::Rows => rows.max(1),
        Gather::Patches { grid, .. } => (rows / grid.pixels()).max(1),
    }
}

fn check(gather: &Gather, a: (usize, usize), w: (usize, usize), dy: &Real) -> Result<()> {
    let want = gather.product_shape(a, w)?;
    if dy.dim() != want {
        let got = format!("{:?}", dy.dim());
        return Err(Error::shape("product gradient", format!("dy {want:?}"), got));
    }
    Ok(())
}
