//! Kernels in plain Rust, for any processor.

use super::{Counts, Kernel, Set};

pub(super) const KERNEL: Kernel = Kernel {
    name: "portable",
    missing: || None,
    tile_rows: 1,
    counts,
    crossings,
    lanes: Set::Portable,
};

/// One row and one panel at a time: eight sums stay in registers.
fn counts(task: &Counts<'_>, sums: &mut [i32]) {
    let panels = task.panel_count();
    for panel in 0..panels {
        let lines = task.panel(panel);
        for row in 0..task.rows {
            let sums = &mut sums[(row * panels + panel) * 8..][..8];
            for digit in 0..task.digits {
                let weight = task.weight.wrapping_shl(digit as u32);
                for (sum, count) in sums.iter_mut().zip(differing(task, (row, digit), lines)) {
                    *sum = sum.wrapping_add(weight.wrapping_mul(count as i32));
                }
            }
        }
    }
}

/// How many signs of a row differ from those of each column of a panel.
#[inline]
fn differing(task: &Counts<'_>, (row, digit): (usize, usize), lines: &[[u64; 8]]) -> [u32; 8] {
    let mut counts = [0; 8];
    let mut add = |signs: u64, mask: u64, line: &[u64; 8]| {
        for (count, column) in counts.iter_mut().zip(line) {
            *count += ((signs ^ column) & mask).count_ones();
        }
    };
    let row_words = task.row(row, digit).iter().zip(lines);
    match task.mask {
        None => row_words.for_each(|(&signs, line)| add(signs, u64::MAX, line)),
        Some(_) => {
            let masks = task.mask_row(row).iter();
            row_words.zip(masks).for_each(|((&signs, line), &mask)| add(signs, mask, line));
        }
    }
    counts
}

fn crossings(x: &[f32], cuts: &[f32], bits: &mut [u64]) {
    for (word, (bits, x)) in bits.iter_mut().zip(x.chunks(64)).enumerate() {
        *bits = match cuts {
            [cut] => pack(x, |_| *cut),
            _ => pack(x, |at| cuts[word * 64 + at]),
        };
    }
}

#[inline]
fn pack(x: &[f32], cut: impl Fn(usize) -> f32) -> u64 {
    x.iter().enumerate().fold(0, |bits, (at, &x)| bits | u64::from(x >= cut(at)) << at)
}
