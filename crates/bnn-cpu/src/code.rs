//! Quantized values: packed rows of sign planes.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use bnn_core::{BYTE_SCALE, BitMatrix, HostCode, Planes, Result, WORD};
use ndarray::Array2;

use crate::cpu::Cpu;
use crate::memory::Buffer;
use crate::panels::{Cache, Panels};
use crate::quads::{Form, Quads};

/// A sum of sign planes in the backend's memory.
///
/// ```text
/// bits    row 0: plane 0, plane 1, ..   row 1: plane 0, ..     words of 64 columns, padding zero
/// mask    row 0                         row 1                  a clear bit is a hole
/// ```
pub struct Code {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) scale: f32,
    pub(crate) weights: Vec<i32>,
    pub(crate) bits: Bits,
    pub(crate) mask: Option<Buffer<u64>>,
    panels: Cache<Panels>,
    quads: Cache<Quads>,
}

impl Code {
    pub(crate) fn new(
        (rows, cols): (usize, usize),
        scale: f32,
        weights: Vec<i32>,
        bits: Buffer<u64>,
        mask: Option<Buffer<u64>>,
    ) -> Self {
        let (bits, panels, quads) = (Bits::of(bits), Cache::default(), Cache::default());
        Self { rows, cols, scale, weights, bits, mask, panels, quads }
    }

    /// Rows and columns.
    pub fn dim(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Words of one plane of a row of `cols` columns.
    pub(crate) fn words_of(cols: usize) -> usize {
        cols.div_ceil(WORD)
    }

    /// Words of one plane of a row.
    pub(crate) fn words(&self) -> usize {
        Self::words_of(self.cols)
    }

    /// Words from one row to the next.
    pub(crate) fn stride(&self) -> usize {
        self.weights.len() * self.words()
    }

    /// All planes of a row.
    pub(crate) fn row(&self, row: usize) -> &[u64] {
        &self.bits[row * self.stride()..][..self.stride()]
    }

    /// The mask of a row, if the code has holes.
    pub(crate) fn mask_row(&self, row: usize) -> Option<&[u64]> {
        self.mask.as_ref().map(|mask| &mask[row * self.words()..][..self.words()])
    }

    /// The largest magnitude of the integer behind one entry.
    pub(crate) fn bound(&self) -> u64 {
        self.weights.iter().map(|weight| u64::from(weight.unsigned_abs())).sum()
    }

    /// The planes on the host.
    pub(crate) fn to_planes(&self) -> Planes {
        let (words, stride) = (self.words(), self.stride());
        let plane = |bits: &[u64], first: usize, stride: usize| {
            let rows = (0..self.rows).flat_map(|row| &bits[row * stride + first..][..words]);
            BitMatrix::from_words(self.rows, self.cols, rows.copied().collect())
                .expect("rows are whole and padding is zero")
        };
        let weights = self.weights.iter().enumerate();
        Planes {
            scale: self.scale,
            planes: weights.map(|(at, &w)| (w, plane(&self.bits, at * words, stride))).collect(),
            mask: self.mask.as_ref().map(|mask| plane(mask, 0, words)),
        }
    }

    /// The code as weights of a product, the columns of `taps` taps each in words of their own.
    pub(crate) fn panels(&self, cpu: &Cpu, taps: usize) -> Arc<Panels> {
        self.panels.get(taps, || Panels::of(self, cpu, taps))
    }

    /// The bytes of a code that was made of bytes, row after row, with [`SLACK`] behind them.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        self.bits.bytes.as_deref()
    }

    /// The code as small integers that meet bytes, the columns of `taps` taps each in quads of their
    /// own; none if it has holes or integers too large.
    pub(crate) fn quads(&self, cpu: &Cpu, form: Form) -> Option<Arc<Quads>> {
        let fits = self.mask.is_none() && self.bound() <= Quads::LARGEST;
        fits.then(|| self.quads.get(form, || Quads::of(self, cpu, form)))
    }
}

/// Bytes that may be read behind the last row of [`Code::bytes`].
pub(crate) const SLACK: usize = 3;

/// A host code in the backend's memory.
///
/// # Errors
/// [`Error::Shape`](bnn_core::Error::Shape) if its planes differ in shape.
pub(crate) fn from_host(cpu: &Cpu, host: &HostCode) -> Result<Code> {
    let dim = host.dim()?;
    match host {
        HostCode::Bytes(bytes) => Ok(from_bytes(cpu, dim, bytes)),
        HostCode::Planes(planes) => Ok(from_planes(cpu, dim, planes)),
    }
}

fn from_planes(cpu: &Cpu, dim: (usize, usize), host: &Planes) -> Code {
    let weights = host.planes.iter().map(|(weight, _)| *weight).collect();
    let mut code = cpu.code(dim, host.scale, weights);
    let (words, stride) = (code.words(), code.stride());
    for (row, bits) in code.bits.chunks_exact_mut(stride.max(1)).enumerate() {
        for (bits, (_, plane)) in bits.chunks_exact_mut(words.max(1)).zip(&host.planes) {
            bits.copy_from_slice(plane.row(row));
        }
    }
    code.mask = host.mask.as_ref().map(|mask| {
        let mut copy = cpu.take(mask.words().len());
        copy.copy_from_slice(mask.words());
        copy
    });
    code
}

/// Bytes, which are eight planes as they are.
fn from_bytes(cpu: &Cpu, (rows, cols): (usize, usize), bytes: &Array2<u8>) -> Code {
    let mut copy = cpu.take(rows * cols + SLACK);
    copy[rows * cols..].fill(0);
    match bytes.as_slice() {
        Some(bytes) => copy[..rows * cols].copy_from_slice(bytes),
        None => copy.iter_mut().zip(bytes).for_each(|(to, &byte)| *to = byte),
    }
    Code {
        rows,
        cols,
        scale: BYTE_SCALE,
        weights: (0..8).map(|bit| 1 << bit).collect(),
        bits: Bits { sliced: OnceLock::new(), bytes: Some(copy), cols },
        mask: None,
        panels: Cache::default(),
        quads: Cache::default(),
    }
}

/// The words of a code's planes; those of bytes are made when they are first asked for.
pub(crate) struct Bits {
    sliced: OnceLock<Buffer<u64>>,
    bytes: Option<Buffer<u8>>,
    /// Bytes of a row.
    cols: usize,
}

impl Bits {
    fn of(bits: Buffer<u64>) -> Self {
        Self { sliced: OnceLock::from(bits), bytes: None, cols: 0 }
    }

    fn slice(&self) -> Buffer<u64> {
        let bytes = self.bytes.as_ref().expect("bits or bytes");
        let words = Code::words_of(self.cols);
        let rows = (bytes.len() - SLACK).checked_div(self.cols).unwrap_or(0);
        let mut bits = bytes.beside(rows * words * 8);
        let lines = bits.chunks_exact_mut((words * 8).max(1));
        for (line, row) in lines.zip(bytes.chunks(self.cols.max(1))) {
            for (word, group) in row.chunks(64).enumerate() {
                let mut padded = [0; 64];
                padded[..group.len()].copy_from_slice(group);
                for (plane, sliced) in slice_bits(&padded).into_iter().enumerate() {
                    line[plane * words + word] = sliced;
                }
            }
        }
        bits
    }
}

impl Deref for Bits {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        self.sliced.get_or_init(|| self.slice())
    }
}

impl DerefMut for Bits {
    fn deref_mut(&mut self) -> &mut [u64] {
        if self.sliced.get().is_none() {
            self.sliced = OnceLock::from(self.slice());
        }
        self.sliced.get_mut().expect("it was just made")
    }
}

/// The eight bit planes of 64 bytes.
fn slice_bits(bytes: &[u8; 64]) -> [u64; 8] {
    let mut planes = [0; 8];
    for (at, eight) in bytes.as_chunks().0.iter().enumerate() {
        let columns = transpose(u64::from_le_bytes(*eight));
        for (bit, plane) in planes.iter_mut().enumerate() {
            *plane |= (columns >> (8 * bit) & 0xFF) << (8 * at);
        }
    }
    planes
}

/// Transposes the 8 x 8 bit matrix whose row `i` is byte `i`.
///
/// Swaps off-diagonal blocks of one, two and four bits.
fn transpose(x: u64) -> u64 {
    let swap = |x: u64, shift: u32, mask: u64| {
        let differ = (x ^ (x >> shift)) & mask;
        x ^ differ ^ (differ << shift)
    };
    let x = swap(x, 7, 0x00AA_00AA_00AA_00AA);
    let x = swap(x, 14, 0x0000_CCCC_0000_CCCC);
    swap(x, 28, 0x0000_0000_F0F0_F0F0)
}

/// Mask of the bits in use in the last word of a row of `cols` columns.
pub(crate) fn tail(cols: usize) -> u64 {
    match cols % WORD {
        0 => u64::MAX,
        used => (1 << used) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_sliced_into_their_bits() {
        let cpu = Cpu::new();
        for cols in [0, 1, 3, 8, 63, 64, 65, 100] {
            let bytes =
                Array2::from_shape_fn((3, cols), |(row, col)| (row * 89 + col * 37 + 5) as u8);
            let code = from_host(&cpu, &HostCode::Bytes(bytes.clone())).unwrap();
            assert_eq!(code.to_planes(), Planes::from_bytes(&bytes), "{cols} columns");
        }
    }
}
