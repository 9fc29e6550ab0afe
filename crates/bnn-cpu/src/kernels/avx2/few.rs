//! Few rows: operands are read where they lie, and split into nibbles after they met.

use std::arch::x86_64::*;

use super::super::{EIGHTS, Eight, Row};
use super::{Counts, EIGHT, WORDS, add, halves, ones_of_nibbles, split};

/// Rows of a tile: with three times two accumulators, the halves of a line, a row and its mask, the
/// table and temporaries it fits the 16 registers.
const ROWS: usize = 3;

/// Times eight columns of a tile of one row: those of a panel, so that memory is read in its order.
const WIDE: usize = EIGHTS;

/// Outputs lie in lanes of 64 bits, eight bytes that count apart:
///
/// ```text
///                 columns 0..4   columns 4..8     both halves of a line
/// row 0  word     bytes[0][0]    bytes[0][1]      differ = broadcast(word) xor half
/// row 1  word     bytes[1][0]    bytes[1][1]      bytes += table[its low nibbles] + table[its high]
///                                                 total += sum of the eight bytes of a lane
/// ```
/// A tile runs over the whole depth.
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn counts<const MASKED: bool>(task: &Counts<'_>, sums: &mut [i32]) {
    let (rows, wide) = (task.rows.len() / ROWS * ROWS, task.eights() / WIDE * WIDE);
    for digit in 0..task.digits {
        for row in (0..rows).step_by(ROWS) {
            for eight in 0..task.eights() {
                tile::<ROWS, 1, MASKED>(task, (row, digit), eight, sums);
            }
        }
        for row in rows..task.rows.len() {
            for eight in (0..wide).step_by(WIDE) {
                tile::<1, WIDE, MASKED>(task, (row, digit), eight, sums);
            }
            for eight in wide..task.eights() {
                tile::<1, 1, MASKED>(task, (row, digit), eight, sums);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn tile<const R: usize, const E: usize, const MASKED: bool>(
    task: &Counts<'_>,
    (row, digit): (usize, usize),
    eight: usize,
    sums: &mut [i32],
) {
    let (zero, table) = (_mm256_setzero_si256(), ones_of_nibbles());
    let rows: [&Row; R] = std::array::from_fn(|at| &task.rows[row + at]);
    let mut total = [[[zero; 2]; E]; R];
    let columns: [Eight<'_>; E] = std::array::from_fn(|at| task.eight(eight + at));
    for words in task.words.chunks(WORDS) {
        let mut bytes = [[[zero; 2]; E]; R];
        for word in words {
            for (bytes, row) in bytes.iter_mut().zip(rows) {
                let signs = _mm256_set1_epi64x(task.signs(row, digit, word) as i64);
                let mask = if MASKED { task.kept(row, word) } else { u64::MAX };
                let mask = _mm256_set1_epi64x(mask as i64);
                for (bytes, columns) in bytes.iter_mut().zip(&columns) {
                    let halves = halves(columns.word(word));
                    for (bytes, half) in bytes.iter_mut().zip(halves) {
                        let differ = _mm256_xor_si256(signs, half);
                        let masked = _mm256_and_si256(differ, mask);
                        let [low, high] = split(if MASKED { masked } else { differ });
                        let (low, high) =
                            (_mm256_shuffle_epi8(table, low), _mm256_shuffle_epi8(table, high));
                        *bytes = _mm256_add_epi8(*bytes, _mm256_add_epi8(low, high));
                    }
                }
            }
        }
        let (total, bytes) = (total.as_flattened_mut(), bytes.as_flattened());
        for (total, bytes) in total.as_flattened_mut().iter_mut().zip(bytes.as_flattened()) {
            *total = _mm256_add_epi64(*total, _mm256_sad_epu8(*bytes, zero));
        }
    }
    let weight = task.weight.wrapping_shl(digit as u32);
    for (at, total) in total.into_iter().enumerate() {
        let first = ((row + at) * task.eights() + eight) * EIGHT;
        for (sums, total) in sums[first..].as_chunks_mut().0.iter_mut().zip(total) {
            add(sums, total, weight);
        }
    }
}
