//! The only match on a backend's name.

use bnn_core::{Error, FloatBackend, Reference, Result};

/// A job for whichever backend is chosen: one choice per run, static code below it.
pub trait WithBackend {
    /// What the job returns.
    type Output;

    /// Does the job.
    fn run<B: FloatBackend>(self, backend: &B) -> Self::Output;
}

/// Whether a backend can be used here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BackendStatus {
    /// Name, as [`with_backend`] takes it.
    pub name: String,
    /// Whether it can be used on this machine.
    pub usable: bool,
    /// What it is, or why it cannot be used.
    pub note: String,
}

/// Runs a job on the backend of the given name, on `threads` threads (all of the machine's if none).
///
/// `auto` is the best one usable. A backend named otherwise is never replaced by another.
///
/// # Errors
/// [`Error::Unknown`] for a name that no backend has, [`Error::Unavailable`] for a backend that is not
/// compiled in, or not usable here.
pub fn with_backend<J: WithBackend>(
    name: &str,
    #[cfg_attr(not(any(feature = "cpu", feature = "tch")), expect(unused_variables))]
    threads: Option<usize>,
    job: J,
) -> Result<J::Output> {
    match name.split_once('/').unwrap_or((name, "")) {
        #[cfg(feature = "cpu")]
        ("auto" | "cpu", "") => Ok(job.run(&cpu(None, threads)?)),
        #[cfg(feature = "cpu")]
        ("cpu", kernel) => Ok(job.run(&cpu(Some(kernel), threads)?)),
        ("reference", "") => Ok(job.run(&Reference)),
        #[cfg(feature = "tch")]
        ("tch", count) => Ok(job.run(&tch(bnn_tch::Tch::cpu(), count, threads)?)),
        #[cfg(feature = "tch")]
        ("tch:cuda", "") => Ok(job.run(&tch(bnn_tch::Tch::cuda()?, "", threads)?)),
        #[cfg(not(feature = "tch"))]
        ("tch" | "tch:cuda", _) => {
            Err(Error::unavailable(format!("backend `{name}`"), WITHOUT_LIBTORCH))
        }
        #[cfg(feature = "cuda")]
        (device, kernel) if device.split(':').next() == Some("cuda") => {
            Ok(job.run(&cuda(device, kernel)?))
        }
        #[cfg(not(feature = "cuda"))]
        (device, _) if device.split(':').next() == Some("cuda") => {
            Err(Error::unavailable(format!("backend `{name}`"), WITHOUT_CUDA))
        }
        _ => Err(Error::unknown(
            format!("backend `{name}`"),
            format!("compiled in are {}; `bnn backends` says more", names().join(", ")),
        )),
    }
}

/// Every backend of this build, and what it would need.
pub fn backends() -> Vec<BackendStatus> {
    let status = |name: &str, usable, note: &str| BackendStatus {
        name: name.into(),
        usable,
        note: note.into(),
    };
    let mut all = cpu_backends();
    all.push(status("reference", true, "the definitions, on one thread: slow and right"));
    all.push(cuda_backend());
    all.extend(tch_backends());
    all
}

fn names() -> Vec<String> {
    backends().into_iter().filter(|backend| backend.usable).map(|backend| backend.name).collect()
}

#[cfg(feature = "cpu")]
fn cpu(kernel: Option<&str>, threads: Option<usize>) -> Result<bnn_cpu::Cpu> {
    let cpu = kernel.map_or_else(|| Ok(bnn_cpu::Cpu::new()), bnn_cpu::Cpu::with_kernel)?;
    threads.map_or(Ok(cpu.clone()), |count| cpu.with_threads(count))
}

#[cfg(feature = "cpu")]
fn cpu_backends() -> Vec<BackendStatus> {
    let status = |kernel: bnn_cpu::KernelInfo| BackendStatus {
        name: format!("cpu/{}", kernel.name),
        usable: kernel.missing.is_none(),
        note: match kernel.missing {
            None => "bit operations and threads on this processor".into(),
            Some(lacks) => format!("this processor lacks {lacks}"),
        },
    };
    bnn_cpu::Cpu::kernels().into_iter().map(status).collect()
}

#[cfg(not(feature = "cpu"))]
fn cpu_backends() -> Vec<BackendStatus> {
    let note = "not compiled in; build with the feature `cpu`".into();
    vec![BackendStatus { name: "cpu".into(), usable: false, note }]
}

/// What to do for a GPU, in a build without it.
#[cfg(not(feature = "cuda"))]
const WITHOUT_CUDA: &str = "this build has no GPU backend; build with `--features cuda`";

/// The GPU of a name such as `cuda` or `cuda:1`, with gradients in TF32 or kernels of one family if
/// they stand behind a slash.
#[cfg(feature = "cuda")]
fn cuda(device: &str, kernel: &str) -> Result<bnn_cuda::Cuda> {
    let number = device.strip_prefix("cuda").map(|rest| rest.strip_prefix(':').unwrap_or("0"));
    let ordinal = number.and_then(|number| number.parse().ok()).ok_or_else(|| {
        let why = "behind the colon is the number of a GPU, counted from 0";
        Error::unknown(format!("backend `{device}`"), why)
    })?;
    match kernel {
        "" => bnn_cuda::Cuda::new(ordinal),
        "tf32" => bnn_cuda::Cuda::tf32(ordinal),
        kernel => bnn_cuda::Cuda::new(ordinal)?.with_kernel(kernel),
    }
}

/// A GPU, for what is timed there; a build without the feature `cuda` has none.
#[cfg(feature = "cuda")]
pub type Gpu = bnn_cuda::Cuda;
/// A GPU, for what is timed there; a build without the feature `cuda` has none.
#[cfg(not(feature = "cuda"))]
#[derive(Clone, Copy, Debug)]
pub enum Gpu {}

/// Refuses names that are no GPU's; the GPU itself need not be here.
///
/// # Errors
/// [`Error::Unknown`], saying what GPUs are called.
pub fn check_gpu(name: &str) -> Result<()> {
    if name.split(':').next() == Some("cuda") {
        return Ok(());
    }
    let why = "a GPU is `cuda`, or `cuda:1` and so on";
    Err(Error::unknown(format!("GPU `{name}`"), why))
}

/// The GPU of a name such as `cuda` or `cuda:1`, by itself rather than as a backend for a job.
///
/// # Errors
/// [`Error::Unknown`] for a name that is no GPU's, [`Error::Unavailable`] for one that is not usable here,
/// and in a build without the feature `cuda`.
pub fn gpu(name: &str) -> Result<Gpu> {
    check_gpu(name)?;
    #[cfg(feature = "cuda")]
    return cuda(name, "");
    #[cfg(not(feature = "cuda"))]
    Err(Error::unavailable(format!("backend `{name}`"), WITHOUT_CUDA))
}

#[cfg(feature = "cuda")]
fn cuda_backend() -> BackendStatus {
    let missing = bnn_cuda::Cuda::new(0).err();
    BackendStatus {
        name: "cuda".into(),
        usable: missing.is_none(),
        note: missing.map_or(
            "an NVIDIA GPU, with 1-bit tensor cores if it has them".into(),
            |error| match error {
                Error::Unavailable { why, .. } => why,
                error => error.to_string(),
            },
        ),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda_backend() -> BackendStatus {
    BackendStatus { name: "cuda".into(), usable: false, note: WITHOUT_CUDA.into() }
}

/// What to do for a backend that needs libtorch, in a build without it.
#[cfg(not(feature = "tch"))]
const WITHOUT_LIBTORCH: &str =
    "this build has no libtorch; run `cargo xtask libtorch`, then build with `--features tch`";

/// libtorch on as many threads as its name says, or as are asked for, or as there are.
#[cfg(feature = "tch")]
fn tch(tch: bnn_tch::Tch, named: &str, threads: Option<usize>) -> Result<bnn_tch::Tch> {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    if named.is_empty() {
        return tch.with_threads(threads.unwrap_or_else(all));
    }
    match named.parse() {
        Ok(count) if threads.is_none_or(|threads| threads == count) => tch.with_threads(count),
        _ => Err(Error::unknown(
            format!("backend `tch/{named}`"),
            "behind the slash is the number of threads, the same as any asked for otherwise",
        )),
    }
}

#[cfg(feature = "tch")]
fn tch_backends() -> Vec<BackendStatus> {
    let status = |name: &str, missing: Option<Error>| BackendStatus {
        name: name.into(),
        usable: missing.is_none(),
        note: missing.map_or("libtorch: an independent opinion".into(), |error| match error {
            Error::Unavailable { why, .. } => why,
            error => error.to_string(),
        }),
    };
    vec![status("tch", None), status("tch:cuda", bnn_tch::Tch::cuda().err())]
}

#[cfg(not(feature = "tch"))]
fn tch_backends() -> Vec<BackendStatus> {
    vec![BackendStatus { name: "tch".into(), usable: false, note: WITHOUT_LIBTORCH.into() }]
}
