//! Batch normalization: columns are summed in f64, in an order that depends on the shape alone.

mod rows;

use bnn_core::{Error, Norm, NormGrad, Normed, Result, Running};

use crate::cpu::Cpu;
use crate::elementwise::rows_per_task;
use crate::memory::Buffer;
use crate::real::{Real, same};

use rows::{AddGradients, AddSquares, AddValues, Apply, Columns, InputGradients, rounded};

/// See [`TrainBackend::norm`](bnn_core::TrainBackend::norm).
pub(crate) fn forward(
    cpu: &Cpu,
    x: &Real,
    (gamma, beta): (&Real, &Real),
    running: &mut Running<Cpu>,
    norm: &Norm,
) -> Result<Normed<Cpu>> {
    check_rows("norm", x, &[gamma, beta, &running.mean, &running.spread])?;
    let mean = averages(cpu, x, |row, [sums]| {
        cpu.kernel.lanes(AddValues { x: x.rows_at(row, 1), sums });
    });
    let variance = averages(cpu, x, |row, [sums]| {
        let (x, mean) = (x.rows_at(row, 1), &mean.data[..]);
        cpu.kernel.lanes(AddSquares { x, mean, shift: norm.shift, sums });
    });
    let inverse_deviation = along(cpu, x.cols, |at| norm.inverse_deviation(variance.data[at]));
    let moved = |old: &Real, batch: &dyn Fn(usize) -> f32| {
        along(cpu, x.cols, |at| norm.running(old.data[at], batch(at)))
    };
    *running = Running {
        mean: moved(&running.mean, &|at| mean.data[at]),
        spread: moved(&running.spread, &|at| norm.batch_spread(variance.data[at], x.rows)),
    };
    let gain = along(cpu, x.cols, |at| norm.batch_gain(gamma.data[at], inverse_deviation.data[at]));
    Ok(Normed { y: affine(cpu, x, &mean, &gain, beta), mean, inverse_deviation })
}

/// See [`TrainBackend::norm_eval`](bnn_core::TrainBackend::norm_eval).
pub(crate) fn evaluate(
    cpu: &Cpu,
    x: &Real,
    (gamma, beta): (&Real, &Real),
    running: &Running<Cpu>,
    norm: &Norm,
) -> Result<Real> {
    check_rows("norm_eval", x, &[gamma, beta, &running.mean, &running.spread])?;
    let gain = along(cpu, x.cols, |at| norm.gain(gamma.data[at], running.spread.data[at]));
    Ok(affine(cpu, x, &running.mean, &gain, beta))
}

/// See [`TrainBackend::norm_grad`](bnn_core::TrainBackend::norm_grad), and
/// [`reference::norm_grad`](bnn_core::reference::norm_grad) for the formulas.
pub(crate) fn backward(
    cpu: &Cpu,
    (dy, x): (&Real, &Real),
    gamma: &Real,
    normed: &Normed<Cpu>,
    norm: &Norm,
) -> Result<NormGrad<Cpu>> {
    check_rows("norm_grad", x, &[gamma, &normed.mean, &normed.inverse_deviation])?;
    same("norm_grad", x.dim(), dy.dim())?;
    let deviations = &normed.inverse_deviation.data;
    let scale = along(cpu, x.cols, |at| rounded(norm.shift, deviations[at]));
    let columns = |row| Columns {
        g: dy.rows_at(row, 1),
        x: x.rows_at(row, 1),
        mean: &normed.mean.data,
        shift: norm.shift,
    };
    let totals = sums(cpu, x.dim(), |row, sums| {
        cpu.kernel.lanes(AddGradients { columns: columns(row), scale: &scale.data, sums });
    });
    let [g, qg, dgamma] = parts(&totals);
    let samples = x.rows as f64;
    let gain = |at| norm.batch_gain(gamma.data[at], deviations[at]);
    let gains = cpu.filled(x.cols, (0..x.cols).map(|at| f64::from(gain(at))));
    let means = cpu.filled(x.cols, g.iter().map(|g| g / samples));
    let slope = |(qg, &scale): (&f64, &f32)| qg / samples * f64::from(scale).powi(2);
    let slopes = cpu.filled(x.cols, qg.iter().zip(&scale.data[..]).map(slope));
    let mut dx = cpu.real(x.dim());
    by_rows(cpu, &mut dx, |row, dx| {
        let lines = [&gains[..], &means[..], &slopes[..]];
        cpu.kernel.lanes(InputGradients { columns: columns(row), lines, dx });
    });
    let gamma = along(cpu, x.cols, |at| dgamma[at] as f32);
    Ok(NormGrad { x: dx, gamma, beta: along(cpu, x.cols, |at| g[at] as f32) })
}

/// Row by row [`Norm::apply`].
fn affine(cpu: &Cpu, x: &Real, mean: &Real, gain: &Real, beta: &Real) -> Real {
    let mut y = cpu.real(x.dim());
    by_rows(cpu, &mut y, |row, y| {
        let lines = [&mean.data[..], &gain.data[..], &beta.data[..]];
        cpu.kernel.lanes(Apply { x: x.rows_at(row, 1), lines, y });
    });
    y
}

/// Fills every row on some thread.
fn by_rows(cpu: &Cpu, out: &mut Real, fill: impl Fn(usize, &mut [f32]) + Sync + Send) {
    let (rows, cols) = (rows_per_task(out.cols), out.cols.max(1));
    cpu.workers.each(out.data.chunks_mut(rows * cols).enumerate(), |(task, out)| {
        (task * rows..).zip(out.chunks_exact_mut(cols)).for_each(|(row, out)| fill(row, out));
    });
}

/// A row of one number per column.
fn along(cpu: &Cpu, cols: usize, number: impl Fn(usize) -> f32) -> Real {
    let mut out = cpu.real((1, cols));
    out.data.iter_mut().enumerate().for_each(|(at, out)| *out = number(at));
    out
}

/// The columns' sums over the number of rows.
fn averages(cpu: &Cpu, x: &Real, add: impl Fn(usize, [&mut [f64]; 1]) + Sync + Send) -> Real {
    let sums = sums(cpu, x.dim(), add);
    along(cpu, x.cols, |at| (sums[at] / x.rows as f64) as f32)
}

/// `N` sums of every column, one after the other: `add` adds a row to them. Every task sums its rows,
/// then the tasks' sums are added in their order: the shape alone decides the order of additions.
fn sums<const N: usize>(
    cpu: &Cpu,
    (rows, cols): (usize, usize),
    add: impl Fn(usize, [&mut [f64]; N]) + Sync + Send,
) -> Buffer<f64> {
    let (per_task, width) = (rows_per_task(cols), N * cols);
    let mut shares = cpu.take_zeroed(rows.div_ceil(per_task).max(1) * width);
    cpu.workers.each(shares.chunks_mut(width.max(1)).enumerate(), |(task, sums)| {
        let rows = task * per_task..rows.min((task + 1) * per_task);
        rows.for_each(|row| add(row, parts_mut(sums)));
    });
    let mut total = cpu.take_zeroed(width);
    for part in shares.chunks_exact(width.max(1)) {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    total
}

/// Slices of equal length.
fn parts<const N: usize>(sums: &[f64]) -> [&[f64]; N] {
    let mut parts = sums.chunks_exact((sums.len() / N).max(1));
    [(); N].map(|()| parts.next().unwrap_or_default())
}

/// The same, to be written.
#[inline(always)]
fn parts_mut<const N: usize>(sums: &mut [f64]) -> [&mut [f64]; N] {
    let mut parts = sums.chunks_exact_mut((sums.len() / N).max(1));
    [(); N].map(|()| parts.next().unwrap_or_default())
}

/// Each of `rows` is one row of as many numbers as `x` has columns, and `x` is not empty.
fn check_rows(op: &'static str, x: &Real, rows: &[&Real]) -> Result<()> {
    if x.rows == 0 {
        return Err(Error::shape(op, "at least one sample", "none"));
    }
    rows.iter().try_for_each(|row| same(op, (1, x.cols), row.dim()))
}
