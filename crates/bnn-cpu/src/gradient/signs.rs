//! Gradients of products with one plane of signs, by tables of signed partial sums.

use std::ops::Range;

use bnn_core::{Gather, Operand};

use super::tables::{BLOCK, Digits, Reals};
use super::{ROWS, image_count, scatter};
use crate::borders::Borders;
use crate::code::Code;
use crate::cpu::Cpu;
use crate::kernels::{LINE, Line};
use crate::memory::Buffer;
use crate::patches::Packed;
use crate::real::Real;
use crate::transpose::transpose;

/// Outputs whose weight gradient is formed together: the lanes of a table.
pub(super) const OUTPUTS: usize = LINE;

/// Columns below which a table is not filled for its worth.
const FEWEST_COLUMNS: usize = 64;

/// Blocks of columns that one task takes; it fills all tables once for them.
const BLOCKS_PER_TASK: usize = 2;

/// A code of one plane, as an operand of sums of reals.
pub(super) struct Signs<'a> {
    code: &'a Code,
    /// Value of a set sign.
    pub(super) scale: f32,
}

impl<'a> Signs<'a> {
    /// The operand, if it is one plane of signs and wide enough for tables.
    pub(super) fn of(operand: &Operand<'a, Cpu>, gather: &Gather) -> Option<Self> {
        let Operand::Code(code) = *operand else { return None };
        let [weight] = code.weights[..] else { return None };
        let wide = code.cols.max(gather.taps() * code.cols) >= FEWEST_COLUMNS;
        wide.then_some(Self { code, scale: code.scale * weight as f32 })
    }

    /// The digits of its rows.
    pub(super) fn digits(&self, cpu: &Cpu) -> Digits {
        let rows = self.code.rows;
        let packed = Packed::of(cpu, self.code, &Gather::Rows, (0, rows));
        Digits::of(cpu, &packed, rows, self.code.cols)
    }
}

/// Sums per lane and column, sixteen lanes side by side.
struct Sums {
    /// Tiles of sixteen lanes: a line for every column, and some more up to a multiple of sixteen.
    tiles: Buffer<f32>,
    /// Whether nothing was added yet; the tiles hold anything then.
    empty: bool,
    lanes: Range<usize>,
    cols: usize,
}

impl Sums {
    fn new(cpu: &Cpu, lanes: Range<usize>, cols: usize) -> Self {
        let tiles = lanes.len().div_ceil(LINE) * cols.next_multiple_of(LINE) * LINE;
        Self { tiles: cpu.take(tiles), empty: true, lanes, cols }
    }

    /// Numbers of a tile.
    fn tile(&self) -> usize {
        (self.cols.next_multiple_of(LINE) * LINE).max(1)
    }

    fn add(&mut self, cpu: &Cpu, reals: Reals<'_>, digits: &Digits) {
        if digits.is_empty() {
            return;
        }
        let (tile, part) = (self.tile(), BLOCKS_PER_TASK * BLOCK * LINE);
        let fresh = std::mem::take(&mut self.empty);
        let lanes = self.lanes.clone().step_by(LINE);
        let tiles = lanes.zip(self.tiles.chunks_mut(tile));
        let tasks = tiles.flat_map(|(lane, tile)| {
            tile.chunks_mut(part).enumerate().map(move |(part, out)| (lane, part, out))
        });
        cpu.workers.each(tasks, |(lane, part, out)| {
            let first = part * BLOCKS_PER_TASK;
            let blocks = first..digits.blocks().min(first + BLOCKS_PER_TASK);
            let lines: &mut [Line] = out.as_chunks_mut().0;
            digits.add_sums(cpu, reals, lane, blocks, (lines, fresh));
        });
    }

    /// Writes the sums row-major: a row per lane.
    fn write(&self, cpu: &Cpu, out: &mut [f32]) {
        let cols = self.cols;
        if self.empty {
            return out.fill(0.0);
        }
        let rows = out.chunks_mut((LINE * cols).max(1)).zip(self.tiles.chunks(self.tile()));
        cpu.workers.each(rows, |(rows, tile)| {
            let lanes = rows.len() / cols;
            transpose(cpu, (tile, LINE), (cols, lanes), (rows, cols));
        });
    }
}

/// `dx = dy w`: the samples are the lanes.
pub(super) fn input_of_rows(cpu: &Cpu, dy: &Real, w: &Signs<'_>) -> Real {
    let mut dx = cpu.real((dy.rows, w.code.cols));
    input_sums(cpu, (&dy.data, dy.rows), w, &w.digits(cpu), &mut dx.data);
    dx
}

/// Every task takes whole images: the gradients of gathered entries, then their sums.
pub(super) fn input_of_patches(
    cpu: &Cpu,
    dy: &Real,
    w: &Signs<'_>,
    gather: &Gather,
    shape: (usize, usize),
) -> Real {
    let digits = w.digits(cpu);
    let alone = cpu.alone();
    let images = image_count(gather, shape.0);
    let (dy_len, dx_len) = (dy.data.len() / images, shape.0 * shape.1 / images);
    let mut dx = cpu.real(shape);
    cpu.workers.each(dx.data.chunks_mut(dx_len.max(1)).enumerate(), |(image, dx)| {
        let dy = &dy.data[image * dy_len..][..dy_len];
        let positions = dy.len() / w.code.rows.max(1);
        let mut columns = cpu.take(positions * w.code.cols);
        input_sums(&alone, (dy, positions), w, &digits, &mut columns);
        dx.fill(0.0);
        scatter(&columns, gather, shape.1, dx);
    });
    dx
}

/// Rows of `dy` times the weights.
fn input_sums(
    cpu: &Cpu,
    (dy, rows): (&[f32], usize),
    w: &Signs<'_>,
    digits: &Digits,
    out: &mut [f32],
) {
    let (outputs, cols) = w.code.dim();
    let mut by_output = cpu.take(outputs * rows);
    transpose(cpu, (dy, outputs), (rows, outputs), (&mut by_output, rows));
    let reals = Reals { data: &by_output, apart: rows, lanes: rows, scale: w.scale };
    let mut sums = Sums::new(cpu, 0..rows, cols);
    sums.add(cpu, reals, digits);
    sums.write(cpu, out);
}

/// `dw = dy^T a`: the outputs are the lanes. Every task has some, whose sums stay in its cache.
pub(super) fn weight_of_rows(cpu: &Cpu, dy: &Real, a: &Signs<'_>, shape: (usize, usize)) -> Real {
    let (mut dw, digits) = (cpu.real(shape), a.digits(cpu));
    let rows = dw.data.chunks_mut((OUTPUTS * shape.1).max(1));
    let firsts = (0..shape.0).step_by(OUTPUTS);
    cpu.workers.each(rows.zip(firsts), |(out, first)| {
        let lanes = first..shape.0.min(first + OUTPUTS);
        outputs(cpu, (dy, a.scale), &digits, lanes, out);
    });
    dw
}

/// The same of windows, and of more than [`ROWS`] rows: so many gathered ones at a time.
///
/// Zeros around images would make three values of two, and tables of three rows instead of five. They
/// are summed as -1 instead, and what that took away is added again.
pub(super) fn weight(
    cpu: &Cpu,
    dy: &Real,
    a: &Signs<'_>,
    gather: &Gather,
    shape: (usize, usize),
) -> Real {
    let mut sums = Sums::new(cpu, 0..shape.0, shape.1);
    for first in (0..dy.rows).step_by(ROWS) {
        let count = ROWS.min(dy.rows - first);
        let packed = Packed::with_blanks(cpu, a.code, gather, (first, count));
        let digits = Digits::of(cpu, &packed, count, shape.1);
        let data = dy.rows_at(first, count);
        sums.add(cpu, Reals { data, apart: dy.cols, lanes: dy.cols, scale: a.scale }, &digits);
    }
    let mut dw = cpu.real(shape);
    sums.write(cpu, &mut dw.data);
    if a.code.mask.is_none() {
        forgive_blanks(cpu, dy, gather, a, &mut dw);
    }
    dw
}

/// Adds to the weight gradients of every tap the sum of `dy` where it lay outside the grid; a tap that
/// always does has no gradient, not even what rounding leaves.
fn forgive_blanks(cpu: &Cpu, dy: &Real, gather: &Gather, a: &Signs<'_>, dw: &mut Real) {
    let Gather::Patches { grid, window } = gather else { return };
    if window.pad == 0 {
        return;
    }
    let (taps, outputs) = (gather.taps(), dy.cols);
    let out = window.positions(*grid).expect("the window was checked");
    let borders = Borders::new(*grid, *window, out);
    let mut sums: Buffer<f32> = cpu.take_zeroed(taps * outputs);
    for row in 0..dy.rows {
        let class = borders.class(row);
        for tap in (0..taps).filter(|&tap| !borders.inside(class, tap)) {
            let sums = &mut sums[tap * outputs..][..outputs];
            sums.iter_mut().zip(dy.rows_at(row, 1)).for_each(|(sum, dy)| *sum += dy * a.scale);
        }
    }
    let channels = a.code.cols;
    let rows = dw.data.chunks_mut((taps * channels).max(1)).enumerate();
    cpu.workers.each(rows, |(output, dw)| {
        for (tap, dw) in dw.chunks_exact_mut(channels).enumerate() {
            let sum = sums[tap * outputs + output];
            match (0..borders.classes()).any(|class| borders.inside(class, tap)) {
                true => dw.iter_mut().for_each(|dw| *dw += sum),
                false => dw.fill(0.0),
            }
        }
    });
}

/// The weight gradients of some outputs of a dense product, a row each, on this thread alone.
pub(super) fn outputs(
    cpu: &Cpu,
    (dy, scale): (&Real, f32),
    digits: &Digits,
    outputs: Range<usize>,
    out: &mut [f32],
) {
    let alone = cpu.alone();
    let mut sums = Sums::new(cpu, outputs, digits.cols());
    let reals = Reals { data: &dy.data, apart: dy.cols, lanes: dy.cols, scale };
    sums.add(&alone, reals, digits);
    sums.write(&alone, out);
}

#[cfg(test)]
mod tests {
    use bnn_core::{BinaryBackend, BitMatrix, Grid, HostCode, TrainBackend, Window};
    use ndarray::Array2;

    use super::*;

    #[test]
    fn taps_that_never_meet_a_pixel_have_no_gradient() {
        let cpu = Cpu::new();
        let (grid, window) = (Grid { height: 1, width: 1 }, Window::square(3, 1, 1));
        let a = BitMatrix::from_fn(50, 64, |row, col| (row * 7 + col * col) % 3 == 0);
        let a = cpu.put_code(&HostCode::binary(a)).unwrap();
        let dy =
            Array2::from_shape_fn((50, 3), |(row, col)| (row as f32 + 0.1) / (3.7 + col as f32));
        let dy = cpu.put(dy.view()).unwrap();
        let gather = Gather::Patches { grid, window };
        let dw = cpu.product_grad_weight(&dy, Operand::Code(&a), &gather).unwrap();
        for row in cpu.get(&dw).unwrap().rows() {
            let blank = |tap: usize| row.iter().skip(tap * 64).take(64).all(|&dw| dw == 0.0);
            assert!((0..9).all(|tap| blank(tap) == (tap != 4)));
        }
    }
}
