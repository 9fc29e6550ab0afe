//! What comes as Python wheels of pinned SHA-256, kept unpacked in the user's cache folder.

mod pip;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::atomic;

pub use pip::check;

/// Something that is made of wheels.
pub struct Package {
    /// Its name, in messages and in the cache.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it is made of.
    pub wheels: &'static [Wheel],
    /// What else has to be done in its folder, once the wheels are unpacked.
    pub finish: fn(&Path) -> Result<()>,
    /// What its making takes of the disk.
    pub space: &'static str,
    /// What to do on platforms without wheels.
    pub elsewhere: &'static str,
}

/// A wheel, and what of it is kept: where a path begins within it, and what stands there instead.
pub struct Wheel {
    /// Name as pip takes it.
    pub requirement: &'static str,
    /// How its file name begins.
    pub file: &'static str,
    /// Of the file, in hexadecimal digits.
    pub sha256: &'static str,
    /// Rules `FROM=TO`.
    pub kept: &'static [&'static str],
}

impl Package {
    /// Its folder in the cache, fetched unless it is there.
    ///
    /// # Errors
    /// Another platform; no Python or pip, or whatever its finish needs; no connection; wheels that are not the
    /// pinned ones; a folder or disk that takes no more.
    pub fn folder(&self) -> Result<PathBuf> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            bail!("{} is fetched for Linux on x86-64 only: {}", self.name, self.elsewhere);
        }
        let cache = cache(self.name, |name| std::env::var_os(name).map(PathBuf::from))?;
        let folder = cache.join(format!("{}-{}", self.name, self.version));
        if !self.is_whole(&folder) {
            self.fetch(&folder, &cache)?;
        }
        Ok(folder)
    }

    /// Whether a folder holds this version: the file is written last.
    fn is_whole(&self, folder: &Path) -> bool {
        let version = fs::read_to_string(folder.join("build-version"));
        version.is_ok_and(|text| text.trim() == self.version)
    }

    /// Fetches into a folder of the cache; the folder is whole or not there.
    fn fetch(&self, folder: &Path, cache: &Path) -> Result<()> {
        atomic::folder(cache)?;
        let path = cache.join(format!("{}.lock", self.name));
        let lock =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        if self.is_whole(folder) {
            return Ok(()); // another command has fetched it meanwhile
        }
        // A fixed name: an interrupted run leaves no second one.
        let part = cache.join(format!("{}.part", self.name));
        for old in [&part, folder] {
            remove(old)?;
        }
        let place = || format!("cannot fetch {} into {}", self.name, folder.display());
        if let Err(error) = self.build(&part) {
            remove(&part)?;
            return Err(pip::explained(error, self.space, cache)).with_context(place);
        }
        fs::rename(&part, folder).with_context(place)
    }

    /// Makes it in a new folder.
    fn build(&self, folder: &Path) -> Result<()> {
        let wheels = folder.join("wheels");
        atomic::folder(&wheels)?;
        pip::download(self.wheels, &wheels)?;
        for wheel in self.wheels {
            pip::unpack(wheel, &wheels, folder)?;
        }
        remove(&wheels)?;
        (self.finish)(folder)?;
        atomic::write(&folder.join("build-version"), &format!("{}\n", self.version))
    }
}

/// `$XDG_CACHE_HOME/bnn` or `~/.cache/bnn`, as for data sets.
fn cache(name: &str, var: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
    let home = || var("HOME").map(|home| home.join(".cache"));
    let cache = var("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(home);
    Ok(cache
        .with_context(|| format!("there is no home folder to cache {name} in: set XDG_CACHE_HOME"))?
        .join("bnn"))
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

    const PACKAGE: Package = Package {
        name: "thing",
        version: "2.11.0",
        wheels: &[],
        finish: |_| Ok(()),
        space: "nothing",
        elsewhere: "stay here",
    };

    #[test]
    fn a_folder_is_whole_with_the_file_that_is_written_last() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!PACKAGE.is_whole(folder.path()));
        for (version, whole) in [("2.12.0\n", false), ("2.11.0\n", true)] {
            fs::write(folder.path().join("build-version"), version).unwrap();
            assert_eq!(PACKAGE.is_whole(folder.path()), whole);
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
            assert_eq!(cache("thing", var(xdg)).unwrap(), Path::new(want));
        }
        let error = cache("thing", |_| None).unwrap_err().to_string();
        assert!(error.contains("cache thing") && error.contains("XDG_CACHE_HOME"), "{error}");
    }
}
