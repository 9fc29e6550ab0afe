//! Quantized values: packed rows of sign planes.

use std::sync::Arc;

use bnn_core::{BYTE_SCALE, BitMatrix, HostCode, Planes, Result, WORD};
use ndarray::Array2;

use crate::cpu::Cpu;
use crate::memory::Buffer;
use crate::panels::{Cache, Panels};

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
    pub(crate) bits: Buffer<u64>,
    pub(crate) mask: Option<Buffer<u64>>,
    panels: Cache,
}

impl Code {
    pub(crate) fn new(
        (rows, cols): (usize, usize),
        scale: f32,
        weights: Vec<i32>,
        bits: Buffer<u64>,
        mask: Option<Buffer<u64>>,
    ) -> Self {
        Self { rows, cols, scale, weights, bits, mask, panels: Cache::default() }
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
}

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

/// Bytes as eight planes: their bits.
fn from_bytes(cpu: &Cpu, dim: (usize, usize), bytes: &Array2<u8>) -> Code {
    let mut code = cpu.code(dim, BYTE_SCALE, (0..8).map(|bit| 1 << bit).collect());
    let (words, stride) = (code.words(), code.stride());
    let mut line = cpu.take_zeroed::<u64>(words * 8); // a row's bytes, padded with zeros
    for (bits, row) in code.bits.chunks_exact_mut(stride.max(1)).zip(bytes.rows()) {
        let mut row = row.iter();
        for eight in line.iter_mut() {
            *eight = row.by_ref().take(8).rev_bytes();
        }
        for (word, group) in line.chunks_exact(8).enumerate() {
            let sliced = slice_bits(group);
            for (plane, sliced) in sliced.into_iter().enumerate() {
                bits[plane * words + word] = sliced;
            }
        }
    }
    code
}

/// Up to eight bytes as a little-endian word.
trait RevBytes {
    fn rev_bytes(self) -> u64;
}

impl<'a, I: Iterator<Item = &'a u8>> RevBytes for I {
    fn rev_bytes(self) -> u64 {
        self.enumerate().fold(0, |word, (at, &byte)| word | u64::from(byte) << (8 * at))
    }
}

/// The eight bit planes of 64 bytes, given as eight little-endian words.
fn slice_bits(group: &[u64]) -> [u64; 8] {
    let mut planes = [0; 8];
    for (at, &eight) in group.iter().enumerate() {
        let columns = transpose(eight);
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
