//! Steps of training of the paper's networks, from bytes to new weights.

#[cfg(feature = "tch")]
mod libtorch;
mod ours;

use bnn_core::{Grid, Input, Matrix, Result};
use bnn_cpu::Cpu;
use bnn_train::{Spec, Summary};
use ndarray::Array2;

use crate::case::{Case, Limit, Wanted, Work};
use crate::contender::Contender;
use crate::product::{Contenders, word};

/// Steps of a run.
const STEPS: usize = 20;

/// First steps whose losses are compared, without dropout.
const CHECKED: usize = 2;

/// How far losses lie apart at most. A gradient within rounding of 0 makes a whole step of Adam, one
/// way or the other, and binarized layers carry one flipped sign to most of what follows.
const TOLERANCE: f64 = 2e-3;

/// Offset of every norm. Without it sums that equal their mean would have whatever sign rounding gives
/// them: libtorch's norm multiplies before it subtracts.
const OFFSET: f32 = 1e-3;

/// Learning rate.
const RATE: f64 = 1e-3;

/// Batches that are taken in turn.
const BATCHES: usize = 4;

const CLASSES: usize = 10;

/// A network of the paper.
#[derive(Clone, Copy)]
pub(crate) struct Training {
    name: &'static str,
    /// The experiment that trains it.
    experiment: &'static str,
    side: usize,
    channels: usize,
    /// The losses of the first two steps by PyTorch 2.11.0, as `benches/peers/torch_training.py`
    /// takes them.
    losses: [f64; CHECKED],
}

const NETWORKS: [Training; 2] = [
    Training {
        name: "mlp",
        experiment: "mnist-mlp",
        side: 28,
        channels: 1,
        losses: [202.78234, 192.61956],
    },
    Training {
        name: "convnet",
        experiment: "cifar-convnet",
        side: 32,
        channels: 3,
        losses: [96.27435, 101.00695],
    },
];

/// Twenty steps of each network: three products of all layers, for the sums and for both gradients.
pub(crate) fn cases() -> Vec<Case> {
    let case = |training: Training| {
        let (start, total) = (training.start(), training.summary().total);
        let images = STEPS * start.spec.train.batch;
        Case {
            name: format!("training/{}/b{}", training.name, start.spec.train.batch),
            adds: 3 * images * total.multiply_accumulates as usize,
            bytes: None,
            limit: Limit::Unknown,
            work: Work::Training(training),
        }
    };
    NETWORKS.map(case).into()
}

/// What every contender starts from.
pub(crate) struct Start {
    spec: Spec,
    input: Input,
}

/// Training, step by step.
trait Trainer {
    fn name(&self) -> String;

    /// Takes a step on a batch, and tells the loss of its images, added up.
    fn step(&mut self, batch: &Batch) -> Result<f32>;
}

/// Bytes of images, a row each, and their classes.
struct Batch {
    images: Array2<u8>,
    labels: Vec<u8>,
}

impl Training {
    /// Our best kernels, and libtorch as a rival where it is built in.
    pub(crate) fn contenders(
        &self,
        kernels: &[Cpu],
        threads: usize,
        with_rivals: bool,
    ) -> Result<Contenders> {
        let start = self.start();
        let ours = Twenty::new(&start, |start| ours::Ours::new(&kernels[0], start))?;
        let losses = self.losses.iter().enumerate().map(|(step, &loss)| ((0, step), loss));
        let wanted = Wanted { entries: losses.collect(), tolerance: TOLERANCE };
        let mut contenders: Vec<Box<dyn Contender>> = vec![Box::new(ours)];
        if with_rivals {
            rivals(&start, threads, &mut contenders)?;
        }
        Ok((contenders, wanted))
    }

    fn start(&self) -> Start {
        let grid = Grid { height: self.side, width: self.side };
        let experiment = bnn_experiments::find(self.experiment).expect("an experiment");
        let spec = Spec::parse(self.name, experiment.text).expect("a spec of this repository");
        Start { spec, input: Input { grid, channels: self.channels } }
    }

    fn summary(&self) -> Summary {
        let Start { spec, input } = self.start();
        let classes = (0..CLASSES).map(|class| class.to_string()).collect();
        Summary::new(&spec, input, classes).expect("a spec for these images")
    }
}

#[cfg(feature = "tch")]
fn rivals(start: &Start, threads: usize, to: &mut Vec<Box<dyn Contender>>) -> Result<()> {
    to.push(Box::new(Twenty::new(start, |start| libtorch::Libtorch::new(start, threads))?));
    Ok(())
}

#[cfg(not(feature = "tch"))]
fn rivals(_: &Start, _: usize, _: &mut Vec<Box<dyn Contender>>) -> Result<()> {
    Ok(())
}

impl Start {
    /// The latent weights of a layer: uniform in [-1, 1).
    fn weights(layer: usize, (rows, cols): (usize, usize)) -> Matrix {
        let real = |at| (word(at, layer + 1) >> 40) as f32 / (1 << 23) as f32 - 1.0;
        Array2::from_shape_fn((rows, cols), |(row, col)| real(row * cols + col))
    }

    fn batches(&self) -> Vec<Batch> {
        let (count, bytes) = (self.spec.train.batch, self.input.bytes());
        let batch = |at| {
            let byte = |row, col| (word(row * bytes + col, 100 + at) >> 40) as u8;
            let label = |image| (word(image, 200 + at) >> 40) as u8 % CLASSES as u8;
            let images = Array2::from_shape_fn((count, bytes), |(row, col)| byte(row, col));
            Batch { images, labels: (0..count).map(label).collect() }
        };
        (0..BATCHES).map(batch).collect()
    }
}

/// Twenty steps at a time.
struct Twenty<T> {
    trainer: T,
    batches: Vec<Batch>,
    losses: Matrix,
}

impl<T: Trainer> Twenty<T> {
    /// Tries a training without dropout, and starts another.
    fn new(start: &Start, make: impl Fn(&Start) -> Result<T>) -> Result<Self> {
        let batches = start.batches();
        let mut spec = start.spec.clone();
        (spec.net.dropout.input, spec.net.dropout.hidden) = (0.0, 0.0);
        let mut sure = make(&Start { spec, ..*start })?;
        let mut losses = Matrix::zeros((1, CHECKED));
        for (loss, batch) in losses.iter_mut().zip(batches.iter().cycle()) {
            *loss = sure.step(batch)?;
        }
        drop(sure); // before the next one takes as much memory
        Ok(Self { trainer: make(start)?, batches, losses })
    }
}

impl<T: Trainer> Contender for Twenty<T> {
    fn name(&self) -> String {
        self.trainer.name()
    }

    fn run(&mut self) {
        for batch in self.batches.iter().cycle().take(STEPS) {
            let loss = self.trainer.step(batch).expect("it has taken steps before");
            assert!(loss.is_finite(), "{}: the loss became {loss}", self.trainer.name());
        }
    }

    fn result(&self) -> Result<Matrix> {
        Ok(self.losses.clone())
    }
}
