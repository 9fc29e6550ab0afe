//! Batches without a row, and images of minus infinity.

use bnn_core::{
    BinaryBackend, BitMatrix, FloatBackend, Gather, Grid, HostCode, Matrix, Operand, Quant, Result,
    TrainBackend, Window, reference,
};
use bnn_tch::Tch;

use super::everywhere;

const GRID: Grid = Grid { height: 4, width: 3 };

/// The shapes of whatever can be computed of no row.
fn shapes<B: FloatBackend>(backend: &B, gather: &Gather) -> Result<Vec<(usize, usize)>> {
    let depth = gather.taps() * 5;
    let signs = |rows, cols| backend.put_code(&HostCode::binary(BitMatrix::zeros(rows, cols)));
    let (a, w) = (signs(0, 5)?, signs(3, depth)?);
    let dy = backend.put(Matrix::zeros((0, 3)).view())?;
    let x = backend.put(Matrix::zeros((0, 5)).view())?;
    let code = backend.encode(&x, &Quant::sign(), None)?;
    let mut reals = vec![
        backend.product(&a, &w, gather)?,
        backend.product_grad_input(&dy, Operand::Code(&w), gather)?,
        backend.product_grad_weight(&dy, Operand::Code(&a), gather)?,
        backend.product_real(Operand::Real(&x), Operand::Code(&w), gather)?,
        backend.pass_through(&x, &x, &code, &Quant::sign())?,
    ];
    let mut shapes = vec![backend.get_code(&code)?.dim()?];
    if let Gather::Patches { grid, window } = *gather {
        let pooled = backend.max_pool(&x, grid, window)?;
        reals.push(backend.max_pool_grad(&pooled.y, &pooled.taps, grid, window)?);
        reals.push(pooled.y);
        shapes.push(backend.get_code(&backend.pool(&a, grid, window)?)?.dim()?);
    }
    for real in &reals {
        shapes.push(backend.get(real)?.dim());
    }
    Ok(shapes)
}

#[test]
fn no_row_is_as_good_as_many() -> Result<()> {
    let patches =
        Gather::Patches { grid: Grid { height: 4, width: 3 }, window: Window::square(2, 1, 1) };
    for gather in [Gather::Rows, patches] {
        let want = shapes(&bnn_core::Reference, &gather)?;
        for tch in everywhere() {
            assert_eq!(shapes(&tch, &gather)?, want, "{gather:?} on {}", tch.name());
        }
    }
    Ok(())
}

/// The padding is minus infinity as well, but never wins.
#[test]
fn minus_infinity_wins_over_the_padding() -> Result<()> {
    let window = Window::square(3, 2, 2); // more than libtorch pads by itself
    let x = Matrix::from_elem((GRID.pixels(), 2), f32::NEG_INFINITY);
    let want = reference::max_pool(&x, GRID, window)?;
    for tch in everywhere() {
        let got = tch.max_pool(&tch.put(x.view())?, GRID, window)?;
        assert_eq!((tch.get(&got.y)?, tch.get(&got.taps)?), want, "{}", tch.name());
    }
    Ok(())
}

#[test]
fn taps_in_the_padding_are_refused() -> Result<()> {
    everywhere().iter().try_for_each(taps_in_the_padding)
}

fn taps_in_the_padding(tch: &Tch) -> Result<()> {
    let window = Window::square(2, 2, 1);
    let (_, mut taps) = reference::max_pool(&Matrix::zeros((GRID.pixels(), 1)), GRID, window)?;
    let dy = tch.put(Matrix::ones(taps.dim()).view())?;
    // Only the last tap of the first window lies in the grid.
    for (tap, inside) in [(3.0, true), (0.0, false), (4.0, false), (-1.0, false), (f32::NAN, false)]
    {
        taps[[0, 0]] = tap;
        let taps = tch.put(taps.view())?;
        assert_eq!(tch.max_pool_grad(&dy, &taps, GRID, window).is_ok(), inside, "tap {tap}");
    }
    Ok(())
}
