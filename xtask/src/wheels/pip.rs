//! Wheels by pip into a folder that compilers and linkers can use.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Error, Result, anyhow, bail};

use super::Wheel;
use crate::{atomic, folder};

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

/// Why there must be a Python.
const PYTHON: &str = "what is fetched comes as Python wheels; install python3 with pip";

/// Has pip download wheels into a folder.
///
/// # Errors
/// What pip says.
pub fn download(wheels: &[Wheel], into: &Path) -> Result<()> {
    let list = into.join("requirements.txt");
    atomic::write(&list, &requirements(wheels))?;
    let mut pip = python();
    pip.args(["-m", "pip", "download", "--no-deps", "--no-cache-dir", "--require-hashes"]);
    pip.args(TARGET).arg("--dest").arg(into).arg("--requirement").arg(list);
    check(&mut pip, PYTHON)
}

/// Unpacks what is kept of a downloaded wheel into a folder.
///
/// # Errors
/// A wheel that is not there or lacks something; a folder or disk that takes no more.
pub fn unpack(wheel: &Wheel, from: &Path, into: &Path) -> Result<()> {
    let path = folder::children(from)?.into_iter().find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(wheel.file)
    });
    let path = path.with_context(|| format!("pip fetched no {}", wheel.requirement))?;
    let mut python = python();
    python.arg("-c").arg(UNPACK).arg(&path).arg(into).args(wheel.kept);
    check(python.stdout(Stdio::null()), PYTHON)
}

/// The wheels and their hashes, as pip reads them.
fn requirements(wheels: &[Wheel]) -> String {
    let line = |wheel: &Wheel| format!("{} --hash=sha256:{}\n", wheel.requirement, wheel.sha256);
    wheels.iter().map(line).collect()
}

fn python() -> Command {
    Command::new("python3")
}

/// Runs a command; what it says on its way to failing is the error.
///
/// # Errors
/// As it says; `missing` is the remedy where there is no such program.
pub fn check(command: &mut Command, missing: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = match command.stderr(Stdio::piped()).spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{program} is missing: {missing}");
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
        "the disk is full: this takes SPACE; free some, or set XDG_CACHE_HOME or TMPDIR to another disk",
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

/// An error with its remedy, if it is known; `space` is what all of this takes of the disk.
pub fn explained(error: Error, space: &str, cache: &Path) -> Error {
    let text = format!("{error:#}");
    let known = REMEDIES.iter().find(|(words, _)| words.iter().any(|word| text.contains(word)));
    let Some((_, remedy)) = known else { return error };
    let remedy = remedy.replace("SPACE", space);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    anyhow!("{remedy} ({}: {last})", cache.display())
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
            ("OSError: [Errno 28] No space left on device", "the disk is full: this takes a GB;"),
            (
                "WARNING: Retrying after NewConnectionError\nERROR: No matching distribution found",
                "pip does not reach a package index",
            ),
        ];
        for (text, want) in said {
            let error = explained(anyhow!(text), "a GB", Path::new("/c")).to_string();
            assert!(error.starts_with(want), "{error}");
            assert!(error.ends_with(&format!("(/c: {})", text.lines().last().unwrap().trim())));
        }
        assert_eq!(
            explained(anyhow!("something else"), "a GB", Path::new("/c")).to_string(),
            "something else"
        );
    }

    #[test]
    fn what_is_missing_or_fails_is_named() {
        let error = check(&mut Command::new("/no-such-python"), "get it").unwrap_err().to_string();
        assert!(error.starts_with("/no-such-python is missing: get it"), "{error}");
        let mut child = Command::new(std::env::current_exe().unwrap());
        let error = check(child.arg("--no-such-option").stdout(Stdio::null()), "").unwrap_err();
        assert!(error.to_string().contains("no-such-option"), "{error}");
    }

    #[test]
    fn every_wheel_is_pinned() {
        let packages = [&crate::libtorch::LIBTORCH, &crate::cuda::TOOLKIT];
        for package in packages {
            let text = requirements(package.wheels);
            assert_eq!(text.lines().count(), package.wheels.len());
            for line in text.lines() {
                let (name, hash) = line.split_once(" --hash=sha256:").unwrap();
                assert!(name.contains("==") && hash.len() == 64, "{line}");
            }
        }
        let text = requirements(packages[0].wheels);
        assert!(text.starts_with(&format!("torch=={} ", packages[0].version)));
    }
}
