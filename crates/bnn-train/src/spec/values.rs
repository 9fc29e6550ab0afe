//! What weights and activations are, by name: reals, or the codes of a quantizer.

use std::fmt;
use std::str::FromStr;

use bnn_core::{Activation, Quant};
use serde::{Deserialize, Serialize};

use super::QuantName;

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

    fn from_str(text: &str) -> Result<Self, String> {
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

    fn from_str(text: &str) -> Result<Self, String> {
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

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Activations {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
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
