//! Files that are whole or not there.

use std::fs::{File, OpenOptions};
use std::io::{Error as IoError, ErrorKind, Write};
use std::path::{Path, PathBuf};

use bnn_data::{Error as DataError, regular};

use crate::{Error, Result};

/// Behind the name of a file that is being written.
pub const PART: &str = ".part";

/// Name of the file that is locked to keep other processes out of a folder.
pub(crate) const LOCK: &str = ".lock";

/// Reads a regular file of at most `most` bytes, whose first bytes and size `look` does not refuse.
///
/// # Errors
/// [`Error::File`] if it cannot be read, is larger, or is no regular file; what `look` says.
pub fn read(
    path: &Path,
    most: u64,
    look: impl FnOnce(&[u8], u64) -> Result<()>,
) -> Result<Vec<u8>> {
    regular::read_if(path, most, look).map_err(|error| match error {
        Error::Data(data) => of_data(data),
        other => other,
    })
}

fn of_data(error: DataError) -> Error {
    match error {
        DataError::File { path, source } => Error::File { path, source },
        other => other.into(),
    }
}

/// Whether a file of these bytes lies at a path.
pub(crate) fn is_file(path: &Path, bytes: &[u8]) -> bool {
    regular::read(path, bytes.len() as u64).is_ok_and(|there| there == bytes)
}

/// Whether something lies at a path.
///
/// # Errors
/// [`Error::File`] where the system cannot tell, as in a folder that may not be looked into: what it
/// holds must not pass for absent.
pub(crate) fn is_there(path: &Path) -> Result<bool> {
    match path.metadata() {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(source) => Err(Error::file(path, source)),
    }
}

/// Refuses what lies where a file is to be written, unless that can be replaced.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn check_place(path: &Path) -> Result<()> {
    regular::check(path).map_err(of_data)
}

/// Writes a file beside its place, and moves it there once it is on disk: whatever happens, the old
/// file or the new one is there, whole.
///
/// The file beside it is named as the file with `.part` behind, so that what a killed run leaves is
/// overwritten by the next; the lock of a run's [`Folder`](crate::Folder) keeps two from sharing it.
///
/// # Errors
/// [`Error::File`] if the folder is not writable, the disk is full, or a pipe lies in the place of the
/// part; the old file is untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_by(&part(path), path, bytes)
}

/// The same by a file of another name, in the same folder.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_by(part: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    check_place(part)?; // a pipe would wait for a reader
    let write = || {
        let mut file = File::create(part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(part, path)
    };
    write().map_err(|source| {
        let _ = std::fs::remove_file(part); // the first error is the one to tell
        Error::file(path, remedied(source))
    })
}

/// An error of writing, with what to do where there is no room.
pub(crate) fn remedied(error: IoError) -> IoError {
    let remedy = match error.kind() {
        ErrorKind::StorageFull => "make room there, or name a folder on another disk",
        ErrorKind::QuotaExceeded => "make room in your quota, or name a folder on another disk",
        ErrorKind::FileTooLarge => "raise the limit on the size of files (`ulimit -f`)",
        _ => return error,
    };
    IoError::new(error.kind(), format!("{error}: {remedy}"))
}

/// Removes a file that may not be there.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file(path, error)),
        _ => Ok(()),
    }
}

/// The name of a file while it is being written.
pub(crate) fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PART);
    name.into()
}

/// Opens the file by whose lock processes keep out of a folder, and makes it if it is not there.
///
/// It is a file of its own that is never removed: a lock on a file that is replaced could be held by
/// two, one with the old file and one with the new.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn open_lock(path: &Path) -> Result<File> {
    check_place(path)?;
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    file.map_err(|source| Error::file(path, remedied(source)))
}
