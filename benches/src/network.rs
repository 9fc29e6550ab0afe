//! Whole frozen networks, from bytes to scores.

use bnn_core::{
    BinaryBackend, Frozen, Gather, Grid, Hidden, Input, Levels, Matrix, Output, Planes, Pool,
    Reference, Result, Session, Window,
};
use ndarray::{Array2, Axis};

use crate::case::{Case, Limit, Wanted, Work};
use crate::contender::Contender;
use crate::product::{Contenders, signs};

/// A network of the paper with weights that mean nothing, and the images of one run.
#[derive(Clone, Copy)]
pub(crate) struct Network {
    of: Of,
    images: usize,
}

#[derive(Clone, Copy)]
enum Of {
    /// MNIST: three layers of 4096.
    Mlp,
    /// CIFAR-10: six convolutions and three dense layers.
    ConvNet,
}

/// Outputs of the six convolutions; every second one is pooled.
const CONVOLUTIONS: [usize; 6] = [128, 128, 256, 256, 512, 512];

/// Classes of either network.
const CLASSES: usize = 10;

pub(crate) fn cases() -> Vec<Case> {
    let mlps = [1, 100, 10_000].map(|images| ("mlp", Network { of: Of::Mlp, images }));
    let convs = [1, 16].map(|images| ("convnet", Network { of: Of::ConvNet, images }));
    let case = |(name, network): (&str, Network)| Case {
        name: format!("network/{name}/b{}", network.images),
        adds: network.images * network.adds(),
        bytes: None,
        limit: Limit::Unknown,
        work: Work::Network(network),
    };
    mlps.into_iter().chain(convs).map(case).collect()
}

impl Network {
    /// Ours by kernel, or by family of a GPU's; the first image's scores are those of the definition.
    pub(crate) fn contenders<B>(&self, kernels: &[B]) -> Result<Contenders>
    where
        B: BinaryBackend + Clone + 'static,
    {
        let network = self.frozen();
        let bytes = network.input.bytes();
        let images =
            Array2::from_shape_fn((self.images, bytes), |(row, col)| (row * 89 + col * 37) as u8);
        let first = images.slice_axis(Axis(0), (..1).into());
        let want = Session::new(&Reference, &network)?.scores(first)?;
        let entries = want.indexed_iter().map(|(place, &score)| (place, f64::from(score)));
        let wanted = Wanted { entries: entries.collect(), tolerance: 0.0 };
        let mut contenders = Vec::new();
        for backend in kernels {
            contenders.push(Box::new(Ours::new(backend, &network, &images, self.images)?) as _);
        }
        Ok((contenders, wanted))
    }

    /// Multiply-adds for one image.
    fn adds(&self) -> usize {
        match self.of {
            Of::Mlp => 784 * 4096 + 2 * 4096 * 4096 + 4096 * CLASSES,
            Of::ConvNet => {
                let layers = (0..CONVOLUTIONS.len()).map(|at| {
                    let (side, channels) = convolution(at);
                    side * side * 9 * channels * CONVOLUTIONS[at]
                });
                layers.sum::<usize>() + 16 * 512 * 1024 + 1024 * 1024 + 1024 * CLASSES
            }
        }
    }

    fn frozen(&self) -> Frozen {
        let (input, hidden) = match self.of {
            Of::Mlp => (input(28, 1), [784, 4096, 4096].map(|depth| dense(4096, depth)).into()),
            Of::ConvNet => {
                let mut hidden: Vec<_> = (0..CONVOLUTIONS.len()).map(conv).collect();
                let flat = Gather::Patches { grid: square(4), window: square(4).whole() };
                hidden.push(Hidden { gather: flat, ..dense(1024, 16 * 512) });
                hidden.push(dense(1024, 1024));
                (input(32, 3), hidden)
            }
        };
        let depth = hidden.last().map_or(0, |layer: &Hidden| layer.weights.planes[0].1.rows());
        let output = Output {
            weights: Planes::binary(signs((CLASSES, depth), 9)),
            gather: Gather::Rows,
            mean: vec![0.0; CLASSES],
            gain: vec![1.0; CLASSES],
            beta: vec![0.0; CLASSES],
        };
        let classes = (0..CLASSES).map(|class| class.to_string()).collect();
        Frozen { input, hidden, output, classes, images: vec![], preprocess: None }
    }
}

fn input(side: usize, channels: usize) -> Input {
    Input { grid: square(side), channels }
}

fn square(side: usize) -> Grid {
    Grid { height: side, width: side }
}

fn dense(outputs: usize, depth: usize) -> Hidden {
    Hidden {
        weights: Planes::binary(signs((outputs, depth), depth)),
        gather: Gather::Rows,
        cuts: Array2::zeros((1, outputs)),
        levels: Levels::sign(),
        pool: None,
    }
}

/// Side of the image and channels that a convolution reads.
fn convolution(at: usize) -> (usize, usize) {
    let channels = if at == 0 { 3 } else { CONVOLUTIONS[at - 1] };
    (32 >> (at / 2), channels)
}

fn conv(at: usize) -> Hidden {
    let (side, channels) = convolution(at);
    let grid = square(side);
    let pool = (at % 2 == 1).then_some(Pool { grid, window: Window::square(2, 2, 0) });
    let gather = Gather::Patches { grid, window: Window::square(3, 1, 1) };
    Hidden { gather, pool, ..dense(CONVOLUTIONS[at], 9 * channels) }
}

/// A network by one set of our kernels.
pub(crate) struct Ours<B: BinaryBackend + 'static> {
    backend: &'static B,
    session: Session<'static, B>,
    images: Array2<u8>,
    /// Images that cross to the backend at a time.
    batch: usize,
    scores: Matrix,
}

impl<B: BinaryBackend + Clone> Ours<B> {
    pub(crate) fn new(
        backend: &B,
        network: &Frozen,
        images: &Array2<u8>,
        batch: usize,
    ) -> Result<Self> {
        // A benchmark's process owns these to its end, so that a contender can borrow them.
        let (backend, network) = (&*Box::leak(Box::new(backend.clone())), network.clone());
        let session = Session::of_codes(backend, Box::leak(Box::new(network)))?;
        let scores = Array2::zeros((images.nrows(), session.network().classes.len()));
        Ok(Self { backend, session, images: images.clone(), batch, scores })
    }
}

impl<B: BinaryBackend> Contender for Ours<B> {
    fn name(&self) -> String {
        self.backend.name()
    }

    fn run(&mut self) {
        let batches = self.images.axis_chunks_iter(Axis(0), self.batch);
        let scores = self.scores.axis_chunks_iter_mut(Axis(0), self.batch);
        for (images, mut scores) in batches.zip(scores) {
            scores.assign(&self.session.scores(images).expect("the images fit"));
        }
    }

    fn result(&self) -> Result<Matrix> {
        Ok(self.scores.clone())
    }
}
