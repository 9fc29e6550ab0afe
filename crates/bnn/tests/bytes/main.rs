//! The bytes of trained networks: no change of the code moves them unseen.
//!
//! Every spec of the tier `smoke`, and the paper's Torch7 ConvNet, train for a few steps on images
//! made of random numbers, on every kernel of this processor, and on the emulated GPU. The hashes of what
//! they leave are in `hashes.toml`, by spec and backend. A hash belongs to a kernel: processors, caches
//! and threads do not move it.
//!
//! A change that moves a line says why in `docs/decisions.md`. A new line is printed where it is
//! missing.
#![cfg(feature = "cpu")]
#![allow(clippy::unwrap_used)] // in helpers too

mod images;

use std::collections::BTreeMap;
use std::fmt::Write;

use bnn::core::{FloatBackend, Frozen, Session};
use bnn::train::spec::Chain;
use bnn::train::{Folder, Options, Outcome, Spec, preprocess, run};
use bnn_cpu::{Cpu, KernelInfo};
use bnn_cuda::Cuda;
use bnn_data::Dataset;
use bnn_testkit::skipped;
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

/// Hashes of what a run leaves: parameters with the state of their optimizer, model, scores.
type Left = [String; 3];

/// Hashes by spec and backend.
type Hashes = BTreeMap<String, BTreeMap<String, Left>>;

const HASHES: &str = include_str!("hashes.toml");

/// Steps of an epoch, and epochs.
const STEPS: usize = 3;
const EPOCHS: usize = 2;

/// Digits of a hash that are kept.
const DIGITS: usize = 12;

#[test]
fn small_networks_keep_their_bytes() {
    let mut wrong = String::new();
    for (name, spec) in specs("smoke") {
        let spec = shortened(spec, 50, EPOCHS);
        for (kernel, left) in on_every_kernel(&spec, &prepared(&spec), [1, 2]) {
            note(&name, &kernel, &left, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "lines of hashes.toml that are not so:\n{wrong}");
}

/// A GPU's kernels on the host are slow: a convolutional network and a dense one of the other form.
#[test]
fn networks_on_the_emulated_gpu_keep_their_bytes() {
    let cuda = Cuda::emulated("plain").unwrap();
    let mut wrong = String::new();
    for (name, spec) in specs("smoke") {
        if ["digits-conv", "mnist-mlp-torch"].contains(&name.as_str()) {
            let spec = shortened(spec, 4, 1);
            note(&name, "cuda-emulated", &left(&cuda, &spec, &prepared(&spec)), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "lines of hashes.toml that are not so:\n{wrong}");
}

/// Three steps, at the paper's width.
#[test]
fn the_torch_convnet_keeps_its_bytes() {
    let (_, spec) =
        specs("paper").into_iter().find(|(name, _)| name == "cifar-convnet-torch").unwrap();
    let mut spec = shortened(spec, 4, 1);
    spec.preprocess = Chain::default(); // as many images as pixels would be needed to whiten them
    let mut wrong = String::new();
    for (kernel, left) in on_every_kernel(&spec, &prepared(&spec), [2]) {
        note("cifar-convnet-torch", &kernel, &left, &mut wrong);
    }
    assert!(wrong.is_empty(), "lines of hashes.toml that are not so:\n{wrong}");
}

/// The specs of a tier by their names.
fn specs(tier: &str) -> Vec<(String, Spec)> {
    let read = |experiment: &bnn_experiments::Experiment| {
        let spec = Spec::parse(experiment.name, experiment.text).unwrap().tier(tier).unwrap();
        Some((experiment.name.to_owned(), spec?))
    };
    bnn_experiments::ALL.iter().filter_map(read).collect()
}

/// The spec with a few steps of so many images.
fn shortened(mut spec: Spec, batch: usize, epochs: usize) -> Spec {
    let train = &mut spec.train;
    (train.batch, train.epochs, train.stop_after) = (batch, epochs, None);
    train.samples = Some(STEPS * batch);
    spec
}

/// Images for a spec, preprocessed as it says.
fn prepared(spec: &Spec) -> Dataset {
    let data = images::like(&spec.data[0], STEPS * spec.train.batch, spec.train.batch);
    let care = preprocess::Care { cache: None, threads: 1, watch: &|_| () };
    preprocess::prepare(&spec.preprocess, data, &care).unwrap().data
}

/// What all kernels of this processor leave, which is the same with any number of threads.
fn on_every_kernel<const N: usize>(
    spec: &Spec,
    data: &Dataset,
    threads: [usize; N],
) -> Vec<(String, Left)> {
    let usable = Cpu::kernels().into_iter().filter(|kernel| kernel.missing.is_none());
    let leave = |kernel: KernelInfo| {
        let on = |count| Cpu::with_kernel(kernel.name).unwrap().with_threads(count).unwrap();
        let mut all = threads.map(|count| left(&on(count), spec, data)).into_iter();
        let first = all.next().unwrap();
        all.for_each(|other| assert_eq!(other, first, "{} on {}", spec.name, kernel.name));
        (format!("cpu/{}", kernel.name), first)
    };
    usable.map(leave).collect()
}

/// What a run leaves.
fn left<B: FloatBackend>(backend: &B, spec: &Spec, data: &Dataset) -> Left {
    let folder = tempfile::tempdir().unwrap();
    let out = Some(Folder::open(folder.path()).unwrap());
    let options = Options { out, keep_checkpoint: true, ..Options::default() };
    let outcome = run(backend, spec, data, 1, &options, &mut ()).unwrap();
    let checkpoint = std::fs::read(options.out.unwrap().checkpoint()).unwrap();
    let model = outcome.model.as_deref().map_or(String::new(), tensors);
    [tensors(&checkpoint), model, scores(backend, &outcome, data)]
        .map(|text| digest(text.as_bytes()))
}

/// The tensors of a file, whatever their names and order; the model in a checkpoint is one of its own.
fn tensors(file: &[u8]) -> String {
    let file = SafeTensors::deserialize(file).unwrap();
    let parts = file.iter().filter(|(name, _)| *name != "model");
    let mut digests: Vec<_> = parts.map(|(_, tensor)| digest(tensor.data())).collect();
    digests.sort();
    digests.concat()
}

/// What was reported of every epoch, and the scores of the frozen network.
fn scores<B: FloatBackend>(backend: &B, outcome: &Outcome, data: &Dataset) -> String {
    let epochs =
        outcome.epochs.iter().flat_map(|epoch| [epoch.train, epoch.validation, epoch.test]);
    let mut text: String = epochs.map(|score| format!("{} {} ", score.loss, score.error)).collect();
    if let Some(model) = &outcome.model {
        let network = Frozen::from_bytes(model).unwrap();
        let session = Session::of_codes(backend, &network).unwrap();
        let scores = session.scores(data.test.rows(0..data.test.len())).unwrap();
        scores.iter().for_each(|score| write!(text, "{} ", score.to_bits()).unwrap());
    }
    text
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..DIGITS].to_owned()
}

/// Adds a line to what is wrong, unless it is in the file of hashes; of a kernel that has no line at
/// all, since no machine that it ran on was at hand, it is told.
fn note(spec: &str, backend: &str, left: &Left, wrong: &mut String) {
    let hashes: Hashes = toml::from_str(HASHES).unwrap();
    let kept = hashes.get(spec).and_then(|lines| lines.get(backend));
    if !hashes.values().any(|lines| lines.contains_key(backend)) {
        return skipped("bytes", &format!("no hash of {backend}; of {spec} it is {left:?}"));
    }
    if kept != Some(left) {
        writeln!(wrong, "[{spec}] \"{backend}\" = {left:?} # was {kept:?}").unwrap();
    }
}
