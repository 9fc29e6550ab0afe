//! The contract of the float baselines.

use bnn_core::{Activation, Error, FloatBackend, Gather, Operand, Result};

use crate::cuda::Cuda;
use crate::device::Kernel;
use crate::operand::{dense, dim, multiply};
use crate::real::Real;

impl FloatBackend for Cuda {
    fn product_real(
        &self,
        a: Operand<'_, Self>,
        w: Operand<'_, Self>,
        gather: &Gather,
    ) -> Result<Real> {
        let (shape, depth) = (gather.product_shape(dim(a), dim(w))?, dim(w).1);
        let (windows, rows) = (self.windows(gather)?, self.windows(&Gather::Rows)?);
        let a = dense(self, a, &windows, shape.0)?;
        let w = dense(self, w, &rows, shape.1)?;
        let y = Real::new(self, shape)?;
        let size = [shape.0, shape.1, depth];
        multiply(self, size, (a.buffer(), false), (w.buffer(), true), &y)?;
        Ok(y)
    }

    fn activate(&self, x: &Real, activation: Activation) -> Result<Real> {
        let y = Real::new(self, x.dim)?;
        let rectifier = i32::from(activation == Activation::Relu);
        let values = [(&x.data).into(), x.len().into(), rectifier.into(), (&y.data).into()];
        self.each(Kernel("train", "activate"), x.len(), &values)?;
        Ok(y)
    }

    fn activate_grad(&self, dy: &Real, x: &Real, activation: Activation) -> Result<Real> {
        if dy.dim != x.dim {
            let got = format!("{:?}", dy.dim);
            return Err(Error::shape("activate_grad", format!("{:?}", x.dim), got));
        }
        let dx = Real::new(self, x.dim)?;
        let rectifier = i32::from(activation == Activation::Relu);
        let values = [
            (&dy.data).into(),
            (&x.data).into(),
            x.len().into(),
            rectifier.into(),
            (&dx.data).into(),
        ];
        self.each(Kernel("train", "activate_grad"), x.len(), &values)?;
        Ok(dx)
    }
}
