//! Gradients of products: matrices of reals times decoded codes, block by block.
//!
//! Blocks depend on the shape alone, so that results do not depend on the number of threads.

use bnn_core::{Error, Gather, Operand, Result};

use crate::cpu::Cpu;
use crate::kernels::{Strided, StridedMut, multiply};
use crate::memory::Buffer;
use crate::operand::{self, Reals, decode};
use crate::real::Real;

/// Side of the squares that weights are decoded in: 1 MiB of reals, for the second cache.
const SQUARE: usize = 512;

/// Outputs whose weight gradient one task forms.
pub(crate) const OUTPUTS: usize = 128;

/// Gathered rows that are decoded at a time.
const ROWS: usize = 4096;

/// See [`TrainBackend::product_grad_input`](bnn_core::TrainBackend::product_grad_input).
pub(crate) fn input(cpu: &Cpu, dy: &Real, w: Operand<'_, Cpu>, gather: &Gather) -> Result<Real> {
    let channels = operand::dim(&w).1 / gather.taps();
    let shape = (gather.in_rows(dy.rows)?, channels);
    check(gather, shape, operand::dim(&w), dy)?;
    match gather {
        Gather::Rows => Ok(input_of_rows(cpu, dy, &w)),
        Gather::Patches { grid, .. } => {
            Ok(input_of_patches(cpu, dy, w, gather, (shape, grid.pixels())))
        }
    }
}

/// Every task forms a block of columns from squares of the weights.
fn input_of_rows(cpu: &Cpu, dy: &Real, w: &Operand<'_, Cpu>) -> Real {
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
            multiply(out, g, w, (dy.rows, width, count), true);
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
fn input_of_patches(
    cpu: &Cpu,
    dy: &Real,
    w: Operand<'_, Cpu>,
    gather: &Gather,
    (shape, pixels): ((usize, usize), usize),
) -> Real {
    let (outputs, depth) = operand::dim(&w);
    let w = Reals::of(cpu, w);
    let mut dx = cpu.real(shape);
    let per_image = dy.rows / (shape.0 / pixels).max(1);
    let tasks = dx.data.chunks_mut((pixels * shape.1).max(1)).enumerate();
    cpu.workers.each(tasks, |(image, dx)| {
        let dy = Strided::rows(dy.rows_at(image * per_image, per_image), outputs);
        let mut columns = cpu.take_zeroed(per_image * depth);
        let out = StridedMut { data: &mut columns, rows_apart: depth };
        let w = Strided::rows(w.numbers(), depth);
        multiply(out, dy, w, (per_image, depth, outputs), true);
        dx.fill(0.0);
        scatter(&columns, gather, shape.1, dx);
    });
    dx
}

/// Adds the gradients of gathered entries to those of their sources.
fn scatter(columns: &[f32], gather: &Gather, channels: usize, dx: &mut [f32]) {
    for (row, taps) in columns.chunks_exact(gather.taps() * channels).enumerate() {
        for (tap, from) in taps.chunks_exact(channels).enumerate() {
            if let Some(source) = gather.source(row, tap) {
                let to = &mut dx[source * channels..][..channels];
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
    }
}

/// See [`TrainBackend::product_grad_weight`](bnn_core::TrainBackend::product_grad_weight).
pub(crate) fn weight(cpu: &Cpu, dy: &Real, a: Operand<'_, Cpu>, gather: &Gather) -> Result<Real> {
    let shape = check_weight(dy, &a, gather)?;
    let mut dw = cpu.real(shape);
    dw.data.fill(0.0);
    for first in (0..dy.rows).step_by(ROWS) {
        let count = ROWS.min(dy.rows - first);
        let a = operand::gathered(cpu, &a, gather, (first, count));
        let tasks = dw.data.chunks_mut((OUTPUTS * shape.1).max(1)).enumerate();
        cpu.workers.each(tasks, |(task, dw)| {
            weight_block(dy, (first, count), &a, (task * OUTPUTS, shape.1), dw);
        });
    }
    Ok(dw)
}

/// The shape of the weights' gradient.
pub(crate) fn check_weight(
    dy: &Real,
    a: &Operand<'_, Cpu>,
    gather: &Gather,
) -> Result<(usize, usize)> {
    let shape = (dy.cols, gather.taps() * operand::dim(a).1);
    check(gather, operand::dim(a), shape, dy)?;
    Ok(shape)
}

/// Adds to some outputs' rows of the weight gradient what some rows of `a` contribute.
pub(crate) fn weight_block(
    dy: &Real,
    (row, count): (usize, usize),
    a: &[f32],
    (output, depth): (usize, usize),
    dw: &mut [f32],
) {
    let outputs = dw.len() / depth;
    let g = &dy.data[row * dy.cols + output..];
    let g = Strided { data: g, rows_apart: 1, cols_apart: dy.cols };
    let out = StridedMut { data: dw, rows_apart: depth };
    multiply(out, g, Strided::rows(a, depth), (outputs, depth, count), true);
}

fn check(gather: &Gather, a: (usize, usize), w: (usize, usize), dy: &Real) -> Result<()> {
    let want = gather.product_shape(a, w)?;
    if dy.dim() != want {
        let got = format!("{:?}", dy.dim());
        return Err(Error::shape("product gradient", format!("dy {want:?}"), got));
    }
    Ok(())
}
