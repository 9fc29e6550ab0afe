//! Whole runs on small pictures: learning, freezing, resuming, refusing.
#![allow(clippy::unwrap_used)] // in helpers too

mod by_hand;
mod damage;
mod folder;
mod lost;
mod more_epochs;
mod protections;

use bnn_core::{Key, Reference};
use bnn_data::{Dataset, Images};
use bnn_train::{
    CHECKPOINT_FILE, EpochReport, Error, Folder, MODEL_FILE, Observer, Options, Outcome, Spec, run,
};

const MLP: &str = r#"["dense 24", "dense 10"]"#;
const CONV: &str = r#"["conv 6 kernel 3 pad 1", "conv 8 kernel 3 pad 1 pool 2", "dense 10"]"#;

fn spec(blocks: &str, net: &str) -> Spec {
    Spec::parse("test.toml", &text(blocks, net)).unwrap()
}

fn text(blocks: &str, net: &str) -> String {
    format!(
        r#"
        name = "test"
        title = "test"
        data = ["bars"]
        seeds = [0]
        backends = ["reference"]
        [net]
        blocks = {blocks}
        weights = "sign"
        norm = "theano"
        {net}
        [train]
        epochs = 3
        batch = 10
        optimizer = "adam"
        rate = {{ from = 3e-3, to = 3e-4 }}
        loss = "squared-hinge"
        step_scale = "glorot"
        "#
    )
}

/// A network whose weights or activations are real: without a scale on the steps if its weights are.
fn float_spec(blocks: &str, weights: &str, activations: &str) -> Spec {
    let text = text(blocks, &format!("activations = \"{activations}\""));
    let text = text.replace("weights = \"sign\"", &format!("weights = \"{weights}\""));
    let scale = if weights == "real" { "none" } else { "glorot" };
    Spec::parse(
        "float.toml",
        &text.replace("step_scale = \"glorot\"", &format!("step_scale = \"{scale}\"")),
    )
    .unwrap()
}

/// Pictures of 6 x 6 pixels: a horizontal or vertical bar in noise, at a place that is the class.
fn bars() -> Dataset {
    let images = |count: usize, stream: u32| {
        let key = Key::new(9, 0).stream(stream);
        let pixel = |at: usize| {
            let (image, y, x) = (at / 36, at / 6 % 6, at % 6);
            let (place, upright) = (image % 10 / 2, image % 2 == 0);
            let on = if upright { x == place } else { y == place };
            let noise = key.word(at as u32) % 60;
            (if on { 255 - noise } else { noise }) as u8
        };
        let labels = (0..count).map(|image| (image % 10) as u8).collect();
        Images::new((6, 6, 1), 10, (0..count * 36).map(pixel).collect(), labels).unwrap()
    };
    Dataset::new("bars", images(100, 0), images(50, 1), images(50, 2))
}

fn options(out: Option<&std::path::Path>) -> Options {
    let out = out.map(|path| Folder::open(path).unwrap());
    Options { out, ..Options::default() }
}

fn train(spec: &Spec, options: &Options) -> Outcome {
    run(&Reference, spec, &bars(), 1, options, &mut ()).unwrap()
}

#[test]
fn networks_learn_and_freeze_exactly() {
    // Every run compares the scores of its frozen network with evaluation, in every bit.
    for (blocks, net) in [
        (MLP, "activations = \"sign\"\ndropout = { input = 0.2, hidden = 0.1 }"),
        (MLP, "activations = \"stochastic-sign\"\noutput_norm = \"torch\""),
        (MLP, "activations = \"levels 2\""),
        (CONV, "activations = \"sign\""),
        (CONV, "activations = \"ternary 0.5\""),
    ] {
        let outcome = train(&spec(blocks, net), &options(None));
        let error = outcome.best().test.error;
        assert!(error < 0.5, "{blocks} {net}: {error} is no better than a coin");
        assert!(outcome.last().train.loss < outcome.epochs[0].train.loss, "{blocks} {net}");
        assert!(outcome.epochs[0].layers.iter().all(|layer| layer.flips > 0.0));
    }
}

#[test]
fn the_model_is_that_of_the_best_epoch() {
    let mut longer = spec(MLP, "activations = \"sign\"");
    longer.train.epochs = 8;
    let of =
        |spec: &Spec, seed| run(&Reference, spec, &bars(), seed, &options(None), &mut ()).unwrap();
    let whole = (0..20).map(|seed| (seed, of(&longer, seed)));
    let is_early = |(_, outcome): &(u64, Outcome)| outcome.best().epoch < outcome.last().epoch;
    let (seed, whole) =
        whole.into_iter().find(is_early).expect("a run whose last epoch is not its best");
    let until_best = Some(whole.best().epoch);
    let mut shorter = longer.clone();
    shorter.train.stop_after = until_best;
    let stopped = of(&shorter, seed);
    assert_eq!((stopped.last().epoch, stopped.model), (whole.best().epoch, whole.model));
}

/// What is real of weights and activations: nothing binarized, BinaryConnect, and the rest.
const FLOATS: [(&str, &str, &str); 5] = [
    (MLP, "real", "hard-tanh"),
    (MLP, "sign", "relu"),
    (MLP, "real", "sign"),
    (CONV, "real", "relu"),
    (CONV, "sign", "hard-tanh"),
];

#[test]
fn float_baselines_learn_and_freeze_nothing() {
    for (blocks, weights, activations) in FLOATS {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = float_spec(blocks, weights, activations);
        spec.net.dropout.input = 0.1;
        let outcome = train(&spec, &options(Some(folder.path())));
        let (name, error) =
            (format!("{blocks} {weights} {activations}"), outcome.best().test.error);
        assert!(error < 0.5, "{name}: {error} is no better than a coin");
        assert!(outcome.last().train.loss < outcome.epochs[0].train.loss, "{name}");
        let flips = outcome.epochs[0].layers.iter().any(|layer| layer.flips > 0.0);
        assert_eq!(flips, weights == "sign", "{name}");
        assert_eq!(outcome.model, None, "{name}");
        assert!(!folder.path().join(MODEL_FILE).exists(), "{name}");
    }
}

#[test]
fn an_interrupted_float_run_goes_on_bit_for_bit() {
    for (blocks, weights, activations) in FLOATS {
        let spec = float_spec(blocks, weights, activations);
        let run_in = |folder: &std::path::Path, stops: &[usize]| {
            let mut options = options(Some(folder));
            options.keep_checkpoint = true;
            for &stop in stops {
                let stopped = run(&Reference, &spec, &bars(), 1, &options, &mut StopAfter(stop));
                assert!(matches!(stopped, Err(Error::Interrupted { .. })), "after {stop} steps");
                options.resume = true;
            }
            let outcome = run(&Reference, &spec, &bars(), 1, &options, &mut ()).unwrap();
            let scores =
                outcome.epochs.iter().map(|epoch| (epoch.train, epoch.validation, epoch.test));
            (tensors(&folder.join(CHECKPOINT_FILE)), scores.collect::<Vec<_>>())
        };
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let whole = run_in(folders[0].path(), &[]);
        assert!(run_in(folders[1].path(), &[7, 6]) == whole, "{blocks} {weights} {activations}");
    }
}

#[test]
fn what_the_best_epoch_gets_wrong_is_told_also_after_an_interruption() {
    for spec in [spec(MLP, "activations = \"sign\""), float_spec(MLP, "real", "relu")] {
        let whole = train(&spec, &options(None));
        let judged = whole.judged.as_ref().unwrap();
        assert_eq!(judged.errors() as f64 / 50.0, whole.best().test.error);
        assert_eq!(judged.confusion.iter().flatten().sum::<u64>(), 50);
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(Some(folder.path()));
        // In the last epoch: the best one may be in the checkpoint only.
        let stopped = run(&Reference, &spec, &bars(), 1, &options, &mut StopAfter(25));
        assert!(matches!(stopped, Err(Error::Interrupted { .. })));
        options.resume = true;
        assert_eq!(train(&spec, &options).judged, whole.judged);
    }
}

/// The bytes of a checkpoint behind its header, which holds the seconds the run took.
fn tensors(checkpoint: &std::path::Path) -> Vec<u8> {
    let bytes = std::fs::read(checkpoint).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert!(bytes.len() > 8 + header + 4 * 36 * 24 * 3, "the weights and their moments are there");
    bytes[8 + header..].to_vec()
}

#[test]
fn a_float_run_does_not_hide_behind_another_runs_model() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(Some(folder.path()));
    train(&spec(MLP, "activations = \"sign\""), &options);
    let model = std::fs::read(folder.path().join(MODEL_FILE)).unwrap();
    let float = float_spec(MLP, "real", "relu");
    let error = run(&Reference, &float, &bars(), 1, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains(MODEL_FILE) && error.contains("name another folder"), "{error}");
    options.force = true;
    let stopped = run(&Reference, &float, &bars(), 1, &options, &mut StopAfter(25));
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
    assert!(!folder.path().join(MODEL_FILE).exists(), "it was replaced");
    // Nor does one that goes on.
    std::fs::write(folder.path().join(MODEL_FILE), model).unwrap();
    (options.force, options.resume) = (false, true);
    let error = run(&Reference, &float, &bars(), 1, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains(MODEL_FILE) && error.contains("or name another folder"), "{error}");
}

#[test]
fn real_weights_start_as_glorots_and_may_leave_the_clip() {
    let input = bnn_train::run::input(&bars());
    for (weights, bound) in [("sign", 1.0), ("real", (6.0f32 / (36 + 24) as f32).sqrt())] {
        let spec = float_spec(MLP, weights, "relu");
        let net = bnn_train::net::Net::new(&Reference, &spec, input, 10, 1).unwrap();
        let first = &net.blocks[0];
        let largest = first.weights.value.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        assert!(largest <= bound && largest > 0.95 * bound, "{weights}: {largest}");
        assert_eq!(first.form.weight_rule.clip, weights == "sign");
        assert_eq!((first.code.is_some(), net.freezes()), (weights == "sign", false));
        assert!(net.freeze(&Reference, vec![String::new(); 10]).is_err());
    }
    let mut spec = float_spec(MLP, "real", "relu");
    spec.train.clip = bnn_train::spec::Clip::All;
    let net = bnn_train::net::Net::new(&Reference, &spec, input, 10, 1).unwrap();
    assert!(net.blocks.iter().all(|block| block.form.weight_rule.clip));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let spec = spec(MLP, "activations = \"sign\"\ndropout = { hidden = 0.2 }");
    let models = [1, 1, 2]
        .map(|seed| run(&Reference, &spec, &bars(), seed, &options(None), &mut ()).unwrap().model);
    assert_eq!(models[0], models[1]);
    assert_ne!(models[0], models[2]);
}

/// Counts the epochs it is shown.
struct Count(usize);

impl Observer for Count {
    fn epoch(&mut self, report: &EpochReport) {
        self.0 += 1;
        assert_eq!(report.epoch, self.0);
    }
}

/// Stops a run after a number of steps.
struct StopAfter(usize);

impl Observer for StopAfter {
    fn step(&mut self, _: usize, _: usize, _: usize) -> bool {
        self.0 -= 1;
        self.0 > 0
    }
}

#[test]
fn an_interrupted_run_goes_on_bit_for_bit() {
    let spec = spec(CONV, "activations = \"stochastic-sign\"\ndropout = { input = 0.1 }");
    let whole = train(&spec, &options(None));
    for stop in [1, 7, 10, 13, 29] {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(Some(folder.path()));
        let stopped = run(&Reference, &spec, &bars(), 1, &options, &mut StopAfter(stop));
        assert!(matches!(stopped, Err(Error::Interrupted { .. })), "after {stop} steps");
        options.resume = true;
        let mut count = Count(0);
        let resumed = run(&Reference, &spec, &bars(), 1, &options, &mut count).unwrap();
        assert_eq!(count.0, 3, "every epoch is shown, those before the interruption too");
        assert_eq!(resumed.model, whole.model, "after {stop} steps");
        let scores = |outcome: &Outcome| {
            let epochs = outcome.epochs.iter();
            epochs
                .map(|epoch| (epoch.train, epoch.validation, epoch.layers.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(scores(&resumed), scores(&whole), "after {stop} steps");
        let model = std::fs::read(folder.path().join(MODEL_FILE)).unwrap();
        assert_eq!(Some(model), whole.model);
    }
}

#[test]
fn only_what_is_asked_for_replaces_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let (model, checkpoint) = (folder.path().join(MODEL_FILE), folder.path().join(CHECKPOINT_FILE));
    let mut options = options(Some(folder.path()));
    let spec = spec(MLP, "activations = \"sign\"");
    let _ = run(&Reference, &spec, &bars(), 1, &options, &mut StopAfter(13));
    let before = std::fs::read(&checkpoint).unwrap();
    let error = run(&Reference, &spec, &bars(), 1, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("with --resume, name another folder with --out, or replace"), "{error}");
    assert_eq!(std::fs::read(&checkpoint).unwrap(), before);
    // A run ended between checkpoint and model has its model again.
    std::fs::remove_file(&model).unwrap();
    options.resume = true;
    let _ = run(&Reference, &spec, &bars(), 1, &options, &mut StopAfter(1));
    let whole = std::fs::read(&model).unwrap();
    std::fs::remove_file(&checkpoint).unwrap();
    let error = run(&Reference, &spec, &bars(), 1, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("train it anew with --force in place of --resume"), "{error}");
    assert_eq!(std::fs::read(&model).unwrap(), whole);
    options.force = true;
    let error = run(&Reference, &spec, &bars(), 1, &options, &mut ()).unwrap_err();
    assert!(matches!(error, Error::Spec { .. }), "both at once: {error}");
    options.resume = false;
    run(&Reference, &spec, &bars(), 1, &options, &mut ()).unwrap();
}

#[test]
fn a_folder_takes_one_run_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = Folder::open(folder.path()).unwrap();
    let error = Folder::open(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with(&folder.path().display().to_string()), "{error}");
    assert!(error.contains("another run") && error.contains("name another folder"), "{error}");
    drop(first);
    Folder::open(folder.path()).unwrap();
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(Some(folder.path()));
    let first = spec(MLP, "activations = \"sign\"");
    let _ = run(&Reference, &first, &bars(), 1, &options, &mut StopAfter(3));
    options.resume = true;
    let other = spec(CONV, "activations = \"sign\"");
    let error = run(&Reference, &other, &bars(), 1, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("belongs to another spec: `net.blocks` is ["), "{error}");
    let mut other = first.clone();
    other.train.rate.from = 2e-3;
    let error = run(&Reference, &other, &bars(), 1, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("another spec: `train.rate.from` is 0.003, not 0.002"), "{error}");
    let error = run(&Reference, &first, &bars(), 2, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("belongs to another seed (1, not 2)"), "{error}");
    let mut data = bars();
    data.validation.truncate(40);
    let error = run(&Reference, &first, &data, 1, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("data set of the name `bars`: its images are others"), "{error}");
    let mut fewer = first.clone();
    fewer.train.samples = Some(data.train.len() - 10); // as another tier has it
    data.train.truncate(data.train.len() - 10);
    let error = run(&Reference, &fewer, &data, 1, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("belongs to another spec: `train.samples` is null, not "), "{error}");
    // What a run is called does not count.
    let other = Spec { title: "another".into(), ..first.clone() };
    let stopped = run(&Reference, &other, &bars(), 1, &options, &mut StopAfter(1));
    assert!(matches!(stopped, Err(Error::Interrupted { step: 4, .. })));
    let path = folder.path().join(CHECKPOINT_FILE);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = run(&Reference, &first, &bars(), 1, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains(CHECKPOINT_FILE) && error.contains("damaged"), "{error}");
    assert!(error.ends_with("; remove it to start anew, or name another folder"), "{error}");
}

#[test]
fn a_checkpoint_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(Some(folder.path()));
    let spec = spec(MLP, "activations = \"sign\"");
    let _ = run(&Reference, &spec, &bars(), 1, &options, &mut StopAfter(3));
    options.resume = true;
    let path = folder.path().join(CHECKPOINT_FILE);
    let written = std::fs::read(&path).unwrap();
    for (version, why) in [(1, "an older version of bnn (format 1"), (9, "update bnn")] {
        let bytes = damage::changed(&written, |header, _| header["format"] = version.into());
        std::fs::write(&path, &bytes).unwrap();
        let error = run(&Reference, &spec, &bars(), 1, &options, &mut ()).unwrap_err().to_string();
        assert!(error.contains(CHECKPOINT_FILE) && error.contains(why), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_loss_that_is_no_number_ends_the_run() {
    let mut spec = spec(MLP, "activations = \"sign\"");
    spec.train.rate = bnn_train::Schedule { from: 1e38, to: None, halve_every: None };
    let error = run(&Reference, &spec, &bars(), 1, &options(None), &mut ()).unwrap_err();
    assert!(matches!(error, Error::Diverged { epoch: 1 | 2, .. }), "{error}");
}

#[test]
fn a_validation_loss_that_is_no_number_ends_the_run() {
    // The only step of the epoch starts from a good network, and leaves gains near the largest f32.
    let mut spec = spec(MLP, "activations = \"sign\"");
    (spec.train.batch, spec.train.epochs) = (100, 1);
    spec.train.rate = bnn_train::Schedule { from: 3e38, to: None, halve_every: None };
    let folder = tempfile::tempdir().unwrap();
    let options = options(Some(folder.path()));
    let error = run(&Reference, &spec, &bars(), 1, &options, &mut ()).unwrap_err();
    assert!(matches!(error, Error::Diverged { of: "validation", epoch: 1, .. }), "{error}");
    assert!(!folder.path().join(CHECKPOINT_FILE).exists());
}

#[test]
fn layers_that_do_not_fit_are_named() {
    for (blocks, why) in [
        (r#"["dense 8"]"#, "net.blocks, `dense 8`: the data set has 10 classes"),
        (r#"["dense 999999999", "dense 10"]"#, "net.blocks, `dense 999999999`: more than 2^32"),
        (
            r#"["dense 18446744073709551615", "dense 10"]"#,
            "net.blocks, `dense 18446744073709551615`: more",
        ),
        (r#"["dense 18446744073709551615"]"#, "net.blocks, `dense 18446744073709551615`: more"),
        (
            r#"["conv 18446744073709551615 kernel 3", "dense 10"]"#,
            "net.blocks, `conv 18446744073709551615 kernel 3`: more than 2^32",
        ),
        (r#"["conv 4 kernel 9", "dense 10"]"#, "net.blocks, `conv 4 kernel 9`: window: want"),
        (
            r#"["conv 4 kernel 3 pool 5", "dense 10"]"#,
            "net.blocks, `conv 4 kernel 3 pool 5`: window",
        ),
    ] {
        let spec = spec(blocks, "activations = \"sign\"");
        let error = run(&Reference, &spec, &bars(), 1, &options(None), &mut ()).unwrap_err();
        assert!(error.to_string().starts_with(why), "{error}");
    }
}
