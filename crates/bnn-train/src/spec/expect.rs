//! What is expected of a run.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A metric of a run's outcome that a spec may expect something of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean loss over the last epoch's training batches.
    TrainLoss,
    /// Share of validation images misclassified in the best epoch.
    ValidationError,
    /// Share of test images misclassified in the epoch of the best validation error.
    TestError,
}

/// Bounds for the mean of a metric over the seeds, and the paper's figure; errors are shares, from 0
/// to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Upper bound.
    pub at_most: Option<f64>,
    /// Lower bound.
    pub at_least: Option<f64>,
    /// What the paper or its authors report.
    pub paper: Option<f64>,
}

impl Metric {
    /// Its key in a spec.
    fn key(self) -> &'static str {
        match self {
            Self::TrainLoss => "train_loss",
            Self::ValidationError => "validation_error",
            Self::TestError => "test_error",
        }
    }

    /// The largest value that it can have.
    fn most(self) -> f64 {
        if self == Self::TrainLoss { f64::MAX } else { 1.0 }
    }
}

impl Expect {
    /// Checks that the figures are ones that the metric can have, and that the bounds leave some.
    pub(super) fn check(&self, metric: Metric) -> Result<()> {
        let place = format!("expect.{}", metric.key());
        let figures =
            [("at_most", self.at_most), ("at_least", self.at_least), ("paper", self.paper)];
        for (key, figure) in figures {
            if let Some(figure) = figure.filter(|figure| !(0.0..=metric.most()).contains(figure)) {
                let want = match metric {
                    Metric::TrainLoss => "a number from 0 on",
                    _ => "a share from 0 to 1",
                };
                let why = format!("{figure} cannot be; want {want}");
                return Err(Error::spec(format!("{place}.{key}"), why));
            }
        }
        match (self.at_least, self.at_most) {
            (Some(least), Some(most)) if least > most => {
                Err(Error::spec(place, "at_least exceeds at_most"))
            }
            _ => Ok(()),
        }
    }
}
