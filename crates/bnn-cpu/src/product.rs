//! Products of codes: integer sums from counted bits, then scaled or cut while they are in registers or
//! in cache.

mod plan;
mod sums;

use bnn_core::{Gather, Levels, Result, WORD};

use crate::code::Code;
use crate::cpu::Cpu;
use crate::elementwise::climb;
use crate::kernels::Out;
use crate::real::{Real, same};

use plan::{COLUMNS, Finisher, Plan};
use sums::{Line, Scale, Sums};

/// See [`BinaryBackend::product`](bnn_core::BinaryBackend::product).
pub(crate) fn product(cpu: &Cpu, a: &Code, w: &Code, gather: &Gather) -> Result<Real> {
    let plan = Plan::new(cpu, (a, w), gather, true)?;
    let lines = plan.lines();
    let scale = a.scale * w.scale;
    let mut out = cpu.real(plan.shape);
    let (rows, cols) = plan.share(1);
    let tasks = out.data.chunks_mut((rows * cols).max(1)).enumerate();
    cpu.workers.each(tasks, |(task, out)| {
        let mut scaled = Scaled { cpu, scale, out, apart: cols };
        plan.run(plan.part(task, (rows, cols)), &lines, &mut scaled);
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
    levels.check()?;
    let simple = levels.cuts() == 1;
    let plan = Plan::new(cpu, (a, w), gather, simple)?;
    same("product_cut", (levels.cuts(), plan.shape.1), cuts.dim())?;
    let mut lines = plan.lines();
    let fused = simple && plan.fused();
    if fused {
        lines.subtract(cpu, &cuts.data);
    }
    let mut out = cpu.code(plan.shape, levels.scale, levels.weights());
    let planes = out.weights.len();
    let (rows, cols) = plan.share(planes);
    let words = Code::words_of(cols);
    let tasks = out.bits.chunks_mut((rows * planes * words).max(1)).enumerate();
    cpu.workers.each(tasks, |(task, out)| {
        let part = plan.part(task, (rows, cols));
        let (first, words) = (part.cols.start, Code::words_of(part.cols.len())); // the last may be shorter
        let mut cut = Cut { cpu, cuts, levels, first, fused, out, words };
        plan.run(part, &lines, &mut cut);
    });
    Ok(out)
}

/// Reals of a product.
struct Scaled<'a> {
    cpu: &'a Cpu,
    scale: f32,
    out: &'a mut [f32],
    /// From one row to the next.
    apart: usize,
}

impl Finisher for Scaled<'_> {
    fn out(&mut self, row: usize) -> Option<Out<'_>> {
        let (scale, apart) = (self.scale, self.apart);
        Some(Out::Reals { scale, out: &mut self.out[row * apart..], apart })
    }

    fn sums(&mut self, sums: Sums<'_>, (row, col): (usize, usize)) {
        let (scale, apart) = (self.scale, self.apart);
        let out = &mut self.out[row * apart + col..];
        self.cpu.kernel.lanes(Scale { sums, scale, out, apart });
    }
}

/// The code of a product.
struct Cut<'a> {
    cpu: &'a Cpu,
    cuts: &'a Real,
    levels: &'a Levels,
    /// First column of the part.
    first: usize,
    /// Whether lines have the cuts, for a kernel.
    fused: bool,
    out: &'a mut [u64],
    /// Words of a plane of a row.
    words: usize,
}

impl Finisher for Cut<'_> {
    fn out(&mut self, row: usize) -> Option<Out<'_>> {
        let (out, apart) = (&mut self.out[row * self.words..], self.words);
        self.fused.then_some(Out::Signs { out, apart })
    }

    fn sums(&mut self, sums: Sums<'_>, (row, col): (usize, usize)) {
        let Self { cpu, cuts, levels, first, ref mut out, words, .. } = *self;
        let (planes, wide) = (levels.weights().len(), Code::words_of(sums.cols));
        let mut packed = cpu.take(planes * wide);
        for at in 0..sums.rows.len() {
            let mut line = [0.0; COLUMNS];
            cpu.kernel.lanes(Line { sums, row: at, line: &mut line });
            let cut = |cut: usize| &cuts.rows_at(cut, 1)[first + col..][..sums.cols];
            climb(cpu, &line[..sums.cols], cut, levels, &mut packed);
            let row = row + sums.rows[at].to;
            let row = &mut out[row * planes * words..][..planes * words];
            for (to, from) in row.chunks_exact_mut(words).zip(packed.chunks_exact(wide)) {
                to[col / WORD..][..wide].copy_from_slice(from);
            }
        }
    }
}
