//! What a run writes into its folder on the way, and when.

use std::path::Path;
use std::time::{Duration, Instant};

use bnn_core::{TrainBackend, plain};
use bnn_data::Dataset;

use crate::folder::SPEC_HEAD;
use crate::history::History;
use crate::identity::Identity;
use crate::net::Net;
use crate::progress::Progress;
use crate::report::EpochReport;
use crate::run::Options;
use crate::spec::Spec;
use crate::{Error, Folder, Result, checkpoint, file, preprocess};

/// Time from one best network that is written at once to the next: with the state of its run it can
/// be hundreds of megabytes.
const KEPT_EVERY: Duration = Duration::from_secs(60);

/// Time to the first checkpoint, where an epoch is longer.
const FIRST: Duration = Duration::from_secs(60);

/// The files of a run; without a folder, nothing is written.
///
/// What another run left stays whole until the first checkpoint of this one, which replaces it.
pub(crate) struct Saving<'a> {
    options: &'a Options,
    /// The spec of the run, as it will lie in the folder.
    spec: String,
    /// None as long as the folder is not of this run.
    history: Option<History>,
    /// When a checkpoint was last written, or not to be written.
    tried: Instant,
    /// Whether no checkpoint was tried to be written yet, and the run did not go on from one.
    first: bool,
    /// Whether the checkpoint in the folder is one of this run.
    saved: bool,
}

impl<'a> Saving<'a> {
    /// The files of a run that begins, or that goes on from the state in its folder.
    pub fn start(
        options: &'a Options,
        data: &Dataset,
        spec: String,
        progress: &Progress,
        resumed: bool,
    ) -> Result<Self> {
        let tried = Instant::now();
        let mut saving =
            Self { options, spec, history: None, tried, first: !resumed, saved: resumed };
        let Some(out) = &options.out else { return Ok(saving) };
        // The fit before the model that is useless without it.
        if let Some(transform) = data.preparation() {
            preprocess::keep(transform, out.path())?;
        }
        if resumed {
            saving.take_over(out, progress)?;
        }
        Ok(saving)
    }

    /// Makes the folder one of this run, unless it is, and writes the model.
    fn take_over(&mut self, out: &Folder, progress: &Progress) -> Result<()> {
        if self.history.is_none() {
            out.clear(self.saved, &progress.model)?;
            out.write_spec(&self.spec)?;
            self.history = Some(History::start(out.path(), &progress.epochs)?);
        }
        restore(&out.model(), &progress.model)
    }

    /// Whether it is time for a checkpoint within an epoch.
    pub fn is_due(&self) -> bool {
        is_due(self.tried.elapsed(), self.first, self.options.checkpoint_every)
    }

    /// Whether it is time for one after an epoch that may have `improved` on all before it.
    pub fn is_due_after_epoch(&self, improved: bool) -> bool {
        let pause = KEPT_EVERY.min(self.options.checkpoint_every);
        self.first || improved && self.tried.elapsed() >= pause
    }

    /// Writes a checkpoint, and the model in it.
    pub fn checkpoint<B: TrainBackend>(
        &mut self,
        backend: &B,
        identity: &Identity,
        progress: &Progress,
        net: &Net<B>,
    ) -> Result<()> {
        let Some(out) = &self.options.out else { return Ok(()) };
        (self.tried, self.first) = (Instant::now(), false);
        // In this order: a model without a checkpoint is that of a run that has ended.
        checkpoint::write(&out.checkpoint(), backend, identity, progress, net)?;
        self.saved = true;
        self.take_over(out, progress)?;
        self.tried = Instant::now();
        Ok(())
    }

    /// Adds what is new to the history, once the folder has one of this run.
    pub fn epoch(&mut self, epochs: &[EpochReport]) -> Result<()> {
        self.history.as_mut().map_or(Ok(()), |history| history.add(epochs))
    }

    /// Writes what a run leaves that has come to its end.
    pub fn end(&mut self, progress: &Progress) -> Result<()> {
        let Some(out) = &self.options.out else { return Ok(()) };
        self.take_over(out, progress)?;
        self.epoch(&progress.epochs)
    }
}

/// A checkpoint is first written after a minute at the latest, then as often as is asked for.
fn is_due(elapsed: Duration, first: bool, every: Duration) -> bool {
    elapsed >= if first { every.min(FIRST) } else { every }
}

/// Makes sure that a new run replaces no other, and that one without a model has none beside it.
pub(crate) fn make_way(out: &Folder, options: &Options, freezes: bool) -> Result<bool> {
    let goes_on = out.goes_on(options.resume, options.force)?;
    if !freezes && !options.force && file::is_there(&out.model())? {
        let why = "this is the model of another run, and a network with real weights or activations \
                   leaves none to replace it; remove it, or name another folder";
        return Err(Error::Checkpoint { path: out.model(), why: why.into() });
    }
    Ok(goes_on)
}

/// The spec of a run with what it is run on, as text that `bnn train` takes.
pub(crate) fn spec_text(
    spec: &Spec,
    data: &str,
    backend: &str,
    seed: u64,
    continued: &[usize],
) -> Result<String> {
    let mut own = Spec { tiers: Default::default(), ..spec.clone() };
    (own.data, own.backends) = (vec![data.into()], vec![backend.into()]);
    if i64::try_from(seed).is_ok() {
        own.seeds = vec![seed]; // TOML has no larger numbers
    }
    let mut head = format!("{SPEC_HEAD}data {}, seed {seed}, backend {backend}\n", plain(data));
    for epoch in continued {
        head += &format!("# It had ended after epoch {epoch}, and was continued.\n");
    }
    Ok(head + &own.to_toml()?)
}

/// Writes the model of a checkpoint, where there is one that is not there yet.
fn restore(path: &Path, model: &[u8]) -> Result<()> {
    if model.is_empty() || file::is_file(path, model) {
        return Ok(());
    }
    file::write(path, model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_checkpoint_comes_with_the_first_minute() {
        let [minute, ten] = [60, 600].map(Duration::from_secs);
        assert!(is_due(minute, true, ten) && !is_due(minute, false, ten));
        assert!(!is_due(minute - Duration::from_millis(1), true, ten));
        assert!(is_due(ten, false, ten));
        let second = Duration::from_secs(1);
        assert!(is_due(second, true, second) && is_due(second, false, second));
    }
}
