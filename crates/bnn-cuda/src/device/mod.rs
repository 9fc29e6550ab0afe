//! What the backend asks of a device: memory, copies, launches, one float GEMM.
//!
//! Two drivers answer: the GPU's, and one that runs the same kernels on the host ([`emulated`]).
//! All work of a driver is done in the order in which it was asked for.

#![allow(unsafe_code)] // the libraries of the device are C

mod asked;
mod compiler;
#[cfg(feature = "emulation")]
pub(crate) mod emulated;
pub(crate) mod gpu;
mod graph;
mod library;
mod lot;
mod modules;
#[cfg(all(feature = "compile", unix))]
pub(crate) mod toolkit;

use std::sync::Arc;

use bnn_core::{Error, Result};

pub(crate) use lot::Lot;

/// A device. Addresses are those of [`Driver::allocate`] that were not given back, or lie in what was
/// allocated there.
pub(crate) trait Driver: Send + Sync {
    /// Device and architecture, such as `cuda:0/sm_90`.
    fn name(&self) -> String;

    /// Which memory its addresses are of.
    fn place(&self) -> Place;

    /// What its kernels may use.
    fn arch(&self) -> Arch;

    /// How many blocks it takes to keep all of it busy.
    fn processors(&self) -> usize;

    /// Memory of at least one byte, not initialised; its address.
    fn allocate(&self, bytes: usize) -> Result<u64>;

    /// Gives memory back; what uses it and was asked for earlier is done first.
    ///
    /// # Safety
    /// The address is of this driver, allocated with as many bytes, and is given back once.
    unsafe fn free(&self, address: u64, bytes: usize);

    /// Copies to the device.
    ///
    /// # Safety
    /// So many bytes from the address on are of this driver.
    unsafe fn upload(&self, to: u64, bytes: &[u8]) -> Result<()>;

    /// Copies to the host, after everything asked for earlier.
    ///
    /// # Safety
    /// So many bytes from the address on are of this driver.
    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()>;

    /// Starts a kernel.
    ///
    /// # Safety
    /// The values are those that the kernel takes, in number and kind. Buffers among them are of this
    /// driver and as large as the kernel needs for its other values.
    unsafe fn launch(&self, kernel: Kernel, shape: Shape, values: &[Value<'_>]) -> Result<()>;

    /// Launches that follow one another, as one piece of work.
    ///
    /// # Safety
    /// Each is as [`Driver::launch`] asks, and what they read and write is there whenever it is started.
    unsafe fn graph(&self, launches: Vec<Launch>) -> Result<Box<dyn Graph>>;

    /// How products of reals are rounded.
    fn rounding(&self) -> Rounding;

    /// A row-major product.
    ///
    /// # Safety
    /// The buffers are of this driver and hold matrices of these sizes.
    unsafe fn gemm(&self, gemm: &Gemm<'_>) -> Result<()>;
}

/// Launches that can be started again and again.
pub(crate) trait Graph: Send + Sync {
    /// Starts all of them.
    fn start(&self) -> Result<()>;
}

/// A launch that is kept.
pub(crate) struct Launch {
    pub(crate) kernel: Kernel,
    pub(crate) shape: Shape,
    pub(crate) values: Vec<Value<'static>>,
}

/// Generations of devices, by the kernels that they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Arch {
    /// Plain cores alone.
    Plain,
    /// `mma` of bytes: compute capability 8.0 and later. From 10.0, 1-bit instructions are emulated,
    /// and this is the best there is.
    Int8,
    /// `mma` with AND and popcount: compute capability 8.0 to 9.0.
    Tensor,
    /// `wgmma` as well: compute capability 9.0.
    Hopper,
}

/// A memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// That of the GPU of this number.
    Gpu(i32),
    /// The host's.
    #[cfg(feature = "emulation")]
    Host,
}

/// A kernel: its file and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kernel(pub(crate) &'static str, pub(crate) &'static str);

/// Blocks and threads of a launch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Blocks.
    pub(crate) grid: [u32; 3],
    /// Threads per block.
    pub(crate) block: u32,
    /// Bytes of dynamic shared memory.
    pub(crate) shared: u32,
}

/// A value that a kernel takes.
pub(crate) enum Value<'a> {
    /// A pointer into a buffer.
    Pointer(u64, Place),
    /// No pointer.
    Null,
    /// `int` or `uint32_t`.
    Word(u32),
    /// `long long`.
    Long(u64),
    /// `float`.
    Real(f32),
    /// A struct by value, as its bytes, 8-byte aligned.
    Struct(&'a [u64]),
    /// The same, kept.
    Kept(Box<[u64]>),
    /// A tensor map of a matrix of 32-bit words, copied in boxes of 32 words by `box_rows` rows.
    Map {
        /// The matrix.
        address: u64,
        /// Words per row, of which all are copied.
        words: usize,
        /// Rows.
        rows: usize,
        /// Rows of a box.
        box_rows: u32,
    },
}

/// How operands of a GEMM are held, and rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// Operands and sums in f32.
    Single,
    /// Operands in f32, rounded to TF32 (11 significant bits); sums in f32.
    Tensor,
    /// Operands in bf16, sums in f32.
    #[cfg_attr(not(feature = "rivals"), expect(dead_code))]
    Half,
    /// Operands in int8, sums in int32.
    #[cfg_attr(not(feature = "rivals"), expect(dead_code))]
    Byte,
}

/// A row-major product on the device: `c (m x n) = op(a) (m x k) * op(b) (k x n)`.
pub(crate) struct Gemm<'a> {
    /// Rows of `c`, columns of `c`, depth.
    pub(crate) size: [usize; 3],
    /// Left operand, and whether it is `k x m` in memory.
    pub(crate) a: (&'a Buffer, bool),
    /// Right operand, and whether it is `n x k` in memory.
    pub(crate) b: (&'a Buffer, bool),
    /// The product.
    pub(crate) c: &'a Buffer,
    /// Types and rounding.
    pub(crate) rounding: Rounding,
}

/// Memory of a device.
pub(crate) struct Buffer {
    driver: Arc<dyn Driver>,
    address: u64,
    bytes: usize,
    /// Who gets it back, if not the driver.
    lot: Option<Arc<Lot>>,
}

/// What a product reads: made for it, or lent where nothing is to be gathered.
pub(crate) enum Held<'a> {
    Own(Buffer),
    Lent(&'a Buffer),
}

impl Held<'_> {
    pub(crate) fn buffer(&self) -> &Buffer {
        match self {
            Self::Own(buffer) => buffer,
            Self::Lent(buffer) => buffer,
        }
    }
}

impl Shape {
    /// One thread per element, 256 to a block.
    ///
    /// # Errors
    /// [`Error::Value`] for more blocks than a launch can have.
    pub(crate) fn each(elements: usize) -> Result<Self> {
        let blocks = elements.div_ceil(256);
        match u32::try_from(blocks) {
            Ok(blocks) if blocks <= i32::MAX as u32 => {
                Ok(Self { grid: [blocks, 1, 1], block: 256, shared: 0 })
            }
            _ => Err(Error::value("launch", format!("{elements} elements are too many"))),
        }
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.grid.contains(&0)
    }
}

impl Buffer {
    /// Memory for `bytes` bytes, not initialised; it goes back to the lot, if there is one.
    ///
    /// # Errors
    /// What the driver says, such as that memory is exhausted.
    pub(crate) fn new(
        driver: &Arc<dyn Driver>,
        bytes: usize,
        lot: Option<Arc<Lot>>,
    ) -> Result<Self> {
        let address = driver.allocate(bytes.max(1))?;
        Ok(Self { driver: Arc::clone(driver), address, bytes, lot })
    }

    /// Copies to its first bytes.
    ///
    /// # Errors
    /// What the driver says.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        assert!(bytes.len() <= self.bytes, "the buffer holds what is written");
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: the buffer's own memory, and not more of it than there is.
        unsafe { self.driver.upload(self.address, bytes) }
    }

    /// Whether it goes back to this lot.
    pub(crate) fn is_of(&self, lot: &Arc<Lot>) -> bool {
        self.lot.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, lot))
    }

    /// Copies the first bytes to the host.
    ///
    /// # Errors
    /// What the driver says.
    pub(crate) fn read(&self, bytes: &mut [u8]) -> Result<()> {
        assert!(bytes.len() <= self.bytes, "the buffer holds what is read");
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: the buffer's own memory, and not more of it than there is.
        unsafe { self.driver.download(self.address, bytes) }
    }

    /// Its address, as a value of a kernel.
    pub(crate) fn pointer(&self) -> Value<'static> {
        Value::Pointer(self.address, self.place())
    }

    /// Which memory it is of.
    pub(crate) fn place(&self) -> Place {
        self.driver.place()
    }

    /// Where it lies.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = self.bytes.max(1);
        match &self.lot {
            Some(lot) => lot.take(self.address, bytes),
            // SAFETY: allocated for this buffer with so many bytes; it is gone now.
            None => unsafe { self.driver.free(self.address, bytes) },
        }
    }
}

impl Value<'_> {
    /// The same, for a launch that is kept.
    pub(crate) fn kept(&self) -> Value<'static> {
        match *self {
            Self::Pointer(address, place) => Value::Pointer(address, place),
            Self::Null => Value::Null,
            Self::Word(word) => Value::Word(word),
            Self::Long(long) => Value::Long(long),
            Self::Real(real) => Value::Real(real),
            Self::Struct(words) => Value::Kept(words.into()),
            Self::Kept(ref words) => Value::Kept(words.clone()),
            Self::Map { address, words, rows, box_rows } => {
                Value::Map { address, words, rows, box_rows }
            }
        }
    }
}

impl From<&Buffer> for Value<'static> {
    fn from(buffer: &Buffer) -> Self {
        buffer.pointer()
    }
}

impl From<Option<&Buffer>> for Value<'static> {
    fn from(buffer: Option<&Buffer>) -> Self {
        buffer.map_or(Self::Null, Buffer::pointer)
    }
}

/// Sizes are `long long` in kernels.
impl From<usize> for Value<'static> {
    fn from(size: usize) -> Self {
        Self::Long(size as u64)
    }
}

impl From<i32> for Value<'static> {
    fn from(value: i32) -> Self {
        Self::Word(value as u32)
    }
}

impl From<u32> for Value<'static> {
    fn from(value: u32) -> Self {
        Self::Word(value)
    }
}

impl From<f32> for Value<'static> {
    fn from(value: f32) -> Self {
        Self::Real(value)
    }
}

/// Numbers whose memory is all value: no padding.
pub(crate) trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for i32 {}
impl Plain for u32 {}

/// Numbers as a device reads them: little-endian, as every host that has such a GPU.
pub(crate) fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: every byte of plain numbers is initialised, and bytes may lie anywhere.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}
