//! The subcommands, one file each.

pub mod backends;
#[cfg(feature = "cpu")]
pub mod bench;
pub mod cost;
pub mod data;
pub mod eval;
pub mod inspect;
pub mod predict;
pub mod source;
pub mod spec;
pub mod train;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bnn_core::{Frozen, Loaded, plain};
use bnn_data::picture::Rules;
use bnn_data::{Dataset, Lookup, limits, regular};
use bnn_train::{MODEL_FILE, preprocess};
use clap::builder::RangedU64ValueParser;

use crate::output;
use source::{in_tier, read_spec};

/// Images that cross to the backend at a time.
const BATCH: usize = 1000;

/// Bytes that these take at most, as far as single images allow.
const FLOWING: u64 = 1 << 30;

/// More threads than any machine has, as `bnn-cpu` sees it: a larger number is a mistake.
const MOST_THREADS: u64 = 4096;

/// Reads a number of threads.
fn threads() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=MOST_THREADS)
}

/// Reads a length of time, given as a number of `unit` seconds.
fn duration(text: &str, unit: f64) -> Result<Duration, String> {
    let number: Option<f64> = text.parse().ok();
    let length = number.and_then(|number| Duration::try_from_secs_f64(unit * number).ok());
    length
        .ok_or_else(|| "a length of time is a number from 0 on that fits 64 bits of seconds".into())
}

/// Where data sets are looked for.
#[derive(clap::Args)]
pub struct DataDir {
    /// Folder of the data sets; for `images`, their own folder or archive; otherwise $BNN_DATA, then the user's cache folder.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// What computes.
#[derive(clap::Args)]
pub struct Device {
    /// Backend, such as `cpu`, `cpu/portable` or `auto`; see `bnn backends`.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// Threads to compute on; all of the machine's by default. Never changes a result, except on `tch`,
    /// which has their number in its name.
    #[arg(long, value_name = "N", value_parser = threads())]
    threads: Option<usize>,
}

impl Device {
    fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(all)
    }
}

impl DataDir {
    fn lookup(&self) -> Lookup {
        Lookup::new(self.data_dir.clone())
    }

    /// Loads a data set whose pictures become images as `rules` say, and tells on standard error what should
    /// be known of it; where its files are damaged, the error says how to tell which.
    fn load(&self, name: &str, rules: &Rules) -> Result<Dataset> {
        use bnn_data::Error::{Damaged, Entry};
        let remedy = || {
            format!(
                "data set `{name}` is damaged, or another one (`bnn data verify {name}` tells which \
                 files are not as published: remove those and get them again)"
            )
        };
        let data = match bnn_data::load_as(name, &self.lookup(), rules) {
            // A user's own images were never published.
            Err(error @ (Damaged { .. } | Entry { .. })) if name != "images" => {
                return Err(error).with_context(remedy);
            }
            loaded => loaded?,
        };
        for note in data.notes() {
            output::note(&format!("note: data set `{name}`: {}", plain(&note)));
        }
        Ok(data)
    }
}

/// Reads a frozen model; one without a checksum is told of on standard error.
fn read_model(path: &Path) -> Result<Frozen> {
    let place = || path.display().to_string();
    if path.is_dir() {
        let model = path.join(MODEL_FILE);
        bail!("{}: a directory; name the model in it, such as {}", place(), model.display());
    }
    let bytes = regular::read_if(path, limits::MODEL, |first, size| {
        Frozen::look(first, size).with_context(place)
    })?;
    let Loaded { network, verified } = Frozen::load(&bytes).with_context(place)?;
    if !verified {
        output::note(&unverified(path));
    }
    Ok(network)
}

/// How the pictures that a network was trained on became images.
fn rules_of(network: &Frozen) -> Result<Rules> {
    Rules::try_from(&network.images[..]).map_err(anyhow::Error::msg)
}

/// What is said of a file without a checksum.
fn unverified(path: &Path) -> String {
    format!(
        "note: {} was written by an older version of bnn and has no checksum: damage to it can pass \
         unnoticed",
        plain(&path.display().to_string())
    )
}

/// Images that cross to the backend at a time: fewer where they take much memory on their way through a
/// network.
fn batch(network: &Frozen) -> Result<usize> {
    let fitting = FLOWING / network.work()?.bytes.max(1);
    Ok(BATCH.min(fitting as usize).max(1))
}

/// A data set whose test images are as a network reads them; where that takes work, the other images
/// are dropped.
fn for_network(
    network: &Frozen,
    model: &Path,
    mut data: Dataset,
    threads: usize,
) -> Result<Dataset> {
    let Some(transform) = preprocess::for_model(network, model)? else { return Ok(data) };
    data.train.truncate(0);
    data.validation.truncate(0);
    Ok(data.prepare(Arc::new(transform), threads)?)
}
