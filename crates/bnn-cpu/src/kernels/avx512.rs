//! Kernels for AVX-512 with VPOPCNTDQ.

use std::arch::x86_64::*;

use super::{Counts, Kernel, LINE, Lanes, Line, Set, crossings};

pub(super) const KERNEL: Kernel = Kernel {
    name: "avx512",
    missing,
    tile_rows: ROWS,
    counts,
    crossings: compare,
    spread,
    transpose,
    lanes: Set::Avx512,
};

/// Rows of a tile.
const ROWS: usize = 4;

/// Panels of a tile: with its sixteen accumulators, four lines of panels, a row and a mask it just
/// fits the 32 registers.
const PANELS: usize = 4;

fn missing() -> Option<String> {
    let sets = [
        ("AVX512F", is_x86_feature_detected!("avx512f")),
        ("AVX512BW", is_x86_feature_detected!("avx512bw")),
        ("AVX512DQ", is_x86_feature_detected!("avx512dq")),
        ("AVX512VL", is_x86_feature_detected!("avx512vl")),
        ("AVX512_VPOPCNTDQ", is_x86_feature_detected!("avx512vpopcntdq")),
    ];
    let lacks: Vec<_> = sets.iter().filter(|(_, here)| !here).map(|(name, _)| *name).collect();
    (!lacks.is_empty()).then(|| lacks.join(", "))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
pub(super) fn run<L: Lanes>(work: L) -> L::Output {
    work.run()
}

/// Outputs lie in lanes, so that no sum runs across a register:
///
/// ```text
///                 panel 0        panel 1        ..   lines of 8 columns, one word of each
/// row 0  word     acc[0][0]      acc[0][1]           acc += popcount(broadcast(word) xor line)
/// row 1  word     acc[1][0]      acc[1][1]
/// ```
/// A group of panels stays in L1 while all rows pass by; a tile runs over the whole depth, and over
/// the digits of its rows from the highest, doubling what it has.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn counts(task: &Counts<'_>, sums: &mut [i32]) {
    match task.mask {
        Some(_) => tiles::<true>(task, sums),
        None => tiles::<false>(task, sums),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn tiles<const MASKED: bool>(task: &Counts<'_>, sums: &mut [i32]) {
    let panels = task.panel_count();
    let (whole_rows, whole_panels) = (task.rows() / ROWS * ROWS, panels / PANELS * PANELS);
    for panel in (0..whole_panels).step_by(PANELS) {
        for row in (0..whole_rows).step_by(ROWS) {
            tile::<ROWS, PANELS, MASKED>(task, row, panel, sums);
        }
        for row in whole_rows..task.rows() {
            tile::<1, PANELS, MASKED>(task, row, panel, sums);
        }
    }
    for panel in whole_panels..panels {
        for row in (0..whole_rows).step_by(ROWS) {
            tile::<ROWS, 1, MASKED>(task, row, panel, sums);
        }
        for row in whole_rows..task.rows() {
            tile::<1, 1, MASKED>(task, row, panel, sums);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn tile<const R: usize, const P: usize, const MASKED: bool>(
    task: &Counts<'_>,
    row: usize,
    panel: usize,
    sums: &mut [i32],
) {
    let mut total = [[_mm512_setzero_si512(); P]; R];
    let mut lines: [&[[u64; 8]]; P] = [&[]; P];
    let mut rest = lines;
    let (mut rows, mut masks): ([&[u64]; R], [&[u64]; R]) = ([&[]; R], [&[]; R]);
    for digit in (0..task.digits).rev() {
        for total in total.as_flattened_mut() {
            *total = _mm512_slli_epi64::<1>(*total);
        }
        for (panel, rest) in (panel..).zip(&mut rest) {
            *rest = task.panel(panel);
        }
        for run in 0..task.runs.count {
            for (lines, rest) in lines.iter_mut().zip(&mut rest) {
                (*lines, *rest) = rest.split_at(task.runs.len);
            }
            for at in 0..R {
                rows[at] = task.run(row + at, digit, run);
                masks[at] = if MASKED { task.mask_run(row + at, run) } else { rows[at] };
            }
            for word in 0..task.runs.len {
                let mut line = [_mm512_setzero_si512(); P];
                for at in 0..P {
                    line[at] = load(&lines[at][word]);
                }
                for at in 0..R {
                    let signs = _mm512_set1_epi64(rows[at][word] as i64);
                    let mask = _mm512_set1_epi64(masks[at][word] as i64);
                    for (total, &line) in total[at].iter_mut().zip(&line) {
                        let differ = if MASKED {
                            _mm512_ternarylogic_epi64::<XOR_AND>(signs, line, mask)
                        } else {
                            _mm512_xor_si512(signs, line)
                        };
                        *total = _mm512_add_epi64(*total, _mm512_popcnt_epi64(differ));
                    }
                }
            }
        }
    }
    let weight = _mm256_set1_epi32(task.weight);
    let stride = task.panel_count() * 8;
    for (at, total) in total.iter().enumerate() {
        let sums = &mut sums[(row + at) * stride + panel * 8..][..P * 8];
        for (sums, &total) in sums.as_chunks_mut().0.iter_mut().zip(total) {
            add(sums, _mm256_mullo_epi32(_mm512_cvtepi64_epi32(total), weight));
        }
    }
}

/// Truth table of `(a xor b) & c`: entries 0b011 and 0b101.
const XOR_AND: i32 = 1 << 0b011 | 1 << 0b101;

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
fn transpose(from: &[Line; LINE], to: &mut [Line; LINE]) {
    let mut parts = [_mm512_setzero_ps(); LINE];
    for (parts, rows) in parts.as_chunks_mut::<4>().0.iter_mut().zip(from.as_chunks::<4>().0) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| load_reals(&rows[at]));
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
        store_reals(&mut to[at], _mm512_shuffle_f32x4::<EVEN>(even_ab, even_cd));
        store_reals(&mut to[4 + at], _mm512_shuffle_f32x4::<EVEN>(odd_ab, odd_cd));
        store_reals(&mut to[8 + at], _mm512_shuffle_f32x4::<ODD>(even_ab, even_cd));
        store_reals(&mut to[12 + at], _mm512_shuffle_f32x4::<ODD>(odd_ab, odd_cd));
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

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn add(sums: &mut [i32; 8], counts: __m256i) {
    let place = sums.as_mut_ptr().cast();
    // SAFETY: the sums are 32 bytes; the load needs no alignment.
    let before = unsafe { _mm256_loadu_si256(place) };
    let after = _mm256_add_epi32(before, counts);
    // SAFETY: the sums are 32 bytes, borrowed alone; the store needs no alignment.
    unsafe { _mm256_storeu_si256(place, after) }
}
