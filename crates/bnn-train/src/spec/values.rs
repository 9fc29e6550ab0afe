//! What weights and activations are, by name: reals, or the codes of a quantizer.

use std::fmt;
use std::str::FromStr;

use bnn_core::{Activation, Quant};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::QuantName;
use crate::{Error, Result};

/// The weights of a network: `real`, or the name of a quantizer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Weights {
    /// No quantizer: the paper's networks without binarization.
    Real,
    /// Quantized, with latent weights in training.
    Quant(QuantName),
}

/// The activations of a network: `hard-tanh`, `relu`, or the name of a quantizer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Activations {
    /// Real: networks without binarization, and BinaryConnect.
    Real(Activation),
    /// Quantized.
    Quant(QuantName),
}

impl Weights {
    /// The quantizer, none for real weights.
    ///
    /// # Errors
    /// As [`QuantName::quant`].
    pub fn quant(self) -> bnn_core::Result<Option<Quant>> {
        match self {
            Self::Real => Ok(None),
            Self::Quant(name) => name.quant().map(Some),
        }
    }

    /// Checks that weights, which latent ones from -1 to 1 are quantized to, can have several values.
    pub(super) fn check(self) -> Result<()> {
        let refuse = |why: String| Err(Error::spec("net.weights", why));
        match self {
            Self::Quant(QuantName::StochasticSign) => refuse(
                "`stochastic-sign` is for activations: want `sign`, `ternary DELTA`, `levels BITS` \
                 or `real`"
                    .into(),
            ),
            Self::Quant(QuantName::Ternary(delta)) if delta > 1.0 => refuse(format!(
                "`{self}` makes every weight 0, as latent weights lie from -1 to 1; want a threshold \
                 of at most 1"
            )),
            _ => Ok(()),
        }
    }
}

/// Reads the share of entries that is dropped, and checks it before it becomes an f32.
pub(super) fn share<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<f32, D::Error> {
    let exact = f64::deserialize(deserializer)?;
    let share = exact as f32;
    let why = match exact > 0.0 && share == 0.0 {
        true => Some(too_small(exact)),
        false => check_share(share).err(),
    };
    why.map_or(Ok(share), |why| Err(D::Error::custom(why)))
}

/// Checks the share of entries that is dropped: none, or so many that f32 tells it and what is kept
/// from all.
pub(super) fn check_share(share: f32) -> std::result::Result<(), String> {
    if !(0.0..1.0).contains(&share) {
        return Err(format!("{share} is not in [0, 1)"));
    }
    if share > 0.0 && 1.0 - share == 1.0 { Err(too_small(share)) } else { Ok(()) }
}

fn too_small(share: impl fmt::LowerExp) -> String {
    format!("dropping {share:e} of the entries is dropping none in f32; want 0, or at least 1e-7")
}

impl Activations {
    /// The quantizer, none for real activations.
    ///
    /// # Errors
    /// As [`QuantName::quant`].
    pub fn quant(self) -> bnn_core::Result<Option<Quant>> {
        match self {
            Self::Real(_) => Ok(None),
            Self::Quant(name) => name.quant().map(Some),
        }
    }
}

impl FromStr for Weights {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.trim() {
            "real" => Ok(Self::Real),
            name => name
                .parse()
                .map(Self::Quant)
                .map_err(|why: String| format!("{why}; weights may also be `real`")),
        }
    }
}

impl FromStr for Activations {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.trim() {
            "hard-tanh" => Ok(Self::Real(Activation::HardTanh)),
            "relu" => Ok(Self::Real(Activation::Relu)),
            name => name.parse().map(Self::Quant).map_err(|why: String| {
                format!("{why}; activations may also be real: `hard-tanh` or `relu`")
            }),
        }
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real => f.write_str("real"),
            Self::Quant(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Activations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real(Activation::HardTanh) => f.write_str("hard-tanh"),
            Self::Real(Activation::Relu) => f.write_str("relu"),
            Self::Quant(name) => name.fmt(f),
        }
    }
}

impl TryFrom<String> for Weights {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Activations {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl From<Weights> for String {
    fn from(weights: Weights) -> Self {
        weights.to_string()
    }
}

impl From<Activations> for String {
    fn from(activations: Activations) -> Self {
        activations.to_string()
    }
}
