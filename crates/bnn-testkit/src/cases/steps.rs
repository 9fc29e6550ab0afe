//! Three whole training steps of small networks, against literal values.

use proptest::test_runner::{TestCaseError, TestCaseResult};

use bnn_core::{
    Clock, Gather, Gradient, Grid, Key, Loss, Matrix, Norm, Normed, Operand, Optimizer, Param,
    Pooled, Quant, Result, Rule, Running, Spread, TrainBackend, Window,
};

use crate::check::once;
use crate::table::{Table, near, parse};

/// Scores, losses, gradients, statistics and parameters of every step, and the scores of a further
/// batch in evaluation; each within 1e-5 of the largest magnitude of its list.
///
/// The network of 6x6x3 bytes: convolution, norm, sign; convolution, max-pooling, norm, sign; dense,
/// norm. Squared hinge, Adam with the scale of Glorot on the latent weights.
pub fn convnet_steps<B: TrainBackend>(backend: &B) {
    steps(backend, include_str!("../../golden/convnet_steps.json"), &CONVNET);
}

/// As [`convnet_steps`], of a network of 13 bytes and dense layers of 70, 65 and 10 outputs.
pub fn mlp_steps<B: TrainBackend>(backend: &B) {
    steps(backend, include_str!("../../golden/mlp_steps.json"), &[None; 3]);
}

fn steps<B: TrainBackend>(backend: &B, text: &str, layout: &[Option<Layout>]) {
    let file = parse(text);
    let file = Table(&file);
    once(|| {
        let mut network = Network::new(backend, file, layout)?;
        for (at, (batch, want)) in (1..).zip(file.tables("batches").zip(file.tables("steps"))) {
            network.step(at, batch, want)?;
        }
        network.evaluate(file.table("evaluation"))
    });
}

/// A block: product, pooling perhaps, norm, and the sign that all but the last have behind it.
struct Block<B: TrainBackend> {
    gather: Gather,
    pool: Option<(Grid, Window)>,
    rule: Rule,
    weights: Param<B>,
    code: B::Code,
    gamma: Param<B>,
    beta: Param<B>,
    running: Running<B>,
}

/// What the backward pass needs of a block.
struct Saved<B: TrainBackend> {
    input: B::Code,
    pooled: Option<Pooled<B>>,
    x: B::Real,
    normed: Normed<B>,
}

struct Network<'a, B: TrainBackend> {
    backend: &'a B,
    blocks: Vec<Block<B>>,
    norm: Norm,
    optimizer: Optimizer,
    rate: f64,
}

impl<'a, B: TrainBackend> Network<'a, B> {
    fn new(backend: &'a B, file: Table<'_>, layout: &[Option<Layout>]) -> Result<Self> {
        let number = |name| file.number(name) as f32;
        let (eps, momentum) = (number("bn_eps"), number("bn_alpha"));
        let norm = Norm { eps, momentum, running: Spread::InverseDeviation, shift: false };
        let optimizer = Optimizer::Adam {
            beta1: file.number("beta1"),
            beta2: file.number("beta2"),
            eps: number("adam_eps"),
        };
        let blocks = file.tables("blocks").zip(layout);
        let blocks = blocks.map(|(block, layout)| read(backend, block, *layout, optimizer));
        let (blocks, rate) = (blocks.collect::<Result<_>>()?, file.number("learning_rate"));
        Ok(Self { backend, blocks, norm, optimizer, rate })
    }

    fn step(&mut self, at: u64, batch: Table<'_>, want: Table<'_>) -> TestCaseResult {
        let saved = self.forward(batch)?;
        let scores = &saved.last().expect("three blocks").normed.y;
        near("scores", &self.backend.get(scores)?, &want.matrix("scores", CLASSES))?;
        let labels = batch.matrix("labels", 1);
        let labels_there = self.backend.put(labels.view())?;
        let loss = self.backend.loss(scores, &labels_there, Loss::SquaredHinge)?;
        let mean = self.backend.get(&loss.tally)?[[0, 0]] / labels.len() as f32;
        near("loss", &one(mean), &one(want.number("loss") as f32))?;
        self.backward(at, saved, loss.grad, want)
    }

    /// The images of a batch: rows of pixels before a convolution, else rows of images.
    fn input(&self, batch: Table<'_>) -> Result<B::Code> {
        let [innermost] = batch.shape("input_bytes");
        self.backend.put_code(&batch.bytes("input_bytes", innermost))
    }

    fn forward(&mut self, batch: Table<'_>) -> Result<Vec<Saved<B>>> {
        let backend = self.backend;
        let mut input = self.input(batch)?;
        let mut saved = vec![];
        for block in &mut self.blocks {
            let product = backend.product(&input, &block.code, &block.gather)?;
            let max = |(grid, window)| backend.max_pool(&product, grid, window);
            let pooled = block.pool.map(max).transpose()?;
            let x = pooled.as_ref().map_or(Ok(product), |pooled| copy(backend, &pooled.y))?;
            let (gamma, beta) = (&block.gamma.value, &block.beta.value);
            let normed = backend.norm(&x, gamma, beta, &mut block.running, &self.norm)?;
            let signs = backend.encode(&normed.y, &Quant::sign(), None)?;
            saved.push(Saved { input, pooled, x, normed });
            input = signs;
        }
        Ok(saved)
    }

    fn backward(
        &mut self,
        at: u64,
        saved: Vec<Saved<B>>,
        loss: B::Real,
        want: Table<'_>,
    ) -> TestCaseResult {
        let backend = self.backend;
        let step_size = self.optimizer.step_size(self.rate, at);
        let clock = Clock { step_size, key: Key::new(0, at) }.to_row();
        let clock = backend.put(clock.view())?;
        let want: Vec<_> = want.tables("blocks").collect();
        let (mut dy, mut above) = (loss, None);
        for ((block, saved), want) in self.blocks.iter_mut().zip(saved).zip(want).rev() {
            if let Some(code) = above {
                dy = backend.pass_through(&dy, &saved.normed.y, &code, &Quant::sign())?;
            }
            dy = block.learn(backend, &self.norm, &saved, (dy, &clock), want)?;
            block.compare(backend, &saved.normed, want)?;
            above = Some(saved.input);
        }
        Ok(())
    }

    fn evaluate(&self, want: Table<'_>) -> TestCaseResult {
        let backend = self.backend;
        let mut input = self.input(want)?;
        let mut scores = None;
        for block in &self.blocks {
            let mut x = backend.product(&input, &block.code, &block.gather)?;
            if let Some((grid, window)) = block.pool {
                x = backend.max_pool(&x, grid, window)?.y;
            }
            let (gamma, beta) = (&block.gamma.value, &block.beta.value);
            let y = backend.norm_eval(&x, gamma, beta, &block.running, &self.norm)?;
            input = backend.encode(&y, &Quant::sign(), None)?;
            scores = Some(y);
        }
        let scores = scores.expect("three blocks");
        near("scores in evaluation", &backend.get(&scores)?, &want.matrix("scores", CLASSES))
    }
}

impl<B: TrainBackend> Block<B> {
    /// Moves the block's parameters and returns the gradient by its input.
    fn learn(
        &mut self,
        backend: &B,
        norm: &Norm,
        saved: &Saved<B>,
        (dy, clock): (B::Real, &B::Real),
        want: Table<'_>,
    ) -> std::result::Result<B::Real, TestCaseError> {
        let grad = backend.norm_grad(&dy, &saved.x, &self.gamma.value, &saved.normed, norm)?;
        near("grad_gamma", &backend.get(&grad.gamma)?, &want.row("grad_gamma"))?;
        near("grad_beta", &backend.get(&grad.beta)?, &want.row("grad_beta"))?;
        let dy = match (&saved.pooled, self.pool) {
            (Some(pooled), Some((grid, window))) => {
                backend.max_pool_grad(&grad.x, &pooled.taps, grid, window)?
            }
            _ => grad.x,
        };
        let (a, gather) = (Operand::Code(&saved.input), &self.gather);
        let dw = backend.get(&backend.product_grad_weight(&dy, a, gather)?)?;
        near("grad_weights", &dw, &want.matrix("grad_weights", dw.ncols()))?;
        let dx = backend.product_grad_input(&dy, Operand::Code(&self.code), gather)?;
        let product = Gradient::Product { dy: &dy, a, gather };
        let sign = Quant::sign();
        let updated = backend.update(&mut self.weights, product, &self.rule, Some(&sign), clock)?;
        self.code = updated.code.expect("a quantizer was given");
        let rule = Rule { scale: 1.0, clip: false, ..self.rule };
        backend.update(&mut self.gamma, Gradient::Ready(&grad.gamma), &rule, None, clock)?;
        backend.update(&mut self.beta, Gradient::Ready(&grad.beta), &rule, None, clock)?;
        Ok(dx)
    }

    /// Compares statistics and parameters after a step.
    fn compare(&self, backend: &B, normed: &Normed<B>, want: Table<'_>) -> TestCaseResult {
        let rows = [
            ("batch_mean", &normed.mean),
            ("batch_inv_std", &normed.inverse_deviation),
            ("running_mean", &self.running.mean),
            ("running_inv_std", &self.running.spread),
            ("gamma", &self.gamma.value),
            ("beta", &self.beta.value),
        ];
        for (name, got) in rows {
            near(name, &backend.get(got)?, &want.row(name))?;
        }
        let weights = backend.get(&self.weights.value)?;
        near("weights", &weights, &want.matrix("weights", weights.ncols()))
    }
}

/// Classes of the scores.
const CLASSES: usize = 10;

/// How a block lies on images; dense layers on rows have none.
#[derive(Clone, Copy)]
struct Layout {
    /// Side of the images.
    side: usize,
    /// Side of the window.
    window: usize,
    pad: usize,
    /// Whether pooling follows.
    pools: bool,
}

const CONVNET: [Option<Layout>; 3] = [
    Some(Layout { side: 6, window: 3, pad: 1, pools: false }),
    Some(Layout { side: 6, window: 3, pad: 1, pools: true }),
    Some(Layout { side: 3, window: 3, pad: 0, pools: false }),
];

impl Layout {
    fn grid(self) -> Grid {
        Grid { height: self.side, width: self.side }
    }

    fn gather(self) -> Gather {
        Gather::Patches { grid: self.grid(), window: Window::square(self.window, 1, self.pad) }
    }
}

fn read<B: TrainBackend>(
    backend: &B,
    block: Table<'_>,
    layout: Option<Layout>,
    optimizer: Optimizer,
) -> Result<Block<B>> {
    let put = |x: &Matrix| backend.put(x.view());
    let param = |x: &Matrix| Ok(Param { value: put(x)?, m: put(&(x * 0.0))?, v: put(&(x * 0.0))? });
    let outputs = block.row("gamma").ncols();
    let weights = block.matrix("weights", block.row("weights").ncols() / outputs);
    let (mean, spread) = (block.row("running_mean"), block.row("running_inv_std"));
    let weights: Param<B> = param(&weights)?;
    Ok(Block {
        gather: layout.map_or(Gather::Rows, Layout::gather),
        pool: layout.filter(|at| at.pools).map(|at| (at.grid(), Window::square(2, 2, 0))),
        rule: Rule { optimizer, scale: block.number("weight_scale") as f32, clip: true },
        code: backend.encode(&weights.value, &Quant::sign(), None)?,
        weights,
        gamma: param(&block.row("gamma"))?,
        beta: param(&block.row("beta"))?,
        running: Running { mean: put(&mean)?, spread: put(&spread)? },
    })
}

fn copy<B: TrainBackend>(backend: &B, x: &B::Real) -> Result<B::Real> {
    backend.put(backend.get(x)?.view())
}

fn one(x: f32) -> Matrix {
    ndarray::arr2(&[[x]])
}
