//! What `bnn train` shows of a run, and what it says where one ends early.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use bnn_core::plain;
use bnn_data::Dataset;
use bnn_train::{
    CHECKPOINT_FILE, EVALUATION_FILE, EpochReport, Error, Folder, HISTORY_FILE, MODEL_FILE,
    Observer, Outcome,
};
use indicatif::{HumanDuration, ProgressBar};
use serde_json::{Value, json};

use crate::commands::train::announce::UNFROZEN;
use crate::commands::unverified;
use crate::{evaluation, output};

/// Shows a run: a progress bar and lines for people, JSON lines for machines.
pub struct Watch<'a> {
    json: bool,
    epochs: usize,
    data: &'a Dataset,
    bar: ProgressBar,
    /// Whether the run has begun, so that what its folder holds is its own.
    under_way: bool,
    /// When the first step of this process began, and how many there were before it.
    began: Option<(Instant, usize)>,
    stop: Arc<AtomicBool>,
    /// Why an epoch could not be printed, which ends the run.
    unprinted: Option<anyhow::Error>,
    /// Name of the file of what the network gets wrong, once it is there.
    evaluation: Option<&'static str>,
}

impl<'a> Watch<'a> {
    /// Watches a run of so many epochs, and for signals to end it.
    pub fn new(json: bool, epochs: usize, data: &'a Dataset) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
        let bar = output::bar("{msg} {wide_bar} {pos}/{len} steps; left: {eta}, run {prefix}")?;
        let (under_way, began, unprinted, evaluation) = (false, None, None, None);
        Ok(Self { json, epochs, data, bar, under_way, began, stop, unprinted, evaluation })
    }

    /// The outcome of a run, or why there is none with how to go on.
    pub fn ends(&mut self, outcome: bnn_train::Result<Outcome>, out: &Path) -> Result<Outcome> {
        self.bar.finish_and_clear();
        outcome.map_err(|error| hint(error, out, self.under_way, self.unprinted.take()))
    }

    /// Tells what a run has come to.
    pub fn done(&self, outcome: &Outcome, seconds: f64, mut about: Value) -> Result<()> {
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
        about["continued_after"] = json!(outcome.continued);
        about["best_epoch"] = json!(best.epoch);
        about["train_loss"] = json!(last.train.loss);
        about["validation_error"] = json!(best.validation.error);
        about["test_error"] = json!(best.test.error);
        about["test_loss"] = json!(best.test.loss);
        about["seconds_per_epoch"] = json!(training / count as f64);
        about["model"] = json!(outcome.model.as_ref().map(|_| MODEL_FILE));
        about["model_bytes"] = json!(outcome.model.as_ref().map(Vec::len));
        about["evaluation"] = json!(self.evaluation);
        output::json(&about)
    }
}

impl Observer for Watch<'_> {
    fn unverified(&mut self, checkpoint: &Path) {
        self.bar.suspend(|| output::note(&unverified(checkpoint)));
    }

    fn step(&mut self, epoch: usize, step: usize, steps: usize) -> bool {
        self.under_way = true;
        let done = (epoch - 1) * steps + step;
        let (began, before) = *self.began.get_or_insert_with(|| (Instant::now(), done));
        self.bar.set_length(steps as u64);
        self.bar.set_position(step as u64);
        self.bar.set_message(format!("epoch {epoch}/{}", self.epochs));
        let left = left(began.elapsed(), done - before, self.epochs * steps - done);
        self.bar.set_prefix(left.map_or("?".into(), |left| format!("{:#}", HumanDuration(left))));
        !self.stop.load(Ordering::Relaxed)
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.under_way = true;
        let print = || if self.json { output::json(&report.to_json()) } else { epoch_line(report) };
        if let Err(error) = self.bar.suspend(print) {
            self.unprinted.get_or_insert(error);
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn trouble(&mut self, error: &Error) {
        let why = format!("warning: {}; the run goes on, and tries again later", causes(error));
        self.bar.suspend(|| output::note(&plain(&why)));
    }

    fn ended(&mut self, outcome: &Outcome, folder: &Folder) -> bnn_train::Result<()> {
        let Some(judged) = &outcome.judged else { return Ok(()) };
        let bytes = evaluation::bytes(judged, outcome, self.data).map_err(|error| {
            let source = std::io::Error::other(format!("{error:#}"));
            Error::file(folder.path().join(EVALUATION_FILE), source)
        })?;
        folder.write(EVALUATION_FILE, &bytes)?;
        self.evaluation = Some(EVALUATION_FILE);
        Ok(())
    }
}

/// The time that so many steps will take, as `done` took `elapsed`; none before the first.
fn left(elapsed: Duration, done: usize, to_do: usize) -> Option<Duration> {
    let seconds = elapsed.as_secs_f64() / done as f64 * to_do as f64;
    Duration::try_from_secs_f64(seconds).ok()
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

/// An error with its causes.
fn causes(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Says how to go on after an interruption, and which report that could not be printed caused it; how
/// to go on when a device failed behind a checkpoint; and what is whole where a file could not be
/// written, once the run had `under_way`.
fn hint(
    error: Error,
    folder: &Path,
    under_way: bool,
    unprinted: Option<anyhow::Error>,
) -> anyhow::Error {
    let out = folder.display();
    let saved = folder.join(CHECKPOINT_FILE).exists();
    let hint = match &error {
        Error::Interrupted { .. } => {
            let cause = unprinted.map_or_else(String::new, |error| format!("{error:#}; "));
            format!("{cause}the state is saved in {out}; go on with the same command and --resume")
        }
        Error::Backend(bnn_core::Error::Device { .. }) if saved => format!(
            "the backend failed; its last checkpoint is in {out}: go on from it with the same command \
             and --resume"
        ),
        Error::File { path, .. } if under_way && path.starts_with(folder) => unsaved(folder, path),
        _ => return error.into(),
    };
    anyhow::Error::from(error).context(hint)
}

/// What is whole of a run one of whose files could not be written, and how to go on.
fn unsaved(folder: &Path, path: &Path) -> String {
    let whole = [MODEL_FILE, CHECKPOINT_FILE, HISTORY_FILE, EVALUATION_FILE];
    let whole = whole.into_iter().filter(|name| {
        let file = folder.join(name);
        file != path && file.exists()
    });
    let whole: Vec<&str> = whole.collect();
    let what = match path.ends_with(EVALUATION_FILE) {
        true => "the run has ended, and what its network gets wrong could not be saved",
        false => "the run could not be saved",
    };
    let whole = if whole.is_empty() { "nothing".into() } else { whole.join(", ") };
    let remedy = match folder.join(CHECKPOINT_FILE).exists() {
        true => {
            "when the cause is gone, go on from the checkpoint with the same command and --resume"
        }
        false => "when the cause is gone, start anew with --force",
    };
    format!("{what}; whole in {} are: {whole}; {remedy}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_device_behind_a_checkpoint_is_told_how_to_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let failed = || {
            let error = bnn_core::Error::Device { op: "product", source: "off the bus".into() };
            format!("{:#}", hint(error.into(), folder.path(), true, None))
        };
        assert_eq!(failed(), "product: off the bus", "nothing was saved");
        std::fs::write(folder.path().join(CHECKPOINT_FILE), "").unwrap();
        let said = failed();
        assert!(said.starts_with("the backend failed; its last checkpoint is in"), "{said}");
        assert!(said.ends_with("--resume: product: off the bus"), "{said}");
    }

    #[test]
    fn the_time_of_a_run_is_that_of_all_its_steps() {
        let second = Duration::from_secs(1);
        // 10 steps in a second; 90 are left of this epoch, and 900 of the others.
        assert_eq!(left(second, 10, 990), Some(99 * second));
        assert_eq!(left(second, 10, 0), Some(Duration::ZERO));
        assert_eq!(left(second, 0, 100), None);
    }
}
