//! Quantized values on the device: planes of packed signs.

use std::sync::Arc;

use bnn_core::{BYTE_SCALE, BitMatrix, Error, Form, HostCode, Levels, Planes, Quant, Result};
use ndarray::ArrayView2;

use crate::cuda::Cuda;
use crate::device::{Arch, Buffer, Kernel, Value, bytes_of};
use crate::real::Real;

/// Bits of a word on the device.
pub(crate) const WORD: usize = u32::BITS as usize;

/// Planes of signs on the device, with or without holes; the layout is in `coding.cu`.
pub struct Code {
    pub(crate) dim: (usize, usize),
    pub(crate) scale: f32,
    /// Weights of the planes.
    pub(crate) weights: Vec<i32>,
    /// The planes, one after the other; dropout lends them on.
    pub(crate) planes: Arc<Buffer>,
    /// The planes joined to bytes, as `gather_bytes` of gather.cu does, where they came as such.
    pub(crate) bytes: Option<Buffer>,
    /// A clear bit marks a hole.
    pub(crate) mask: Option<Buffer>,
}

/// Words from one row to the next: whole pieces of 16 bytes.
pub(crate) fn stride(columns: usize) -> usize {
    columns.div_ceil(WORD).next_multiple_of(4)
}

/// At most 256 numbers, as `Integers` of common.cuh.
pub(crate) fn integers(values: &[i32]) -> Vec<u64> {
    words(values.iter().map(|&value| value as u32))
}

/// At most 256 numbers, as `Reals` of common.cuh.
pub(crate) fn reals(values: &[f32]) -> Vec<u64> {
    words(values.iter().map(|value| value.to_bits()))
}

fn words(values: impl Iterator<Item = u32>) -> Vec<u64> {
    let mut words = vec![0; 128];
    for (at, value) in values.enumerate() {
        words[at / 2] |= u64::from(value) << (at % 2 * 32);
    }
    words
}

impl Code {
    /// Planes of these weights, not initialised and without holes.
    ///
    /// # Errors
    /// [`Error::Value`] for more than 256 planes.
    pub(crate) fn new(
        cuda: &Cuda,
        dim: (usize, usize),
        scale: f32,
        weights: Vec<i32>,
    ) -> Result<Self> {
        if !(1..=256).contains(&weights.len()) {
            return Err(Error::value("planes", format!("{} are not 1 to 256", weights.len())));
        }
        let planes = cuda.memory(plane_bytes(dim)?.saturating_mul(weights.len()))?;
        Ok(Self { dim, scale, weights, planes: Arc::new(planes), bytes: None, mask: None })
    }

    pub(crate) fn put(cuda: &Cuda, x: &HostCode) -> Result<Self> {
        let planes = match x {
            HostCode::Planes(planes) => planes,
            HostCode::Bytes(bytes) => return Self::put_bytes(cuda, bytes.view()),
        };
        let dim = planes.dim()?;
        plane_bytes(dim)?;
        let weights: Vec<i32> = planes.planes.iter().map(|(weight, _)| *weight).collect();
        if !(1..=256).contains(&weights.len()) {
            return Err(Error::value("planes", format!("{} are not 1 to 256", weights.len())));
        }
        let words: Vec<u32> = planes.planes.iter().flat_map(|(_, plane)| packed(plane)).collect();
        let upload = |mask: &BitMatrix| cuda.upload(bytes_of(&packed(mask).collect::<Vec<_>>()));
        let mask = planes.mask.as_ref().map(upload);
        Ok(Self {
            dim,
            scale: planes.scale,
            weights,
            planes: Arc::new(cuda.upload(bytes_of(&words))?),
            bytes: None,
            mask: mask.transpose()?,
        })
    }

    pub(crate) fn put_bytes(cuda: &Cuda, bytes: ArrayView2<'_, u8>) -> Result<Self> {
        let weights = (0..8).map(|i| 1 << i).collect();
        let mut code = Self::new(cuda, bytes.dim(), BYTE_SCALE, weights)?;
        code.bytes = (cuda.family() > Arch::Plain).then(|| cuda.memory(code.bits())).transpose()?;
        code.fill(cuda, bytes)?;
        Ok(code)
    }

    /// Puts bytes in the place of those that [`put_bytes`](Self::put_bytes) put.
    ///
    /// # Errors
    /// [`Error::Shape`] unless they are as many; what the device says.
    pub(crate) fn fill(&self, cuda: &Cuda, bytes: ArrayView2<'_, u8>) -> Result<()> {
        if bytes.dim() != self.dim {
            let want = format!("{:?} bytes", self.dim);
            return Err(Error::shape("images", want, format!("{:?}", bytes.dim())));
        }
        let bytes = bytes.as_standard_layout();
        let bytes = cuda.upload(bytes.as_slice().expect("standard layout"))?;
        cuda.each(
            Kernel("coding", "slice_bytes"),
            self.bits(),
            &[
                (&bytes).into(),
                self.dim.0.into(),
                (self.dim.1 as i32).into(),
                self.stride().into(),
                (&*self.planes).into(),
                self.bytes.as_ref().into(),
            ],
        )
    }

    pub(crate) fn get(&self) -> Result<HostCode> {
        let count = self.weights.len();
        let planes = read(&self.planes, self.dim, count)?;
        let planes = self.weights.iter().copied().zip(planes).collect();
        let mask = self.mask.as_ref().map(|mask| read(mask, self.dim, 1)).transpose()?;
        let mask = mask.and_then(|mut masks| masks.pop());
        Ok(HostCode::Planes(Planes { scale: self.scale, planes, mask }))
    }

    /// Words of a row.
    pub(crate) fn stride(&self) -> i32 {
        stride(self.dim.1) as i32
    }

    /// Bits of a plane, its padding included: the threads that make it.
    pub(crate) fn bits(&self) -> usize {
        self.dim.0 * stride(self.dim.1) * WORD
    }

    /// The largest magnitude of the integers before scaling.
    pub(crate) fn bound(&self) -> u64 {
        self.weights.iter().map(|weight| u64::from(weight.unsigned_abs())).sum()
    }

    /// The integer whose planes are all +1.
    pub(crate) fn total(&self) -> i32 {
        self.weights.iter().sum()
    }

    /// Quantizes reals.
    pub(crate) fn encode(cuda: &Cuda, x: &Real, quant: &Quant) -> Result<Self> {
        quant.check()?;
        let code = Self::of_levels(cuda, x.dim, &quant.levels)?;
        let (binary, planes) = form(&quant.levels);
        cuda.each(
            Kernel("coding", "encode"),
            code.bits(),
            &[
                (&x.data).into(),
                x.dim.0.into(),
                (x.dim.1 as i32).into(),
                code.stride().into(),
                Value::Struct(&reals(&quant.cuts)),
                (quant.cuts.len() as i32).into(),
                binary.into(),
                planes.into(),
                (&*code.planes).into(),
            ],
        )?;
        Ok(code)
    }

    /// A code of these levels, not initialised.
    pub(crate) fn of_levels(cuda: &Cuda, dim: (usize, usize), levels: &Levels) -> Result<Self> {
        levels.check()?;
        Self::new(cuda, dim, levels.scale, levels.weights())
    }
}

/// Whether planes are binary digits, and how many there are: what kernels take.
pub(crate) fn form(levels: &Levels) -> (i32, i32) {
    match &levels.form {
        Form::Steps(weights) => (0, weights.len() as i32),
        Form::Binary { planes } => (1, *planes as i32),
    }
}

/// Bytes of a packed plane.
pub(crate) fn plane_bytes((rows, columns): (usize, usize)) -> Result<usize> {
    let bits = rows.checked_mul(columns.max(1)); // also what kernels count: below 2^63
    if columns > i32::MAX as usize / 2 || bits.is_none_or(|bits| bits > isize::MAX as usize / 64) {
        let got = format!("{rows} rows of {columns} columns");
        return Err(Error::shape("code", "a matrix that can be addressed", got));
    }
    Ok(rows * stride(columns) * size_of::<u32>())
}

/// A plane as the device lays it out.
fn packed(plane: &BitMatrix) -> impl Iterator<Item = u32> + '_ {
    let width = stride(plane.cols());
    let rows = if width == 0 { 0 } else { plane.rows() }; // rows without columns take no memory
    (0..rows).flat_map(move |row| {
        let halves = plane.row(row).iter().flat_map(|word| [*word as u32, (word >> 32) as u32]);
        halves.chain(std::iter::repeat(0)).take(width)
    })
}

/// Planes from the device.
fn read(buffer: &Buffer, (rows, columns): (usize, usize), count: usize) -> Result<Vec<BitMatrix>> {
    let width = stride(columns);
    let mut bytes = vec![0; rows * width * count * size_of::<u32>()];
    buffer.read(&mut bytes)?;
    let words: Vec<u64> = bytes
        .chunks_exact(8)
        .map(|b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
        .collect();
    let host = columns.div_ceil(bnn_core::WORD);
    let lines = if columns == 0 { 0 } else { rows };
    let plane = |at: usize| {
        let lines = (0..lines).flat_map(|row| {
            let first = (at * rows + row) * width / 2;
            words[first..first + host].iter().copied()
        });
        BitMatrix::from_words(rows, columns, lines.collect())
    };
    (0..count).map(plane).collect()
}
