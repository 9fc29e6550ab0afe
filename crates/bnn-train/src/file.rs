//! Files that are whole or not there.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Behind the name of a file that is being written.
pub const PART: &str = ".part";

/// Reads a file.
///
/// # Errors
/// [`Error::File`].
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::File { path: path.into(), source })
}

/// Writes a file beside its place, and moves it there once it is on disk: whatever happens, the old
/// file or the new one is there, whole.
///
/// The file beside it is named as the file with `.part` behind, so that what a killed run leaves is
/// overwritten by the next; the lock of a run's [`Folder`](crate::Folder) keeps two from sharing it.
///
/// # Errors
/// [`Error::File`] if the folder is not writable or the disk is full; the old file is untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(PART);
    let part = PathBuf::from(name);
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().map_err(|source| {
        let _ = std::fs::remove_file(&part); // the first error is the one to tell
        Error::File { path: path.into(), source }
    })
}
