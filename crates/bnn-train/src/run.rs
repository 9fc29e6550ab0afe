//! A run: epochs of steps, evaluation, the best network frozen, checkpoints.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bnn_core::{Clock, FloatBackend, Grid, Input, Key, Matrix, Session};
use bnn_data::{Batches, Dataset};

use crate::checkpoint;
use crate::evaluate::{frozen_scores, score, scores};
use crate::folder::Folder;
use crate::identity::Identity;
use crate::judged::Judged;
use crate::net::{Batch, Net, StepTally};
use crate::progress::{Progress, Sums};
use crate::report::{EpochReport, Outcome, best};
use crate::saving::{Saving, make_way, spec_text};
use crate::sound::Facts;
use crate::spec::Spec;
use crate::{Error, Result, Summary, memory, preprocess, summary};

/// Steps between readings of what the device tallied.
const READ_EVERY: usize = 50;

/// How a run is carried out; nothing here changes its result.
#[derive(Debug)]
pub struct Options {
    /// Folder for all that the run leaves; none writes nothing.
    pub out: Option<Folder>,
    /// Goes on from the folder's checkpoint, if it has one; without this, a checkpoint is an error.
    pub resume: bool,
    /// Replaces the run that the folder holds; without this, there being one is an error.
    pub force: bool,
    /// Time between checkpoints; the first one comes with the first epoch or minute at the latest.
    pub checkpoint_every: Duration,
    /// Leaves a checkpoint when the run ends, from which it can be continued for more epochs.
    pub keep_checkpoint: bool,
}

impl Default for Options {
    fn default() -> Self {
        let checkpoint_every = Duration::from_secs(600);
        Self { out: None, resume: false, force: false, checkpoint_every, keep_checkpoint: false }
    }
}

/// Watches a run.
pub trait Observer {
    /// After every step; `false` writes a checkpoint and ends the run.
    fn step(&mut self, epoch: usize, step: usize, steps: usize) -> bool {
        let _ = (epoch, step, steps);
        true
    }

    /// Before anything else, of a run that goes on from a checkpoint without a checksum, as older
    /// versions wrote them: damage to it can pass unnoticed.
    fn unverified(&mut self, checkpoint: &Path) {
        let _ = checkpoint;
    }

    /// After every epoch; a run that goes on from a checkpoint begins with the epochs in it.
    fn epoch(&mut self, report: &EpochReport) {
        let _ = report;
    }

    /// A file could not be written on the way, such as a checkpoint to a full disk: the run goes on and
    /// tries again, and fails at its end if there is still no room for what it leaves.
    fn trouble(&mut self, error: &Error) {
        let _ = error;
    }

    /// The run has come to its end and is saved: keeps what else is to be in its folder, before the
    /// checkpoint goes; not called without a folder.
    ///
    /// # Errors
    /// Whatever could not be kept: the checkpoint then stays, if there is one.
    fn ended(&mut self, outcome: &Outcome, folder: &Folder) -> Result<()> {
        let _ = (outcome, folder);
        Ok(())
    }
}

/// An observer that does nothing.
impl Observer for () {}

/// Trains the network of a spec on a data set, and freezes it at its best epoch; a network with real
/// weights or activations has no bits to freeze, and leaves no model.
///
/// The same spec, data, seed and backend give the same bytes, whatever the number of threads, and
/// whether the run was interrupted or not, or continued for more epochs.
///
/// # Errors
/// [`Error::Spec`] if the spec is not sound, if spec and data do not fit, or if the images are not
/// [prepared](crate::preprocess::prepare) as the spec says; [`Error::Memory`] if it takes more than is
/// free; [`Error::Occupied`] if the folder holds a finished run; [`Error::Diverged`], [`Error::File`],
/// [`Error::Checkpoint`], [`Error::Interrupted`]; [`Error::Data`] for training images of one class, and
/// what the data set says; what the backend says.
pub fn run<B: FloatBackend>(
    backend: &B,
    spec: &Spec,
    data: &Dataset,
    seed: u64,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let data = trained_on(spec, data.clone())?; // which shares its pixels
    let (mut run, unverified) = Run::start(backend, spec, &data, seed, options)?;
    if let Some(checkpoint) = unverified {
        observer.unverified(&checkpoint);
    }
    run.progress.epochs.iter().for_each(|report| observer.epoch(report));
    while run.progress.epochs.len() < spec.last_epoch() {
        run.train_epoch(observer)?;
        let report = run.finish_epoch(observer)?;
        observer.epoch(&report);
    }
    run.end(observer)
}

/// The data set with no more training images than a spec takes.
///
/// # Errors
/// [`Error::Spec`] if the spec is not sound or does not fit, if there are no images to choose the best
/// epoch by or to judge it by, or if images that are not to be trained on were fitted to;
/// [`Error::Data`] for training images of one class; [`Error::Backend`] for what no model may be
/// ([`summary::check_model`]).
pub fn trained_on(spec: &Spec, mut data: Dataset) -> Result<Dataset> {
    spec.check()?;
    spec.train.check_images(&data.train)?;
    for (what, images) in [("validation", &data.validation), ("test", &data.test)] {
        if images.is_empty() {
            return Err(Error::spec("data", format!("`{}` has no {what} images", data.name)));
        }
    }
    let fewer = spec.train.samples.filter(|&samples| samples < data.train.len());
    if let Some(samples) = fewer {
        take(samples, &mut data)?;
    }
    data.check_training()?;
    summary::check_model(spec, input(&data), data.class_names())?;
    Ok(data)
}

/// Leaves so many images to train on.
fn take(samples: usize, data: &mut Dataset) -> Result<()> {
    if data.preparation().is_some() {
        let why = format!(
            "{samples} images are to be trained on, and {} were prepared; take as many of them first, \
             with `bnn_train::run::trained_on`",
            data.train.len(),
        );
        return Err(Error::spec("train.samples", why));
    }
    data.train.truncate(samples);
    Ok(())
}

/// The images of a data set, as a network reads them.
pub fn input(data: &Dataset) -> Input {
    let images = &data.train;
    let grid = Grid { height: images.height(), width: images.width() };
    Input { grid, channels: images.channels() }
}

struct Run<'a, B: FloatBackend> {
    backend: &'a B,
    spec: &'a Spec,
    data: &'a Dataset,
    options: &'a Options,
    identity: Identity,
    net: Net<B>,
    progress: Progress,
    saving: Saving<'a>,
    /// What was tallied on the device and not yet read.
    pending: Vec<(usize, StepTally<B>)>,
    epoch_started: Instant,
}

impl<'a, B: FloatBackend> Run<'a, B> {
    fn start(
        backend: &'a B,
        spec: &'a Spec,
        data: &'a Dataset,
        seed: u64,
        options: &'a Options,
    ) -> Result<(Self, Option<PathBuf>)> {
        spec.images.check(data)?;
        preprocess::check(&spec.preprocess, data)?;
        check_memory(spec, data, options)?;
        let identity = Identity::new(spec, data, backend.name(), seed)?;
        let mut net = Net::new(backend, spec, input(data), data.train.classes(), seed)?;
        let (mut progress, mut unverified, mut resumed) = (Progress::default(), None, false);
        if let Some(out) = &options.out
            && make_way(out, options, net.freezes())?
        {
            let path = out.checkpoint();
            let facts = Facts::new(spec, data, net.blocks.iter().map(|block| &block.form))?;
            let read = checkpoint::read(&path, backend, &identity, &facts, &mut net)?;
            resumed = true;
            (progress, unverified) = (read.progress, (!read.verified).then_some(path));
        }
        let continued = progress.continued(spec.last_epoch());
        let text = spec_text(spec, &data.name, &backend.name(), seed, &continued)?;
        let saving = Saving::start(options, data, text, &progress, resumed)?;
        let pending = Vec::with_capacity(READ_EVERY);
        let epoch_started = Instant::now();
        let run = Self {
            backend,
            spec,
            data,
            options,
            identity,
            net,
            progress,
            saving,
            pending,
            epoch_started,
        };
        Ok((run, unverified))
    }

    fn train_epoch(&mut self, observer: &mut dyn Observer) -> Result<()> {
        self.epoch_started = Instant::now();
        let epoch = self.progress.epoch();
        let order = bnn_data::Order { seed: self.identity.seed, epoch: epoch as u64 };
        let mut batches =
            Batches::new(&self.data.train, self.spec.train.plan(), order, self.progress.step)?;
        let steps = batches.steps();
        let mut next = self.upload(&mut batches)?;
        while let Some(batch) = next {
            next = self.upload(&mut batches)?; // ahead of its use
            self.step(batch, steps)?;
            let go_on = observer.step(epoch, self.progress.step, steps);
            if !go_on {
                self.read_tallies()?;
                self.checkpoint()?;
                return Err(Error::Interrupted { epoch, step: self.progress.step });
            }
            if self.saving.is_due() {
                self.read_tallies()?;
                go_on_without(self.checkpoint(), observer)?;
            }
        }
        self.read_tallies()
    }

    fn upload(&self, batches: &mut Batches) -> Result<Option<Batch<B>>> {
        let Some(batch) = batches.next() else { return Ok(None) };
        Ok(Some(self.net.upload(self.backend, batch.pixels.view(), &batch.labels)?))
    }

    fn step(&mut self, batch: Batch<B>, steps: usize) -> Result<()> {
        let train = &self.spec.train;
        let epoch = self.progress.epoch();
        let time = ((epoch - 1) * steps + self.progress.step + 1) as u64;
        let rate = train.rate.rate(epoch, train.epochs);
        let step_size = train.optimizer.optimizer().step_size(rate, time);
        let clock = Clock { step_size, key: Key::new(self.identity.seed, time) };
        let samples = batch.samples;
        let tally = self.net.step(self.backend, batch, train.loss, &clock)?;
        self.pending.push((samples, tally));
        self.progress.step += 1;
        if self.pending.len() == READ_EVERY { self.read_tallies() } else { Ok(()) }
    }

    /// Reads back what the last steps tallied on the device.
    fn read_tallies(&mut self) -> Result<()> {
        let first = self.progress.step + 1 - self.pending.len();
        let pair = |row: Matrix| [row[[0, 0]], row[[0, 1]]];
        for (samples, tally) in self.pending.drain(..) {
            let loss = pair(self.backend.get(&tally.loss)?);
            let layers = tally.layers.iter().map(|row| Ok(pair(self.backend.get(row)?)));
            let layers = layers.collect::<Result<Vec<_>>>()?;
            self.progress.sums.add(samples, loss, &layers);
        }
        self.progress.sums.check(self.progress.epoch(), first, self.progress.step)
    }

    /// Evaluates, reports, and keeps the network if it is the best so far.
    fn finish_epoch(&mut self, observer: &mut dyn Observer) -> Result<EpochReport> {
        let Self { backend, spec, data, net, .. } = self;
        let (batch, loss) = (net.evaluation_batch(spec.train.batch), spec.train.loss);
        let validation = scores(*backend, net, &data.validation, batch)?;
        let test = scores(*backend, net, &data.test, batch)?;
        let epoch = self.progress.epoch();
        let sums: Sums = std::mem::take(&mut self.progress.sums);
        let steps = std::mem::take(&mut self.progress.step);
        let shapes = self.net.blocks.iter().map(|block| block.form.shape);
        let report = EpochReport {
            epoch,
            rate: spec.train.rate.rate(epoch, spec.train.epochs),
            train: sums.score(),
            validation: score(&validation, &data.validation.labels, loss)?,
            test: score(&test, &data.test.labels, loss)?,
            layers: sums.layers(shapes.map(|(rows, columns)| rows * columns)),
            seconds: sums.seconds + self.epoch_started.elapsed().as_secs_f64(),
        };
        report.check_finite(steps)?;
        self.progress.epochs.push(report.clone());
        let improved = best(&self.progress.epochs) + 1 == self.progress.epochs.len();
        if improved {
            self.progress.judged = Some(Judged::new(&test, &data.test.labels));
            self.keep(&test)?;
        }
        if self.saving.is_due_after_epoch(improved && self.net.freezes()) {
            go_on_without(self.checkpoint(), observer)?;
        }
        go_on_without(self.saving.epoch(&self.progress.epochs), observer)?;
        Ok(report)
    }

    /// Freezes the network and checks that its scores are those of evaluation in every bit. Nothing is
    /// kept of a network of reals.
    fn keep(&mut self, test: &Matrix) -> Result<()> {
        if !self.net.freezes() {
            return Ok(());
        }
        let mut frozen = self.net.freeze(self.backend, self.data.class_names())?;
        frozen.images = (*self.data.rules()).into();
        frozen.preprocess = self.data.preparation().map(preprocess::record);
        let session = Session::of_codes(self.backend, &frozen)?;
        let batch = self.net.evaluation_batch(self.spec.train.batch);
        let again = frozen_scores(&session, &self.data.test, batch)?;
        check_equal(test, &again)?;
        self.progress.model = frozen.to_bytes()?;
        Ok(())
    }

    /// Leaves what a run leaves that has come to its end; only then goes what belonged to an older one,
    /// and the checkpoint.
    fn end(mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        self.progress.end();
        if self.options.keep_checkpoint {
            self.checkpoint()?;
        }
        self.saving.end(&self.progress)?;
        let continued = self.progress.continued(self.progress.epochs.len());
        let Progress { epochs, model, judged, .. } = self.progress;
        let model = self.net.freezes().then_some(model);
        let outcome = Outcome { best: best(&epochs), epochs, model, judged, continued };
        if let Some(out) = &self.options.out {
            observer.ended(&outcome, out)?;
            preprocess::remove_others(self.data.preparation(), out.path())?;
            out.end(self.options.keep_checkpoint)?;
        }
        Ok(outcome)
    }

    fn checkpoint(&mut self) -> Result<()> {
        let mut progress = Cow::Borrowed(&self.progress);
        if progress.step > 0 {
            progress.to_mut().sums.seconds += self.epoch_started.elapsed().as_secs_f64();
        }
        self.saving.checkpoint(self.backend, &self.identity, &progress, &self.net)
    }
}

/// A run goes on without a file that could not be written on the way.
fn go_on_without(written: Result<()>, observer: &mut dyn Observer) -> Result<()> {
    match written {
        Err(error @ Error::File { .. }) => observer.trouble(&error),
        other => return other,
    }
    Ok(())
}

/// A run takes no more memory than is free; the data set is there already, with what was fitted to it.
fn check_memory(spec: &Spec, data: &Dataset, options: &Options) -> Result<()> {
    let memory = Summary::new(spec, input(data), data.class_names())?.memory;
    let checkpoint = if options.out.is_some() { memory.checkpoint } else { 0 };
    let needed = memory.total().saturating_add(checkpoint).saturating_sub(memory.whitenings);
    memory::check("this run", needed, "choose fewer or narrower layers, or a smaller batch")
}

/// The frozen network must be the one that was evaluated.
fn check_equal(evaluated: &Matrix, frozen: &Matrix) -> Result<()> {
    let bits = |scores: &Matrix| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
    if bits(evaluated) != bits(frozen) {
        let why =
            "the frozen network's scores differ from those of evaluation: a bug in the backend";
        return Err(bnn_core::Error::value("freeze", why).into());
    }
    Ok(())
}
