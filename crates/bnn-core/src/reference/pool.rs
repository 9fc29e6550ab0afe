//! Max-pooling of codes and of reals.

use ndarray::Array2;

use crate::{Error, Grid, Matrix, Planes, Result, Window};

use super::elementwise::code_like;

/// See [`BinaryBackend::pool`](crate::BinaryBackend::pool).
///
/// # Errors
/// [`Error::Value`] for a code with holes; [`Error::Shape`] if rows, grid and window do not fit.
pub fn pool(x: &Planes, grid: Grid, window: Window) -> Result<Planes> {
    if x.mask.is_some() {
        return Err(Error::value("pool", "a code with holes has no maximum"));
    }
    let integers = x.integers()?;
    let winners = winners(integers.dim(), grid, window, |a, b| integers[a] > integers[b])?;
    Ok(code_like(x, winners.dim(), |row, col| winners[[row, col]].0))
}

/// See [`TrainBackend::max_pool`](crate::TrainBackend::max_pool).
///
/// # Errors
/// [`Error::Shape`] if rows, grid and window do not fit.
pub fn max_pool(x: &Matrix, grid: Grid, window: Window) -> Result<(Matrix, Matrix)> {
    let winners = winners(x.dim(), grid, window, |a, b| x[a] > x[b])?;
    let taps = winners.mapv(|(_, tap)| tap as f32);
    let y = Array2::from_shape_fn(taps.dim(), |at| x[[winners[at].0, at.1]]);
    Ok((y, taps))
}

/// See [`TrainBackend::max_pool_grad`](crate::TrainBackend::max_pool_grad).
///
/// # Errors
/// [`Error::Shape`] if rows, grid and window do not fit, or a tap lies outside.
pub fn max_pool_grad(dy: &Matrix, taps: &Matrix, grid: Grid, window: Window) -> Result<Matrix> {
    let out = window.positions(grid)?;
    if dy.dim() != taps.dim() || !dy.nrows().is_multiple_of(out.pixels()) {
        let want = format!("dy and taps of whole images of {} windows", out.pixels());
        let got = format!("{:?} and {:?}", dy.dim(), taps.dim());
        return Err(Error::shape("max_pool_grad", want, got));
    }
    let mut dx = Array2::zeros((dy.nrows() / out.pixels() * grid.pixels(), dy.ncols()));
    for ((row, col), g) in dy.indexed_iter() {
        let tap = taps[[row, col]] as usize;
        let Some(source) = window.source(grid, out, row, tap).filter(|_| tap < window.taps())
        else {
            return Err(Error::shape(
                "max_pool_grad",
                "taps inside the grid",
                format!("tap {tap}"),
            ));
        };
        dx[[source, col]] += g;
    }
    Ok(dx)
}

/// Source row and tap of the first largest entry of every window and column.
fn winners(
    dim: (usize, usize),
    grid: Grid,
    window: Window,
    larger: impl Fn([usize; 2], [usize; 2]) -> bool,
) -> Result<Array2<(usize, usize)>> {
    let out = window.positions(grid)?;
    if !dim.0.is_multiple_of(grid.pixels()) {
        let want = format!("whole images of {} rows", grid.pixels());
        return Err(Error::shape("pool", want, format!("{} rows", dim.0)));
    }
    let shape = (dim.0 / grid.pixels() * out.pixels(), dim.1);
    let winner = |(row, col)| {
        let inside =
            (0..window.taps()).filter_map(|tap| Some((window.source(grid, out, row, tap)?, tap)));
        let first = |best: (usize, usize), next: (usize, usize)| {
            if larger([next.0, col], [best.0, col]) { next } else { best }
        };
        inside.reduce(first).expect("padding is smaller than the window, so a tap lies inside")
    };
    Ok(Array2::from_shape_fn(shape, winner))
}
