//! Quantizers as data: cuts, what their crossing is worth, and the pass-through range.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A staircase from reals to codes, and its straight-through estimator.
///
/// `x` crosses cut `i` where `x >= cuts[i]`; [`Levels`] turns crossings into sign planes.
/// The gradient passes unchanged where `|x| <= range` and is 0 elsewhere (paper, equation 4).
///
/// ```
/// use bnn_core::Quant;
/// assert_eq!(Quant::sign().cuts, [0.0]);
/// assert_eq!(Quant::ternary(0.5).unwrap().cuts, [-0.5, 0.5]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quant {
    /// Thresholds, ascending.
    pub cuts: Vec<f32>,
    /// What crossing them is worth.
    pub levels: Levels,
    /// Largest magnitude at which the gradient passes.
    pub range: f32,
}

/// How crossed cuts become sign planes, and what the planes are worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// Scale of the code.
    pub scale: f32,
    /// The planes.
    pub form: Form,
}

/// The most planes: as many as 8 binary digits have cuts.
const MOST_PLANES: usize = 255;

/// The planes of a [`Levels`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// One plane per cut, +1 where crossed, with the weights given: a thermometer.
    Steps(Vec<i32>),
    /// `planes` planes of weights 1, 2, 4, ..: the binary digits of the number of crossed cuts, of
    /// which there are `2^planes - 1`. Products then cost one pass per plane, not one per cut.
    Binary {
        /// Number of binary digits.
        planes: u32,
    },
}

impl Quant {
    /// Deterministic binarization with the hard tanh's straight-through range of 1.
    pub fn sign() -> Self {
        Self { cuts: vec![0.0], levels: Levels::sign(), range: 1.0 }
    }

    /// -1, 0 or +1, zero where `-delta <= x < delta`.
    ///
    /// # Errors
    /// [`Error::Value`] unless `delta` is positive and finite.
    pub fn ternary(delta: f32) -> Result<Self> {
        if !(delta > 0.0 && delta.is_finite()) {
            return Err(Error::value("delta", format!("{delta} is not positive")));
        }
        let levels = Levels { scale: 0.5, form: Form::Steps(vec![1, 1]) };
        Ok(Self { cuts: vec![-delta, delta], levels, range: 1.0 })
    }

    /// `2^bits` evenly spaced values from -1 to 1, rounded to the nearest.
    ///
    /// # Errors
    /// [`Error::Value`] unless `bits` lies in 1..=8.
    pub fn uniform(bits: u32) -> Result<Self> {
        if !(1..=8).contains(&bits) {
            return Err(Error::value("bits", format!("{bits} is not in 1..=8")));
        }
        let steps = (1i32 << bits) - 1; // values are odd integers from -steps to steps, over steps
        let cut = |i: i32| (2 * i - steps - 1) as f32 / steps as f32;
        let levels = Levels { scale: 1.0 / steps as f32, form: Form::Binary { planes: bits } };
        Ok(Self { cuts: (1..=steps).map(cut).collect(), levels, range: 1.0 })
    }

    /// Whether this is plain binarization, the only quantizer with a stochastic form.
    pub fn is_sign(&self) -> bool {
        self.cuts == [0.0] && self.levels == Levels::sign()
    }

    /// Checks that cuts, planes and range belong together.
    ///
    /// # Errors
    /// [`Error::Value`] for cuts out of order or not finite, a wrong number of them, no plane, a
    /// range or scale that is not positive.
    pub fn check(&self) -> Result<()> {
        self.levels.check()?;
        if self.cuts.len() != self.levels.cuts() {
            let why = format!("{} for a code of {}", self.cuts.len(), self.levels.cuts());
            return Err(Error::value("cuts", why));
        }
        let finite = self.cuts.iter().all(|cut| cut.is_finite());
        if !finite || !self.cuts.is_sorted() {
            return Err(Error::value("cuts", format!("{:?} are not ascending numbers", self.cuts)));
        }
        if self.range.is_nan() || self.range <= 0.0 {
            return Err(Error::value("range", format!("{} is not positive", self.range)));
        }
        Ok(())
    }
}

impl Levels {
    /// One plane of signs.
    pub fn sign() -> Self {
        Self { scale: 1.0, form: Form::Steps(vec![1]) }
    }

    /// Number of cuts.
    pub fn cuts(&self) -> usize {
        match &self.form {
            Form::Steps(weights) => weights.len(),
            Form::Binary { planes } => (1 << planes) - 1,
        }
    }

    /// Weights of the planes.
    pub fn weights(&self) -> Vec<i32> {
        match &self.form {
            Form::Steps(weights) => weights.clone(),
            Form::Binary { planes } => (0..*planes).map(|i| 1 << i).collect(),
        }
    }

    /// The largest magnitude of the integers before scaling.
    pub fn bound(&self) -> u64 {
        self.weights().iter().map(|weight| u64::from(weight.unsigned_abs())).sum()
    }

    /// The bit of plane `plane`, of a value whose crossing of cut `i` is `crossed(i)`.
    pub fn bit(&self, plane: usize, crossed: impl Fn(usize) -> bool) -> bool {
        match &self.form {
            Form::Steps(_) => crossed(plane),
            Form::Binary { .. } => {
                let count = (0..self.cuts()).filter(|&cut| crossed(cut)).count();
                count >> plane & 1 == 1
            }
        }
    }

    /// Checks planes and scale.
    ///
    /// # Errors
    /// [`Error::Value`] without a plane, with more than 255 planes or 8 binary digits, with weights that
    /// are not positive, or a scale that is not positive.
    pub fn check(&self) -> Result<()> {
        let sound = match &self.form {
            Form::Steps(weights) => !weights.is_empty() && weights.iter().all(|&weight| weight > 0),
            Form::Binary { planes } => (1..=8).contains(planes),
        };
        if !sound {
            return Err(Error::value("levels", format!("{:?} has no sound planes", self.form)));
        }
        let planes = self.weights().len();
        if planes > MOST_PLANES {
            let why = format!("{planes} planes, where {MOST_PLANES} are the most");
            return Err(Error::value("levels", why));
        }
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            return Err(Error::value("scale", format!("{} is not positive", self.scale)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(quant: &Quant, x: f32) -> f32 {
        let weights = quant.levels.weights();
        let sign = |plane| if quant.levels.bit(plane, |cut| x >= quant.cuts[cut]) { 1 } else { -1 };
        let sum: i32 = weights.iter().enumerate().map(|(plane, weight)| weight * sign(plane)).sum();
        sum as f32 * quant.levels.scale
    }

    #[test]
    fn ternary_has_three_values() {
        let quant = Quant::ternary(0.5).unwrap();
        assert_eq!([-0.6, -0.5, 0.0, 0.5].map(|x| value(&quant, x)), [-1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn uniform_codes_round_to_the_nearest_value() {
        for bits in 1..=8 {
            let quant = Quant::uniform(bits).unwrap();
            quant.check().unwrap();
            let steps = (1 << bits) - 1;
            for x in (-100..=100).map(|i| i as f32 * 0.013) {
                let nearest = ((x.clamp(-1.0, 1.0) + 1.0) / 2.0 * steps as f32).round();
                let want = nearest / steps as f32 * 2.0 - 1.0;
                assert!((value(&quant, x) - want).abs() < 1e-6, "{bits} bits at {x}");
            }
        }
    }

    #[test]
    fn unsound_quantizers_are_refused() {
        for delta in [f32::NAN, 0.0, -1.0, f32::INFINITY] {
            assert!(Quant::ternary(delta).is_err(), "{delta}");
        }
        assert!(Quant::uniform(9).is_err());
        assert!(Quant { cuts: vec![0.0, 1.0], ..Quant::sign() }.check().is_err());
        assert!(Quant { cuts: vec![f32::NAN], ..Quant::sign() }.check().is_err());
        assert!(Quant { range: 0.0, ..Quant::sign() }.check().is_err());
    }

    #[test]
    fn levels_have_planes_of_positive_weights_and_a_positive_scale() {
        let check = |scale, weights| Levels { scale, form: Form::Steps(weights) }.check();
        assert!(check(1.0, vec![3; 255]).is_ok());
        assert_eq!(Levels { scale: 1.0, form: Form::Steps(vec![3; 5]) }.bound(), 15);
        for weights in [vec![], vec![1, 0], vec![1, -1], vec![1; 256]] {
            assert!(check(1.0, weights.clone()).is_err(), "{weights:?}");
        }
        for scale in [0.0, -1.0, f32::INFINITY, f32::NAN] {
            assert!(check(scale, vec![1]).is_err(), "{scale}");
        }
    }

    #[test]
    fn a_sign_has_one_threshold_at_zero_and_one_plane() {
        assert!(Quant::sign().is_sign());
        assert!(!Quant { cuts: vec![0.5], ..Quant::sign() }.is_sign());
        let levels = Levels { scale: 2.0, ..Levels::sign() };
        assert!(!Quant { levels, ..Quant::sign() }.is_sign());
    }
}
