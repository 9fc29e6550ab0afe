//! Dense reals on the device.

use bnn_core::{Error, Matrix, MatrixView, Result};

use crate::cuda::Cuda;
use crate::device::{Buffer, bytes_of};

/// A matrix of f32 on the device, row-major.
pub struct Real {
    pub(crate) dim: (usize, usize),
    pub(crate) data: Buffer,
    /// Of a column that was put: how many classes it takes for all of them to be labels.
    pub(crate) classes: Option<usize>,
}

impl Real {
    /// A matrix of this shape, not initialised.
    pub(crate) fn new(cuda: &Cuda, dim: (usize, usize)) -> Result<Self> {
        let reals = dim.0.checked_mul(dim.1).and_then(|reals| reals.checked_mul(size_of::<f32>()));
        let fits = |&bytes: &usize| bytes <= isize::MAX as usize && dim.1 <= i32::MAX as usize;
        let Some(bytes) = reals.filter(fits) else {
            let want = "less than 2^31 columns, and a matrix that can be addressed";
            return Err(Error::shape("reals", want, format!("{dim:?}")));
        };
        Ok(Self { dim, data: cuda.memory(bytes)?, classes: None })
    }

    pub(crate) fn put(cuda: &Cuda, x: MatrixView<'_>) -> Result<Self> {
        let x = x.as_standard_layout();
        let reals = x.as_slice().expect("standard layout");
        if x.ncols() > i32::MAX as usize {
            return Err(Error::shape("put", "less than 2^31 columns", x.ncols()));
        }
        let classes = (x.ncols() == 1).then(|| classes(reals));
        Ok(Self { dim: x.dim(), data: cuda.upload(bytes_of(reals))?, classes })
    }

    pub(crate) fn get(&self) -> Result<Matrix> {
        let mut bytes = vec![0; self.len() * size_of::<f32>()];
        self.data.read(&mut bytes)?;
        let reals = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok(Matrix::from_shape_vec(self.dim, reals.collect()).expect("as many as were put"))
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.dim.0 * self.dim.1
    }
}

/// One more than the largest label; no number of classes is enough for what is no label.
///
/// Labels are checked here, on the host, so that a step of training need not wait for the device.
fn classes(column: &[f32]) -> usize {
    let needed = |&label: &f32| {
        let whole = label.fract() == 0.0 && (0.0..1e9).contains(&label);
        if whole { label as usize + 1 } else { usize::MAX }
    };
    column.iter().map(needed).max().unwrap_or(0)
}
