//! Tells the linker, and the crates that depend on this one, where libtorch is.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let Some(folder) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") else { return };
    let folder = PathBuf::from(folder);
    // Binaries keep working when a link to the folder moves.
    let folder = folder.canonicalize().unwrap_or(folder);
    println!("cargo::metadata=libtorch_lib={}", folder.display());
    link(&folder);
}

/// Binaries look for libtorch where it was when they were built; `libtorch.so` is asked for by name,
/// since it is the one that brings CUDA along, where it has any.
fn link(folder: &Path) {
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    println!("cargo::rustc-link-arg=-Wl,--no-as-needed,-ltorch,--as-needed");
}
