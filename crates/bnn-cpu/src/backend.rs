//! The contract of inference on the processor.

use bnn_core::{
    BinaryBackend, Draw, Gather, Grid, HostCode, Levels, Matrix, MatrixView, Quant, Result, Window,
};

use crate::{Code, Cpu, Real, code, elementwise, pooling, product};

impl BinaryBackend for Cpu {
    type Real = Real;
    type Code = Code;

    fn name(&self) -> String {
        format!("cpu/{}", self.kernel.name())
    }

    fn put(&self, x: MatrixView<'_>) -> Result<Real> {
        let mut real = self.real(x.dim());
        real.data.iter_mut().zip(x.iter()).for_each(|(to, &from)| *to = from);
        Ok(real)
    }

    fn get(&self, x: &Real) -> Result<Matrix> {
        Ok(x.to_matrix())
    }

    fn put_code(&self, x: &HostCode) -> Result<Code> {
        code::from_host(self, x)
    }

    fn get_code(&self, x: &Code) -> Result<HostCode> {
        Ok(HostCode::Planes(x.to_planes()))
    }

    fn encode(&self, x: &Real, quant: &Quant, draw: Option<Draw<'_, Self>>) -> Result<Code> {
        elementwise::encode(self, x, quant, draw)
    }

    fn product(&self, a: &Code, w: &Code, gather: &Gather) -> Result<Real> {
        product::product(self, a, w, gather)
    }

    fn product_cut(
        &self,
        a: &Code,
        w: &Code,
        gather: &Gather,
        cuts: &Real,
        levels: &Levels,
    ) -> Result<Code> {
        product::product_cut(self, (a, w), gather, cuts, levels)
    }

    fn pool(&self, x: &Code, grid: Grid, window: Window) -> Result<Code> {
        pooling::pool(self, x, grid, window)
    }

    fn together<R: Send>(&self, operations: impl FnOnce() -> R + Send) -> R {
        self.workers.install(operations)
    }
}
