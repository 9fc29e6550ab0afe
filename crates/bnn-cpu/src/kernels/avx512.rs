//! Kernels for AVX-512 with VPOPCNTDQ and VNNI, which came together.

mod dots;
mod finish;
mod reals;
mod tiles;

use std::arch::x86_64::*;

use super::{Kernel, LINE, Lanes, Rows, RowsMut, Set, crossings};

pub(super) const KERNEL: Kernel = Kernel {
    name: "avx512",
    missing,
    tile_rows: tiles::ROWS,
    counts: tiles::counts,
    finish: Some(tiles::finish),
    dots: Some(dots::dots),
    crossings: compare,
    spread,
    transpose,
    products: reals::products,
    lanes: Set::Avx512,
};

fn missing() -> Option<String> {
    let sets = [
        ("AVX512F", is_x86_feature_detected!("avx512f")),
        ("AVX512BW", is_x86_feature_detected!("avx512bw")),
        ("AVX512DQ", is_x86_feature_detected!("avx512dq")),
        ("AVX512VL", is_x86_feature_detected!("avx512vl")),
        ("AVX512_VNNI", is_x86_feature_detected!("avx512vnni")),
        ("AVX512_VPOPCNTDQ", is_x86_feature_detected!("avx512vpopcntdq")),
    ];
    let lacks: Vec<_> = sets.iter().filter(|(_, here)| !here).map(|(name, _)| *name).collect();
    (!lacks.is_empty()).then(|| lacks.join(", "))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
pub(super) fn run<L: Lanes>(work: L) -> L::Output {
    work.run()
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn compare(x: &[f32], cuts: &[f32], bits: &mut [u64]) {
    crossings::pack(x, cuts, bits, |x, cuts| {
        let mut bits = 0;
        for (at, (x, cuts)) in x.as_chunks().0.iter().zip(cuts.as_chunks().0).enumerate() {
            let crossed = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(load_reals(x), load_reals(cuts));
            bits |= u64::from(crossed) << (16 * at);
        }
        bits
    });
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn spread(bits: &[u64], value: u8, bytes: &mut [u8]) {
    let value = _mm512_set1_epi8(value.cast_signed());
    for (&word, bytes) in bits.iter().zip(bytes.as_chunks_mut().0) {
        let sum = load_bytes(bytes);
        store_bytes(bytes, _mm512_mask_add_epi8(sum, word, sum, value));
    }
}

/// Squares of 4 x 4 reals are transposed inside the four 128-bit parts of the registers, by pairs of
/// reals and then of pairs; then the parts change places, which transposes the square of squares.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn transpose((from, from_apart): Rows<'_>, (to, to_apart): RowsMut<'_>) {
    let line = |row: usize| from[row * from_apart..].first_chunk().expect("a square of lines");
    let mut parts = [_mm512_setzero_ps(); LINE];
    for (four, parts) in parts.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| load_reals(line(4 * four + at)));
        let [ab, cd] = [pairs(_mm512_unpacklo_ps(a, b)), pairs(_mm512_unpacklo_ps(c, d))];
        let [upper_ab, upper_cd] =
            [pairs(_mm512_unpackhi_ps(a, b)), pairs(_mm512_unpackhi_ps(c, d))];
        *parts = [
            _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)),
            _mm512_castpd_ps(_mm512_unpacklo_pd(upper_ab, upper_cd)),
            _mm512_castpd_ps(_mm512_unpackhi_pd(upper_ab, upper_cd)),
        ];
    }
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    for at in 0..4 {
        let [a, b, c, d] = [0, 4, 8, 12].map(|square| parts[square + at]);
        let [even_ab, even_cd] =
            [_mm512_shuffle_f32x4::<EVEN>(a, b), _mm512_shuffle_f32x4::<EVEN>(c, d)];
        let [odd_ab, odd_cd] =
            [_mm512_shuffle_f32x4::<ODD>(a, b), _mm512_shuffle_f32x4::<ODD>(c, d)];
        let mut store = |row: usize, reals| {
            let line = to[row * to_apart..].first_chunk_mut();
            store_reals(line.expect("a square of lines"), reals);
        };
        store(at, _mm512_shuffle_f32x4::<EVEN>(even_ab, even_cd));
        store(4 + at, _mm512_shuffle_f32x4::<EVEN>(odd_ab, odd_cd));
        store(8 + at, _mm512_shuffle_f32x4::<ODD>(even_ab, even_cd));
        store(12 + at, _mm512_shuffle_f32x4::<ODD>(odd_ab, odd_cd));
    }
}

/// Pairs of reals as numbers of twice the width.
#[inline]
#[target_feature(enable = "avx512f")]
fn pairs(reals: __m512) -> __m512d {
    _mm512_castps_pd(reals)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(line: &[u64; 8]) -> __m512i {
    // SAFETY: the line is 64 bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_reals(x: &[f32; 16]) -> __m512 {
    // SAFETY: the numbers are 64 bytes; the load needs no alignment.
    unsafe { _mm512_loadu_ps(x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_reals(x: &mut [f32; 16], reals: __m512) {
    // SAFETY: the numbers are 64 bytes, borrowed alone; the store needs no alignment.
    unsafe { _mm512_storeu_ps(x.as_mut_ptr(), reals) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: these are 64 bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_bytes(to: &mut [u8; 64], bytes: __m512i) {
    // SAFETY: these are 64 bytes, borrowed alone; the store needs no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), bytes) }
}

/// The first lanes of sixteen.
fn lanes(count: usize) -> __mmask16 {
    u16::MAX.unbounded_shr(16usize.saturating_sub(count) as u32)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_sixteen(x: &[i32; 16]) -> __m512i {
    // SAFETY: the numbers are 64 bytes; the load needs no alignment.
    unsafe { _mm512_loadu_epi32(x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_integers(x: &[i32]) -> __m512i {
    // SAFETY: only as many lanes are read as there are numbers, sixteen at most.
    unsafe { _mm512_maskz_loadu_epi32(lanes(x.len()), x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_integers(x: &mut [i32], integers: __m512i) {
    // SAFETY: only as many lanes are written as there are numbers, which are borrowed alone.
    unsafe { _mm512_mask_storeu_epi32(x.as_mut_ptr(), lanes(x.len()), integers) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_some_reals(x: &mut [f32], reals: __m512) {
    // SAFETY: only as many lanes are written as there are numbers, which are borrowed alone.
    unsafe { _mm512_mask_storeu_ps(x.as_mut_ptr(), lanes(x.len()), reals) }
}
