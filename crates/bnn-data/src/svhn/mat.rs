//! The two arrays of a file of SVHN, which is a MAT file of version 5.
//!
//! Such a file is a header of 128 bytes and elements: a tag (type and length, little-endian u32) and
//! data, filled up to 8 bytes; up to 4 bytes of data lie in the tag itself. An element is an array, or
//! one compressed with zlib. An array is elements again: flags with its class, dimensions, name, and
//! the numbers, the first dimension fastest ("MAT-File Format", The MathWorks).

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::ZlibDecoder;

use super::{CLASSES, IMAGE};
use crate::gzip::{self, Bounded};
use crate::source::{Fault, Parsed, Source};
use crate::{Result, limits};

/// Types of elements.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Classes of arrays.
const CLASS_DOUBLE: u8 = 6;
const CLASS_UINT8: u8 = 9;

/// The longest name or list of dimensions that is read.
const SHORT: u32 = 64;

/// Appends the images of `X` to `pixels` and returns the digits of `y`, as many.
///
/// An image is its channels, each its columns, each its rows: as it lies in the file.
///
/// # Errors
/// [`Error::File`] if the file cannot be read, [`Error::Damaged`] if it is no MAT file of version 5
/// with these two arrays, naming the byte; in a compressed array, its beginning and the byte of what
/// it unpacks to.
pub(super) fn read(path: &Path, pixels: &mut Vec<u8>) -> Result<Vec<u8>> {
    parse(BufReader::new(gzip::open(path)?), pixels).map_err(|fault| fault.of(path))
}

/// The same of bytes.
pub(super) fn parse(reader: impl BufRead, pixels: &mut Vec<u8>) -> Parsed<Vec<u8>> {
    let mut source = Source::new(reader);
    let before = pixels.len();
    let mut arrays = Arrays { pixels, images: false, labels: None };
    let labels = arrays.read(&mut source)?;
    let images = (arrays.pixels.len() - before) / IMAGE;
    if labels.len() != images {
        let why = format!("{} labels, but {images} images", labels.len());
        return Err(Fault::Bad(source.offset, why));
    }
    Ok(labels)
}

/// What is looked for.
struct Arrays<'a> {
    pixels: &'a mut Vec<u8>,
    images: bool,
    labels: Option<Vec<u8>>,
}

impl Arrays<'_> {
    fn read<R: BufRead>(&mut self, source: &mut Source<R>) -> Parsed<Vec<u8>> {
        header(source)?;
        loop {
            if self.images
                && let Some(labels) = self.labels.take()
            {
                return Ok(labels);
            }
            let lacks = if self.images { "y" } else { "X" };
            let ended = source.reader.fill_buf().map(<[u8]>::is_empty);
            if ended.map_err(|error| source.fault(error))? {
                let why = format!("the file ends here, without the array `{lacks}`");
                return Err(Fault::Bad(source.offset, why));
            }
            self.element(source)?;
        }
    }

    /// Reads an element of the file.
    fn element<R: BufRead>(&mut self, source: &mut Source<R>) -> Parsed<()> {
        let at = source.offset;
        let Tag { kind, size, .. } = tag(source)?;
        let end = at + 8 + u64::from(size);
        match kind {
            MATRIX => self.array(source)?,
            COMPRESSED => {
                let packed = ZlibDecoder::new((&mut source.reader).take(size.into()));
                let most = limits::unpacked(size.into());
                let mut inner = Source::new(Bounded::new("compression", packed, most));
                self.unpacked(&mut inner).map_err(|fault| fault.within(at))?;
                source.offset = end - inner.reader.into_inner().into_inner().limit();
            }
            // A file with holes is full of them.
            0 => return Err(Fault::Bad(at, "an element of type 0, which there is not".into())),
            _ => {}
        }
        if source.offset > end {
            return Err(Fault::Bad(at, format!("an array is longer than its {size} bytes")));
        }
        source.skip(end - source.offset)
    }

    /// Reads the one element that a compressed one unpacks to, to its end: there is its checksum.
    fn unpacked<R: Read>(&mut self, source: &mut Source<R>) -> Parsed<()> {
        let Tag { kind, .. } = tag(source)?;
        if kind != MATRIX {
            return Err(Fault::Bad(0, format!("an element of type {kind}, not an array")));
        }
        self.array(source)?;
        io::copy(&mut source.reader, &mut io::sink()).map_err(|error| source.fault(error))?;
        Ok(())
    }

    fn array<R: Read>(&mut self, source: &mut Source<R>) -> Parsed<()> {
        let at = source.offset;
        let flags = short(source, UINT32, "flags")?;
        let dims = short(source, INT32, "dimensions")?;
        let dims: Vec<_> = dims.chunks_exact(4).map(little).collect();
        let name = short(source, INT8, "a name")?;
        let class = flags.first().copied().unwrap_or(0);
        match (&*name, class) {
            (b"X", _) if self.images => Err(Fault::Bad(at, "a second array `X`".into())),
            (b"y", _) if self.labels.is_some() => Err(Fault::Bad(at, "a second array `y`".into())),
            (b"X", CLASS_UINT8) => self.images(source, &dims),
            (b"y", CLASS_UINT8 | CLASS_DOUBLE) => self.labels(source, &dims),
            (b"X" | b"y", _) => {
                let name = String::from_utf8_lossy(&name);
                Err(Fault::Bad(at, format!("`{name}` is of class {class}, not of bytes (uint8)")))
            }
            _ => Ok(()), // the caller skips it
        }
    }

    fn images<R: Read>(&mut self, source: &mut Source<R>, dims: &[u32]) -> Parsed<()> {
        let at = source.offset;
        let &[32, 32, 3, count @ 1..=u32::MAX] = dims else {
            return Err(Fault::Bad(at, format!("`X` is of {dims:?}, not of [32, 32, 3, images]")));
        };
        let Tag { kind, size, .. } = tag(source)?;
        let want = u64::from(count) * IMAGE as u64;
        if (kind, u64::from(size)) != (UINT8, want) {
            let why = format!("`X` is {size} bytes of type {kind}, not {want} of type {UINT8}");
            return Err(Fault::Bad(at, why));
        }
        padded(source, self.pixels, size)?;
        self.images = true;
        Ok(())
    }

    fn labels<R: Read>(&mut self, source: &mut Source<R>, dims: &[u32]) -> Parsed<()> {
        let at = source.offset;
        let &[count, 1] = dims else {
            return Err(Fault::Bad(at, format!("`y` is of {dims:?}, not of [images, 1]")));
        };
        let tag = tag(source)?;
        let width = match tag.kind {
            UINT8 => 1,
            DOUBLE => 8,
            kind => return Err(Fault::Bad(at, format!("the labels are of type {kind}"))),
        };
        if u64::from(tag.size) != u64::from(count) * width as u64 {
            let why = format!("{count} labels of {width} bytes are not {} bytes", tag.size);
            return Err(Fault::Bad(at, why));
        }
        let mut bytes = Vec::new();
        match tag.inside {
            Some(inside) => bytes.extend_from_slice(&inside[..tag.size as usize]),
            None => padded(source, &mut bytes, tag.size)?,
        }
        let digits = bytes.chunks_exact(width).enumerate().map(|(number, bytes)| {
            let why = || format!("label {number} is no digit from 1 to 10 ({bytes:?})");
            digit(bytes).ok_or_else(|| Fault::Bad(at, why()))
        });
        self.labels = Some(digits.collect::<Parsed<_>>()?);
        Ok(())
    }
}

/// The digit of a label, 10 being 0.
fn digit(bytes: &[u8]) -> Option<u8> {
    let label = match *bytes {
        [byte] => f64::from(byte),
        _ => f64::from_le_bytes(bytes.try_into().ok()?),
    };
    let digit = (1..=CLASSES as u8).find(|&digit| f64::from(digit) == label)?;
    Some(digit % CLASSES as u8)
}

/// Checks version and byte order.
fn header<R: Read>(source: &mut Source<R>) -> Parsed<()> {
    let head: [u8; 128] = source.array()?;
    let [.., major, minor, first, second] = head;
    let is_fifth = [major, minor, first, second] == [0, 1, b'I', b'M'];
    if !is_fifth && looks_like_fourth(&head) {
        let why = "looks like a MAT file of version 4, which holds no images of colours; take the \
                   published file, or save the arrays in version 5 (-v6 or -v7)";
        return Err(Fault::Bad(0, why.into()));
    }
    let why = match [major, minor, first, second] {
        [0, 1, b'I', b'M'] => return Ok(()),
        [_, 2, b'I', b'M'] => {
            "a MAT file of version 7.3 (HDF5), not of version 5; save it with -v7".into()
        }
        [1, 0, b'M', b'I'] => "a MAT file of big-endian numbers, not of little-endian ones".into(),
        other => format!("a MAT file of version 5 has [0, 1, 73, 77] here, not {other:?}"),
    };
    Err(Fault::Bad(124, why))
}

/// Whether a file begins with an array as version 4 writes it, without a header: a type (byte order,
/// precision and kind as the digits of a number), rows, columns, whether there are imaginary parts, and
/// the length of a name, all u32 in the byte order that the type tells.
fn looks_like_fourth(head: &[u8; 128]) -> bool {
    let sane = |big: bool, number: fn([u8; 4]) -> u32| {
        let [kind, rows, columns, imaginary, name] =
            std::array::from_fn(|at| number([0, 1, 2, 3].map(|byte| head[4 * at + byte])));
        let digits = (kind / 1000, kind / 100 % 10, kind / 10 % 10, kind % 10);
        let typed = matches!(digits, (order, 0, 0..=5, 0..=2) if order == u32::from(big));
        typed && rows > 0 && columns > 0 && imaginary <= 1 && (2..=SHORT).contains(&name)
    };
    sane(false, u32::from_le_bytes) || sane(true, u32::from_be_bytes)
}

fn little(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

/// What an element begins with.
struct Tag {
    kind: u32,
    /// Bytes of data.
    size: u32,
    /// The data, if it lies in the tag.
    inside: Option<[u8; 4]>,
}

fn tag<R: Read>(source: &mut Source<R>) -> Parsed<Tag> {
    let [a, b, c, d, inside @ ..]: [u8; 8] = source.array()?;
    let (kind, size) = (little(&[a, b]), little(&[c, d]));
    if size == 0 {
        return Ok(Tag { kind, size: little(&inside), inside: None });
    }
    if size > 4 {
        let why = format!("{size} bytes are too many for data in a tag");
        return Err(Fault::Bad(source.offset - 8, why));
    }
    Ok(Tag { kind, size, inside: Some(inside) })
}

/// The data of a short element of a type.
fn short<R: Read>(source: &mut Source<R>, want: u32, what: &str) -> Parsed<Vec<u8>> {
    let at = source.offset;
    let Tag { kind, size, inside } = tag(source)?;
    if kind != want || size > SHORT {
        let why = format!("{size} bytes of type {kind} instead of {what}, of type {want}");
        return Err(Fault::Bad(at, why));
    }
    let mut bytes = Vec::new();
    match inside {
        Some(inside) => bytes.extend_from_slice(&inside[..size as usize]),
        None => padded(source, &mut bytes, size)?,
    }
    Ok(bytes)
}

/// Appends the data of an element, and skips what fills it up to 8 bytes.
fn padded<R: Read>(source: &mut Source<R>, bytes: &mut Vec<u8>, size: u32) -> Parsed<()> {
    let size = u64::from(size);
    source.append(bytes, size)?;
    source.skip(size.next_multiple_of(8) - size)
}
