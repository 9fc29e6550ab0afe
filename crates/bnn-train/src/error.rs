//! What can go wrong between a spec and a trained network.

use std::path::PathBuf;

/// An error of training; every variant says where and why, [`Error::File`] with its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A backend refused or failed.
    #[error(transparent)]
    Backend(#[from] bnn_core::Error),
    /// A data set is absent or damaged.
    #[error(transparent)]
    Data(#[from] bnn_data::Error),
    /// A spec that cannot be trained.
    #[error("{place}: {why}")]
    Spec {
        /// File, table or key at fault.
        place: String,
        /// What is wrong, and what would be allowed.
        why: String,
    },
    /// A loss stopped being a number.
    #[error(
        "training diverged: the {of} loss is {loss} in epoch {epoch}, steps {first} to {last}; \
         lower the rate or look at the inputs"
    )]
    Diverged {
        /// Of which images: `training`, `validation` or `test`.
        of: &'static str,
        /// Epoch, counted from 1.
        epoch: usize,
        /// First step of the stretch that was read back.
        first: usize,
        /// Last step of it.
        last: usize,
        /// The sum of its losses, or the mean after it.
        loss: f64,
    },
    /// A file could not be read or written.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A run that takes more memory than is free.
    #[error("{job} takes about {needed} of memory, {free} are free: {remedy}")]
    Memory {
        /// What takes it.
        job: String,
        /// How much, with its unit.
        needed: String,
        /// How much there is, with its unit.
        free: String,
        /// What would take less.
        remedy: String,
    },
    /// Another run writes into the folder.
    #[error(
        "{}: another run is going on in this folder; wait until it is done, or name another folder",
        path.display()
    )]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A run is in the folder that a new one would overwrite.
    #[error(
        "{}: {what}; name another folder with --out, or replace that run with --force",
        path.display()
    )]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What there is of the run.
        what: String,
    },
    /// A checkpoint that does not belong to this run.
    #[error("{}: {why}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// A file of fitted preprocessing that is absent, damaged, or another one.
    #[error("{}: {why}", path.display())]
    Preprocess {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The run was asked to stop, and its checkpoint is written.
    #[error("interrupted in epoch {epoch}, step {step}")]
    Interrupted {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Steps done in it.
        step: usize,
    },
}

/// Result of training.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A fault of a spec at `place`, whose name may be a file's; `why` may have several lines.
    pub fn spec(place: impl ToString, why: impl ToString) -> Self {
        let place = bnn_core::plain(&place.to_string()).into_owned();
        Self::Spec { place, why: why.to_string() }
    }

    /// A file that could not be read or written.
    pub fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File { path: path.into(), source }
    }
}
