//! `cargo xtask libtorch`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::atomic;
use crate::wheels::{Package, Wheel, check};

/// libtorch for processors, and the two libraries of CUDA without which it does not load; of the
/// version that `tch` in Cargo.toml was made for: torch-sys refuses any other.
pub const LIBTORCH: Package = Package {
    name: "libtorch",
    version: "2.11.0",
    wheels: &WHEELS,
    finish: stub,
    space: "1.1 GB in the cache, and 0.6 GB where temporary files go",
    elsewhere: "unpack a libtorch 2.11.0 yourself, export LIBTORCH with its folder, and build with \
                `--features tch`",
};

const WHEELS: [Wheel; 3] = [
    Wheel {
        requirement: "torch==2.11.0",
        file: "torch-2.11.0-",
        sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
        kept: &[
            "torch/include/=include/",
            "torch/lib/libtorch_cpu.so=lib/libtorch_cpu.so",
            "torch/lib/libc10.so=lib/libc10.so",
            "torch/lib/libgomp.so.1=lib/libgomp.so.1",
        ],
    },
    Wheel {
        requirement: "nvidia-cuda-runtime==13.0.96",
        file: "nvidia_cuda_runtime-13.0.96-",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        kept: &["nvidia/cu13/lib/libcudart.so.13=lib/libcudart.so.13"],
    },
    Wheel {
        requirement: "nvidia-cuda-cupti==13.0.85",
        file: "nvidia_cuda_cupti-13.0.85-",
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        kept: &["nvidia/cu13/lib/libcupti.so.13=lib/libcupti.so.13"],
    },
];

/// What cargo reads, besides `.cargo/config.toml`, where it is there.
const CONFIG: &str = ".cargo/libtorch.toml";

/// Fetch libtorch, which the backend `tch` needs, and tell cargo where it is.
///
/// It comes as Python wheels of pinned SHA-256 (544 MB, by `pip download`) and is kept, unpacked, in
/// the user's cache folder (498 MB); a second run fetches nothing.
/// An exported LIBTORCH, the folder of another libtorch 2.11.0, is preferred to it.
///
///     cargo xtask libtorch
///     cargo test -p bnn-tch --features tch
///     cargo xtask reproduce --tier smoke --backend tch
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

/// Fetches libtorch unless it is there, and writes cargo's configuration.
///
/// # Errors
/// As [`Package::folder`]; no C compiler.
pub fn run(_: &Args, root: &Path) -> Result<()> {
    let folder = LIBTORCH.folder()?;
    atomic::write(&root.join(CONFIG), &config(&folder))?;
    let (version, folder) = (LIBTORCH.version, folder.display());
    println!("libtorch {version} is in {folder}; builds with `--features tch` use it");
    Ok(())
}

/// libtorch.so links what there is; here that is the part for processors alone, which is linked
/// anyway. Where it is replaced by that of an installation with CUDA, CUDA comes with it.
fn stub(folder: &Path) -> Result<()> {
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-Wl,-soname,libtorch.so", "-o"]).arg(folder.join("lib/libtorch.so"));
    cc.args(["-x", "c", "/dev/null"]);
    check(&mut cc, "libtorch is used from C++; install a C++ compiler")
}

/// What tells cargo where libtorch is; and that its threads sleep while they wait, since on cores
/// that other work shares they would keep themselves from working.
fn config(folder: &Path) -> String {
    let value = serde_json::Value::from(folder.to_string_lossy()); // the quotes of JSON suit TOML
    format!(
        "# Written by `cargo xtask libtorch`.\n[env]\n\
         LIBTORCH = {{ value = {value}, relative = false }}\n\
         OMP_WAIT_POLICY = \"passive\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without libtorch, torch-sys refuses the version in a folder of the repository, which says
    /// what to run.
    #[test]
    fn a_build_without_libtorch_says_what_to_run() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        assert!(text(".cargo/no-libtorch/build-version").contains("`cargo xtask libtorch`"));
        assert!(text(".cargo/no-libtorch.toml").contains("value = \".cargo/no-libtorch\""));
        let included = Path::new(CONFIG).file_name().unwrap().to_str().unwrap();
        assert!(text(".cargo/config.toml").contains(&format!("path = \"{included}\"")));
        assert!(config(Path::new("/a \"b")).contains(r#"value = "/a \"b", relative = false"#));
    }
}
