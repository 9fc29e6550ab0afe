//! Times the convolutions of the CIFAR-10 ConvNet on a GPU: packed signs of images to packed signs, cut.
//!
//! Outputs are compared with those of the plain kernels first; then kernels take turns, and medians are
//! printed. Those called `windows` move windows over the images, all others multiply gathered rows,
//! and the gathering is part of their time.
//!
//! `cargo run --release -p bnn-cuda --example conv -- 50`

use std::error::Error;
use std::time::Instant;

use bnn_core::{
    BinaryBackend, BitMatrix, Gather, Grid, HostCode, Key, Levels, Matrix, Result, Window,
};
use bnn_cuda::{Code, Cuda, Real};

/// Side of the images, channels, and outputs of every convolution but the first, which is of bytes.
const LAYERS: [(usize, usize, usize); 5] =
    [(32, 128, 128), (16, 128, 256), (16, 256, 256), (8, 256, 512), (8, 512, 512)];

/// Passes of a measurement, and measurements; one more comes first, which is not counted.
const PASSES: usize = 50;
const ROUNDS: usize = 7;

/// Kernels, the device's own choice first.
const KERNELS: [&str; 12] = [
    "",
    "hopper_windows_128x256",
    "hopper_windows_128x128",
    "tensor",
    "windows_128x128",
    "windows_64x64",
    "count_128x128",
    "count_64x64",
    "int8",
    "windows_int8_128x128",
    "int8_128x128",
    "plain",
];

/// A layer on a device, and its times in seconds.
struct Layer {
    cuda: Cuda,
    gather: Gather,
    images: Code,
    weights: Code,
    cuts: Real,
    times: Vec<f64>,
}

impl Layer {
    fn new(cuda: Cuda, images: usize, layer: (usize, usize, usize)) -> Result<Self> {
        let (side, channels, outputs) = layer;
        let grid = Grid { height: side, width: side };
        let gather = Gather::Patches { grid, window: Window::square(3, 1, 1) };
        let signs = |rows, columns, stream| {
            let key = Key::new(7, 0).stream(stream);
            let bit = |row, col| key.word((row * columns + col) as u32) >> 31 == 1;
            cuda.put_code(&HostCode::binary(BitMatrix::from_fn(rows, columns, bit)))
        };
        Ok(Self {
            images: signs(images * grid.pixels(), channels, 0)?,
            weights: signs(outputs, gather.taps() * channels, 1)?,
            cuts: cuda.put(Matrix::zeros((1, outputs)).view())?,
            times: vec![],
            gather,
            cuda,
        })
    }

    fn run(&self) -> Result<Code> {
        let Self { cuda, gather, images, weights, cuts, .. } = self;
        cuda.product_cut(images, weights, gather, cuts, &Levels::sign())
    }

    /// Reading something small waits for the device.
    fn time(&mut self) -> Result<()> {
        let start = Instant::now();
        for _ in 0..PASSES {
            self.run()?;
        }
        self.cuda.get(&self.cuts)?;
        self.times.push(start.elapsed().as_secs_f64() / PASSES as f64);
        Ok(())
    }

    /// The median of all rounds but the first.
    fn median(&mut self) -> f64 {
        self.times[1..].sort_by(f64::total_cmp);
        self.times[1 + ROUNDS / 2]
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let images = std::env::args().nth(1).map_or(Ok(50), |text| text.parse())?;
    let cuda = Cuda::new(0)?;
    let mut devices = Vec::new();
    for name in KERNELS {
        let chosen =
            if name.is_empty() { Ok(cuda.clone()) } else { cuda.clone().with_kernel(name) };
        match chosen {
            Ok(cuda) => devices.push(cuda),
            Err(error) => println!("{error}"),
        }
    }
    let plain = cuda.with_kernel("plain")?;
    for layer in LAYERS {
        let want = plain.get_code(&Layer::new(plain.clone(), images, layer)?.run()?)?;
        let layers = devices.iter().map(|cuda| Layer::new(cuda.clone(), images, layer));
        let mut layers = layers.collect::<Result<Vec<_>>>()?;
        for one in &layers {
            assert!(one.cuda.get_code(&one.run()?)? == want, "{} differs", one.cuda.name());
        }
        for _ in 0..=ROUNDS {
            layers.iter_mut().try_for_each(Layer::time)?;
        }
        let (side, channels, outputs) = layer;
        println!("{images} images of {side} x {side}, {channels} to {outputs} channels");
        for one in &mut layers {
            let time = one.median();
            println!("{:40} {:8.1} us", one.cuda.name(), time * 1e6);
        }
    }
    Ok(())
}
