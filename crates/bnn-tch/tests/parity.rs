//! Whole trainings beside those of the CPU backend, from the same weights on the same batches.
//!
//! Bounds, for every layer:
//! - activations and gradients of the first step: 1e-5 of the largest magnitude;
//! - latent weights after 1, 10 and 100 steps: 1e-6 apart on average, and at most one in a hundred
//!   further than 1e-5 (a gradient near 0 decides a first step of Adam, or an exponent of AdaMax).
//!
//! A number within rounding of a cut may get another sign on each backend, and from there on the two
//! train different networks: one sign of a weight in ten differs at most. None of the eight networks
//! may do so in one step, one of them in 10 and two in 100.
#![cfg(feature = "tch")]
#![allow(clippy::unwrap_used)]

use bnn_core::{Clock, FloatBackend, Grid, Input, Key, Loss, Matrix};
use bnn_cpu::Cpu;
use bnn_tch::Tch;
use bnn_train::Spec;
use bnn_train::block::Block;
use bnn_train::net::{Batch, Net};
use ndarray::Array2;

const MLP: &str = r#"["dense 64", "dense 64", "dense 10"]"#;
const CONVNET: &str =
    r#"["conv 8 kernel 3 pad 1 pool 2", "conv 16 kernel 3 stride 2 pad 1", "dense 10"]"#;

/// Images of noise. Drawn ones have margins, and what never changes within a batch has a gradient of
/// 0 but for rounding, which Adam makes into whole steps.
const INPUT: Input = Input { grid: Grid { height: 12, width: 10 }, channels: 2 };

/// Images of a step.
const BATCH: usize = 20;

fn spec(blocks: &str, activations: &str, (norm, optimizer): (&str, &str)) -> Spec {
    let text = format!(
        r#"
        name = "parity"
        title = "Parity"
        data = ["digits"]
        seeds = [0]
        backends = ["tch"]
        [net]
        blocks = {blocks}
        weights = "sign"
        activations = "{activations}"
        norm = "{norm}"
        [train]
        epochs = 1
        batch = {BATCH}
        optimizer = "{optimizer}"
        rate = {{ from = 1e-3, to = 1e-4 }}
        loss = "squared-hinge"
        step_scale = "glorot"
        "#
    );
    Spec::parse("parity", &text).unwrap()
}

/// A network in training on one of the backends.
struct Run<'a, B: FloatBackend> {
    backend: &'a B,
    spec: &'a Spec,
    net: Net<B>,
    steps: u64,
}

impl<'a, B: FloatBackend> Run<'a, B> {
    fn new(backend: &'a B, spec: &'a Spec) -> Self {
        let net = Net::new(backend, spec, INPUT, 10, 1).unwrap();
        Self { backend, spec, net, steps: 0 }
    }

    /// The batch of this step: every one is another.
    fn batch(&self) -> Batch<B> {
        let key = Key::new(2, self.steps);
        let byte = |(row, col)| key.word((row * INPUT.bytes() + col) as u32) as u8;
        let images = Array2::from_shape_fn((BATCH, INPUT.bytes()), byte);
        let labels = Vec::from_iter((0..BATCH as u32).map(|i| (key.stream(1).word(i) % 10) as u8));
        self.net.upload(self.backend, images.view(), &labels).unwrap()
    }

    fn clock(&self) -> Clock {
        let step_size = self.spec.train.optimizer.optimizer().step_size(1e-3, self.steps + 1);
        Clock { step_size, key: Key::new(1, self.steps) }
    }

    fn step(&mut self) {
        let (batch, clock) = (self.batch(), self.clock());
        self.net.step(self.backend, batch, Loss::SquaredHinge, &clock).unwrap();
        self.steps += 1;
    }

    /// The normalized sums of every layer; moves the running statistics.
    fn activations(&mut self) -> Vec<Matrix> {
        let clock = self.backend.put(self.clock().to_row().view()).unwrap();
        let mut input = Some(bnn_train::block::Flow::Code(self.batch().images));
        let mut all = vec![];
        for block in &mut self.net.blocks {
            let norm = block.form.norm;
            let saved = block.forward(self.backend, input.take().unwrap(), &norm).unwrap();
            let train = |form: &bnn_train::block::ActivationForm| {
                form.train(self.backend, saved.normed(), &clock).unwrap()
            };
            input = block.form.activation.as_ref().map(train);
            all.push(self.backend.get(saved.normed()).unwrap());
        }
        all
    }

    fn get(&self, pick: impl Fn(&Block<B>) -> &B::Real) -> Vec<Matrix> {
        self.net.blocks.iter().map(|block| self.backend.get(pick(block)).unwrap()).collect()
    }
}

/// The largest difference lies within 1e-5 of the largest magnitude.
fn close(what: &str, a: &[Matrix], b: &[Matrix]) {
    for (layer, (a, b)) in a.iter().zip(b).enumerate() {
        let largest = |x: &Matrix| x.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let (off, most) = (largest(&(a - b)), largest(a));
        assert!(off <= 1e-5 * most, "{what} of layer {layer}: {off:e} apart, of {most:e}");
    }
}

/// Whether weights are as close as rounding alone leaves them.
fn near(a: &[Matrix], b: &[Matrix]) -> bool {
    let mut all = true;
    for (layer, (a, b)) in a.iter().zip(b).enumerate() {
        let apart = (a - b).mapv(f32::abs);
        let mean = apart.mean().unwrap();
        let far = apart.iter().filter(|off| **off > 1e-5).count();
        println!("  layer {layer}: {mean:e} apart, {far} of {} far", apart.len());
        all &= mean <= 1e-6 && far * 100 <= apart.len();
    }
    all
}

/// Trains both for 100 steps; whether they are the same network after 1, 10 and 100.
fn train_both(tch: &Tch, blocks: &str, activations: &str, rules: (&str, &str)) -> Vec<bool> {
    let spec = spec(blocks, activations, rules);
    let cpu = Cpu::new().with_threads(1).unwrap();
    let (mut a, mut b) = (Run::new(&cpu, &spec), Run::new(tch, &spec));
    close("activations", &a.activations(), &b.activations());
    let mut same = vec![];
    for step in 1..=100 {
        a.step();
        b.step();
        if step == 1 {
            // After one step the first moments are the gradients, times a constant.
            close("gradient of weights", &a.get(|x| &x.weights.m), &b.get(|x| &x.weights.m));
            close("gradient of gamma", &a.get(|x| &x.gamma.m), &b.get(|x| &x.gamma.m));
            close("gradient of beta", &a.get(|x| &x.beta.m), &b.get(|x| &x.beta.m));
        }
        if [1, 10, 100].contains(&step) {
            let (a, b) = (a.get(|x| &x.weights.value), b.get(|x| &x.weights.value));
            println!("{blocks} {activations} {rules:?}, step {step}:");
            same.push(near(&a, &b));
            let signs = a.iter().flatten().zip(b.iter().flatten());
            let differ = signs.filter(|(a, b)| (**a >= 0.0) != (**b >= 0.0)).count();
            assert!(differ * 10 <= a.iter().map(Matrix::len).sum(), "{differ} signs differ");
        }
    }
    same
}

fn stay_together(tch: &Tch) {
    let mut drifted = [0; 3];
    for blocks in [MLP, CONVNET] {
        for activations in ["sign", "stochastic-sign"] {
            for rules in [("theano", "adam"), ("shift", "shift-adamax")] {
                let same = train_both(tch, blocks, activations, rules);
                drifted.iter_mut().zip(same).for_each(|(count, same)| *count += usize::from(!same));
            }
        }
    }
    let [one, ten, hundred] = drifted;
    assert!(one == 0 && ten <= 1 && hundred <= 2, "{drifted:?} of 8 networks became others");
}

#[test]
fn trainings_stay_together() {
    stay_together(&Tch::cpu().with_threads(1).unwrap());
}

#[test]
fn trainings_by_the_means_of_gpus_stay_together() {
    stay_together(&Tch::cpu_as_gpu().with_threads(1).unwrap());
}

#[test]
fn trainings_on_a_gpu_stay_together() {
    match Tch::cuda() {
        Ok(tch) => stay_together(&tch),
        Err(error) => bnn_testkit::skipped("tch:cuda", &error.to_string()),
    }
}
