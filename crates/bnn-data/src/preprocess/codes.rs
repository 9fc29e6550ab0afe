//! Reals as bytes in fixed point, with one scale for a data set.
//!
//! Byte `u` stands for `limit * (2u - 255) / 255`, as a pixel byte does with the limit 1.

/// Share of the training images' values that may lie beyond the limit, one in so many.
pub const CLIPPED: u64 = 10_000;

/// Values of equal sign, exponent and first seven fraction bits share a bin.
const DROPPED: u32 = 16;

/// The byte of a value; beyond the limit it is 0 or 255. Halves are rounded up.
pub(crate) fn code(value: f32, limit: f32) -> u8 {
    let share = f64::from(value) / f64::from(limit);
    ((share + 1.0) * 127.5 + 0.5).clamp(0.0, 255.0) as u8
}

/// How often magnitudes occur, in bins that are at most 1/128 of their magnitude wide.
///
/// Counts are integers: they do not depend on the order in which values come.
pub(crate) struct Histogram(Vec<u64>);

impl Histogram {
    pub(crate) fn new() -> Self {
        Self(vec![0; 1 << (31 - DROPPED)])
    }

    /// Counts values.
    pub(crate) fn add(&mut self, values: &[f32]) {
        for value in values {
            self.0[(value.abs().to_bits() >> DROPPED) as usize] += 1;
        }
    }

    /// Adds the counts of another one.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// The least upper edge of a bin beyond which no more than one in [`CLIPPED`] values lies; none
    /// if that is 0, or if there are values that are no finite numbers.
    pub(crate) fn limit(&self) -> Option<f32> {
        let infinite = (f32::INFINITY.to_bits() >> DROPPED) as usize;
        if self.0[infinite..].iter().any(|&count| count > 0) {
            return None;
        }
        let clipped = self.0.iter().sum::<u64>() / CLIPPED;
        let mut beyond = 0;
        let within = |&bin: &usize| {
            beyond += self.0[bin];
            beyond > clipped
        };
        let last = (0..infinite).rev().find(within).filter(|&bin| bin > 0)?;
        Some(f32::from_bits((last as u32 + 1) << DROPPED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_within_half_a_step_and_clipped_beyond() {
        for limit in [1.0_f32, 0.37, 52.0] {
            for step in -1000..=1000 {
                let value = step as f32 / 1000.0 * limit;
                let code = code(value, limit);
                let back = f64::from(limit) * f64::from(2 * i32::from(code) - 255) / 255.0;
                let error = (back - f64::from(value)).abs();
                assert!(error <= f64::from(limit) / 255.0 * 1.000_001, "{value}: {back}");
            }
            assert_eq!(
                [-limit, limit, -9.0 * limit, 9.0 * limit].map(|v| code(v, limit)),
                [0, 255, 0, 255]
            );
        }
        assert_eq!([0.0, -1e-6].map(|value| code(value, 1.0)), [128, 127]);
    }

    #[test]
    fn pixels_of_the_linear_map_are_their_own_codes() {
        for byte in 0..=255 {
            assert_eq!(code((2.0 * f32::from(byte) - 255.0) / 255.0, 1.0), byte);
        }
    }

    #[test]
    fn one_in_ten_thousand_lies_beyond_the_limit() {
        let mut histogram = Histogram::new();
        histogram.add(&[0.5; 9998]);
        histogram.add(&[-3.0, -7.0]);
        // One of them may be clipped, not both: the limit is the upper edge of the bin of 3.
        assert_eq!(histogram.limit(), Some(3.015625));
        let mut more = Histogram::new();
        more.add(&[0.5; 10_000]);
        histogram.merge(&more);
        assert_eq!(histogram.limit(), Some(0.50390625));
    }

    #[test]
    fn nothing_but_zeros_has_no_limit() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.limit(), None);
        histogram.add(&[0.0; 10]);
        assert_eq!(histogram.limit(), None);
        histogram.add(&[f32::INFINITY]);
        assert_eq!(histogram.limit(), None);
    }
}
