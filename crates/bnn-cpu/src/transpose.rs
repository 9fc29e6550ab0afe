//! Transposition of matrices of reals, by squares that fit the registers.

use crate::cpu::Cpu;
use crate::kernels::{LINE, Rows, RowsMut};

/// Writes entry (row, col) of `from` as entry (col, row) of `to`; both are row-major.
pub(crate) fn transpose(
    cpu: &Cpu,
    (from, from_apart): Rows<'_>,
    (rows, cols): (usize, usize),
    (to, to_apart): RowsMut<'_>,
) {
    let (whole_rows, whole_cols) = (rows / LINE * LINE, cols / LINE * LINE);
    for row in (0..whole_rows).step_by(LINE) {
        for col in (0..whole_cols).step_by(LINE) {
            let from = (&from[row * from_apart + col..], from_apart);
            cpu.kernel.transpose(from, (&mut to[col * to_apart + row..], to_apart));
        }
    }
    for row in 0..rows {
        let first = if row < whole_rows { whole_cols } else { 0 };
        for col in first..cols {
            to[col * to_apart + row] = from[row * from_apart + col];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_changes_place() {
        for kernel in Cpu::kernels().into_iter().filter(|kernel| kernel.missing.is_none()) {
            let cpu = Cpu::with_kernel(kernel.name).unwrap();
            for (rows, cols) in [(0, 5), (1, 1), (16, 16), (17, 40), (33, 15), (48, 32)] {
                let from: Vec<f32> = (0..rows * (cols + 3)).map(|at| at as f32).collect();
                let mut to = vec![0.0; cols * (rows + 2)];
                transpose(&cpu, (&from, cols + 3), (rows, cols), (&mut to, rows + 2));
                for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
                    assert_eq!(to[col * (rows + 2) + row], from[row * (cols + 3) + col]);
                }
            }
        }
    }
}
