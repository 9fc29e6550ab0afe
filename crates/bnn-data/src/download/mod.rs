//! Fetches the files of data sets from the servers that publish them.
//!
//! Nothing else in this crate touches the network, and nothing here does so unasked.
//! A file gets its name when it is whole and known to be right. Until then it is `NAME.part` in the
//! same folder, and the next call goes on where the last one was cut off.

mod http;
mod part;
mod transfer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::catalog::source;
use crate::lookup::find;
use crate::published::{Published, PublishedFile};
use crate::{Error, Lookup, Result};

use http::Client;
use part::{Lock, Part};
use transfer::{Transfer, Trouble};

/// How to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Addresses of folders (`http` or `https`) that hold the files, in the order in which they are
    /// tried; those known for the data set if there are none.
    pub mirrors: Vec<String>,
    /// Longest time to find a server and to connect to it.
    pub connect: Duration,
    /// Longest time without any byte, and for every 64 KiB.
    pub read: Duration,
}

impl Default for Options {
    /// The known mirrors, 10 seconds to connect, 30 seconds to read.
    fn default() -> Self {
        Self { mirrors: vec![], connect: Duration::from_secs(10), read: Duration::from_secs(30) }
    }
}

/// Hears how a download goes on.
pub trait Observer {
    /// More of a file has arrived.
    fn progress(&mut self, _progress: &Progress<'_>) {}

    /// A mirror failed, and the next one is tried if there is one.
    fn failed(&mut self, _failure: &Failure) {}
}

impl Observer for () {}

/// How much of a file has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Bytes that are here, those of an earlier call included.
    pub received: u64,
    /// Bytes of the whole file, if the server tells.
    pub total: Option<u64>,
}

/// What went wrong at a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Address of the file.
    pub url: String,
    /// The reason.
    pub why: String,
}

/// A data set whose files are here, whole and right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Name of the data set.
    pub name: &'static str,
    /// The folder of its files; none if no files of it are published.
    pub folder: Option<PathBuf>,
    /// Its files.
    pub files: Vec<FetchedFile>,
}

/// A file that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedFile {
    /// Where it is.
    pub path: PathBuf,
    /// The address that it came from; none if it was here before.
    pub from: Option<String>,
}

/// Fetches those files of the data set `name` that are not in its folder.
///
/// The folder is the subfolder `name` of the first folder that `lookup` looks into, or that folder
/// itself if files of the set lie there already. One process at a time fetches into a folder.
///
/// # Errors
/// [`Error::Unknown`] if no data set has this name; [`Error::NoFolder`] if there is no folder;
/// [`Error::Wrong`] if a file is there that is not the published one, which is left as it is;
/// [`Error::Download`] if no mirror gives a file; [`Error::File`] if the folder or a file cannot be
/// written, or another process is fetching into the folder.
pub fn fetch(
    name: &str,
    lookup: &Lookup,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Fetched> {
    let source = source(name)?;
    let Some(published) = source.published else {
        return Ok(Fetched { name: source.name, folder: None, files: vec![] });
    };
    let folder = lookup.destination(source.name, &published.names())?;
    if published.mirrors.is_empty() && options.mirrors.is_empty() {
        let here = published.files.iter().map(|file| kept(&folder, file));
        let files = here.collect::<Result<Option<Vec<_>>>>()?;
        let (name, remedy) = (source.name, published.remedy);
        let files = files.ok_or(Error::NoMirror { name, remedy })?;
        return Ok(Fetched { name, folder: Some(folder), files });
    }
    let files = fetch_files(published, &folder, options, observer)?;
    Ok(Fetched { name: source.name, folder: Some(folder), files })
}

fn fetch_files(
    published: &Published,
    folder: &Path,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Vec<FetchedFile>> {
    let here = published.files.iter().map(|file| kept(folder, file));
    if let Some(files) = here.collect::<Result<Option<Vec<_>>>>()? {
        return Ok(files); // a complete folder may be read-only
    }
    let _lock = Lock::take(folder)?;
    let known = || published.mirrors.iter().map(|mirror| mirror.to_string()).collect();
    let mirrors = if options.mirrors.is_empty() { known() } else { options.mirrors.clone() };
    let mut job = Job { folder, mirrors, client: Client::new(options), observer };
    let mut file = |file| match kept(folder, file)? {
        Some(kept) => Ok(kept),
        None => job.file(file),
    };
    published.files.iter().map(&mut file).collect()
}

/// The file that is in the folder already, if it is the right one.
fn kept(folder: &Path, file: &PublishedFile) -> Result<Option<FetchedFile>> {
    let Some(path) = find(folder, file.name)? else { return Ok(None) };
    match file.fault(&path)? {
        Some(why) => Err(Error::Wrong { path, why }),
        None => Ok(Some(FetchedFile { path, from: None })),
    }
}

struct Job<'a> {
    folder: &'a Path,
    mirrors: Vec<String>,
    client: Client,
    observer: &'a mut dyn Observer,
}

impl Job<'_> {
    /// Fetches a file from the first mirror that has it.
    fn file(&mut self, file: &PublishedFile) -> Result<FetchedFile> {
        let name = format!("{}{}", file.name, file.suffix);
        let path = self.folder.join(&name);
        let mut part = Part::open(&path)?;
        let mut failures = Vec::new();
        for mirror in &self.mirrors {
            let url = format!("{}/{name}", mirror.trim_end_matches('/'));
            let (client, observer) = (&self.client, &mut *self.observer);
            match (Transfer { client, url: &url, file, name: &name, observer }).run(&mut part) {
                Ok(()) => {
                    part.publish(&path)?;
                    return Ok(FetchedFile { path, from: Some(url) });
                }
                Err(Trouble::Here(error)) => return Err(error),
                Err(Trouble::Server(why) | Trouble::Content(why)) => {
                    let failure = Failure { url, why };
                    self.observer.failed(&failure);
                    failures.push(failure);
                }
            }
        }
        Err(Error::Download { file: name, failures, kept: part.keep()? })
    }
}

/// The failures, for an error.
pub(crate) fn list(failures: &[Failure]) -> String {
    let failures = failures.iter().map(|Failure { url, why }| format!("{url}: {why}"));
    failures.collect::<Vec<_>>().join("; ")
}

/// What to do when no mirror gave a file.
pub(crate) fn advice(kept: &Option<PathBuf>) -> String {
    let go_on = kept.as_ref().map(|path| {
        format!("what arrived is kept in {}, and the same command goes on there", path.display())
    });
    go_on.unwrap_or_else(|| "try again later, or name another server with --mirror".into())
}
