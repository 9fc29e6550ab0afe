//! What binary kernels are measured by: a popcount loop that never leaves registers, memory read as
//! fast as it comes, and the loop that one would write first.

use std::sync::Arc;

use super::{Lanes, best};
use crate::memory::{Buffer, Item, take};

/// Multiply-adds of signs in one round of [`rounds`]: sixteen registers of 512 bits.
#[cfg(target_arch = "x86_64")]
const PER_ROUND: f64 = 16.0 * 512.0;

/// Multiply-adds of signs per second that one core reaches on xor, VPOPCNTQ and add alone, the best
/// of several tries; none without those instructions.
///
/// Products of sign matrices cannot be faster, but for tricks that share work between outputs.
pub fn multiply_adds_per_second() -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vpopcntdq") {
        const ROUNDS: u32 = 100_000;
        let mut best = f64::INFINITY;
        for seed in 0..50 {
            let start = std::time::Instant::now();
            // SAFETY: the processor has both instruction sets.
            std::hint::black_box(unsafe { rounds(ROUNDS, std::hint::black_box(seed)) });
            best = best.min(start.elapsed().as_secs_f64());
        }
        return Some(f64::from(ROUNDS) * PER_ROUND / best);
    }
    None
}

/// Sixteen independent chains hide the latency of one.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn rounds(count: u32, seed: i64) -> i64 {
    use std::arch::x86_64::*;
    let mut sums = [_mm512_setzero_si512(); 16];
    for (at, sum) in sums.iter_mut().enumerate() {
        *sum = _mm512_set1_epi64(seed + at as i64);
    }
    let signs = _mm512_set1_epi64(seed);
    for _ in 0..count {
        for sum in &mut sums {
            *sum = _mm512_add_epi64(*sum, _mm512_popcnt_epi64(_mm512_xor_si512(*sum, signs)));
        }
    }
    sums.iter().fold(0, |total: i64, &sum| total.wrapping_add(_mm512_reduce_add_epi64(sum)))
}

/// Bytes per second that one core reads again and again from a block of this size, the best of
/// several tries: what bounds the product of a single row. The block begins with a line of the cache:
/// where registers are read across lines, some processors reach half of it.
pub fn bytes_per_second(size: usize) -> f64 {
    let words = &*filled(size.div_ceil(8).max(64), 1u64);
    let passes = (1 << 25) / words.len() + 1;
    let mut best_time = f64::INFINITY;
    for _ in 0..20 {
        let start = std::time::Instant::now();
        for _ in 0..passes {
            std::hint::black_box(best().lanes(Read(std::hint::black_box(words))));
        }
        best_time = best_time.min(start.elapsed().as_secs_f64());
    }
    (passes * words.len() * 8) as f64 / best_time
}

/// Memory that begins with a line of the cache, as that of every operand does.
fn filled<T: Item>(len: usize, value: T) -> Buffer<T> {
    let mut memory = take(&Arc::default(), len);
    memory.fill(value);
    memory
}

struct Read<'a>(&'a [u64]);

impl Lanes for Read<'_> {
    type Output = u64;

    /// Several registers are filled at once, so that no sum waits for the one before.
    #[inline(always)]
    fn run(self) -> u64 {
        let mut ors = [0; 64];
        for words in self.0.as_chunks::<64>().0 {
            ors.iter_mut().zip(words).for_each(|(or, word)| *or |= word);
        }
        ors.iter().fold(0, |all, or| all | or)
    }
}

/// Bytes per second that one core moves between four arrays of so many numbers each and itself, three
/// of which it writes again, the best of several tries: what bounds a step of an optimizer.
pub fn moved_bytes_per_second(numbers: usize) -> f64 {
    let [mut a, mut b, mut c, d] = [(); 4].map(|()| filled(numbers.max(1), 1f32));
    let mut best_time = f64::INFINITY;
    for _ in 0..20 {
        let start = std::time::Instant::now();
        best().lanes(Add { to: [&mut a, &mut b, &mut c], d: std::hint::black_box(&d) });
        best_time = best_time.min(start.elapsed().as_secs_f64());
    }
    (7 * numbers * size_of::<f32>()) as f64 / best_time
}

/// Numbers of an array that are moved at a time.
const PAGES: usize = 4096;

struct Add<'a> {
    to: [&'a mut [f32]; 3],
    d: &'a [f32],
}

impl Lanes for Add<'_> {
    type Output = ();

    /// One array after the other, a few pages at a time.
    #[inline(always)]
    fn run(self) {
        let [a, b, c] = self.to.map(|to| to.chunks_mut(PAGES));
        for (((a, b), c), d) in a.zip(b).zip(c).zip(self.d.chunks(PAGES)) {
            for to in [a, b, c] {
                to.iter_mut().zip(d).for_each(|(to, d)| *to += d);
            }
        }
    }
}

/// The product of rows of signs as one would write it first, compiled for this processor: XOR and
/// popcount of 64 signs at a time. All rows are `words` words; padding is zero on both sides.
pub fn word_loop(a: &[u64], w: &[u64], (words, depth): (usize, usize), out: &mut [i32]) {
    best().lanes(WordLoop { a, w, words, depth, out });
}

struct WordLoop<'a> {
    a: &'a [u64],
    w: &'a [u64],
    words: usize,
    depth: usize,
    out: &'a mut [i32],
}

impl Lanes for WordLoop<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let outputs = self.w.len() / self.words;
        let rows = self.a.chunks_exact(self.words).zip(self.out.chunks_exact_mut(outputs));
        for (a, out) in rows {
            for (w, out) in self.w.chunks_exact(self.words).zip(out) {
                let differ: u32 = a.iter().zip(w).map(|(a, w)| (a ^ w).count_ones()).sum();
                *out = self.depth as i32 - 2 * differ as i32;
            }
        }
    }
}
