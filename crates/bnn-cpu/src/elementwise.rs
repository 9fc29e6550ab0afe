//! What happens entry by entry: quantizers, dropout, the straight-through estimator.

use bnn_core::scalar::hard_sigmoid;
use bnn_core::{Clock, Draw, Error, Form, Key, Levels, Quant, Result};

use crate::code::Code;
use crate::cpu::Cpu;
use crate::kernels::Lanes;
use crate::memory::Buffer;
use crate::real::{Real, same};

/// Entries that are worth waking a thread for.
const ENTRIES_PER_TASK: usize = 1 << 15;

/// Whole rows that one task takes.
pub(crate) fn rows_per_task(cols: usize) -> usize {
    (ENTRIES_PER_TASK / cols.max(1)).max(1)
}

/// See [`BinaryBackend::encode`](bnn_core::BinaryBackend::encode).
pub(crate) fn encode(
    cpu: &Cpu,
    x: &Real,
    quant: &Quant,
    draw: Option<Draw<'_, Cpu>>,
) -> Result<Code> {
    quant.check()?;
    if draw.is_some() && !quant.is_sign() {
        return Err(Error::value("draw", "only the sign has a stochastic form"));
    }
    let key = draw.map(key).transpose()?;
    let mut code = cpu.code(x.dim(), quant.levels.scale, quant.levels.weights());
    let (rows, cols, stride) = (rows_per_task(x.cols), x.cols.max(1), code.stride().max(1));
    let tasks = code.bits.chunks_mut(rows * stride).zip(x.data.chunks(rows * cols)).enumerate();
    cpu.workers.each(tasks, |(task, (bits, x))| {
        let lines = bits.chunks_exact_mut(stride).zip(x.chunks_exact(cols));
        for (row, (bits, x)) in (task * rows..).zip(lines) {
            match key {
                None => encode_row(cpu, x, quant, bits),
                Some(key) => {
                    let chance = |at: usize| hard_sigmoid(x[at]);
                    cpu.kernel.lanes(Chances { key, row, cols, chance, bits });
                }
            }
        }
    });
    Ok(code)
}

/// Quantizes one row: its planes one after the other.
pub(crate) fn encode_row(cpu: &Cpu, x: &[f32], quant: &Quant, bits: &mut [u64]) {
    climb(cpu, x, |cut| std::slice::from_ref(&quant.cuts[cut]), &quant.levels, bits);
}

/// Packs which cuts the numbers of a row cross; `cut` gives one threshold for all, or one for each.
pub(crate) fn climb<'c>(
    cpu: &Cpu,
    x: &[f32],
    cut: impl Fn(usize) -> &'c [f32],
    levels: &Levels,
    bits: &mut [u64],
) {
    let words = x.len().div_ceil(64).max(1);
    match &levels.form {
        Form::Steps(_) => {
            for (at, plane) in bits.chunks_exact_mut(words).enumerate() {
                cpu.kernel.crossings(x, cut(at), plane);
            }
        }
        Form::Binary { .. } => {
            bits.fill(0);
            let mut crossed = cpu.take(words);
            for at in 0..levels.cuts() {
                cpu.kernel.crossings(x, cut(at), &mut crossed);
                count_up(bits, &crossed[..]);
            }
        }
    }
}

/// Adds one to the binary numbers across the planes wherever a bit is set.
fn count_up(planes: &mut [u64], bits: &[u64]) {
    let words = bits.len();
    for (at, &bits) in bits.iter().enumerate() {
        let mut carry = bits;
        for digit in planes[at..].iter_mut().step_by(words) {
            let over = *digit & carry;
            *digit ^= carry;
            carry = over;
        }
    }
}

/// See [`TrainBackend::dropout`](bnn_core::TrainBackend::dropout).
pub(crate) fn dropout(cpu: &Cpu, x: &Code, keep: f32, draw: Draw<'_, Cpu>) -> Result<Code> {
    if !(keep > 0.0 && keep <= 1.0) {
        return Err(Error::value("keep", format!("{keep} is not in (0, 1]")));
    }
    let key = key(draw)?;
    let mut mask: Buffer<u64> = cpu.take(x.rows * x.words());
    let (rows, cols, words) = (rows_per_task(x.cols), x.cols, x.words().max(1));
    cpu.workers.each(mask.chunks_mut(rows * words).enumerate(), |(task, mask)| {
        for (row, bits) in (task * rows..).zip(mask.chunks_exact_mut(words)) {
            cpu.kernel.lanes(Chances { key, row, cols, chance: |_| keep, bits: &mut *bits });
            if let Some(old) = x.mask_row(row) {
                bits.iter_mut().zip(old).for_each(|(bits, old)| *bits &= old);
            }
        }
    });
    let mut bits = cpu.take(x.bits.len());
    bits.copy_from_slice(&x.bits);
    Ok(Code::new(x.dim(), x.scale / keep, x.weights.clone(), bits, Some(mask)))
}

/// See [`TrainBackend::pass_through`](bnn_core::TrainBackend::pass_through).
pub(crate) fn pass_through(
    cpu: &Cpu,
    dy: &Real,
    x: &Real,
    code: &Code,
    quant: &Quant,
) -> Result<Real> {
    same("pass_through", x.dim(), dy.dim())?;
    same("pass_through", x.dim(), code.dim())?;
    let raised = code.scale / quant.levels.scale;
    let mut dx = cpu.real(x.dim());
    let (rows, cols) = (rows_per_task(x.cols), x.cols.max(1));
    cpu.workers.each(dx.data.chunks_mut(rows * cols).enumerate(), |(task, dx)| {
        for (row, dx) in (task * rows..).zip(dx.chunks_exact_mut(cols)) {
            let (dy, x, mask) = (dy.rows_at(row, 1), x.rows_at(row, 1), code.mask_row(row));
            cpu.kernel.lanes(PassThrough { dx, dy, x, mask, range: quant.range, raised });
        }
    });
    Ok(dx)
}

/// The key of a draw.
fn key(draw: Draw<'_, Cpu>) -> Result<Key> {
    Ok(Clock::from_row(draw.clock.view())?.key.stream(draw.stream))
}

/// Sets each bit of a row with a chance.
struct Chances<'a, F> {
    key: Key,
    row: usize,
    cols: usize,
    chance: F,
    bits: &'a mut [u64],
}

impl<F: Fn(usize) -> f32> Lanes for Chances<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let first = self.row.wrapping_mul(self.cols) as u32; // indices wrap at 2^32
        for (word, bits) in self.bits.iter_mut().enumerate() {
            *bits = 0;
            for col in word * 64..(word * 64 + 64).min(self.cols) {
                let uniform = self.key.uniform(first.wrapping_add(col as u32));
                *bits |= u64::from(uniform < (self.chance)(col)) << (col % 64);
            }
        }
    }
}

struct PassThrough<'a> {
    dx: &'a mut [f32],
    dy: &'a [f32],
    x: &'a [f32],
    mask: Option<&'a [u64]>,
    range: f32,
    raised: f32,
}

impl Lanes for PassThrough<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let lines = self.dx.chunks_mut(64).zip(self.dy.chunks(64)).zip(self.x.chunks(64));
        for (word, ((dx, dy), x)) in lines.enumerate() {
            let mask = self.mask.map_or(u64::MAX, |mask| mask[word]);
            for (bit, ((dx, dy), x)) in dx.iter_mut().zip(dy).zip(x).enumerate() {
                let passes = (mask >> bit & 1 == 1) & (x.abs() <= self.range);
                *dx = if passes { dy * self.raised } else { 0.0 };
            }
        }
    }
}
