//! The contract of inference.

use bnn_core::{
    BinaryBackend, Draw, Error, Gather, Grid, HostCode, Levels, Matrix, MatrixView, Quant, Result,
    Window,
};

use super::code::Code;
use super::device::{Means, Tch, threads};
use super::fault::{self, named};
use super::levels;
use super::pool::Pool;
use super::product::{Shape, scaled};
use super::random::uniforms;
use super::real::Real;

impl BinaryBackend for Tch {
    type Real = Real;
    type Code = Code;

    /// On a processor the number of threads is part of the name, since sums of reals depend on it.
    fn name(&self) -> String {
        match (self.device.is_cuda(), self.means) {
            (true, _) => "tch:cuda".into(),
            (false, Means::Direct) => format!("tch/{}", threads()),
            (false, Means::Gathered) => format!("tch:gathered/{}", threads()),
        }
    }

    fn put(&self, x: MatrixView<'_>) -> Result<Real> {
        named("put", Real::put(x, self.device))
    }

    fn get(&self, x: &Real) -> Result<Matrix> {
        named("get", x.get())
    }

    fn put_code(&self, x: &HostCode) -> Result<Code> {
        named("put_code", Code::put(x, *self))
    }

    fn get_code(&self, x: &Code) -> Result<HostCode> {
        named("get_code", x.get())
    }

    fn encode(&self, x: &Real, quant: &Quant, draw: Option<Draw<'_, Self>>) -> Result<Code> {
        named("encode", encode(*self, x, quant, draw))
    }

    fn product(&self, a: &Code, w: &Code, gather: &Gather) -> Result<Real> {
        // The scales are multiplied and rounded before they meet a sum, as on every backend.
        let scale = f64::from(a.scale * w.scale);
        let scaled = |sums: tch::Tensor| Real::new(scaled(sums, scale)?);
        named("product", sums(*self, a, w, gather).and_then(scaled))
    }

    fn product_cut(
        &self,
        a: &Code,
        w: &Code,
        gather: &Gather,
        cuts: &Real,
        levels: &Levels,
    ) -> Result<Code> {
        let cut = |sums: tch::Tensor| cut(*self, &sums, cuts, levels);
        named("product_cut", sums(*self, a, w, gather).and_then(cut))
    }

    fn pool(&self, x: &Code, grid: Grid, window: Window) -> Result<Code> {
        named("pool", pool(x, grid, window))
    }
}

fn encode(tch: Tch, x: &Real, quant: &Quant, draw: Option<Draw<'_, Tch>>) -> fault::Result<Code> {
    let Some(draw) = draw else { return levels::encode(tch, &x.tensor()?, quant) };
    if !quant.is_sign() {
        return Err(Error::value("draw", "only the sign has a stochastic form").into());
    }
    let uniform = uniforms(draw.clock, draw.stream, x.dim)?;
    let probability = x.tensor()?.f_add_scalar(1.0)?.f_div_scalar(2.0)?.f_clamp(0.0, 1.0)?;
    levels::code(tch, &quant.levels, |_| Ok(uniform.f_lt_tensor(&probability)?))
}

/// The integer sums of a product.
fn sums(tch: Tch, a: &Code, w: &Code, gather: &Gather) -> fault::Result<tch::Tensor> {
    Shape::new(tch, a.dim, w.dim, gather)?.integers(&a.integers()?, &w.integers()?)
}

fn cut(tch: Tch, sums: &tch::Tensor, cuts: &Real, levels: &Levels) -> fault::Result<Code> {
    let (_, outputs) = sums.size2()?;
    let want = (levels.cuts(), outputs as usize);
    if cuts.dim != want {
        let got = format!("{:?}", cuts.dim);
        return Err(Error::shape("product_cut", format!("cuts {want:?}"), got).into());
    }
    let cuts = cuts.tensor()?;
    levels::code(tch, levels, |cut| Ok(sums.f_ge_tensor(&cuts.f_select(0, cut as i64)?)?))
}

fn pool(x: &Code, grid: Grid, window: Window) -> fault::Result<Code> {
    if x.mask()?.is_some() {
        return Err(Error::value("pool", "a code with holes has no maximum").into());
    }
    Gather::Patches { grid, window }.out_rows(x.dim.0)?;
    let pool = Pool::new(grid, window)?;
    let winners = pool.winners(&x.integers()?.f_to_kind(tch::Kind::Float)?)?;
    let planes = x.planes()?;
    let (count, _, _) = planes.size3()?;
    let taken = (0..count).map(|plane| pool.take(&planes.f_select(0, plane)?, &winners));
    let taken = taken.collect::<fault::Result<Vec<_>>>()?;
    x.like(tch::Tensor::f_stack(&taken, 0)?)
}
