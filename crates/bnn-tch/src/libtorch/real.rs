//! Reals on the device.

use std::sync::{Mutex, PoisonError};

use bnn_core::{Error, Grid, Matrix, MatrixView, Window};
use tch::{Device, Kind, Tensor};

use super::fault::Result;

/// Dense reals on the device: a tensor of f32, rows by columns.
pub struct Real {
    /// libtorch's handles may be sent to other threads, but not shared by them; hence the lock,
    /// which is held only while another handle is made.
    tensor: Mutex<Tensor>,
    pub(crate) dim: (usize, usize),
    pub(crate) known: Known,
}

/// What is known of reals without reading them back, which would make the host wait for the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Known {
    Nothing,
    /// All are whole numbers from 0, and below this one.
    Below(f32),
    /// They are the taps that max-pooling found.
    Taps(Grid, Window),
}

impl Real {
    /// The matrix in a tensor of f32 and two dimensions.
    pub(crate) fn new(tensor: Tensor) -> Result<Self> {
        let (rows, cols) = tensor.size2()?;
        let dim = (rows as usize, cols as usize);
        Ok(Self { tensor: Mutex::new(tensor), dim, known: Known::Nothing })
    }

    /// The same, of values about which something is known.
    pub(crate) fn known(tensor: Tensor, known: Known) -> Result<Self> {
        Ok(Self { known, ..Self::new(tensor)? })
    }

    pub(crate) fn put(x: MatrixView<'_>, device: Device) -> Result<Self> {
        let (rows, cols) = x.dim();
        let x = x.as_standard_layout();
        let flat = x.as_slice().ok_or_else(|| Error::shape("put", "rows in order", "others"))?;
        let tensor = Tensor::f_from_slice(flat)?.f_reshape([rows as i64, cols as i64])?;
        // The copy is enqueued; what it reads has been set aside when this returns.
        let tensor = tensor.f_to_device_(device, Kind::Float, true, false)?;
        let known = if cols == 1 { whole(flat) } else { Known::Nothing };
        Self::known(tensor, known)
    }

    pub(crate) fn get(&self) -> Result<Matrix> {
        let host = self.tensor()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut x = vec![0.0; self.dim.0 * self.dim.1];
        let len = x.len();
        host.f_copy_data(&mut x, len)?;
        let wrong = |error: ndarray::ShapeError| Error::shape("get", "rows by columns", error);
        Ok(Matrix::from_shape_vec(self.dim, x).map_err(wrong)?)
    }

    /// A handle of the tensor.
    pub(crate) fn tensor(&self) -> Result<Tensor> {
        Ok(self.tensor.lock().unwrap_or_else(PoisonError::into_inner).f_detach()?)
    }

    /// A handle of the tensor in double precision.
    pub(crate) fn double(&self) -> Result<Tensor> {
        Ok(self.tensor()?.f_to_kind(Kind::Double)?)
    }
}

/// Whether all of a column are whole numbers from 0, as labels are.
fn whole(column: &[f32]) -> Known {
    let limit = column.iter().try_fold(0.0_f32, |limit, &x| {
        (x >= 0.0 && x.fract() == 0.0).then_some(limit.max(x + 1.0))
    });
    limit.map_or(Known::Nothing, Known::Below)
}
