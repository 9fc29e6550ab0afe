//! Batch normalization: columns are summed in f64, in an order that depends on the shape alone.

use bnn_core::scalar::ap2;
use bnn_core::{Error, Norm, NormGrad, Normed, Result, Running};

use crate::cpu::Cpu;
use crate::elementwise::rows_per_task;
use crate::kernels::Lanes;
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
    let mean = averages(cpu, x, |row, [sums]| {
        sums.iter_mut().zip(x.rows_at(row, 1)).for_each(|(sum, &x)| *sum += f64::from(x));
    });
    let variance = averages(cpu, x, |row, [sums]| {
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
    let totals = sums(cpu, x.dim(), |row, [g_sums, qg_sums, dgamma]| {
        let sums = g_sums.iter_mut().zip(qg_sums).zip(dgamma).zip(&scale.data[..]);
        for ((g, c), (((g_sum, qg), dgamma), &scale)) in columns.row(row).zip(sums) {
            let wide = f64::from(g);
            *g_sum += wide;
            *qg += f64::from(round(c)) * wide;
            *dgamma += f64::from(round(c * scale)) * wide;
        }
    });
    let [g, qg, dgamma] = parts(&totals);
    let samples = x.rows as f64;
    let gain = |at| norm.batch_gain(gamma.data[at], normed.inverse_deviation.data[at]);
    let gains = cpu.filled(x.cols, (0..x.cols).map(|at| f64::from(gain(at))));
    let means = cpu.filled(x.cols, g.iter().map(|g| g / samples));
    let slope = |(qg, &scale): (&f64, &f32)| qg / samples * f64::from(scale).powi(2);
    let slopes = cpu.filled(x.cols, qg.iter().zip(&scale.data[..]).map(slope));
    let mut dx = cpu.real(x.dim());
    by_rows(cpu, &mut dx, |row, dx| {
        let lines = gains.iter().zip(&means[..]).zip(&slopes[..]);
        for ((dx, (g, c)), ((gain, mean), slope)) in dx.iter_mut().zip(columns.row(row)).zip(lines)
        {
            *dx = (gain * (f64::from(g) - mean - f64::from(round(c)) * slope)) as f32;
        }
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
    /// Gradient and centred input of every entry of a row.
    #[inline(always)]
    fn row(&self, row: usize) -> impl Iterator<Item = (f32, f32)> {
        let line = self.dy.rows_at(row, 1).iter().zip(self.x.rows_at(row, 1));
        line.zip(&self.mean.data[..]).map(|((&g, &x), &mean)| (g, x - mean))
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
        let lines = (task * rows..).zip(out.chunks_exact_mut(cols));
        cpu.kernel.lanes(Each(lines, |(row, out): (usize, &mut [f32])| fill(row, out)));
    });
}

/// Calls a function with every item, in a loop for the instruction set of the kernel.
struct Each<I, F>(I, F);

impl<I: Iterator, F: FnMut(I::Item)> Lanes for Each<I, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.0.for_each(self.1);
    }
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
        cpu.kernel.lanes(Each(rows, |row| add(row, parts_mut(sums))));
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
