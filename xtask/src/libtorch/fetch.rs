//! Python wheels into a folder that a C++ compiler and a linker can use.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Error, Result, anyhow, bail};

use super::{VERSION, is_whole};
use crate::atomic;

/// A wheel, and what of it is kept: where a path begins within it, and what stands there instead.
struct Wheel {
    /// Name as pip takes it.
    requirement: &'static str,
    /// How its file name begins.
    file: &'static str,
    sha256: &'static str,
    kept: &'static [&'static str],
}

/// libtorch for processors, and the two libraries of CUDA without which it does not load.
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

/// The Python whose wheels are taken, whichever one runs here, and their platforms.
const TARGET: [&str; 10] = [
    "--python-version=3.12",
    "--implementation=cp",
    "--abi=cp312",
    "--abi=none",
    "--platform=manylinux2014_x86_64",
    "--platform=manylinux_2_17_x86_64",
    "--platform=manylinux_2_25_x86_64",
    "--platform=manylinux_2_27_x86_64",
    "--platform=manylinux_2_28_x86_64",
    "--only-binary=:all:",
];

/// Unpacks a wheel.
const UNPACK: &str = include_str!("unpack.py");

/// Fetches libtorch into a folder of the cache; the folder is whole or not there.
///
/// # Errors
/// As [`super::run`].
pub fn into(folder: &Path, cache: &Path) -> Result<()> {
    atomic::folder(cache)?;
    let path = cache.join("libtorch.lock");
    let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    if is_whole(folder) {
        return Ok(()); // another command has fetched it meanwhile
    }
    let part = cache.join("libtorch.part"); // a fixed name: an interrupted run leaves no second one
    for old in [&part, folder] {
        remove(old)?;
    }
    let place = || format!("cannot fetch libtorch into {}", folder.display());
    if let Err(error) = build(&part) {
        remove(&part)?;
        return Err(explained(error, cache)).with_context(place);
    }
    fs::rename(&part, folder).with_context(place)
}

/// Makes a libtorch in a new folder.
fn build(folder: &Path) -> Result<()> {
    let wheels = folder.join("wheels");
    atomic::folder(&wheels)?;
    download(&wheels)?;
    for wheel in &WHEELS {
        let path = crate::folder::children(&wheels)?.into_iter().find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(wheel.file)
        });
        let path = path.with_context(|| format!("pip fetched no {}", wheel.requirement))?;
        let mut python = python();
        python.arg("-c").arg(UNPACK).arg(&path).arg(folder).args(wheel.kept);
        check(python.stdout(Stdio::null()))?;
    }
    remove(&wheels)?;
    stub(&folder.join("lib/libtorch.so"))?;
    atomic::write(&folder.join("build-version"), &format!("{VERSION}\n"))
}

fn download(wheels: &Path) -> Result<()> {
    let list = wheels.join("requirements.txt");
    atomic::write(&list, &requirements())?;
    let mut pip = python();
    pip.args(["-m", "pip", "download", "--no-deps", "--no-cache-dir", "--require-hashes"]);
    pip.args(TARGET).arg("--dest").arg(wheels).arg("--requirement").arg(list);
    check(&mut pip)
}

/// The wheels and their hashes, as pip reads them.
fn requirements() -> String {
    let line = |wheel: &Wheel| format!("{} --hash=sha256:{}\n", wheel.requirement, wheel.sha256);
    WHEELS.iter().map(line).collect()
}

/// libtorch.so links what there is; here that is the part for processors alone, which is linked
/// anyway. Where it is replaced by that of an installation with CUDA, CUDA comes with it.
fn stub(path: &Path) -> Result<()> {
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-Wl,-soname,libtorch.so", "-o"]).arg(path).args(["-x", "c", "/dev/null"]);
    check(&mut cc)
}

fn python() -> Command {
    Command::new("python3")
}

/// Runs a command; what it says on its way to failing is the error.
fn check(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = match command.stderr(Stdio::piped()).spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!(
                "{program} is missing: libtorch comes as Python wheels and is used from C++; \
                   install python3 with pip, and a C++ compiler"
            );
        }
        child => child.with_context(|| format!("cannot run {program}"))?,
    };
    let output = child.wait_with_output().with_context(|| format!("cannot run {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(anyhow!("{}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// What commands say when they fail, and what to do about it.
const REMEDIES: [(&[&str], &str); 4] = [
    (&["No module named pip"], "python3 has no pip: install it, such as Debian's python3-pip"),
    (
        &["DO NOT MATCH THE HASHES"],
        "the wheels are not the pinned ones: something between here and the package index changes \
         them; fetch over another network",
    ),
    (
        &["No space left", "os error 28", "Errno 28", "Disk quota exceeded", "os error 122"],
        "the disk is full: this takes 1.1 GB in the cache, and 0.6 GB where temporary files go; free \
         some, or set XDG_CACHE_HOME or TMPDIR to another disk",
    ),
    (
        &[
            "NewConnectionError",
            "Connection",
            "timed out",
            "No matching distribution",
            "ProxyError",
        ],
        "pip does not reach a package index that has these wheels: see to the network, or to pip's \
         configuration (`pip config list`)",
    ),
];

/// An error with its remedy, if it is known.
fn explained(error: Error, cache: &Path) -> Error {
    let text = format!("{error:#}");
    let known = REMEDIES.iter().find(|(words, _)| words.iter().any(|word| text.contains(word)));
    let Some((_, remedy)) = known else { return error };
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    anyhow!("{remedy} ({}: {last})", cache.display())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pip_says_is_explained() {
        let said = [
            ("/usr/bin/python3: No module named pip", "python3 has no pip"),
            (
                "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n Got a",
                "the wheels are not the pinned ones",
            ),
            ("OSError: [Errno 28] No space left on device", "the disk is full"),
            (
                "WARNING: Retrying after NewConnectionError\nERROR: No matching distribution found",
                "pip does not reach a package index",
            ),
        ];
        for (text, want) in said {
            let error = explained(anyhow!(text), Path::new("/c")).to_string();
            assert!(error.starts_with(want), "{error}");
            assert!(error.ends_with(&format!("(/c: {})", text.lines().last().unwrap().trim())));
        }
        assert_eq!(
            explained(anyhow!("something else"), Path::new("/c")).to_string(),
            "something else"
        );
    }

    #[test]
    fn what_is_missing_or_fails_is_named() {
        let error = check(&mut Command::new("no-such-python")).unwrap_err().to_string();
        assert!(error.starts_with("no-such-python is missing: "), "{error}");
        let mut child = Command::new(std::env::current_exe().unwrap());
        let error = check(child.arg("--no-such-option").stdout(Stdio::null())).unwrap_err();
        assert!(error.to_string().contains("no-such-option"), "{error}");
    }

    #[test]
    fn every_wheel_is_pinned() {
        let text = requirements();
        assert_eq!(text.lines().count(), WHEELS.len());
        for line in text.lines() {
            let (name, hash) = line.split_once(" --hash=sha256:").unwrap();
            assert!(name.contains("==") && hash.len() == 64, "{line}");
        }
        assert!(text.starts_with(&format!("torch=={VERSION} ")));
    }
}
