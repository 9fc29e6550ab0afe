//! What a folder or a tar archive holds, the archive plain or compressed with gzip.

mod filter;
mod members;

use std::io::Read;
use std::path::Path;

use tar::EntryType;

use crate::{Error, Result, gzip};

pub(crate) use filter::{Filter, Strays, check_text};
use members::Members;

/// A file of a folder or an archive.
pub(crate) struct Entry {
    /// Its place, with `/` between folders.
    pub(crate) place: String,
    /// What it holds.
    pub(crate) bytes: Vec<u8>,
}

/// All that was taken of a folder or an archive.
#[derive(Default)]
pub(crate) struct Content {
    /// Places of folders.
    pub(crate) folders: Vec<String>,
    pub(crate) files: Vec<Entry>,
    /// What was left out for its name.
    pub(crate) strays: Strays,
    /// Bytes of all files.
    total: u64,
}

impl Content {
    /// Adds a file of `size` bytes.
    ///
    /// # Errors
    /// [`Error::Entry`] for a file that the filter refuses, [`Error::File`] where reading fails.
    pub(crate) fn add(
        &mut self,
        path: &Path,
        place: String,
        (size, reader): (u64, &mut dyn Read),
        filter: &Filter,
    ) -> std::result::Result<(), Trouble> {
        let refuse = |place: &str, why| Trouble::Entry(Error::entry(path, place, why));
        let bytes = filter.bytes(size, reader)?.map_err(|why| refuse(&place, why))?;
        self.total += bytes.len() as u64;
        if self.total > filter.all {
            let why = format!("with it there are more than {} bytes of files", filter.all);
            return Err(refuse(&place, why));
        }
        self.files.push(Entry { place, bytes });
        Ok(())
    }
}

/// Why a file was not added.
pub(crate) enum Trouble {
    /// It is at fault.
    Entry(Error),
    /// It cannot be read.
    Reading(std::io::Error),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Reading(error)
    }
}

/// Reads the files of an archive; whether it is compressed is seen from its first bytes.
///
/// Archives behind its end, as `cat` joins them, belong to it.
///
/// # Errors
/// [`Error::File`] if it cannot be read, [`Error::Damaged`] if it is no whole archive,
/// [`Error::Entry`] for links and the like, and for what the filter refuses.
pub(crate) fn read(path: &Path, filter: &Filter) -> Result<Content> {
    parse(path, gzip::open(path)?, filter)
}

/// The same of bytes, unpacked.
pub(crate) fn parse(path: &Path, reader: impl Read, filter: &Filter) -> Result<Content> {
    let mut content = Content::default();
    let mut members = Members::new(reader);
    while let Some(member) = members.next().map_err(|fault| fault.of(path))? {
        let Some(place) = content.strays.place(&member.name) else { continue };
        let folder = member.kind == EntryType::Directory;
        let wanted = if folder { Ok((filter.folder)(&place)) } else { (filter.take)(&place) };
        if !wanted.map_err(|why| Error::entry(path, &*place, why))? {
            continue;
        }
        check_text(&member.name).map_err(|why| Error::entry(path, &*place, why))?;
        match member.kind {
            EntryType::Directory => content.folders.push(place),
            EntryType::Regular | EntryType::Continuous => {
                let mut reader = members.content(member.size);
                let added = content.add(path, place, (member.size, &mut reader), filter);
                added.map_err(|trouble| match trouble {
                    Trouble::Entry(error) => error,
                    Trouble::Reading(error) => members.fault(error).of(path),
                })?;
            }
            other => {
                let why = format!("neither a file nor a folder, but {other:?}");
                return Err(Error::entry(path, place, why));
            }
        }
    }
    Ok(content)
}
