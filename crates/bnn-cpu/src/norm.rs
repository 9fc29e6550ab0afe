//! Batch normalization: columns are summed in f64, in an order that depends on the shape alone.

use bnn_core::scalar::ap2;
use bnn_core::{Error, Norm, NormGrad, Normed, Result, Running};

use crate::cpu::Cpu;
use crate::elementwise::rows_per_task;
use crate::memory::Buffer;
use crate::real::{Real, same};

/// See [`TrainBackend::norm`](bnn_core::TrainBackend::norm).
pub(crate) fn forward(
    cpu: &Cpu,
    x: &Real,
    (gamma, beta): (&Real, &Real),
    running: &mut Running<Cpu>,
    norm: &Norm,
) -> Result<Normed<Cpu>> {
    check_rows("norm", x, &[gamma, beta, &running.mean, &running.spread])?;
    let mean = averages(cpu, x, |row, sums| {
        sums.iter_mut().zip(x.rows_at(row, 1)).for_each(|(sum, &x)| *sum += f64::from(x));
    });
    let variance = averages(cpu, x, |row, sums| {
        for ((sum, &x), &mean) in sums.iter_mut().zip(x.rows_at(row, 1)).zip(&mean.data[..]) {
            let c = x - mean;
            *sum += f64::from(c) * f64::from(if norm.shift { ap2(c) } else { c });
        }
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
    let round = |x: f32| if norm.shift { ap2(x) } else { x };
    let scale = along(cpu, x.cols, |at| round(normed.inverse_deviation.data[at]));
    let columns = Columns { dy, x, mean: &normed.mean };
    let g = sums(cpu, x.dim(), |row, sums| {
        columns.each(row, |at, g, _| sums[at] += f64::from(g));
    });
    let qg = sums(cpu, x.dim(), |row, sums| {
        columns.each(row, |at, g, c| sums[at] += f64::from(round(c)) * f64::from(g));
    });
    let dgamma = sums(cpu, x.dim(), |row, sums| {
        columns.each(row, |at, g, c| {
            sums[at] += f64::from(round(c * scale.data[at])) * f64::from(g);
        });
    });
    let samples = x.rows as f64;
    let mut lines = cpu.take(3 * x.cols);
    let lines: &mut [[f64; 3]] = lines.as_chunks_mut().0;
    for (at, line) in lines.iter_mut().enumerate() {
        let gain = norm.batch_gain(gamma.data[at], normed.inverse_deviation.data[at]);
        let slope = qg[at] / samples * f64::from(scale.data[at]).powi(2);
        *line = [f64::from(gain), g[at] / samples, slope];
    }
    let lines = &*lines;
    let mut dx = cpu.real(x.dim());
    by_rows(cpu, &mut dx, |row, dx| {
        columns.each(row, |at, g, c| {
            let [gain, mean_g, slope] = lines[at];
            dx[at] = (gain * (f64::from(g) - mean_g - f64::from(round(c)) * slope)) as f32;
        });
    });
    let gamma = along(cpu, x.cols, |at| dgamma[at] as f32);
    Ok(NormGrad { x: dx, gamma, beta: along(cpu, x.cols, |at| g[at] as f32) })
}

/// Gradients and centred inputs, row by row.
struct Columns<'a> {
    dy: &'a Real,
    x: &'a Real,
    mean: &'a Real,
}

impl Columns<'_> {
    /// Calls `visit` with column, gradient and centred input of every entry of a row.
    #[inline]
    fn each(&self, row: usize, mut visit: impl FnMut(usize, f32, f32)) {
        let line = self.dy.rows_at(row, 1).iter().zip(self.x.rows_at(row, 1));
        for (at, ((&g, &x), &mean)) in line.zip(&self.mean.data[..]).enumerate() {
            visit(at, g, x - mean);
        }
    }
}

/// Row by row [`Norm::apply`].
fn affine(cpu: &Cpu, x: &Real, mean: &Real, gain: &Real, beta: &Real) -> Real {
    let mut y = cpu.real(x.dim());
    by_rows(cpu, &mut y, |row, y| {
        let columns = mean.data.iter().zip(&gain.data[..]).zip(&beta.data[..]);
        for ((y, &x), ((&mean, &gain), &beta)) in y.iter_mut().zip(x.rows_at(row, 1)).zip(columns) {
            *y = Norm::apply(x, mean, gain, beta);
        }
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
fn averages(cpu: &Cpu, x: &Real, add: impl Fn(usize, &mut [f64]) + Sync + Send) -> Real {
    let sums = sums(cpu, x.dim(), add);
    along(cpu, x.cols, |at| (sums[at] / x.rows as f64) as f32)
}

/// Sums of columns: `add` adds a row to them. Every task sums its rows, then the tasks' sums are
/// added in their order: the shape alone decides the order of additions.
fn sums(
    cpu: &Cpu,
    (rows, cols): (usize, usize),
    add: impl Fn(usize, &mut [f64]) + Sync + Send,
) -> Buffer<f64> {
    let per_task = rows_per_task(cols);
    let mut parts = cpu.take_zeroed(rows.div_ceil(per_task).max(1) * cols);
    cpu.workers.each(parts.chunks_mut(cols.max(1)).enumerate(), |(task, sums)| {
        (task * per_task..rows.min((task + 1) * per_task)).for_each(|row| add(row, sums));
    });
    let mut total = cpu.take_zeroed(cols);
    for part in parts.chunks_exact(cols.max(1)) {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    total
}

/// Each of `rows` is one row of as many numbers as `x` has columns, and `x` is not empty.
fn check_rows(op: &'static str, x: &Real, rows: &[&Real]) -> Result<()> {
    if x.rows == 0 {
        return Err(Error::shape(op, "at least one sample", "none"));
    }
    rows.iter().try_for_each(|row| same(op, (1, x.cols), row.dim()))
}
