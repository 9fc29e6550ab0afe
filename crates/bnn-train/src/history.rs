//! The epochs of a run as lines of JSON, for whoever comes back to it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::folder::HISTORY_FILE;
use crate::report::EpochReport;
use crate::{Error, Result, file};

/// The file of a run's epochs: a line is added after every epoch.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    /// The file to add to; none where adding failed, so that it may end in half a line.
    open: Option<File>,
}

impl History {
    /// The file in the folder of a run, with the epochs that were done before.
    ///
    /// It is written anew: a run that was killed has told of epochs that its checkpoint has not seen.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn start(folder: &Path, epochs: &[EpochReport]) -> Result<Self> {
        let mut history = Self { path: folder.join(HISTORY_FILE), open: None };
        history.rewrite(epochs)?;
        Ok(history)
    }

    /// Adds the last of the epochs; all, if an earlier one could not be added.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn add(&mut self, epochs: &[EpochReport]) -> Result<()> {
        let (Some(open), Some(last)) = (&mut self.open, epochs.last()) else {
            return self.rewrite(epochs);
        };
        let line = lines(std::slice::from_ref(last));
        open.write_all(line.as_bytes()).map_err(|source| {
            self.open = None;
            Error::file(&self.path, file::remedied(source))
        })
    }

    /// Makes sure that every epoch is in the file.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn end(&mut self, epochs: &[EpochReport]) -> Result<()> {
        if self.open.is_some() { Ok(()) } else { self.rewrite(epochs) }
    }

    fn rewrite(&mut self, epochs: &[EpochReport]) -> Result<()> {
        file::write(&self.path, lines(epochs).as_bytes())?;
        let open = OpenOptions::new().append(true).open(&self.path);
        self.open = Some(open.map_err(|source| Error::file(&self.path, file::remedied(source)))?);
        Ok(())
    }
}

fn lines(epochs: &[EpochReport]) -> String {
    epochs.iter().map(|epoch| format!("{}\n", epoch.to_json())).collect()
}
