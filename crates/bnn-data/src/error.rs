//! What can be wrong with a data set, and where.

use std::path::{Path, PathBuf};

/// An error of a data set; every variant says where and why, [`Error::File`] with its source.
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
    #[error("{}", path.display())]
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
    /// Something within a folder or an archive is not what it should be.
    #[error("{}, {entry}: {why}", path.display())]
    Entry {
        /// The folder or the archive.
        path: PathBuf,
        /// What is at fault, by its place within.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file is no picture that can be used.
    #[error("{}: {why}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A file is whole but not the published one.
    #[error("{}: {why}; remove it and fetch it again", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// How it differs from the published one.
        why: String,
    },
    /// There is no folder to put a fetched data set into.
    #[error(
        "no folder to put data set `{name}` into, as none is named and there is no home; \
        name one with --data-dir or BNN_DATA"
    )]
    NoFolder {
        /// Name of the data set.
        name: &'static str,
    },
    /// No server is known to publish a data set.
    #[error("data set `{name}` cannot be fetched without --mirror; {remedy}")]
    NoMirror {
        /// Name of the data set.
        name: &'static str,
        /// How to get the data set.
        remedy: &'static str,
    },
    /// No mirror gave a file.
    #[cfg(feature = "download")]
    #[error(
        "cannot fetch {file}: {}; {}",
        crate::download::list(failures),
        crate::download::advice(kept)
    )]
    Download {
        /// Name of the file.
        file: String,
        /// What went wrong at every mirror, in the order of the tries.
        failures: Vec<crate::download::Failure>,
        /// Where what arrived is kept, if anything did.
        kept: Option<PathBuf>,
    },
    /// Pixels, labels and sizes that do not fit together.
    #[error("images: {why}")]
    Images {
        /// What does not fit.
        why: String,
    },
    /// Preprocessing that the images do not allow.
    #[error("preprocess, `{step}`: {why}")]
    Preprocess {
        /// The step.
        step: String,
        /// What is wrong, and what to do.
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
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.into(), source }
    }

    /// What is wrong with an entry, whose name may have been made to move a terminal's cursor.
    pub(crate) fn entry(path: &Path, entry: impl Into<String>, why: String) -> Self {
        Self::Entry { path: path.into(), entry: plain(&entry.into()), why: plain(&why) }
    }

    pub(crate) fn images(why: String) -> Self {
        Self::Images { why }
    }
}

/// A text whose control characters, and those that turn the direction of writing or break lines, are
/// spelled out, as by `bnn_core::plain`.
fn plain(text: &str) -> String {
    let moves = |c: char| {
        let turns = matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        c.is_control() || turns
    };
    let spell = |c: char| if moves(c) { c.escape_default().to_string() } else { c.into() };
    text.chars().map(spell).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_entries_move_no_cursor() {
        let error = Error::entry(Path::new("a.tar"), "\u{1b}[2J\u{202e}gpj", "貓 is bad\n".into());
        assert_eq!(error.to_string(), r"a.tar, \u{1b}[2J\u{202e}gpj: 貓 is bad\n");
    }
}
