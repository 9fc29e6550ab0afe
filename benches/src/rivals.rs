//! What a user could take instead.

use bnn_core::{Error, Matrix, Result};
use bnn_cpu::peak;
use ndarray::Array2;
use rayon::{ThreadPool, ThreadPoolBuilder};
use rten_gemm::{
    GemmExecutor, GemmInT, GemmInputA, GemmInputB, GemmOptions, GemmOutT, PackedBMatrix,
    QuantParams,
};
use rten_tensor::NdTensorView;

use crate::contender::Contender;
use crate::product::Operands;

/// Threads of its own for a library that uses Rayon's.
pub(crate) fn pool(threads: usize) -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|e| Error::Device { op: "start threads", source: Box::new(e) })
}

/// A matrix product of the crate `rten-gemm`, the weights packed beforehand.
pub(crate) struct Rten<L: GemmInT, R: GemmInT, O: GemmOutT> {
    name: &'static str,
    gemm: GemmExecutor<L, R, O>,
    a: Array2<L>,
    w: PackedBMatrix<R>,
    /// What stands for 0 in every row of `a`, if it is not 0.
    zeros: Option<Vec<L>>,
    out: Array2<O>,
    pool: ThreadPool,
}

/// Products of f32.
pub(crate) fn floats(a: &Matrix, w: &Matrix, threads: usize) -> Result<Rten<f32, f32, f32>> {
    let gemm = GemmExecutor::<f32, f32, f32>::default();
    Rten::new("f32 rten-gemm", gemm, (a.clone(), w), None, threads)
}

/// Products of bytes, -1, 0 and 1 being 0, 1 and 2.
pub(crate) fn bytes(a: &Matrix, w: &Matrix, threads: usize) -> Result<Rten<u8, i8, i32>> {
    let gemm = GemmExecutor::<u8, i8, i32>::default();
    let (a, w) = (a.mapv(|a| (a + 1.0) as u8), w.mapv(|w| w as i8));
    let zeros = vec![1; a.nrows()];
    Rten::new("int8 rten-gemm", gemm, (a, &w), Some(zeros), threads)
}

impl<L: GemmInT, R: GemmInT, O: GemmOutT> Rten<L, R, O> {
    fn new(
        name: &'static str,
        gemm: GemmExecutor<L, R, O>,
        (a, w): (Array2<L>, &Array2<R>),
        zeros: Option<Vec<L>>,
        threads: usize,
    ) -> Result<Self> {
        let out = Array2::from_elem((a.nrows(), w.nrows()), O::default());
        let columns = w.t().as_standard_layout().into_owned();
        let w = gemm.prepack_b(view(&columns));
        Ok(Self { name, gemm, a, w, zeros, out, pool: pool(threads)? })
    }
}

fn view<T>(matrix: &Array2<T>) -> NdTensorView<'_, T, 2> {
    let data = matrix.as_slice().expect("row-major");
    NdTensorView::from_data([matrix.nrows(), matrix.ncols()], data)
}

impl<L: GemmInT, R: GemmInT, O: GemmOutT + Into<f64>> Contender for Rten<L, R, O> {
    fn name(&self) -> String {
        self.name.into()
    }

    fn run(&mut self) {
        let Self { gemm, a, w, zeros, out, pool, .. } = self;
        let a_quant = zeros.as_deref().map(|zero_point| QuantParams { zero_point });
        let options = GemmOptions { a_quant, ..GemmOptions::default() };
        let (a, w) = (GemmInputA::Unpacked(view(a)), GemmInputB::Packed(w));
        let out = out.as_slice_mut().expect("row-major");
        pool.install(|| gemm.gemm(out, a, w, options)).expect("the shapes fit");
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
        "popcount loop".into()
    }

    fn run(&mut self) {
        let out = self.out.as_slice_mut().expect("row-major");
        peak::word_loop(&self.a, &self.w, self.size, out);
    }

    fn result(&self) -> Result<Matrix> {
        Ok(self.out.mapv(|entry| entry as f32))
    }
}

/// Multiplications and additions of f32 in three nested loops, in the order of the definition.
pub(crate) struct Naive {
    a: Matrix,
    w: Matrix,
    out: Matrix,
}

impl Naive {
    pub(crate) fn new(a: &Matrix, w: &Matrix) -> Self {
        Self { a: a.clone(), w: w.clone(), out: Array2::zeros((a.nrows(), w.nrows())) }
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

    fn result(&self) -> Result<Matrix> {
        Ok(self.out.clone())
    }
}
