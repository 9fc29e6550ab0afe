//! `bnn train`.

mod announce;
mod watch;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bnn::{WithBackend, with_backend};
use bnn_core::{FloatBackend, plain};
use bnn_data::Dataset;
use bnn_train::preprocess::{self, Care, Prepared, record};
use bnn_train::run::{input, trained_on};
use bnn_train::{Folder, HISTORY_FILE, Options, Spec, Summary, memory};
use serde_json::json;

use crate::commands::{DataDir, Device, duration, in_tier, read_spec};
use crate::output;

use announce::{announcement, stage_text};
use watch::Watch;

/// Train the network of a spec, and freeze it at its best epoch.
///
/// Writes into the folder of the run `spec.toml` (what is run, resolved), `history.jsonl` (a line for
/// every epoch, as --json prints it) and `model.safetensors` (bits and thresholds only; for `bnn eval`),
/// and on the way `checkpoint.safetensors` (latent weights and optimizer state; for --resume), which
/// is removed when the run ends. A folder that holds a run is refused without --resume or --force.
///
/// A run that has ended goes on for more epochs where its checkpoint was kept and its rate is constant
/// or halved: with --keep-checkpoint first, then with --resume and a larger --epochs. A rate that
/// decays towards a last one depends on the number of epochs, and is refused then.
///
/// A network with real weights or activations (a float baseline) is trained and evaluated only: there
/// are no bits to freeze, and no model is written. Where images are whitened, what was fitted for it is
/// kept beside the model in `preprocess-DIGEST.safetensors`, which the model is useless without, and in
/// the user's cache folder for the next run.
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
    /// Seed of weights, order and noise, as large as TOML has numbers; the spec's first by default.
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Folder of the run; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "runs/latest")]
    out: PathBuf,
    /// Go on from the folder's checkpoint, or start if there is none.
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Replace the run that the folder holds.
    #[arg(long)]
    force: bool,
    /// Epochs of the schedule, in place of the spec's; the run then goes through all of them.
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Keep a checkpoint when the run ends, from which it can go on for more epochs.
    #[arg(long)]
    keep_checkpoint: bool,
    /// Minutes between checkpoints; the first comes with the first epoch or minute at the latest.
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
    let data = trained_on(&spec, args.data_dir.load(name, &spec.images.0)?);
    let data = data.with_context(|| args.spec.display().to_string())?;
    let summary = Summary::new(&spec, input(&data), data.class_names());
    let summary = summary.with_context(|| args.spec.display().to_string())?;
    check_memory(&summary, &spec, &data, args)?;
    let folder = Folder::open(&args.out)?;
    if !folder.goes_on(args.resume, args.force)? && args.resume {
        let out = args.out.display().to_string();
        output::note(&format!("no checkpoint in {}: the run starts at epoch 1", plain(&out)));
    }
    let options = Options {
        out: Some(folder),
        resume: args.resume,
        force: args.force,
        checkpoint_every: args.checkpoint_every,
        keep_checkpoint: args.keep_checkpoint,
    };
    let digest = data.digest();
    let data = prepare(&spec, data, args)?;
    let steps = spec.train.plan().steps(data.train.len())?;
    let (spec, data, digest) = (&spec, &data, &digest);
    let job = Train { args, spec, data, digest, summary: &summary, steps, options: &options };
    with_backend(backend, args.device.threads, job)?
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
        if !args.data_dir.lookup().cache.map_or(Ok(false), cached)? {
            return Err(refused.into());
        }
    }
    let remedy = "choose fewer or narrower layers, or a smaller batch";
    Ok(memory::check("this", memory.total().saturating_add(memory.checkpoint), remedy)?)
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

/// The spec with the overrides of the tier asked for.
fn resolve(args: &Args) -> Result<Spec> {
    let file = read_spec(&args.spec)?;
    let mut spec = match &args.tier {
        Some(tier) => in_tier(&file, &args.spec, tier)?,
        None => Spec { tiers: Default::default(), ..file },
    };
    if let Some(epochs) = args.epochs {
        (spec.train.epochs, spec.train.stop_after) = (epochs, None);
        spec.check().context("--epochs")?;
    }
    Ok(spec)
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
        let mut watch = Watch::new(args.json, spec.last_epoch(), data)?;
        self.announce(&backend.name(), seed)?;
        let outcome = bnn_train::run(backend, spec, data, seed, options, &mut watch);
        let outcome = watch.ends(outcome, &args.out)?;
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
                }),
            )
            .with_context(|| {
                let out = args.out.display();
                format!(
                    "the run has ended and is saved in {out}, with its epochs in {HISTORY_FILE}"
                )
            })
    }
}

impl Train<'_> {
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
