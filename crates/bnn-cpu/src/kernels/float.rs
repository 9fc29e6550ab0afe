//! Products of real matrices, by the crate `gemm`.

use gemm::Parallelism;

/// A matrix of reals whose entry (row, column) lies at `row * rows_apart + column * cols_apart`.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows_apart: usize,
    pub(crate) cols_apart: usize,
}

/// A row-major matrix of reals to be written, rows `rows_apart` numbers apart.
pub(crate) struct StridedMut<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) rows_apart: usize,
}

impl<'a> Strided<'a> {
    /// Row-major, `cols` columns.
    pub(crate) fn rows(data: &'a [f32], cols: usize) -> Self {
        Self { data, rows_apart: cols, cols_apart: 1 }
    }

    /// The transpose.
    pub(crate) fn transposed(self) -> Self {
        Self { rows_apart: self.cols_apart, cols_apart: self.rows_apart, ..self }
    }

    fn check(&self, rows: usize, cols: usize) {
        let last = last(rows, cols, self.rows_apart, self.cols_apart);
        assert!(last.is_none_or(|last| last < self.data.len()), "the matrix lies in its data");
    }
}

/// Writes, or adds to what is there, the product of a (m x k) and b (k x n) on one thread.
///
/// Each sum runs in one order, which depends on the shape alone.
pub(crate) fn multiply(
    out: StridedMut<'_>,
    a: Strided<'_>,
    b: Strided<'_>,
    (m, n, k): (usize, usize, usize),
    add: bool,
) {
    a.check(m, k);
    b.check(k, n);
    let last = last(m, n, out.rows_apart, 1);
    assert!(last.is_none_or(|last| last < out.data.len()), "the output lies in its data");
    assert!(n <= out.rows_apart || m <= 1, "rows of the output do not overlap");
    let apart = |strided: &Strided<'_>| (strided.cols_apart as isize, strided.rows_apart as isize);
    let ((a_cols, a_rows), (b_cols, b_rows)) = (apart(&a), apart(&b));
    let (place, a, b) = (out.data.as_mut_ptr(), a.data.as_ptr(), b.data.as_ptr());
    let rows_apart = out.rows_apart as isize;
    let (alpha, beta) = (f32::from(u8::from(add)), 1.0);
    // SAFETY: all entries lie inside their slices, as checked above; the output is borrowed alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            place,
            1,
            rows_apart,
            add,
            a,
            a_cols,
            a_rows,
            b,
            b_cols,
            b_rows,
            alpha,
            beta,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Place of the last entry, if there is any.
fn last(rows: usize, cols: usize, rows_apart: usize, cols_apart: usize) -> Option<usize> {
    (rows > 0 && cols > 0).then(|| (rows - 1) * rows_apart + (cols - 1) * cols_apart)
}
