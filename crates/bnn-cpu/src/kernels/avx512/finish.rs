//! Values of counts, while these are in registers.

use std::arch::x86_64::*;

use super::super::{Finish, Out, PANEL, Row};
use super::tiles::COLUMNS;
use super::{load_sixteen, store_reals, store_some_reals};

/// Asks for the lines that [`write`] will fill: they lie so far apart that no processor foresees them.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn prefetch(finish: &Finish<'_>, (row, col): (usize, usize), width: usize) {
    let Out::Reals { out, apart, .. } = &finish.out else { return };
    for at in (col..col + width).step_by(COLUMNS) {
        if let Some(place) = out.get(row * *apart + at) {
            _mm_prefetch::<_MM_HINT_ET0>(std::ptr::from_ref(place).cast());
        }
    }
}

/// Writes the values of a row in a panel, from a column on and of up to `width` columns; `counts` are
/// those of sixteen columns to a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn write(
    finish: &mut Finish<'_>,
    row: &Row,
    (col, width): (usize, usize),
    counts: [__m512i; PANEL / COLUMNS],
) {
    let width = width.min(finish.cols.saturating_sub(col));
    let line = finish.lines[row.line + col..].first_chunk::<PANEL>();
    let line: &[[i32; COLUMNS]] = line.expect("lines reach the end of a panel").as_chunks().0;
    let (most, weight) = (_mm512_set1_epi32(row.most), _mm512_set1_epi32(finish.weight));
    let value = |at: usize| {
        let weighted = _mm512_mullo_epi32(counts[at], weight);
        _mm512_add_epi32(_mm512_add_epi32(most, load_sixteen(&line[at])), weighted)
    };
    match &mut finish.out {
        Out::Reals { scale, out, apart } => {
            let out = &mut out[row.to * *apart + col..][..width];
            let scale = _mm512_set1_ps(*scale);
            for (at, out) in out.chunks_mut(COLUMNS).enumerate() {
                let reals = _mm512_mul_ps(_mm512_cvtepi32_ps(value(at)), scale);
                match out.as_mut_array() {
                    Some(out) => store_reals(out, reals),
                    None => store_some_reals(out, reals),
                }
            }
        }
        Out::Signs { out, apart } => {
            let reached =
                |at| u64::from(_mm512_cmpge_epi32_mask(value(at), _mm512_setzero_si512()));
            let bits = (reached(0) | reached(1) << COLUMNS) & u64::MAX >> (64 - width.max(1));
            let word = &mut out[row.to * *apart + col / 64];
            *word = bits << (col % 64) | if col.is_multiple_of(64) { 0 } else { *word };
        }
    }
}
