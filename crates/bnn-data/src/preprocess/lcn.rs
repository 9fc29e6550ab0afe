//! Local contrast normalization, channel by channel.

/// Side of the Gaussian window, in pixels.
pub const WINDOW: usize = 9;

/// Deviation of the Gaussian, in pixels.
const DEVIATION: f64 = 2.0;

/// Added to the deviation that a channel is divided by.
const THRESHOLD: f64 = 1e-4;

/// Takes the local mean off every channel of an image, and divides it by the deviation of what is
/// left, plus 1e-4.
///
/// The local mean is the sum under a window of 9 x 9 pixels with weights
/// `exp(-(dx^2 + dy^2) / (2 * 2^2))` that add up to 1; pixels outside the image count 0. The deviation
/// is the unbiased one over the channel (the paper's Torch7 script: dp's LCN with `divide_by_std`, whose
/// "each image" is one channel of one: docs/decisions.md).
/// `image` holds rows of pixels, `width` in each, `channels` values in a pixel.
pub(crate) fn normalize(image: &mut [f32], width: usize, channels: usize) {
    let taps = taps();
    let height = image.len() / (width * channels);
    let (mut plane, mut across) = (vec![0.0; height * width], vec![0.0; height * width]);
    for channel in 0..channels {
        let values = || (channel..image.len()).step_by(channels);
        plane.iter_mut().zip(values()).for_each(|(to, at)| *to = f64::from(image[at]));
        // The Gaussian is a product: first along rows, then along columns.
        for (row, to) in plane.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
            (0..width).for_each(|x| to[x] = weighted(&taps, x, width, |x| row[x]));
        }
        for (at, value) in plane.iter_mut().enumerate() {
            let (y, x) = (at / width, at % width);
            *value -= weighted(&taps, y, height, |y| across[y * width + x]);
        }
        let factor = (deviation(&plane) + THRESHOLD).recip();
        plane.iter().zip(values()).for_each(|(from, at)| image[at] = (from * factor) as f32);
    }
}

/// The window along one axis: nine weights that add up to 1.
fn taps() -> [f64; WINDOW] {
    let middle = (WINDOW / 2) as f64;
    let gauss = |tap| libm::exp(-(tap as f64 - middle).powi(2) / (2.0 * DEVIATION * DEVIATION));
    let taps: [f64; WINDOW] = std::array::from_fn(gauss);
    let sum: f64 = taps.iter().sum();
    taps.map(|tap| tap / sum)
}

/// Sum of the values around `at`, each by its weight; there are `count`, and others are 0.
fn weighted(taps: &[f64; WINDOW], at: usize, count: usize, value: impl Fn(usize) -> f64) -> f64 {
    let first = at as isize - (WINDOW / 2) as isize;
    let inside = |(tap, weight): (usize, &f64)| {
        let place = usize::try_from(first + tap as isize).ok().filter(|&place| place < count)?;
        Some(weight * value(place))
    };
    taps.iter().enumerate().filter_map(inside).sum()
}

/// The unbiased deviation.
fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    (squares / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_normalized_as_by_a_window_of_81_weights() {
        // NumPy: zeros padded around, the window as 81 weights, `std(ddof=1)`.
        let byte = |y, x, c| (y * 31 + x * 17 + c * 59 + y * x * 7) % 256;
        let places = (0..180).map(|at| (at / 18, at / 2 % 9, at % 2));
        let mut image: Vec<f32> = places.map(|(y, x, c)| byte(y, x, c) as f32 / 255.0).collect();
        normalize(&mut image, 9, 2);
        for ((y, x, c), want) in [
            ((0, 0, 0), -0.338699),
            ((0, 0, 1), 0.210823),
            ((4, 4, 0), -1.073093),
            ((5, 7, 1), -0.442353),
            ((9, 8, 0), 1.375519),
            ((9, 0, 1), 0.533073),
        ] {
            let got = image[(y * 9 + x) * 2 + c];
            assert!((got - want).abs() < 2e-6, "pixel {x},{y}, channel {c}: {got}, want {want}");
        }
    }

    #[test]
    fn a_channel_is_divided_by_its_own_deviation() {
        let value = |at: usize| (at * 37 % 101) as f32 / 101.0;
        let mut alone: Vec<f32> = (0..81).map(value).collect();
        let mut beside: Vec<f32> =
            (0..81).flat_map(|at| [value(at), value(at + 9) / 8.0]).collect();
        normalize(&mut alone, 9, 1);
        normalize(&mut beside, 9, 2);
        let first: Vec<f32> = beside.into_iter().step_by(2).collect();
        assert_eq!(first, alone);
    }

    #[test]
    fn a_black_image_stays_black() {
        let mut image = [0.0; 162];
        normalize(&mut image, 9, 2);
        assert_eq!(image, [0.0; 162]);
    }
}
