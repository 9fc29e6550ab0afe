//! Folding a norm and a quantizer into integer thresholds.
//!
//! The threshold is found by bisection on the very function that evaluation uses, so rounding can
//! never make the two disagree; a gain of zero needs no rule of its own.

use crate::{Matrix, Norm, Quant};

/// Evaluation between an integer sum and its code: one norm per channel, then a quantizer.
pub struct Evaluation<'a> {
    /// Multiplies the integer sums.
    pub scale: f32,
    /// Running mean per channel.
    pub mean: &'a [f32],
    /// [`Norm::gain`] per channel.
    pub gain: &'a [f32],
    /// Beta per channel.
    pub beta: &'a [f32],
    /// The quantizer behind the norm.
    pub quant: &'a Quant,
}

/// Integer thresholds that replace an [`Evaluation`].
#[derive(Clone, Debug, PartialEq)]
pub struct Cuts {
    /// One row per cut, one column per channel: crossed where `sum >= cut`. Integers.
    pub at: Matrix,
    /// Channels with negative gain: the code is the negative of evaluation's, and what reads it must
    /// change the sign of its weights.
    pub inverted: Vec<bool>,
}

impl Evaluation<'_> {
    /// Searches the thresholds of all channels over sums from `-bound` to `bound`.
    ///
    /// A cut crossed by every sum lies at `-bound`, one crossed by none at `bound + 1`.
    pub fn fold(&self, bound: i32) -> Cuts {
        let inverted: Vec<bool> = self.gain.iter().map(|&gain| gain < 0.0).collect();
        let cuts = self.quant.cuts.len();
        let at = Matrix::from_shape_fn((cuts, self.gain.len()), |(cut, channel)| {
            let crossed = |sum| self.value(sum, channel) >= self.quant.cuts[cut];
            first(bound, |sum| crossed(sum) != inverted[channel]) as f32
        });
        Cuts { at, inverted }
    }

    fn value(&self, sum: i32, channel: usize) -> f32 {
        let x = sum as f32 * self.scale;
        Norm::apply(x, self.mean[channel], self.gain[channel], self.beta[channel])
    }
}

/// The smallest of `-bound..=bound` that is `reached`, or `bound + 1`; `reached` must not fall.
fn first(bound: i32, reached: impl Fn(i32) -> bool) -> i32 {
    let (mut low, mut high) = (-bound, bound + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if reached(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Form, Levels};
    use proptest::prelude::*;

    fn codes(evaluation: &Evaluation<'_>, sum: i32) -> Vec<bool> {
        let crossed = |cut: &f32| evaluation.value(sum, 0) >= *cut;
        evaluation.quant.cuts.iter().map(crossed).collect()
    }

    proptest! {
        /// Every integer on both sides of every cut, for gains of both signs and zero.
        #[test]
        fn cuts_equal_evaluation_everywhere(
            mean in -20f32..20.0, gain in prop_oneof![Just(0.0f32), -2f32..2.0], beta in -3f32..3.0,
            scale in prop_oneof![Just(1.0f32), Just(1.0 / 255.0)], levels in 0u32..4,
        ) {
            let quant = if levels == 0 { Quant::sign() } else { Quant::uniform(levels).unwrap() };
            let evaluation =
                Evaluation { scale, mean: &[mean], gain: &[gain], beta: &[beta], quant: &quant };
            let cuts = evaluation.fold(40);
            for sum in -40..=40 {
                let count = cuts.at.iter().filter(|&&cut| sum as f32 >= cut).count();
                let crossed = codes(&evaluation, sum).into_iter().filter(|&crossed| crossed).count();
                let want = if cuts.inverted[0] { quant.cuts.len() - crossed } else { crossed };
                prop_assert_eq!(count, want, "sum {}", sum);
            }
        }
    }

    /// Planes of different weights: each must turn by itself where the gain is negative.
    #[test]
    fn uneven_steps_are_negated_plane_by_plane() {
        let levels = Levels { scale: 1.0, form: Form::Steps(vec![2, 1, 4]) };
        let quant = Quant { cuts: vec![-3.0, 0.0, 2.0], levels, range: 1.0 };
        for gain in [-1.0, 1.0] {
            let (mean, gain, beta) = (&[0.5], &[gain], &[0.0]);
            let evaluation = Evaluation { scale: 1.0, mean, gain, beta, quant: &quant };
            let cuts = evaluation.fold(9);
            let integer = |crossed: &dyn Fn(usize) -> bool| -> i32 {
                let planes = quant.levels.weights().into_iter().enumerate();
                planes.map(|(at, weight)| if crossed(at) { weight } else { -weight }).sum()
            };
            for sum in -9..=9 {
                let frozen = integer(&|cut| sum as f32 >= cuts.at[[cut, 0]]);
                let want = integer(&|cut| evaluation.value(sum, 0) >= quant.cuts[cut]);
                assert_eq!(if cuts.inverted[0] { -frozen } else { frozen }, want, "sum {sum}");
            }
        }
    }

    #[test]
    fn constant_channels_end_at_the_ends_of_the_range() {
        let quant = Quant::sign();
        let (mean, gain, beta) = (&[0.0; 3], &[0.0, 0.0, -0.0], &[0.5, -0.5, 0.0]);
        let cuts = Evaluation { scale: 1.0, mean, gain, beta, quant: &quant }.fold(9);
        assert_eq!(cuts.at.as_slice().unwrap(), [-9.0, 10.0, -9.0]);
        assert_eq!(cuts.inverted, [false; 3]);
    }
}
