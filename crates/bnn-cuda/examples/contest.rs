//! Times sign products on a GPU beside the paper's kernels and cuBLAS.
//!
//! All products are compared first; then the contenders take turns, and medians are printed. `cut`
//! leaves packed signs, every other product f32 or int32.
//!
//! `cargo run --release -p bnn-cuda --features rivals --example contest -- 8192 8192 8192`

use std::error::Error;
use std::time::Instant;

use bnn_core::scalar::sign;
use bnn_core::{BinaryBackend, BitMatrix, Key};
use bnn_cuda::Cuda;
use bnn_cuda::rivals::{Contest, Rival};

/// Rounds of all contenders; one more comes first, which is not counted.
const ROUNDS: usize = 7;

/// Seconds of a contender in a round, about.
const SHARE: f64 = 0.004;

/// Kernels, the device's own choice first.
const KERNELS: [&str; 12] = [
    "",
    "hopper_turns_128x192",
    "hopper_256x192",
    "hopper_128x256",
    "hopper_128x128",
    "count_128x128",
    "count_64x64",
    "count_32x32",
    "int8_128x128",
    "int8_64x64",
    "int8_32x32",
    "plain",
];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A contender and its times, in seconds.
struct Contender<'a> {
    name: String,
    contest: &'a Contest,
    rival: Rival,
    times: Vec<f64>,
}

fn main() -> Result<()> {
    let sizes = std::env::args().skip(1).map(|arg| arg.parse());
    let sizes: Vec<usize> = sizes.collect::<std::result::Result<_, _>>()?;
    let &[m, n, k] = sizes.as_slice() else { return Err("want three sizes: m n k".into()) };
    let cuda = Cuda::new(0)?;
    println!("{}: m {m} n {n} k {k}", cuda.name());
    let contests = contests(&cuda, &signs(m, k, 0), &signs(n, k, 1))?;
    let mut contenders = contenders(&contests);
    for round in 0..=ROUNDS {
        for contender in &mut contenders {
            let time = time(contender)?;
            contender.times.extend((round > 0).then_some(time));
        }
    }
    report(&mut contenders, 2.0 * (m * n * k) as f64);
    Ok(())
}

fn signs(rows: usize, columns: usize, stream: u32) -> BitMatrix {
    let key = Key::new(7, 0).stream(stream);
    BitMatrix::from_fn(rows, columns, |row, col| key.word((row * columns + col) as u32) >> 31 == 1)
}

/// One contest per kernel of this device; all products are those of the plain kernel.
fn contests(cuda: &Cuda, a: &BitMatrix, w: &BitMatrix) -> Result<Vec<(&'static str, Contest)>> {
    let want = Contest::new(&cuda.clone().with_kernel("plain")?, a, w)?.result(Rival::Product)?;
    let mut contests = Vec::new();
    for name in KERNELS {
        let chosen =
            if name.is_empty() { Ok(cuda.clone()) } else { cuda.clone().with_kernel(name) };
        match chosen {
            Ok(cuda) => contests.push((name, Contest::new(&cuda, a, w)?)),
            Err(error) => println!("{error}"),
        }
    }
    for (name, contest) in &contests {
        assert!(contest.result(Rival::Product)? == want, "{name} differs");
        assert!(contest.result(Rival::Cut)? == want.mapv(sign), "{name} differs where it cuts");
    }
    for rival in rivals() {
        assert!(contests[0].1.result(rival)? == want, "{rival:?} differs");
    }
    Ok(contests)
}

/// All but our own.
fn rivals() -> impl Iterator<Item = Rival> {
    Rival::ALL.into_iter().filter(|rival| !matches!(rival, Rival::Product | Rival::Cut))
}

fn contenders<'a>(contests: &'a [(&'static str, Contest)]) -> Vec<Contender<'a>> {
    let contender =
        |name: String, contest, rival| Contender { name, contest, rival, times: vec![] };
    let ours = contests.iter().flat_map(|(name, contest)| {
        [
            contender(format!("cut {name}"), contest, Rival::Cut),
            contender(format!("product {name}"), contest, Rival::Product),
        ]
    });
    let theirs = rivals().map(|rival| contender(format!("{rival:?}"), &contests[0].1, rival));
    ours.chain(theirs).collect()
}

/// Seconds of one product, of as many in a row as fill a round's share.
fn time(contender: &Contender<'_>) -> Result<f64> {
    let run = |times: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..times {
            contender.contest.run(contender.rival)?;
        }
        contender.contest.wait()?;
        Ok(start.elapsed().as_secs_f64() / times as f64)
    };
    run(1)?; // compiles the kernel, fills the caches
    let once = run(1)?;
    run(((SHARE / once) as usize).clamp(1, 200))
}

fn report(contenders: &mut [Contender<'_>], operations: f64) {
    let medians: Vec<f64> = contenders
        .iter_mut()
        .map(|contender| {
            contender.times.sort_by(f64::total_cmp);
            contender.times[contender.times.len() / 2]
        })
        .collect();
    for (contender, time) in contenders.iter().zip(&medians) {
        let (us, tops, ratio) = (time * 1e6, operations / time / 1e12, time / medians[0]);
        println!("{:28} {us:10.1} us {tops:9.1} TOPS {ratio:8.2} x the first", contender.name);
    }
}
