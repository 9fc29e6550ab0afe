//! Many rows: both operands are split into nibbles before they meet.

use std::arch::x86_64::*;

use super::{Counts, EIGHT, WORDS, add, halves, ones_of_nibbles, split};

/// Rows of a tile: with three times two accumulators, a split line, half a split row, the table and
/// temporaries it fits the 16 registers.
pub(super) const ROWS: usize = 3;

/// Rows that are split at a time: 16 KiB without holes, half of the nearest cache.
const BLOCK: usize = 11 * ROWS;

/// Times eight columns that are split together: their sums of a row fill a cache line.
const GROUP: usize = 2;

/// Parts of a [`Row`] without holes.
pub(super) const SIGNS: usize = 1;

/// Parts of a [`Row`] with holes.
pub(super) const SIGNS_AND_MASK: usize = 2;

/// A row's signs in a stretch of the depth, and its mask: low nibbles and high nibbles of each word,
/// in the low halves of bytes.
type Row<const PARTS: usize> = [[[u64; 2]; PARTS]; WORDS];

/// Columns 0..4 and 4..8 of a line: low nibbles and high nibbles.
type Line = [[__m256i; 2]; 2];

/// A stretch of the depth of some columns, and what becomes of its counts.
struct Group<'a> {
    columns: &'a [[Line; WORDS]],
    /// Words of the stretch.
    words: usize,
    /// Sums from one row to the next.
    stride: usize,
    weight: i32,
}

/// Outputs lie in lanes of 64 bits, eight bytes that count apart:
///
/// ```text
///            columns 0..4     columns 4..8
/// row 0      bytes[0][0]      bytes[0][1]       bytes += table[row's low nibbles xor columns']
/// row 1      bytes[1][0]      bytes[1][1]              + table[row's high nibbles xor columns']
/// ```
/// XOR works on nibbles apart, so a stretch of the depth is split once for all pairs of rows and
/// columns. What is left for each pair are six operations on a register, not eight. A stretch is as
/// many words as a byte can count.
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn counts<const PARTS: usize>(task: &Counts<'_>, sums: &mut [i32]) {
    let depth = task.words.len();
    let mut rows = [[[[0; 2]; PARTS]; WORDS]; BLOCK];
    let mut columns = [[[[_mm256_setzero_si256(); 2]; 2]; WORDS]; GROUP];
    for row in (0..task.rows.len()).step_by(BLOCK) {
        let rows = &mut rows[..BLOCK.min(task.rows.len() - row)];
        for digit in 0..task.digits {
            for word in (0..depth).step_by(WORDS) {
                for (at, split) in rows.iter_mut().enumerate() {
                    split_row(task, (row + at, digit), word, split);
                }
                let words = WORDS.min(depth - word);
                for first in (0..task.eights()).step_by(GROUP) {
                    let columns = &mut columns[..GROUP.min(task.eights() - first)];
                    for (eight, split) in (first..).zip(columns.iter_mut()) {
                        split_lines(task, eight, word, &mut split[..words]);
                    }
                    let group = Group {
                        columns,
                        words,
                        stride: task.eights() * EIGHT,
                        weight: task.weight.wrapping_shl(digit as u32),
                    };
                    group.rows(rows, &mut sums[row * group.stride + first * EIGHT..]);
                }
            }
        }
    }
}

fn split_row<const PARTS: usize>(
    task: &Counts<'_>,
    (row, digit): (usize, usize),
    word: usize,
    split: &mut Row<PARTS>,
) {
    let nibbles = |word: u64| [word, word >> 4].map(|word| word & 0x0F0F_0F0F_0F0F_0F0F);
    let row = &task.rows[row];
    for (word, split) in task.words[word..].iter().zip(split) {
        split[0] = nibbles(task.signs(row, digit, word));
        if PARTS == SIGNS_AND_MASK {
            split[1] = nibbles(task.kept(row, word));
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn split_lines(task: &Counts<'_>, eight: usize, word: usize, splits: &mut [Line]) {
    let columns = task.eight(eight);
    for (word, splits) in task.words[word..].iter().zip(splits) {
        let [first, second] = halves(columns.word(word));
        *splits = [split(first), split(second)];
    }
}

impl Group<'_> {
    /// Adds the counts of rows to their sums, which begin with those of the first column.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn rows<const PARTS: usize>(&self, rows: &[Row<PARTS>], sums: &mut [i32]) {
        let (tiles, rest) = rows.as_chunks::<ROWS>();
        for (at, rows) in tiles.iter().enumerate() {
            self.tiles(rows, &mut sums[at * ROWS * self.stride..]);
        }
        for (at, row) in (tiles.len() * ROWS..).zip(rest) {
            self.tiles(std::array::from_ref(row), &mut sums[at * self.stride..]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn tiles<const R: usize, const PARTS: usize>(&self, rows: &[Row<PARTS>; R], sums: &mut [i32]) {
        for (eight, lines) in self.columns.iter().enumerate() {
            let counts = tile(rows, &lines[..self.words]);
            for (row, counts) in counts.into_iter().enumerate() {
                let sums = sums[row * self.stride + eight * EIGHT..].first_chunk_mut();
                add(sums.expect("eight columns have sums"), counts, self.weight);
            }
        }
    }
}

/// The counts of eight columns, for every row.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn tile<const R: usize, const PARTS: usize>(
    rows: &[Row<PARTS>; R],
    lines: &[Line],
) -> [[__m256i; 2]; R] {
    let (zero, table) = (_mm256_setzero_si256(), ones_of_nibbles());
    let mut counts = [[zero; 2]; R];
    for (word, line) in lines.iter().enumerate() {
        for (bytes, row) in counts.iter_mut().zip(rows) {
            let (signs, mask) = (row[word][0], row[word][PARTS - 1]);
            for nibble in 0..2 {
                let signs = _mm256_set1_epi64x(signs[nibble] as i64);
                let mask = _mm256_set1_epi64x(mask[nibble] as i64);
                for (bytes, columns) in bytes.iter_mut().zip(line) {
                    let differ = _mm256_xor_si256(signs, columns[nibble]);
                    let masked = PARTS == SIGNS_AND_MASK;
                    let differ = if masked { _mm256_and_si256(differ, mask) } else { differ };
                    *bytes = _mm256_add_epi8(*bytes, _mm256_shuffle_epi8(table, differ));
                }
            }
        }
    }
    for counts in counts.as_flattened_mut() {
        *counts = _mm256_sad_epu8(*counts, zero);
    }
    counts
}
