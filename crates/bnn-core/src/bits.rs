//! Packed signs: the one public layout of binary values.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Signs per word of a [`BitMatrix`].
pub const WORD: usize = u64::BITS as usize;

/// A matrix of signs on the host, one bit each: a set bit is +1, a clear bit is -1.
///
/// Row-major; bit 0 of a row's first word is column 0.
/// Every row starts at a word; the padding bits behind its last column are zero.
///
/// ```
/// use bnn_core::BitMatrix;
/// let signs = BitMatrix::from_signs(ndarray::arr2(&[[0.5, -0.1, 0.0]]).view());
/// assert_eq!(signs.row(0), [0b101]);
/// assert_eq!(signs.sign(0, 1), -1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BitMatrix {
    rows: usize,
    cols: usize,
    words: Vec<u64>,
}

impl BitMatrix {
    /// A matrix of clear bits, which read as -1.
    ///
    /// # Panics
    /// If the packed size overflows `usize`.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        let words = rows.checked_mul(cols.div_ceil(WORD)).expect("packed size fits usize");
        Self { rows, cols, words: vec![0; words] }
    }

    /// The matrix whose bit at (row, column) is `bit(row, column)`.
    pub fn from_fn(rows: usize, cols: usize, mut bit: impl FnMut(usize, usize) -> bool) -> Self {
        let mut packed = Self::zeros(rows, cols);
        for row in 0..rows {
            for (index, word) in packed.row_mut(row).iter_mut().enumerate() {
                let first = index * WORD;
                for offset in 0..WORD.min(cols - first) {
                    *word |= u64::from(bit(row, first + offset)) << offset;
                }
            }
        }
        packed
    }

    /// The signs of real values: +1 where `x >= 0` (zero of either sign included), else -1.
    pub fn from_signs(x: ArrayView2<'_, f32>) -> Self {
        Self::from_fn(x.nrows(), x.ncols(), |row, col| x[[row, col]] >= 0.0)
    }

    /// The matrix made of these words.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of words is wrong, [`Error::Format`] if a padding bit is set.
    pub fn from_words(rows: usize, cols: usize, words: Vec<u64>) -> Result<Self> {
        let per_row = cols.div_ceil(WORD);
        if rows.checked_mul(per_row) != Some(words.len()) {
            let want = format!("{rows} rows of {per_row} words");
            return Err(Error::shape("packed signs", want, format!("{} words", words.len())));
        }
        let packed = Self { rows, cols, words };
        // By the words, not the rows: rows without columns take no memory, however many they are.
        let mut lines = packed.words.chunks_exact(per_row.max(1));
        match lines.position(|line| line.last().is_some_and(|word| word & !packed.tail() != 0)) {
            Some(row) => Err(Error::format(format!("row {row}"), "a padding bit is set")),
            None => Ok(packed),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns: signs per row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Words from one row to the next.
    pub fn words_per_row(&self) -> usize {
        self.cols.div_ceil(WORD)
    }

    /// All words, row after row.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The words, without a copy.
    pub fn into_words(self) -> Vec<u64> {
        self.words
    }

    /// The words of one row.
    pub fn row(&self, row: usize) -> &[u64] {
        let width = self.words_per_row();
        &self.words[row * width..][..width]
    }

    /// Mask of the bits in use in the last word of a row.
    pub fn tail(&self) -> u64 {
        match self.cols % WORD {
            0 => u64::MAX,
            used => (1 << used) - 1,
        }
    }

    /// Whether the bit is set.
    ///
    /// # Panics
    /// If the position lies outside the matrix.
    pub fn get(&self, row: usize, col: usize) -> bool {
        assert!(col < self.cols, "column {col} of {}", self.cols);
        self.row(row)[col / WORD] >> (col % WORD) & 1 == 1
    }

    /// The sign as a number: +1 or -1.
    pub fn sign(&self, row: usize, col: usize) -> i32 {
        if self.get(row, col) { 1 } else { -1 }
    }

    /// Inverts one bit.
    ///
    /// # Panics
    /// If the position lies outside the matrix.
    pub fn flip(&mut self, row: usize, col: usize) {
        assert!(col < self.cols, "column {col} of {}", self.cols);
        self.row_mut(row)[col / WORD] ^= 1 << (col % WORD);
    }

    /// How many bits differ from those of a matrix of the same shape.
    pub fn hamming(&self, other: &Self) -> u64 {
        debug_assert_eq!((self.rows, self.cols), (other.rows, other.cols));
        let pairs = self.words.iter().zip(&other.words);
        pairs.map(|(a, b)| u64::from((a ^ b).count_ones())).sum()
    }

    fn row_mut(&mut self, row: usize) -> &mut [u64] {
        let width = self.words_per_row();
        &mut self.words[row * width..][..width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packing_is_a_bijection(rows in 0usize..4, cols in 0usize..131, salt: u64) {
            let bit = |r: usize, c: usize| (salt >> ((r * 37 + c) % 64)) & 1 == 1;
            let packed = BitMatrix::from_fn(rows, cols, bit);
            for row in 0..rows {
                for col in 0..cols {
                    prop_assert_eq!(packed.get(row, col), bit(row, col));
                }
            }
            let again = BitMatrix::from_words(rows, cols, packed.words().to_vec()).unwrap();
            prop_assert_eq!(packed, again);
        }
    }

    #[test]
    fn a_set_padding_bit_is_refused() {
        let error = BitMatrix::from_words(2, 3, vec![0b111, 0b1000]).unwrap_err();
        assert_eq!(error.to_string(), "row 1: a padding bit is set");
        assert!(BitMatrix::from_words(usize::MAX, 65, vec![]).is_err());
    }

    #[test]
    fn zero_of_either_sign_is_plus_one() {
        let signs = BitMatrix::from_signs(ndarray::arr2(&[[0.0, -0.0, -f32::MIN_POSITIVE]]).view());
        assert_eq!([0, 1, 2].map(|col| signs.sign(0, col)), [1, 1, -1]);
    }

    #[test]
    fn flips_are_counted() {
        let mut a = BitMatrix::zeros(2, 70);
        let b = a.clone();
        a.flip(1, 69);
        a.flip(0, 0);
        assert_eq!(a.hamming(&b), 2);
        assert!(a.get(1, 69) && a.get(0, 0));
        assert_eq!(a.hamming(&a.clone()), 0);
        a.flip(1, 69);
        assert_eq!(a.into_words(), [1, 0, 0, 0]);
    }
}
