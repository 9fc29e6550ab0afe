//! Kernels compiled for the device when first asked for, and kept on disk.

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::path::PathBuf;

use bnn_core::{Error, Result};
use cudarc::driver::{result as cuda, sys};
use cudarc::nvrtc::{result as nvrtc, sys as compiler};
use sha2::{Digest, Sha256};

use super::Kernel;
use super::library::Source;

/// Bytes of a SHA-256.
const DIGEST: usize = 32;

/// Dynamic shared memory that a kernel may have without asking.
const SHARED: u32 = 48 << 10;

/// The loaded kernels of a device.
pub(super) struct Modules {
    capability: (i32, i32),
    files: HashMap<&'static str, sys::CUmodule>,
    functions: HashMap<Kernel, sys::CUfunction>,
}

impl Modules {
    pub(super) fn new(capability: (i32, i32)) -> Self {
        Self { capability, files: HashMap::new(), functions: HashMap::new() }
    }

    /// The function of a kernel, allowed `shared` bytes of dynamic shared memory.
    pub(super) fn function(&mut self, kernel: Kernel, shared: u32) -> Result<sys::CUfunction> {
        if let Some(function) = self.functions.get(&kernel) {
            return Ok(*function);
        }
        let Kernel(file, name) = kernel;
        let module = self.module(file)?;
        let name = CString::new(name).expect("a kernel's name");
        let failed = |error| device(file, error);
        // SAFETY: a loaded module.
        let function = unsafe { cuda::module::get_function(module, name) }.map_err(failed)?;
        if shared > SHARED {
            use sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as BYTES;
            // SAFETY: a loaded function.
            unsafe { cuda::function::set_function_attribute(function, BYTES, shared as i32) }
                .map_err(failed)?;
        }
        self.functions.insert(kernel, function);
        Ok(function)
    }

    fn module(&mut self, file: &'static str) -> Result<sys::CUmodule> {
        if let Some(module) = self.files.get(file) {
            return Ok(*module);
        }
        let image = cached(Source::named(file), &self.target(file))?;
        // SAFETY: a whole image, as the compiler made it.
        let module = unsafe { cuda::module::load_data(image.as_ptr().cast()) }
            .map_err(|error| device(file, error))?;
        self.files.insert(file, module);
        Ok(module)
    }

    /// What a file is compiled for: instructions of one generation alone have an `a` in its name.
    fn target(&self, file: &str) -> String {
        let (major, minor) = self.capability;
        format!("sm_{major}{minor}{}", if file == "hopper" { "a" } else { "" })
    }
}

/// The compiled file, from the cache if it is there.
fn cached(source: &Source, target: &str) -> Result<Vec<u8>> {
    let text = source.text();
    let options = options(target);
    let (mut major, mut minor) = (0, 0);
    // SAFETY: writes two numbers.
    unsafe { compiler::nvrtcVersion(&raw mut major, &raw mut minor) }.result().map_err(nvrtc)?;
    let key = Sha256::new()
        .chain_update(format!("nvrtc {major}.{minor}\n{}\n", options.join(" ")))
        .chain_update(&text)
        .finalize();
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = cache().map(|folder| folder.join(format!("{}-{target}-{key}.cubin", source.name)));
    if let Some(image) = file.as_ref().and_then(|file| whole(std::fs::read(file).ok()?)) {
        return Ok(image);
    }
    let image = compile(source.name, &text, &options)?;
    if let Some(file) = file {
        keep(&file, &image); // without it, the next process compiles again
    }
    Ok(image)
}

/// The image of a cached file, if it is as it was written: its digest stands in front of it.
fn whole(mut file: Vec<u8>) -> Option<Vec<u8>> {
    let image = (file.len() > DIGEST).then(|| file.split_off(DIGEST))?;
    (Sha256::digest(&image).as_slice() == file).then_some(image)
}

/// Where compiled kernels are kept: `$XDG_CACHE_HOME/bnn/cuda`, or `~/.cache/bnn/cuda`.
fn cache() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    caches.map(|folder| folder.join("bnn").join("cuda"))
}

/// Writes a file that is whole or not there, if the folder can be written.
fn keep(file: &std::path::Path, image: &[u8]) {
    let Some(folder) = file.parent() else { return };
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::NamedTempFile::new_in(folder))
        .and_then(|mut temporary| {
            std::io::Write::write_all(&mut temporary, &Sha256::digest(image))?;
            std::io::Write::write_all(&mut temporary, image)?;
            temporary.persist(file).map_err(|error| error.error)
        });
    drop(written);
}

/// No contraction to fused multiply-adds: evaluation agrees in every bit with the host.
fn options(target: &str) -> Vec<String> {
    vec![format!("--gpu-architecture={target}"), "--fmad=false".into(), "--std=c++17".into()]
}

fn compile(name: &str, text: &str, options: &[String]) -> Result<Vec<u8>> {
    let text = CString::new(text).expect("sources have no zero byte");
    let file = CString::new(format!("{name}.cu")).expect("a file's name");
    let program = nvrtc::create_program(&text, Some(&file)).map_err(self::nvrtc)?;
    // SAFETY: the program made just now.
    let compiled = unsafe { nvrtc::compile_program(program, options) };
    let image = match compiled {
        Ok(()) => image(program),
        Err(error) => {
            // SAFETY: the program is still there.
            let log = unsafe { nvrtc::get_program_log(program) }.unwrap_or_default();
            let log: Vec<u8> =
                log.iter().map(|&byte| byte as u8).filter(|&byte| byte != 0).collect();
            let why = format!("{name}.cu: {error}: {}", String::from_utf8_lossy(&log));
            Err(Error::Device { op: "NVRTC", source: why.into() })
        }
    };
    // SAFETY: made above, and destroyed once.
    let _ = unsafe { nvrtc::destroy_program(program) };
    image
}

fn image(program: compiler::nvrtcProgram) -> Result<Vec<u8>> {
    let mut size = 0;
    // SAFETY: writes a number.
    unsafe { compiler::nvrtcGetCUBINSize(program, &raw mut size) }.result().map_err(nvrtc)?;
    let mut image = vec![0u8; size];
    // SAFETY: writes as many bytes as it said.
    unsafe { compiler::nvrtcGetCUBIN(program, image.as_mut_ptr().cast::<c_char>()) }
        .result()
        .map_err(nvrtc)?;
    Ok(image)
}

fn nvrtc(error: cudarc::nvrtc::result::NvrtcError) -> Error {
    Error::Device { op: "NVRTC", source: error.into() }
}

fn device(file: &str, error: cuda::DriverError) -> Error {
    let why = format!(
        "{file}.cu: {error:?}; a driver older than NVRTC cannot load what it compiles: update the driver, \
         or name an older toolkit in LD_LIBRARY_PATH"
    );
    Error::Device { op: "kernels", source: why.into() }
}
