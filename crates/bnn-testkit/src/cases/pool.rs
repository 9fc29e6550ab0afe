//! Max-pooling of codes and of reals: equal in every bit; its gradient within 1e-5.

use proptest::prelude::*;
use proptest::sample::select;

use bnn_core::{BinaryBackend, Gather, Grid, HostCode, Quant, TrainBackend, Window, reference};

use crate::check::{close, forall, once, refused, same, same_code};
use crate::samples::{Dice, quants, slides};

/// The largest code under every window; taps in the padding never win.
pub fn pool<B: BinaryBackend>(backend: &B) {
    let sizes = (slides(), 1usize..=3, channels());
    forall((sizes, quants(), any::<u64>()), |(((grid, window), images, channels), quant, seed)| {
        let x = Dice::new(seed).real(images * grid.pixels(), channels);
        let code = reference::encode(&x, &quant, None)?;
        let there = backend.put_code(&HostCode::Planes(code.clone()))?;
        let got = backend.get_code(&backend.pool(&there, grid, window)?)?;
        same_code("pool", got, &reference::pool(&code, grid, window)?)
    });
}

/// Holes, parts of images and windows that do not fit are refused.
pub fn pool_refusals<B: BinaryBackend>(backend: &B) {
    once(|| {
        let mut dice = Dice::new(0);
        let grid = Grid { height: 2, width: 2 };
        let window = Window::square(2, 2, 0);
        let mut code = reference::encode(&dice.real(4, 65), &Quant::sign(), None)?;
        let whole = backend.put_code(&HostCode::Planes(code.clone()))?;
        code.mask = Some(dice.bits(4, 65));
        let holed = backend.put_code(&HostCode::Planes(code))?;
        refused("a code with holes", backend.pool(&holed, grid, window))?;
        refused("a large window", backend.pool(&whole, grid, Window::square(3, 1, 0)))?;
        let three = Grid { height: 3, width: 1 };
        refused("a part of an image", backend.pool(&whole, three, Window::square(1, 1, 0)))
    });
}

/// The largest real and the tap of the first one, in row-major order; ties are frequent here.
pub fn max_pool<B: TrainBackend>(backend: &B) {
    let sizes = (slides(), 1usize..=3, channels());
    forall((sizes, any::<u64>()), |(((grid, window), images, channels), seed)| {
        let x = Dice::new(seed).real(images * grid.pixels(), channels).mapv(f32::round);
        let got = backend.max_pool(&backend.put(x.view())?, grid, window)?;
        let (y, taps) = reference::max_pool(&x, grid, window)?;
        same("max_pool", &backend.get(&got.y)?.mapv(|y| y + 0.0), &y.mapv(|y| y + 0.0))?;
        same("taps", &backend.get(&got.taps)?, &taps)
    });
}

/// The gradient goes to the tap that won; bound: 1e-5 of the sum of the magnitudes that meet.
pub fn max_pool_grad<B: TrainBackend>(backend: &B) {
    let sizes = (slides(), 1usize..=3, channels());
    forall((sizes, any::<u64>()), |(((grid, window), images, channels), seed)| {
        let mut dice = Dice::new(seed);
        let x = dice.real(images * grid.pixels(), channels).mapv(f32::round);
        let rows = Gather::Patches { grid, window }.out_rows(x.nrows())?;
        let dy = dice.real(rows, channels).mapv(|g| g / 3.0);
        let (_, taps) = reference::max_pool(&x, grid, window)?;
        let [dy_there, taps_there] = [backend.put(dy.view())?, backend.put(taps.view())?];
        let got = backend.max_pool_grad(&dy_there, &taps_there, grid, window)?;
        let want = reference::max_pool_grad(&dy, &taps, grid, window)?;
        let sum = reference::max_pool_grad(&dy.mapv(f32::abs), &taps, grid, window)?;
        close("max_pool_grad", &backend.get(&got)?, &want, &(sum * 1e-5))
    });
}

/// Parts of images, and gradients that do not match their taps, are refused.
pub fn max_pool_refusals<B: TrainBackend>(backend: &B) {
    once(|| {
        let mut dice = Dice::new(0);
        let (grid, window) = (Grid { height: 2, width: 2 }, Window::square(2, 2, 0));
        let x = backend.put(dice.real(3, 5).view())?;
        refused("a part of an image", backend.max_pool(&x, grid, window))?;
        let (dy, taps) = (dice.real(1, 5), dice.real(2, 5).mapv(|_| 0.0));
        let [dy, taps] = [backend.put(dy.view())?, backend.put(taps.view())?];
        refused("taps of two images", backend.max_pool_grad(&dy, &taps, grid, window))
    });
}

fn channels() -> impl Strategy<Value = usize> {
    select(vec![1, 3, 8, 63, 64, 65, 130])
}
