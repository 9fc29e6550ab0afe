//! Operands of products with reals: codes decoded, rows gathered.

use bnn_core::{Gather, Operand};

use crate::code::Code;
use crate::cpu::Cpu;
use crate::kernels::Lanes;
use crate::memory::Buffer;
use crate::real::Real;

/// The numbers of an operand, row after row.
pub(crate) enum Reals<'a> {
    /// As they are.
    Borrowed(&'a Real),
    /// Decoded.
    Decoded(Buffer<f32>),
}

impl<'a> Reals<'a> {
    pub(crate) fn of(cpu: &Cpu, operand: Operand<'a, Cpu>) -> Self {
        match operand {
            Operand::Real(real) => Self::Borrowed(real),
            Operand::Code(_) => {
                let rows = dim(&operand).0;
                Self::Decoded(gathered(cpu, &operand, &Gather::Rows, (0, rows)))
            }
        }
    }

    pub(crate) fn numbers(&self) -> &[f32] {
        match self {
            Self::Borrowed(real) => &real.data,
            Self::Decoded(numbers) => numbers,
        }
    }
}

/// Rows and columns.
pub(crate) fn dim(operand: &Operand<'_, Cpu>) -> (usize, usize) {
    match operand {
        Operand::Code(code) => code.dim(),
        Operand::Real(real) => real.dim(),
    }
}

/// The reals that meet the weights in output rows `first..first + count`: taps times channels in a
/// row, 0 for taps outside the grid.
pub(crate) fn gathered(
    cpu: &Cpu,
    operand: &Operand<'_, Cpu>,
    gather: &Gather,
    (first, count): (usize, usize),
) -> Buffer<f32> {
    let channels = dim(operand).1;
    let depth = gather.taps() * channels;
    let mut out = cpu.take(count * depth);
    for (row, out) in (first..).zip(out.chunks_exact_mut(depth.max(1))) {
        if !matches!(gather, Gather::Rows) {
            out.fill(0.0);
        }
        for (tap, source) in gather.sources(row) {
            read(cpu, operand, source, &mut out[tap * channels..][..channels]);
        }
    }
    out
}

fn read(cpu: &Cpu, operand: &Operand<'_, Cpu>, row: usize, out: &mut [f32]) {
    match operand {
        Operand::Real(real) => out.copy_from_slice(real.rows_at(row, 1)),
        Operand::Code(code) => decode(cpu, code, row, 0, out),
    }
}

/// The values of columns `from..` of a row of a code; `from` is a whole number of words.
pub(crate) fn decode(cpu: &Cpu, code: &Code, row: usize, from: usize, out: &mut [f32]) {
    cpu.kernel.lanes(Decode { code, row, word: from / 64, out });
}

struct Decode<'a> {
    code: &'a Code,
    row: usize,
    word: usize,
    out: &'a mut [f32],
}

impl Lanes for Decode<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { code, row, word, out } = self;
        let (bits, mask, words) = (code.row(row), code.mask_row(row), code.words());
        for (at, out) in out.chunks_mut(64).enumerate() {
            let mut sums = [0; 64];
            for (plane, &weight) in code.weights.iter().enumerate() {
                let bits = bits[plane * words + word + at];
                for (bit, sum) in sums.iter_mut().enumerate() {
                    *sum += if bits >> bit & 1 == 1 { weight } else { -weight };
                }
            }
            let mask = mask.map_or(u64::MAX, |mask| mask[word + at]);
            for (bit, (out, sum)) in out.iter_mut().zip(sums).enumerate() {
                *out = (sum * (mask >> bit & 1) as i32) as f32 * code.scale;
            }
        }
    }
}
