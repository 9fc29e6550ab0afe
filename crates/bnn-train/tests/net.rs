//! What layers are made of a spec, and what they draw and move in training.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::{
    BinaryBackend, Clock, Draw, Gather, Grid, Input, Key, Loss, Matrix, Norm, Planes, Reference,
    TrainBackend, reference,
};
use bnn_train::Spec;
use bnn_train::block::ActivationForm;
use bnn_train::net::Net;
use ndarray::Array2;

const INPUT: Input = Input { grid: Grid { height: 4, width: 4 }, channels: 1 };

/// Images in a full batch.
const BATCH: usize = 8;

fn spec(blocks: &str, net: &str, train: &str) -> Spec {
    let text = format!(
        r#"
        name = "test"
        title = "test"
        data = ["none"]
        seeds = [0]
        backends = ["reference"]
        [net]
        blocks = {blocks}
        weights = "sign"
        norm = "theano"
        {net}
        [train]
        epochs = 1
        batch = {BATCH}
        optimizer = "adam"
        rate = {{ from = 3e-3 }}
        loss = "squared-hinge"
        step_scale = "glorot"
        {train}
        "#
    );
    Spec::parse("net.toml", &text).unwrap()
}

fn net(blocks: &str, net: &str, train: &str) -> Net<Reference> {
    Net::new(&Reference, &spec(blocks, net, train), INPUT, 3, 5).unwrap()
}

const SIGN: &str = "activations = \"sign\"";
const STOCHASTIC: &str =
    "activations = \"stochastic-sign\"\ndropout = { input = 0.25, hidden = 0.5 }";
const DEEP: &str = r#"["dense 6", "dense 6", "dense 6", "dense 3"]"#;

fn images(count: usize) -> (Array2<u8>, Vec<u8>) {
    let key = Key::new(3, 0);
    let pixel = |(row, column): (usize, usize)| key.word((row * 16 + column) as u32) as u8;
    (Array2::from_shape_fn((count, 16), pixel), (0..count).map(|image| (image % 3) as u8).collect())
}

const CLOCK: Clock = Clock { step_size: 0.01, key: Key(7, 9) };

fn step(net: &mut Net<Reference>, count: usize) -> f32 {
    let (pixels, labels) = images(count);
    let batch = net.upload(&Reference, pixels.view(), &labels).unwrap();
    net.step(&Reference, batch, Loss::SquaredHinge, &CLOCK).unwrap().loss[[0, 0]]
}

#[test]
fn the_last_layer_has_a_norm_of_its_own_where_the_spec_names_one() {
    let norms = |text: &str| {
        let net = net(DEEP, &format!("{SIGN}\n{text}"), "");
        net.blocks.iter().map(|block| block.form.norm).collect::<Vec<_>>()
    };
    let [theano, torch, shift] = [Norm::theano(), Norm::torch(), Norm::shift()];
    assert_eq!(norms(""), [theano; 4]);
    assert_eq!(norms("output_norm = \"torch\""), [theano, theano, theano, torch]);
    assert_eq!(norms("output_norm = \"shift\""), [theano, theano, theano, shift]);
}

#[test]
fn the_norms_of_the_spec_are_those_of_the_core() {
    for (name, want) in
        [("theano", Norm::theano()), ("torch", Norm::torch()), ("shift", Norm::shift())]
    {
        let mut spec = spec(DEEP, SIGN, "");
        spec.net.norm = serde_json::from_value(name.into()).unwrap();
        let net = Net::new(&Reference, &spec, INPUT, 3, 5).unwrap();
        assert!(net.blocks.iter().all(|block| block.form.norm == want), "{name}");
    }
}

#[test]
fn every_layer_draws_from_streams_of_its_own() {
    let net = net(DEEP, STOCHASTIC, "");
    let mut streams = vec![0]; // that of the input
    for block in &net.blocks[..3] {
        let Some(ActivationForm::Code(code)) = &block.form.activation else { panic!("no code") };
        assert!(code.stochastic && code.keep == 0.5);
        streams.extend([code.stream, code.stream + 1]);
    }
    assert_eq!(streams, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(net.blocks[3].form.activation, None);
}

/// The forward of two layers in training, with all that is drawn, operation by operation.
#[test]
fn training_drops_and_binarizes_by_its_draws() {
    let blocks = r#"["dense 6", "dense 3"]"#;
    let mut net = net(blocks, STOCHASTIC, "");
    let (pixels, labels) = images(BATCH);
    let clock = CLOCK.to_row();
    let draw = |stream| Draw { clock: &clock, stream };
    let bytes = net.upload(&Reference, pixels.view(), &labels).unwrap().images;
    let dropped = Reference.dropout(&bytes, 0.75, draw(0)).unwrap();
    let normed = |code: &Planes, at: usize| {
        let block = &net.blocks[at];
        let sums = Reference.product(code, block.code.as_ref().unwrap(), &Gather::Rows).unwrap();
        let (ones, zeros) = (Matrix::ones((1, sums.ncols())), Matrix::zeros((1, sums.ncols())));
        let mut running = (zeros.clone(), ones.clone());
        reference::norm(&sums, &ones, &zeros, &mut running, &block.form.norm).unwrap().y
    };
    let hidden = normed(&dropped, 0);
    let quant = bnn_core::Quant::sign();
    let signs = Reference.encode(&hidden, &quant, Some(draw(1))).unwrap();
    let kept = Reference.dropout(&signs, 0.5, draw(2)).unwrap();
    let scores = normed(&kept, 1);
    let column = Matrix::from_shape_fn((BATCH, 1), |(row, _)| f32::from(labels[row]));
    let want = reference::loss(&scores, &column, Loss::SquaredHinge).unwrap().1[[0, 0]];
    assert_eq!(step(&mut net, BATCH), want);
}

#[test]
fn nothing_is_drawn_or_dropped_in_evaluation() {
    let scores = |text: &str| {
        let net = net(DEEP, text, "");
        let (pixels, labels) = images(BATCH);
        let batch = net.upload(&Reference, pixels.view(), &labels).unwrap();
        net.evaluate(&Reference, batch.images).unwrap()
    };
    assert_eq!(scores(SIGN), scores(STOCHASTIC));
}

#[test]
fn layers_start_apart_and_spread_evenly() {
    let net = net(r#"["dense 16", "dense 16", "dense 16", "dense 3"]"#, SIGN, "");
    let [a, b, c] = [0, 1, 2].map(|at| &net.blocks[at].weights.value);
    assert!(a != b && b != c && a != c, "equal shapes are not equal layers");
    let all: Vec<f32> = [a, b, c].into_iter().flatten().copied().collect();
    let mean = all.iter().sum::<f32>() / all.len() as f32;
    let square = all.iter().map(|x| x * x).sum::<f32>() / all.len() as f32;
    assert!(mean.abs() < 0.1 && (square - 1.0 / 3.0).abs() < 0.05, "{mean} {square}");
    assert!(all.iter().all(|x| x.abs() <= 1.0));
    let other = Net::new(&Reference, &spec(DEEP, SIGN, ""), INPUT, 3, 6).unwrap();
    let same = Net::new(&Reference, &spec(DEEP, SIGN, ""), INPUT, 3, 5).unwrap();
    assert_ne!(other.blocks[0].weights.value, same.blocks[0].weights.value, "another seed");
    for block in &net.blocks {
        assert!(block.gamma.value.iter().all(|&gain| gain == 1.0));
        assert!(block.beta.value.iter().chain(&block.running.mean).all(|&zero| zero == 0.0));
        let moments = [&block.weights, &block.gamma, &block.beta].map(|param| [&param.m, &param.v]);
        assert!(moments.into_iter().flatten().flatten().all(|&zero| zero == 0.0));
    }
}

#[test]
fn rules_say_what_is_scaled_and_clipped() {
    let rules = |train: &str| {
        let net = net(r#"["dense 6", "dense 3"]"#, SIGN, train);
        let form = &net.blocks[0].form;
        [form.weight_rule, form.gain_rule, form.offset_rule].map(|rule| (rule.scale, rule.clip))
    };
    let glorot = |fans: f64| (fans / 1.5).sqrt() as f32;
    assert_eq!(rules(""), [(glorot(22.0), true), (1.0, false), (1.0, false)]);
    let all = rules("clip = \"all\"\ngain_step_scale = \"glorot\"");
    assert_eq!(all, [(glorot(22.0), true), (glorot(6.0), true), (1.0, true)]);
    // What one input meets of a convolution are its windows; one of a dense layer, its outputs.
    let conv = net(r#"["conv 6 kernel 3 pad 1", "dense 3"]"#, SIGN, "");
    let scales: Vec<f32> = conv.blocks.iter().map(|block| block.form.weight_rule.scale).collect();
    assert_eq!(scales, [glorot(9.0 + 54.0), glorot(96.0 + 3.0)]);
}

#[test]
fn an_optimizer_is_for_all_parameters() {
    let mut spec = spec(DEEP, SIGN, "");
    spec.train.optimizer = bnn_train::spec::OptimizerName::ShiftAdamaxPaper;
    let net = Net::new(&Reference, &spec, INPUT, 3, 5).unwrap();
    let want = bnn_core::Optimizer::shift_adamax_paper();
    for form in net.blocks.iter().map(|block| &block.form) {
        let rules = [form.weight_rule, form.gain_rule, form.offset_rule];
        assert!(rules.iter().all(|rule| rule.optimizer == want));
    }
}

#[test]
fn evaluation_takes_more_images_where_layers_are_narrow() {
    // The widest layer has 6 sums at each of 16 pixels.
    let net = net(r#"["conv 6 kernel 3 pad 1", "dense 5", "dense 3"]"#, SIGN, "");
    assert_eq!(net.evaluation_batch(10), (1 << 21) / 96);
    assert_eq!(net.evaluation_batch(1 << 20), 1 << 20);
}

/// The statistics move towards the batch's by the share of its images in a full batch.
#[test]
fn a_small_batch_moves_the_running_statistics_as_much_less() {
    for (norm, momentum) in [("theano", 0.1), ("shift", 0.125)] {
        let moved = |count: usize| {
            let mut spec = spec(r#"["dense 6", "dense 3"]"#, SIGN, "");
            spec.net.norm = serde_json::from_value(norm.into()).unwrap();
            let mut net = Net::new(&Reference, &spec, INPUT, 3, 5).unwrap();
            let (pixels, labels) = images(count);
            let batch = net.upload(&Reference, pixels.view(), &labels).unwrap();
            let code = net.blocks[0].code.as_ref().unwrap();
            let sums = Reference.product(&batch.images, code, &Gather::Rows).unwrap();
            let mean = sums.mean_axis(ndarray::Axis(0)).unwrap();
            step(&mut net, count);
            let running = &net.blocks[0].running;
            // It started at 0 and 1.
            let share = |(at, mean): (usize, &f32)| running.mean[[0, at]] / mean;
            mean.iter().enumerate().map(share).collect::<Vec<_>>()
        };
        for (count, part) in [(BATCH, 1.0), (BATCH / 4, 0.25), (2, 0.25), (3 * BATCH, 1.0)] {
            for share in moved(count) {
                assert!((share / (momentum * part) - 1.0).abs() < 1e-4, "{norm} {count}: {share}");
            }
        }
    }
}

#[test]
fn a_norm_over_a_single_row_is_refused() {
    for (blocks, at) in [
        (r#"["dense 6", "dense 3"]"#, "dense 6"),
        (r#"["conv 6 kernel 4", "dense 3"]"#, "conv 6 kernel 4"),
        // Its own norm runs over 16 pixels, that of the next layer does not.
        (r#"["conv 6 kernel 3 pad 1", "dense 3"]"#, "dense 3"),
        (r#"["conv 6 kernel 3 pad 1 pool 4", "dense 3"]"#, "conv 6 kernel 3 pad 1 pool 4"),
    ] {
        let mut spec = spec(blocks, SIGN, "");
        spec.train.batch = 1;
        let Err(error) = Net::new(&Reference, &spec, INPUT, 3, 5) else { panic!("{blocks}") };
        let error = error.to_string();
        let place = format!("(net.blocks, `{at}`)");
        assert!(
            error.starts_with("train.batch: 1 image makes a norm over a single row"),
            "{error}"
        );
        assert!(error.contains("want at least 2") && error.ends_with(&place), "{error}");
        spec.train.batch = 2;
        assert!(Net::new(&Reference, &spec, INPUT, 3, 5).is_ok());
    }
}
