//! A driver of an NVIDIA GPU, through libraries that are loaded when one is asked for.
//!
//! Everything runs on the legacy default stream: the order of requests is the order of the work, and
//! only copies to the host wait.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bnn_core::{Error, Result};
use cudarc::cublas::sys as cublas;
use cudarc::driver::result::{self as cuda, DriverError};
use cudarc::driver::sys;

use super::graph::GpuGraph;
use super::modules::Modules;
use super::{Arch, Driver, Gemm, Graph, Kernel, Launch, Place, Rounding, Shape, Value};

/// The stream of all work.
pub(super) const STREAM: sys::CUstream = std::ptr::null_mut();

/// Bytes of one half of the page-locked memory through which small copies go.
const HALF: usize = 4 << 20;

/// A GPU.
pub(crate) struct Gpu {
    ordinal: i32,
    context: sys::CUcontext,
    capability: (i32, i32),
    processors: usize,
    rounding: Rounding,
    modules: Mutex<Modules>,
    staging: Mutex<Staging>,
    blas: Mutex<Option<Blas>>,
}

/// The GPUs of this process.
static KNOWN: Mutex<Vec<Arc<Gpu>>> = Mutex::new(Vec::new());

/// A handle of cuBLAS.
struct Blas(cublas::cublasHandle_t);

/// Two halves of page-locked memory: one is filled while copies from the other may still run.
struct Staging {
    halves: [*mut u8; 2],
    done: [sys::CUevent; 2],
    half: usize,
    used: usize,
}

// SAFETY: the driver's handles may be used from any thread once their context is current, which
// every method sees to; what is changed is behind a mutex.
unsafe impl Send for Gpu {}
// SAFETY: as above.
unsafe impl Sync for Gpu {}

impl Gpu {
    /// The GPU number `ordinal`; the same one for all who ask, with its modules and its handles.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without a driver, a device of this number, NVRTC or cuBLAS.
    pub(crate) fn shared(ordinal: i32, rounding: Rounding) -> Result<Arc<Self>> {
        let mut known = lock(&KNOWN);
        let same = |gpu: &&Arc<Self>| gpu.ordinal == ordinal && gpu.rounding == rounding;
        if let Some(gpu) = known.iter().find(same) {
            return Ok(Arc::clone(gpu));
        }
        let gpu = Arc::new(Self::new(ordinal, rounding)?);
        known.push(Arc::clone(&gpu));
        Ok(gpu)
    }

    fn new(ordinal: i32, rounding: Rounding) -> Result<Self> {
        let absent = |why: String| Error::unavailable(format!("backend `cuda:{ordinal}`"), why);
        present()?;
        let failed = |error: DriverError| absent(format!("the driver says {}", text(error)));
        cuda::init().map_err(failed)?;
        let count = cuda::device::get_count().map_err(failed)?;
        if !(0..count).contains(&ordinal) {
            return Err(absent(format!(
                "this machine has {count} of these devices, counted from 0"
            )));
        }
        let device = cuda::device::get(ordinal).map_err(failed)?;
        let attribute = |attribute| {
            // SAFETY: a device that the driver gave.
            unsafe { cuda::device::get_attribute(device, attribute) }.map_err(failed)
        };
        use sys::CUdevice_attribute_enum::{
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
            CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT as PROCESSORS,
        };
        let capability = (attribute(MAJOR)?, attribute(MINOR)?);
        let processors = attribute(PROCESSORS)? as usize;
        if capability < (7, 5) {
            let (major, minor) = capability;
            let why = format!("compute capability {major}.{minor}; at least 7.5 is needed");
            return Err(absent(why));
        }
        // SAFETY: a device that the driver gave.
        let context = unsafe { cuda::primary_ctx::retain(device) }.map_err(failed)?;
        // SAFETY: the context retained just now.
        unsafe { cuda::ctx::set_current(context) }.map_err(failed)?;
        keep_memory(device).map_err(failed)?;
        let staging = Mutex::new(Staging::new().map_err(failed)?);
        let (modules, blas) = (Mutex::new(Modules::new(capability)), Mutex::new(None));
        Ok(Self { ordinal, context, capability, processors, rounding, modules, staging, blas })
    }

    /// Makes the device's context that of the calling thread.
    fn here(&self) -> Result<()> {
        // SAFETY: retained by `new`, and released by nobody.
        unsafe { cuda::ctx::set_current(self.context) }.map_err(|error| device("context", error))
    }

    /// A kernel's function, with the shared memory of this shape.
    pub(super) fn function(&self, kernel: Kernel, shape: Shape) -> Result<sys::CUfunction> {
        lock(&self.modules).function(kernel, shape.shared)
    }

    /// A tensor map of rows of 32-bit words.
    fn map(address: u64, words: usize, rows: usize, box_rows: u32) -> Result<Vec<u64>> {
        let mut map = sys::CUtensorMap { opaque: [0; 16] };
        let (sizes, strides) = ([words as u64, rows as u64], [words as u64 * 4]);
        // SAFETY: all pointers are to arrays of two (strides: one) numbers that live through the call.
        let encoded = unsafe {
            sys::cuTensorMapEncodeTiled(
                &raw mut map,
                sys::CUtensorMapDataType_enum::CU_TENSOR_MAP_DATA_TYPE_UINT32,
                2,
                address as *mut c_void,
                sizes.as_ptr(),
                strides.as_ptr(),
                [32, box_rows].as_ptr(),
                [1, 1].as_ptr(),
                sys::CUtensorMapInterleave_enum::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle_enum::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion_enum::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill_enum::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        };
        encoded.result().map_err(|error| device("tensor map", error))?;
        Ok(map.opaque.to_vec())
    }
}

impl Driver for Gpu {
    fn name(&self) -> String {
        let (major, minor) = self.capability;
        let rounding = if self.rounding == Rounding::Tensor { "/tf32" } else { "" };
        format!("cuda:{}/sm_{major}{minor}{rounding}", self.ordinal)
    }

    fn place(&self) -> Place {
        Place::Gpu(self.ordinal)
    }

    fn arch(&self) -> Arch {
        match self.capability {
            (9, 0) => Arch::Hopper,
            (8, _) => Arch::Tensor,
            (10.., _) => Arch::Int8,
            _ => Arch::Plain,
        }
    }

    fn processors(&self) -> usize {
        self.processors
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.here()?;
        // SAFETY: nobody reads the memory before it is written.
        unsafe { cuda::malloc_async(STREAM, bytes) }.map_err(|error| memory(bytes, error))
    }

    unsafe fn free(&self, address: u64, _bytes: usize) {
        if self.here().is_ok() {
            // SAFETY: the caller's word. A failure is the device's, and shows
            // in the next call that can report it.
            let _ = unsafe { cuda::free_async(address, STREAM) };
        }
    }

    unsafe fn upload(&self, to: u64, bytes: &[u8]) -> Result<()> {
        self.here()?;
        if bytes.len() > HALF {
            // SAFETY: the buffer is as large as the slice.
            return unsafe { cuda::memcpy_htod_sync(to, bytes) }
                .map_err(|error| device("copy to the device", error));
        }
        // SAFETY: as this function's.
        let copied = unsafe { lock(&self.staging).upload(to, bytes) };
        copied.map_err(|error| device("copy to the device", error))
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        self.here()?;
        // SAFETY: the buffer is as large as the slice.
        unsafe { cuda::memcpy_dtoh_sync(bytes, from) }
            .map_err(|error| device("copy to the host", error))
    }

    unsafe fn launch(&self, kernel: Kernel, shape: Shape, values: &[Value<'_>]) -> Result<()> {
        if shape.is_empty() {
            return Ok(());
        }
        self.here()?;
        let function = self.function(kernel, shape)?;
        let mut words = Vec::with_capacity(values.len());
        for value in values {
            words.push(Words::new(value)?);
        }
        let mut pointers: Vec<_> = words.iter().map(Words::pointer).collect();
        let [x, y, z] = shape.grid;
        // SAFETY: the values are those that the kernel takes, and its buffers are large enough.
        let launched = unsafe {
            cuda::launch_kernel(
                function,
                (x, y, z),
                (shape.block, 1, 1),
                shape.shared,
                STREAM,
                &mut pointers,
            )
        };
        launched.map_err(|error| device(kernel.1, error))
    }

    unsafe fn graph(&self, launches: Vec<Launch>) -> Result<Box<dyn Graph>> {
        self.here()?;
        Ok(Box::new(GpuGraph::new(self, self.context, &launches)?))
    }

    fn rounding(&self) -> Rounding {
        self.rounding
    }

    unsafe fn gemm(&self, gemm: &Gemm<'_>) -> Result<()> {
        self.here()?;
        let mut blas = lock(&self.blas);
        if blas.is_none() {
            *blas = Some(Blas::new()?);
        }
        let Some(blas) = &*blas else { unreachable!("made just now") };
        blas.gemm(gemm)
    }
}

impl Blas {
    fn new() -> Result<Self> {
        let handle = cudarc::cublas::result::create_handle();
        handle.map(Self).map_err(|error| Error::Device { op: "cuBLAS", source: error.into() })
    }

    fn gemm(&self, gemm: &Gemm<'_>) -> Result<()> {
        let &Gemm { size: [m, n, k], a: (a, a_transposed), b: (b, b_transposed), c, rounding } =
            gemm;
        let size = |size: usize| {
            i32::try_from(size).map_err(|_| Error::value("gemm", format!("{size} is too large")))
        };
        let (operand, sum, compute) = types(rounding);
        let (one, none) = (1f32, 0f32);
        let (whole_one, whole_none) = (1i32, 0i32);
        let factors: [*const c_void; 2] = match rounding {
            Rounding::Byte => [(&raw const whole_one).cast(), (&raw const whole_none).cast()],
            _ => [(&raw const one).cast(), (&raw const none).cast()],
        };
        // The library's matrices are column-major: it computes c^T = b^T a^T.
        let (a_width, b_width) =
            (if a_transposed { m } else { k }, if b_transposed { k } else { n });
        // SAFETY: the buffers hold matrices of these shapes and types.
        let multiplied = unsafe {
            cudarc::cublas::result::gemm_ex(
                self.0,
                transposition(b_transposed),
                transposition(a_transposed),
                size(n)?,
                size(m)?,
                size(k)?,
                factors[0],
                b.address() as *const c_void,
                operand,
                size(b_width)?,
                a.address() as *const c_void,
                operand,
                size(a_width)?,
                factors[1],
                c.address() as *mut c_void,
                sum,
                size(n)?,
                compute,
                cublas::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        };
        multiplied.map_err(|error| Error::Device { op: "gemm", source: error.into() })
    }
}

/// Types of operands and product, and how they are multiplied.
fn types(
    rounding: Rounding,
) -> (cublas::cudaDataType, cublas::cudaDataType, cublas::cublasComputeType_t) {
    use cublas::cublasComputeType_t::{
        CUBLAS_COMPUTE_32F as SINGLE, CUBLAS_COMPUTE_32F_FAST_TF32 as TENSOR,
        CUBLAS_COMPUTE_32I as WHOLE,
    };
    use cublas::cudaDataType_t::{CUDA_R_8I, CUDA_R_16BF, CUDA_R_32F, CUDA_R_32I};
    match rounding {
        Rounding::Single => (CUDA_R_32F, CUDA_R_32F, SINGLE),
        Rounding::Tensor => (CUDA_R_32F, CUDA_R_32F, TENSOR),
        Rounding::Half => (CUDA_R_16BF, CUDA_R_32F, SINGLE),
        Rounding::Byte => (CUDA_R_8I, CUDA_R_32I, WHOLE),
    }
}

fn transposition(transposed: bool) -> cublas::cublasOperation_t {
    use cublas::cublasOperation_t::{CUBLAS_OP_N, CUBLAS_OP_T};
    if transposed { CUBLAS_OP_T } else { CUBLAS_OP_N }
}

impl Staging {
    fn new() -> std::result::Result<Self, DriverError> {
        let half = || {
            // SAFETY: page-locked memory, kept for the life of the process.
            unsafe { cuda::malloc_host(HALF, 0) }.map(|memory| memory.cast::<u8>())
        };
        let event = || cuda::event::create(sys::CUevent_flags_enum::CU_EVENT_DISABLE_TIMING);
        Ok(Self { halves: [half()?, half()?], done: [event()?, event()?], half: 0, used: 0 })
    }

    /// Copies at most [`HALF`] bytes, without waiting for the device unless it is far behind.
    ///
    /// # Safety
    /// As of [`Driver::upload`], in the context that is current.
    unsafe fn upload(&mut self, to: u64, bytes: &[u8]) -> std::result::Result<(), DriverError> {
        if self.used + bytes.len() > HALF {
            // SAFETY: an event of this context.
            unsafe { cuda::event::record(self.done[self.half], STREAM) }?;
            (self.half, self.used) = (1 - self.half, 0);
            // SAFETY: an event of this context; one never recorded counts as done.
            unsafe { cuda::event::synchronize(self.done[self.half]) }?;
        }
        // SAFETY: inside the half, by the check above.
        let place = unsafe { self.halves[self.half].add(self.used) };
        // SAFETY: `bytes.len()` bytes fit behind `place`, and no copy from there is still under way.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        // SAFETY: written just now.
        let staged = unsafe { std::slice::from_raw_parts(place, bytes.len()) };
        self.used += bytes.len();
        // SAFETY: the buffer is as large as the slice, which stays until the event above has passed.
        unsafe { cuda::memcpy_htod_async(to, staged, STREAM) }
    }
}

/// The bytes of a value, where a launch can point at them.
pub(super) enum Words {
    One(u64),
    Many(Vec<u64>),
    Map(Box<sys::CUtensorMap>),
}

impl Words {
    pub(super) fn new(value: &Value<'_>) -> Result<Self> {
        Ok(match *value {
            Value::Pointer(word, _) | Value::Long(word) => Self::One(word),
            Value::Null => Self::One(0),
            Value::Word(word) => Self::One(u64::from(word)),
            Value::Real(real) => Self::One(u64::from(real.to_bits())),
            Value::Struct(words) => Self::Many(words.to_vec()),
            Value::Kept(ref words) => Self::Many(words.to_vec()),
            Value::Map { address, words, rows, box_rows } => {
                let map = Gpu::map(address, words, rows, box_rows)?;
                let opaque = map.try_into().expect("a map of 16 words");
                Self::Map(Box::new(sys::CUtensorMap { opaque }))
            }
        })
    }

    pub(super) fn pointer(&self) -> *mut c_void {
        let pointer: *const u64 = match self {
            Self::One(word) => word,
            Self::Many(words) => words.as_ptr(),
            Self::Map(map) => map.opaque.as_ptr(),
        };
        pointer.cast_mut().cast()
    }
}

const MISSING_LIBRARY: &str = "its library was not found; install the CUDA toolkit (or Python's \
     nvidia-cublas and nvidia-cuda-nvrtc), and name its folder in LD_LIBRARY_PATH";

/// Whether driver, compiler and cuBLAS are there; asking anything else of them would panic.
fn present() -> Result<()> {
    // SAFETY: looks for the library, and loads nothing else.
    if !unsafe { sys::is_culib_present() } {
        let why =
            "no driver was found (libcuda.so); install NVIDIA's driver for a GPU of this machine";
        return Err(Error::unavailable("backend `cuda`", why));
    }
    // SAFETY: looks for the library, and loads nothing else.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        return Err(Error::unavailable("the compiler NVRTC", MISSING_LIBRARY));
    }
    // SAFETY: looks for the library, and loads nothing else.
    if !unsafe { cublas::is_culib_present() } {
        return Err(Error::unavailable("cuBLAS", MISSING_LIBRARY));
    }
    Ok(())
}

/// Lets the pool of allocations keep what is freed, for the next step to take.
fn keep_memory(device: sys::CUdevice) -> std::result::Result<(), DriverError> {
    use sys::CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD as THRESHOLD;
    // SAFETY: a device that the driver gave.
    let pool = unsafe { cuda::device::get_default_mem_pool(device) }?;
    let mut all = u64::MAX;
    // SAFETY: this attribute is a number of 64 bits.
    unsafe { cuda::mem_pool::set_attribute(pool, THRESHOLD, (&raw mut all).cast()) }
}

fn memory(bytes: usize, error: DriverError) -> Error {
    if error.0 != sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY {
        return device("memory", error);
    }
    let (free, total) = cuda::mem_get_info().unwrap_or_default();
    let why = format!(
        "{bytes} bytes were asked for, {free} of {total} are free; take a smaller batch, or end other \
         programs on this GPU"
    );
    Error::Device { op: "memory of the device", source: why.into() }
}

pub(super) fn device(op: &'static str, error: DriverError) -> Error {
    let remedy = if is_lost(error) { LOST } else { "" };
    Error::Device { op, source: format!("{}{remedy}", text(error)).into() }
}

const LOST: &str = "; the device is lost to this program, with all that lay on it: start the program again, \
     and look at nvidia-smi if the error comes back";

/// Whether every later call of this process will fail as well.
fn is_lost(DriverError(error): DriverError) -> bool {
    use sys::cudaError_enum::*;
    matches!(
        error,
        CUDA_ERROR_ECC_UNCORRECTABLE
            | CUDA_ERROR_NVLINK_UNCORRECTABLE
            | CUDA_ERROR_CONTAINED
            | CUDA_ERROR_ILLEGAL_ADDRESS
            | CUDA_ERROR_LAUNCH_TIMEOUT
            | CUDA_ERROR_CONTEXT_IS_DESTROYED
            | CUDA_ERROR_ASSERT
            | CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUDA_ERROR_MISALIGNED_ADDRESS
            | CUDA_ERROR_INVALID_ADDRESS_SPACE
            | CUDA_ERROR_INVALID_PC
            | CUDA_ERROR_LAUNCH_FAILED
            | CUDA_ERROR_UNKNOWN
    )
}

/// The driver's own words.
fn text(error: DriverError) -> String {
    let words = error.error_string().map(|words| words.to_string_lossy().into_owned());
    words.map_or_else(|_| format!("{error:?}"), |words| format!("{words} ({error:?})"))
}

/// What a thread that panicked left is still whole: nothing is changed in two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_lost_to_faults_and_not_to_want_of_memory() {
        use sys::cudaError_enum::*;
        for lost in [CUDA_ERROR_ILLEGAL_ADDRESS, CUDA_ERROR_ECC_UNCORRECTABLE, CUDA_ERROR_UNKNOWN] {
            assert!(is_lost(DriverError(lost)), "{lost:?}");
        }
        for left in [CUDA_ERROR_OUT_OF_MEMORY, CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NOT_READY] {
            assert!(!is_lost(DriverError(left)), "{left:?}");
        }
    }
}
