//! Products of real matrices.
//!
//! Each result is a sum in one order, which the shape decides: [`DEPTH`] terms at a time are added up
//! one after the other, and the sums of these parts are added in their order. Nothing here asks for
//! the processor's caches, and a kernel's name says whether it rounds products before it adds them.
//! Libraries choose both by the processor they find, which gives one backend several results.

use crate::cpu::Cpu;
use crate::kernels::{LINE, Line, Products, Tile, WIDE, Wide};
use crate::transpose::transpose;

/// Terms of a sum that are added up at a time: part of the meaning of a product, so that changing it
/// changes results.
const DEPTH: usize = 512;

/// Terms whose operands meet at a time. The sums of a tile wait in memory in between, which changes
/// none: 16 KiB of columns and 8 KiB of rows stay in the smallest first caches there are.
const NEAR: usize = 128;

/// Rows that meet the same packed columns: their 512 KiB stay in second caches.
const ROWS: usize = 256;

/// A matrix of reals whose entry (row, column) lies at `row * rows_apart + column * cols_apart`; one of
/// these is 1.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows_apart: usize,
    pub(crate) cols_apart: usize,
}

/// A row-major matrix of reals to be written, rows `rows_apart` numbers apart.
pub(crate) struct StridedMut<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) rows_apart: usize,
}

impl<'a> Strided<'a> {
    /// Row-major, `cols` columns.
    pub(crate) fn rows(data: &'a [f32], cols: usize) -> Self {
        Self { data, rows_apart: cols, cols_apart: 1 }
    }

    /// The transpose.
    pub(crate) fn transposed(self) -> Self {
        Self { rows_apart: self.cols_apart, cols_apart: self.rows_apart, ..self }
    }

    /// Packs `count` rows from `row` on, and `terms` columns from `first` on: rows in strips of `wide`,
    /// which hold `wide` numbers for every column, the rows that are missing 0.
    fn pack(
        &self,
        cpu: &Cpu,
        (row, count): (usize, usize),
        (first, terms): (usize, usize),
        wide: usize,
        strips: &mut [f32],
    ) {
        for (strip, at) in strips.chunks_exact_mut(wide * terms).zip((0..count).step_by(wide)) {
            let rows = wide.min(count - at);
            let from = (row + at) * self.rows_apart + first * self.cols_apart;
            let from = &self.data[from..];
            if rows < wide {
                strip.fill(0.0);
            }
            if self.rows_apart == 1 {
                for (term, to) in strip.chunks_exact_mut(wide).enumerate() {
                    to[..rows].copy_from_slice(&from[term * self.cols_apart..][..rows]);
                }
            } else {
                assert_eq!(self.cols_apart, 1, "numbers of a row or of a column lie together");
                transpose(cpu, (from, self.rows_apart), (rows, terms), (strip, wide));
            }
        }
    }
}

/// Writes, or adds to what is there, the product of a (m x k) and b (k x n) on one thread.
pub(crate) fn multiply(
    cpu: &Cpu,
    mut out: StridedMut<'_>,
    (a, b): (Strided<'_>, Strided<'_>),
    (m, n, k): (usize, usize, usize),
    add: bool,
) {
    if !add && k == 0 {
        (0..m).for_each(|row| out.row((row, 0), n).fill(0.0));
    }
    let (deep, high) = (DEPTH.min(k), ROWS.min(m).next_multiple_of(LINE));
    let (mut rows, mut columns) = (cpu.take(high * deep), cpu.take(WIDE * deep));
    let mut tiles = cpu.take(high * WIDE);
    for row in (0..m).step_by(ROWS) {
        let count = ROWS.min(m - row);
        let tiles = &mut tiles[..count.next_multiple_of(LINE) * WIDE];
        for first in (0..k).step_by(DEPTH) {
            let terms = DEPTH.min(k - first);
            a.pack(cpu, (row, count), (first, terms), LINE, &mut rows);
            for col in (0..n).step_by(WIDE) {
                let wide = WIDE.min(n - col);
                b.transposed().pack(cpu, (col, wide), (first, terms), WIDE, &mut columns);
                tiles.fill(0.0);
                let strips = Strips { rows: (&rows, count), columns: (&columns, wide), terms };
                strips.sum(cpu, tiles.as_chunks_mut().0);
                for (at, sums) in (row..row + count).zip(tiles.chunks_exact(WIDE)) {
                    let to = out.row((at, col), wide);
                    match add || first > 0 {
                        true => to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum),
                        false => to.copy_from_slice(&sums[..wide]),
                    }
                }
            }
        }
    }
}

/// Packed rows, in strips of [`LINE`], and one strip of packed columns, each with how many are in use.
struct Strips<'a> {
    rows: (&'a [f32], usize),
    columns: (&'a [f32], usize),
    /// What they hold numbers for.
    terms: usize,
}

impl Strips<'_> {
    /// Adds the products of all terms to the sums.
    fn sum(&self, cpu: &Cpu, sums: &mut [Wide]) {
        let Self { rows: (rows, count), columns: (columns, cols), terms } = *self;
        let (rows, columns): (&[Line], &[Wide]) = (rows.as_chunks().0, columns.as_chunks().0);
        let tiles: &mut [Tile] = sums.as_chunks_mut().0;
        for first in (0..terms).step_by(NEAR) {
            let near = first..terms.min(first + NEAR);
            for (strip, tile) in tiles.iter_mut().enumerate() {
                let (a, b) = (&rows[strip * terms..][near.clone()], &columns[near.clone()]);
                let rows = LINE.min(count - strip * LINE);
                cpu.kernel.products(&Products { a, b, rows, cols }, tile);
            }
        }
    }
}

impl StridedMut<'_> {
    /// Some numbers of a row.
    fn row(&mut self, (row, col): (usize, usize), count: usize) -> &mut [f32] {
        &mut self.data[row * self.rows_apart + col..][..count]
    }
}

#[cfg(test)]
mod tests {
    use bnn_core::Key;

    use super::*;

    fn numbers(count: usize, stream: u32) -> Vec<f32> {
        let key = Key::new(5, 1).stream(stream);
        (0..count).map(|at| 2.0 * key.uniform(at as u32) - 1.0).collect()
    }

    /// The definition: parts of 512 terms, products fused where the kernel's name says so.
    fn defined(
        fused: bool,
        out: &mut [f32],
        (a, b): (Strided<'_>, Strided<'_>),
        (m, n, k): (usize, usize, usize),
        add: bool,
    ) {
        let entry = |x: &Strided<'_>, row, col| x.data[row * x.rows_apart + col * x.cols_apart];
        for (row, col) in (0..m).flat_map(|row| (0..n).map(move |col| (row, col))) {
            let to = &mut out[row * (n + 3) + col];
            if !add {
                *to = 0.0;
            }
            for first in (0..k).step_by(512) {
                let part = (first..k.min(first + 512)).fold(0.0f32, |sum, at| {
                    let (a, b) = (entry(&a, row, at), entry(&b, at, col));
                    if fused { a.mul_add(b, sum) } else { a * b + sum }
                });
                *to += part;
            }
        }
    }

    #[test]
    fn every_sum_has_one_order_on_every_processor() {
        let shapes = [
            (1, 1, 1),
            (1, 40, 513),
            (5, 3, 0),
            (17, 33, 100),
            (4, 32, 129),
            (8, 64, 512),
            (12, 1, 1100),
            (16, 27, 640),
            (300, 40, 1025),
        ];
        for kernel in Cpu::kernels().into_iter().filter(|kernel| kernel.missing.is_none()) {
            let cpu = Cpu::with_kernel(kernel.name).unwrap();
            let fused = matches!(kernel.name, "avx512" | "avx2" | "neon");
            for (m, n, k) in shapes {
                let (a, b) = (numbers(m * k + 9, 1), numbers(k * n + 9, 2));
                for (plain_a, plain_b, add) in [
                    (true, true, true),
                    (false, true, false),
                    (true, false, true),
                    (false, false, true),
                ] {
                    let form = |data, rows, cols, plain| match plain {
                        true => Strided::rows(data, cols),
                        false => Strided::rows(data, rows).transposed(),
                    };
                    let operands = (form(&a, m, k, plain_a), form(&b, k, n, plain_b));
                    let mut want = numbers(m * (n + 3), 3);
                    let mut got = want.clone();
                    defined(fused, &mut want, operands, (m, n, k), add);
                    let out = StridedMut { data: &mut got, rows_apart: n + 3 };
                    multiply(&cpu, out, operands, (m, n, k), add);
                    assert_eq!(got, want, "{}: {m} x {n} x {k}, {plain_a} {plain_b}", kernel.name);
                }
            }
        }
    }
}
