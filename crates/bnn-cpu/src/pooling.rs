//! Max-pooling of codes and of reals.

use bnn_core::{BinaryBackend, Error, Gather, Grid, HostCode, Pooled, Result, Window, reference};

use crate::code::Code;
use crate::cpu::Cpu;
use crate::elementwise::rows_per_task;
use crate::kernels::Lanes;
use crate::real::{Real, same};

/// See [`BinaryBackend::pool`]: for signs, the OR of packed rows.
///
/// Codes of several planes have no such form, and take the definition.
pub(crate) fn pool(cpu: &Cpu, x: &Code, grid: Grid, window: Window) -> Result<Code> {
    if x.mask.is_some() || !matches!(x.weights[..], [weight] if weight > 0) {
        let pooled = reference::pool(&x.to_planes(), grid, window)?;
        return cpu.put_code(&HostCode::Planes(pooled));
    }
    let gather = Gather::Patches { grid, window };
    let mut out = cpu.code((gather.out_rows(x.rows)?, x.cols), x.scale, x.weights.clone());
    let (rows, words) = (rows_per_task(x.cols), x.words().max(1));
    cpu.workers.each(out.bits.chunks_mut(rows * words).enumerate(), |(task, out)| {
        for (row, out) in (task * rows..).zip(out.chunks_exact_mut(words)) {
            out.fill(0);
            for (_, source) in gather.sources(row) {
                out.iter_mut().zip(x.row(source)).for_each(|(out, bits)| *out |= bits);
            }
        }
    });
    Ok(out)
}

/// See [`TrainBackend::max_pool`](bnn_core::TrainBackend::max_pool).
pub(crate) fn max_pool(cpu: &Cpu, x: &Real, grid: Grid, window: Window) -> Result<Pooled<Cpu>> {
    let gather = Gather::Patches { grid, window };
    let dim = (gather.out_rows(x.rows)?, x.cols);
    let (mut y, mut taps) = (cpu.real(dim), cpu.real(dim));
    let (rows, cols) = (rows_per_task(x.cols), x.cols.max(1));
    let tasks = y.data.chunks_mut(rows * cols).zip(taps.data.chunks_mut(rows * cols)).enumerate();
    cpu.workers.each(tasks, |(task, (y, taps))| {
        let lines = y.chunks_exact_mut(cols).zip(taps.chunks_exact_mut(cols));
        for (row, (y, taps)) in (task * rows..).zip(lines) {
            cpu.kernel.lanes(Largest { x, sources: gather.sources(row), y, taps });
        }
    });
    Ok(Pooled { y, taps })
}

/// The largest numbers of some rows, column by column, and which tap each is: the first of equals.
struct Largest<'a, S> {
    x: &'a Real,
    /// Taps and their rows.
    sources: S,
    y: &'a mut [f32],
    taps: &'a mut [f32],
}

impl<S: Iterator<Item = (usize, usize)>> Lanes for Largest<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, mut sources, y, taps } = self;
        let (tap, first) = sources.next().expect("padding is smaller than the window");
        y.copy_from_slice(x.rows_at(first, 1));
        taps.fill(tap as f32);
        for (tap, source) in sources {
            for ((y, at), &x) in y.iter_mut().zip(&mut *taps).zip(x.rows_at(source, 1)) {
                let larger = x > *y;
                *at = if larger { tap as f32 } else { *at };
                *y = if larger { x } else { *y };
            }
        }
    }
}

/// See [`TrainBackend::max_pool_grad`](bnn_core::TrainBackend::max_pool_grad); every task takes whole
/// images.
pub(crate) fn max_pool_grad(
    cpu: &Cpu,
    dy: &Real,
    taps: &Real,
    grid: Grid,
    window: Window,
) -> Result<Real> {
    same("max_pool_grad", dy.dim(), taps.dim())?;
    let gather = Gather::Patches { grid, window };
    let (cols, positions) = (dy.cols.max(1), window.positions(grid)?.pixels());
    let mut dx = cpu.real((gather.in_rows(dy.rows)?, dy.cols));
    dx.data.fill(0.0);
    check_taps(taps, &gather, positions)?;
    let images = dx.data.chunks_mut(grid.pixels() * cols).enumerate();
    cpu.workers.each(images, |(image, dx)| {
        for row in 0..positions {
            let (dy, taps) =
                (dy.rows_at(image * positions + row, 1), taps.rows_at(image * positions + row, 1));
            for (tap, source) in gather.sources(row) {
                let to = &mut dx[source * cols..][..cols];
                for ((to, &g), &at) in to.iter_mut().zip(dy).zip(taps) {
                    *to += if at == tap as f32 { g } else { 0.0 };
                }
            }
        }
    });
    Ok(dx)
}

/// Refuses taps that are none of their window, or lie outside the grid.
fn check_taps(taps: &Real, gather: &Gather, positions: usize) -> Result<()> {
    let inside = |row: usize, tap: f32| {
        gather.sources(row % positions).any(|(known, _)| known as f32 == tap)
    };
    let whole = |tap: f32| tap.fract() == 0.0 && (0.0..gather.taps() as f32).contains(&tap);
    let padded = matches!(gather, Gather::Patches { window, .. } if window.pad > 0);
    for row in 0..taps.rows {
        let wrong = |&&tap: &&f32| !whole(tap) || (padded && !inside(row, tap));
        if let Some(tap) = taps.rows_at(row, 1).iter().find(wrong) {
            return Err(Error::shape(
                "max_pool_grad",
                "taps inside the grid",
                format!("tap {tap}"),
            ));
        }
    }
    Ok(())
}
