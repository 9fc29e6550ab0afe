//! Products of bytes by tiles of rows and panels.

use std::arch::x86_64::*;

use super::super::{Dots, Finish, PANEL, QUAD, SIXTEEN};
use super::{finish, load_bytes};

/// Rows of a tile: with two registers of sums for each, and a line of weights of two, they hide the
/// latency of a product.
const ROWS: usize = 8;

/// See [`Kernel::dots`](super::Kernel::dots).
///
/// Sixteen columns lie in the lanes of a register; a quad of a row is broadcast to all of them. A panel
/// stays in L1 while all rows pass by.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn dots(task: &Dots<'_>, mut finish: Finish<'_>) {
    for first in (0..task.cols).step_by(PANEL) {
        match task.cols - first {
            SIXTEEN => tiles::<1>(task, first, &mut finish),
            _ => tiles::<2>(task, first, &mut finish),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn tiles<const P: usize>(task: &Dots<'_>, first: usize, finish: &mut Finish<'_>) {
    let whole = task.rows.len() / ROWS * ROWS;
    for row in (0..whole).step_by(ROWS) {
        tile::<ROWS, P>(task, row, first, finish);
    }
    for row in whole..task.rows.len() {
        tile::<1, P>(task, row, first, finish);
    }
}

/// The sums of some rows and of a panel of `P` registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn tile<const R: usize, const P: usize>(
    task: &Dots<'_>,
    row: usize,
    first: usize,
    finish: &mut Finish<'_>,
) {
    let mut sums = [[_mm512_setzero_si512(); P]; R];
    let (quads, len) = (task.runs.count * task.runs.len, task.runs.len);
    let panel = &task.panels[first * quads * QUAD..].as_chunks::<64>().0[..quads * P];
    let mut rows: [&[[u8; QUAD]]; R] = [&[]; R];
    for run in 0..task.runs.count {
        for (row, at) in rows.iter_mut().zip(&task.rows[row..][..R]) {
            *row = task.a[at.bits + run * task.runs.apart..][..len * QUAD].as_chunks().0;
        }
        for (quad, lines) in panel.as_chunks::<P>().0[run * len..][..len].iter().enumerate() {
            let mut line = [_mm512_setzero_si512(); P];
            line.iter_mut().zip(lines).for_each(|(line, bytes)| *line = load_bytes(bytes));
            for at in 0..R {
                let bytes = _mm512_set1_epi32(i32::from_le_bytes(rows[at][quad]));
                for (sum, &line) in sums[at].iter_mut().zip(&line) {
                    *sum = _mm512_dpbusd_epi32(*sum, bytes, line);
                }
            }
        }
    }
    // A copy of each: sums that others look into would lie in memory throughout the loops.
    for (row, sums) in task.rows[row..].iter().zip(sums) {
        let second = if P == 2 { sums[P - 1] } else { _mm512_setzero_si512() };
        finish::write(finish, row, (first, P * SIXTEEN), [sums[0], second]);
    }
}
