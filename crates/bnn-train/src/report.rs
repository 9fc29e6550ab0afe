//! What a run reports: per epoch and in the end.

use serde::{Deserialize, Serialize};

use crate::judged::Judged;

/// Loss and error over a set of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean loss.
    pub loss: f64,
    /// Share of images misclassified, from 0 to 1.
    pub error: f64,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Learning rate.
    pub rate: f64,
    /// Mean over the training batches, with dropout on.
    pub train: Score,
    /// After the epoch.
    pub validation: Score,
    /// After the epoch.
    pub test: Score,
    /// Per layer.
    pub layers: Vec<LayerReport>,
    /// Wall time of training and evaluation; not part of a run's result.
    pub seconds: f64,
}

/// The weights of one layer over one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    /// Sign changes per weight over the epoch; 0 for real weights.
    pub flips: f64,
    /// Share of weights at -1 or +1, or beyond if they are real, after the last step.
    pub clipped: f64,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Every epoch.
    pub epochs: Vec<EpochReport>,
    /// Position in `epochs` of the epoch with the lowest validation error; the last one of several.
    pub best: usize,
    /// The frozen network of that epoch, as the bytes of a model file; none if its weights or
    /// activations are real.
    pub model: Option<Vec<u8>>,
    /// The test images as the network of that epoch sees them; none if the epoch was in a checkpoint
    /// of a version that kept nothing of the kind.
    pub judged: Option<Judged>,
}

impl Outcome {
    /// The epoch whose network was kept; the test error reported is its.
    pub fn best(&self) -> &EpochReport {
        &self.epochs[self.best]
    }

    /// The last epoch.
    pub fn last(&self) -> &EpochReport {
        self.epochs.last().expect("a run has an epoch")
    }
}

/// Position of the best epoch: the lowest validation error, the later one of equals.
pub fn best(epochs: &[EpochReport]) -> usize {
    let better = |best: usize, next: usize| {
        if epochs[next].validation.error <= epochs[best].validation.error { next } else { best }
    };
    (0..epochs.len()).reduce(better).unwrap_or(0)
}
