//! Values of counts, while these are in registers.

use std::arch::x86_64::*;

use super::super::{Finish, Out, Row};
use super::tiles::COLUMNS;
use super::{lanes, load_integers, load_sixteen, store_reals, store_some_reals};

/// Asks for the lines that [`write`] will fill: they lie so far apart that no processor foresees them.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn expect(finish: &Finish<'_>, (row, col): (usize, usize), width: usize) {
    let Out::Reals { out, apart, .. } = &finish.out else { return };
    for at in (col..col + width).step_by(COLUMNS) {
        if let Some(place) = out.get(row * *apart + at) {
            _mm_prefetch::<_MM_HINT_ET0>(std::ptr::from_ref(place).cast());
        }
    }
}

/// Writes the values of a tile from a row and column on, of up to `width` columns; `counts` are those
/// of sixteen columns to a register.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn write<const N: usize>(
    finish: &mut Finish<'_>,
    (rows, row): (&[Row], usize),
    (col, width): (usize, usize),
    counts: &[[__m512i; N]],
) {
    let width = width.min(finish.cols.saturating_sub(col));
    let weight = _mm512_set1_epi32(finish.weight);
    for ((row, at), counts) in (row..).zip(&rows[row..]).zip(counts) {
        let line = &finish.lines[at.line + col..][..width];
        let values = Values { most: _mm512_set1_epi32(at.most), weight, line, counts };
        match &mut finish.out {
            Out::Reals { scale, out, apart } => {
                values.write(&mut out[row * *apart + col..][..width], *scale);
            }
            Out::Signs { out, apart } => {
                let (word, bits) = (&mut out[row * *apart + col / 64], values.signs());
                *word = bits << (col % 64) | if col.is_multiple_of(64) { 0 } else { *word };
            }
        }
    }
}

/// The values of a row of a tile: of as many columns as its line has numbers.
struct Values<'a, const N: usize> {
    most: __m512i,
    weight: __m512i,
    line: &'a [i32],
    counts: &'a [__m512i; N],
}

impl<const N: usize> Values<'_, N> {
    /// Writes them as reals.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn write(&self, out: &mut [f32], scale: f32) {
        let scale = _mm512_set1_ps(scale);
        let (whole, rest) = out.as_chunks_mut();
        for (at, out) in whole.iter_mut().take(N).enumerate() {
            let value =
                _mm512_cvtepi32_ps(self.value(at, load_sixteen(&self.line.as_chunks().0[at])));
            store_reals(out, _mm512_mul_ps(value, scale));
        }
        if !rest.is_empty() {
            let at = whole.len();
            let value = self.value(at, load_integers(self.line.as_chunks::<COLUMNS>().1));
            store_some_reals(rest, _mm512_mul_ps(_mm512_cvtepi32_ps(value), scale));
        }
    }

    /// Packs those that are not negative.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn signs(&self) -> u64 {
        let (whole, rest) = self.line.as_chunks();
        let mut bits = 0;
        for (at, line) in whole.iter().take(N).enumerate() {
            let value = self.value(at, load_sixteen(line));
            let signs = _mm512_cmpge_epi32_mask(value, _mm512_setzero_si512());
            bits |= u64::from(signs) << (COLUMNS * at);
        }
        if !rest.is_empty() {
            let value = self.value(whole.len(), load_integers(rest));
            let zero = _mm512_setzero_si512();
            let signs = _mm512_mask_cmpge_epi32_mask(lanes(rest.len()), value, zero);
            bits |= u64::from(signs) << (COLUMNS * whole.len());
        }
        bits
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn value(&self, at: usize, line: __m512i) -> __m512i {
        let weighted = _mm512_mullo_epi32(self.counts[at], self.weight);
        _mm512_add_epi32(_mm512_add_epi32(self.most, line), weighted)
    }
}
