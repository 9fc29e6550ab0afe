//! Operands of products with reals: codes decoded, rows gathered.

use std::ops::Range;

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
    let lines = (first..).zip(out.chunks_exact_mut(depth.max(1)));
    let Gather::Patches { .. } = gather else {
        lines.for_each(|(row, out)| read(cpu, operand, row, out));
        return out;
    };
    let images = images(gather, (first, count));
    let pixels = Pixels::of(cpu, operand, images);
    for (row, out) in lines {
        out.fill(0.0);
        for (tap, source) in gather.sources(row) {
            out[tap * channels..][..channels].copy_from_slice(pixels.row(source));
        }
    }
    out
}

/// Rows of the images behind some output rows.
fn images(gather: &Gather, (first, count): (usize, usize)) -> Range<usize> {
    let Gather::Patches { grid, window } = gather else { return first..first + count };
    let out = window.positions(*grid).expect("the window was checked").pixels();
    let (from, to) = (first / out, (first + count).div_ceil(out));
    from * grid.pixels()..to * grid.pixels()
}

/// Rows of an operand as reals, each decoded once though windows overlap.
struct Pixels<'a> {
    numbers: Reals<'a>,
    /// The first row.
    first: usize,
    channels: usize,
}

impl<'a> Pixels<'a> {
    fn of(cpu: &Cpu, operand: &Operand<'a, Cpu>, rows: Range<usize>) -> Self {
        let channels = dim(operand).1;
        let (numbers, first) = match operand {
            Operand::Real(real) => (Reals::Borrowed(real), 0),
            Operand::Code(code) => {
                let mut numbers = cpu.take(rows.len() * channels);
                let lines = numbers.chunks_exact_mut(channels.max(1));
                rows.clone().zip(lines).for_each(|(row, out)| decode(cpu, code, row, 0, out));
                (Reals::Decoded(numbers), rows.start)
            }
        };
        Self { numbers, first, channels }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.numbers.numbers()[(row - self.first) * self.channels..][..self.channels]
    }
}

fn read(cpu: &Cpu, operand: &Operand<'_, Cpu>, row: usize, out: &mut [f32]) {
    match operand {
        Operand::Real(real) => out.copy_from_slice(real.rows_at(row, 1)),
        Operand::Code(code) => decode(cpu, code, row, 0, out),
    }
}

/// The values of columns `from..` of a row of a code; `from` is a whole number of words.
pub(crate) fn decode(cpu: &Cpu, code: &Code, row: usize, from: usize, out: &mut [f32]) {
    match code.bytes().filter(|_| code.mask.is_none()) {
        Some(bytes) => {
            let bytes = &bytes[row * code.cols + from..][..out.len()];
            cpu.kernel.lanes(DecodeBytes { bytes, scale: code.scale, out });
        }
        None => cpu.kernel.lanes(Decode { code, row, word: from / 64, out }),
    }
}

struct DecodeBytes<'a> {
    bytes: &'a [u8],
    scale: f32,
    out: &'a mut [f32],
}

impl Lanes for DecodeBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (out, &byte) in self.out.iter_mut().zip(self.bytes) {
            *out = (2 * i32::from(byte) - 255) as f32 * self.scale;
        }
    }
}

/// Columns whose loop is not worth the registers of a whole word: those of a pixel of few channels.
const FEW: usize = 16;

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
            let add = |sums: &mut [i32]| {
                for (plane, &weight) in code.weights.iter().enumerate() {
                    let bits = bits[plane * words + word + at];
                    for (bit, sum) in sums.iter_mut().enumerate() {
                        *sum += if bits >> bit & 1 == 1 { weight } else { -weight };
                    }
                }
            };
            if out.len() < FEW {
                add(&mut sums[..out.len()])
            } else {
                add(&mut sums)
            }
            let mask = mask.map_or(u64::MAX, |mask| mask[word + at]);
            for (bit, (out, sum)) in out.iter_mut().zip(sums).enumerate() {
                *out = (sum * (mask >> bit & 1) as i32) as f32 * code.scale;
            }
        }
    }
}
