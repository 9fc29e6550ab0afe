//! Kernels compiled for the device when first asked for, and kept on disk.

use std::collections::HashMap;
use std::ffi::CString;
use std::path::PathBuf;

use bnn_core::{Error, Result};
use cudarc::driver::{result as cuda, sys};
use sha2::{Digest, Sha256};

use super::Kernel;
use super::compiler;
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
        let image = cached(Source::named(file), self.capability)?;
        // SAFETY: a whole image, as the compiler made it.
        let module = unsafe { cuda::module::load_data(image.as_ptr().cast()) }
            .map_err(|error| device(file, error))?;
        self.files.insert(file, module);
        Ok(module)
    }
}

/// The compiled file, from the cache if it is there.
fn cached(source: &Source, capability: (i32, i32)) -> Result<Vec<u8>> {
    let target = compiler::target(source, capability);
    let options = compiler::options(&target);
    let (major, minor) = compiler::version()?;
    let key = Sha256::new()
        .chain_update(format!("nvrtc {major}.{minor}\n{}\n", options.join(" ")))
        .chain_update(source.text())
        .finalize();
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = cache().map(|folder| folder.join(format!("{}-{target}-{key}.cubin", source.name)));
    if let Some(image) = file.as_ref().and_then(|file| whole(std::fs::read(file).ok()?)) {
        return Ok(image);
    }
    let (image, _) = compiler::compile(source, &options)?;
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

fn device(file: &str, error: cuda::DriverError) -> Error {
    let why = format!(
        "{file}.cu: {error:?}; a driver older than NVRTC cannot load what it compiles: update the driver, \
         or name an older toolkit in LD_LIBRARY_PATH"
    );
    Error::Device { op: "kernels", source: why.into() }
}
