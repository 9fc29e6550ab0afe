//! A run: epochs of steps, evaluation, the best network frozen, checkpoints.

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
use crate::sound::Facts;
use crate::spec::Spec;
use crate::{Error, Result, file, preprocess};

/// Time from one best network that is written at once to the next: with the state of its run it can
/// be hundreds of megabytes.
const KEPT_EVERY: Duration = Duration::from_secs(60);

/// Steps between readings of what the device tallied.
const READ_EVERY: usize = 50;

/// How a run is carried out; nothing here changes its result.
#[derive(Debug)]
pub struct Options {
    /// Folder for the model and the checkpoint; none writes nothing.
    pub out: Option<Folder>,
    /// Goes on from the folder's checkpoint, if it has one; without this, a checkpoint is an error.
    pub resume: bool,
    /// Time between checkpoints.
    pub checkpoint_every: Duration,
    /// Writes a checkpoint at the end as well.
    pub keep_checkpoint: bool,
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
}

/// An observer that looks away.
impl Observer for () {}

/// Trains the network of a spec on a data set, and freezes it at its best epoch; a network with real
/// weights or activations has no bits to freeze, and leaves no model.
///
/// The same spec, data, seed and backend give the same bytes, whatever the number of threads, and
/// whether the run was interrupted or not.
///
/// # Errors
/// [`Error::Spec`] if spec and data do not fit, or if the images are not
/// [prepared](crate::preprocess::prepare) as the spec says; [`Error::Diverged`], [`Error::File`],
/// [`Error::Checkpoint`], [`Error::Interrupted`]; [`Error::Data`] for training images of one class, what
/// the backend or the data set says.
pub fn run<B: FloatBackend>(
    backend: &B,
    spec: &Spec,
    data: &Dataset,
    seed: u64,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let (mut run, unverified) = Run::start(backend, spec, data, seed, options)?;
    if let Some(checkpoint) = unverified {
        observer.unverified(&checkpoint);
    }
    run.progress.epochs.iter().for_each(|report| observer.epoch(report));
    while run.progress.epochs.len() < spec.last_epoch() {
        run.train_epoch(observer)?;
        let report = run.finish_epoch()?;
        observer.epoch(&report);
    }
    run.end()?;
    let Progress { epochs, model, judged, .. } = run.progress;
    let model = run.net.freezes().then_some(model);
    Ok(Outcome { best: best(&epochs), epochs, model, judged })
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
    /// What was tallied on the device and not yet read.
    pending: Vec<(usize, StepTally<B>)>,
    epoch_started: Instant,
    checkpointed: Instant,
}

impl<'a, B: FloatBackend> Run<'a, B> {
    fn start(
        backend: &'a B,
        spec: &'a Spec,
        data: &'a Dataset,
        seed: u64,
        options: &'a Options,
    ) -> Result<(Self, Option<PathBuf>)> {
        data.check_training()?;
        spec.images.check(data)?;
        preprocess::check(&spec.preprocess, data)?;
        let identity = Identity::new(spec, data, backend.name(), seed)?;
        let mut net = Net::new(backend, spec, input(data), data.train.classes(), seed)?;
        if !net.freezes()
            && let Some(out) = &options.out
        {
            refuse_model(&out.model())?;
        }
        let (mut progress, mut unverified) = (Progress::default(), None);
        if let Some(out) = &options.out
            && out.goes_on(options.resume)?
        {
            let path = out.checkpoint();
            let facts = Facts::new(spec, data, net.blocks.iter().map(|block| &block.form))?;
            let read = checkpoint::read(&path, backend, &identity, &facts, &mut net)?;
            (progress, unverified) = (read.progress, (!read.verified).then_some(path));
        }
        // The fit before the model that is useless without it.
        if let (Some(out), Some(transform)) = (&options.out, data.preparation()) {
            preprocess::keep(transform, out.path())?;
        }
        if let Some(out) = &options.out {
            restore(&out.model(), &progress.model)?;
        }
        let now = Instant::now();
        let pending = Vec::with_capacity(READ_EVERY);
        let (epoch_started, checkpointed) = (now, now);
        let run = Self {
            backend,
            spec,
            data,
            options,
            identity,
            net,
            progress,
            pending,
            epoch_started,
            checkpointed,
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
            if !go_on || self.checkpointed.elapsed() >= self.options.checkpoint_every {
                self.read_tallies()?;
                self.checkpoint()?;
            }
            if !go_on {
                return Err(Error::Interrupted { epoch, step: self.progress.step });
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
    fn finish_epoch(&mut self) -> Result<EpochReport> {
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
        check_finite(&report, steps)?;
        self.progress.epochs.push(report.clone());
        if best(&self.progress.epochs) + 1 == self.progress.epochs.len() {
            self.progress.judged = Some(Judged::new(&test, &data.test.labels));
            self.keep(&test)?;
        }
        Ok(report)
    }

    /// Freezes the network and checks that its scores are those of evaluation in every bit; writes it
    /// with a checkpoint, unless one was written just now. Nothing is kept of a network of reals.
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
        let pause = KEPT_EVERY.min(self.options.checkpoint_every);
        if self.checkpointed.elapsed() >= pause { self.checkpoint() } else { Ok(()) }
    }

    /// Writes the model of a run that has come to its end; only then goes what belonged to an older one.
    fn end(&mut self) -> Result<()> {
        let (data, options) = (self.data, self.options);
        let Some(out) = &options.out else { return Ok(()) };
        if options.keep_checkpoint {
            self.checkpoint()?;
        } else {
            restore(&out.model(), &self.progress.model)?;
        }
        preprocess::remove_others(data.preparation(), out.path())
    }

    fn checkpoint(&mut self) -> Result<()> {
        let Some(out) = &self.options.out else { return Ok(()) };
        let mut progress = self.progress.clone();
        if progress.step > 0 {
            progress.sums.seconds += self.epoch_started.elapsed().as_secs_f64();
        }
        // In this order: a model without a checkpoint is that of a run that has ended.
        checkpoint::write(&out.checkpoint(), self.backend, &self.identity, &progress, &self.net)?;
        restore(&out.model(), &self.progress.model)?;
        self.checkpointed = Instant::now();
        Ok(())
    }
}

/// Writes the model of a checkpoint, where there is one that is not there yet.
fn restore(path: &Path, model: &[u8]) -> Result<()> {
    if model.is_empty() || file::is_file(path, model) {
        return Ok(());
    }
    file::write(path, model)
}

/// The model of another run must not pass for that of a run that leaves none.
fn refuse_model(path: &Path) -> Result<()> {
    match file::is_there(path)? {
        false => Ok(()),
        true => Err(Error::Checkpoint {
            path: path.into(),
            why:
                "this is the model of another run, and a network with real weights or activations \
                  leaves none to replace it; remove it, or name another folder"
                    .into(),
        }),
    }
}

/// A loss that is no number ends the run before it can get into a checkpoint, whose JSON has none.
fn check_finite(report: &EpochReport, steps: usize) -> Result<()> {
    let EpochReport { epoch, validation, test, .. } = report;
    for (of, loss) in [("validation", validation.loss), ("test", test.loss)] {
        if !loss.is_finite() {
            return Err(Error::Diverged { of, epoch: *epoch, first: 1, last: steps, loss });
        }
    }
    Ok(())
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
