//! Files that may be compressed with gzip, seen from their first bytes.

use std::io::{self, BufRead, BufReader, Error as IoError, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::{Error, Result, limits, regular};

/// What a regular file holds, unpacked while it is read; its name does not tell whether it is
/// compressed.
///
/// # Errors
/// As [`regular::open`], for a file of more than [`limits::DATA_SET`], and for one that cannot be read.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let (file, size) = regular::open_within(path, limits::DATA_SET)?;
    unpack(BufReader::new(file), size).map_err(|source| Error::file(path, source))
}

/// What is read, unpacked if it is compressed; it has `size` bytes.
pub(crate) fn unpack<'a>(
    mut reader: impl BufRead + 'a,
    size: u64,
) -> io::Result<Box<dyn Read + 'a>> {
    let packed = reader.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    if !packed {
        return Ok(Box::new(reader));
    }
    Ok(Box::new(Bounded::new("gzip", MultiGzDecoder::new(reader), limits::unpacked(size))))
}

/// Whether the file's bytes are at fault, and not the system.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof
    )
}

/// What is unpacked, up to a number of bytes; behind them reading fails, unless it ends there.
pub(crate) struct Bounded<R> {
    /// How it is packed, for errors.
    packing: &'static str,
    reader: R,
    most: u64,
    left: u64,
}

impl<R: Read> Bounded<R> {
    pub(crate) fn new(packing: &'static str, reader: R, most: u64) -> Self {
        Self { packing, reader, most, left: most }
    }

    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    fn damage(&self, why: impl std::fmt::Display) -> IoError {
        IoError::new(ErrorKind::InvalidData, format!("{}: {why}", self.packing))
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // One byte more than may come tells what is too long.
        let most = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX);
        let room = buffer.len().min(most);
        let count = match self.reader.read(&mut buffer[..room]) {
            Err(error) if is_damage(&error) => return Err(self.damage(error)),
            read => read?,
        };
        let Some(left) = self.left.checked_sub(count as u64) else {
            let most = self.most;
            return Err(self.damage(format!("unpacks to more than {most} bytes, its limit")));
        };
        self.left = left;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::repeat;

    use super::*;

    #[test]
    fn what_unpacks_without_end_stops_at_its_limit() {
        let read = |size: u64, most| {
            let mut bytes = Vec::new();
            let done = Bounded::new("gzip", repeat(7).take(size), most).read_to_end(&mut bytes);
            (bytes.len(), done.map_err(|error| error.to_string()))
        };
        assert_eq!(read(1000, 1000), (1000, Ok(1000)));
        let why = "gzip: unpacks to more than 1000 bytes, its limit";
        let (got, refused) = read(u64::MAX, 1000);
        assert!(got <= 1000, "{got}");
        assert_eq!(refused, Err(why.into()));
    }
}
