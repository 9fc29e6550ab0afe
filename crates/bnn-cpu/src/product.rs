//! Products of codes: integer sums from counted bits, then scaled or cut.

use bnn_core::{Gather, Levels, Result, sum_bound};

use crate::code::{Code, LANES, Panels};
use crate::cpu::Cpu;
use crate::elementwise::climb;
use crate::kernels::Counts;
use crate::memory::Buffer;
use crate::patches::Packed;
use crate::real::{Real, same};

/// Words of XOR and popcount below which a product is not worth a second thread.
const WORDS_PER_TASK: usize = 1 << 14;

/// Rows that pass by a group of panels while both stay in the nearest cache.
const ROWS_PER_TASK: usize = 64;

/// See [`BinaryBackend::product`](bnn_core::BinaryBackend::product).
pub(crate) fn product(cpu: &Cpu, a: &Code, w: &Code, gather: &Gather) -> Result<Real> {
    let plan = Plan::new(cpu, a, w, gather)?;
    let scale = a.scale * w.scale;
    let mut out = cpu.real(plan.shape);
    let (rows, cols) = (plan.rows_per_task(), plan.shape.1);
    let tasks = out.data.chunks_mut((rows * cols).max(1)).enumerate();
    cpu.workers.each(tasks, |(task, out)| {
        let sums = plan.sums((task * rows, out.len() / cols));
        for (out, sums) in out.chunks_exact_mut(cols).zip(sums.chunks_exact(plan.sums_apart())) {
            out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = sum as f32 * scale);
        }
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
    let (rows, cols, stride) = (plan.rows_per_task(), plan.shape.1, out.stride());
    let tasks = out.bits.chunks_mut((rows * stride).max(1)).enumerate();
    cpu.workers.each(tasks, |(task, out)| {
        let sums = plan.sums((task * rows, out.len() / stride));
        let mut line = cpu.take(cols);
        for (out, sums) in out.chunks_exact_mut(stride).zip(sums.chunks_exact(plan.sums_apart())) {
            line.iter_mut().zip(sums).for_each(|(number, &sum)| *number = sum as f32);
            climb(cpu, &line, |cut| cuts.rows_at(cut, 1), levels, out);
        }
    });
    Ok(out)
}

/// A product whose operands fit.
struct Plan<'a> {
    cpu: &'a Cpu,
    a: &'a Code,
    w: &'a Panels,
    gather: &'a Gather,
    shape: (usize, usize),
    depth: usize,
}

impl<'a> Plan<'a> {
    fn new(cpu: &'a Cpu, a: &'a Code, w: &'a Code, gather: &'a Gather) -> Result<Self> {
        let shape = gather.product_shape(a.dim(), w.dim())?;
        sum_bound(w.cols, a.bound(), w.bound())?;
        Ok(Self { cpu, a, w: w.panels(cpu), gather, shape, depth: w.cols })
    }

    fn rows_per_task(&self) -> usize {
        let (rows, cols) = self.shape;
        let words = rows * cols * Code::words_of(self.depth);
        if words < WORDS_PER_TASK {
            return rows.max(1);
        }
        let share = rows.div_ceil(2 * self.cpu.threads()).clamp(1, ROWS_PER_TASK);
        share.next_multiple_of(self.cpu.kernel.tile_rows())
    }

    /// Sums from one row to the next: the outputs, filled up to whole panels.
    fn sums_apart(&self) -> usize {
        self.shape.1.next_multiple_of(LANES)
    }

    /// The integer sums of output rows `first..first + count`.
    ///
    /// `d` differing signs among `n` that count make the sum `n - 2 d`.
    fn sums(&self, (first, count): (usize, usize)) -> Buffer<i32> {
        let mut sums = self.cpu.take_zeroed(count * self.sums_apart());
        let words = Code::words_of(self.depth);
        if words == 0 {
            return sums;
        }
        let packed = Packed::of(self.cpu, self.a, self.gather, (first, count));
        let mask = packed.mask();
        self.count(packed.bits(), mask, count, &mut sums);
        for (row, sums) in sums.chunks_exact_mut(self.sums_apart()).enumerate() {
            let counting = match mask {
                None => self.depth as i32,
                Some(mask) => ones(&mask[row * words..][..words]),
            };
            let most = counting * total(&self.a.weights) * total(&self.w.weights);
            sums.iter_mut().for_each(|sum| *sum = (most - 2 * *sum) >> self.w.halvings);
        }
        sums
    }

    /// Adds up the differing signs of all pairs of planes.
    fn count(&self, a: &[u64], mask: Option<&[u64]>, rows: usize, sums: &mut [i32]) {
        let (words, stride) =
            (Code::words_of(self.depth), self.a.weights.len() * Code::words_of(self.depth));
        let per_plane = self.shape.1.div_ceil(LANES) * words * LANES;
        if per_plane == 0 || rows == 0 {
            return;
        }
        for (panels, w_weight) in self.w.bits.chunks_exact(per_plane).zip(&self.w.weights) {
            for (plane, digits, a_weight) in groups(&self.a.weights) {
                let (a, weight) = (&a[plane * words..], a_weight * w_weight);
                let task = Counts { a, mask, panels, rows, stride, words, digits, weight };
                self.cpu.kernel.counts(&task, sums);
            }
        }
    }
}

/// Planes that one pass of a kernel can take: first plane, number of binary digits, weight.
fn groups(weights: &[i32]) -> Vec<(usize, usize, i32)> {
    let digits = weights.iter().enumerate().all(|(at, &weight)| at < 31 && weight == 1 << at);
    match digits {
        true => vec![(0, weights.len(), 1)],
        false => weights.iter().enumerate().map(|(at, &weight)| (at, 1, weight)).collect(),
    }
}

fn total(weights: &[i32]) -> i32 {
    weights.iter().sum()
}

fn ones(words: &[u64]) -> i32 {
    words.iter().map(|word| word.count_ones() as i32).sum()
}
