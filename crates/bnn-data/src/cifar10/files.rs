//! The six files of CIFAR-10, in their archive or unpacked.

use std::path::{Path, PathBuf};

use super::{COUNT, FILES, PUBLISHED, RECORD, SOURCE, Take};
use crate::archive::{self, Content, Entry, Filter};
use crate::source::Source;
use crate::{Error, Lookup, Result, gzip, limits};

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
    pub(super) fn each(&self, take: Take<'_>) -> Result<()> {
        match self {
            Self::Packed(path) => {
                each_of(path, archive::read(path, &FILTER)?, take)?;
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

/// The six files, whatever folder they lie in; each is half as long as it may be.
pub(super) const FILTER: Filter = Filter {
    take: |place| Ok(FILES.contains(&file_name(place))),
    folder: |_| false,
    look: |_| Ok(()),
    file: limits::IMAGE_FILE,
    all: FILES.len() as u64 * limits::IMAGE_FILE,
};

fn file_name(place: &str) -> &str {
    place.rsplit('/').next().unwrap_or(place)
}

/// The same of the archive at `path`.
pub(super) fn each_of(path: &Path, content: Content, take: Take<'_>) -> Result<()> {
    let mut entries = content.files;
    for name in FILES {
        let Entry { place, bytes } = pick(path, &mut entries, name)?;
        let located = |(at, why)| Error::entry(path, place, format!("byte {at}: {why}"));
        take(name, &bytes).map_err(located)?;
    }
    Ok(())
}

/// Takes a file out of those of an archive, whatever folder it lies in.
fn pick(path: &Path, entries: &mut Vec<Entry>, name: &str) -> Result<Entry> {
    match entries.iter().position(|entry| file_name(&entry.place) == name) {
        Some(at) => Ok(entries.swap_remove(at)),
        None => Err(Error::entry(path, name, "the archive lacks this file".into())),
    }
}

/// What a file holds, up to one byte more than it should.
fn unpacked(path: &Path) -> Result<Vec<u8>> {
    let mut source = Source::new(gzip::open(path)?);
    source.up_to((COUNT * RECORD) as u64 + 1).map_err(|fault| fault.of(path))
}

fn damaged(path: &Path, offset: usize, why: String) -> Error {
    Error::Damaged { path: path.into(), offset: offset as u64, why }
}
