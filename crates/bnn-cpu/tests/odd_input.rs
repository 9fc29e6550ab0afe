//! Input that is empty, absurd, or lies in memory in no usual way.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::{
    BinaryBackend, BitMatrix, Clock, Gather, Gradient, Grid, HostCode, Key, Levels, Matrix,
    Operand, Optimizer, Param, Planes, Quant, Reference, Rule, TrainBackend, Window,
};
use bnn_cpu::{Code, Cpu};
use ndarray::{Array2, ShapeBuilder, s};
use proptest::collection;
use proptest::prelude::*;

fn signs(rows: usize, cols: usize) -> HostCode {
    HostCode::binary(BitMatrix::from_fn(rows, cols, |row, col| (row * 7 + col * 3) % 5 < 2))
}

fn put(cpu: &Cpu, rows: usize, cols: usize) -> Code {
    cpu.put_code(&signs(rows, cols)).unwrap()
}

/// Every kernel, on one thread and on more than there are cores.
fn everywhere() -> impl Iterator<Item = Cpu> {
    let usable = Cpu::kernels().into_iter().filter(|kernel| kernel.missing.is_none());
    usable.flat_map(|kernel| {
        let cpu = Cpu::with_kernel(kernel.name).unwrap();
        [1, 3, 64].map(|threads| cpu.clone().with_threads(threads).unwrap())
    })
}

#[test]
fn empty_operands_have_empty_or_zero_products() {
    for cpu in everywhere() {
        for (rows, outputs, depth) in [(0, 3, 70), (3, 0, 70), (3, 5, 0), (0, 0, 0), (0, 4, 0)] {
            let (a, w) = (put(&cpu, rows, depth), put(&cpu, outputs, depth));
            let product = cpu.get(&cpu.product(&a, &w, &Gather::Rows).unwrap()).unwrap();
            assert_eq!(product, Matrix::zeros((rows, outputs)));
            let cuts = cpu.put(Matrix::zeros((1, outputs)).view()).unwrap();
            let cut = cpu.product_cut(&a, &w, &Gather::Rows, &cuts, &Levels::sign()).unwrap();
            let ones = BitMatrix::from_fn(rows, outputs, |_, _| true); // a sum of 0 crosses 0
            assert_eq!(cpu.get_code(&cut).unwrap(), HostCode::binary(ones));
        }
    }
}

#[test]
fn no_images_and_no_bytes_have_products() {
    let gather =
        Gather::Patches { grid: Grid { height: 4, width: 4 }, window: Window::square(3, 1, 1) };
    for cpu in everywhere() {
        for (rows, channels, outputs) in [(0, 3, 5), (16, 0, 5), (16, 3, 0)] {
            let bytes = HostCode::Bytes(Array2::from_elem((rows, channels), 9));
            let (a, w) = (cpu.put_code(&bytes).unwrap(), put(&cpu, outputs, 9 * channels));
            let product = cpu.get(&cpu.product(&a, &w, &gather).unwrap()).unwrap();
            assert_eq!(product.dim(), (rows, outputs));
            assert!(channels > 0 || product.iter().all(|&sum| sum == 0.0));
        }
    }
}

/// Memory holds what was in it before: gradients of something come first.
#[test]
fn gradients_of_nothing_are_zero() {
    let grid = Grid { height: 4, width: 4 };
    let patches = Gather::Patches { grid, window: Window::square(3, 1, 1) };
    let places = [Gather::Rows, patches].map(|gather| [3, 100].map(|cols| (gather, cols)));
    for cpu in everywhere() {
        for (gather, cols) in places.into_iter().flatten() {
            let gradients = |rows, outputs| {
                let dy = cpu.put(Matrix::from_elem((rows, outputs), 1.5).view()).unwrap();
                let (a, w) = (put(&cpu, rows, cols), put(&cpu, outputs, gather.taps() * cols));
                let real = |dim| cpu.put(Matrix::from_elem(dim, 0.5).view()).unwrap();
                let (real_a, real_w) = (real((rows, cols)), real((outputs, gather.taps() * cols)));
                let by_w = [Operand::Code(&a), Operand::Real(&real_a)]
                    .map(|a| cpu.product_grad_weight(&dy, a, &gather).unwrap());
                let by_a = [Operand::Code(&w), Operand::Real(&real_w)]
                    .map(|w| cpu.product_grad_input(&dy, w, &gather).unwrap());
                [by_w, by_a].map(|both| both.map(|real| cpu.get(&real).unwrap()))
            };
            let some = gradients(32, 20);
            assert!(some.iter().flatten().all(|real| real.iter().any(|&x| x != 0.0)));
            let [weights, _] = gradients(0, 20);
            assert_eq!(weights, [(); 2].map(|()| Matrix::zeros((20, gather.taps() * cols))));
            let [_, inputs] = gradients(32, 0);
            assert_eq!(inputs, [(); 2].map(|()| Matrix::zeros((32, cols))));
        }
    }
}

/// A step with no sample moves nothing: Adam's moments stay 0.
#[test]
fn a_gradient_of_no_rows_moves_nothing() {
    let (outputs, cols) = (300, 70);
    for cpu in everywhere() {
        let zeros = |dim| cpu.put(Matrix::zeros(dim).view()).unwrap();
        let (dy, real) = (zeros((0, outputs)), zeros((0, cols)));
        let code = put(&cpu, 0, cols);
        for a in [Operand::Real(&real), Operand::Code(&code)] {
            let dim = (outputs, cols);
            let value = Matrix::from_elem(dim, 0.25);
            let (m, v) = (zeros(dim), zeros(dim));
            let mut param = Param { value: cpu.put(value.view()).unwrap(), m, v };
            let gradient = Gradient::Product { dy: &dy, a, gather: &Gather::Rows };
            let rule = Rule { optimizer: Optimizer::adam(), scale: 1.0, clip: true };
            let clock = Clock { step_size: 0.01, key: Key::new(0, 1) };
            let clock = cpu.put(clock.to_row().view()).unwrap();
            cpu.update(&mut param, gradient, &rule, None, &clock).unwrap();
            assert_eq!(cpu.get(&param.value).unwrap(), value);
        }
    }
}

#[test]
fn products_that_no_memory_holds_are_refused() {
    let cpu = Cpu::new();
    let signs = BitMatrix::from_words(1 << 40, 0, Vec::new()).unwrap();
    let a = cpu.put_code(&HostCode::binary(signs)).unwrap();
    let error = cpu.product(&a, &a, &Gather::Rows).err().unwrap().to_string();
    assert!(error.contains("a product that can be addressed"), "{error}");
    assert!(error.contains(&(1u64 << 40).to_string()), "{error}");
}

#[test]
fn memory_may_be_strided_reversed_or_column_major() {
    let whole =
        Matrix::from_shape_fn((9, 140), |(row, col)| (row * 31 + col * 17) as f32 % 7.0 - 3.0);
    let bytes = Array2::from_shape_fn((9, 140), |(row, col)| (row * 89 + col * 37) as u8);
    let views =
        [whole.slice(s![..;-1, ..]), whole.slice(s![1.., 1..;2]), whole.slice(s![2..3, ..;-3])];
    for cpu in everywhere() {
        for view in &views {
            assert_eq!(cpu.get(&cpu.put(view.view()).unwrap()).unwrap(), view);
            let code = cpu.encode(&cpu.put(view.view()).unwrap(), &Quant::sign(), None).unwrap();
            let same = Reference.encode(&view.to_owned(), &Quant::sign(), None).unwrap();
            assert_eq!(cpu.get_code(&code).unwrap(), HostCode::Planes(same));
        }
        let mut by_column = Array2::zeros((9, 140).f());
        by_column.assign(&bytes);
        let planes = |bytes: Array2<u8>| {
            cpu.get_code(&cpu.put_code(&HostCode::Bytes(bytes)).unwrap()).unwrap()
        };
        assert_eq!(planes(by_column), planes(bytes.clone()));
    }
}

fn product<B: BinaryBackend>(b: &B, a: &HostCode, w: &HostCode) -> Matrix {
    let (a, w) = (b.put_code(a).unwrap(), b.put_code(w).unwrap());
    b.get(&b.product(&a, &w, &Gather::Rows).unwrap()).unwrap()
}

proptest! {
    /// Weights of planes may have any sign; such sums of planes meet bytes in products of their own.
    #[test]
    fn negative_weights_of_planes_multiply_bytes(
        weights in collection::vec(-31i32..=31, 1..=2),
        (rows, outputs, depth) in (4usize..9, 1usize..40, 1usize..150),
        seed in any::<u32>(),
    ) {
        let bit = |row: usize, col: usize, salt: u32| {
            Key::new(u64::from(seed), 1).stream(salt).uniform((row * depth + col) as u32) < 0.5
        };
        let planes = weights.iter().zip(0u32..).map(|(&weight, salt)| {
            (weight, BitMatrix::from_fn(outputs, depth, |row, col| bit(row, col, salt)))
        });
        let w = HostCode::Planes(Planes { scale: 0.5, planes: planes.collect(), mask: None });
        let byte = |(row, col)| (row * 89 + col * 37 + seed as usize % 251) as u8;
        let a = HostCode::Bytes(Array2::from_shape_fn((rows, depth), byte));
        let want = product(&Reference, &a, &w);
        for kernel in Cpu::kernels().into_iter().filter(|kernel| kernel.missing.is_none()) {
            let got = product(&Cpu::with_kernel(kernel.name).unwrap(), &a, &w);
            prop_assert_eq!(&got, &want, "{} with weights {:?}", kernel.name, weights);
        }
    }
}
