//! Dense reals.

use bnn_core::{Error, Matrix, MatrixView, Result};
use ndarray::ArrayView2;

use crate::memory::Buffer;

/// A row-major matrix of reals in the backend's memory.
pub struct Real {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) data: Buffer<f32>,
}

impl Real {
    /// Rows and columns.
    pub fn dim(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    pub(crate) fn view(&self) -> MatrixView<'_> {
        ArrayView2::from_shape(self.dim(), &self.data).expect("the buffer has rows x cols numbers")
    }

    pub(crate) fn to_matrix(&self) -> Matrix {
        self.view().to_owned()
    }

    /// The numbers of rows `first..first + count`.
    pub(crate) fn rows_at(&self, first: usize, count: usize) -> &[f32] {
        &self.data[first * self.cols..][..count * self.cols]
    }
}

/// Refuses any shape but `want`.
pub(crate) fn same(op: &'static str, want: (usize, usize), got: (usize, usize)) -> Result<()> {
    if want == got {
        Ok(())
    } else {
        Err(Error::shape(op, format!("{want:?}"), format!("{got:?}")))
    }
}
