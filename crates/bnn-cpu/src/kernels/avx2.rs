//! Kernels for AVX2 with FMA and POPCNT: registers of 256 bits that count no bits, but look up nibbles.

mod few;
mod many;
mod reals;

use std::arch::x86_64::*;

use super::{Counts, EIGHT, Kernel, Lanes, Set, crossings, portable};

pub(super) const KERNEL: Kernel = Kernel {
    name: "avx2",
    missing,
    tile_rows: many::ROWS,
    counts,
    crossings: compare,
    products: reals::products,
    lanes: Set::Avx2,
    ..portable::KERNEL
};

/// Rows that repay splitting both operands before they meet.
const MANY: usize = 6;

fn missing() -> Option<String> {
    let sets = [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("POPCNT", is_x86_feature_detected!("popcnt")),
    ];
    let lacks: Vec<_> = sets.iter().filter(|(_, here)| !here).map(|(name, _)| *name).collect();
    (!lacks.is_empty()).then(|| lacks.join(", "))
}

#[target_feature(enable = "avx2,popcnt")]
pub(super) fn run<L: Lanes>(work: L) -> L::Output {
    work.run()
}

/// Both ways look nibbles of XORs up in a register that holds the number of ones of each, and add up
/// bytes until they would run over; their loops are plain, since closures given to functions that are
/// compiled without AVX2 may stay calls.
#[target_feature(enable = "avx2,popcnt")]
fn counts(task: &Counts<'_>, sums: &mut [i32]) {
    match (task.rows.len() < MANY, task.mask) {
        (true, None) => few::counts::<false>(task, sums),
        (true, Some(_)) => few::counts::<true>(task, sums),
        (false, None) => many::counts::<{ many::SIGNS }>(task, sums),
        (false, Some(_)) => many::counts::<{ many::SIGNS_AND_MASK }>(task, sums),
    }
}

/// Differing signs that one byte can add up: those of so many words.
const WORDS: usize = u8::MAX as usize / 8;

/// The number of ones of every nibble, for [`_mm256_shuffle_epi8`].
#[inline]
#[target_feature(enable = "avx2")]
fn ones_of_nibbles() -> __m256i {
    _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4))
}

/// The low and the high nibbles of all bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn split(x: __m256i) -> [__m256i; 2] {
    let nibble = _mm256_set1_epi8(0x0F);
    [_mm256_and_si256(x, nibble), _mm256_and_si256(_mm256_srli_epi16::<4>(x), nibble)]
}

/// Columns 0..4 and 4..8 of a line.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(line: &[u64; 8]) -> [__m256i; 2] {
    let place = line.as_ptr().cast::<__m256i>();
    // SAFETY: the line is 64 bytes, of which this takes the first 32; the load needs no alignment.
    let first = unsafe { _mm256_loadu_si256(place) };
    // SAFETY: the line is 64 bytes long.
    let second = unsafe { place.add(1) };
    // SAFETY: these are the line's last 32 bytes; the load needs no alignment.
    [first, unsafe { _mm256_loadu_si256(second) }]
}

/// Adds the weighted counts of eight columns, given as lanes of 64 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn add(sums: &mut [i32; 8], [first, second]: [__m256i; 2], weight: i32) {
    let place = sums.as_mut_ptr().cast();
    let (first, second) = (_mm256_castsi256_ps(first), _mm256_castsi256_ps(second));
    let mixed = _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(first, second));
    let counts = _mm256_permute4x64_epi64::<0b11_01_10_00>(mixed);
    let weighted = _mm256_mullo_epi32(counts, _mm256_set1_epi32(weight));
    // SAFETY: the sums are 32 bytes; the load needs no alignment.
    let before = unsafe { _mm256_loadu_si256(place) };
    let after = _mm256_add_epi32(before, weighted);
    // SAFETY: the sums are 32 bytes, borrowed alone; the store needs no alignment.
    unsafe { _mm256_storeu_si256(place, after) }
}

#[target_feature(enable = "avx2,popcnt")]
fn compare(x: &[f32], cuts: &[f32], bits: &mut [u64]) {
    crossings::pack(x, cuts, bits, |x, cuts| {
        let mut bits = 0;
        for (at, (x, cuts)) in x.as_chunks().0.iter().zip(cuts.as_chunks().0).enumerate() {
            let crossed = _mm256_cmp_ps::<_CMP_GE_OQ>(load_reals(x), load_reals(cuts));
            bits |= (_mm256_movemask_ps(crossed) as u64) << (8 * at);
        }
        bits
    });
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_reals(x: &[f32; 8]) -> __m256 {
    // SAFETY: the numbers are 32 bytes; the load needs no alignment.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}
