//! The kernels' machine code, for any device, on a machine without one: for tests.

use std::path::Path;

use bnn_core::Result;

use crate::device::toolkit;
use crate::tile::{TILES, Takes};

/// A file of kernels, compiled.
pub struct Compiled {
    /// The image that a driver loads.
    pub image: Vec<u8>,
    /// What the compiler said, with registers and shared memory of every kernel.
    pub log: String,
}

/// How a kernel of sign products is launched.
pub struct Launch {
    /// The file that it is in.
    pub file: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// What the left operand is: `plane` (one plane), `planes`, `any` of these, `bytes`, bytes on `both`
    /// sides, or `windows`.
    pub takes: &'static str,
}

/// Loads the compiler of a folder that `cargo xtask cuda` made, for the life of the process.
///
/// # Errors
/// [`bnn_core::Error::Unavailable`] for a compiler that cannot be loaded, or is another version.
pub fn load(toolkit: &Path) -> Result<()> {
    toolkit::load(toolkit)
}

/// Names of all files of kernels.
pub fn files() -> impl Iterator<Item = &'static str> {
    toolkit::files()
}

/// Compiles a file with the options of the backend for a device of this compute capability; before,
/// [`load`] must have loaded the compiler.
///
/// # Errors
/// What the compiler said.
///
/// # Panics
/// If there is no such file, or no compiler.
pub fn compile(file: &str, capability: (i32, i32)) -> Result<Compiled> {
    let (image, log) = toolkit::compile(file, capability)?;
    Ok(Compiled { image, log })
}

/// All kernels of sign products.
pub fn launches() -> impl Iterator<Item = Launch> {
    TILES.iter().map(|tile| Launch {
        file: tile.kernel.0,
        name: tile.kernel.1,
        threads: tile.threads,
        shared: tile.shared,
        takes: name(tile.takes),
    })
}

fn name(takes: Takes) -> &'static str {
    match takes {
        Takes::Plane => "plane",
        Takes::Planes => "planes",
        Takes::Any => "any",
        Takes::Bytes => "bytes",
        Takes::Both => "both",
        Takes::Windows => "windows",
    }
}
