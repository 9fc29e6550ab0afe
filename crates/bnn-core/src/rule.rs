//! Optimizers, their per-step quantities and losses, as data.

use ndarray::arr2;
use serde::{Deserialize, Serialize};

use crate::scalar::ap2;
use crate::{Error, Key, Matrix, MatrixView, Result};

/// How a parameter moves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Multiplies the step, not the gradient; `sqrt((fan_in + fan_out) / 1.5)` for the weights of
    /// the paper (Glorot).
    pub scale: f32,
    /// Clips the parameter to [-1, 1] after the step: latent weights.
    pub clip: bool,
}

/// An optimizer with two state values per parameter, `m` and `v`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Adam (Kingma and Ba 2015) with the bias correction in the step size:
    /// `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`,
    /// `p -= scale * step_size * m / (sqrt(v) + eps)`.
    Adam {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        eps: f32,
    },
    /// Shift-based AdaMax (paper, algorithm 4): `m` as in Adam, `u = max(beta2 v, |g|)`,
    /// `p -= scale * step_size * m / (AP2(u) + eps)`.
    ShiftAdaMax {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the running maximum.
        beta2: f64,
        /// Added to the rounded maximum.
        eps: f32,
        /// Keeps the rounded maximum as `v`, as the published code does; it then never decays,
        /// because `beta2 * 2^k` rounds back to `2^k`. Otherwise `v = u`.
        written_back: bool,
    },
}

/// What is to be minimized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// `max(0, 1 - t y)^2`, mean over batch and classes; t = +1 for the label's class, else -1.
    SquaredHinge,
}

/// What changes from step to step; it rides on the device as one row (see [`Clock::to_row`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Step size of the optimizer, from [`Optimizer::step_size`].
    pub step_size: f32,
    /// Key of the step's random numbers.
    pub key: Key,
}

impl Optimizer {
    /// Adam with the usual constants, those of the paper's Theano code.
    pub fn adam() -> Self {
        Self::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }

    /// Shift-based AdaMax with the constants of the paper's Torch7 code.
    pub fn shift_adamax() -> Self {
        let eps = 2f32.powi(-27);
        Self::ShiftAdaMax { beta1: 0.9, beta2: 0.999, eps, written_back: true }
    }

    /// Shift-based AdaMax with the constants of the paper's text.
    pub fn shift_adamax_paper() -> Self {
        let (beta1, beta2) = (1.0 - 2f64.powi(-3), 1.0 - 2f64.powi(-10));
        Self::ShiftAdaMax { beta1, beta2, eps: 2f32.powi(-27), written_back: false }
    }

    /// The step size at learning rate `rate` in step `step`, counted from 1, computed in f64.
    ///
    /// Adam: `rate sqrt(1 - beta2^t) / (1 - beta1^t)`. Shift-based AdaMax: `AP2(rate / (1 - beta1^t))`.
    pub fn step_size(&self, rate: f64, step: u64) -> f32 {
        let power = |beta| libm::pow(beta, step as f64);
        match *self {
            Self::Adam { beta1, beta2, .. } => {
                (rate * (1.0 - power(beta2)).sqrt() / (1.0 - power(beta1))) as f32
            }
            Self::ShiftAdaMax { beta1, .. } => ap2((rate / (1.0 - power(beta1))) as f32),
        }
    }
}

impl Rule {
    /// One parameter after one step: updates `m` and `v` in place and returns the new value.
    ///
    /// This is the definition in f32, operation by operation; backends may fuse and reorder it
    /// within the bounds of the conformance suite.
    #[inline]
    pub fn step(&self, p: f32, g: f32, m: &mut f32, v: &mut f32, step_size: f32) -> f32 {
        let moved = match self.optimizer {
            Optimizer::Adam { beta1, beta2, eps } => {
                *m = average(beta1, *m, g);
                *v = average(beta2, *v, g * g);
                p - self.scale * step_size * *m / (v.sqrt() + eps)
            }
            Optimizer::ShiftAdaMax { beta1, beta2, eps, written_back } => {
                *m = average(beta1, *m, g);
                let u = (beta2 as f32 * *v).max(g.abs());
                let divisor = ap2(u) + eps;
                *v = if written_back { divisor } else { u };
                p - self.scale * step_size * *m / divisor
            }
        };
        if self.clip { moved.clamp(-1.0, 1.0) } else { moved }
    }
}

impl Clock {
    /// The clock as a row of five numbers that f32 holds exactly:
    /// the step size, then the key in pieces of 16 bits, lowest first.
    pub fn to_row(&self) -> Matrix {
        let Key(low, high) = self.key;
        let piece = |word: u32, shift: u32| (word >> shift & 0xFFFF) as f32;
        arr2(&[[self.step_size, piece(low, 0), piece(low, 16), piece(high, 0), piece(high, 16)]])
    }

    /// Reads what [`Clock::to_row`] wrote.
    ///
    /// # Errors
    /// [`Error::Shape`] unless it is a row of five numbers.
    pub fn from_row(row: MatrixView<'_>) -> Result<Self> {
        if row.dim() != (1, 5) {
            return Err(Error::shape("clock", "(1, 5)", format!("{:?}", row.dim())));
        }
        let word = |at: usize| row[[0, at]] as u32 | (row[[0, at + 1]] as u32) << 16;
        Ok(Self { step_size: row[[0, 0]], key: Key(word(1), word(3)) })
    }
}

/// `decay * old + (1 - decay) * new`, the complement taken in f64: in f32, 1 - 0.999 is off by 5e-5.
#[inline]
fn average(decay: f64, old: f32, new: f32) -> f32 {
    decay as f32 * old + (1.0 - decay) as f32 * new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_survives_the_device() {
        let clock = Clock { step_size: 0.003, key: Key(0xDEAD_BEEF, 0x0123_4567) };
        assert_eq!(Clock::from_row(clock.to_row().view()).unwrap(), clock);
    }

    #[test]
    fn the_written_back_maximum_never_decays() {
        let rule = Rule { optimizer: Optimizer::shift_adamax(), scale: 1.0, clip: true };
        let (mut m, mut v) = (0.0, 0.0);
        rule.step(0.0, 0.5, &mut m, &mut v, 0.01);
        for _ in 0..10_000 {
            rule.step(0.0, 0.0, &mut m, &mut v, 0.01);
        }
        assert_eq!(v, 0.5 + 2f32.powi(-27));
    }

    /// A gradient as small as the constant that keeps the divisor from 0.
    #[test]
    fn tiny_gradients_are_divided_by_themselves_and_the_constant() {
        let eps = 2f32.powi(-27);
        let published = Rule { optimizer: Optimizer::shift_adamax(), scale: 1.0, clip: false };
        let paper = Rule { optimizer: Optimizer::shift_adamax_paper(), ..published };
        for (rule, first, kept) in [(published, 0.1f64, 2.0 * eps), (paper, 0.125, eps)] {
            let (mut m, mut v) = (0.0, 0.0);
            let moved = rule.step(0.0, eps, &mut m, &mut v, 1.0);
            let want = -(first as f32) / 2.0;
            assert!((moved - want).abs() < 1e-6, "{moved}, not {want}");
            assert_eq!(v, kept);
        }
    }
}
