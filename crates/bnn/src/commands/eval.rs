//! `bnn eval`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use bnn::{WithBackend, with_backend};
use bnn_core::{Frozen, Loss, Session, TrainBackend};
use bnn_data::Dataset;
use bnn_train::evaluate::{frozen_scores, score};
use bnn_train::run::input;
use serde_json::json;

use crate::commands::{DataDir, Device, batch, for_network, read_model, rules_of};
use crate::output;

/// Evaluate a frozen model on the test images of a data set.
///
/// A model that was trained on preprocessed images is given its images preprocessed alike; if they
/// were whitened, the file `preprocess-DIGEST.safetensors` that the model names must lie beside it.
///
/// Example: bnn eval runs/first/model.safetensors --data digits
#[derive(clap::Args)]
pub struct Args {
    /// The frozen model, such as `model.safetensors` in the folder of a run.
    model: PathBuf,
    /// Data set, such as `mnist` or `digits`.
    #[arg(long, value_name = "NAME")]
    data: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    device: Device,
}

/// Evaluates and prints one line.
pub fn run(args: &Args) -> Result<()> {
    let network = read_model(&args.model)?;
    let place = || args.model.display().to_string();
    let data = args.data_dir.load(&args.data, &rules_of(&network).with_context(place)?)?;
    check_fit(&network, &data).with_context(place)?;
    let data = for_network(&network, &args.model, data, args.device.threads())?;
    let backend = args.device.backend.as_deref().unwrap_or("auto");
    let job = Evaluate { network: &network, data: &data };
    let done = with_backend(backend, args.device.threads, job)??;
    if args.json {
        return output::json(&done);
    }
    let percent = 100.0 * done["test_error"].as_f64().unwrap_or_default();
    let (images, rate) = (&done["images"], done["images_per_second"].as_f64().unwrap_or_default());
    output::text(&format!(
        "test error {percent:.2} % of {images} images, {rate:.0} images/s, {}",
        done["backend"].as_str().unwrap_or_default()
    ))
}

/// Refuses a data set whose images or classes are not those of the network.
pub fn check_fit(network: &Frozen, data: &Dataset) -> Result<()> {
    let (wants, has) = (network.input, input(data));
    anyhow::ensure!(
        wants == has,
        "the model reads {wants}, the data set `{}` has {has}",
        data.name
    );
    let (wants, has) = (network.classes.len(), data.test.classes());
    anyhow::ensure!(wants == has, "the model knows {wants} classes, `{}` has {has}", data.name);
    Ok(())
}

struct Evaluate<'a> {
    network: &'a Frozen,
    data: &'a Dataset,
}

impl WithBackend for Evaluate<'_> {
    type Output = Result<serde_json::Value>;

    fn run<B: TrainBackend>(self, backend: &B) -> Self::Output {
        let session = Session::of_codes(backend, self.network)?;
        let images = &self.data.test;
        let started = Instant::now();
        let scores = frozen_scores(&session, images, batch(self.network)?)?;
        let seconds = started.elapsed().as_secs_f64();
        let score = score(&scores, &images.labels, Loss::SquaredHinge)?;
        Ok(json!({
            "backend": backend.name(),
            "data": self.data.name,
            "images": images.len(),
            "test_error": score.error,
            "test_loss": score.loss,
            "seconds": seconds,
            "images_per_second": images.len() as f64 / seconds,
        }))
    }
}
