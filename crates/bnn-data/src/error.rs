//! What can be wrong with a data set, and where.

use std::path::PathBuf;

/// An error of a data set; every variant says where and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No data set has this name.
    #[error("no data set `{name}`; known are {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The files of a data set are in none of the folders where they may be.
    #[error("data set `{name}` is not in {}; {remedy}", list(looked))]
    Missing {
        /// Name of the data set.
        name: &'static str,
        /// The folders looked into.
        looked: Vec<PathBuf>,
        /// How to get the data set.
        remedy: &'static str,
    },
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}, byte {offset}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file; in compressed files, where in what they unpack to.
        offset: u64,
        /// What is wrong there.
        why: String,
    },
    /// Pixels, labels and sizes that do not fit together.
    #[error("images: {why}")]
    Images {
        /// What does not fit.
        why: String,
    },
    /// Batches that the images cannot give.
    #[error("batches of {batch} from step {start} on, of {images} images: {why}")]
    Batches {
        /// Images in a batch.
        batch: usize,
        /// First step.
        start: usize,
        /// Images there are.
        images: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// The system gave no thread to prepare batches on.
    #[error("no thread to prepare batches on: {0}")]
    Thread(std::io::Error),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn images(why: String) -> Self {
        Self::Images { why }
    }
}

fn list(folders: &[PathBuf]) -> String {
    let folders = folders.iter().map(|folder| folder.display().to_string());
    let folders = folders.collect::<Vec<_>>().join(", ");
    if folders.is_empty() {
        "any folder, as none is named and there is no home".into()
    } else {
        folders
    }
}
