//! Times the MNIST network 3x4096 on a GPU: bytes of images that lie there to scores that stay there.
//!
//! The scores are compared with those of the plain kernels first. Weights and cuts are drawn: the time
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

/// The network on a device.
struct Mlp {
    cuda: Cuda,
    images: Code,
    weights: Vec<Code>,
    cuts: Vec<Real>,
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
        })
    }

    fn scores(&self) -> Result<Real> {
        let mut code = None;
        for (weights, cuts) in self.weights.iter().zip(&self.cuts) {
            let input = code.as_ref().unwrap_or(&self.images);
            let next =
                self.cuda.product_cut(input, weights, &Gather::Rows, cuts, &Levels::sign())?;
            code = Some(next);
        }
        self.cuda.product(code.as_ref().unwrap_or(&self.images), &self.weights[3], &Gather::Rows)
    }

    fn on_host(&self) -> Result<Matrix> {
        self.cuda.get(&self.scores()?)
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let images = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let mlp = Mlp::new(Cuda::new(0)?, images)?;
    let plain = Mlp::new(Cuda::new(0)?.with_kernel("plain")?, images)?;
    assert!(mlp.on_host()? == plain.on_host()?, "the plain kernels' scores differ");
    let mut times = Vec::new();
    for _ in 0..=ROUNDS {
        let start = Instant::now();
        for _ in 1..PASSES {
            mlp.scores()?;
        }
        mlp.on_host()?;
        times.push(start.elapsed().as_secs_f64() / PASSES as f64);
    }
    times[1..].sort_by(f64::total_cmp);
    let time = times[1 + ROUNDS / 2];
    let rate = images as f64 / time / 1e6;
    println!(
        "{}: {images} images in {:.1} us, {rate:.2} million per second",
        mlp.cuda.name(),
        time * 1e6
    );
    Ok(())
}
