//! `cargo xtask libtorch`.

mod fetch;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::atomic;

/// The version that `tch` in Cargo.toml was made for; torch-sys refuses any other.
const VERSION: &str = "2.11.0";

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
/// Another platform; no Python, pip or C compiler; no connection; wheels that are not the pinned
/// ones; a folder or disk that takes no more.
pub fn run(_: &Args, root: &Path) -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!(
            "libtorch is fetched for Linux on x86-64 only: unpack a libtorch {VERSION} yourself, \
             export LIBTORCH with its folder, and build with `--features tch`"
        );
    }
    let cache = cache(|name| std::env::var_os(name).map(PathBuf::from))?;
    let folder = cache.join(format!("libtorch-{VERSION}"));
    if !is_whole(&folder) {
        fetch::into(&folder, &cache)?;
    }
    atomic::write(&root.join(CONFIG), &config(&folder))?;
    println!("libtorch {VERSION} is in {}; builds with `--features tch` use it", folder.display());
    Ok(())
}

/// Whether a folder holds a libtorch of this version: the file is written last.
fn is_whole(folder: &Path) -> bool {
    let version = std::fs::read_to_string(folder.join("build-version"));
    version.is_ok_and(|text| text.trim() == VERSION)
}

/// `$XDG_CACHE_HOME/bnn` or `~/.cache/bnn`, as for data sets.
fn cache(var: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
    let home = || var("HOME").map(|home| home.join(".cache"));
    let cache = var("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(home);
    Ok(cache
        .context("there is no home folder to cache libtorch in: set XDG_CACHE_HOME")?
        .join("bnn"))
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

    #[test]
    fn a_folder_is_whole_with_the_file_that_is_written_last() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_whole(folder.path()));
        for (version, whole) in [("2.12.0\n", false), ("2.11.0\n", true)] {
            std::fs::write(folder.path().join("build-version"), version).unwrap();
            assert_eq!(is_whole(folder.path()), whole);
        }
    }

    #[test]
    fn the_cache_is_that_of_the_data_sets() {
        let var = |xdg: &'static str| {
            move |name: &str| {
                let value = if name == "HOME" { "/home/a" } else { xdg };
                (!value.is_empty()).then(|| PathBuf::from(value))
            }
        };
        for (xdg, want) in
            [("", "/home/a/.cache/bnn"), ("b", "/home/a/.cache/bnn"), ("/c", "/c/bnn")]
        {
            assert_eq!(cache(var(xdg)).unwrap(), Path::new(want));
        }
        assert!(cache(|_| None).unwrap_err().to_string().contains("XDG_CACHE_HOME"));
    }

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
