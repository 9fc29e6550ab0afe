//! The backend's value: a kernel, threads and memory.

use std::sync::Arc;

use bnn_core::{Error, Result};

use crate::code::Code;
use crate::kernels::{self, Kernel};
use crate::memory::{self, Buffer, Item, Pool};
use crate::real::Real;
use crate::workers::Workers;

/// The processor as a backend.
///
/// Clones share threads and memory. Results are the same bytes whatever the number of threads.
///
/// ```
/// use bnn_core::{BinaryBackend, BitMatrix, Gather, HostCode};
/// let cpu = bnn_cpu::Cpu::new().with_threads(2)?;
/// let signs = HostCode::binary(BitMatrix::from_fn(3, 100, |row, col| row == 0 || col > 9));
/// let signs = cpu.put_code(&signs)?;
/// let dots = cpu.get(&cpu.product(&signs, &signs, &Gather::Rows)?)?;
/// assert_eq!((dots[[0, 0]], dots[[0, 1]]), (100.0, 80.0));
/// # Ok::<(), bnn_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Cpu {
    pub(crate) kernel: &'static Kernel,
    pub(crate) workers: Workers,
    pub(crate) pool: Arc<Pool>,
}

/// A set of kernels, and whether this processor can run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelInfo {
    /// Its name, as [`Cpu::with_kernel`] takes it.
    pub name: &'static str,
    /// Why it cannot run here; none if it can.
    pub missing: Option<String>,
}

impl Cpu {
    /// The best kernels of this processor, on Rayon's global threads.
    pub fn new() -> Self {
        Self::of(kernels::best())
    }

    /// The kernels of the given name.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that no kernel has, [`Error::Unavailable`] for instructions that the
    /// processor lacks.
    pub fn with_kernel(name: &str) -> Result<Self> {
        let what = || format!("cpu/{name}");
        let Some(kernel) = kernels::KERNELS.iter().find(|kernel| kernel.name() == name) else {
            let known: Vec<_> = kernels::KERNELS.iter().map(Kernel::name).collect();
            let why = format!("there are {}", known.join(", "));
            return Err(Error::unknown(what(), why));
        };
        match kernel.missing() {
            Some(lacks) => {
                let why = format!("this processor lacks {lacks}; leave the kernel to Cpu::new");
                Err(Error::unavailable(what(), why))
            }
            None => Ok(Self::of(kernel)),
        }
    }

    /// The same backend on `count` threads of its own.
    ///
    /// # Errors
    /// [`Error::Value`] for no thread or an absurd number; [`Error::Device`] if the system refuses.
    pub fn with_threads(self, count: usize) -> Result<Self> {
        Ok(Self { workers: Workers::new(count)?, ..self })
    }

    /// All kernels, best first.
    pub fn kernels() -> Vec<KernelInfo> {
        let info = |kernel: &Kernel| KernelInfo { name: kernel.name(), missing: kernel.missing() };
        kernels::KERNELS.iter().map(info).collect()
    }

    /// Number of threads that share the work.
    pub fn threads(&self) -> usize {
        self.workers.count()
    }

    /// The same kernel and memory on the thread that asks, for use inside a task.
    pub(crate) fn alone(&self) -> Self {
        Self { workers: Workers::alone(), ..self.clone() }
    }

    fn of(kernel: &'static Kernel) -> Self {
        Self { kernel, workers: Workers::default(), pool: Arc::default() }
    }

    pub(crate) fn take<T: Item>(&self, len: usize) -> Buffer<T> {
        memory::take(&self.pool, len)
    }

    pub(crate) fn take_zeroed<T: Item>(&self, len: usize) -> Buffer<T> {
        memory::take_zeroed(&self.pool, len)
    }

    /// A buffer of `len` items, as they come.
    pub(crate) fn filled<T: Item>(&self, len: usize, items: impl Iterator<Item = T>) -> Buffer<T> {
        let mut buffer = self.take(len);
        buffer.iter_mut().zip(items).for_each(|(to, item)| *to = item);
        buffer
    }

    /// A matrix whose numbers are still to be written.
    pub(crate) fn real(&self, (rows, cols): (usize, usize)) -> Real {
        Real { rows, cols, data: self.take(rows * cols) }
    }

    /// A matrix with these numbers.
    pub(crate) fn real_of(&self, dim: (usize, usize), numbers: &[f32]) -> Real {
        let mut real = self.real(dim);
        real.data.copy_from_slice(numbers);
        real
    }

    /// A code of the given planes whose bits are still to be written.
    pub(crate) fn code(&self, dim: (usize, usize), scale: f32, weights: Vec<i32>) -> Code {
        let bits = self.take(dim.0 * weights.len() * Code::words_of(dim.1));
        Code::new(dim, scale, weights, bits, None)
    }
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_kernels_are_refused_with_the_known_ones() {
        let message = Cpu::with_kernel("mmx").err().unwrap().to_string();
        assert!(message.starts_with("cpu/mmx is not known: there are "));
        assert!(message.ends_with("portable"));
    }

    #[test]
    fn listed_kernels_are_those_that_can_be_had() {
        for KernelInfo { name, missing } in Cpu::kernels() {
            assert_eq!(Cpu::with_kernel(name).is_ok(), missing.is_none(), "{name}: {missing:?}");
        }
        assert_eq!(Cpu::kernels().last().unwrap().missing, None);
    }
}
