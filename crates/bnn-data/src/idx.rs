//! Reader of IDX files of bytes, plain or compressed with gzip: the format of MNIST.
//!
//! A file is the bytes 0, 0, 8 (unsigned bytes), the number of dimensions, every dimension as a
//! big-endian u32, and the bytes, the last dimension fastest (LeCun, Cortes, Burges, 1998).

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::gzip::{self, is_damage};
use crate::{Error, Result};

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
    /// with `D` dimensions, is empty, too short, too long, or badly compressed.
    pub fn read(path: &Path) -> Result<Self> {
        let mut source = Source::open(path)?;
        let dims = header(&mut source)?;
        let size = dims.iter().try_fold(1_usize, |size, &dim| size.checked_mul(dim));
        let Some(size) = size.filter(|&size| size <= isize::MAX as usize) else {
            return Err(source.damaged(4, format!("{dims:?} is too large an array")));
        };
        if let Some(axis) = dims.iter().position(|&dim| dim == 0) {
            return Err(source.damaged(4 + 4 * axis, format!("dimension {axis} is 0")));
        }
        let bytes = source.take(size)?;
        if !source.take(1)?.is_empty() {
            let why = format!("there are bytes behind the end of the array of {dims:?}");
            return Err(source.damaged(Self::HEADER + size, why));
        }
        let idx = Self { path: path.into(), dims, bytes };
        if idx.bytes.len() < size {
            let why = format!("the file ends here, {size} bytes of array were expected");
            return Err(idx.damaged(idx.bytes.len(), why));
        }
        Ok(idx)
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

/// A file, unpacked while it is read.
struct Source<'a> {
    path: &'a Path,
    reader: Box<dyn Read>,
    /// Bytes read so far.
    offset: usize,
}

impl<'a> Source<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let reader = gzip::open(path).map_err(|source| Error::file(path, source))?;
        Ok(Self { path, reader, offset: 0 })
    }

    /// The next bytes: `count`, or fewer at the end of the file.
    fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(count as u64).read_to_end(&mut bytes);
        self.offset += bytes.len();
        match read {
            Ok(_) => Ok(bytes),
            Err(error) if is_damage(&error) => {
                Err(self.damaged(self.offset, format!("gzip: {error}")))
            }
            Err(source) => Err(Error::file(self.path, source)),
        }
    }

    fn damaged(&self, offset: usize, why: String) -> Error {
        Error::Damaged { path: self.path.into(), offset: offset as u64, why }
    }
}

/// Reads the magic number and the dimensions.
fn header<const D: usize>(source: &mut Source<'_>) -> Result<[usize; D]> {
    let bytes = source.take(4 + 4 * D)?;
    let magic = [0, 0, 8, D as u8];
    if bytes.len() >= 4 && bytes[..4] != magic {
        let got = &bytes[..4];
        let why = format!("an IDX file with {D} dimensions of bytes begins {magic:?}, not {got:?}");
        return Err(source.damaged(0, why));
    }
    if bytes.len() < 4 + 4 * D {
        let why = format!("the file ends here, {} bytes of header were expected", 4 + 4 * D);
        return Err(source.damaged(bytes.len(), why));
    }
    Ok(std::array::from_fn(|axis| {
        let at = 4 + 4 * axis;
        let dim = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        u32::from_be_bytes(dim) as usize
    }))
}
