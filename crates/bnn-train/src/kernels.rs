//! How many of a convolution's binary 2-D kernels differ.

use std::collections::HashSet;

use bnn_core::{Gather, Hidden};

/// Taps of the largest kernel that is told apart: as many as an integer has bits.
const MOST_TAPS: usize = u64::BITS as usize;

/// The share of a convolution's 2-D kernels that differ, a kernel and its negative counted as one:
/// for every input channel the distinct kernels that act on it, over the outputs; mean over the
/// channels (paper, section 4.2: 42 % on average in the CIFAR-10 network).
///
/// None for layers that are no convolution: dense ones, also behind a convolution, and windows of one
/// tap or of more than 64; and for weights of several planes.
///
/// Of random signs, 3 x 3 kernels are 79 % distinct at 128 outputs, 63 % at 256 and 43 % at 512,
/// since there are only 256 of them.
pub fn unique_share(layer: &Hidden) -> Option<f64> {
    let Gather::Patches { grid, window } = layer.gather else { return None };
    let taps = window.taps();
    let [(_, weights)] = layer.weights.planes.as_slice() else { return None };
    let slides = window.positions(grid).is_ok_and(|out| out.pixels() > 1);
    if !slides || !(2..=MOST_TAPS).contains(&taps) || layer.weights.mask.is_some() {
        return None;
    }
    let (outputs, channels) = (weights.rows(), weights.cols() / taps);
    let all = u64::MAX >> (MOST_TAPS - taps);
    let kernel = |output, channel| {
        let bit = |tap: usize| u64::from(weights.get(output, tap * channels + channel)) << tap;
        let kernel = (0..taps).map(bit).sum::<u64>();
        kernel.min(!kernel & all)
    };
    let distinct = |channel| {
        let kernels: HashSet<u64> = (0..outputs).map(|output| kernel(output, channel)).collect();
        kernels.len()
    };
    let distinct: usize = (0..channels).map(distinct).sum();
    Some(distinct as f64 / (outputs * channels) as f64)
}

#[cfg(test)]
mod tests {
    use bnn_core::{BitMatrix, Grid, Key, Levels, Matrix, Planes, Window};

    use super::*;

    fn layer(weights: BitMatrix, window: Window) -> Hidden {
        let grid = Grid { height: 8, width: 8 };
        let cuts = Matrix::zeros((1, weights.rows()));
        let gather = Gather::Patches { grid, window };
        let weights = Planes::binary(weights);
        Hidden { weights, gather, cuts, levels: Levels::sign(), pool: None }
    }

    /// Two channels of 3 x 3: on the first act two kernels and the negative of one, on the second one.
    #[test]
    fn kernels_and_their_negatives_are_one() {
        let weights = BitMatrix::from_fn(4, 18, |output, col| {
            let (tap, channel) = (col / 2, col % 2);
            match (channel, output) {
                (0, 0) => tap == 0,
                (0, 1) => tap != 0,
                (0, _) => tap < 3,
                _ => tap % 2 == 0,
            }
        });
        let share = unique_share(&layer(weights, Window::square(3, 1, 1)));
        assert_eq!(share, Some((2 + 1) as f64 / 8.0));
    }

    /// 256 kernels up to sign, drawn `n` times each: `256 (1 - (1 - 1/256)^n)` of them appear.
    #[test]
    fn random_kernels_differ_as_often_as_chance_has_it() {
        let key = Key::new(3, 0).stream(0);
        for (outputs, want) in [(128, 0.788), (512, 0.433)] {
            let bit = |row, col| key.word((row * 576 + col) as u32) >> 31 == 1;
            let weights = BitMatrix::from_fn(outputs, 64 * 9, bit);
            let share = unique_share(&layer(weights, Window::square(3, 1, 1))).unwrap();
            assert!((share - want).abs() < 0.02, "{share} of {outputs}");
        }
    }

    #[test]
    fn dense_layers_have_no_kernels() {
        let weights = || BitMatrix::from_fn(2, 64, |_, _| true);
        assert_eq!(unique_share(&layer(weights(), Window::square(8, 1, 0))), None);
        let rows = Hidden { gather: Gather::Rows, ..layer(weights(), Window::square(1, 1, 0)) };
        assert_eq!(unique_share(&rows), None);
    }
}
