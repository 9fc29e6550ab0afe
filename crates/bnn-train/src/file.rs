//! Files that are whole or not there.

use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

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
/// # Errors
/// [`Error::File`] if the folder is not writable or the disk is full; the old file is untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| Error::File { path: path.into(), source })
}
