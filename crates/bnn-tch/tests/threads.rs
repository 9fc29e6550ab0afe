//! libtorch's number of threads, which is one for the whole process: this test has its own.
#![cfg(feature = "tch")]
#![allow(clippy::unwrap_used)]

use bnn_core::{BinaryBackend, FloatBackend, Gather, Grid, Key, Norm, Operand, Running, Window};
use bnn_core::{BitMatrix, HostCode, Matrix, TrainBackend};
use bnn_tch::Tch;

/// Numbers of both signs that look random.
fn reals(rows: usize, cols: usize, stream: u32) -> Matrix {
    let key = Key::new(7, 7).stream(stream);
    let number = |(row, col)| 2.0 * key.uniform((row * cols + col) as u32) - 1.0;
    Matrix::from_shape_fn((rows, cols), number)
}

/// Sums of reals that are large enough to be shared among threads.
fn sums(tch: &Tch, gather: &Gather, (rows, cols, out): (usize, usize, usize)) -> Vec<Matrix> {
    let (n, depth) = (gather.out_rows(rows).unwrap(), gather.taps() * cols);
    let signs = |x: Matrix| HostCode::binary(BitMatrix::from_signs(x.view()));
    let a = tch.put_code(&signs(reals(rows, cols, 0))).unwrap();
    let w = tch.put_code(&signs(reals(out, depth, 1))).unwrap();
    let dy = tch.put(reals(n, out, 2).view()).unwrap();
    let dw = tch.product_grad_weight(&dy, Operand::Code(&a), gather).unwrap();
    let dx = tch.product_grad_input(&dy, Operand::Code(&w), gather).unwrap();
    let x = tch.put(reals(rows, cols, 3).view()).unwrap();
    let y = tch.product_real(Operand::Real(&x), Operand::Real(&dw), gather).unwrap();
    let row = |value: f32| tch.put(Matrix::from_elem((1, out), value).view()).unwrap();
    let (gamma, beta, norm) = (row(1.5), row(0.25), Norm::theano());
    let mut running = Running { mean: row(0.0), spread: row(1.0) };
    let normed = tch.norm(&y, &gamma, &beta, &mut running, &norm).unwrap();
    let grad = tch.norm_grad(&dy, &y, &gamma, &normed, &norm).unwrap();
    let all = [&dw, &dx, &y, &normed.y, &grad.x, &grad.gamma, &grad.beta];
    all.into_iter().map(|real| tch.get(real).unwrap()).collect()
}

/// A dense layer and a convolution, with the sizes of their operands.
fn cases() -> [(Gather, (usize, usize, usize)); 2] {
    let grid = Grid { height: 16, width: 16 };
    let patches = Gather::Patches { grid, window: Window::square(3, 1, 1) };
    [(Gather::Rows, (100, 1100, 700)), (patches, (10 * 256, 70, 90))]
}

fn repeats(tch: &Tch) {
    for (gather, sizes) in cases() {
        let (first, again) = (sums(tch, &gather, sizes), sums(tch, &gather, sizes));
        for (at, (first, again)) in first.iter().zip(&again).enumerate() {
            assert!(first == again, "result {at} of {gather:?} on {}", tch.name());
        }
    }
}

/// The same name, the same bytes: the number of threads is part of the name.
#[test]
fn a_name_stands_for_its_bytes() {
    for count in 1..4 {
        let tch = Tch::cpu().with_threads(count).unwrap();
        assert_eq!(tch.name(), format!("tch/{count}"));
        repeats(&tch);
        let tch = Tch::cpu_as_gpu();
        assert_eq!(tch.name(), format!("tch:gathered/{count}"));
        repeats(&tch);
    }
    match Tch::cuda() {
        Ok(tch) => repeats(&tch),
        Err(error) => bnn_testkit::skipped("tch:cuda", &error.to_string()),
    }
}
