//! Experiments as TOML: a network, how it is trained, on what, and what is expected of it.

mod block;
mod data;
mod expect;
mod images;
mod names;
mod preprocess;
mod values;

use std::collections::BTreeMap;

use bnn_data::{Augment, Plan};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Schedule};

pub use block::BlockSpec;
pub use expect::{Expect, Metric};
pub use images::Images;
pub use names::{Clip, LastBatch, NormName, OptimizerName, QuantName, StepScale};
pub use preprocess::Chain;
pub use values::{Activations, Weights};

/// An experiment: the paper's own setting, and what each tier overrides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Short name, used in the names of result files.
    pub name: String,
    /// One line for tables.
    pub title: String,
    /// Data sets it runs on.
    pub data: Vec<String>,
    /// Seeds it runs with.
    pub seeds: Vec<u64>,
    /// Backends it runs on.
    pub backends: Vec<String>,
    /// What differs from the paper.
    #[serde(default)]
    pub deviations: Vec<String>,
    /// How pictures become images of one size and kind; they stay as they are by default.
    #[serde(default, skip_serializing_if = "Images::are_kept")]
    pub images: Images,
    /// What is done to images before anything is trained on them; nothing by default.
    #[serde(default, skip_serializing_if = "Chain::is_linear")]
    pub preprocess: Chain,
    /// The network.
    pub net: NetSpec,
    /// The training.
    pub train: TrainSpec,
    /// Figures to reach, by the name of a metric of the run's outcome.
    #[serde(default)]
    pub expect: BTreeMap<Metric, Expect>,
    /// Overrides by the name of their tier; the spec is in no tier that it lacks.
    #[serde(default, rename = "tier", skip_serializing)]
    pub tiers: BTreeMap<String, toml::Table>,
}

/// The network of a [`Spec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetSpec {
    /// Layers in order, such as `conv 128 kernel 3 pad 1 pool 2` and `dense 10`.
    pub blocks: Vec<BlockSpec>,
    /// `real`, or the quantizer of the weights: any but `stochastic-sign`.
    pub weights: Weights,
    /// `hard-tanh`, `relu`, or the quantizer of the activations.
    pub activations: Activations,
    /// Normalization of all layers but the last.
    pub norm: NormName,
    /// Normalization of the last layer; the same as `norm` if absent.
    pub output_norm: Option<NormName>,
    /// Shares of entries that training drops.
    #[serde(default)]
    pub dropout: Dropout,
}

/// Shares of entries dropped in training, each in [0, 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Of the network's input.
    #[serde(default, deserialize_with = "values::share")]
    pub input: f32,
    /// Of the activations of every layer but the last.
    #[serde(default, deserialize_with = "values::share")]
    pub hidden: f32,
}

/// The training of a [`Spec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSpec {
    /// Epochs of the schedule.
    pub epochs: usize,
    /// Ends the run after this epoch of the schedule.
    pub stop_after: Option<usize>,
    /// Samples per step.
    pub batch: usize,
    /// Optimizer of all parameters.
    pub optimizer: OptimizerName,
    /// Learning rate over the epochs.
    pub rate: Schedule,
    /// What is minimized.
    pub loss: bnn_core::Loss,
    /// Factor on the steps of the latent weights.
    pub step_scale: StepScale,
    /// Factor on the steps of the norms' gains, whose fans sum up to the number of channels (the
    /// Torch7 script for MNIST has `glorot`).
    #[serde(default)]
    pub gain_step_scale: StepScale,
    /// Which parameters are clipped.
    #[serde(default)]
    pub clip: Clip,
    /// What happens to images that do not fill a batch.
    #[serde(default)]
    pub last_batch: LastBatch,
    /// What is done to training images.
    #[serde(default)]
    pub augment: AugmentSpec,
    /// Trains on the first samples only.
    pub samples: Option<usize>,
}

/// Random changes of training images; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentSpec {
    /// Mirrors images, left to right, by chance.
    #[serde(default)]
    pub flip: bool,
    /// Pads images with so many black pixels on each side, and crops a random window of their size.
    #[serde(default)]
    pub crop: usize,
}

impl Spec {
    /// Reads a spec and checks it with the overrides of every tier; `place` names the file in errors.
    ///
    /// # Errors
    /// [`Error::Spec`] with the line for text that is not TOML and for unknown keys, and with the key
    /// for values that contradict each other, in the base or in any tier.
    pub fn parse(place: &str, text: &str) -> Result<Self> {
        let spec: Self = toml::from_str(text).map_err(|error| Error::spec(place, error))?;
        spec.check().map_err(|error| Error::spec(place, error))?;
        for tier in spec.tiers.keys() {
            spec.tier(tier)
                .map_err(|error| Error::spec(format!("{place}, [tier.{tier}]"), error))?;
        }
        Ok(spec)
    }

    /// The spec with the overrides of a tier, or none if it is not in that tier.
    ///
    /// # Errors
    /// None that [`Spec::parse`] would not have found.
    pub fn tier(&self, name: &str) -> Result<Option<Self>> {
        let Some(overrides) = self.tiers.get(name) else { return Ok(None) };
        let unexpected = |error: &dyn std::fmt::Display| Error::spec("overrides", error);
        let mut merged = toml::Table::try_from(self).map_err(|error| unexpected(&error))?;
        merge(&mut merged, overrides);
        let spec: Self = merged.try_into().map_err(|error| unexpected(&error))?;
        spec.check()?;
        Ok(Some(spec))
    }

    /// The spec as TOML, without tiers.
    ///
    /// # Errors
    /// [`Error::Spec`] if it holds what TOML cannot say.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::spec(&self.name, error))
    }

    /// Epochs that a run goes through.
    pub fn last_epoch(&self) -> usize {
        self.train.stop_after.unwrap_or(self.train.epochs)
    }

    /// Checks what the types cannot say: a spec that was read is checked, one that was changed is not.
    ///
    /// # Errors
    /// [`Error::Spec`] naming the key.
    pub fn check(&self) -> Result<()> {
        let empty = [
            ("name", self.name.is_empty()),
            ("data", self.data.is_empty()),
            ("seeds", self.seeds.is_empty()),
            ("backends", self.backends.is_empty()),
            ("net.blocks", self.net.blocks.is_empty()),
        ];
        if let Some((key, _)) = empty.iter().find(|(_, empty)| *empty) {
            return Err(Error::spec(key, "must not be empty"));
        }
        self.net.check()?;
        self.train.check()?;
        if self.train.augment.crop > 0 && !self.preprocess.is_linear() {
            let why = "crops pad with black, which preprocessed images have no code for; want 0, or \
                       `preprocess` left out";
            return Err(Error::spec("train.augment.crop", why));
        }
        self.expect.iter().try_for_each(|(&metric, expect)| expect.check(metric))
    }
}

impl NetSpec {
    /// The layers in one line: `dense 4096 x3, dense 10`.
    pub fn summary(&self) -> String {
        let runs = self.blocks.chunk_by(|a, b| a == b);
        let text = |run: &[BlockSpec]| match run.len() {
            1 => run[0].to_string(),
            count => format!("{} x{count}", run[0]),
        };
        runs.map(text).collect::<Vec<_>>().join(", ")
    }

    fn check(&self) -> Result<()> {
        block::check_order(&self.blocks)?;
        self.weights.check()?;
        if matches!(self.activations, Activations::Real(_)) && self.dropout.hidden != 0.0 {
            let why = format!(
                "real activations, `{}`, have no dropout; want 0, or a quantizer in \
                 net.activations",
                self.activations
            );
            return Err(Error::spec("net.dropout.hidden", why));
        }
        let shares = [("input", self.dropout.input), ("hidden", self.dropout.hidden)];
        shares.iter().try_for_each(|&(name, share)| {
            let fault = |why| Error::spec(format!("net.dropout.{name}"), why);
            values::check_share(share).map_err(fault)
        })
    }
}

impl TrainSpec {
    /// How an epoch is cut into batches.
    pub fn plan(&self) -> Plan {
        let AugmentSpec { flip, crop } = self.augment;
        let augment = Augment { flip, crop };
        Plan { batch: self.batch, last: self.last_batch.last(), augment }
    }

    fn check(&self) -> Result<()> {
        let counts = [
            ("train.epochs", Some(self.epochs)),
            ("train.batch", Some(self.batch)),
            ("train.stop_after", self.stop_after),
            ("train.samples", self.samples),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == Some(0)) {
            return Err(Error::spec(key, "must be at least 1"));
        }
        if self.stop_after.is_some_and(|stop| stop > self.epochs) {
            return Err(Error::spec(
                "train.stop_after",
                format!("lies behind epoch {}", self.epochs),
            ));
        }
        if self.samples.is_some_and(|samples| samples < self.batch) {
            return Err(Error::spec("train.samples", "is less than one batch"));
        }
        self.rate.check(self.stop_after.unwrap_or(self.epochs), &self.optimizer.optimizer())
    }
}

/// Overrides replace values and extend tables.
fn merge(base: &mut toml::Table, overrides: &toml::Table) {
    for (key, value) in overrides {
        match (base.get_mut(key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) if key != "rate" => {
                merge(old, new)
            }
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}
