//! The compiler of a folder, for machines without a GPU.

use std::path::Path;

use bnn_core::{Error, Result};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use super::compiler;
use super::library::{SOURCES, Source};

/// The compiler, and what it loads by this name itself; neither says where the other is.
const LIBRARIES: [&str; 2] = ["lib/libnvrtc-builtins.so.13.0", "lib/libnvrtc.so.13"];

/// The version of these libraries.
const VERSION: (i32, i32) = (13, 0);

/// Loads the compiler of a folder, for the life of the process: whoever asks the loader for it by
/// name afterwards is given this one.
///
/// # Errors
/// [`Error::Unavailable`] for a library that cannot be loaded, or that is not the one found.
pub(crate) fn load(folder: &Path) -> Result<()> {
    for name in LIBRARIES {
        let path = folder.join(name);
        // SAFETY: the vendor's libraries, whose initialisers may run on any thread.
        let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) };
        let library =
            library.map_err(|error| Error::unavailable(path.display(), error.to_string()))?;
        std::mem::forget(library);
    }
    let found = compiler::version()?;
    if found == VERSION {
        return Ok(());
    }
    let why = format!("the loader finds NVRTC {found:?} first; take it out of LD_LIBRARY_PATH");
    Err(Error::unavailable(format!("NVRTC {VERSION:?}"), why))
}

/// Names of all files of kernels.
pub(crate) fn files() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|source| source.name)
}

/// Compiles a file as for a device of this capability; its image, and what the compiler said, with
/// registers and shared memory of every kernel.
///
/// # Errors
/// As [`compiler::compile`].
pub(crate) fn compile(file: &str, capability: (i32, i32)) -> Result<(Vec<u8>, String)> {
    let source = Source::named(file);
    let mut options = compiler::options(&compiler::target(source, capability));
    options.push("--ptxas-options=-v".into());
    compiler::compile(source, &options)
}
