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
    /// The file to add to, and the number of its lines; none where adding failed, so that it may end in
    /// half a line.
    open: Option<(File, usize)>,
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

    /// Adds those of the epochs that the file lacks.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn add(&mut self, epochs: &[EpochReport]) -> Result<()> {
        let Some((mut open, told)) = self.open.take() else { return self.rewrite(epochs) };
        let added = open.write_all(lines(&epochs[told..]).as_bytes());
        added.map_err(|source| Error::file(&self.path, file::remedied(source)))?;
        self.open = Some((open, epochs.len()));
        Ok(())
    }

    fn rewrite(&mut self, epochs: &[EpochReport]) -> Result<()> {
        file::write(&self.path, lines(epochs).as_bytes())?;
        let open = OpenOptions::new().append(true).open(&self.path);
        let open = open.map_err(|source| Error::file(&self.path, file::remedied(source)))?;
        self.open = Some((open, epochs.len()));
        Ok(())
    }
}

fn lines(epochs: &[EpochReport]) -> String {
    epochs.iter().map(|epoch| format!("{}\n", epoch.to_json())).collect()
}
