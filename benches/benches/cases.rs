//! Every case of `bnn bench` for criterion: our best kernels, checked first, on one thread.
//!
//! `cargo bench -p bnn-bench -- dense/b100` times those whose names match.

use bnn_bench::cases;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn benchmark(criterion: &mut Criterion) {
    for case in cases() {
        let mut group = criterion.benchmark_group(&case.name);
        group.throughput(Throughput::Elements(case.adds as u64)).sample_size(10);
        let mut ours = None; // made when criterion asks for this case
        group.bench_function("ours", |bencher| {
            let ours = ours.get_or_insert_with(|| case.ours(1).expect("the result is right"));
            bencher.iter(ours);
        });
        group.finish();
    }
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
