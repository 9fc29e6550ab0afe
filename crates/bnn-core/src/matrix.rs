//! Host matrices of reals.

/// An owned matrix of reals on the host.
pub type Matrix = ndarray::Array2<f32>;

/// A borrowed matrix of reals on the host; it need not be contiguous.
pub type MatrixView<'a> = ndarray::ArrayView2<'a, f32>;
