//! Bytes with their place, as readers of formats take them.

use std::io::{self, Read};
use std::path::Path;

use crate::Error;
use crate::gzip::is_damage;

/// Why a file cannot be read.
pub(crate) enum Fault {
    /// The byte at fault, and why.
    Bad(u64, String),
    /// The system failed.
    System(io::Error),
}

/// What is read, or why not.
pub(crate) type Parsed<T> = std::result::Result<T, Fault>;

impl Fault {
    /// The same in a compressed element that begins at a byte of the file.
    pub(crate) fn within(self, at: u64) -> Self {
        match self {
            Self::Bad(offset, why) => {
                Self::Bad(at, format!("byte {offset} of what is compressed here: {why}"))
            }
            Self::System(error) => Self::System(error),
        }
    }

    /// The error of a file.
    pub(crate) fn of(self, path: &Path) -> Error {
        match self {
            Self::Bad(offset, why) => Error::Damaged { path: path.into(), offset, why },
            Self::System(source) => Error::file(path, source),
        }
    }
}

/// Bytes with their place.
pub(crate) struct Source<R> {
    pub(crate) reader: R,
    /// Bytes read so far.
    pub(crate) offset: u64,
}

impl<R: Read> Source<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, offset: 0 }
    }

    /// The next bytes: `count`, or fewer at the end.
    pub(crate) fn up_to(&mut self, count: u64) -> Parsed<Vec<u8>> {
        let mut bytes = Vec::new();
        self.fill(&mut bytes, count)?;
        Ok(bytes)
    }

    /// The next bytes.
    pub(crate) fn array<const COUNT: usize>(&mut self) -> Parsed<[u8; COUNT]> {
        let mut bytes = Vec::with_capacity(COUNT);
        self.append(&mut bytes, COUNT as u64)?;
        Ok(bytes.try_into().map_err(|_| ()).expect("so many were read"))
    }

    /// Appends the next bytes, in room for just as many.
    pub(crate) fn append(&mut self, bytes: &mut Vec<u8>, count: u64) -> Parsed<()> {
        // Room that is never written to takes no memory, so that a wrong length costs nothing.
        let room = usize::try_from(count).ok().and_then(|n| bytes.try_reserve_exact(n).ok());
        room.ok_or_else(|| Fault::Bad(self.offset, format!("no memory for {count} bytes")))?;
        let got = self.fill(bytes, count)?;
        self.check(got, count)
    }

    /// Goes on behind the next bytes.
    pub(crate) fn skip(&mut self, count: u64) -> Parsed<()> {
        let skipped = io::copy(&mut self.reader.by_ref().take(count), &mut io::sink());
        let skipped = skipped.map_err(|error| self.fault(error))?;
        self.offset += skipped;
        self.check(skipped, count)
    }

    /// What an error means that came up here.
    pub(crate) fn fault(&self, error: io::Error) -> Fault {
        if is_damage(&error) {
            Fault::Bad(self.offset, error.to_string())
        } else {
            Fault::System(error)
        }
    }

    fn fill(&mut self, bytes: &mut Vec<u8>, count: u64) -> Parsed<u64> {
        let before = bytes.len();
        let read = self.reader.by_ref().take(count).read_to_end(bytes);
        let got = (bytes.len() - before) as u64;
        self.offset += got;
        read.map_err(|error| self.fault(error))?;
        Ok(got)
    }

    fn check(&self, got: u64, want: u64) -> Parsed<()> {
        if got < want {
            let why = format!("the data ends here, {} more bytes were expected", want - got);
            return Err(Fault::Bad(self.offset, why));
        }
        Ok(())
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.offset += count as u64;
        Ok(count)
    }
}
