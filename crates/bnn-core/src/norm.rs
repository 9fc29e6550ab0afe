//! Batch normalization as data, with the one formula that training, evaluation and freezing share.

use serde::{Deserialize, Serialize};

use crate::scalar::ap2;

/// A batch normalization: constants, what the running statistics hold, and its rounding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Norm {
    /// Added to the variance.
    pub eps: f32,
    /// Share of the batch in the new running statistics.
    pub momentum: f32,
    /// What the second running statistic is.
    pub running: Spread,
    /// Rounds gains and deviations to powers of two: shift-based batch norm (paper, algorithm 2).
    pub shift: bool,
}

/// The second running statistic of a [`Norm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// `1 / sqrt(variance + eps)`, as in Lasagne and in the Torch7 shift-based norms.
    InverseDeviation,
    /// The unbiased variance, as in Torch7's plain norm.
    Variance,
}

impl Norm {
    /// The norm of the paper's Theano code (Lasagne): eps 1e-4, momentum 0.1.
    pub fn theano() -> Self {
        Self { eps: 1e-4, momentum: 0.1, running: Spread::InverseDeviation, shift: false }
    }

    /// The plain norm behind the last layer of the paper's Torch7 code: eps 1e-5, momentum 0.1.
    pub fn torch() -> Self {
        Self { eps: 1e-5, momentum: 0.1, running: Spread::Variance, shift: false }
    }

    /// The shift-based norm of the paper's Torch7 code: eps 1e-5, momentum 0.125.
    pub fn shift() -> Self {
        Self { eps: 1e-5, momentum: 0.125, running: Spread::InverseDeviation, shift: true }
    }

    /// `1 / sqrt(variance + eps)`, rounded to f32 after each operation.
    pub fn inverse_deviation(&self, variance: f32) -> f32 {
        1.0 / (variance + self.eps).sqrt()
    }

    /// The factor that evaluation applies: `gamma * inverse deviation`, both rounded to powers of
    /// two first if the norm is shift-based.
    pub fn gain(&self, gamma: f32, running_spread: f32) -> f32 {
        let inverse = match self.running {
            Spread::InverseDeviation => running_spread,
            Spread::Variance => self.inverse_deviation(running_spread),
        };
        self.batch_gain(gamma, inverse)
    }

    /// The factor that training applies, from the batch's inverse deviation.
    pub fn batch_gain(&self, gamma: f32, inverse_deviation: f32) -> f32 {
        if self.shift { ap2(gamma) * ap2(inverse_deviation) } else { gamma * inverse_deviation }
    }

    /// The statistic that the running one moves towards.
    ///
    /// `variance` is biased, of `samples` samples; one sample has no unbiased variance and counts
    /// as it is.
    pub fn batch_spread(&self, variance: f32, samples: usize) -> f32 {
        match self.running {
            Spread::InverseDeviation => self.inverse_deviation(variance),
            Spread::Variance if samples > 1 => variance * samples as f32 / (samples - 1) as f32,
            Spread::Variance => variance,
        }
    }

    /// The norm of a batch of fewer samples than a full one: its share in the running statistics is as
    /// much smaller. Of a full batch, or a larger one, it is the same.
    pub fn of_batch(&self, samples: usize, full: usize) -> Self {
        if samples >= full {
            return *self;
        }
        Self { momentum: self.momentum * (samples as f32 / full as f32), ..*self }
    }

    /// A running statistic after a batch.
    pub fn running(&self, old: f32, batch: f32) -> f32 {
        (1.0 - self.momentum) * old + self.momentum * batch
    }

    /// `(x - mean) * gain + beta`, rounded to f32 after each of the three operations.
    ///
    /// No backend contracts it to a fused multiply-add: evaluation on any device, and the search
    /// for integer thresholds on the host, must agree in every bit.
    #[inline]
    pub fn apply(x: f32, mean: f32, gain: f32, beta: f32) -> f32 {
        (x - mean) * gain + beta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_batch_moves_the_statistics_by_its_part() {
        let norm = Norm::shift();
        assert_eq!(norm.of_batch(100, 100), norm);
        assert_eq!(norm.of_batch(101, 100), norm);
        assert_eq!(norm.of_batch(25, 100), Norm { momentum: 0.03125, ..norm });
        assert_eq!(norm.of_batch(25, 100).running(2.0, 10.0), 2.0 + 0.03125 * 8.0);
    }
}
