//! Sums of a product, from counted differences.

use crate::cpu::Cpu;
use crate::kernels::{Lanes, PANEL, Row};
use crate::memory::Buffer;

use super::plan::COLUMNS;

/// Sums of some rows and columns.
///
/// `d` differing signs among `n` that count make the sum `n - 2 d`.
#[derive(Clone, Copy)]
pub(super) struct Sums<'a> {
    /// Differing signs, weighted: a line for every row.
    pub(super) differ: &'a [i32],
    /// From one line to the next.
    pub(super) apart: usize,
    /// What is added to every column: a line for each class of rows.
    pub(super) lines: &'a [i32],
    pub(super) halvings: u32,
    pub(super) rows: &'a [Row],
    pub(super) cols: usize,
}

impl Sums<'_> {
    #[inline(always)]
    fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        let (Row { most, line, .. }, halvings) = (self.rows[row], self.halvings);
        let line = &self.lines[line..][..self.cols];
        let differ = &self.differ[row * self.apart..][..self.cols];
        let sums = differ.iter().zip(line);
        sums.map(move |(differ, line)| ((most + line - 2 * differ) >> halvings) as f32)
    }
}

/// A number for every column of a product's panels, for every class of its rows.
pub(super) struct Lines {
    pub(super) numbers: Buffer<i32>,
    /// From one line to the next.
    apart: usize,
}

impl Lines {
    pub(super) fn new(cpu: &Cpu, classes: usize, cols: usize) -> Self {
        let apart = Self::apart(cols).max(1);
        Self { numbers: cpu.take_zeroed(classes * apart), apart }
    }

    /// Numbers from one line to the next: those of whole panels.
    pub(super) fn apart(cols: usize) -> usize {
        cols.next_multiple_of(PANEL)
    }

    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut [i32]> {
        self.numbers.chunks_exact_mut(self.apart)
    }

    /// Takes cuts away, so that sums that reach theirs are not negative.
    pub(super) fn subtract(&mut self, cpu: &Cpu, cuts: &[f32]) {
        for line in self.each() {
            cpu.kernel.lanes(Subtract { line, cuts });
        }
    }
}

/// Takes from every number the smallest integer that crosses its cut.
struct Subtract<'a> {
    line: &'a mut [i32],
    cuts: &'a [f32],
}

impl Lanes for Subtract<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        const BEYOND: f32 = (1 << 25) as f32; // sums stay below 2^24
        // What is added to this ends in its integer: Rust's conversion takes number by number.
        const INTEGERS: f64 = 1.5 * (1u64 << 52) as f64;
        for (number, &cut) in self.line.iter_mut().zip(self.cuts) {
            let below = if cut < BEYOND { cut } else { BEYOND }; // NaN is crossed by nothing
            let reached = if below > -BEYOND { below } else { -BEYOND };
            *number -= (f64::from(reached.ceil()) + INTEGERS).to_bits() as i32;
        }
    }
}

/// Scales sums into rows of reals.
pub(super) struct Scale<'a> {
    pub(super) sums: Sums<'a>,
    pub(super) scale: f32,
    pub(super) out: &'a mut [f32],
    /// From one row to the next.
    pub(super) apart: usize,
}

impl Lanes for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (at, row) in self.sums.rows.iter().enumerate() {
            let out = self.out[row.to * self.apart..].iter_mut();
            out.zip(self.sums.row(at)).for_each(|(out, sum)| *out = sum * self.scale);
        }
    }
}

/// Sums of one row as reals.
pub(super) struct Line<'a> {
    pub(super) sums: Sums<'a>,
    pub(super) row: usize,
    pub(super) line: &'a mut [f32; COLUMNS],
}

impl Lanes for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.line.iter_mut().zip(self.sums.row(self.row)).for_each(|(real, sum)| *real = sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_reach_cuts_where_their_differences_are_not_negative() {
        let cpu = Cpu::new();
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let cuts = [nan, inf, -inf, 0.0, -0.0, 0.5, -0.5, 3.0, -7.25, 1e9, -1e9, 16_777_215.0];
        let largest = (1 << 24) - 1;
        for number in [-largest, -8, -7, -1, 0, 1, 2, 3, largest] {
            let mut lines = Lines::new(&cpu, 2, cuts.len());
            lines.numbers.fill(number);
            lines.subtract(&cpu, &cuts);
            for (line, (at, cut)) in
                (0..2).flat_map(|line| cuts.iter().enumerate().map(move |it| (line, it)))
            {
                let got = lines.numbers[line * Lines::apart(cuts.len()) + at];
                assert_eq!(got >= 0, number as f32 >= *cut, "{number} and {cut}");
            }
        }
    }
}
