//! Reader of IDX files of bytes, plain or compressed with gzip: the format of MNIST.
//!
//! A file is the bytes 0, 0, 8 (unsigned bytes), the number of dimensions, every dimension as a
//! big-endian u32, and the bytes, the last dimension fastest (LeCun, Cortes, Burges, 1998).

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::source::{Fault, Parsed, Source};
use crate::{Error, Result, gzip, limits};

/// An array of bytes with `D` dimensions, and the file that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx<const D: usize> {
    /// The file.
    pub path: PathBuf,
    /// Its dimensions; none is 0.
    pub dims: [usize; D],
    /// As many bytes as the product of the dimensions, the last dimension fastest.
    pub bytes: Vec<u8>,
}

impl<const D: usize> Idx<D> {
    /// Bytes in front of the array.
    const HEADER: usize = 4 + 4 * D;

    /// Reads a file; whether it is compressed is seen from its first bytes, not from its name.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read; [`Error::Damaged`] if it is not an IDX file of bytes
    /// with `D` dimensions, is empty, too short, too long, or badly compressed, or if its array is
    /// larger than [`limits::DATA_SET`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_reader(path, gzip::open(path)?)
    }

    /// Reads what lies in a file, unpacked; `path` is its name in errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_reader(path: &Path, reader: impl Read) -> Result<Self> {
        let parsed = Self::parse(&mut Source::new(reader)).map_err(|fault| fault.of(path));
        parsed.map(|(dims, bytes)| Self { path: path.into(), dims, bytes })
    }

    fn parse(source: &mut Source<impl Read>) -> Parsed<([usize; D], Vec<u8>)> {
        let dims = header(source)?;
        let size = dims.iter().try_fold(1_u64, |size, &dim| size.checked_mul(dim as u64));
        let Some(size) = size.filter(|&size| size <= limits::DATA_SET) else {
            return Err(Fault::Bad(4, format!("{dims:?} is too large an array")));
        };
        if let Some(axis) = dims.iter().position(|&dim| dim == 0) {
            return Err(Fault::Bad(4 + 4 * axis as u64, format!("dimension {axis} is 0")));
        }
        let bytes = source.up_to(size)?;
        let end = source.offset;
        if !source.up_to(1)?.is_empty() {
            let why = format!("there are bytes behind the end of the array of {dims:?}");
            return Err(Fault::Bad(end, why));
        }
        if (bytes.len() as u64) < size {
            let why = format!("the file ends here, {size} bytes of array were expected");
            return Err(Fault::Bad(end, why));
        }
        Ok((dims, bytes))
    }

    /// The error that the dimensions are wrong.
    pub(crate) fn damaged_dims(&self, why: String) -> Error {
        Error::Damaged { path: self.path.clone(), offset: 4, why }
    }

    /// The error that byte `at` of the array is wrong.
    pub(crate) fn damaged(&self, at: usize, why: String) -> Error {
        Error::Damaged { path: self.path.clone(), offset: (Self::HEADER + at) as u64, why }
    }
}

/// Reads the magic number and the dimensions.
fn header<const D: usize>(source: &mut Source<impl Read>) -> Parsed<[usize; D]> {
    let bytes = source.up_to(4 + 4 * D as u64)?;
    let magic = [0, 0, 8, D as u8];
    if bytes.len() >= 4 && bytes[..4] != magic {
        let got = &bytes[..4];
        let why = format!("an IDX file with {D} dimensions of bytes begins {magic:?}, not {got:?}");
        return Err(Fault::Bad(0, why));
    }
    if bytes.len() < 4 + 4 * D {
        let why = format!("the file ends here, {} bytes of header were expected", 4 + 4 * D);
        return Err(Fault::Bad(source.offset, why));
    }
    Ok(std::array::from_fn(|axis| {
        let at = 4 + 4 * axis;
        let dim = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        u32::from_be_bytes(dim) as usize
    }))
}
