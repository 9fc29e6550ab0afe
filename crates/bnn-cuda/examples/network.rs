//! Times the MNIST network 3x4096 on a GPU: bytes of images that lie there to scores that stay there.
//!
//! The scores are compared with those of the plain kernels first; then kernels take turns, with the
//! whole network and with its first layer alone, of bytes. Weights and cuts are drawn: the time
//! does not depend on them. `benches/peers/mlp_gpu.py` times the same network in bf16 by PyTorch.
//!
//! `cargo run --release -p bnn-cuda --example mlp -- 10000`

use std::error::Error;
use std::time::Instant;

use bnn_core::{BinaryBackend, BitMatrix, Gather, HostCode, Key, Levels, Matrix, Result};
use bnn_cuda::{Code, Cuda, Real};
use ndarray::Array2;

/// Inputs, hidden layers and classes.
const WIDTHS: [usize; 5] = [784, 4096, 4096, 4096, 10];

/// Passes of a measurement, and measurements.
const PASSES: usize = 50;
const ROUNDS: usize = 7;

/// Kernels, the device's own choice first. Those of bytes and of planes are for the first layer, and
/// leave the others to the device's choice; those behind them take every layer.
const KERNELS: [&str; 11] = [
    "",
    "bytes_128x256",
    "bytes_128x128",
    "bytes_64x64",
    "bytes_32x32",
    "hopper_planes",
    "tensor",
    "count_128x128",
    "count_64x64",
    "int8",
    "int8_128x128",
];

/// The network on a device, and its times in seconds: whole, and first layer.
struct Mlp {
    cuda: Cuda,
    images: Code,
    weights: Vec<Code>,
    cuts: Vec<Real>,
    times: [Vec<f64>; 2],
}

impl Mlp {
    fn new(cuda: Cuda, images: usize) -> Result<Self> {
        let bytes = |(row, col)| (Key(1, 2).word((row * WIDTHS[0] + col) as u32) >> 24) as u8;
        let bytes = HostCode::Bytes(Array2::from_shape_fn((images, WIDTHS[0]), bytes));
        let layers = WIDTHS.windows(2).enumerate();
        let weights = layers.map(|(layer, widths)| {
            let key = Key(3, layer as u32);
            let bit = |row, col| key.word((row * widths[0] + col) as u32) >> 31 == 1;
            cuda.put_code(&HostCode::binary(BitMatrix::from_fn(widths[1], widths[0], bit)))
        });
        let weights = weights.collect::<Result<_>>()?;
        let cuts = WIDTHS[1..4].iter().map(|&width| {
            let cut = |(_, col)| (Key(5, 6).word(col as u32) % 64) as f32 - 32.0;
            cuda.put(Array2::from_shape_fn((1, width), cut).view())
        });
        Ok(Self {
            images: cuda.put_code(&bytes)?,
            weights,
            cuts: cuts.collect::<Result<_>>()?,
            cuda,
            times: [vec![], vec![]],
        })
    }

    /// A hidden layer.
    fn layer(&self, layer: usize, input: &Code) -> Result<Code> {
        let (weights, cuts) = (&self.weights[layer], &self.cuts[layer]);
        self.cuda.product_cut(input, weights, &Gather::Rows, cuts, &Levels::sign())
    }

    fn scores(&self) -> Result<Real> {
        let first = self.layer(0, &self.images)?;
        let last = self.layer(2, &self.layer(1, &first)?)?;
        self.cuda.product(&last, &self.weights[3], &Gather::Rows)
    }

    fn on_host(&self) -> Result<Matrix> {
        self.cuda.get(&self.scores()?)
    }

    /// Times the network and its first layer; reading something small waits for the device.
    fn time(&mut self) -> Result<()> {
        let wait = || self.cuda.get(&self.cuts[0]);
        let start = Instant::now();
        for _ in 0..PASSES {
            self.scores()?;
        }
        wait()?;
        let whole = start.elapsed();
        for _ in 0..PASSES {
            self.layer(0, &self.images)?;
        }
        wait()?;
        let first = start.elapsed() - whole;
        for (times, time) in self.times.iter_mut().zip([whole, first]) {
            times.push(time.as_secs_f64() / PASSES as f64);
        }
        Ok(())
    }

    /// Medians of all rounds but the first, which fills caches.
    fn medians(&mut self) -> [f64; 2] {
        self.times.each_mut().map(|times| {
            times[1..].sort_by(f64::total_cmp);
            times[1 + ROUNDS / 2]
        })
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let images = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let cuda = Cuda::new(0)?;
    let plain = Mlp::new(cuda.clone().with_kernel("plain")?, images)?.on_host()?;
    let mut networks = Vec::new();
    for name in KERNELS {
        let chosen =
            if name.is_empty() { Ok(cuda.clone()) } else { cuda.clone().with_kernel(name) };
        match chosen {
            Ok(cuda) => networks.push(Mlp::new(cuda, images)?),
            Err(error) => println!("{error}"),
        }
    }
    for network in &networks {
        assert!(network.on_host()? == plain, "{}: the plain scores differ", network.cuda.name());
    }
    for _ in 0..=ROUNDS {
        for network in &mut networks {
            network.time()?;
        }
    }
    for network in &mut networks {
        let [whole, first] = network.medians();
        let rate = images as f64 / whole / 1e6;
        println!(
            "{:32} {images} images in {:8.1} us, {rate:6.2} million per second; first layer {:8.1} us",
            network.cuda.name(),
            whole * 1e6,
            first * 1e6
        );
    }
    Ok(())
}
