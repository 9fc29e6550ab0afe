//! The six files of CIFAR-10, in their archive or unpacked.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{FILES, Fault, PUBLISHED, SOURCE};
use crate::archive::{self, Entry};
use crate::gzip::{self, is_damage};
use crate::{Error, Lookup, Result};

/// The folder within the archive.
const INNER: &str = "cifar-10-batches-bin";

/// Where the files are.
#[derive(Debug)]
pub(super) enum Files {
    /// In this archive.
    Packed(PathBuf),
    /// In this folder.
    Loose(PathBuf, Vec<PathBuf>),
}

impl Files {
    /// Finds the files, or else the archive.
    ///
    /// # Errors
    /// [`Error::Missing`] if neither is there, [`Error::File`] if only some of the files are.
    pub(super) fn find(lookup: &Lookup) -> Result<Self> {
        let inner = FILES.map(|file| format!("{INNER}/{file}"));
        let inner = inner.each_ref().map(String::as_str);
        for names in [FILES, inner] {
            if lookup.holding(SOURCE.name, &names)?.is_some() {
                let found = lookup.files(SOURCE.name, &names, PUBLISHED.remedy)?;
                return Ok(Self::Loose(found.folder, found.files));
            }
        }
        let found = lookup.files(SOURCE.name, &PUBLISHED.names(), PUBLISHED.remedy)?;
        Ok(Self::Packed(found.files.into_iter().next().expect("one file was asked for")))
    }

    /// The archive or the folder.
    pub(super) fn place(&self) -> &Path {
        match self {
            Self::Packed(path) | Self::Loose(path, _) => path,
        }
    }

    /// Hands name and bytes of every file to `take`, in their order.
    ///
    /// # Errors
    /// Of reading; what `take` finds wrong, with its place.
    pub(super) fn each(
        &self,
        mut take: impl FnMut(&str, &[u8]) -> std::result::Result<(), Fault>,
    ) -> Result<()> {
        match self {
            Self::Packed(path) => {
                let mut entries = archive::read(path)?.files;
                for name in FILES {
                    let Entry { place, bytes } = pick(path, &mut entries, name)?;
                    let located =
                        |(at, why)| Error::entry(path, place, format!("byte {at}: {why}"));
                    take(name, &bytes).map_err(located)?;
                }
            }
            Self::Loose(_, paths) => {
                for (name, path) in FILES.iter().zip(paths) {
                    let damaged = |(at, why)| damaged(path, at, why);
                    take(name, &unpacked(path)?).map_err(damaged)?;
                }
            }
        }
        Ok(())
    }
}

/// Takes a file out of those of an archive, whatever folder it lies in.
fn pick(path: &Path, entries: &mut Vec<Entry>, name: &str) -> Result<Entry> {
    let this = |entry: &Entry| entry.place.rsplit('/').next() == Some(name);
    match entries.iter().position(this) {
        Some(at) => Ok(entries.swap_remove(at)),
        None => Err(Error::entry(path, name, "the archive lacks this file".into())),
    }
}

fn unpacked(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::file(path, source);
    let mut bytes = Vec::new();
    match gzip::open(path).map_err(failed)?.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if is_damage(&error) => {
            Err(damaged(path, bytes.len(), format!("gzip: {error}")))
        }
        Err(error) => Err(failed(error)),
    }
}

fn damaged(path: &Path, offset: usize, why: String) -> Error {
    Error::Damaged { path: path.into(), offset: offset as u64, why }
}
