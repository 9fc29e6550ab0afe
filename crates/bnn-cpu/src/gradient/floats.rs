//! Gradients of products with reals, or with codes of several planes, decoded block by block.

use bnn_core::{Gather, Operand};

use super::{ROWS, image_count, scatter};
use crate::cpu::Cpu;
use crate::memory::Buffer;
use crate::multiply::{Strided, StridedMut, multiply};
use crate::operand::{self, Reals, decode};
use crate::real::Real;

/// Side of the squares that weights are decoded in: 1 MiB of reals, for the second cache.
const SQUARE: usize = 512;

/// Outputs whose weight gradient one task forms.
pub(super) const OUTPUTS: usize = 128;

/// Every task forms a block of columns from squares of the weights.
pub(super) fn input_of_rows(cpu: &Cpu, dy: &Real, w: &Operand<'_, Cpu>) -> Real {
    let (outputs, depth) = operand::dim(w);
    let mut dx = cpu.real((dy.rows, depth));
    if dy.rows == 0 || outputs == 0 {
        dx.data.fill(0.0);
        return dx;
    }
    let width = |block: usize| SQUARE.min(depth - block * SQUARE);
    let mut blocks: Vec<Buffer<f32>> =
        (0..depth.div_ceil(SQUARE)).map(|block| cpu.take_zeroed(dy.rows * width(block))).collect();
    cpu.workers.each(blocks.iter_mut().enumerate(), |(block, out)| {
        let (from, width) = (block * SQUARE, width(block));
        for first in (0..outputs).step_by(SQUARE) {
            let count = SQUARE.min(outputs - first);
            let square = square(cpu, w, (first, count), (from, width));
            let g = Strided { data: &dy.data[first..], rows_apart: outputs, cols_apart: 1 };
            let out = StridedMut { data: out, rows_apart: width };
            let w = Strided::rows(&square, width);
            multiply(cpu, out, (g, w), (dy.rows, width, count), true);
        }
    });
    for (block, out) in blocks.iter().enumerate() {
        let width = width(block);
        for (row, out) in out.chunks_exact(width).enumerate() {
            dx.data[row * depth + block * SQUARE..][..width].copy_from_slice(out);
        }
    }
    dx
}

/// The weights of some outputs and columns.
fn square(
    cpu: &Cpu,
    w: &Operand<'_, Cpu>,
    (first, count): (usize, usize),
    (from, width): (usize, usize),
) -> Buffer<f32> {
    let mut square = cpu.take(count * width);
    for (row, out) in (first..).zip(square.chunks_exact_mut(width)) {
        match w {
            Operand::Code(code) => decode(cpu, code, row, from, out),
            Operand::Real(real) => out.copy_from_slice(&real.rows_at(row, 1)[from..][..width]),
        }
    }
    square
}

/// Every task takes whole images: the gradients of gathered entries, then their sums.
pub(super) fn input_of_patches(
    cpu: &Cpu,
    dy: &Real,
    w: Operand<'_, Cpu>,
    gather: &Gather,
    shape: (usize, usize),
) -> Real {
    let (outputs, depth) = operand::dim(&w);
    let w = Reals::of(cpu, w);
    let mut dx = cpu.real(shape);
    let images = image_count(gather, shape.0);
    let per_image = dy.rows / images;
    let tasks = dx.data.chunks_mut((shape.0 * shape.1 / images).max(1)).enumerate();
    cpu.workers.each(tasks, |(image, dx)| {
        let dy = Strided::rows(dy.rows_at(image * per_image, per_image), outputs);
        let mut columns = cpu.take_zeroed(per_image * depth);
        let out = StridedMut { data: &mut columns, rows_apart: depth };
        let w = Strided::rows(w.numbers(), depth);
        multiply(cpu, out, (dy, w), (per_image, depth, outputs), true);
        dx.fill(0.0);
        scatter(&columns, gather, shape.1, dx);
    });
    dx
}

/// Every task forms the gradients of some outputs.
pub(super) fn weight(
    cpu: &Cpu,
    dy: &Real,
    a: Operand<'_, Cpu>,
    gather: &Gather,
    shape: (usize, usize),
) -> Real {
    let mut dw = cpu.real(shape);
    dw.data.fill(0.0);
    for first in (0..dy.rows).step_by(ROWS) {
        let count = ROWS.min(dy.rows - first);
        let a = operand::gathered(cpu, &a, gather, (first, count));
        let tasks = dw.data.chunks_mut((OUTPUTS * shape.1).max(1)).enumerate();
        cpu.workers.each(tasks, |(task, dw)| {
            weight_block(cpu, dy, (first, count), &a, (task * OUTPUTS, shape.1), dw);
        });
    }
    dw
}

/// Adds to some outputs' rows of the weight gradient what some rows of `a` contribute.
pub(super) fn weight_block(
    cpu: &Cpu,
    dy: &Real,
    (row, count): (usize, usize),
    a: &[f32],
    (output, depth): (usize, usize),
    dw: &mut [f32],
) {
    if count == 0 {
        return;
    }
    let outputs = dw.len() / depth;
    let g = &dy.data[row * dy.cols + output..];
    let g = Strided { data: g, rows_apart: 1, cols_apart: dy.cols };
    let out = StridedMut { data: dw, rows_apart: depth };
    multiply(cpu, out, (g, Strided::rows(a, depth)), (outputs, depth, count), true);
}
