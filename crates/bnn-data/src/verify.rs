//! Whether the files of a data set are the published ones.

use std::path::{Path, PathBuf};

use crate::catalog::source;
use crate::published::{Published, PublishedFile};
use crate::{Error, Lookup, Result};

/// The files of a data set that were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Name of the data set.
    pub name: &'static str,
    /// The folder that holds all or some of the files, or else all folders that were looked into.
    pub looked: Vec<PathBuf>,
    /// The files; none if none are published.
    pub files: Vec<VerifiedFile>,
    /// How to get the data set.
    remedy: &'static str,
}

/// A file that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedFile {
    /// Its name, without the `.gz` that it may have.
    pub name: &'static str,
    /// Where it is; none if it is missing.
    pub path: Option<PathBuf>,
    /// What was found.
    pub state: FileState,
}

/// What was found of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It is the published one.
    Right,
    /// It is another one, for this reason.
    Wrong(String),
    /// It is not there.
    Missing,
}

/// Compares the files of the data set `name` with the published ones, by length and SHA-256.
///
/// # Errors
/// [`Error::Unknown`] if no data set has this name, [`Error::File`] if a file or a folder
/// cannot be read.
pub fn verify(name: &str, lookup: &Lookup) -> Result<Verified> {
    let source = source(name)?;
    match source.published {
        Some(published) => examine(source.name, published, lookup),
        None => Ok(Verified { name: source.name, looked: vec![], files: vec![], remedy: "" }),
    }
}

impl Verified {
    /// Whether the data set is whole and right.
    ///
    /// # Errors
    /// [`Error::Wrong`] for the first file that is another one; otherwise [`Error::Missing`] if a
    /// file is missing.
    pub fn result(&self) -> Result<()> {
        for file in &self.files {
            if let (Some(path), FileState::Wrong(why)) = (&file.path, &file.state) {
                return Err(Error::Wrong { path: path.clone(), why: why.clone() });
            }
        }
        if self.files.iter().any(|file| file.state == FileState::Missing) {
            let Self { name, looked, remedy, .. } = self;
            return Err(Error::Missing { name, looked: looked.clone(), remedy });
        }
        Ok(())
    }
}

fn examine(name: &'static str, published: &Published, lookup: &Lookup) -> Result<Verified> {
    let names = published.names();
    let nowhere = || {
        let folders = lookup.folders().into_iter().map(Path::to_path_buf).collect();
        (folders, vec![None; names.len()])
    };
    let (looked, paths) =
        lookup.holding(name, &names)?.map_or_else(nowhere, |(folder, paths)| (vec![folder], paths));
    let files = published.files.iter().zip(paths).map(|(file, path)| inspect(file, path));
    Ok(Verified { name, looked, files: files.collect::<Result<_>>()?, remedy: published.remedy })
}

fn inspect(file: &PublishedFile, path: Option<PathBuf>) -> Result<VerifiedFile> {
    let state = match &path {
        Some(path) => file.fault(path)?.map_or(FileState::Right, FileState::Wrong),
        None => FileState::Missing,
    };
    Ok(VerifiedFile { name: file.name, path, state })
}
