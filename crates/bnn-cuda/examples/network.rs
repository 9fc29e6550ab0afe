//! Times the paper's networks for MNIST (`mlp`) and CIFAR-10 (`convnet`) on a GPU: bytes of images that lie
//! there to scores that stay there.
//!
//! The scores are compared with those of the plain kernels first; then kernels take turns, with the
//! whole network, launched and replayed as a CUDA graph, and with its first layer alone, of bytes.
//! Weights and cuts are drawn: the time does not depend on them. `benches/peers/network_gpu.py` times the
//! same networks in bf16 by PyTorch.
//!
//! `cargo run --release -p bnn-cuda --example network -- mlp 10000`

use std::error::Error;
use std::time::Instant;

use bnn_core::{
    BinaryBackend, BitMatrix, Gather, Grid, HostCode, Key, Levels, Matrix, Result, Window,
};
use bnn_cuda::{Code, Cuda, Real, Recording};
use ndarray::Array2;

/// Measurements, and the seconds of one, about.
const ROUNDS: usize = 7;
const SHARE: f64 = 0.01;

/// Kernels, the device's own choice first. Those of bytes and of planes are for the first layer, and
/// leave the others to the device's choice; those behind them take every layer.
const KERNELS: [&str; 16] = [
    "",
    "hopper_bytes_turns_128x192",
    "hopper_turns_128x192",
    "hopper_bytes_256x192",
    "hopper_bytes_128x256",
    "hopper_bytes_128x128",
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

/// What a layer multiplies: how its rows are gathered, its inputs per tap, its outputs, and the grid whose
/// maxima of 2 x 2 it passes on.
struct Shape {
    gather: Gather,
    inputs: usize,
    outputs: usize,
    pool: Option<Grid>,
}

/// The layers of the MNIST network.
fn mlp() -> Vec<Shape> {
    let dense = |widths: &[usize]| Shape {
        gather: Gather::Rows,
        inputs: widths[0],
        outputs: widths[1],
        pool: None,
    };
    [784, 4096, 4096, 4096, 10].windows(2).map(dense).collect()
}

/// The layers of the CIFAR-10 network.
fn convnet() -> Vec<Shape> {
    let convolution = |(side, inputs, outputs, pooled)| {
        let grid = Grid { height: side, width: side };
        let gather = Gather::Patches { grid, window: Window::square(3, 1, 1) };
        Shape { gather, inputs, outputs, pool: Some(grid).filter(|_| pooled) }
    };
    let dense = |(gather, inputs, outputs)| Shape { gather, inputs, outputs, pool: None };
    let last = Grid { height: 4, width: 4 };
    let flat = Gather::Patches { grid: last, window: last.whole() };
    let convolutions = [
        (32, 3, 128, false),
        (32, 128, 128, true),
        (16, 128, 256, false),
        (16, 256, 256, true),
        (8, 256, 512, false),
        (8, 512, 512, true),
    ];
    let classifier = [(flat, 512, 1024), (Gather::Rows, 1024, 1024), (Gather::Rows, 1024, 10)];
    convolutions.map(convolution).into_iter().chain(classifier.map(dense)).collect()
}

/// A layer on a device.
struct Layer {
    shape: Shape,
    weights: Code,
    cuts: Real,
}

/// A network on a device, and its times in seconds: whole, recorded and replayed, and first layer.
struct Network {
    cuda: Cuda,
    bytes: Array2<u8>,
    images: Code,
    layers: Vec<Layer>,
    times: [Vec<f64>; 3],
}

impl Network {
    fn new(cuda: Cuda, shapes: Vec<Shape>, images: usize) -> Result<Self> {
        let first = &shapes[0];
        let rows = match first.gather {
            Gather::Patches { grid, .. } => images * grid.pixels(),
            Gather::Rows => images,
        };
        let inputs = first.inputs;
        let byte = |(row, col)| (Key(1, 2).word((row * inputs + col) as u32) >> 24) as u8;
        let bytes = Array2::from_shape_fn((rows, inputs), byte);
        let layers = shapes.into_iter().enumerate();
        let layers = layers.map(|(at, shape)| Layer::new(&cuda, shape, at as u32));
        Ok(Self {
            images: cuda.put_code(&HostCode::Bytes(bytes.clone()))?,
            layers: layers.collect::<Result<_>>()?,
            times: Default::default(),
            cuda,
            bytes,
        })
    }

    fn hidden(&self, layer: &Layer, input: &Code) -> Result<Code> {
        let Layer { shape, weights, cuts } = layer;
        let code = self.cuda.product_cut(input, weights, &shape.gather, cuts, &Levels::sign())?;
        let Some(grid) = shape.pool else { return Ok(code) };
        self.cuda.pool(&code, grid, Window::square(2, 2, 0))
    }

    fn scores(&self, images: &Code) -> Result<Real> {
        let (last, hidden) = self.layers.split_last().expect("layers");
        let mut code = self.hidden(&hidden[0], images)?;
        for layer in &hidden[1..] {
            code = self.hidden(layer, &code)?;
        }
        self.cuda.product(&code, &last.weights, &last.shape.gather)
    }

    fn recorded(&self) -> Result<Recording<'_>> {
        self.cuda.record(self.bytes.view(), |images| self.scores(images))
    }

    /// The scores, launched and replayed.
    fn on_host(&self) -> Result<[Matrix; 2]> {
        let replayed = self.cuda.get(self.recorded()?.replay(self.bytes.view())?)?;
        Ok([self.cuda.get(&self.scores(&self.images)?)?, replayed])
    }

    /// Times the network both ways, and its first layer.
    fn time(&mut self) -> Result<()> {
        let mut recorded = self.recorded()?;
        let whole = self.seconds(|| self.scores(&self.images).map(drop))?;
        let replayed = self.seconds(|| recorded.again().map(drop))?;
        let first = &self.layers[0];
        let alone = self.seconds(|| self.hidden(first, &self.images).map(drop))?;
        drop(recorded);
        for (times, time) in self.times.iter_mut().zip([whole, replayed, alone]) {
            times.push(time);
        }
        Ok(())
    }

    /// Seconds of a pass; reading something small waits for the device.
    fn seconds(&self, mut pass: impl FnMut() -> Result<()>) -> Result<f64> {
        let mut run = |passes: usize| -> Result<f64> {
            let start = Instant::now();
            for _ in 0..passes {
                pass()?;
            }
            self.cuda.get(&self.layers[0].cuts)?;
            Ok(start.elapsed().as_secs_f64() / passes as f64)
        };
        let once = run(1)?;
        run(((SHARE / once) as usize).clamp(3, 50))
    }

    /// Medians of all rounds but the first, which fills caches.
    fn medians(&mut self) -> [f64; 3] {
        self.times.each_mut().map(|times| {
            times[1..].sort_by(f64::total_cmp);
            times[1 + ROUNDS / 2]
        })
    }
}

impl Layer {
    fn new(cuda: &Cuda, shape: Shape, at: u32) -> Result<Self> {
        let (key, depth) = (Key(3, at), shape.gather.taps() * shape.inputs);
        let bit = |row, col| key.word((row * depth + col) as u32) >> 31 == 1;
        let weights = HostCode::binary(BitMatrix::from_fn(shape.outputs, depth, bit));
        let cut = |(_, col)| (Key(5, 6).word(col as u32) % 64) as f32 - 32.0;
        let cuts = Array2::from_shape_fn((1, shape.outputs), cut);
        Ok(Self { weights: cuda.put_code(&weights)?, cuts: cuda.put(cuts.view())?, shape })
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (name, images) = (args.next(), args.next().map_or(Ok(10_000), |text| text.parse())?);
    let shapes = match name.as_deref() {
        Some("mlp") => mlp,
        Some("convnet") => convnet,
        _ => return Err("want a network, `mlp` or `convnet`, and a number of images".into()),
    };
    let cuda = Cuda::new(0)?;
    let plain = cuda.clone().with_kernel("plain")?;
    let [plain, _] = Network::new(plain, shapes(), images)?.on_host()?;
    let mut networks = Vec::new();
    for name in KERNELS {
        let chosen =
            if name.is_empty() { Ok(cuda.clone()) } else { cuda.clone().with_kernel(name) };
        match chosen {
            Ok(cuda) => networks.push(Network::new(cuda, shapes(), images)?),
            Err(error) => println!("{error}"),
        }
    }
    for network in &networks {
        let equal = network.on_host()?.iter().all(|scores| *scores == plain);
        assert!(equal, "{}: the plain scores differ", network.cuda.name());
    }
    for _ in 0..=ROUNDS {
        for network in &mut networks {
            network.time()?;
        }
    }
    for network in &mut networks {
        let [whole, replayed, first] = network.medians();
        let rate = images as f64 / whole / 1e6;
        println!(
            "{:32} {images} images in {:8.1} us, {rate:6.2} million per second; replayed {:8.1} us; \
             first layer {:8.1} us",
            network.cuda.name(),
            whole * 1e6,
            replayed * 1e6,
            first * 1e6
        );
    }
    Ok(())
}
