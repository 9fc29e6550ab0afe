//! Damaged checkpoints, and those with values that no run has.

use std::path::Path;

use bnn_core::Reference;
use bnn_core::envelope::{self, Opened, Tensor};
use bnn_train::{CHECKPOINT_FILE, Error, MODEL_FILE, Observer, Options, Outcome, run};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{StopAfter, bars, options, spec};

const SMALL: &str = r#"["dense 4", "dense 10"]"#;

/// A checkpoint of the third step of the second epoch.
const VERSION_1: &[u8] = include_bytes!("version1/checkpoint.safetensors");

/// Goes on in a folder.
fn resume(folder: &Path, observer: &mut dyn Observer) -> Result<Outcome, Error> {
    let options = Options { resume: true, ..options(Some(folder)) };
    run(&Reference, &spec(SMALL, "activations = \"sign\""), &bars(), 1, &options, observer)
}

/// A run that stopped in its second epoch, and its checkpoint.
fn stopped() -> (TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let (spec, options) = (spec(SMALL, "activations = \"sign\""), options(Some(folder.path())));
    let error = run(&Reference, &spec, &bars(), 1, &options, &mut StopAfter(13)).unwrap_err();
    assert!(matches!(error, Error::Interrupted { epoch: 2, step: 3 }), "{error}");
    let bytes = std::fs::read(folder.path().join(CHECKPOINT_FILE)).unwrap();
    (folder, bytes)
}

/// What a run resumed from these bytes ends in, without the times it took.
fn end(folder: &Path, bytes: &[u8]) -> Result<Outcome, Error> {
    std::fs::write(folder.join(CHECKPOINT_FILE), bytes).unwrap();
    resume(folder, &mut ()).map(|mut outcome| {
        outcome.epochs.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
        outcome
    })
}

#[test]
fn no_flipped_bit_changes_a_run() {
    let (folder, bytes) = stopped();
    let whole = end(folder.path(), &bytes).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        match end(folder.path(), &flipped) {
            Err(Error::Checkpoint { why, .. }) => assert!(!why.is_empty()),
            Err(other) => panic!("byte {at}: {other}"),
            Ok(outcome) => assert_eq!(outcome, whole, "byte {at}"),
        }
    }
}

#[test]
fn a_checkpoint_of_version_1_goes_on_bit_for_bit() {
    let (folder, bytes) = stopped();
    let whole = end(folder.path(), &bytes).unwrap();
    let from = |bytes| end(folder.path(), bytes).unwrap();
    assert_eq!(from(VERSION_1).model, whole.model);
    assert_eq!(from(VERSION_1).epochs, whole.epochs);
}

/// The same checkpoint with other content, and a checksum that fits.
pub fn changed(bytes: &[u8], change: impl FnOnce(&mut Value, &mut Vec<Tensor>)) -> Vec<u8> {
    let opened: Opened<'_, Value> = envelope::read("checkpoint", bytes).unwrap();
    let mut header = opened.header;
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    let tensor = |name: &str| {
        let view = tensors.tensor(name).unwrap();
        let (shape, bytes) = (view.shape().to_vec(), view.data().to_vec());
        Tensor { name: name.into(), dtype: view.dtype(), shape, bytes }
    };
    let mut tensors: Vec<Tensor> = tensors.names().into_iter().map(tensor).collect();
    change(&mut header, &mut tensors);
    envelope::write("checkpoint", &header, &tensors).unwrap()
}

/// Refused, with a text that names the place and says what to do; its place and cause.
fn refused(folder: &Path, bytes: &[u8]) -> String {
    let error = end(folder, bytes).unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(CHECKPOINT_FILE), "{text}");
    assert!(text.ends_with("; remove it to start anew, or name another folder"), "{text}");
    text
}

#[test]
fn a_report_that_no_run_makes_is_refused() {
    let (folder, bytes) = stopped();
    let same = changed(&bytes, |_, _| ());
    assert_eq!(end(folder.path(), &same).unwrap().epochs.len(), 3);
    for (at, value, why) in [
        ("/progress/step", json!(11), "step 11 of an epoch of 10"),
        ("/progress/epochs/0/epoch", json!(2), "epoch is 2, not 1"),
        ("/progress/epochs/0/rate", json!(0.5), "rate is 0.5"),
        ("/progress/epochs/0/test/error", json!(1.5), "epochs.0.test.error is 1.5"),
        ("/progress/epochs/0/validation/error", json!(-0.5), "validation.error is -0.5"),
        ("/progress/epochs/0/train/loss", json!(-1.0), "train.loss is -1"),
        ("/progress/epochs/0/seconds", json!(-1.0), "seconds is -1"),
        ("/progress/epochs/0/layers", json!([]), "layers are 0, not 2"),
        ("/progress/epochs/0/layers/1/clipped", json!(2.0), "layers.1.clipped is 2"),
        ("/progress/epochs/0/layers/0/flips", json!(-2.0), "layers.0.flips is -2"),
        ("/progress/epochs", json!([]), "progress: "),
        ("/progress/ends", json!([2]), "ends are [2] in 1 epochs"),
        ("/progress/ends", json!([0]), "ends are [0] in 1 epochs"),
        ("/progress/ends", json!([1, 1]), "ends are [1, 1] in 1 epochs"),
        ("/progress/sums/samples", json!(31), "samples are 31 in 3 steps"),
        ("/progress/sums/samples", json!(500), "samples are 500 in 3 steps"),
        ("/progress/sums/samples", json!(2), "samples are 2 in 3 steps"),
        ("/progress/sums/errors", json!(31), "errors are 31 of 30"),
        ("/progress/sums/loss", json!(-1.0), "sums.loss is -1"),
        ("/progress/sums/flips/0", json!(1e9 as u64), "flips.0 is 1000000000 of 144 weights"),
        ("/progress/sums/clipped/1", json!(41), "clipped.1 is 41 of 40 weights"),
        ("/progress/sums/flips", json!([0]), "flips are of 1 layers, not 2"),
        ("/progress/judged/mistakes/0/index", json!(50), "mistakes.0 is none"),
        ("/progress/judged/mistakes/0/index", json!(u64::MAX), "mistakes.0 is none"),
        ("/progress/judged/mistakes/0/label", json!(10), "mistakes.0 is none"),
        ("/progress/judged/mistakes/0/predicted", json!(10), "mistakes.0 is none"),
        ("/progress/judged/mistakes/0/margin", json!(-1.0), "mistakes.0 is none"),
        ("/progress/judged/mistakes/1/margin", json!(1e9), "mistakes.1 is out of order"),
        ("/progress/judged/mistakes", json!([]), "mistakes are 0, not "),
        ("/progress/judged/confusion/3/3", json!(u64::MAX), "confusion.3 is not of the 5 images"),
        ("/progress/judged/confusion", json!([[1]]), "confusion is not of 10 classes"),
    ] {
        let bad = changed(&bytes, |header, _| {
            *header.pointer_mut(at).unwrap_or_else(|| panic!("no {at}")) = value;
        });
        let text = refused(folder.path(), &bad);
        assert!(text.contains(why), "{at}: {text}");
    }
    let late = changed(&bytes, |header, _| {
        let epochs = header["progress"]["epochs"].as_array_mut().unwrap();
        epochs.extend(vec![epochs[0].clone(); 3]);
    });
    let error = end(folder.path(), &late).unwrap_err().to_string(); // whole, and not to be removed
    assert!(error.contains("step 3 of epoch 5 is done, and epoch 3 is the last one"), "{error}");
    assert!(
        error.ends_with("ask for more with --epochs, or name another folder with --out"),
        "{error}"
    );
}

#[test]
fn numbers_that_no_training_makes_are_refused() {
    let (folder, bytes) = stopped();
    for (name, value, why) in [
        ("0.weights.v", f32::INFINITY, "weights.v holds inf"),
        ("0.weights.v", -1e-9, "weights.v holds -0.000000001"),
        ("1.gamma.v", f32::NAN, "gamma.v holds NaN"),
        ("0.weights.m", f32::NEG_INFINITY, "weights.m holds -inf"),
        ("1.weights.value", 1.0001, "within the clip"),
        ("0.weights.value", f32::NAN, "weights.value holds NaN"),
        ("0.gamma.value", f32::INFINITY, "gamma.value holds inf"),
        ("1.beta.value", f32::NAN, "beta.value holds NaN"),
        ("1.running.mean", f32::NAN, "running.mean holds NaN"),
        ("0.running.spread", -0.5, "running.spread holds -0.5"),
        ("0.running.spread", 1e6, "running.spread holds 1000000"),
    ] {
        let bad = changed(&bytes, |_, tensors| {
            let tensor = tensors.iter_mut().find(|tensor| tensor.name == name).unwrap();
            tensor.bytes[4..8].copy_from_slice(&value.to_le_bytes());
        });
        let text = refused(folder.path(), &bad);
        assert!(text.contains(why), "{name}: {text}");
    }
}

#[test]
fn a_best_network_that_is_none_is_refused() {
    let (folder, bytes) = stopped();
    for content in [&[][..], b"no model"] {
        let bad = changed(&bytes, |_, tensors| {
            let model = tensors.iter_mut().find(|tensor| tensor.name == "model").unwrap();
            (model.bytes, model.shape) = (content.to_vec(), vec![content.len()]);
        });
        assert!(refused(folder.path(), &bad).contains("progress: model: "));
    }
    assert!(folder.path().join(MODEL_FILE).exists());
}
