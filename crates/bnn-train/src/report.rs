//! What a run reports: per epoch and in the end.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::judged::Judged;
use crate::{Error, Result};

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

impl EpochReport {
    /// A loss that is no number ends the run, of so many steps an epoch, before it can get into a
    /// checkpoint, whose JSON has none.
    pub(crate) fn check_finite(&self, steps: usize) -> Result<()> {
        let Self { epoch, validation, test, .. } = self;
        for (of, loss) in [("validation", validation.loss), ("test", test.loss)] {
            if !loss.is_finite() {
                return Err(Error::Diverged { of, epoch: *epoch, first: 1, last: steps, loss });
            }
        }
        Ok(())
    }

    /// The epoch as one object, as it is in `history.jsonl` and in what `bnn train --json` prints.
    pub fn to_json(&self) -> Value {
        let Self { epoch, rate, train, validation, test, layers, seconds } = self;
        json!({
            "event": "epoch", "epoch": epoch, "rate": rate,
            "train_loss": train.loss, "train_error": train.error,
            "validation_loss": validation.loss, "validation_error": validation.error,
            "test_loss": test.loss, "test_error": test.error,
            "layers": layers, "seconds": seconds,
        })
    }
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
    /// Epochs after which the run had ended before, and was continued.
    pub continued: Vec<usize>,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs by their errors on validation and test images.
    fn epochs(errors: &[(f64, f64)]) -> Vec<EpochReport> {
        let score = |error| Score { loss: 1.0 - error, error };
        let epoch = |(at, &(validation, test)): (usize, &(f64, f64))| EpochReport {
            epoch: at + 1,
            rate: 0.1,
            train: score(0.5),
            validation: score(validation),
            test: score(test),
            layers: vec![LayerReport { flips: 0.5, clipped: 0.25 }],
            seconds: 1.5,
        };
        errors.iter().enumerate().map(epoch).collect()
    }

    #[test]
    fn the_best_epoch_is_the_last_of_the_lowest_validation_error() {
        let of = |errors: &[(f64, f64)]| best(&epochs(errors));
        assert_eq!(of(&[(0.3, 0.1), (0.2, 0.3), (0.25, 0.0)]), 1, "by validation, not by test");
        assert_eq!(of(&[(0.2, 0.1), (0.3, 0.1), (0.2, 0.4), (0.4, 0.0)]), 2, "the later of equals");
        assert_eq!((of(&[(1.0, 1.0)]), of(&[])), (0, 0));
    }

    #[test]
    fn losses_that_are_no_numbers_end_a_run() {
        let epochs = epochs(&[(0.3, 0.1), (f64::NAN, 0.3), (0.25, f64::NEG_INFINITY)]);
        let told = |at: usize| epochs[at].check_finite(4).map_err(|error| error.to_string());
        assert_eq!(told(0), Ok(()));
        assert!(told(1).unwrap_err().contains("validation"));
        assert!(told(2).unwrap_err().contains("test"));
    }

    #[test]
    fn outcomes_tell_their_best_and_their_last_epoch() {
        let epochs = epochs(&[(0.3, 0.1), (0.2, 0.3), (0.25, 0.0)]);
        let outcome =
            Outcome { best: best(&epochs), epochs, model: None, judged: None, continued: vec![] };
        assert_eq!((outcome.best().epoch, outcome.last().epoch), (2, 3));
    }

    #[test]
    fn an_epoch_is_told_by_its_own_names() {
        let told = epochs(&[(0.25, 0.125)])[0].to_json();
        let want = json!({
            "event": "epoch", "epoch": 1, "rate": 0.1, "train_loss": 0.5, "train_error": 0.5,
            "validation_loss": 0.75, "validation_error": 0.25, "test_loss": 0.875,
            "test_error": 0.125, "layers": [{ "flips": 0.5, "clipped": 0.25 }], "seconds": 1.5,
        });
        assert_eq!(told, want);
    }
}
