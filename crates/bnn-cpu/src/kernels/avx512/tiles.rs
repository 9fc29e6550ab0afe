//! Counts by tiles of rows and panels.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::{Counts, EIGHT, Finish, PANEL, Row};
use super::{finish, load, load_integers, store_integers};

/// Rows of a tile.
pub(super) const ROWS: usize = 4;

/// Bytes of panels that stay in L1 beside the rows, so that these can pass by one after the other and
/// outputs are written in order.
const NEAR: usize = 40 << 10;

/// Columns of a register of counts.
pub(super) const COLUMNS: usize = 16;

/// Where counts go.
enum Sink<'a> {
    /// To sums that they are added to: a line of all columns for every row.
    Sums(&'a mut [i32]),
    Values(Finish<'a>),
}

/// See [`Kernel::counts`](super::Kernel::counts).
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
pub(super) fn counts(task: &Counts<'_>, sums: &mut [i32]) {
    choose(task, Sink::Sums(sums));
}

/// See [`Kernel::finish`](super::Kernel::finish).
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
pub(super) fn finish(task: &Counts<'_>, finish: Finish<'_>) {
    choose(task, Sink::Values(finish));
}

/// Outputs lie in lanes, so that no sum runs across a register:
///
/// ```text
///                 columns 0..8   8..16    16..24   24..32    one word of each
/// row 0  word     acc[0][0]      acc[0][1]      ..           acc += popcount(broadcast(word) xor line)
/// row 1  word     acc[1][0]      acc[1][1]
/// ```
/// A tile runs over the whole depth, and over the digits of its rows from the highest, doubling what
/// it has. With its sixteen accumulators, four lines, a row and a mask it just fits the 32 registers.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn choose(task: &Counts<'_>, sink: Sink<'_>) {
    match (task.mask, task.words.len() == task.depth) {
        (None, true) => panels::<false, true>(task, sink),
        (None, false) => panels::<false, false>(task, sink),
        (Some(_), true) => panels::<true, true>(task, sink),
        (Some(_), false) => panels::<true, false>(task, sink),
    }
}

/// Panels stay in L1, one or all, while rows pass by.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn panels<const MASKED: bool, const WHOLE: bool>(task: &Counts<'_>, mut sink: Sink<'_>) {
    let (rows, panels) = (task.rows.len(), task.cols.div_ceil(PANEL));
    let step = if size_of_val(task.panels) <= NEAR { ROWS } else { rows.max(1) };
    for row in (0..rows).step_by(step) {
        for panel in 0..panels {
            let rows = row..rows.min(row + step);
            match task.wide(panel) {
                1 => tiles::<1, MASKED, WHOLE>(task, rows, panel, &mut sink),
                2 => tiles::<2, MASKED, WHOLE>(task, rows, panel, &mut sink),
                3 => tiles::<3, MASKED, WHOLE>(task, rows, panel, &mut sink),
                _ => tiles::<4, MASKED, WHOLE>(task, rows, panel, &mut sink),
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn tiles<const P: usize, const MASKED: bool, const WHOLE: bool>(
    task: &Counts<'_>,
    rows: Range<usize>,
    panel: usize,
    sink: &mut Sink<'_>,
) {
    let first = rows.start;
    let (fours, rest) = task.rows[rows].as_chunks::<ROWS>();
    for (at, rows) in fours.iter().enumerate() {
        tile::<ROWS, P, MASKED, WHOLE>(task, (first + at * ROWS, rows), panel, sink);
    }
    let first = first + fours.len() * ROWS;
    let (twos, ones) = rest.as_chunks::<2>();
    for rows in twos {
        tile::<2, P, MASKED, WHOLE>(task, (first, rows), panel, sink);
    }
    for rows in ones {
        tile::<1, P, MASKED, WHOLE>(task, (first + 2 * twos.len(), &[*rows]), panel, sink);
    }
}

/// The counts of some rows and of a panel of `P` lines.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn tile<const R: usize, const P: usize, const MASKED: bool, const WHOLE: bool>(
    task: &Counts<'_>,
    (first, rows): (usize, &[Row; R]),
    panel: usize,
    sink: &mut Sink<'_>,
) {
    if let Sink::Values(finish) = sink {
        rows.iter().for_each(|row| finish::prefetch(finish, (row.to, panel * PANEL), P * EIGHT));
    }
    let lines = &task.panel(panel).as_chunks::<P>().0[..task.depth];
    let mut total = [[_mm512_setzero_si512(); P]; R];
    for digit in (0..task.digits).rev() {
        if digit + 1 < task.digits {
            for total in total.as_flattened_mut() {
                *total = _mm512_slli_epi64::<1>(*total);
            }
        }
        for (at, word) in task.words.iter().enumerate() {
            let lines = if WHOLE { &lines[at] } else { &lines[word.column as usize] };
            let mut line = [_mm512_setzero_si512(); P];
            line.iter_mut().zip(lines).for_each(|(line, words)| *line = load(words));
            for at in 0..R {
                let signs = _mm512_set1_epi64(task.signs(&rows[at], digit, word) as i64);
                let mask = if MASKED { task.kept(&rows[at], word) } else { u64::MAX };
                let mask = _mm512_set1_epi64(mask as i64);
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
    for at in 0..R {
        // Entry by entry: totals that others look into would lie in memory throughout the loops.
        let high = |at: usize, half: usize| total[at].get(2 * half + 1).copied();
        let half = |half: usize| match total[at].get(2 * half) {
            Some(&low) => join(low, high(at, half)),
            None => _mm512_setzero_si512(),
        };
        let counts = [half(0), half(1)];
        match sink {
            Sink::Values(finish) => {
                finish::write(finish, &rows[at], (panel * PANEL, P * EIGHT), counts);
            }
            Sink::Sums(sums) => {
                let place = (first + at) * task.eights() * EIGHT + panel * PANEL;
                add(&mut sums[place..][..P * EIGHT], task.weight, &counts);
            }
        }
    }
}

/// Truth table of `(a xor b) & c`: entries 0b011 and 0b101.
const XOR_AND: i32 = 1 << 0b011 | 1 << 0b101;

/// Sixteen lanes of 32 bits from eight of 64, or twice eight.
#[inline]
#[target_feature(enable = "avx512f")]
fn join(low: __m512i, high: Option<__m512i>) -> __m512i {
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    _mm512_permutex2var_epi32(low, even, high.unwrap_or(low))
}

/// Adds weighted counts to the sums of a row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn add(sums: &mut [i32], weight: i32, counts: &[__m512i]) {
    for (sums, &counts) in sums.chunks_mut(COLUMNS).zip(counts) {
        let weighted = _mm512_mullo_epi32(counts, _mm512_set1_epi32(weight));
        store_integers(sums, _mm512_add_epi32(load_integers(sums), weighted));
    }
}
