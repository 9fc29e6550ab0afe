//! The scalar functions of the paper.

/// Binarization: +1 where `x >= 0` (zero of either sign included), else -1 (paper, equation 1).
pub fn sign(x: f32) -> f32 {
    if x >= 0.0 { 1.0 } else { -1.0 }
}

/// `clip((x + 1) / 2, 0, 1)`: the probability that `x` is binarized to +1 (paper, equation 3).
#[inline]
pub fn hard_sigmoid(x: f32) -> f32 {
    ((x + 1.0) / 2.0).clamp(0.0, 1.0)
}

/// The power of two nearest to `x` in the log domain, with its sign: `sign(x) 2^round(log2 |x|)`.
///
/// Zeros stay zero, and what is not finite stays as it is.
/// The boundary between `2^k` and `2^(k+1)` is `sqrt(2) 2^k`; the libraries' `log2` differ near it,
/// so the fraction bits are compared with those of sqrt(2) instead.
/// Subnormal numbers are scaled up first; a result beyond the largest power of two is infinite.
/// There is no branch, so that loops over it fill the registers.
#[inline]
pub fn ap2(x: f32) -> f32 {
    const FRACTION: u32 = 0x007F_FFFF;
    const SQRT_2_FRACTION: u32 = 0x0035_04F4; // the first fraction above sqrt(2)'s
    const UP: f32 = (1u32 << 24) as f32;
    let (up, down) = if x.abs() < f32::MIN_POSITIVE { (UP, 1.0 / UP) } else { (1.0, 1.0) };
    let bits = (x * up).to_bits();
    let up_one = u32::from(bits & FRACTION >= SQRT_2_FRACTION) << 23;
    let exponent = (bits & !FRACTION).wrapping_add(up_one); // wraps for NaN alone
    let power = f32::from_bits(exponent) * down;
    if x.is_finite() { power } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_fixed_points() {
        for k in -149..128 {
            let x = 2f64.powi(k) as f32;
            assert_eq!((ap2(x), ap2(-x)), (x, -x), "2^{k}");
        }
    }

    #[test]
    fn rounding_is_in_the_log_domain() {
        assert_eq!(ap2(1.5), 2.0);
        assert_eq!(ap2(std::f32::consts::SQRT_2), 1.0); // the f32 lies below the real sqrt(2)
        assert_eq!(ap2(std::f32::consts::SQRT_2.next_up()), 2.0);
        assert_eq!(ap2(3.0 * f32::from_bits(1)), 4.0 * f32::from_bits(1));
        assert_eq!(ap2(0.0).to_bits(), 0.0f32.to_bits());
        assert!(ap2(f32::NAN).is_nan() && ap2(-f32::NAN).is_nan());
    }

    #[test]
    fn hard_sigmoid_saturates() {
        assert_eq!([-2.0, -1.0, 0.0, 1.0, 2.0].map(hard_sigmoid), [0.0, 0.0, 0.5, 1.0, 1.0]);
    }
}
