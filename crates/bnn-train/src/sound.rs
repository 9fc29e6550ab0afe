//! Which values the state of a run can have: a checkpoint with others is damaged, or of a run that was
//! lost already, and would go on to another network without a word.

use bnn_core::{Frozen, Input, Matrix, Norm};
use bnn_data::Dataset;

use crate::block::BlockForm;
use crate::judged::{Judged, WORST};
use crate::progress::{Progress, Sums};
use crate::report::{EpochReport, LayerReport, Score, best};
use crate::run::input;
use crate::spec::Spec;

/// Why a value cannot be, with its place.
type Checked = Result<(), String>;

/// What a run knows of itself, whatever its checkpoint says.
pub struct Facts<'a> {
    spec: &'a Spec,
    input: Input,
    /// Images to train on.
    images: usize,
    /// Steps of an epoch.
    steps: usize,
    /// Classes of the test images.
    labels: &'a [u8],
    classes: usize,
    /// Weights of every layer.
    weights: Vec<usize>,
    freezes: bool,
}

impl<'a> Facts<'a> {
    /// The facts of a run whose layers have these forms.
    ///
    /// # Errors
    /// What the data set says of the spec's batches.
    pub fn new<'f>(
        spec: &'a Spec,
        data: &'a Dataset,
        forms: impl Iterator<Item = &'f BlockForm> + Clone,
    ) -> crate::Result<Self> {
        Ok(Self {
            spec,
            input: input(data),
            images: data.train.len(),
            steps: spec.train.plan().steps(data.train.len())?,
            labels: &data.test.labels,
            classes: data.test.classes(),
            weights: forms.clone().map(|form| form.shape.0 * form.shape.1).collect(),
            freezes: forms.clone().all(BlockForm::is_quantized),
        })
    }

    /// Checks that as many epochs are asked for as are done, or more.
    pub fn asked(&self, Progress { epochs, step, .. }: &Progress) -> Checked {
        let (done, last) = (epochs.len(), self.spec.last_epoch());
        ensure(done < last || done == last && *step == 0, || {
            let at = match step {
                0 => format!("epoch {done} is done"),
                step => format!("step {step} of epoch {} is done", done + 1),
            };
            format!(
                "{at}, and epoch {last} is the last one asked for: ask for more with --epochs, or name \
                 another folder with --out"
            )
        })
    }

    /// Checks how far a run is, with all that it has reported.
    pub fn check(&self, progress: &Progress) -> Checked {
        let Progress { epochs, step, sums, model, judged, ends } = progress;
        let done = epochs.len();
        ensure(*step <= self.steps, || format!("step {step} of an epoch of {}", self.steps))?;
        let ascend = ends.is_sorted_by(|a, b| a < b);
        ensure(ascend && ends.iter().all(|end| (1..=done).contains(end)), || {
            format!("ends are {ends:?} in {done} epochs")
        })?;
        let numbered = epochs.iter().enumerate();
        numbered.into_iter().try_for_each(|(at, report)| {
            self.report(at + 1, report).map_err(|why| format!("epochs.{at}.{why}"))
        })?;
        self.sums(*step, sums).map_err(|why| format!("sums.{why}"))?;
        if let Some(judged) = judged {
            let error = epochs.get(best(epochs)).map(|report| report.test.error);
            self.judged(judged, error).map_err(|why| format!("judged.{why}"))?;
        }
        self.model(model, done).map_err(|why| format!("model: {why}"))
    }

    fn report(&self, number: usize, report: &EpochReport) -> Checked {
        let EpochReport { epoch, rate, train, validation, test, layers, seconds } = report;
        ensure(*epoch == number, || format!("epoch is {epoch}, not {number}"))?;
        let wanted = self.spec.train.rate.rate(number, self.spec.train.epochs);
        // Powers may differ in their last bits from one machine to another.
        ensure((rate - wanted).abs() <= 1e-9 * wanted, || format!("rate is {rate}, not {wanted}"))?;
        for (name, score) in [("train", train), ("validation", validation), ("test", test)] {
            check_score(score).map_err(|why| format!("{name}.{why}"))?;
        }
        let (got, want) = (layers.len(), self.weights.len());
        ensure(got == want, || format!("layers are {got}, not {want}"))?;
        for (layer, LayerReport { flips, clipped }) in layers.iter().enumerate() {
            let place = format!("layers.{layer}");
            at_least_0(&format!("{place}.flips"), *flips)?;
            share(&format!("{place}.clipped"), *clipped)?;
        }
        at_least_0("seconds", *seconds)
    }

    fn sums(&self, step: usize, sums: &Sums) -> Checked {
        let Sums { samples, loss, errors, flips, clipped, seconds } = sums;
        if step == 0 {
            return ensure(*sums == Sums::default(), || "before the first step, not 0".into());
        }
        let most = step.saturating_mul(self.spec.train.batch).min(self.images.max(step));
        ensure((step..=most).contains(samples), || {
            format!("samples are {samples} in {step} steps")
        })?;
        at_least_0("loss", *loss)?;
        ensure(*errors <= *samples as u64, || format!("errors are {errors} of {samples}"))?;
        for (name, counts, times) in [("flips", flips, step), ("clipped", clipped, 1)] {
            let (got, want) = (counts.len(), self.weights.len());
            ensure(got == want, || format!("{name} are of {got} layers, not {want}"))?;
            for (layer, (count, weights)) in counts.iter().zip(&self.weights).enumerate() {
                // Counts come as f32, which may round them up.
                let most = (*weights as u64 + (*weights as u64 >> 22)).saturating_mul(times as u64);
                ensure(*count <= most, || {
                    format!("{name}.{layer} is {count} of {weights} weights")
                })?;
            }
        }
        at_least_0("seconds", *seconds)
    }

    /// The test images as the best network sees them, of which `error` is the share of mistakes.
    fn judged(&self, judged: &Judged, error: Option<f64>) -> Checked {
        let Judged { confusion, mistakes } = judged;
        let square = confusion.iter().all(|row| row.len() == self.classes);
        ensure(confusion.len() == self.classes && square, || {
            format!("confusion is not of {} classes", self.classes)
        })?;
        let (mut wrong, mut images) = (0u64, vec![0u64; self.classes]);
        self.labels.iter().for_each(|&label| images[usize::from(label)] += 1);
        for (label, row) in confusion.iter().enumerate() {
            let all = row.iter().try_fold(0u64, |sum, &count| sum.checked_add(count));
            ensure(all == Some(images[label]), || {
                format!("confusion.{label} is not of the {} images of its class", images[label])
            })?;
            wrong += images[label] - row[label];
        }
        let told = error.map(|error| error * self.labels.len() as f64);
        ensure(told.is_some_and(|told| (told - wrong as f64).abs() < 1e-3), || {
            format!("confusion has {wrong} mistakes, the best epoch another number")
        })?;
        let kept = wrong.min(WORST as u64);
        ensure(mistakes.len() as u64 == kept, || {
            format!("mistakes are {}, not {kept}", mistakes.len())
        })?;
        for (at, mistake) in mistakes.iter().enumerate() {
            let known = self.labels.get(mistake.index).map(|&label| usize::from(label));
            let possible = known == Some(mistake.label)
                && mistake.predicted < self.classes
                && mistake.predicted != mistake.label
                && mistake.margin >= 0.0;
            ensure(possible, || format!("mistakes.{at} is none that the test images allow"))?;
            let follows = at == 0 || mistakes[at - 1].margin >= mistake.margin;
            ensure(follows, || format!("mistakes.{at} is out of order"))?;
        }
        Ok(())
    }

    /// The best network of the epochs that are done.
    fn model(&self, bytes: &[u8], done: usize) -> Checked {
        if done == 0 || !self.freezes {
            return ensure(bytes.is_empty(), || "unexpected: no epoch has made one".into());
        }
        let network = Frozen::from_bytes(bytes).map_err(|error| error.to_string())?;
        let fits = network.input == self.input && network.classes.len() == self.classes;
        ensure(fits, || "not of these images and classes".into())
    }
}

/// Checks one of a layer's tensors, by its name.
pub fn check_tensor(name: &str, numbers: &Matrix, form: &BlockForm) -> Checked {
    let clips = match name {
        "weights.value" => form.weight_rule.clip,
        "gamma.value" => form.gain_rule.clip,
        "beta.value" => form.offset_rule.clip,
        _ => false,
    };
    let positive = name.ends_with(".v") || name == "running.spread";
    let (least, most, want) = match (positive, clips) {
        (true, _) => (0.0, most_spread(name, &form.norm), "from 0 to the largest that can be"),
        (_, true) => (-1.0, 1.0, "within the clip, from -1 to 1"),
        _ => (f32::MIN, f32::MAX, "finite"),
    };
    match numbers.iter().find(|number| !(least..=most).contains(*number)) {
        Some(number) => Err(format!("{name} holds {number}, but its numbers are {want}")),
        None => Ok(()),
    }
}

/// The largest number: of an inverse deviation that of no variance at all, or the 1 it starts as.
fn most_spread(name: &str, norm: &Norm) -> f32 {
    match (name, norm.running) {
        ("running.spread", bnn_core::Spread::InverseDeviation) => {
            1.001 * norm.inverse_deviation(0.0).max(1.0)
        }
        _ => f32::MAX,
    }
}

fn check_score(Score { loss, error }: &Score) -> Checked {
    at_least_0("loss", *loss)?;
    share("error", *error)
}

fn at_least_0(name: &str, number: f64) -> Checked {
    ensure((0.0..=f64::MAX).contains(&number), || format!("{name} is {number}, not from 0 on"))
}

fn share(name: &str, number: f64) -> Checked {
    ensure((0.0..=1.0).contains(&number), || format!("{name} is {number}, not from 0 to 1"))
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(why()) }
}
