//! The folder of a run, what lies in it, and the lock that keeps a second run out of it.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bnn_data::limits;

use crate::{Error, Result, file};

/// Name of the frozen model in the folder of a run.
pub const MODEL_FILE: &str = "model.safetensors";
/// Name of the checkpoint in the folder of a run.
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";
/// Name of the file of what the network of a run gets wrong.
pub const EVALUATION_FILE: &str = "evaluation.json";
/// Name of the file of the epochs of a run, one JSON object to a line.
pub const HISTORY_FILE: &str = "history.jsonl";
/// Name of the file of the spec of a run, as it was run.
pub const SPEC_FILE: &str = "spec.toml";

/// All files that a run writes by fixed names.
const FILES: [&str; 5] = [MODEL_FILE, CHECKPOINT_FILE, EVALUATION_FILE, HISTORY_FILE, SPEC_FILE];

/// How a spec begins that a run has written: any other `spec.toml` is somebody's own.
pub(crate) const SPEC_HEAD: &str = "# The run in this folder: ";

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
        fs::create_dir_all(&path).map_err(|source| Error::file(&path, file::remedied(source)))?;
        let lock = path.join(file::LOCK);
        let file = file::open_lock(&lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _lock: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy { path }),
            Err(TryLockError::Error(source)) => Err(Error::file(lock, source)),
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

    /// Whether a run goes on from the checkpoint (`true`) or starts at epoch 1 (`false`): because there
    /// is none, or because `force` says to replace what there is.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if a new run would destroy an interrupted one, or if a finished one is
    /// to be resumed; [`Error::Occupied`] if a new run would destroy a finished one; [`Error::Spec`] for
    /// both `resume` and `force`; [`Error::File`] where the system cannot tell what is there, and where
    /// folders, pipes or a spec that no run has written lie in the way of files.
    pub fn goes_on(&self, resume: bool, force: bool) -> Result<bool> {
        self.check_places()?;
        self.check_spec()?;
        if resume && force {
            return Err(Error::spec("--resume", "goes on from what --force replaces; want one"));
        }
        if force {
            return Ok(false);
        }
        let refused = |path, why: &str| Err(Error::Checkpoint { path, why: why.into() });
        let finished = self.finished()?;
        match (resume, file::is_there(&self.checkpoint())?) {
            (false, true) => refused(
                self.checkpoint(),
                "this is the state of a run; go on from it with --resume, name another folder with \
                 --out, or replace that run with --force",
            ),
            (true, false) if !finished.is_empty() => refused(
                self.path.join(finished[0]),
                "this run has ended and left no checkpoint to go on from, as --keep-checkpoint would; \
                 train it anew with --force in place of --resume, or name another folder with --out",
            ),
            (false, false) if !finished.is_empty() => Err(Error::Occupied {
                path: self.path.clone(),
                what: format!("a finished run is there ({})", finished.join(", ")),
            }),
            (_, there) => Ok(there),
        }
    }

    /// What could not be replaced at the end is told before the run.
    fn check_places(&self) -> Result<()> {
        FILES.iter().map(|name| self.path.join(name)).try_for_each(|path| {
            file::check_place(&file::part(&path))?;
            file::check_place(&path)
        })
    }

    /// What a run that has ended leaves, of that what is there.
    fn finished(&self) -> Result<Vec<&'static str>> {
        let mut there = Vec::new();
        for name in [MODEL_FILE, EVALUATION_FILE, HISTORY_FILE] {
            if file::is_there(&self.path.join(name))? {
                there.push(name);
            }
        }
        Ok(there)
    }

    /// Removes what is left of another run and would pass for a part of the one that takes its place:
    /// its checkpoint, unless that is `saved` anew, and its model, unless it is this one.
    pub(crate) fn clear(&self, saved: bool, model: &[u8]) -> Result<()> {
        file::remove(&self.path.join(EVALUATION_FILE))?;
        if !saved {
            file::remove(&self.checkpoint())?;
        }
        if file::is_file(&self.model(), model) { Ok(()) } else { file::remove(&self.model()) }
    }

    /// Removes what a run that has ended needs no more: what was half written, by a run that was killed,
    /// and the checkpoint unless it is to be kept.
    pub(crate) fn end(&self, keep_checkpoint: bool) -> Result<()> {
        for name in FILES {
            file::remove(&file::part(&self.path.join(name)))?;
        }
        if keep_checkpoint { Ok(()) } else { file::remove(&self.checkpoint()) }
    }

    /// Writes the spec of the run that begins.
    pub(crate) fn write_spec(&self, text: &str) -> Result<()> {
        file::write(&self.path.join(SPEC_FILE), text.as_bytes())
    }

    /// A spec that no run has written is not replaced.
    fn check_spec(&self) -> Result<()> {
        let path = self.path.join(SPEC_FILE);
        if file::is_there(&path)? && !is_of_run(&path)? {
            let why = "a spec of your own lies where the run would write its own; name another folder \
                       with --out";
            return Err(Error::file(path, std::io::Error::new(ErrorKind::AlreadyExists, why)));
        }
        Ok(())
    }
}

/// Whether a spec is one that a run has written.
fn is_of_run(path: &Path) -> Result<bool> {
    Ok(file::read(path, limits::SPEC, |_, _| Ok(()))?.starts_with(SPEC_HEAD.as_bytes()))
}
