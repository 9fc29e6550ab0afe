//! The contract of the float baselines on the processor.

use bnn_core::{FloatBackend, Gather, Operand, Result};

use crate::multiply::{Strided, StridedMut, multiply};
use crate::operand::{self, Reals};
use crate::{Cpu, Real};

/// Rows of a product that one task computes.
const ROWS: usize = 256;

impl FloatBackend for Cpu {
    fn product_real(
        &self,
        a: Operand<'_, Self>,
        w: Operand<'_, Self>,
        gather: &Gather,
    ) -> Result<Real> {
        let shape = gather.product_shape(operand::dim(&a), operand::dim(&w))?;
        let mut out = self.real(shape);
        let depth = operand::dim(&w).1;
        let w = Reals::of(self, w);
        let tasks = out.data.chunks_mut((ROWS * shape.1).max(1)).enumerate();
        self.workers.each(tasks, |(task, out)| {
            let count = out.len() / shape.1;
            let a = operand::gathered(self, &a, gather, (task * ROWS, count));
            let (a, w) = (Strided::rows(&a, depth), Strided::rows(w.numbers(), depth));
            let out = StridedMut { data: out, rows_apart: shape.1 };
            multiply(self, out, (a, w.transposed()), (count, shape.1, depth), false);
        });
        Ok(out)
    }
}
