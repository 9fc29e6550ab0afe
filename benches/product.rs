//! Products of sign matrices: checked first, then timed, and compared with the popcount bound.
//!
//! The bound is what one core reaches on XOR, popcount and add alone; contenders run in turn.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bnn_core::{BinaryBackend, BitMatrix, Gather, HostCode};
use bnn_cpu::{Cpu, peak};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Sizes m = n = k.
const SIZES: [usize; 3] = [256, 1024, 4096];

/// Rounds in which the kernels and the bound take turns.
const ROUNDS: usize = 20;

fn signs(size: usize, salt: usize) -> BitMatrix {
    let hash = |row: usize, col: usize| (row * size + col).wrapping_mul(0x9E37_79B9 + 2 * salt);
    BitMatrix::from_fn(size, size, |row, col| hash(row, col) >> 13 & 1 == 1)
}

fn usable() -> Vec<Cpu> {
    let names = Cpu::kernels().into_iter().filter(|kernel| kernel.missing.is_none());
    names.map(|kernel| Cpu::with_kernel(kernel.name).expect("it is usable")).collect()
}

/// Compares entries of the product with sums over the signs.
fn check(cpu: &Cpu, size: usize) {
    let (a, w) = (signs(size, 1), signs(size, 2));
    let product = product(cpu, &a, &w);
    let got = cpu.get(&product()).expect("it is on the host");
    for at in (0..size * size).step_by(size * size / 97) {
        let (row, col) = (at / size, at % size);
        let want: i32 = (0..size).map(|k| a.sign(row, k) * w.sign(col, k)).sum();
        assert_eq!(got[[row, col]], want as f32, "{} at ({row}, {col})", cpu.name());
    }
}

fn product<'a>(cpu: &'a Cpu, a: &BitMatrix, w: &BitMatrix) -> impl Fn() -> bnn_cpu::Real + use<'a> {
    let put = |signs: &BitMatrix| {
        cpu.put_code(&HostCode::binary(signs.clone())).expect("the planes have one shape")
    };
    let (a, w) = (put(a), put(w));
    move || cpu.product(&a, &w, &Gather::Rows).expect("the shapes fit")
}

/// Prints the share of the bound that one thread reaches, the best of interleaved rounds.
fn shares() {
    println!("\none thread, share of the popcount bound (target at 1024: 40 %)");
    for size in SIZES {
        let kernels: Vec<Cpu> =
            usable().into_iter().map(|cpu| cpu.with_threads(1).expect("one thread")).collect();
        kernels.iter().for_each(|cpu| check(cpu, size));
        let runs: Vec<_> =
            kernels.iter().map(|cpu| product(cpu, &signs(size, 1), &signs(size, 2))).collect();
        let mut best = vec![Duration::MAX; runs.len()];
        let mut bound = 0f64;
        for _ in 0..ROUNDS.min(1 << 26 >> size.ilog2()) {
            bound = bound.max(peak::multiply_adds_per_second().unwrap_or(f64::NAN));
            for (best, run) in best.iter_mut().zip(&runs) {
                let start = Instant::now();
                black_box(run());
                *best = (*best).min(start.elapsed());
            }
        }
        for (cpu, best) in kernels.iter().zip(best) {
            let rate = (size as f64).powi(3) / best.as_secs_f64();
            let name = cpu.name();
            println!(
                "{size:>5}  {name:<14} {:>8.1} G/s  {:>5.1} %",
                rate / 1e9,
                100.0 * rate / bound
            );
        }
    }
}

fn benchmark(criterion: &mut Criterion) {
    shares();
    let mut group = criterion.benchmark_group("product");
    for cpu in usable() {
        for size in SIZES {
            check(&cpu, size);
            let run = product(&cpu, &signs(size, 1), &signs(size, 2));
            group.throughput(Throughput::Elements((size as u64).pow(3)));
            group.bench_function(BenchmarkId::new(cpu.name(), size), |bencher| bencher.iter(&run));
        }
    }
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
