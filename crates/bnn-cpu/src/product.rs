//! Products of codes: integer sums from counted bits, then scaled or cut while they are in cache.

use std::ops::Range;
use std::sync::Arc;

use bnn_core::{Gather, Levels, Result, WORD, sum_bound};

use crate::code::Code;
use crate::cpu::Cpu;
use crate::elementwise::climb;
use crate::kernels::Lanes;
use crate::memory::Buffer;
use crate::panels::{LANES, Panels};
use crate::real::{Real, same};
use crate::windows::{Block, Left, ROWS, taps_apart};

/// Words of XOR and popcount below which a product is not worth a second thread.
const WORDS_PER_TASK: usize = 1 << 14;

/// Columns whose sums are formed together: whole words of packed outputs, a kilobyte of reals.
const COLUMNS: usize = 256;

/// See [`BinaryBackend::product`](bnn_core::BinaryBackend::product).
pub(crate) fn product(cpu: &Cpu, a: &Code, w: &Code, gather: &Gather) -> Result<Real> {
    let plan = Plan::new(cpu, a, w, gather)?;
    let scale = a.scale * w.scale;
    let mut out = cpu.real(plan.shape);
    let (rows, cols) = plan.share(1);
    let tasks = out.data.chunks_mut((rows * cols).max(1)).enumerate();
    cpu.workers.each(tasks, |(task, out)| {
        plan.run(plan.part(task, (rows, cols)), |sums, (row, col)| {
            cpu.kernel.lanes(Scale { sums, scale, out: &mut out[row * cols + col..], apart: cols });
        });
    });
    Ok(out)
}

/// See [`BinaryBackend::product_cut`](bnn_core::BinaryBackend::product_cut).
pub(crate) fn product_cut(
    cpu: &Cpu,
    (a, w): (&Code, &Code),
    gather: &Gather,
    cuts: &Real,
    levels: &Levels,
) -> Result<Code> {
    let plan = Plan::new(cpu, a, w, gather)?;
    levels.check()?;
    same("product_cut", (levels.cuts(), plan.shape.1), cuts.dim())?;
    let mut out = cpu.code(plan.shape, levels.scale, levels.weights());
    let planes = out.weights.len();
    let (rows, cols) = plan.share(planes);
    let words = Code::words_of(cols);
    let tasks = out.bits.chunks_mut((rows * planes * words).max(1)).enumerate();
    cpu.workers.each(tasks, |(task, out)| {
        let part = plan.part(task, (rows, cols));
        let first = part.cols.start;
        let mut packed = cpu.take(planes * COLUMNS / WORD);
        plan.run(part, |sums, (row, col)| {
            for at in 0..sums.rows {
                let mut line = [0.0; COLUMNS];
                cpu.kernel.lanes(Line { sums, row: at, line: &mut line });
                let cut = |cut: usize| &cuts.rows_at(cut, 1)[first + col..][..sums.cols];
                let wide = Code::words_of(sums.cols);
                climb(cpu, &line[..sums.cols], cut, levels, &mut packed[..planes * wide]);
                let row = &mut out[(row + at) * planes * words..][..planes * words];
                for (to, from) in row.chunks_exact_mut(words).zip(packed.chunks_exact(wide)) {
                    to[col / WORD..][..wide].copy_from_slice(from);
                }
            }
        });
    });
    Ok(out)
}

/// A product whose operands fit.
struct Plan<'a> {
    cpu: &'a Cpu,
    a: &'a Code,
    left: Left<'a>,
    w: Arc<Panels>,
    shape: (usize, usize),
    depth: usize,
}

/// The part of a product that one task forms.
struct Part {
    rows: Range<usize>,
    cols: Range<usize>,
}

/// Sums of some rows and columns.
///
/// `d` differing signs among `n` that count make the sum `n - 2 d`.
#[derive(Clone, Copy)]
struct Sums<'a> {
    /// Differing signs, weighted: a line for every row.
    differ: &'a [i32],
    /// From one line to the next.
    apart: usize,
    /// The largest sum of every row.
    most: &'a [i32; ROWS],
    halvings: u32,
    rows: usize,
    cols: usize,
}

impl<'a> Plan<'a> {
    fn new(cpu: &'a Cpu, a: &'a Code, w: &'a Code, gather: &'a Gather) -> Result<Self> {
        let shape = gather.product_shape(a.dim(), w.dim())?;
        sum_bound(w.cols, a.bound(), w.bound())?;
        let panels = w.panels(cpu, taps_apart(gather, a.cols));
        let left = Left::new(cpu, a, gather);
        Ok(Self { cpu, a, left, w: panels, shape, depth: w.cols })
    }

    /// Rows and columns that one task forms: some whole rows, or of a single row of one plane some
    /// columns.
    fn share(&self, planes: usize) -> (usize, usize) {
        let ((rows, cols), threads) = (self.shape, self.cpu.threads());
        if rows * cols * Code::words_of(self.depth) < WORDS_PER_TASK || threads == 1 {
            return (rows.max(1), cols);
        }
        if rows == 1 && planes == 1 {
            return (1, cols.div_ceil(threads).next_multiple_of(COLUMNS).min(cols));
        }
        let tile = self.cpu.kernel.tile_rows();
        let share = rows.div_ceil(2 * threads).next_multiple_of(tile);
        (share.min(ROWS / tile * tile), cols)
    }

    fn part(&self, task: usize, (rows, cols): (usize, usize)) -> Part {
        if cols < self.shape.1 {
            return Part { rows: 0..1, cols: task * cols..self.shape.1.min((task + 1) * cols) };
        }
        Part { rows: task * rows..self.shape.0.min((task + 1) * rows), cols: 0..cols }
    }

    /// Forms the sums of a part, some rows and columns at a time, and hands them over with the place
    /// of the first in the part.
    fn run(&self, part: Part, mut finish: impl FnMut(Sums<'_>, (usize, usize))) {
        let mut differ: Buffer<i32> = self.cpu.take(ROWS * COLUMNS);
        for first in part.rows.clone().step_by(ROWS) {
            let block = self.left.block(first, ROWS.min(part.rows.end - first));
            let all = total(&self.a.weights);
            let most = block.counting.map(|count| count * all * total(&self.w.weights));
            for col in part.cols.clone().step_by(COLUMNS) {
                let cols = COLUMNS.min(part.cols.end - col);
                let apart = cols.next_multiple_of(LANES);
                let differ = &mut differ[..block.rows * apart];
                differ.fill(0);
                self.forget_blanks(&block, col, (differ, apart));
                self.count(&block, col / LANES, apart / LANES, differ);
                let (rows, halvings) = (block.rows, self.w.halvings);
                let sums = Sums { differ, apart, most: &most, halvings, rows, cols };
                finish(sums, (first - part.rows.start, col - part.cols.start));
            }
        }
    }

    /// Takes away what blank taps will add: their zeros differ from the set signs of the weights.
    fn forget_blanks(&self, block: &Block<'_>, col: usize, (differ, apart): (&mut [i32], usize)) {
        let all = total(&self.a.weights);
        for &(row, tap) in &block.blanks {
            let differ = &mut differ[row * apart..][..apart];
            let ones = self.w.ones(tap, col);
            differ.iter_mut().zip(ones).for_each(|(differ, ones)| *differ -= all * ones);
        }
    }

    /// Adds up the differing signs of all pairs of planes.
    fn count(&self, block: &Block<'_>, panel: usize, panels: usize, differ: &mut [i32]) {
        if self.depth == 0 || panels == 0 {
            return;
        }
        for (panels, w_weight) in self.w.group(panel, panels) {
            for (plane, digits, a_weight) in groups(&self.a.weights) {
                let task = block.counts((plane, digits), panels, a_weight * w_weight);
                self.cpu.kernel.counts(&task, differ);
            }
        }
    }
}

impl Sums<'_> {
    #[inline(always)]
    fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        let (most, halvings) = (self.most[row], self.halvings);
        let differ = &self.differ[row * self.apart..][..self.cols];
        differ.iter().map(move |differ| ((most - 2 * differ) >> halvings) as f32)
    }
}

/// Scales sums into rows of reals.
struct Scale<'a> {
    sums: Sums<'a>,
    scale: f32,
    out: &'a mut [f32],
    /// From one row to the next.
    apart: usize,
}

impl Lanes for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (row, out) in (0..self.sums.rows).zip(self.out.chunks_mut(self.apart)) {
            out.iter_mut().zip(self.sums.row(row)).for_each(|(out, sum)| *out = sum * self.scale);
        }
    }
}

/// Sums of one row as reals.
struct Line<'a> {
    sums: Sums<'a>,
    row: usize,
    line: &'a mut [f32; COLUMNS],
}

impl Lanes for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.line.iter_mut().zip(self.sums.row(self.row)).for_each(|(real, sum)| *real = sum);
    }
}

/// Planes that one pass of a kernel can take: first plane, number of binary digits, weight.
fn groups(weights: &[i32]) -> impl Iterator<Item = (usize, usize, i32)> {
    let digits = weights.iter().enumerate().all(|(at, &weight)| at < 31 && weight == 1 << at);
    let together = digits.then_some((0, weights.len(), 1));
    let alone = weights.iter().enumerate().map(|(at, &weight)| (at, 1, weight));
    together.into_iter().chain(alone.take(if digits { 0 } else { weights.len() }))
}

fn total(weights: &[i32]) -> i32 {
    weights.iter().sum()
}
