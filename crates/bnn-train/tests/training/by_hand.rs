//! A run against the same steps taken by hand: which images, rates, draws and scores, and which epoch is
//! kept. The network itself is `Net`, which other tests compare with numbers from elsewhere.

use bnn_core::{Clock, Key, Loss, Matrix, Reference};
use bnn_data::{Dataset, Images, Order};
use bnn_train::net::Net;
use bnn_train::run::input;
use bnn_train::{Judged, LayerReport, Score, Spec, run};
use ndarray::Axis;

use crate::{bars, options, text};

const SEED: u64 = 1;
/// Images of a batch: the last one of an epoch is of 10.
const BATCH: usize = 30;
/// Epochs of the schedule, and those that are run.
const EPOCHS: usize = 5;
const LAST: usize = 4;

/// Everything that a run may get wrong besides its network.
fn spec() -> Spec {
    let net = "activations = \"stochastic-sign\"\noutput_norm = \"torch\"\n\
               dropout = { input = 0.1, hidden = 0.2 }";
    let text = text(r#"["dense 24", "dense 16", "dense 10"]"#, net);
    let text = text.replace("epochs = 3", &format!("epochs = {EPOCHS}\nstop_after = {LAST}"));
    let text = text.replace("batch = 10", &format!("batch = {BATCH}\nlast_batch = \"keep\""));
    Spec::parse("hand.toml", &text).unwrap()
}

/// An epoch taken by hand.
struct Epoch {
    rate: f64,
    train: Score,
    validation: Score,
    test: Score,
    layers: Vec<LayerReport>,
    model: Vec<u8>,
    judged: Judged,
}

fn epochs(spec: &Spec, data: &Dataset) -> Vec<Epoch> {
    let mut net = Net::new(&Reference, spec, input(data), 10, SEED).unwrap();
    let mut time = 0;
    (1..=LAST).map(|epoch| by_hand(&mut net, data, epoch, &mut time)).collect()
}

fn by_hand(net: &mut Net<Reference>, data: &Dataset, epoch: usize, time: &mut u64) -> Epoch {
    let rate = 3e-3 * libm::pow(3e-4 / 3e-3, (epoch - 1) as f64 / EPOCHS as f64);
    let order = Order { seed: SEED, epoch: epoch as u64 }.permutation(100);
    let (mut sums, mut flips) = ([0.0; 2], vec![0; net.blocks.len()]);
    for chosen in order.chunks(BATCH) {
        *time += 1;
        let pixels = data.train.rows(0..100).select(Axis(0), chosen);
        let labels: Vec<u8> = chosen.iter().map(|&image| data.train.labels[image]).collect();
        let batch = net.upload(&Reference, pixels.view(), &labels).unwrap();
        let power = |beta| libm::pow(beta, *time as f64);
        let step_size = (rate * (1.0 - power(0.999)).sqrt() / (1.0 - power(0.9))) as f32;
        let clock = Clock { step_size, key: Key::new(SEED, *time) };
        let before = signs(net);
        let tally = net.step(&Reference, batch, Loss::SquaredHinge, &clock).unwrap();
        for ((flips, before), after) in flips.iter_mut().zip(before).zip(signs(net)) {
            *flips += before.iter().zip(&after).filter(|(before, after)| before != after).count();
        }
        for (sum, at) in sums.iter_mut().zip([[0, 0], [0, 1]]) {
            *sum += f64::from(tally.loss[at]);
        }
    }
    let layers = net.blocks.iter().zip(flips).map(|(block, flips)| {
        let weights = &block.weights.value;
        let clipped = weights.iter().filter(|weight| weight.abs() == 1.0).count() as f64;
        let all = weights.len() as f64;
        LayerReport { flips: flips as f64 / all, clipped: clipped / all }
    });
    let layers = layers.collect();
    let test = scores(net, &data.test);
    Epoch {
        rate,
        train: Score { loss: sums[0] / 100.0, error: sums[1] / 100.0 },
        validation: score(&scores(net, &data.validation), &data.validation.labels),
        test: score(&test, &data.test.labels),
        layers,
        model: net.freeze(&Reference, data.class_names()).unwrap().to_bytes().unwrap(),
        judged: Judged::new(&test, &data.test.labels),
    }
}

/// The signs of all latent weights.
fn signs(net: &Net<Reference>) -> Vec<Vec<bool>> {
    let of = |weights: &Matrix| weights.iter().map(|&weight| weight >= 0.0).collect();
    net.blocks.iter().map(|block| of(&block.weights.value)).collect()
}

/// The scores of all images, one at a time.
fn scores(net: &Net<Reference>, images: &Images) -> Matrix {
    let mut all = Matrix::zeros((0, 10));
    for at in 0..images.len() {
        let one = net.upload(&Reference, images.rows(at..at + 1), &[]).unwrap();
        all.append(Axis(0), net.evaluate(&Reference, one.images).unwrap().view()).unwrap();
    }
    all
}

/// Mean squared hinge and share of errors.
fn score(scores: &Matrix, labels: &[u8]) -> Score {
    let (mut loss, mut errors) = (0.0, 0);
    for (row, &label) in scores.rows().into_iter().zip(labels) {
        let hinge = |(class, &score): (usize, &f32)| {
            let want = if class == usize::from(label) { 1.0 } else { -1.0 };
            (1.0 - want * f64::from(score)).max(0.0).powi(2)
        };
        loss += row.iter().enumerate().map(hinge).sum::<f64>() / 10.0;
        let largest = row.iter().fold(f32::MIN, |most, &score| most.max(score));
        let taken = row.iter().position(|&score| score == largest);
        errors += usize::from(taken != Some(label.into()));
    }
    let count = labels.len() as f64;
    Score { loss: loss / count, error: errors as f64 / count }
}

fn near(what: &str, got: Score, want: Score) {
    assert!((got.loss / want.loss - 1.0).abs() < 1e-5, "{what}: {got:?}, not {want:?}");
    assert!((got.error - want.error).abs() < 1e-12, "{what}: {got:?}, not {want:?}");
}

/// Images to choose by and to judge by differ in number and in how hard they are.
fn data() -> Dataset {
    let mut data = bars();
    data.validation.truncate(37);
    data.test.truncate(43);
    data
}

#[test]
fn a_run_is_its_steps_taken_by_hand() {
    let (spec, data) = (spec(), data());
    let outcome = run(&Reference, &spec, &data, SEED, &options(None), &mut ()).unwrap();
    let hand = epochs(&spec, &data);
    assert_eq!(outcome.epochs.len(), LAST);
    for (at, (got, want)) in outcome.epochs.iter().zip(&hand).enumerate() {
        assert_eq!((got.epoch, got.rate), (at + 1, want.rate));
        near("training", got.train, want.train);
        near("validation", got.validation, want.validation);
        near("test", got.test, want.test);
        assert_eq!(got.layers, want.layers, "epoch {}", at + 1);
        assert!(got.seconds > 0.0);
    }
    for layer in 0..3 {
        let flips: f64 = hand.iter().map(|epoch| epoch.layers[layer].flips).sum();
        assert!(flips > 0.0, "of layer {layer} the test would see nothing");
    }
    let lowest = hand.iter().fold(1.0, |least, epoch| epoch.validation.error.min(least));
    let best = hand.iter().rposition(|epoch| epoch.validation.error == lowest).unwrap();
    assert_eq!(outcome.best, best);
    assert!(outcome.model.as_ref() == Some(&hand[best].model), "the model of epoch {}", best + 1);
    assert_eq!(outcome.judged.as_ref(), Some(&hand[best].judged));
}
