//! How a product is parted, and which kernel forms its sums.

use std::ops::Range;
use std::sync::Arc;

use bnn_core::{Gather, Result, sum_bound};

use crate::code::Code;
use crate::cpu::Cpu;
use crate::kernels::{EIGHT, Finish, Out};
use crate::panels::Panels;
use crate::quads::Bytes;
use crate::windows::{Block, Left, ROWS, taps_apart};

use super::sums::{Lines, Sums};

/// Words of XOR and popcount below which a product is not worth a second thread.
const WORDS_PER_TASK: usize = 1 << 14;

/// Columns whose sums are formed together: whole words of packed outputs, a kilobyte of reals.
pub(super) const COLUMNS: usize = 256;

/// A product whose operands fit.
pub(super) struct Plan<'a> {
    cpu: &'a Cpu,
    operands: Operands<'a>,
    pub(super) shape: (usize, usize),
    depth: usize,
}

/// How the operands meet.
enum Operands<'a> {
    Signs(Signs<'a>),
    Bytes(Bytes<'a>),
}

/// Planes of signs.
struct Signs<'a> {
    a: &'a Code,
    left: Left<'a>,
    w: Arc<Panels>,
}

/// The part of a product that one task forms.
pub(super) struct Part {
    rows: Range<usize>,
    pub(super) cols: Range<usize>,
}

/// What becomes of sums.
pub(super) trait Finisher {
    /// Where a kernel may write what it has in registers, from a row of the part on; none if it
    /// cannot.
    fn out(&mut self, row: usize) -> Option<Out<'_>>;

    /// Takes sums from a row and column of the part on.
    fn sums(&mut self, sums: Sums<'_>, place: (usize, usize));
}

impl<'a> Plan<'a> {
    /// A product whose sums become reals or signs, one for each: `simple`, or something else.
    ///
    /// # Errors
    /// For operands that do not fit.
    pub(super) fn new(
        cpu: &'a Cpu,
        (a, w): (&'a Code, &'a Code),
        gather: &'a Gather,
        simple: bool,
    ) -> Result<Self> {
        let shape = gather.product_shape(a.dim(), w.dim())?;
        sum_bound(w.cols, a.bound(), w.bound())?;
        let bytes = simple.then(|| Bytes::new(cpu, (a, w), gather)).flatten();
        let operands = match bytes {
            Some(bytes) => Operands::Bytes(bytes),
            None => Operands::Signs(Signs::new(cpu, (a, w), gather)),
        };
        Ok(Self { cpu, operands, shape, depth: w.cols })
    }

    /// Rows and columns that one task forms: some whole rows, or of a single row of one plane some
    /// columns.
    pub(super) fn share(&self, planes: usize) -> (usize, usize) {
        let ((rows, cols), threads) = (self.shape, self.cpu.threads());
        if rows * cols * Code::words_of(self.depth) < WORDS_PER_TASK || threads == 1 {
            return (rows.max(1), cols);
        }
        if rows == 1 && planes == 1 && matches!(self.operands, Operands::Signs(_)) {
            return (1, cols.div_ceil(threads).next_multiple_of(COLUMNS).min(cols));
        }
        let (tile, step) = (self.tile(), self.step());
        let share = rows.div_ceil(2 * threads).next_multiple_of(tile);
        (share.min(step / tile * tile), cols)
    }

    /// Rows of a product that are best computed together, or have to be.
    fn tile(&self) -> usize {
        let tile = self.cpu.kernel.tile_rows();
        match &self.operands {
            Operands::Signs(signs) if signs.left.line() > 1 => signs.left.line(),
            _ => tile,
        }
    }

    /// Rows whose sums are formed together.
    fn step(&self) -> usize {
        match &self.operands {
            Operands::Signs(signs) => signs.left.step(),
            Operands::Bytes(_) => ROWS,
        }
    }

    pub(super) fn part(&self, task: usize, (rows, cols): (usize, usize)) -> Part {
        if cols < self.shape.1 {
            return Part { rows: 0..1, cols: task * cols..self.shape.1.min((task + 1) * cols) };
        }
        Part { rows: task * rows..self.shape.0.min((task + 1) * rows), cols: 0..cols }
    }

    /// What is added to the columns of every class of rows.
    pub(super) fn lines(&self) -> Lines {
        match &self.operands {
            Operands::Signs(_) => Lines::new(self.cpu, 1, self.shape.1),
            Operands::Bytes(bytes) => {
                let mut lines = Lines::new(self.cpu, bytes.classes(), self.shape.1);
                lines.each().enumerate().for_each(|(at, line)| bytes.add_missing(at, line));
                lines
            }
        }
    }

    /// Whether a kernel may write sums from registers: those of one pass.
    pub(super) fn fused(&self) -> bool {
        match &self.operands {
            Operands::Bytes(_) => true,
            Operands::Signs(signs) => {
                self.cpu.kernel.finishes() && signs.passes() == 1 && self.depth > 0
            }
        }
    }

    /// Forms the sums of a part, some rows at a time, and hands them over.
    pub(super) fn run(&self, part: Part, lines: &Lines, finisher: &mut impl Finisher) {
        let (fused, step) = (self.fused(), self.step());
        let mut rows = self.cpu.take(step.min(part.rows.len()));
        for first in part.rows.clone().step_by(step) {
            let range = first..part.rows.end.min(first + step);
            let row = first - part.rows.start;
            match &self.operands {
                Operands::Bytes(bytes) => {
                    let out = finisher.out(row);
                    let out = out.expect("bytes meet weights for simple results alone");
                    let lines = (&lines.numbers[..], Lines::apart(self.shape.1));
                    bytes.finish(self.cpu, (range, &mut rows), lines, out);
                }
                Operands::Signs(signs) => signs.left.blocks(range, &mut rows, |block| {
                    if let Some(out) = finisher.out(row).filter(|_| fused) {
                        return signs.finish(self.cpu, block, part.cols.clone(), lines, out);
                    }
                    for col in part.cols.clone().step_by(COLUMNS) {
                        let cols = col..part.cols.end.min(col + COLUMNS);
                        let place = (row, col - part.cols.start);
                        signs.sum(self.cpu, block, cols, lines, |sums| finisher.sums(sums, place));
                    }
                }),
            }
        }
    }
}

impl<'a> Signs<'a> {
    fn new(cpu: &'a Cpu, (a, w): (&'a Code, &'a Code), gather: &'a Gather) -> Self {
        let panels = w.panels(cpu, taps_apart(gather, a));
        let unit = total(&a.weights) * total(&panels.weights);
        Self { a, left: Left::new(cpu, a, gather, unit), w: panels }
    }

    /// Passes of a kernel.
    fn passes(&self) -> usize {
        groups(&self.a.weights).count() * self.w.weights.len()
    }

    /// Writes the sums of a block, which the kernel has in registers.
    fn finish(
        &self,
        cpu: &Cpu,
        block: &Block<'_>,
        cols: Range<usize>,
        lines: &Lines,
        out: Out<'_>,
    ) {
        let wide = cols.len().next_multiple_of(EIGHT);
        let (panels, w_weight) = self.w.group(cols.start, wide).next().expect("one plane");
        let (plane, digits, a_weight) = groups(&self.a.weights).next().expect("one group");
        let (weight, lines) = (-2 * a_weight * w_weight, &lines.numbers[cols.start..]);
        let finish = Finish { lines, weight, cols: cols.len(), out };
        cpu.kernel.finish(&block.counts((plane, digits), (panels, self.w.words, wide), 1), finish);
    }

    /// Adds up the differing signs of all pairs of planes.
    fn sum(
        &self,
        cpu: &Cpu,
        block: &Block<'_>,
        cols: Range<usize>,
        lines: &Lines,
        take: impl FnOnce(Sums<'_>),
    ) {
        let apart = cols.len().next_multiple_of(EIGHT);
        let mut differ = cpu.take_zeroed(block.rows.len() * apart);
        for (panels, w_weight) in self.w.group(cols.start, apart) {
            for (plane, digits, a_weight) in groups(&self.a.weights) {
                if self.w.words > 0 {
                    let panels = (panels, self.w.words, apart);
                    let task = block.counts((plane, digits), panels, a_weight * w_weight);
                    cpu.kernel.counts(&task, &mut differ);
                }
            }
        }
        let (lines, halvings) = (&lines.numbers[cols.start..], self.w.halvings);
        take(Sums { differ: &differ, apart, lines, halvings, rows: block.rows, cols: cols.len() });
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
