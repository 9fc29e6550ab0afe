//! Few rows: operands are read where they lie, and split into nibbles after they met.

use std::arch::x86_64::*;

use super::{Counts, EIGHT, WORDS, add, halves, ones_of_nibbles, split};

/// Rows of a tile: with three times two accumulators, the halves of a line, a row and its mask, the
/// table and temporaries it fits the 16 registers.
const ROWS: usize = 3;

/// Outputs lie in lanes of 64 bits, eight bytes that count apart:
///
/// ```text
///                 columns 0..4   columns 4..8     both halves of a line
/// row 0  word     bytes[0][0]    bytes[0][1]      differ = broadcast(word) xor half
/// row 1  word     bytes[1][0]    bytes[1][1]      bytes += table[its low nibbles] + table[its high]
///                                                 total += sum of the eight bytes of a lane
/// ```
/// A tile runs over the whole depth, so that memory is read in its order.
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn counts<const MASKED: bool>(task: &Counts<'_>, sums: &mut [i32]) {
    let whole = task.rows.len() / ROWS * ROWS;
    for eight in 0..task.eights() {
        for digit in 0..task.digits {
            for row in (0..whole).step_by(ROWS) {
                tile::<ROWS, MASKED>(task, (row, digit), eight, sums);
            }
            for row in whole..task.rows.len() {
                tile::<1, MASKED>(task, (row, digit), eight, sums);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn tile<const R: usize, const MASKED: bool>(
    task: &Counts<'_>,
    (row, digit): (usize, usize),
    eight: usize,
    sums: &mut [i32],
) {
    let (zero, table) = (_mm256_setzero_si256(), ones_of_nibbles());
    let (mut rows, mut masks): ([&[u64]; R], [&[u64]; R]) = ([&[]; R], [&[]; R]);
    let (mut total, columns) = ([[zero; 2]; R], task.eight(eight));
    for run in 0..task.runs.count {
        for at in 0..R {
            rows[at] = task.run(row + at, digit, run);
            masks[at] = if MASKED { task.mask_run(row + at, run) } else { rows[at] };
        }
        for part in (0..task.runs.len).step_by(WORDS) {
            let mut bytes = [[zero; 2]; R];
            for word in part..task.runs.len.min(part + WORDS) {
                let halves = halves(columns.word(run * task.runs.len + word));
                for at in 0..R {
                    let signs = _mm256_set1_epi64x(rows[at][word] as i64);
                    let mask = _mm256_set1_epi64x(masks[at][word] as i64);
                    for (bytes, half) in bytes[at].iter_mut().zip(halves) {
                        let differ = _mm256_xor_si256(signs, half);
                        let differ = if MASKED { _mm256_and_si256(differ, mask) } else { differ };
                        let [low, high] = split(differ);
                        let (low, high) =
                            (_mm256_shuffle_epi8(table, low), _mm256_shuffle_epi8(table, high));
                        *bytes = _mm256_add_epi8(*bytes, _mm256_add_epi8(low, high));
                    }
                }
            }
            for (total, bytes) in total.as_flattened_mut().iter_mut().zip(bytes.as_flattened()) {
                *total = _mm256_add_epi64(*total, _mm256_sad_epu8(*bytes, zero));
            }
        }
    }
    let weight = task.weight.wrapping_shl(digit as u32);
    for (at, total) in total.into_iter().enumerate() {
        let first = ((row + at) * task.eights() + eight) * EIGHT;
        add(sums[first..].first_chunk_mut().expect("eight columns have sums"), total, weight);
    }
}
