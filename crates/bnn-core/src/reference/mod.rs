//! The definitions: what every operation of a backend means, written to be read, not to be fast.
//!
//! Sums of reals run in f64 and are rounded once. [`Reference`] offers the definitions as a backend;
//! the defaults of [`TrainBackend`] use them as well.

mod elementwise;
mod norm;
mod pool;
mod product;

pub use elementwise::{activate_grad, dropout, encode, loss, pass_through, update};
pub use norm::{NormGrad, Normed, norm, norm_eval, norm_grad};
pub use pool::{max_pool, max_pool_grad, pool};
pub use product::{product, product_cut, product_grad_input, product_grad_weight, product_real};

use crate::{
    BinaryBackend, Clock, Draw, FloatBackend, Gather, Grid, HostCode, Levels, Matrix, MatrixView,
    Planes, Quant, Result, TrainBackend, Window,
};

/// The slow, right backend: its values are host matrices and planes.
///
/// ```
/// use bnn_core::{BinaryBackend, BitMatrix, Gather, HostCode, Reference};
/// let backend = Reference;
/// let a = backend.put_code(&HostCode::binary(BitMatrix::from_fn(1, 3, |_, col| col != 1)))?;
/// let w = backend.put_code(&HostCode::binary(BitMatrix::from_fn(2, 3, |row, _| row == 0)))?;
/// let y = backend.product(&a, &w, &Gather::Rows)?;
/// assert_eq!(backend.get(&y)?, ndarray::arr2(&[[1.0, -1.0]])); // 1 - 1 + 1, and its negative
/// # Ok::<(), bnn_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl BinaryBackend for Reference {
    type Real = Matrix;
    type Code = Planes;

    fn name(&self) -> String {
        "reference".into()
    }

    fn put(&self, x: MatrixView<'_>) -> Result<Matrix> {
        Ok(x.to_owned())
    }

    fn get(&self, x: &Matrix) -> Result<Matrix> {
        Ok(x.clone())
    }

    fn put_code(&self, x: &HostCode) -> Result<Planes> {
        x.dim()?;
        Ok(x.clone().into_planes())
    }

    fn get_code(&self, x: &Planes) -> Result<HostCode> {
        Ok(HostCode::Planes(x.clone()))
    }

    fn encode(&self, x: &Matrix, quant: &Quant, draw: Option<Draw<'_, Self>>) -> Result<Planes> {
        let key =
            |draw: Draw<'_, Self>| Ok(Clock::from_row(draw.clock.view())?.key.stream(draw.stream));
        encode(x, quant, draw.map(key).transpose()?)
    }

    fn product(&self, a: &Planes, w: &Planes, gather: &Gather) -> Result<Matrix> {
        product(a, w, gather)
    }

    fn product_cut(
        &self,
        a: &Planes,
        w: &Planes,
        gather: &Gather,
        cuts: &Matrix,
        levels: &Levels,
    ) -> Result<Planes> {
        product_cut(a, w, gather, cuts, levels)
    }

    fn pool(&self, x: &Planes, grid: Grid, window: Window) -> Result<Planes> {
        pool(x, grid, window)
    }
}

impl TrainBackend for Reference {}

impl FloatBackend for Reference {}
