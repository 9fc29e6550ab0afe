//! Three steps of `Net` against the literal values of an independent implementation, which the
//! README of `bnn-testkit`'s folder `golden` describes.
//!
//! Any number lies within 1e-5 of the largest magnitude in its list.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::{
    BinaryBackend, Clock, Grid, Input, Key, Loss, Matrix, Optimizer, Param, Quant, Reference,
    Running,
};
use bnn_train::Spec;
use bnn_train::block::Block;
use bnn_train::net::Net;
use ndarray::Array2;
use serde_json::Value;

const MLP: &str = include_str!("../../bnn-testkit/golden/mlp_steps.json");
const CONVNET: &str = include_str!("../../bnn-testkit/golden/convnet_steps.json");

const MLP_BLOCKS: &str = r#"["dense 70", "dense 65", "dense 10"]"#;
const CONVNET_BLOCKS: &str =
    r#"["conv 8 kernel 3 pad 1", "conv 8 kernel 3 pad 1 pool 2", "dense 10"]"#;

const MLP_INPUT: Input = Input { grid: Grid { height: 1, width: 13 }, channels: 1 };
const CONVNET_INPUT: Input = Input { grid: Grid { height: 6, width: 6 }, channels: 3 };

const CLASSES: usize = 10;

#[test]
fn the_mlp_steps_as_elsewhere() {
    check(MLP, MLP_BLOCKS, MLP_INPUT);
}

#[test]
fn the_convnet_steps_as_elsewhere() {
    check(CONVNET, CONVNET_BLOCKS, CONVNET_INPUT);
}

/// Adam's first step is proportional to the scale, and the other parameters do not see it yet.
#[test]
fn the_gains_step_scale_is_for_gains_alone() {
    let file: Value = serde_json::from_str(CONVNET).unwrap();
    let mut net = net(&file, CONVNET_BLOCKS, "glorot", CONVNET_INPUT);
    step(&mut net, &file, 0);
    let scale = (8.0f32 / 1.5).sqrt();
    let [before, want] = [&file["blocks"][0], &file["steps"][0]["blocks"][0]];
    let [start, end] = [before, want].map(|block| numbers(&block["gamma"]));
    let moved = start.iter().zip(end).map(|(start, end)| start + scale * (end - start));
    near("gamma", net.blocks[0].gamma.value.iter(), &moved.collect::<Vec<_>>());
    near("beta", net.blocks[0].beta.value.iter(), &numbers(&want["beta"]));
}

fn check(text: &str, blocks: &str, input: Input) {
    let file: Value = serde_json::from_str(text).unwrap();
    let mut net = net(&file, blocks, "none", input);
    for at in 0..3 {
        let moments = net.blocks.iter().map(|block| block.weights.m.clone()).collect::<Vec<_>>();
        let loss = step(&mut net, &file, at);
        let want = &file["steps"][at];
        near("loss", [loss].iter(), &numbers(&want["loss"]));
        for ((block, before), want) in net.blocks.iter().zip(moments).zip(list(&want["blocks"])) {
            compare(block, &before, want);
        }
    }
    let want = &file["evaluation"];
    let batch = net.upload(&Reference, images(want, input).view(), &[]).unwrap();
    let scores = net.evaluate(&Reference, batch.images).unwrap();
    near("scores in evaluation", scores.iter(), &numbers(&want["scores"]));
}

/// Takes one step and returns the mean loss.
fn step(net: &mut Net<Reference>, file: &Value, at: usize) -> f32 {
    let batch = &file["batches"][at];
    let labels: Vec<u8> = numbers(&batch["labels"]).iter().map(|&label| label as u8).collect();
    let there = net.upload(&Reference, images(batch, net.input).view(), &labels).unwrap();
    let time = at as u64 + 1;
    let step_size = Optimizer::adam().step_size(file["learning_rate"].as_f64().unwrap(), time);
    let clock = Clock { step_size, key: Key::new(0, time) };
    let tally = net.step(&Reference, there, Loss::SquaredHinge, &clock).unwrap();
    tally.loss[[0, 0]] / labels.len() as f32
}

/// Compares a block after a step; the gradient of its weights is found in Adam's first moment.
fn compare(block: &Block<Reference>, before: &Matrix, want: &Value) {
    let gradient = (&block.weights.m - before * 0.9) / 0.1;
    for (name, got) in [
        ("grad_weights", &gradient),
        ("weights", &block.weights.value),
        ("gamma", &block.gamma.value),
        ("beta", &block.beta.value),
        ("running_mean", &block.running.mean),
        ("running_inv_std", &block.running.spread),
    ] {
        near(name, got.iter(), &numbers(&want[name]));
    }
}

/// The network of a file before its first step.
fn net(file: &Value, blocks: &str, gain_step_scale: &str, input: Input) -> Net<Reference> {
    let text = format!(
        r#"
        name = "golden"
        title = "golden"
        data = ["none"]
        seeds = [0]
        backends = ["reference"]
        [net]
        blocks = {blocks}
        weights = "sign"
        activations = "sign"
        norm = "theano"
        [train]
        epochs = 1
        batch = 8
        optimizer = "adam"
        rate = {{ from = 3e-3 }}
        loss = "squared-hinge"
        step_scale = "glorot"
        gain_step_scale = "{gain_step_scale}"
        "#
    );
    let spec = Spec::parse("golden.toml", &text).unwrap();
    let mut net = Net::new(&Reference, &spec, input, CLASSES, 0).unwrap();
    for (block, start) in net.blocks.iter_mut().zip(list(&file["blocks"])) {
        near("scale", [block.form.weight_rule.scale].iter(), &numbers(&start["weight_scale"]));
        let of = |name: &str, shape| Matrix::from_shape_vec(shape, numbers(&start[name])).unwrap();
        let row = (1, block.form.shape.0);
        block.weights = param(of("weights", block.form.shape));
        block.code = Some(Reference.encode(&block.weights.value, &Quant::sign(), None).unwrap());
        (block.gamma, block.beta) = (param(of("gamma", row)), param(of("beta", row)));
        let (mean, spread) = (of("running_mean", row), of("running_inv_std", row));
        block.running = Running { mean, spread };
    }
    net
}

fn param(value: Matrix) -> Param<Reference> {
    let zeros = Matrix::zeros(value.dim());
    Param { value, m: zeros.clone(), v: zeros }
}

/// The images of a batch, one per row.
fn images(batch: &Value, input: Input) -> Array2<u8> {
    let bytes: Vec<u8> = numbers(&batch["input_bytes"]).iter().map(|&byte| byte as u8).collect();
    Array2::from_shape_vec((bytes.len() / input.bytes(), input.bytes()), bytes).unwrap()
}

/// All numbers of a value, however deep they are nested.
fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(list) => list.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap() as f32],
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn near<'a>(what: &str, got: impl ExactSizeIterator<Item = &'a f32>, want: &[f32]) {
    assert_eq!(got.len(), want.len(), "number of {what}");
    let largest = want.iter().fold(0f32, |most, x| most.max(x.abs()));
    for (at, (got, want)) in got.zip(want).enumerate() {
        assert!((got - want).abs() <= 1e-5 * largest, "{what} at {at}: got {got}, want {want}");
    }
}
