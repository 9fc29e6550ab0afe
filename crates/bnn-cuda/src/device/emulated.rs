//! A driver that runs the kernels on the host, compiled by the machine's C++ compiler.

use std::collections::HashMap;
use std::ffi::c_void;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use bnn_core::{Error, Result};
use libloading::Library;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::library::Source;
use super::{Arch, Buffer, Driver, Gemm, Graph, Kernel, Launch, Place, Rounding, Shape, Value};

const EMULATION: &str = include_str!("../../kernels/emulation.hpp");

/// What calls a kernel of the compiled text.
type Call = unsafe extern "C" fn(*const u32, u32, usize, *mut *mut c_void);

/// Compiled files by name, shared by all devices of the process: they run one launch at a time.
static LIBRARIES: OnceLock<Mutex<HashMap<&'static str, Library>>> = OnceLock::new();

/// The host as a device.
pub(crate) struct Emulated {
    arch: Arch,
}

impl Emulated {
    pub(crate) fn new(arch: Arch) -> Self {
        Self { arch }
    }
}

impl Driver for Emulated {
    fn name(&self) -> String {
        format!("emulated/{:?}", self.arch).to_lowercase()
    }

    fn place(&self) -> Place {
        Place::Host
    }

    fn arch(&self) -> Arch {
        self.arch
    }

    fn processors(&self) -> usize {
        2 // small shapes of tests meet large tiles too
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        let mut memory = Vec::<u128>::new();
        let blocks = bytes.div_ceil(size_of::<u128>());
        if memory.try_reserve_exact(blocks).is_err() {
            return Err(Error::value("memory", format!("{bytes} bytes cannot be had")));
        }
        // Bytes that no kernel wrote should show.
        memory.resize(blocks, u128::from_ne_bytes([0xA5; 16]));
        Ok(Box::into_raw(memory.into_boxed_slice()).cast::<u128>() as u64)
    }

    unsafe fn free(&self, address: u64, bytes: usize) {
        let slice = std::ptr::slice_from_raw_parts_mut(
            address as *mut u128,
            bytes.div_ceil(size_of::<u128>()),
        );
        // SAFETY: `allocate` made it of a box of this length, and buffers are freed once.
        drop(unsafe { Box::from_raw(slice) });
    }

    unsafe fn upload(&self, to: u64, bytes: &[u8]) -> Result<()> {
        // SAFETY: a buffer of this driver, as large as what is copied.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) };
        Ok(())
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        // SAFETY: a buffer of this driver, as large as what is copied.
        unsafe {
            std::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), bytes.len())
        };
        Ok(())
    }

    unsafe fn launch(&self, kernel: Kernel, shape: Shape, values: &[Value<'_>]) -> Result<()> {
        let libraries = LIBRARIES.get_or_init(Mutex::default);
        let mut libraries = libraries.lock().unwrap_or_else(PoisonError::into_inner);
        let Kernel(file, name) = kernel;
        if !libraries.contains_key(file) {
            libraries.insert(file, compile(Source::named(file))?);
        }
        let symbol = format!("run_{name}\0");
        // SAFETY: `compile` gives every kernel such a function.
        let call = unsafe { libraries[file].get::<Call>(symbol.as_bytes()) };
        let call = call.map_err(|error| Error::Device { op: "emulation", source: error.into() })?;
        let words: Vec<Vec<u64>> = values.iter().map(words).collect();
        let mut pointers: Vec<_> =
            words.iter().map(|words| words.as_ptr().cast_mut().cast::<c_void>()).collect();
        // SAFETY: the values are those that the kernel takes, and its buffers are large enough.
        unsafe {
            call(shape.grid.as_ptr(), shape.block, shape.shared as usize, pointers.as_mut_ptr())
        };
        Ok(())
    }

    unsafe fn graph(&self, launches: Vec<Launch>) -> Result<Box<dyn Graph>> {
        Ok(Box::new(Replay { host: Self::new(self.arch), launches }))
    }

    fn rounding(&self) -> Rounding {
        Rounding::Single
    }

    unsafe fn gemm(&self, gemm: &Gemm<'_>) -> Result<()> {
        let &Gemm { size: [m, n, k], a: (a, a_transposed), b: (b, b_transposed), c, rounding } =
            gemm;
        if rounding != Rounding::Single {
            let why = "only f32 is multiplied on the host";
            return Err(Error::unavailable(format!("{rounding:?} on the host"), why));
        }
        let reals = |buffer: &Buffer, count| {
            // SAFETY: the buffer holds a matrix of so many reals.
            unsafe { std::slice::from_raw_parts(buffer.address() as *const f32, count) }
        };
        // SAFETY: the same, and none of the other two.
        let c = unsafe { std::slice::from_raw_parts_mut(c.address() as *mut f32, m * n) };
        let (a, b) = (reals(a, m * k), reals(b, k * n));
        let view = |reals, rows, columns, transposed| {
            let shape = if transposed { (columns, rows) } else { (rows, columns) };
            let view = ArrayView2::from_shape(shape, reals).expect("as many reals");
            if transposed { view.reversed_axes() } else { view }
        };
        let (a, b) = (view(a, m, k, a_transposed), view(b, k, n, b_transposed));
        let mut c = ArrayViewMut2::from_shape((m, n), c).expect("as many reals");
        c.fill(0.0);
        // Along k in order: a product's bytes are those of every machine.
        for (a, mut c) in a.rows().into_iter().zip(c.rows_mut()) {
            a.iter().zip(b.rows()).for_each(|(&a, b)| c.scaled_add(a, &b));
        }
        Ok(())
    }
}

/// Launches, one after the other.
struct Replay {
    host: Emulated,
    launches: Vec<Launch>,
}

impl Graph for Replay {
    fn start(&self) -> Result<()> {
        let mut launches = self.launches.iter();
        launches.try_for_each(|Launch { kernel, shape, values }| {
            // SAFETY: whoever made the graph gave its word for them.
            unsafe { self.host.launch(*kernel, *shape, values) }
        })
    }
}

/// A value as the 8-byte words that hold it.
fn words(value: &Value<'_>) -> Vec<u64> {
    match *value {
        Value::Pointer(address, _) => vec![address],
        Value::Null => vec![0],
        Value::Word(word) => vec![u64::from(word)],
        Value::Long(long) => vec![long],
        Value::Real(real) => vec![u64::from(real.to_bits())],
        Value::Struct(words) => words.to_vec(),
        Value::Kept(ref words) => words.to_vec(),
        // `TensorMap` of wgmma.cuh.
        Value::Map { address, words, rows, box_rows } => {
            vec![address, words as u64, rows as u64, u64::from(box_rows)]
        }
    }
}

/// Compiles a file and loads it.
fn compile(source: &Source) -> Result<Library> {
    let folder = tempfile::tempdir().map_err(|error| device("a temporary folder", error))?;
    let (text, library) = (folder.path().join("kernels.cpp"), folder.path().join("kernels.so"));
    let whole = [EMULATION, &source.text(), &callers(&source.text())].join("\n");
    std::fs::write(&text, whole).map_err(|error| device("the kernels' text", error))?;
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let arguments =
        ["-std=c++17", "-O1", "-shared", "-fPIC", "-ffp-contract=off", "-Wno-unknown-pragmas"];
    let run = Command::new(&compiler).args(arguments).arg("-o").arg(&library).arg(&text).output();
    let run = run.map_err(|error| {
        let why = format!("{error}; install a C++ compiler, or name one in CXX");
        Error::unavailable(format!("the compiler `{compiler}`"), why)
    })?;
    if !run.status.success() {
        return Err(device(source.name, String::from_utf8_lossy(&run.stderr)));
    }
    // SAFETY: the library is what was compiled just now; loading it runs nothing.
    unsafe { Library::new(&library) }.map_err(|error| device(source.name, error))
}

/// One function per kernel that calls it as a driver does.
fn callers(text: &str) -> String {
    let kernels = text.split("\nKERNEL(").skip(1);
    let names = kernels.filter_map(|rest| rest.split(['(', ')']).nth(1).map(str::trim));
    let caller = |name: &str| {
        format!(
            "extern \"C\" void run_{name}(const unsigned* grid, unsigned threads, size_t bytes, \
             void** values) {{ emulation::run([](void** values) {{ emulation::apply(&{name}, values); }}, \
             grid, threads, bytes, values); }}\n"
        )
    };
    names.map(caller).collect()
}

fn device(what: &str, why: impl std::fmt::Display) -> Error {
    Error::Device { op: "emulation", source: format!("{what}: {why}").into() }
}
