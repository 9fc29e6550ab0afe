//! How far a run is, with the sums of the epoch it is in.

use serde::{Deserialize, Serialize};

use crate::judged::Judged;
use crate::report::{EpochReport, LayerReport, Score};
use crate::{Error, Result};

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Reports of the epochs done.
    pub epochs: Vec<EpochReport>,
    /// Steps done in the epoch after them.
    pub step: usize,
    /// Sums over those steps.
    pub sums: Sums,
    /// The frozen network of the best epoch so far, as the bytes of a model file; empty before it, and
    /// for networks of reals.
    #[serde(skip)]
    pub model: Vec<u8>,
    /// The test images as that network sees them; none before it, and none of a best epoch in a
    /// checkpoint of a version that did not keep it.
    #[serde(default)]
    pub judged: Option<Judged>,
    /// Epochs after which the run came to its end, and could be continued.
    #[serde(default)]
    pub ends: Vec<usize>,
}

/// Sums over the steps of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Samples seen.
    pub samples: usize,
    /// Sum of their losses.
    pub loss: f64,
    /// How many of them were misclassified.
    pub errors: u64,
    /// Sign changes per layer.
    pub flips: Vec<u64>,
    /// Latent weights at the clip after the last step, per layer.
    pub clipped: Vec<u64>,
    /// Wall time spent on them before the last checkpoint, in seconds.
    pub seconds: f64,
}

impl Progress {
    /// The epoch the run is in, counted from 1.
    pub fn epoch(&self) -> usize {
        self.epochs.len() + 1
    }

    /// Notes that the run has come to its end.
    pub fn end(&mut self) {
        let done = self.epochs.len();
        if self.ends.last() != Some(&done) {
            self.ends.push(done);
        }
    }

    /// Epochs after which the run had ended before the one it is at, or goes on to.
    pub fn continued(&self, last: usize) -> Vec<usize> {
        self.ends.iter().copied().filter(|&end| end < last).collect()
    }
}

impl Sums {
    /// Adds a step: its rows of (loss sum, errors) and, per layer, (flips, clipped).
    pub fn add(&mut self, samples: usize, loss: [f32; 2], layers: &[[f32; 2]]) {
        self.samples += samples;
        self.loss += f64::from(loss[0]);
        self.errors += loss[1] as u64;
        self.flips.resize(layers.len(), 0);
        for (sum, layer) in self.flips.iter_mut().zip(layers) {
            *sum += layer[0] as u64;
        }
        self.clipped = layers.iter().map(|layer| layer[1] as u64).collect();
    }

    /// Fails if the loss is no longer a finite number.
    ///
    /// # Errors
    /// [`Error::Diverged`] naming the stretch of steps that was added last.
    pub fn check(&self, epoch: usize, first: usize, last: usize) -> Result<()> {
        match self.loss.is_finite() {
            true => Ok(()),
            false => Err(Error::Diverged { of: "training", epoch, first, last, loss: self.loss }),
        }
    }

    /// Mean loss and share of errors.
    pub fn score(&self) -> Score {
        let count = self.samples as f64;
        Score { loss: self.loss / count, error: self.errors as f64 / count }
    }

    /// Flips and clipped weights as shares of the weights of every layer.
    pub fn layers(&self, weights: impl Iterator<Item = usize>) -> Vec<LayerReport> {
        let counts = self.flips.iter().zip(&self.clipped).zip(weights);
        let share = |count: u64, of: usize| count as f64 / of as f64;
        counts
            .map(|((&flips, &clipped), of)| LayerReport {
                flips: share(flips, of),
                clipped: share(clipped, of),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_an_epoch() {
        let mut sums = Sums::default();
        sums.add(30, [12.0, 9.0], &[[4.0, 1.0], [2.0, 7.0]]);
        sums.add(10, [3.0, 1.0], &[[1.0, 2.0], [0.0, 5.0]]);
        assert_eq!(sums.score(), Score { loss: 15.0 / 40.0, error: 10.0 / 40.0 });
        let share = |flips, clipped| LayerReport { flips, clipped };
        let want = [share(5.0 / 20.0, 2.0 / 20.0), share(2.0 / 10.0, 5.0 / 10.0)];
        assert_eq!(sums.layers([20, 10].into_iter()), want, "clipped weights are the last step's");
    }

    #[test]
    fn a_sum_that_is_no_number_names_its_steps() {
        let mut sums = Sums::default();
        assert!(sums.check(2, 51, 60).is_ok());
        sums.add(1, [f32::INFINITY, 0.0], &[]);
        let error = sums.check(2, 51, 60).unwrap_err();
        let Error::Diverged { of: "training", epoch: 2, first: 51, last: 60, loss } = error else {
            panic!("{error}")
        };
        assert_eq!(loss, f64::INFINITY);
    }
}
