//! The contract of inference: nine methods that a device must offer to run a network, and one that it
//! may.

use crate::{Gather, Grid, HostCode, Levels, Matrix, MatrixView, Quant, Result, Window};

/// A device that multiplies matrices of signs.
///
/// Values live on the device in private layouts: [`Real`](Self::Real) for dense reals,
/// [`Code`](Self::Code) for operands of products. Only `put*` and `get*` cross between host and device.
/// Sign products are integers, so all backends agree in every bit of what these methods return.
/// Every method refuses operands that do not fit with [`Error::Shape`](crate::Error::Shape).
///
/// The meaning of each method is its definition in [`reference`](crate::reference);
/// the suite of the crate `bnn-testkit` checks any implementation against it.
pub trait BinaryBackend: Send + Sync + Sized + 'static {
    /// Dense reals on the device, rows by columns.
    type Real: Send + Sync;
    /// Quantized values on the device: sums of sign planes, with or without holes.
    type Code: Send + Sync;

    /// Backend, device and kernel, such as `cpu/avx512` or `cuda:0/sm_90`.
    fn name(&self) -> String;

    /// Copies reals to the device; the view need not be contiguous.
    fn put(&self, x: MatrixView<'_>) -> Result<Self::Real>;

    /// Copies reals to the host.
    fn get(&self, x: &Self::Real) -> Result<Matrix>;

    /// Copies quantized values to the device.
    fn put_code(&self, x: &HostCode) -> Result<Self::Code>;

    /// Copies quantized values to the host; equal to what was put once both are planes.
    fn get_code(&self, x: &Self::Code) -> Result<HostCode>;

    /// Quantizes reals; with a `draw`, binarizes stochastically: +1 with the probability
    /// [`hard_sigmoid`](crate::scalar::hard_sigmoid), where the element's uniform number is below it.
    ///
    /// Element (row, column) uses index `row * columns + column` of the draw, modulo 2^32.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for a draw with any quantizer but the sign.
    fn encode(
        &self,
        x: &Self::Real,
        quant: &Quant,
        draw: Option<Draw<'_, Self>>,
    ) -> Result<Self::Code>;

    /// The product of gathered rows of `a` with every row of the weights `w`:
    /// integers times both scales, the scales multiplied and rounded first.
    ///
    /// Shape: [`Gather::product_shape`]. Exact while the integers stay below 2^24
    /// (see [`sum_bound`](crate::sum_bound)).
    fn product(&self, a: &Self::Code, w: &Self::Code, gather: &Gather) -> Result<Self::Real>;

    /// The product, compared with integer thresholds before it is scaled: never leaves integers.
    ///
    /// `cuts` has one row per cut and one column per output; a cut is crossed where `sum >= cut`.
    fn product_cut(
        &self,
        a: &Self::Code,
        w: &Self::Code,
        gather: &Gather,
        cuts: &Self::Real,
        levels: &Levels,
    ) -> Result<Self::Code>;

    /// The largest value under every position of a window; for signs, the OR of their bits.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for a code with holes.
    fn pool(&self, x: &Self::Code, grid: Grid, window: Window) -> Result<Self::Code>;

    /// Runs operations that follow one another, as one piece of work: a backend with threads of its own
    /// does so on them, and need not wake them for every operation.
    fn together<R: Send>(&self, operations: impl FnOnce() -> R + Send) -> R {
        operations()
    }
}

/// The random numbers of one operation of one step.
pub struct Draw<'a, B: BinaryBackend> {
    /// The step's [`Clock`](crate::Clock) row, on the device.
    pub clock: &'a B::Real,
    /// Which of the step's streams; see [`Key::stream`](crate::Key::stream).
    pub stream: u32,
}

impl<B: BinaryBackend> Clone for Draw<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: BinaryBackend> Copy for Draw<'_, B> {}
