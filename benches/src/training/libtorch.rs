//! Training as a careful user of libtorch writes it: f32, autograd, convolutions with the channels last.
//!
//! Signs of weights are leaves of the graph, so that their gradients are those of the latent weights,
//! and no pass over the weights is spent on the straight-through estimator.

use bnn_core::{Input, Result};
use bnn_train::spec::BlockSpec;
use tch::{Kind, Tensor, no_grad};

use super::{Batch, CLASSES, OFFSET, RATE, Start, Trainer};

pub(super) struct Libtorch {
    input: Input,
    layers: Vec<Layer>,
    /// Shares of the entries that are dropped: of the input, of other layers' inputs.
    dropped: (f64, f64),
    steps: i32,
}

struct Layer {
    weights: Param,
    gamma: Param,
    beta: Param,
    /// Running mean and variance.
    running: [Tensor; 2],
    /// Padding of a convolution.
    pad: Option<i64>,
    pool: Option<i64>,
    /// Multiplies the step of the weights.
    scale: f64,
}

/// A parameter and its moments.
struct Param {
    value: Tensor,
    m: Tensor,
    v: Tensor,
}

impl Libtorch {
    pub(super) fn new(start: &Start, threads: usize) -> Result<Self> {
        bnn_tch::Tch::cpu().with_threads(threads)?; // for the whole process
        let (mut channels, mut side) = (start.input.channels, start.input.grid.height);
        let mut layers = Vec::new();
        for (index, block) in start.spec.net.blocks.iter().enumerate() {
            let layer = match *block {
                BlockSpec::Conv { filters, kernel, pad, pool, .. } => {
                    let layer = Layer::new(index, filters, (kernel, channels));
                    (channels, side) = (filters, side / pool);
                    Layer {
                        pad: Some(pad as i64),
                        pool: (pool > 1).then_some(pool as i64),
                        ..layer
                    }
                }
                BlockSpec::Dense { outputs } => {
                    let layer = Layer::new(index, outputs, (1, side * side * channels));
                    (channels, side) = (outputs, 1);
                    layer
                }
            };
            layers.push(layer);
        }
        let dropout = start.spec.net.dropout;
        let dropped = (dropout.input.into(), dropout.hidden.into());
        Ok(Self { input: start.input, layers, dropped, steps: 0 })
    }

    /// Images as reals in [-1, 1], the channels last in memory.
    fn images(&self, batch: &Batch) -> Tensor {
        let bytes = batch.images.as_slice().expect("images lie row after row");
        let (grid, channels) = (self.input.grid, self.input.channels);
        let sides = [grid.height, grid.width, channels].map(|side| side as i64);
        let images = Tensor::from_slice(bytes).view([-1, sides[0], sides[1], sides[2]]);
        let reals = images.to_kind(Kind::Float) * (2.0 / 255.0) - 1.0;
        reals.permute([0, 3, 1, 2])
    }

    fn scores(&self, images: Tensor, signs: &[Tensor]) -> Tensor {
        let (mut x, last) = (images.dropout(self.dropped.0, true), self.layers.len() - 1);
        for (index, (layer, signs)) in self.layers.iter().zip(signs).enumerate() {
            let normed = layer.normed(&x, signs);
            if index == last {
                return normed;
            }
            let clipped = normed.clamp(-1.0, 1.0);
            let straight_through = (sign(&clipped) - &clipped).detach();
            x = (clipped + straight_through).dropout(self.dropped.1, true);
        }
        x
    }
}

impl Trainer for Libtorch {
    fn name(&self) -> String {
        "libtorch".into()
    }

    fn step(&mut self, batch: &Batch) -> Result<f32> {
        let signs = no_grad(|| {
            let signs = |layer: &Layer| sign(&layer.weights.value).set_requires_grad(true);
            self.layers.iter().map(signs).collect::<Vec<_>>()
        });
        let scores = self.scores(self.images(batch), &signs);
        let labels = Tensor::from_slice(&batch.labels).to_kind(Kind::Int64);
        let targets = labels.one_hot(CLASSES as i64).to_kind(Kind::Float) * 2.0 - 1.0;
        let margins = targets * scores;
        let loss = (-margins + 1.0).clamp_min(0.0).square().mean(Kind::Float);
        loss.backward();
        self.steps += 1;
        for (layer, signs) in self.layers.iter_mut().zip(&signs) {
            layer.update(&mut signs.grad(), self.steps);
        }
        Ok(f64::try_from(&loss).unwrap_or(f64::NAN) as f32 * batch.labels.len() as f32)
    }
}

impl Layer {
    /// A layer of windows of `side` by `side`, or of one pixel.
    fn new(index: usize, outputs: usize, (side, channels): (usize, usize)) -> Self {
        let (taps, count) = (side * side, outputs as i64);
        let weights = Start::weights(index, (outputs, taps * channels));
        let weights = Tensor::from_slice(weights.as_slice().expect("a matrix made row after row"));
        let weights = match side {
            1 => weights.view([count, -1]),
            _ => weights.view([count, side as i64, side as i64, -1]).permute([0, 3, 1, 2]),
        };
        let row = |value: f64| Tensor::full([count], value, (Kind::Float, tch::Device::Cpu));
        let learned = |value| Param::new(row(value).set_requires_grad(true));
        Self {
            weights: Param::new(weights),
            gamma: learned(1.0),
            beta: learned(OFFSET.into()),
            running: [row(0.0), row(1.0)],
            pad: None,
            pool: None,
            scale: ((taps * (channels + outputs)) as f64 / 1.5).sqrt(),
        }
    }

    /// Normalized sums.
    fn normed(&self, x: &Tensor, signs: &Tensor) -> Tensor {
        let sums = match self.pad {
            Some(pad) => x.conv2d::<Tensor>(signs, None, [1, 1], [pad, pad], [1, 1], 1),
            None => {
                // Of images with the channels last this is the order in memory.
                let flat = if x.dim() == 4 {
                    x.permute([0, 2, 3, 1]).flatten(1, -1)
                } else {
                    x.shallow_clone()
                };
                flat.linear::<Tensor>(signs, None)
            }
        };
        let pooled = match self.pool {
            Some(side) => sums.max_pool2d([side, side], [side, side], [0, 0], [1, 1], false),
            None => sums,
        };
        let [mean, variance] = &self.running;
        let (gamma, beta) = (&self.gamma.value, &self.beta.value);
        pooled.batch_norm(
            Some(gamma),
            Some(beta),
            Some(mean),
            Some(variance),
            true,
            0.1,
            1e-4,
            false,
        )
    }

    fn update(&mut self, gradient: &mut Tensor, step: i32) {
        no_grad(|| {
            self.weights.adam(gradient, self.scale, step);
            let _ = self.weights.value.clamp_(-1.0, 1.0);
            for param in [&mut self.gamma, &mut self.beta] {
                param.adam(&mut param.value.grad(), 1.0, step);
                param.value.zero_grad();
            }
        });
    }
}

impl Param {
    fn new(value: Tensor) -> Self {
        let (m, v) = no_grad(|| (value.zeros_like(), value.zeros_like()));
        Self { value, m, v }
    }

    /// Adam with its usual constants, by operations in place; spends the gradient.
    fn adam(&mut self, gradient: &mut Tensor, scale: f64, step: i32) {
        let unbiased = |beta: f64| 1.0 - beta.powi(step);
        let rate = RATE * scale * unbiased(0.999).sqrt() / unbiased(0.9);
        let _ = self.m.lerp_(gradient, 0.1);
        let _ = self.v.lerp_(&gradient.square_(), 0.001);
        let divisor = self.v.sqrt().g_add_scalar_(1e-8).g_mul_scalar_(-1.0 / rate);
        let _ = self.value.addcdiv_(&self.m, &divisor);
    }
}

fn sign(x: &Tensor) -> Tensor {
    Tensor::where_scalar(&x.ge(0.0), 1.0, -1.0)
}
