//! The names that a spec uses for quantizers, norms, optimizers and step scales.

use std::fmt;
use std::str::FromStr;

use bnn_core::scalar::ap2;
use bnn_core::{Norm, Optimizer, Quant};
use serde::{Deserialize, Serialize};

/// A quantizer by name: `sign`, `stochastic-sign`, `ternary DELTA` or `levels BITS`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum QuantName {
    /// Binarization.
    Sign,
    /// Binarization, stochastic in training (paper, equation 2) and deterministic in evaluation.
    StochasticSign,
    /// -1, 0 or +1 with the given threshold.
    Ternary(f32),
    /// `2^bits` even steps.
    Levels(u32),
}

impl QuantName {
    /// The quantizer.
    ///
    /// # Errors
    /// [`bnn_core::Error::Value`] for a threshold or a number of bits out of range.
    pub fn quant(self) -> bnn_core::Result<Quant> {
        match self {
            Self::Sign | Self::StochasticSign => Ok(Quant::sign()),
            Self::Ternary(delta) => Quant::ternary(delta),
            Self::Levels(bits) => Quant::uniform(bits),
        }
    }
}

impl FromStr for QuantName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "`{text}` is no quantizer: want `sign`, `stochastic-sign`, `ternary DELTA` or `levels BITS`"
            )
        };
        let name = match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["sign"] => Self::Sign,
            ["stochastic-sign"] => Self::StochasticSign,
            ["ternary", delta] => Self::Ternary(delta.parse().map_err(|_| unknown())?),
            ["levels", bits] => Self::Levels(bits.parse().map_err(|_| unknown())?),
            _ => return Err(unknown()),
        };
        name.quant().map(|_| name).map_err(|error| format!("`{text}`: {error}"))
    }
}

impl fmt::Display for QuantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sign => f.write_str("sign"),
            Self::StochasticSign => f.write_str("stochastic-sign"),
            Self::Ternary(delta) => write!(f, "ternary {delta}"),
            Self::Levels(bits) => write!(f, "levels {bits}"),
        }
    }
}

impl TryFrom<String> for QuantName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<QuantName> for String {
    fn from(name: QuantName) -> Self {
        name.to_string()
    }
}

/// A batch normalization by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormName {
    /// [`Norm::theano`].
    Theano,
    /// [`Norm::torch`].
    Torch,
    /// [`Norm::shift`].
    Shift,
}

impl NormName {
    /// The norm.
    pub fn norm(self) -> Norm {
        match self {
            Self::Theano => Norm::theano(),
            Self::Torch => Norm::torch(),
            Self::Shift => Norm::shift(),
        }
    }
}

/// An optimizer by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerName {
    /// [`Optimizer::adam`].
    Adam,
    /// [`Optimizer::shift_adamax`].
    ShiftAdamax,
    /// [`Optimizer::shift_adamax_paper`].
    ShiftAdamaxPaper,
}

impl OptimizerName {
    /// The optimizer.
    pub fn optimizer(self) -> Optimizer {
        match self {
            Self::Adam => Optimizer::adam(),
            Self::ShiftAdamax => Optimizer::shift_adamax(),
            Self::ShiftAdamaxPaper => Optimizer::shift_adamax_paper(),
        }
    }
}

/// Factor on the optimizer's steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepScale {
    /// 1.
    #[default]
    None,
    /// `sqrt((fan_in + fan_out) / 1.5)`.
    Glorot,
    /// The same, rounded to a power of two: the Torch7 ConvNets.
    GlorotPow2,
}

impl StepScale {
    /// The factor; fans are window taps times channels.
    pub fn factor(self, fan_in: usize, fan_out: usize) -> f32 {
        let glorot = ((fan_in + fan_out) as f64 / 1.5).sqrt() as f32;
        match self {
            Self::None => 1.0,
            Self::Glorot => glorot,
            Self::GlorotPow2 => ap2(glorot),
        }
    }
}

/// Which parameters are clipped to [-1, 1] after a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clip {
    /// The latent weights, those with a quantizer: the paper.
    #[default]
    Weights,
    /// Real weights, gains and offsets of the norms too, as the published Torch7 script for CIFAR-10 does.
    All,
}

/// What happens to the images that do not fill the last batch of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastBatch {
    /// They are left out: the Theano code.
    #[default]
    Drop,
    /// They are a smaller batch: the Torch7 code.
    Keep,
}

impl LastBatch {
    /// The same for the batches of a data set.
    pub fn last(self) -> bnn_data::Last {
        match self {
            Self::Drop => bnn_data::Last::Drop,
            Self::Keep => bnn_data::Last::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glorot_factors_are_the_papers() {
        let factor = |fan_in, fan_out| StepScale::Glorot.factor(fan_in, fan_out);
        let close = |a: f32, b: f32| (a - b).abs() < 5e-4;
        assert!(close(factor(784, 4096), 57.038) && close(factor(4096, 10), 52.320));
        let rounded = [(27, 1152), (8192, 1024)].map(|(i, o)| StepScale::GlorotPow2.factor(i, o));
        assert_eq!(rounded, [32.0, 64.0]);
    }

    #[test]
    fn quantizers_round_trip_through_text() {
        for text in ["sign", "stochastic-sign", "ternary 0.5", "levels 3"] {
            assert_eq!(text.parse::<QuantName>().unwrap().to_string(), text);
        }
        assert!("ternary -1".parse::<QuantName>().unwrap_err().contains("not positive"));
        assert!("tanh".parse::<QuantName>().unwrap_err().contains("no quantizer"));
    }
}
