//! The backend: libtorch on one device.

use bnn_core::{Error, Result};
use tch::{Device, Kind, Tensor};

use super::fault::said;

/// libtorch on a processor or on a GPU.
///
/// ```
/// use bnn_core::{BinaryBackend, Gather, Quant};
/// let tch = bnn_tch::Tch::cpu();
/// let x = tch.put(ndarray::arr2(&[[0.5, -2.0, 0.0]]).view())?;
/// let signs = tch.encode(&x, &Quant::sign(), None)?; // +1 -1 +1
/// let dot = tch.product(&signs, &signs, &Gather::Rows)?;
/// assert_eq!(tch.get(&dot)?[[0, 0]], 3.0);
/// # Ok::<(), bnn_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tch {
    pub(crate) device: Device,
    pub(crate) means: Means,
}

/// How products are formed, and gradients with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// In f32, windows by oneDNN's direct convolution, gradients by autograd: on processors.
    Direct,
    /// As matrix products of gathered windows, small integers in bf16, gradients by formula: on GPUs.
    Gathered,
}

impl Tch {
    /// On the processor, with libtorch's own threads.
    pub fn cpu() -> Self {
        let means = if tch::utils::has_mkldnn() { Means::Direct } else { Means::Gathered };
        Self { device: Device::Cpu, means }
    }

    /// On the processor, by the means of GPUs: so that tests reach them where there is none.
    #[doc(hidden)]
    pub fn cpu_as_gpu() -> Self {
        Self { device: Device::Cpu, means: Means::Gathered }
    }

    /// On the first GPU.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if this libtorch has no CUDA, or finds no GPU.
    pub fn cuda() -> Result<Self> {
        let device = Device::Cuda(0);
        match Tensor::f_zeros([1], (Kind::Float, device)) {
            Ok(_) => Ok(Self { device, means: Means::Gathered }),
            Err(error) => Err(without_cuda(&said(&error))),
        }
    }

    /// With so many threads on the processor. libtorch counts them for the whole process, and sums of
    /// reals depend on their number.
    ///
    /// # Errors
    /// [`Error::Unknown`] for no thread, or more than libtorch can count.
    pub fn with_threads(self, count: usize) -> Result<Self> {
        match i32::try_from(count) {
            Ok(count @ 1..) => tch::set_num_threads(count),
            _ => {
                let why = "libtorch takes from 1 to 2147483647 threads";
                return Err(Error::unknown(format!("backend `tch/{count}`"), why));
            }
        }
        Ok(self)
    }
}

/// The number of threads of libtorch.
pub fn threads() -> i32 {
    tch::get_num_threads()
}

/// The error of a GPU that was asked for and is not there.
fn without_cuda(said: &str) -> Error {
    let cause = if said.contains("arguments from the 'CUDA' backend") {
        "this libtorch has no CUDA" // said in five lines
    } else {
        said
    };
    let remedy = "it takes an NVIDIA driver, and LD_LIBRARY_PATH at the folder `torch/lib` of a \
                  PyTorch 2.11.0 for CUDA 13.0; `tch` is the processor";
    Error::unavailable("backend `tch:cuda`", format!("{cause}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_gpu_is_said_with_the_remedy() {
        match Tch::cuda() {
            Ok(tch) => assert!(tch.device.is_cuda()),
            Err(error) => {
                let text = error.to_string();
                assert!(text.starts_with("backend `tch:cuda` is not available: "), "{text}");
                assert!(text.contains("LD_LIBRARY_PATH") && text.len() < 300, "{text}");
            }
        }
    }

    #[test]
    fn no_thread_is_refused() {
        let error = Tch::cpu().with_threads(0).unwrap_err().to_string();
        assert!(error.starts_with("backend `tch/0` is not known: libtorch takes"), "{error}");
    }
}
