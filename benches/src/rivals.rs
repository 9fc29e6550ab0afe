//! What a user could take instead.

use bnn_core::{Error, Matrix, Result};
use bnn_cpu::peak;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::{ThreadPool, ThreadPoolBuilder};
use rten_gemm::{
    GemmExecutor, GemmInT, GemmInputA, GemmInputB, GemmOptions, GemmOutT, PackedBMatrix,
    QuantParams,
};
use rten_tensor::NdTensorView;

use crate::contender::{Contender, Part};
use crate::product::Operands;

/// Names of the contenders.
pub(crate) const FLOATS: &str = "f32 rten-gemm";
pub(crate) const BYTES: &str = "int8 rten-gemm";
pub(crate) const WORDS: &str = "popcount loop";

/// Threads of its own for a library that uses Rayon's.
pub(crate) fn pool(threads: usize) -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|e| Error::Device { op: "start threads", source: Box::new(e) })
}

/// Weights packed for products by the crate `rten-gemm`.
pub(crate) struct Packed<L: GemmInT, R: GemmInT, O: GemmOutT> {
    gemm: GemmExecutor<L, R, O>,
    w: PackedBMatrix<R>,
}

impl<L: GemmInT, R: GemmInT, O: GemmOutT> Packed<L, R, O> {
    /// Weights, a row per output.
    pub(crate) fn new(w: &Array2<R>) -> Self
    where
        GemmExecutor<L, R, O>: Default,
    {
        let gemm = GemmExecutor::default();
        let columns = w.t().as_standard_layout().into_owned();
        let w = gemm.prepack_b(view(columns.view()));
        Self { gemm, w }
    }

    /// The product of `a`, in every row of which `zero_point` stands for 0, with the weights.
    pub(crate) fn product(
        &self,
        a: ArrayView2<'_, L>,
        zero_point: Option<&[L]>,
        mut out: ArrayViewMut2<'_, O>,
    ) {
        let a_quant = zero_point.map(|zero_point| QuantParams { zero_point });
        let options = GemmOptions { a_quant, ..GemmOptions::default() };
        let (a, w) = (GemmInputA::Unpacked(view(a)), GemmInputB::Packed(&self.w));
        let out = out.as_slice_mut().expect("row-major");
        self.gemm.gemm(out, a, w, options).expect("the shapes fit");
    }
}

/// A matrix product of the crate `rten-gemm`, the weights packed beforehand.
pub(crate) struct Rten<L: GemmInT, R: GemmInT, O: GemmOutT> {
    name: &'static str,
    a: Array2<L>,
    w: Packed<L, R, O>,
    /// What stands for 0 in every row of `a`, if it is not 0.
    zeros: Option<Vec<L>>,
    out: Array2<O>,
    pool: ThreadPool,
}

/// Products of f32.
pub(crate) fn floats(a: &Matrix, w: &Matrix, threads: usize) -> Result<Rten<f32, f32, f32>> {
    let out = Array2::zeros((a.nrows(), w.nrows()));
    let (a, w) = (a.clone(), Packed::new(w));
    Ok(Rten { name: FLOATS, a, w, zeros: None, out, pool: pool(threads)? })
}

/// Products of bytes, -1, 0 and 1 being 0, 1 and 2.
pub(crate) fn bytes(a: &Matrix, w: &Matrix, threads: usize) -> Result<Rten<u8, i8, i32>> {
    let out = Array2::zeros((a.nrows(), w.nrows()));
    let zeros = Some(vec![1; a.nrows()]);
    let (a, w) = (a.mapv(|a| (a + 1.0) as u8), Packed::new(&w.mapv(|w| w as i8)));
    Ok(Rten { name: BYTES, a, w, zeros, out, pool: pool(threads)? })
}

fn view<T>(matrix: ArrayView2<'_, T>) -> NdTensorView<'_, T, 2> {
    let shape = [matrix.nrows(), matrix.ncols()];
    NdTensorView::from_data(shape, matrix.to_slice().expect("row-major"))
}

impl<L: GemmInT, R: GemmInT, O: GemmOutT + Into<f64>> Contender for Rten<L, R, O> {
    fn name(&self) -> String {
        self.name.into()
    }

    fn run(&mut self) {
        let Self { a, w, zeros, out, pool, .. } = self;
        pool.install(|| w.product(a.view(), zeros.as_deref(), out.view_mut()));
    }

    fn result(&self) -> Result<Matrix> {
        Ok(self.out.mapv(|entry| entry.into() as f32))
    }
}

/// XOR and popcount of words in three nested loops.
pub(crate) struct Words {
    a: Vec<u64>,
    w: Vec<u64>,
    size: (usize, usize),
    out: Array2<i32>,
}

impl Words {
    pub(crate) fn new(operands: &Operands) -> Self {
        let Operands { a, w, .. } = operands;
        let words = a.cols().div_ceil(64);
        let out = Array2::zeros((a.rows(), w.rows()));
        Self { a: a.words().into(), w: w.words().into(), size: (words, a.cols()), out }
    }
}

impl Contender for Words {
    fn name(&self) -> String {
        WORDS.into()
    }

    fn run(&mut self) {
        let out = self.out.as_slice_mut().expect("row-major");
        peak::word_loop(&self.a, &self.w, self.size, out);
    }

    fn result(&self) -> Result<Matrix> {
        Ok(self.out.mapv(|entry| entry as f32))
    }
}

/// Multiplications and additions of f32 in three nested loops, in the order of the definition, for
/// the first rows.
pub(crate) struct Naive {
    a: Matrix,
    w: Matrix,
    /// Rows of the whole result.
    rows: usize,
    out: Matrix,
}

impl Naive {
    pub(crate) fn new(a: &Matrix, w: &Matrix, rows: usize) -> Self {
        let first = a.slice_axis(Axis(0), (..rows.min(a.nrows())).into()).to_owned();
        let out = Array2::zeros((first.nrows(), w.nrows()));
        Self { a: first, w: w.clone(), rows: a.nrows(), out }
    }
}

impl Contender for Naive {
    fn name(&self) -> String {
        "naive f32 loop".into()
    }

    fn run(&mut self) {
        let a = self.a.rows();
        for (mut out, a) in self.out.rows_mut().into_iter().zip(a) {
            for (out, w) in out.iter_mut().zip(self.w.rows()) {
                *out = a.iter().zip(w).map(|(a, w)| a * w).sum();
            }
        }
    }

    fn part(&self) -> Option<Part> {
        let part = Part { rows: self.a.nrows(), of: self.rows };
        (part.rows < part.of).then_some(part)
    }

    fn result(&self) -> Result<Matrix> {
        Ok(self.out.clone())
    }
}
