//! `bnn train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bnn::{WithBackend, with_backend};
use bnn_core::{FloatBackend, Preprocess, plain};
use bnn_data::Dataset;
use bnn_data::preprocess::Transform;
use bnn_train::preprocess::{self, Care, Prepared, Stage, record};
use bnn_train::run::input;
use bnn_train::spec::Chain;
use bnn_train::{
    CHECKPOINT_FILE, EpochReport, Error, Folder, MODEL_FILE, Observer, Options, Outcome, Spec,
    Summary,
};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::commands::{DataDir, Device, duration, in_tier, read_spec, unverified};
use crate::layer_table::{self, bytes_text, count_text};
use crate::{evaluation, memory, output};

/// Train the network of a spec, and freeze it at its best epoch.
///
/// Writes `model.safetensors` (bits and thresholds only; for `bnn eval`) into the folder of the run,
/// and on the way `checkpoint.safetensors` (latent weights and optimizer state; for --resume), which
/// is removed when the run ends. A network with real weights or activations (a float baseline) is
/// trained and evaluated only: there are no bits to freeze, and no model is written. Where images are
/// whitened, what was fitted for it is kept beside the model in `preprocess-DIGEST.safetensors`, which
/// the model is useless without, and in the user's cache folder for the next run.
///
/// At the end it writes `evaluation.json` too: which classes the network takes for which, its worst
/// mistakes with their images, and what its first layer looks for.
///
/// Before it starts it tells what the network is made of and about how much memory it will take.
///
/// Example: bnn train digits-mlp --tier smoke --out runs/first
#[derive(clap::Args)]
pub struct Args {
    /// A spec file, or the name of a built-in spec (`bnn spec --list`).
    spec: PathBuf,
    /// Tier whose overrides apply; the paper's own setting by default.
    #[arg(long)]
    tier: Option<String>,
    /// Data set; the spec's first by default.
    #[arg(long, value_name = "NAME")]
    data: Option<String>,
    /// Seed of weights, order and noise; the spec's first by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Folder of the run; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "runs/latest")]
    out: PathBuf,
    /// Go on from the folder's checkpoint, or start if there is none.
    #[arg(long)]
    resume: bool,
    /// Keep the checkpoint when the run ends.
    #[arg(long)]
    keep_checkpoint: bool,
    /// Minutes between checkpoints.
    #[arg(long, value_name = "MINUTES", default_value = "10", value_parser = minutes)]
    checkpoint_every: Duration,
    /// Print JSON lines: the start, every epoch, the end.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    device: Device,
}

fn minutes(text: &str) -> Result<Duration, String> {
    duration(text, 60.0)
}

/// Trains.
pub fn run(args: &Args) -> Result<()> {
    if args.out.is_file() {
        let out = args.out.display();
        bail!("{out}: a file lies where the folder should be; name another one with --out");
    }
    let spec = resolve(args)?;
    let backend = args.device.backend.as_deref().unwrap_or(&spec.backends[0]);
    with_backend(backend, args.device.threads, Nothing)?; // before minutes go by
    let name = args.data.as_deref().unwrap_or(&spec.data[0]);
    let mut data = args.data_dir.load(name, &spec.images.0)?;
    let fits = spec.train.check_images(&data.train);
    fits.with_context(|| args.spec.display().to_string())?;
    if let Some(samples) = spec.train.samples {
        data.train.truncate(samples);
    }
    data.check_training()?; // before minutes go by here as well
    let summary = Summary::new(&spec, input(&data), data.class_names());
    let summary = summary.with_context(|| args.spec.display().to_string())?;
    check_memory(&summary, &spec, &data, args)?;
    let folder = Folder::open(&args.out)?;
    let checkpoint = folder.checkpoint();
    if !folder.goes_on(args.resume)? && args.resume {
        let out = args.out.display().to_string();
        output::note(&format!("no checkpoint in {}: the run starts at epoch 1", plain(&out)));
    }
    // The folder stays locked until its checkpoint is gone.
    let options = Options {
        out: Some(folder),
        resume: args.resume,
        checkpoint_every: args.checkpoint_every,
        keep_checkpoint: args.keep_checkpoint,
    };
    let digest = data.digest();
    let data = prepare(&spec, data, args)?;
    let steps = spec.train.plan().steps(data.train.len())?;
    let (spec, data, digest) = (&spec, &data, &digest);
    let job = Train { args, spec, data, digest, summary: &summary, steps, options: &options };
    with_backend(backend, args.device.threads, job)??;
    if !args.keep_checkpoint {
        remove(&checkpoint).with_context(|| checkpoint.display().to_string())?;
    }
    Ok(())
}

/// Asks only whether there is such a backend.
struct Nothing;

impl WithBackend for Nothing {
    type Output = ();

    fn run<B: FloatBackend>(self, _: &B) {}
}

/// Whatever takes more memory than is free is refused before anything is done: first whitenings are
/// fitted, unless the cache has them, then the network is trained.
fn check_memory(
    Summary { memory, .. }: &Summary,
    spec: &Spec,
    data: &Dataset,
    args: &Args,
) -> Result<()> {
    let fit = memory::check("fitting `zca`", memory.fit, "take smaller images, or leave `zca` out");
    if let Err(refused) = fit {
        let cached = |cache: PathBuf| preprocess::is_cached(&spec.preprocess, &data.train, &cache);
        ensure!(args.data_dir.lookup().cache.map_or(Ok(false), cached)?, refused);
    }
    memory::check("this", memory.total(), "choose fewer or narrower layers, or a smaller batch")
}

/// Does to the images what the spec says.
fn prepare(spec: &Spec, data: Dataset, args: &Args) -> Result<Dataset> {
    let cache = args.data_dir.lookup().cache;
    let spinner = output::spinner()?;
    let watch = |stage| spinner.set_message(stage_text(&spec.preprocess, stage));
    let care = Care { cache: cache.as_deref(), threads: args.device.threads(), watch: &watch };
    let prepared = preprocess::prepare(&spec.preprocess, data, &care);
    spinner.finish_and_clear();
    let Prepared { data, uncached } = prepared.with_context(|| args.spec.display().to_string())?;
    if let Some(error) = uncached {
        let why = anyhow::Error::from(error);
        output::note(&format!(
            "what was fitted is not kept for other runs: {}",
            plain(&format!("{why:#}"))
        ));
    }
    Ok(data)
}

/// What a preparation is at, which can take half a minute.
fn stage_text(chain: &Chain, stage: Stage) -> String {
    let steps = Vec::from(chain.clone()).join(", ");
    match stage {
        Stage::Fit { images } => format!("fitting {steps} to {} images", count_text(images as u64)),
        Stage::Apply { images } => {
            format!("preprocessing {} images by {steps}", count_text(images as u64))
        }
    }
}

/// Removes a file that may not be there: a short run has written none.
fn remove(file: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The spec with the overrides of the tier asked for.
fn resolve(args: &Args) -> Result<Spec> {
    let file = read_spec(&args.spec)?;
    match &args.tier {
        Some(tier) => in_tier(&file, &args.spec, tier),
        None => Ok(Spec { tiers: Default::default(), ..file }),
    }
}

struct Train<'a> {
    args: &'a Args,
    spec: &'a Spec,
    data: &'a Dataset,
    /// Of the data set before anything was done to its images.
    digest: &'a str,
    summary: &'a Summary,
    /// Steps of an epoch.
    steps: usize,
    options: &'a Options,
}

impl WithBackend for Train<'_> {
    type Output = Result<()>;

    fn run<B: FloatBackend>(self, backend: &B) -> Result<()> {
        let Self { args, spec, data, digest, options, .. } = self;
        let seed = args.seed.unwrap_or(spec.seeds[0]);
        let started = Instant::now();
        let mut watch = Watch::new(args.json, spec.last_epoch())?;
        self.announce(&backend.name(), seed)?;
        let outcome = bnn_train::run(backend, spec, data, seed, options, &mut watch);
        watch.bar.finish_and_clear();
        let outcome = outcome.map_err(|error| hint(error, &args.out, watch.unprinted.take()))?;
        let evaluation = self.keep(&outcome)?;
        watch
            .done(
                &outcome,
                started.elapsed().as_secs_f64(),
                json!({
                    "event": "done",
                    "backend": backend.name(),
                    "data": data.name,
                    "data_digest": digest,
                    "preprocess": data.preparation().map(record),
                    "seed": seed,
                    "threads": args.device.threads(),
                    "evaluation": evaluation,
                }),
            )
            .with_context(|| {
                let out = args.out.display();
                format!("the run has ended and is saved in {out}; see its result with --resume")
            })
    }
}

impl Train<'_> {
    /// Writes what the best network gets wrong into the folder of the run; the name of the file.
    fn keep(&self, outcome: &Outcome) -> Result<Option<&'static str>> {
        let (Some(judged), Some(out)) = (&outcome.judged, &self.options.out) else {
            return Ok(None);
        };
        let bytes = evaluation::bytes(judged, outcome, self.data)?;
        out.write(evaluation::FILE, &bytes)?;
        Ok(Some(evaluation::FILE))
    }

    /// Tells what is about to be trained.
    fn announce(&self, backend: &str, seed: u64) -> Result<()> {
        let Self { args, spec, data, summary, steps, .. } = self;
        if !args.json {
            return output::text(&format!(
                "{}: {}; seed {seed}, {backend}\n\n{}",
                plain(&spec.name),
                plain(&spec.title),
                announcement(spec, data, summary, *steps),
            ));
        }
        let Dataset { train, validation, test, .. } = data;
        output::json(&json!({
            "event": "start", "backend": backend, "data": data.name, "seed": seed,
            "epochs": spec.last_epoch(), "steps_per_epoch": steps, "batch": spec.train.batch,
            "images": { "train": train.len(), "validation": validation.len(), "test": test.len() },
            "summary": summary,
        }))
    }
}

/// Why there is no model.
const UNFROZEN: &str = "a network with real weights or activations has no bits to freeze";

/// The network, what it takes, and what it is trained on.
fn announcement(spec: &Spec, data: &Dataset, summary: &Summary, steps: usize) -> String {
    let count = |count: usize| count_text(count as u64);
    let Dataset { name, train, validation, test, .. } = data;
    let Summary { layers, total, memory, .. } = summary;
    let (epochs, batch) = (spec.last_epoch(), spec.train.batch);
    let frozen = |bytes: usize| format!("{} frozen", bytes_text(bytes as u64));
    let weight_bits: usize = layers.iter().map(|layer| layer.weights * layer.weight_bits).sum();
    [
        layer_table::text(layers, &[], &[]),
        String::new(),
        format!(
            "parameters  {} bits of weights, {} gains and offsets of norms",
            count(weight_bits),
            count(2 * summary.norm_channels),
        ),
        format!("operations  {} per image", layer_table::operations(total)),
        format!("model       {}", summary.model_bytes.map_or_else(|| format!("none: {UNFROZEN}"), frozen)),
        format!(
            "memory      about {} (weights {}, optimizer {}, activations {}{}), {} more for a checkpoint{}",
            bytes_text(memory.total()),
            bytes_text(memory.weights),
            bytes_text(memory.optimizer),
            bytes_text(memory.activations),
            if memory.whitenings == 0 { String::new() } else { format!(", zca {}", bytes_text(memory.whitenings)) },
            bytes_text(memory.checkpoint),
            if memory.fit == 0 { String::new() } else { format!("; {} before, to fit zca", bytes_text(memory.fit)) },
        ),
        format!(
            "images      {name}: {} to train, {} to validate, {} to test{}",
            count(train.len()),
            count(validation.len()),
            count(test.len()),
            data.preparation().map_or_else(String::new, prepared),
        ),
        format!("epochs      {epochs} of {steps} steps, {batch} images each\n"),
    ]
    .join("\n")
}

/// What was done to the images, as a further line.
fn prepared(transform: &Transform) -> String {
    let Preprocess { steps, limit, .. } = record(transform);
    format!("\npreprocess  {}; codes up to {limit}", steps.join(", "))
}

/// Says how to go on after an interruption, and which report that could not be printed caused it; and how
/// to go on when a device failed behind a checkpoint.
fn hint(error: Error, folder: &Path, unprinted: Option<anyhow::Error>) -> anyhow::Error {
    let out = folder.display();
    let saved = folder.join(CHECKPOINT_FILE).exists();
    let hint = match error {
        Error::Interrupted { .. } => {
            let cause = unprinted.map_or_else(String::new, |error| format!("{error:#}; "));
            format!("{cause}the state is saved in {out}; go on with the same command and --resume")
        }
        Error::Backend(bnn_core::Error::Device { .. }) if saved => format!(
            "the backend failed; its last checkpoint is in {out}: go on from it with the same command \
             and --resume"
        ),
        other => return other.into(),
    };
    anyhow::Error::from(error).context(hint)
}

/// Shows a run: a progress bar and lines for people, JSON lines for machines.
struct Watch {
    json: bool,
    epochs: usize,
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    /// Why an epoch could not be printed, which ends the run.
    unprinted: Option<anyhow::Error>,
}

impl Watch {
    fn new(json: bool, epochs: usize) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
        let bar = output::bar("{msg} {wide_bar} {pos}/{len} steps, {eta} left")?;
        Ok(Self { json, epochs, bar, stop, unprinted: None })
    }

    fn done(&self, outcome: &Outcome, seconds: f64, mut about: Value) -> Result<()> {
        let (best, last, count) = (outcome.best(), outcome.last(), outcome.epochs.len());
        let training: f64 = outcome.epochs.iter().map(|epoch| epoch.seconds).sum();
        if !self.json {
            let (error, epoch) = (100.0 * best.test.error, best.epoch);
            let model = match &outcome.model {
                Some(model) => format!("{} bytes in {MODEL_FILE}", model.len()),
                None => format!("nothing was frozen: {UNFROZEN}"),
            };
            return output::text(&format!(
                "test error {error:.2} % at epoch {epoch}, the best by validation; {model}",
            ));
        }
        // Of a resumed run, the clock of this process knows the last stretch only.
        about["seconds"] = json!(seconds.max(training));
        about["epochs"] = json!(count);
        about["best_epoch"] = json!(best.epoch);
        about["train_loss"] = json!(last.train.loss);
        about["validation_error"] = json!(best.validation.error);
        about["test_error"] = json!(best.test.error);
        about["test_loss"] = json!(best.test.loss);
        about["seconds_per_epoch"] = json!(training / count as f64);
        about["model"] = json!(outcome.model.as_ref().map(|_| MODEL_FILE));
        about["model_bytes"] = json!(outcome.model.as_ref().map(Vec::len));
        output::json(&about)
    }
}

impl Observer for Watch {
    fn unverified(&mut self, checkpoint: &Path) {
        self.bar.suspend(|| output::note(&unverified(checkpoint)));
    }

    fn step(&mut self, epoch: usize, step: usize, steps: usize) -> bool {
        self.bar.set_length(steps as u64);
        self.bar.set_position(step as u64);
        self.bar.set_message(format!("epoch {epoch}/{}", self.epochs));
        !self.stop.load(Ordering::Relaxed)
    }

    fn epoch(&mut self, report: &EpochReport) {
        let printed =
            self.bar.suspend(|| if self.json { epoch_json(report) } else { epoch_line(report) });
        if let Err(error) = printed {
            self.unprinted.get_or_insert(error);
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn epoch_json(report: &EpochReport) -> Result<()> {
    let EpochReport { epoch, rate, train, validation, test, layers, seconds } = report;
    output::json(&json!({
        "event": "epoch", "epoch": epoch, "rate": rate,
        "train_loss": train.loss, "train_error": train.error,
        "validation_loss": validation.loss, "validation_error": validation.error,
        "test_loss": test.loss, "test_error": test.error,
        "layers": layers, "seconds": seconds,
    }))
}

fn epoch_line(report: &EpochReport) -> Result<()> {
    output::text(&format!(
        "epoch {:>4}  rate {:.1e}  loss {:.4}  validation {:5.2} %  test {:5.2} %  {:.1} s",
        report.epoch,
        report.rate,
        report.train.loss,
        100.0 * report.validation.error,
        100.0 * report.test.error,
        report.seconds,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preparation_says_what_it_is_at() {
        let chain = Chain(vec!["gcn bias 10".parse().unwrap(), "zca ridge 1e-5".parse().unwrap()]);
        let text = |stage| stage_text(&chain, stage);
        let fitting = text(Stage::Fit { images: 45_000 });
        assert_eq!(fitting, "fitting gcn bias 10, zca ridge 1e-5 to 45,000 images");
        let applying = text(Stage::Apply { images: 60_000 });
        assert_eq!(applying, "preprocessing 60,000 images by gcn bias 10, zca ridge 1e-5");
    }

    #[test]
    fn a_failed_device_behind_a_checkpoint_is_told_how_to_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let failed = || {
            let error = bnn_core::Error::Device { op: "product", source: "off the bus".into() };
            format!("{:#}", hint(error.into(), folder.path(), None))
        };
        assert_eq!(failed(), "product: off the bus", "nothing was saved");
        std::fs::write(folder.path().join(CHECKPOINT_FILE), "").unwrap();
        let said = failed();
        assert!(said.starts_with("the backend failed; its last checkpoint is in"), "{said}");
        assert!(said.ends_with("--resume: product: off the bus"), "{said}");
    }
}
