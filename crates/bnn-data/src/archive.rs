//! What a tar archive holds, plain or compressed with gzip.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use tar::{Archive, EntryType};

use crate::gzip::{self, is_damage};
use crate::{Error, Result};

/// An archive is a sequence of blocks of so many bytes; the first one describes a file.
const BLOCK: u64 = 512;

/// What is said of a file whose first block describes none.
const NO_ARCHIVE: &str = "no tar archive, compressed with gzip or not, or a damaged one";

/// An archive ends with two blocks of zeros; without them it was cut off.
const END: u64 = 2 * BLOCK;

/// A file of a folder or an archive.
pub(crate) struct Entry {
    /// Its place, with `/` between folders.
    pub(crate) place: String,
    /// What it holds.
    pub(crate) bytes: Vec<u8>,
}

/// All that a folder or an archive holds.
#[derive(Default)]
pub(crate) struct Content {
    /// Places of folders.
    pub(crate) folders: Vec<String>,
    pub(crate) files: Vec<Entry>,
}

/// Reads all files of an archive; whether it is compressed is seen from its first bytes.
///
/// # Errors
/// [`Error::File`] if it cannot be read, [`Error::Damaged`] if it is no whole archive,
/// [`Error::Entry`] for links and the like.
pub(crate) fn read(path: &Path) -> Result<Content> {
    let reader = gzip::open(path).map_err(|source| Error::file(path, source))?;
    let mut archive = Archive::new(Counted { reader, count: 0, zeros: 0 });
    let content = entries(path, &mut archive);
    let mut reader = archive.into_inner();
    match content {
        Ok(content) => {
            // The rest holds nothing, but is checked: gzip has its checksum at the end.
            io::copy(&mut reader, &mut io::sink()).map_err(|error| reader.fault(path, error))?;
            reader.check_end(path)?;
            Ok(content)
        }
        Err(Trouble::Entry(error)) => Err(error),
        Err(Trouble::Archive(error)) => Err(reader.fault(path, error)),
    }
}

enum Trouble {
    /// An entry is at fault.
    Entry(Error),
    /// The archive is.
    Archive(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Archive(error)
    }
}

fn entries(path: &Path, archive: &mut Archive<Counted>) -> std::result::Result<Content, Trouble> {
    let mut content = Content::default();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let place = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let names: Vec<_> = place.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        if names.is_empty() || names.iter().any(|name| name.starts_with('.')) {
            continue;
        }
        let place = names.join("/");
        match entry.header().entry_type() {
            EntryType::Directory => content.folders.push(place),
            EntryType::Regular | EntryType::Continuous => {
                let (mut bytes, size) = (Vec::new(), entry.size());
                entry.read_to_end(&mut bytes)?;
                if (bytes.len() as u64) < size {
                    let why = format!("{place} ends after {} of {size} bytes", bytes.len());
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, why).into());
                }
                content.files.push(Entry { place, bytes });
            }
            EntryType::XGlobalHeader => {}
            other => {
                let why = format!("neither a file nor a folder, but {other:?}");
                return Err(Trouble::Entry(Error::entry(path, place, why)));
            }
        }
    }
    Ok(content)
}

/// Counts what is read.
struct Counted {
    reader: Box<dyn Read>,
    /// Bytes read.
    count: u64,
    /// Zeros at the end of them.
    zeros: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.count += count as u64;
        match buffer[..count].iter().rposition(|&byte| byte != 0) {
            Some(last) => self.zeros = (count - 1 - last) as u64,
            None => self.zeros += count as u64,
        }
        Ok(count)
    }
}

impl Counted {
    /// What an error means that came up here.
    fn fault(&self, path: &Path, error: io::Error) -> Error {
        // The reader of archives has no kind for what it finds.
        if error.kind() == ErrorKind::Other && self.count <= BLOCK {
            self.damaged(path, NO_ARCHIVE.into())
        } else if is_damage(&error) || error.kind() == ErrorKind::Other {
            // It may quote bytes that move a terminal's cursor.
            let text: String = error.to_string().chars().filter(|c| !c.is_control()).collect();
            self.damaged(path, format!("archive: {text}"))
        } else {
            Error::file(path, error)
        }
    }

    fn check_end(&self, path: &Path) -> Result<()> {
        if self.count == 0 {
            return Err(self.damaged(path, "the file is empty, an archive was expected".into()));
        }
        if self.zeros < END {
            let why = "the archive breaks off here: two blocks of zeros are its end";
            return Err(self.damaged(path, why.into()));
        }
        Ok(())
    }

    fn damaged(&self, path: &Path, why: String) -> Error {
        Error::Damaged { path: path.into(), offset: self.count, why }
    }
}
