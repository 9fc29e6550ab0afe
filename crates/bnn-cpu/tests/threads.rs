//! Results are the same bytes whatever the number of threads, and those of the definitions.
#![allow(clippy::unwrap_used)]

use bnn_core::{
    BinaryBackend, BitMatrix, Clock, FloatBackend, Gather, Gradient, Grid, HostCode, Key, Levels,
    Matrix, Norm, Operand, Optimizer, Param, Quant, Reference, Rule, Running, Window,
};
use bnn_cpu::Cpu;

/// Numbers of both signs that look random.
fn reals(rows: usize, cols: usize, stream: u32) -> Matrix {
    let key = Key::new(7, 7).stream(stream);
    Matrix::from_shape_fn((rows, cols), |(row, col)| {
        2.4 * key.uniform((row * cols + col) as u32) - 1.2
    })
}

fn signs(rows: usize, cols: usize, stream: u32) -> HostCode {
    let reals = reals(rows, cols, stream);
    HostCode::binary(BitMatrix::from_fn(rows, cols, |row, col| reals[[row, col]] >= 0.0))
}

/// Everything that a step of training computes, fetched.
fn everything<B: FloatBackend>(
    b: &B,
    gather: &Gather,
    (rows, cols): (usize, usize),
) -> Vec<Matrix> {
    let (out, depth) = (150, gather.taps() * cols);
    let x = b.put(reals(rows, cols, 0).view()).unwrap();
    let clock = Clock { step_size: 0.01, key: Key::new(1, 2) };
    let clock = b.put(clock.to_row().view()).unwrap();
    let draw = |stream| bnn_core::Draw { clock: &clock, stream };
    let stochastic = b.encode(&x, &Quant::sign(), Some(draw(1))).unwrap();
    let dropped = b.dropout(&stochastic, 0.8, draw(2)).unwrap();
    let w = b.put_code(&signs(out, depth, 3)).unwrap();
    let y = b.product(&dropped, &w, gather).unwrap();
    let n = b.get(&y).unwrap().nrows();
    let row = |value: f32| b.put(Matrix::from_elem((1, out), value).view()).unwrap();
    let (gamma, beta, norm) = (row(1.5), row(0.25), Norm::theano());
    let mut running = Running { mean: row(0.0), spread: row(1.0) };
    let normed = b.norm(&y, &gamma, &beta, &mut running, &norm).unwrap();
    let dy = b.put(reals(n, out, 4).view()).unwrap();
    let grad = b.norm_grad(&dy, &y, &gamma, &normed, &norm).unwrap();
    let dx = b.product_grad_input(&grad.x, Operand::Code(&w), gather).unwrap();
    let through = b.pass_through(&dx, &x, &dropped, &Quant::sign()).unwrap();
    let put = |stream| b.put(reals(out, depth, stream).view()).unwrap();
    let zeros = || b.put(Matrix::zeros((out, depth)).view()).unwrap();
    let mut param = Param { value: put(5), m: zeros(), v: zeros() };
    let rule = Rule { optimizer: Optimizer::adam(), scale: 3.0, clip: true };
    let gradient = Gradient::Product { dy: &grad.x, a: Operand::Code(&dropped), gather };
    let updated = b.update(&mut param, gradient, &rule, Some(&Quant::sign()), &clock).unwrap();
    let evaluated = b.norm_eval(&y, &gamma, &beta, &running, &norm).unwrap();
    let real = b.product_real(Operand::Real(&x), Operand::Real(&param.value), gather).unwrap();
    let all = [&y, &normed.y, &grad.x, &grad.gamma, &dx, &through, &param.value, &updated.tally];
    all.into_iter().chain([&evaluated, &real]).map(|real| b.get(real).unwrap()).collect()
}

fn patches() -> Gather {
    Gather::Patches { grid: Grid { height: 6, width: 5 }, window: Window::square(3, 1, 1) }
}

#[test]
fn threads_do_not_change_a_byte() {
    for (gather, dim) in [(Gather::Rows, (37, 1100)), (patches(), (90, 70))] {
        let one = everything(&Cpu::new().with_threads(1).unwrap(), &gather, dim);
        for count in [2, 3] {
            assert_eq!(one, everything(&Cpu::new().with_threads(count).unwrap(), &gather, dim));
        }
    }
}

#[test]
fn kernels_agree_with_the_definitions() {
    for (gather, dim) in [(Gather::Rows, (37, 1100)), (patches(), (90, 70))] {
        let want = everything(&Reference, &gather, dim);
        for kernel in Cpu::kernels() {
            let Ok(cpu) = Cpu::with_kernel(kernel.name) else {
                println!("SKIPPED {}: {:?}", kernel.name, kernel.missing);
                continue;
            };
            for (at, (got, want)) in everything(&cpu, &gather, dim).iter().zip(&want).enumerate() {
                let largest = want.iter().fold(1e-3f32, |most, x| most.max(x.abs()));
                let off = (got - want).iter().fold(0f32, |most, x| most.max(x.abs()));
                // The first is integers. From the parameters on, all hangs on Adam's first step, which
                // is close to the sign of the gradient and magnifies errors of gradients near 0.
                let bound = [0.0, 2e-5, 1e-3][usize::from(at > 0) + usize::from(at > 5)] * largest;
                assert!(off <= bound, "result {at} of {}: {off} of {largest}", kernel.name);
            }
        }
    }
}

/// Norm, max-pooling and weight gradients of so many rows that several tasks share them, and that
/// gradients are summed in more than one stretch.
fn of_many_rows<B: FloatBackend>(b: &B) -> Vec<Matrix> {
    let (grid, images, cols, out) = (Grid { height: 12, width: 12 }, 32, 70, 20);
    let rows = images * grid.pixels();
    let real = |dim: (usize, usize), stream| b.put(reals(dim.0, dim.1, stream).view()).unwrap();
    let row = |value: f32| b.put(Matrix::from_elem((1, cols), value).view()).unwrap();
    let (x, dy) = (real((rows, cols), 0), real((rows, cols), 1));
    let (gamma, beta, norm) = (row(1.5), row(0.25), Norm::theano());
    let mut running = Running { mean: row(0.0), spread: row(1.0) };
    let normed = b.norm(&x, &gamma, &beta, &mut running, &norm).unwrap();
    let grad = b.norm_grad(&dy, &x, &gamma, &normed, &norm).unwrap();
    let window = Window::square(2, 2, 0);
    let pooled = b.max_pool(&x, grid, window).unwrap();
    let back = real((rows / 4, cols), 2);
    let back = b.max_pool_grad(&back, &pooled.taps, grid, window).unwrap();
    let (a, dy) = (b.put_code(&signs(rows, cols, 3)).unwrap(), real((rows, out), 4));
    let patches = Gather::Patches { grid, window: Window::square(3, 1, 1) };
    let weight = |gather| b.product_grad_weight(&dy, Operand::Code(&a), gather).unwrap();
    let (dense, conv) = (weight(&Gather::Rows), weight(&patches));
    let all = [&pooled.y, &pooled.taps, &back, &normed.y, &running.mean, &running.spread];
    let all = all.into_iter().chain([&grad.x, &grad.gamma, &grad.beta, &dense, &conv]);
    all.map(|real| b.get(real).unwrap()).collect()
}

#[test]
fn many_rows_are_shared_and_give_what_the_definitions_say() {
    let want = of_many_rows(&Reference);
    for kernel in Cpu::kernels().into_iter().filter(|kernel| kernel.missing.is_none()) {
        let cpu = |threads| Cpu::with_kernel(kernel.name).unwrap().with_threads(threads).unwrap();
        let got = of_many_rows(&cpu(1));
        assert_eq!(got, of_many_rows(&cpu(3)), "{}", kernel.name);
        for (at, (got, want)) in got.iter().zip(&want).enumerate() {
            let largest = want.iter().fold(0f32, |most, x| most.max(x.abs()));
            let off = (got - want).iter().fold(0f32, |most, x| most.max(x.abs()));
            let bound = if at < 3 { 0.0 } else { 1e-4 * largest }; // pooling adds nothing up
            assert!(off <= bound, "result {at} of {}: {off} of {largest}", kernel.name);
        }
    }
}

#[test]
fn cut_products_never_differ_from_encoded_ones() {
    let cpu = Cpu::new();
    for gather in [Gather::Rows, patches()] {
        let a = cpu.put_code(&signs(60, 100, 1)).unwrap();
        let w = cpu.put_code(&signs(33, gather.taps() * 100, 2)).unwrap();
        let cuts = cpu.put(Matrix::from_elem((1, 33), 4.0).view()).unwrap();
        let got = cpu.product_cut(&a, &w, &gather, &cuts, &Levels::sign()).unwrap();
        let quant = Quant { cuts: vec![4.0], ..Quant::sign() };
        let want = cpu.encode(&cpu.product(&a, &w, &gather).unwrap(), &quant, None).unwrap();
        assert_eq!(cpu.get_code(&got).unwrap(), cpu.get_code(&want).unwrap());
    }
}

/// A single row is shared by columns, whose last part may be short, and so packed in fewer words.
#[test]
fn a_single_row_is_shared_by_columns() {
    let kernels = ["avx512", "avx2", "popcnt", "neon", "portable"];
    for kernel in kernels.iter().filter_map(|name| Cpu::with_kernel(name).ok()) {
        for (threads, outputs) in [(1, 300), (2, 300), (3, 577), (3, 4096)] {
            let cpu = kernel.clone().with_threads(threads).unwrap();
            let cut = |b: &Cpu, depth| {
                let x = b.put_code(&signs(1, depth, 0)).unwrap();
                let w = b.put_code(&signs(outputs, depth, 1)).unwrap();
                let cuts = b.put(Matrix::zeros((1, outputs)).view()).unwrap();
                let code = b.product_cut(&x, &w, &Gather::Rows, &cuts, &Levels::sign());
                b.get_code(&code.unwrap()).unwrap()
            };
            let alone = Cpu::new().with_threads(1).unwrap();
            assert_eq!(cut(&cpu, 4100), cut(&alone, 4100), "{}, {threads} threads", cpu.name());
        }
    }
}
