//! The members of tar archives, one behind the other, with names of any make.
//!
//! An archive is a sequence of blocks. The first one of a member describes it, its content follows;
//! two blocks of zeros are the end. A name that does not fit there is the content of a member before
//! it, in GNU's way or that of POSIX (PAX). The library reads such a name whole, however long it is
//! said to be, and stops at the first end: hence the blocks here, and the library for what is in one.

use std::io::{self, Error as IoError, ErrorKind, Read};

use tar::{EntryType, Header};

use crate::limits;
use crate::source::{Fault, Parsed, Source};

/// Bytes of a block.
const BLOCK: u64 = 512;

/// Zeros at the end of an archive; without them it was cut off.
const END: u64 = 2 * BLOCK;

/// What is said of a file whose first block describes no member.
const NO_ARCHIVE: &str = "no tar archive, compressed with gzip or not, or a damaged one";

const BREAKS_OFF: &str = "the archive breaks off here: two blocks of zeros are its end";

/// What a block describes.
pub(super) struct Member {
    /// Its place, which need not be text.
    pub(super) name: Vec<u8>,
    pub(super) kind: EntryType,
    pub(super) size: u64,
}

/// The members of an archive, and of those that follow it.
pub(super) struct Members<R> {
    source: Source<R>,
    /// Where the next block with a description may lie.
    next: u64,
    /// Zeros since the last member.
    zeros: u64,
}

/// What a member says of the next one.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<R: Read> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { source: Source::new(reader), next: 0, zeros: 0 }
    }

    /// The next member; none at the end.
    pub(super) fn next(&mut self) -> Parsed<Option<Member>> {
        let mut ahead = Ahead::default();
        loop {
            self.source.skip(self.next - self.source.offset)?;
            let Some(header) = self.header()? else { return Ok(None) };
            let at = self.source.offset - BLOCK;
            let bad = |why: &str| Fault::Bad(at, why.into());
            let size = header.entry_size().map_err(|_| bad("archive: a size that is no number"))?;
            let end = size.checked_next_multiple_of(BLOCK);
            let next = end.and_then(|size| self.source.offset.checked_add(size));
            self.next = next.ok_or_else(|| bad("archive: a size beyond all files"))?;
            match header.entry_type() {
                EntryType::GNULongName => ahead.name = Some(self.name(size)?),
                EntryType::XHeader => self.records(size, &mut ahead)?,
                // The target of a link, and what holds for all members: no names.
                EntryType::GNULongLink | EntryType::XGlobalHeader => {}
                _ if ahead.size.is_some_and(|ahead| ahead != size) => {
                    return Err(bad(
                        "archive: a file of gigabytes or with gaps, by its PAX header",
                    ));
                }
                kind => return Ok(Some(member(&header, kind, size, ahead.name))),
            }
        }
    }

    /// The content of the member that came last.
    pub(super) fn content(&mut self, size: u64) -> Whole<'_, R> {
        Whole { reader: &mut self.source, left: size }
    }

    /// What an error means that came up in a content.
    pub(super) fn fault(&self, error: IoError) -> Fault {
        self.source.fault(error)
    }

    /// The next block that describes something; none at the end of the file.
    fn header(&mut self) -> Parsed<Option<Header>> {
        loop {
            let at = self.source.offset;
            let block = self.source.up_to(BLOCK)?;
            let whole = block.len() as u64 == BLOCK;
            if block.iter().all(|&byte| byte == 0) {
                self.zeros += block.len() as u64;
                if !whole {
                    return self.end().map(|()| None);
                }
                self.next = self.source.offset;
                self.check_zeros()?;
                continue;
            }
            let mut header = Header::new_old();
            if whole {
                header.as_mut_bytes().copy_from_slice(&block);
            }
            return match whole && is_sound(&header) {
                true => {
                    self.zeros = 0;
                    Ok(Some(header))
                }
                false => Err(self.no_header(at, whole)),
            };
        }
    }

    /// The end is filled up with some kB, and a file with holes has zeros without end.
    fn check_zeros(&self) -> Parsed<()> {
        if self.zeros > limits::ZEROS {
            let why = format!("archive: more than {} bytes of zeros", limits::ZEROS);
            return Err(Fault::Bad(self.source.offset - self.zeros, why));
        }
        Ok(())
    }

    /// Why a block that is not of zeros describes nothing.
    fn no_header(&self, at: u64, whole: bool) -> Fault {
        let end = self.source.offset;
        match (at, whole) {
            (0, true) => Fault::Bad(0, NO_ARCHIVE.into()),
            (0, false) => Fault::Bad(end, NO_ARCHIVE.into()),
            _ if self.zeros >= END => {
                Fault::Bad(at, "what lies behind the end of the archive is no archive".into())
            }
            (_, true) => {
                Fault::Bad(at, "archive: the checksum of a member's header is wrong".into())
            }
            (_, false) => Fault::Bad(end, BREAKS_OFF.into()),
        }
    }

    fn end(&self) -> Parsed<()> {
        let offset = self.source.offset;
        if offset == 0 {
            return Err(Fault::Bad(0, "the file is empty, an archive was expected".into()));
        }
        if self.zeros < END {
            return Err(Fault::Bad(offset, BREAKS_OFF.into()));
        }
        Ok(())
    }

    /// The content of a member that is the name of the next one.
    fn name(&mut self, size: u64) -> Parsed<Vec<u8>> {
        let mut name = self.short(size)?;
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    fn short(&mut self, size: u64) -> Parsed<Vec<u8>> {
        if size > limits::NAME {
            let why = format!("archive: a name of {size} bytes, more than {}", limits::NAME);
            return Err(Fault::Bad(self.source.offset, why));
        }
        let mut bytes = Vec::new();
        self.source.append(&mut bytes, size)?;
        Ok(bytes)
    }

    /// Reads what a PAX header says of name and size of the next member.
    fn records(&mut self, size: u64, ahead: &mut Ahead) -> Parsed<()> {
        let at = self.source.offset;
        let bytes = self.short(size)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (key, value, behind) = record(rest)
                .ok_or_else(|| Fault::Bad(at, "archive: a PAX header that is none".into()))?;
            match key {
                b"path" => ahead.name = Some(value.into()),
                // Its digits; a size that is none of them is as wrong as another one.
                b"size" | b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    ahead.size = Some(size.unwrap_or(u64::MAX));
                }
                _ => {}
            }
            rest = behind;
        }
        Ok(())
    }
}

/// The first record of a PAX header, `LENGTH KEY=VALUE` and a line's end: its key, its value, and what
/// lies behind it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let text = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|&byte| byte == b'=')?;
    Some((&text[..equals], &text[equals + 1..], rest))
}

fn member(header: &Header, kind: EntryType, size: u64, name: Option<Vec<u8>>) -> Member {
    let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
    // As the oldest archives have folders.
    let folder = kind == EntryType::Regular && name.ends_with(b"/");
    Member { name, kind: if folder { EntryType::Directory } else { kind }, size }
}

/// Whether a header's checksum is right; whatever is fuzzed has none.
fn is_sound(header: &Header) -> bool {
    if cfg!(fuzzing) {
        return true;
    }
    let mut again = header.clone();
    again.set_cksum();
    matches!((header.cksum(), again.cksum()), (Ok(told), Ok(right)) if told == right)
}

/// So many bytes, and an error where there are fewer.
pub(super) struct Whole<'a, R> {
    reader: &'a mut Source<R>,
    left: u64,
}

impl<R: Read> Read for Whole<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.by_ref().take(self.left).read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(IoError::new(ErrorKind::UnexpectedEof, BREAKS_OFF));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
