//! The contract of the float baselines: networks whose weights or activations stay real.

use serde::{Deserialize, Serialize};

use crate::reference as definition;
use crate::{Gather, Operand, Result, TrainBackend};

/// A device that can also multiply reals: BinaryConnect, and the networks without binarization
/// that the paper compares itself with.
///
/// The defaults compute on the host, as in [`TrainBackend`].
pub trait FloatBackend: TrainBackend {
    /// The product of gathered rows of `a` with every row of `w`, where either may be real.
    fn product_real(
        &self,
        a: Operand<'_, Self>,
        w: Operand<'_, Self>,
        gather: &Gather,
    ) -> Result<Self::Real> {
        let (a, w) = (a.fetch(self)?, w.fetch(self)?);
        self.put(definition::product_real(&a, &w, gather)?.view())
    }

    /// A real activation function.
    fn activate(&self, x: &Self::Real, activation: Activation) -> Result<Self::Real> {
        self.put(self.get(x)?.mapv(|x| activation.value(x)).view())
    }

    /// Gradient of [`activate`](Self::activate) by `x`.
    fn activate_grad(
        &self,
        dy: &Self::Real,
        x: &Self::Real,
        activation: Activation,
    ) -> Result<Self::Real> {
        let (dy, x) = (self.get(dy)?, self.get(x)?);
        self.put(definition::activate_grad(&dy, &x, activation)?.view())
    }
}

/// The activation functions of the float baselines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `clip(x, -1, 1)`.
    HardTanh,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// The function.
    pub fn value(self, x: f32) -> f32 {
        match self {
            Self::HardTanh => x.clamp(-1.0, 1.0),
            Self::Relu => x.max(0.0),
        }
    }

    /// Whether the gradient passes at `x`: `|x| <= 1` for the hard tanh, `x > 0` for the rectifier.
    pub fn passes(self, x: f32) -> bool {
        match self {
            Self::HardTanh => x.abs() <= 1.0,
            Self::Relu => x > 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_have_their_values_and_gradients() {
        let at = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0];
        let value = |activation: Activation| at.map(|x| activation.value(x));
        assert_eq!(value(Activation::HardTanh), [-1.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.0]);
        assert_eq!(value(Activation::Relu), [0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 2.0]);
        let passes = |activation: Activation| at.map(|x| u8::from(activation.passes(x)));
        assert_eq!(passes(Activation::HardTanh), [0, 1, 1, 1, 1, 1, 0]);
        assert_eq!(passes(Activation::Relu), [0, 0, 0, 0, 1, 1, 1]);
    }
}
