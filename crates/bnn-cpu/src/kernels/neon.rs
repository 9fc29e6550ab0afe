//! Kernels for NEON, which every 64-bit Arm processor has.

use std::arch::aarch64::*;

use super::float::{Products, Tile};
use super::{Counts, EIGHT, Kernel, Row, Set, crossings, portable};

pub(super) const KERNEL: Kernel = Kernel {
    name: "neon",
    missing: || None,
    tile_rows: ROWS,
    counts,
    crossings: compare,
    products,
    lanes: Set::Portable, // which is compiled with NEON on this architecture
    ..portable::KERNEL
};

/// Rows of a tile: with four times four accumulators, the quarters of a line, a row, its mask and
/// temporaries it fits the 32 registers.
const ROWS: usize = 4;

/// Words whose differing signs a byte can add up.
const WORDS: usize = u8::MAX as usize / 8;

/// Outputs lie in lanes of 64 bits, eight bytes that count apart until they would run over:
///
/// ```text
///                 columns 0, 1   2, 3           ..     quarters of a line
/// row 0  word     bytes[0][0]    bytes[0][1]           bytes += popcount(broadcast(word) xor quarter)
/// row 1  word     bytes[1][0]    bytes[1][1]           total += sum of the eight bytes of a lane
/// ```
/// Eight columns stay in L1 while all rows pass by.
#[target_feature(enable = "neon")]
fn counts(task: &Counts<'_>, sums: &mut [i32]) {
    match task.mask {
        Some(_) => tiles::<true>(task, sums),
        None => tiles::<false>(task, sums),
    }
}

#[target_feature(enable = "neon")]
fn tiles<const MASKED: bool>(task: &Counts<'_>, sums: &mut [i32]) {
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
#[target_feature(enable = "neon")]
fn tile<const R: usize, const MASKED: bool>(
    task: &Counts<'_>,
    (row, digit): (usize, usize),
    eight: usize,
    sums: &mut [i32],
) {
    let rows: [&Row; R] = std::array::from_fn(|at| &task.rows[row + at]);
    let (mut total, columns) = ([[vdupq_n_u64(0); 4]; R], task.eight(eight));
    for words in task.words.chunks(WORDS) {
        let mut bytes = [[vdupq_n_u8(0); 4]; R];
        for word in words {
            let quarters = quarters(columns.word(word));
            for (bytes, row) in bytes.iter_mut().zip(rows) {
                let signs = vreinterpretq_u8_u64(vdupq_n_u64(task.signs(row, digit, word)));
                let mask = if MASKED { task.kept(row, word) } else { u64::MAX };
                let mask = vreinterpretq_u8_u64(vdupq_n_u64(mask));
                for (bytes, quarter) in bytes.iter_mut().zip(quarters) {
                    let differ = veorq_u8(signs, quarter);
                    let differ = if MASKED { vandq_u8(differ, mask) } else { differ };
                    *bytes = vaddq_u8(*bytes, vcntq_u8(differ));
                }
            }
        }
        for (total, bytes) in total.as_flattened_mut().iter_mut().zip(bytes.as_flattened()) {
            *total = vpadalq_u32(*total, vpaddlq_u16(vpaddlq_u8(*bytes)));
        }
    }
    let weight = task.weight.wrapping_shl(digit as u32);
    for (at, total) in total.into_iter().enumerate() {
        let first = ((row + at) * task.eights() + eight) * EIGHT;
        add(sums[first..].first_chunk_mut().expect("eight columns have sums"), total, weight);
    }
}

/// Columns 0 and 1, 2 and 3, 4 and 5, 6 and 7 of a line.
#[inline]
#[target_feature(enable = "neon")]
fn quarters(line: &[u64; 8]) -> [uint8x16_t; 4] {
    // SAFETY: the line is 64 bytes; the load needs no alignment beyond that of words.
    let uint64x2x4_t(a, b, c, d) = unsafe { vld1q_u64_x4(line.as_ptr()) };
    [
        vreinterpretq_u8_u64(a),
        vreinterpretq_u8_u64(b),
        vreinterpretq_u8_u64(c),
        vreinterpretq_u8_u64(d),
    ]
}

/// Adds the weighted counts of eight columns, given as lanes of 64 bits.
#[inline]
#[target_feature(enable = "neon")]
fn add(sums: &mut [i32; 8], [a, b, c, d]: [uint64x2_t; 4], weight: i32) {
    let (first, last) = (vuzp1q_s32(narrow(a), narrow(b)), vuzp1q_s32(narrow(c), narrow(d)));
    // SAFETY: the sums are 32 bytes; the load needs no alignment beyond that of sums.
    let int32x4x2_t(low, high) = unsafe { vld1q_s32_x2(sums.as_ptr()) };
    let after = int32x4x2_t(vmlaq_n_s32(low, first, weight), vmlaq_n_s32(high, last, weight));
    // SAFETY: the sums are 32 bytes, borrowed alone; the store needs no alignment beyond theirs.
    unsafe { vst1q_s32_x2(sums.as_mut_ptr(), after) }
}

/// The same register as lanes of 32 bits, of which the even ones hold counts.
#[inline]
#[target_feature(enable = "neon")]
fn narrow(counts: uint64x2_t) -> int32x4_t {
    vreinterpretq_s32_u64(counts)
}

/// Sixteen comparisons become sixteen bytes that are one bit each, in its place; three sums of
/// neighbours join them.
#[target_feature(enable = "neon")]
fn compare(x: &[f32], cuts: &[f32], bits: &mut [u64]) {
    crossings::pack(x, cuts, bits, |x, cuts| {
        let place =
            vreinterpretq_u8_u64(vdupq_n_u64(u64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128])));
        let mut bytes = [vdupq_n_u8(0); 4];
        for (at, (x, cuts)) in x.as_chunks().0.iter().zip(cuts.as_chunks().0).enumerate() {
            bytes[at] = vandq_u8(crossed(x, cuts), place);
        }
        let (first, last) = (vpaddq_u8(bytes[0], bytes[1]), vpaddq_u8(bytes[2], bytes[3]));
        let pairs = vpaddq_u8(first, last);
        vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(pairs, pairs)))
    });
}

/// A byte of ones for every `x >= cut`.
#[inline]
#[target_feature(enable = "neon")]
fn crossed(x: &[f32; 16], cuts: &[f32; 16]) -> uint8x16_t {
    // SAFETY: the numbers are 64 bytes; the load needs no alignment beyond that of numbers.
    let x = unsafe { vld1q_f32_x4(x.as_ptr()) };
    // SAFETY: the cuts are 64 bytes; the load needs no alignment beyond that of numbers.
    let cuts = unsafe { vld1q_f32_x4(cuts.as_ptr()) };
    let first = vuzp1q_u16(halves(vcgeq_f32(x.0, cuts.0)), halves(vcgeq_f32(x.1, cuts.1)));
    let last = vuzp1q_u16(halves(vcgeq_f32(x.2, cuts.2)), halves(vcgeq_f32(x.3, cuts.3)));
    vuzp1q_u8(vreinterpretq_u8_u16(first), vreinterpretq_u8_u16(last))
}

/// The same register as lanes of 16 bits.
#[inline]
#[target_feature(enable = "neon")]
fn halves(lanes: uint32x4_t) -> uint16x8_t {
    vreinterpretq_u16_u32(lanes)
}

/// Reals of a register.
const FOUR: usize = 4;

/// Four rows and sixteen columns at a time: sixteen of the 32 registers.
#[target_feature(enable = "neon")]
fn products(products: &Products<'_>, sums: &mut Tile) {
    for at in (0..products.cols).step_by(4 * FOUR) {
        for first in (0..products.rows).step_by(4) {
            add_products(products, (first, at), sums);
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn add_products(products: &Products<'_>, (first, at): (usize, usize), sums: &mut Tile) {
    let mut block = [[vdupq_n_f32(0.0); 4]; 4];
    for (block, sums) in block.iter_mut().zip(&sums[first..]) {
        *block = load_sixteen(&sums[at..]);
    }
    for (a, b) in products.a.iter().zip(products.b) {
        let b = load_sixteen(&b[at..]);
        for (block, &a) in block.iter_mut().zip(&a[first..]) {
            for (sum, b) in block.iter_mut().zip(b) {
                *sum = vfmaq_n_f32(*sum, b, a);
            }
        }
    }
    for (block, sums) in block.into_iter().zip(&mut sums[first..]) {
        for (reals, to) in block.into_iter().zip(sums[at..].as_chunks_mut::<FOUR>().0) {
            // SAFETY: the numbers are 16 bytes, borrowed alone.
            unsafe { vst1q_f32(to.as_mut_ptr(), reals) }
        }
    }
}

/// The first sixteen numbers.
#[inline]
#[target_feature(enable = "neon")]
fn load_sixteen(numbers: &[f32]) -> [float32x4_t; 4] {
    let mut four = [vdupq_n_f32(0.0); 4];
    for (four, numbers) in four.iter_mut().zip(numbers.as_chunks::<FOUR>().0) {
        // SAFETY: the numbers are 16 bytes.
        *four = unsafe { vld1q_f32(numbers.as_ptr()) };
    }
    four
}
