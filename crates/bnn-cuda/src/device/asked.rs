//! What the rest of the crate may ask of a driver. Addresses are numbers to a driver; they are real ones
//! because all of them come from [`Buffer`](super::Buffer)s here.

use bnn_core::{Error, Result};

use super::{Driver, Gemm, Graph, Kernel, Launch, Rounding, Shape, Value};

impl dyn Driver {
    /// Starts a kernel of this crate.
    ///
    /// # Errors
    /// What the device says.
    pub(crate) fn start(&self, kernel: Kernel, shape: Shape, values: &[Value<'_>]) -> Result<()> {
        // SAFETY: each kernel has one caller, which gives the values that it takes; their buffers are lent
        // to the caller, and as large as the shapes that were checked with the operands. Memory that is
        // given back is used no more by what is asked for later.
        unsafe { self.launch(kernel, shape, values) }
    }

    /// Makes launches one piece of work. Whoever starts it holds the memory that they read and write: a
    /// [`Recording`](crate::Recording) does.
    ///
    /// # Errors
    /// What the device says.
    pub(crate) fn record(&self, launches: Vec<Launch>) -> Result<Box<dyn Graph>> {
        // SAFETY: as of `start`; a recording keeps its lot, its input and what its network holds as long
        // as it keeps the graph.
        unsafe { self.graph(launches) }
    }

    /// A row-major product.
    ///
    /// # Errors
    /// [`Error::Shape`] for a buffer that does not hold its matrix; what the device says.
    pub(crate) fn multiply(&self, gemm: &Gemm<'_>) -> Result<()> {
        gemm.check()?;
        // SAFETY: the buffers hold the matrices.
        unsafe { self.gemm(gemm) }
    }
}

impl Gemm<'_> {
    fn check(&self) -> Result<()> {
        let [m, n, k] = self.size;
        let number = match self.rounding {
            Rounding::Single | Rounding::Tensor => size_of::<f32>(),
            Rounding::Half => size_of::<u16>(),
            Rounding::Byte => size_of::<u8>(),
        };
        let matrices =
            [(self.a.0, m, k, number), (self.b.0, k, n, number), (self.c, m, n, size_of::<f32>())];
        for (buffer, rows, cols, number) in matrices {
            let bytes = rows.checked_mul(cols).and_then(|numbers| numbers.checked_mul(number));
            if bytes.is_none_or(|bytes| bytes > buffer.bytes) {
                let want = format!("a buffer of {rows} x {cols} numbers of {number} bytes");
                return Err(Error::shape("gemm", want, format!("{} bytes", buffer.bytes)));
            }
        }
        Ok(())
    }
}
