//! What sign products on a GPU are measured against, on the same operands.

mod network;

pub use network::Network;

use bnn_core::{BinaryBackend, BitMatrix, Error, Gather, HostCode, Levels, Matrix, Result};

use crate::code::{Code, stride};
use crate::cuda::Cuda;
use crate::device::{Buffer, Gemm, Kernel, Rounding, Shape, Value};
use crate::operand::decode;
use crate::product;
use crate::real::Real;

/// A way to multiply two matrices of signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// Our product: packed signs to f32.
    Product,
    /// Our product, cut at thresholds: packed signs to packed signs.
    Cut,
    /// The paper's baseline kernel: f32, one output per thread.
    PaperFloat,
    /// The paper's XNOR kernel.
    PaperXnor,
    /// cuBLAS in f32.
    Single,
    /// cuBLAS in TF32.
    Tf32,
    /// cuBLAS in bf16, f32 sums.
    Bf16,
    /// cuBLAS in int8, int32 sums.
    Int8,
}

impl Rival {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Product,
        Self::Cut,
        Self::PaperFloat,
        Self::PaperXnor,
        Self::Single,
        Self::Tf32,
        Self::Bf16,
        Self::Int8,
    ];
}

/// A product to be run by every rival: operands and outputs stay on the device.
pub struct Contest {
    cuda: Cuda,
    size: [usize; 3],
    a: Code,
    w: Code,
    cuts: Real,
    reals: [Buffer; 2],
    halves: [Buffer; 2],
    bytes: [Buffer; 2],
    w_words: Buffer,
    w_reals: Buffer,
    out: Buffer,
}

impl Contest {
    /// `a` (m x k) times the transpose of `w` (n x k), cut at 0.
    ///
    /// # Errors
    /// [`Error::Shape`](bnn_core::Error::Shape) if the operands do not fit; what the device says.
    pub fn new(cuda: &Cuda, a: &BitMatrix, w: &BitMatrix) -> Result<Self> {
        let size = [a.rows(), w.rows(), a.cols()];
        let [m, n, k] = size;
        let (a, w) = [a, w].map(|x| cuda.put_code(&HostCode::binary(x.clone()))).into();
        let (a, w): (Code, Code) = (a?, w?);
        Gather::Rows.product_shape(a.dim, w.dim)?;
        let windows = cuda.windows(&Gather::Rows)?;
        let reals = [decode(cuda, &a, &windows, m)?, decode(cuda, &w, &windows, n)?];
        let narrow = |kernel, width: usize| -> Result<[Buffer; 2]> {
            let one = |from: &Buffer, count: usize| {
                let to = cuda.memory(count * width)?;
                let values = [from.into(), (&to).into(), count.into()];
                cuda.each(Kernel("rivals", kernel), count, &values)?;
                Ok(to)
            };
            Ok([one(&reals[0], m * k)?, one(&reals[1], n * k)?])
        };
        let w_words = turned(cuda, &w.planes, [n, stride(k)])?;
        let w_reals = turned(cuda, &reals[1], [n, k])?;
        Ok(Self {
            halves: narrow("to_bf16", 2)?,
            bytes: narrow("to_int8", 1)?,
            w_words,
            w_reals,
            out: cuda.memory(m * n * 4)?,
            cuts: cuda.put(Matrix::zeros((1, n)).view())?,
            cuda: cuda.clone(),
            size,
            reals,
            a,
            w,
        })
    }

    /// Starts the product once; the device may still be at it when this returns.
    ///
    /// # Errors
    /// What the device says.
    pub fn run(&self, rival: Rival) -> Result<()> {
        match rival {
            Rival::Product => self.product().map(drop),
            Rival::Cut => self.cut().map(drop),
            Rival::PaperFloat => {
                paper_float(&self.cuda, self.size, [&self.reals[0], &self.w_reals, &self.out])
            }
            Rival::PaperXnor => {
                paper_xnor(&self.cuda, self.size, [&self.a.planes, &self.w_words, &self.out])
            }
            Rival::Single => self.gemm(&self.reals, Rounding::Single),
            Rival::Tf32 => self.gemm(&self.reals, Rounding::Tensor),
            Rival::Bf16 => self.gemm(&self.halves, Rounding::Half),
            Rival::Int8 => self.gemm(&self.bytes, Rounding::Byte),
        }
    }

    /// What a rival makes: the product, as reals; for [`Rival::Cut`] its signs.
    ///
    /// # Errors
    /// What the device says.
    pub fn result(&self, rival: Rival) -> Result<Matrix> {
        let [m, n, _] = self.size;
        match rival {
            Rival::Product => return self.product()?.get(),
            Rival::Cut => {
                let signs = self.cut()?.get()?.into_planes().integers()?;
                return Ok(signs.mapv(|sign| sign as f32));
            }
            _ => self.run(rival)?,
        }
        if rival == Rival::Int8 {
            let real = Real::new(&self.cuda, (m, n))?;
            let values = [(&self.out).into(), (&real.data).into(), (m * n).into()];
            self.cuda.each(Kernel("rivals", "from_int32"), m * n, &values)?;
            return real.get();
        }
        let mut bytes = vec![0; m * n * 4];
        self.out.read(&mut bytes)?;
        let reals = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok(Matrix::from_shape_vec((m, n), reals.collect()).expect("m x n reals"))
    }

    fn product(&self) -> Result<Real> {
        product::reals(&self.cuda, &self.a, &self.w, &Gather::Rows)
    }

    fn cut(&self) -> Result<Code> {
        let levels = Levels::sign();
        product::cut(&self.cuda, &self.a, &self.w, &Gather::Rows, &self.cuts, &levels)
    }

    /// Waits until the device has done everything.
    ///
    /// # Errors
    /// What the device says.
    pub fn wait(&self) -> Result<()> {
        self.cuts.get().map(drop)
    }

    fn gemm(&self, [a, w]: &[Buffer; 2], rounding: Rounding) -> Result<()> {
        let gemm = Gemm { size: self.size, a: (a, false), b: (w, true), c: &self.out, rounding };
        self.cuda.gemm(&gemm)
    }
}

/// A matrix of 32-bit values, transposed: the paper's kernels take the right operand with its depth as
/// rows.
fn turned(cuda: &Cuda, from: &Buffer, [rows, columns]: [usize; 2]) -> Result<Buffer> {
    let to = cuda.memory(rows * columns * 4)?;
    let values = [from.into(), (&to).into(), (rows as i32).into(), (columns as i32).into()];
    cuda.each(Kernel("rivals", "transpose_words"), rows * columns, &values)?;
    Ok(to)
}

/// `out` (m x n) = `a` (m x k) times `w` (k x n), by the paper's baseline kernel.
fn paper_float(cuda: &Cuda, size: [usize; 3], [a, w, out]: [&Buffer; 3]) -> Result<()> {
    let [m, n, k] = size.map(|size| size as i32);
    let values: [Value<'_>; 6] = [a.into(), w.into(), out.into(), m.into(), n.into(), k.into()];
    cuda.launch(Kernel("rivals", "paper_float"), blocks(size)?, &values)
}

/// The same of packed signs, by the paper's XNOR kernel.
fn paper_xnor(cuda: &Cuda, size: [usize; 3], [a, w, out]: [&Buffer; 3]) -> Result<()> {
    let [m, n, k] = size.map(|size| size as i32);
    let words = stride(size[2]) as i32;
    let values: [Value<'_>; 7] =
        [a.into(), w.into(), out.into(), m.into(), n.into(), words.into(), k.into()];
    cuda.launch(Kernel("rivals", "paper_xnor"), blocks(size)?, &values)
}

/// Rows of tiles of 16 x 16 that a launch can have.
const MOST_ROWS: usize = u16::MAX as usize;

fn blocks(size: [usize; 3]) -> Result<Shape> {
    if size[0].div_ceil(16) > MOST_ROWS || size.iter().any(|&size| size > i32::MAX as usize) {
        let want = "at most 1,048,560 rows, and sizes below 2^31";
        return Err(Error::shape("the paper's kernels", want, format!("{size:?}")));
    }
    let [m, n, _] = size.map(|size| size.div_ceil(16) as u32);
    Ok(Shape { grid: [n, m, 1], block: 256, shared: 0 })
}
