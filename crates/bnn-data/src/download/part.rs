//! A file that is not yet whole, and the lock of its folder.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Error as IoError, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result, regular};

/// Keeps other processes from fetching into a folder, until it is dropped or the process ends.
///
/// It is a file of its own that is never removed: a lock on a file that is renamed or removed at
/// the end could be held by two, one with the old file and one with the new.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the folder if it is not there, and locks it.
    pub(super) fn take(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|source| Error::file(folder, source))?;
        let path = folder.join(".lock");
        regular::check(&path)?;
        let failed = |source| Error::file(&path, source);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
            Err(TryLockError::WouldBlock) => {
                let why = "another process is fetching into this folder; wait until it is done";
                Err(failed(IoError::new(ErrorKind::WouldBlock, why)))
            }
        }
    }
}

/// The beginning of a file, kept in `NAME.part` beside where the whole file will be.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Part {
    /// Opens what an earlier call left, or starts anew.
    pub(super) fn open(whole: &Path) -> Result<Self> {
        let mut path = OsString::from(whole);
        path.push(".part");
        let path = PathBuf::from(path);
        regular::check(&path)?;
        let failed = |source| Error::file(&path, source);
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        Ok(Self { path, file, bytes })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of bytes that are here.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|source| Error::file(&self.path, source))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what is here.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|source| Error::file(&self.path, source))?;
        self.bytes = 0;
        Ok(())
    }

    /// Gives the whole file its name; after a power cut it is whole or not there.
    pub(super) fn publish(self, whole: &Path) -> Result<()> {
        self.file.sync_all().map_err(|source| Error::file(&self.path, source))?;
        drop(self.file); // Windows renames no open file
        fs::rename(&self.path, whole).map_err(|source| Error::file(whole, source))
    }

    /// Leaves what is here for a later call and says where; removes an empty file.
    pub(super) fn keep(self) -> Result<Option<PathBuf>> {
        if self.bytes > 0 {
            return Ok(Some(self.path));
        }
        drop(self.file);
        fs::remove_file(&self.path).map_err(|source| Error::file(&self.path, source))?;
        Ok(None)
    }
}
