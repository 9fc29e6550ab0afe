//! The contract of inference.

use bnn_core::{
    BinaryBackend, Draw, Error, Gather, Grid, HostCode, Levels, Matrix, MatrixView, Quant, Result,
    Window,
};

use crate::code::{Code, integers, stride};
use crate::cuda::Cuda;
use crate::device::{Kernel, Value};
use crate::product;
use crate::real::Real;
use crate::windows::check_rows;

impl BinaryBackend for Cuda {
    type Real = Real;
    type Code = Code;

    fn name(&self) -> String {
        self.label()
    }

    fn put(&self, x: MatrixView<'_>) -> Result<Real> {
        Real::put(self, x)
    }

    fn get(&self, x: &Real) -> Result<Matrix> {
        x.get()
    }

    fn put_code(&self, x: &HostCode) -> Result<Code> {
        Code::put(self, x)
    }

    fn get_code(&self, x: &Code) -> Result<HostCode> {
        x.get()
    }

    fn encode(&self, x: &Real, quant: &Quant, draw: Option<Draw<'_, Self>>) -> Result<Code> {
        let Some(draw) = draw else { return Code::encode(self, x, quant) };
        if !quant.is_sign() {
            return Err(Error::value("draw", "only the sign has a stochastic form"));
        }
        check_clock(draw.clock)?;
        let code = Code::of_levels(self, x.dim, &quant.levels)?;
        self.each(
            Kernel("coding", "encode_stochastic"),
            code.bits(),
            &[
                (&x.data).into(),
                x.dim.0.into(),
                (x.dim.1 as i32).into(),
                code.stride().into(),
                (&draw.clock.data).into(),
                draw.stream.into(),
                (&*code.planes).into(),
            ],
        )?;
        Ok(code)
    }

    fn product(&self, a: &Code, w: &Code, gather: &Gather) -> Result<Real> {
        product::reals(self, a, w, gather)
    }

    fn product_cut(
        &self,
        a: &Code,
        w: &Code,
        gather: &Gather,
        cuts: &Real,
        levels: &Levels,
    ) -> Result<Code> {
        product::cut(self, a, w, gather, cuts, levels)
    }

    fn pool(&self, x: &Code, grid: Grid, window: Window) -> Result<Code> {
        if x.mask.is_some() {
            return Err(Error::value("pool", "a code with holes has no maximum"));
        }
        let gather = Gather::Patches { grid, window };
        let rows = gather.out_rows(x.dim.0)?;
        check_rows("pool", x.dim.0.max(rows))?;
        let windows = self.windows(&gather)?;
        let code = Code::new(self, (rows, x.dim.1), x.scale, x.weights.clone())?;
        self.each(
            Kernel("pool", "pool_code"),
            rows * stride(x.dim.1) * crate::code::WORD,
            &[
                (&*x.planes).into(),
                x.dim.0.into(),
                (x.dim.1 as i32).into(),
                x.stride().into(),
                Value::Struct(&integers(&x.weights)),
                (x.weights.len() as i32).into(),
                Value::Struct(&windows.patches),
                rows.into(),
                (&*code.planes).into(),
            ],
        )?;
        Ok(code)
    }
}

/// A clock is a row of five numbers.
pub(crate) fn check_clock(clock: &Real) -> Result<()> {
    if clock.dim == (1, 5) {
        return Ok(());
    }
    Err(Error::shape("clock", "(1, 5)", format!("{:?}", clock.dim)))
}
