//! Global contrast normalization, image by image.

/// Takes the mean off an image and divides it by `sqrt(bias + variance)`.
///
/// Mean and variance are over all values of all channels, the variance biased (paper-era pylearn2 and
/// dp: `sqrt_bias` with `use_std`), both summed in f64.
pub(crate) fn normalize(image: &mut [f32], bias: f32) {
    let count = image.len() as f64;
    let mean = image.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let square = |&x: &f32| (f64::from(x) - mean).powi(2);
    let variance = image.iter().map(square).sum::<f64>() / count;
    let factor = (f64::from(bias) + variance).sqrt().recip();
    image.iter_mut().for_each(|x| *x = ((f64::from(*x) - mean) * factor) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_centred_and_divided() {
        // NumPy: x = [0, .2, .4, 1]; (x - x.mean()) / sqrt(b + x.var()), b = 10 and 0.01.
        for (bias, want) in [
            (10.0, [-0.125615, -0.062807, 0.0, 0.188422]),
            (0.01, [-1.032796, -0.516398, 0.0, 1.549193]),
        ] {
            let mut image = [0.0, 0.2, 0.4, 1.0];
            normalize(&mut image, bias);
            for (got, want) in image.iter().zip(want) {
                assert!((got - want).abs() < 2e-6, "bias {bias}: {got}, want {want}");
            }
        }
    }

    #[test]
    fn a_flat_image_becomes_zero() {
        let mut image = [0.7; 12];
        normalize(&mut image, 10.0);
        assert_eq!(image, [0.0; 12]);
    }
}
