//! Learning rates over the epochs.

use bnn_core::Optimizer;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A learning rate that changes between epochs: constant, decaying exponentially, or halved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Rate of the first epoch.
    pub from: f64,
    /// Decays by one factor per epoch, such that the epoch after the last would have this rate (the
    /// paper's Theano code).
    pub to: Option<f64>,
    /// Halves after every so many epochs (the paper's Torch7 code).
    pub halve_every: Option<usize>,
}

impl Schedule {
    /// The rate of an epoch, counted from 1, of `epochs`.
    pub fn rate(&self, epoch: usize, epochs: usize) -> f64 {
        let done = epoch - 1;
        match (self.to, self.halve_every) {
            (Some(to), _) => self.from * libm::pow(to / self.from, done as f64 / epochs as f64),
            (None, Some(every)) => self.from * libm::exp2(-((done / every) as f64)),
            (None, None) => self.from,
        }
    }

    /// Checks the rates of a run of so many epochs, as the steps of an optimizer take them: in f32.
    pub(crate) fn check(&self, epochs: usize, optimizer: &Optimizer) -> Result<()> {
        let refuse = |key: &str, why: String| Err(Error::spec(format!("train.rate{key}"), why));
        if self.to.is_some() && self.halve_every.is_some() {
            return refuse("", "`to` and `halve_every` exclude each other".into());
        }
        if self.halve_every == Some(0) {
            return refuse(".halve_every", "must be at least 1".into());
        }
        // The factors that correct moments fall within the first steps, and rise to 1 then.
        let times = || (1..=1000).chain([u64::MAX]);
        let is_step = |rate: f64| {
            rate > 0.0 && times().all(|time| optimizer.step_size(rate, time).is_normal())
        };
        let why = |rate: f64| {
            format!(
                "a rate of {rate:e} makes no steps in f32, which holds numbers from 1.2e-38 to \
                 3.4e38; want a positive number within"
            )
        };
        if !is_step(self.from) {
            return refuse(".from", why(self.from));
        }
        if let Some(to) = self.to.filter(|&to| !is_step(to)) {
            return refuse(".to", why(to));
        }
        let last = self.rate(epochs, epochs);
        if !is_step(last) {
            return refuse(".halve_every", format!("in epoch {epochs}, {}", why(last)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_decay() {
        let schedule = Schedule { from: 3e-3, to: Some(3e-7), halve_every: None };
        assert_eq!(schedule.rate(1, 1000), 3e-3);
        assert!((schedule.rate(2, 1000) / 3e-3 - 0.990_832).abs() < 1e-6);
        assert!((schedule.rate(1000, 1000) / 3.028e-7 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn halving_starts_after_the_first_stretch() {
        let schedule = Schedule { from: 0.5, to: None, halve_every: Some(2) };
        let rates: Vec<f64> = (1..=5).map(|epoch| schedule.rate(epoch, 5)).collect();
        assert_eq!(rates, [0.5, 0.5, 0.25, 0.25, 0.125]);
    }
}
