//! The float baselines on the CPU: after some steps the same network as by the definitions.
#![cfg(feature = "cpu")]
#![allow(clippy::unwrap_used)] // in helpers too

use bnn::core::{Clock, FloatBackend, Grid, Input, Key, Loss, Matrix, Reference};
use bnn::train::Spec;
use bnn::train::net::Net;
use bnn_cpu::Cpu;
use ndarray::Array2;

const INPUT: Input = Input { grid: Grid { height: 6, width: 6 }, channels: 1 };
const MLP: &str = r#"["dense 24", "dense 12", "dense 10"]"#;
const CONVNET: &str = r#"["conv 6 kernel 3 pad 1", "conv 8 kernel 3 pad 1 pool 2", "dense 10"]"#;

/// Images in a batch.
const BATCH: usize = 20;
/// Steps of both.
const STEPS: u64 = 5;
/// Largest difference after them, of the largest magnitude: rounding, since latent weights that are
/// near 0 keep their signs for so few steps.
const BOUND: f32 = 1e-4;

fn spec(blocks: &str, weights: &str, activations: &str) -> Spec {
    let text = format!(
        r#"
        name = "test"
        title = "test"
        data = ["digits"]
        seeds = [0]
        backends = ["cpu"]
        [net]
        blocks = {blocks}
        weights = "{weights}"
        activations = "{activations}"
        norm = "theano"
        dropout = {{ input = 0.2 }}
        [train]
        epochs = 1
        batch = {BATCH}
        optimizer = "adam"
        rate = {{ from = 1e-3 }}
        loss = "squared-hinge"
        step_scale = "none"
        "#
    );
    Spec::parse("test.toml", &text).unwrap()
}

fn images(time: u64) -> (Array2<u8>, Vec<u8>) {
    let key = Key::new(3, time);
    let byte = |(row, col): (usize, usize)| key.word((row * INPUT.bytes() + col) as u32) as u8;
    let labels = (0..BATCH).map(|image| (image % 10) as u8).collect();
    (Array2::from_shape_fn((BATCH, INPUT.bytes()), byte), labels)
}

/// Every layer's weights, gains, offsets and running statistics after the steps, and the scores of
/// an evaluation.
fn trained<B: FloatBackend>(backend: &B, spec: &Spec) -> Vec<(String, Matrix)> {
    let mut net = Net::new(backend, spec, INPUT, 10, 1).unwrap();
    for time in 1..=STEPS {
        let (pixels, labels) = images(time);
        let batch = net.upload(backend, pixels.view(), &labels).unwrap();
        let step_size = spec.train.optimizer.optimizer().step_size(1e-3, time);
        let clock = Clock { step_size, key: Key::new(1, time) };
        net.step(backend, batch, Loss::SquaredHinge, &clock).unwrap();
    }
    let mut all = Vec::new();
    for (layer, block) in net.blocks.iter().enumerate() {
        for (name, real) in [
            ("weights", &block.weights.value),
            ("gains", &block.gamma.value),
            ("offsets", &block.beta.value),
            ("running means", &block.running.mean),
            ("running deviations", &block.running.spread),
        ] {
            all.push((format!("{name} of layer {layer}"), backend.get(real).unwrap()));
        }
    }
    let (pixels, labels) = images(0);
    let batch = net.upload(backend, pixels.view(), &labels).unwrap();
    all.push(("scores".into(), net.evaluate(backend, batch.images).unwrap()));
    all
}

#[test]
fn the_cpu_trains_float_baselines_as_defined() {
    let cpu = Cpu::new().with_threads(1).unwrap();
    for (blocks, weights, activations) in [
        (MLP, "real", "relu"),
        (MLP, "sign", "relu"),
        (MLP, "real", "sign"),
        (CONVNET, "real", "hard-tanh"),
        (CONVNET, "sign", "hard-tanh"),
    ] {
        let spec = spec(blocks, weights, activations);
        let both = trained(&cpu, &spec).into_iter().zip(trained(&Reference, &spec));
        for ((what, cpu), (_, want)) in both {
            let largest = |x: &Matrix| x.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            let (off, most) = (largest(&(&cpu - &want)), largest(&want));
            let name = format!("{blocks} {weights} {activations}: {what}");
            assert!(most > 0.0 && off <= BOUND * most, "{name}: {off:e} apart, of {most:e}");
        }
    }
}
