//! `cargo xtask cuda`.

use std::path::Path;

use anyhow::Result;

use crate::atomic;
use crate::wheels::{Package, Wheel};

/// NVRTC of the version whose bindings cudarc in Cargo.toml takes, and a disassembler for what it
/// makes.
pub const TOOLKIT: Package = Package {
    name: "cuda-toolkit",
    version: "13.0",
    wheels: &WHEELS,
    finish: executable,
    space: "0.3 GB in the cache, and 0.1 GB where temporary files go",
    elsewhere: "test the kernels' machine code there",
};

const WHEELS: [Wheel; 2] = [
    Wheel {
        requirement: "nvidia-cuda-nvrtc==13.0.88",
        file: "nvidia_cuda_nvrtc-13.0.88-",
        sha256: "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
        kept: &[
            "nvidia/cu13/lib/libnvrtc.so.13=lib/libnvrtc.so.13",
            "nvidia/cu13/lib/libnvrtc-builtins.so.13.0=lib/libnvrtc-builtins.so.13.0",
        ],
    },
    Wheel {
        requirement: "nvidia-cuda-nvdisasm==13.2.86",
        file: "nvidia_cuda_nvdisasm-13.2.86-",
        sha256: "53606e719ecae07a2335f95902d5a1393a0cc1c317499ee7ffcf628a44385f2c",
        kept: &["nvidia/cu13/bin/nvdisasm=bin/nvdisasm"],
    },
];

/// What cargo reads, besides `.cargo/config.toml`, where it is there.
const CONFIG: &str = ".cargo/cuda.toml";

/// Fetch NVIDIA's compiler and disassembler, with which the GPU kernels are tested without a GPU.
///
/// They come as Python wheels of pinned SHA-256 (95 MB, by `pip download`) and are kept, unpacked, in
/// the user's cache folder (119 MB); a second run fetches nothing.
///
///     cargo xtask cuda
///     cargo test -p bnn-cuda --test machine_code
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

/// Fetches the tools unless they are there, and writes cargo's configuration.
///
/// # Errors
/// As [`Package::folder`].
pub fn run(_: &Args, root: &Path) -> Result<()> {
    let folder = TOOLKIT.folder()?;
    atomic::write(&root.join(CONFIG), &config(&folder))?;
    let (version, folder) = (TOOLKIT.version, folder.display());
    println!("NVRTC {version} and nvdisasm are in {folder}; tests of bnn-cuda use them");
    Ok(())
}

/// Wheels do not say what may be run.
#[cfg(unix)]
fn executable(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    use anyhow::Context;
    let path = folder.join("bin/nvdisasm");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", path.display()))
}

#[cfg(not(unix))]
fn executable(_: &Path) -> Result<()> {
    Ok(())
}

/// What tells the tests where the tools are.
fn config(folder: &Path) -> String {
    let value = serde_json::Value::from(folder.to_string_lossy()); // the quotes of JSON suit TOML
    format!(
        "# Written by `cargo xtask cuda`.\n[env]\n\
         BNN_CUDA_TOOLKIT = {{ value = {value}, relative = false }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_reads_where_the_tools_are() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = std::fs::read_to_string(root.join(".cargo/config.toml")).unwrap();
        let included = Path::new(CONFIG).file_name().unwrap().to_str().unwrap();
        assert!(text.contains(&format!("path = \"{included}\"")));
        assert!(config(Path::new("/a \"b")).contains(r#"value = "/a \"b", relative = false"#));
    }
}
