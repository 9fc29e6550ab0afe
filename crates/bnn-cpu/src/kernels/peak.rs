//! The bound that binary kernels are measured by: a popcount loop that never leaves registers.

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
