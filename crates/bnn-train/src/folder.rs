//! The folder of a run, and the lock that keeps a second run out of it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::{Error, Result, file};

/// Name of the frozen model in the folder of a run.
pub const MODEL_FILE: &str = "model.safetensors";
/// Name of the checkpoint in the folder of a run.
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

/// The folder of a run; no other run can open it until this is dropped or the process ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and locks it.
    ///
    /// # Errors
    /// [`Error::Busy`] if another run has it, [`Error::File`] if it cannot be made or written to.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let failed = |path: &Path, source| Error::File { path: path.into(), source };
        fs::create_dir_all(&path).map_err(|source| failed(&path, source))?;
        let lock = path.join(file::LOCK);
        let file = file::open_lock(&lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _lock: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy { path }),
            Err(TryLockError::Error(source)) => Err(failed(&lock, source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the frozen model is, once there is one.
    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL_FILE)
    }

    /// Where the checkpoint is, if there is one.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT_FILE)
    }

    /// Writes a further file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        file::write(&self.path.join(name), bytes)
    }

    /// Whether a run goes on from the checkpoint (`true`) or starts at epoch 1 (`false`).
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if a new run would destroy an interrupted one, or if a finished one is
    /// to be resumed; [`Error::File`] where the system cannot tell what is there.
    pub fn goes_on(&self, resume: bool) -> Result<bool> {
        let refused = |path, why: &str| Err(Error::Checkpoint { path, why: why.into() });
        match (resume, file::is_there(&self.checkpoint())?) {
            (false, true) => refused(
                self.checkpoint(),
                "this is the state of an interrupted run; go on from it with --resume, or remove \
                 it or name another folder to start anew",
            ),
            (true, false) if file::is_there(&self.model())? => refused(
                self.model(),
                "this run has ended and left no checkpoint to go on from; leave out --resume to \
                 train it anew, or name another folder",
            ),
            (_, there) => Ok(there),
        }
    }
}
