//! Odd and absurd input, on the host: refused or right, never a panic.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::{
    BinaryBackend, BitMatrix, Clock, Form, Gather, Gradient, Grid, HostCode, Key, Levels, Matrix,
    Operand, Optimizer, Param, Planes, Rule, TrainBackend, Window,
};
use bnn_cuda::{Code, Cuda, Real};

fn cuda() -> Cuda {
    Cuda::emulated("tensor").unwrap()
}

fn signs(cuda: &Cuda, rows: usize, columns: usize) -> Code {
    cuda.put_code(&HostCode::binary(BitMatrix::from_fn(rows, columns, |_, _| true))).unwrap()
}

#[test]
fn a_gradient_that_is_no_number_stays_to_be_seen() {
    let cuda = cuda();
    let put = |x: f32| -> Real { cuda.put(Matrix::from_elem((1, 4), x).view()).unwrap() };
    let clock = Clock { step_size: 0.1, key: Key(0, 0) }.to_row();
    let rule = Rule { optimizer: Optimizer::adam(), scale: 1.0, clip: true };
    let mut param = Param::<Cuda> { value: put(0.5), m: put(0.0), v: put(0.0) };
    let (gradient, clock) = (put(f32::NAN), cuda.put(clock.view()).unwrap());
    cuda.update(&mut param, Gradient::Ready(&gradient), &rule, None, &clock).unwrap();
    assert!(cuda.get(&param.value).unwrap().iter().all(|value| value.is_nan()));
}

#[test]
fn sums_beyond_the_kernels_integers_are_refused() {
    let cuda = cuda();
    let plane = || BitMatrix::from_fn(1, 2, |_, _| true);
    let wide = Planes { scale: 1.0, planes: vec![(1 << 15, plane())], mask: None };
    let wide = cuda.put_code(&HostCode::Planes(wide)).unwrap();
    let error = cuda.product(&wide, &wide, &Gather::Rows).err().unwrap().to_string();
    assert!(error.contains("2^27"), "{error}");
}

#[test]
fn nothing_to_sum_is_zero() {
    let cuda = cuda();
    let (a, w) = (signs(&cuda, 3, 0), signs(&cuda, 2, 0));
    let y = cuda.product(&a, &w, &Gather::Rows).unwrap();
    assert_eq!(cuda.get(&y).unwrap(), Matrix::zeros((3, 2)));
}

#[test]
fn rows_without_columns_take_no_time() {
    let rows = 1 << 40;
    let code = HostCode::binary(BitMatrix::from_words(rows, 0, vec![]).unwrap());
    let cuda = cuda();
    let there = cuda.put_code(&code).unwrap();
    assert_eq!(cuda.get_code(&there).unwrap(), code);
}

#[test]
fn shapes_without_sense_are_refused() {
    let cuda = cuda();
    let (a, w) = (signs(&cuda, 4, 8), signs(&cuda, 2, 8));
    let cuts = cuda.put(Matrix::zeros((1, 2)).view()).unwrap();
    let levels = Levels { scale: 1.0, form: Form::Binary { planes: 64 } };
    assert!(cuda.product_cut(&a, &w, &Gather::Rows, &cuts, &levels).is_err());
    let grid = Grid { height: 2, width: 2 };
    for window in [Window { height: 0, ..grid.whole() }, Window::square(1 << 40, 1, 0)] {
        let gather = Gather::Patches { grid, window };
        assert!(cuda.product_grad_input(&cuts, Operand::Code(&w), &gather).is_err());
        assert!(cuda.product_grad_weight(&cuts, Operand::Code(&a), &gather).is_err());
    }
    let vast = Grid { height: 1 << 20, width: 1 << 20 };
    let gather = Gather::Patches { grid: vast, window: Window::square(1, 1, 0) };
    let error = cuda.product(&signs(&cuda, 0, 8), &w, &gather).err().unwrap().to_string();
    assert!(error.contains("2^26 taps"), "{error}");
}

#[test]
fn an_unknown_kernel_is_answered_with_the_known_ones() {
    let error = cuda().with_kernel("volta").err().unwrap().to_string();
    assert!(error.contains("`tensor`") && error.contains("`count_64x64`"), "{error}");
}
