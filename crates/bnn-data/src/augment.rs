//! Random flips and crops of training images.

use crate::images::Images;
use crate::random::Random;

/// Separates the random numbers of augmentations from others of the same seed.
const STREAM: u64 = 0x6175_676D_656E_7400;

/// What is done to every training image anew in each epoch; nothing by default.
///
/// The result is a pure function of seed, epoch and the image's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augment {
    /// Mirrors every other image, left to right, by chance.
    pub flip: bool,
    /// Pads the image with so many black pixels on each side, and crops a random window of its size.
    pub crop: usize,
}

impl Augment {
    /// Whether images stay as they are.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Changes one image: its bytes from the top, channels innermost.
    pub(crate) fn apply(&self, images: &Images, key: [u64; 3], image: &mut [u8]) {
        let [seed, epoch, number] = key;
        let mut random = Random::new([STREAM, seed, epoch, number]);
        let (height, width, channels) = (images.height(), images.width(), images.channels());
        let mirrored = self.flip && random.below(2) == 1;
        let mut shift = || random.below(2 * self.crop + 1).wrapping_sub(self.crop);
        let (down, right) = (shift(), shift());
        let before = image.to_vec();
        for (at, pixel) in image.chunks_exact_mut(channels).enumerate() {
            let (y, x) = (at / width, at % width);
            let x = if mirrored { width - 1 - x } else { x };
            // Above or left of the image the place wraps to a huge number: outside as well.
            let (y, x) = (y.wrapping_add(down), x.wrapping_add(right));
            match y < height && x < width {
                true => pixel.copy_from_slice(&before[(y * width + x) * channels..][..channels]),
                false => pixel.fill(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of 3 x 4 pixels of 2 bytes, all different and none 0.
    fn images() -> (Images, Vec<u8>) {
        let pixels: Vec<u8> = (1..=24).collect();
        (Images::new((3, 4, 2), 10, pixels.clone(), vec![0]).unwrap(), pixels)
    }

    fn all(augment: Augment) -> Vec<Vec<u8>> {
        let (images, pixels) = images();
        let change = |number| {
            let mut image = pixels.clone();
            augment.apply(&images, [1, 2, number], &mut image);
            image
        };
        let mut all: Vec<_> = (0..500).map(change).collect();
        all.sort();
        all.dedup();
        all
    }

    #[test]
    fn flips_have_two_outcomes() {
        let mirror =
            [7, 8, 5, 6, 3, 4, 1, 2, 15, 16, 13, 14, 11, 12, 9, 10, 23, 24, 21, 22, 19, 20, 17, 18];
        assert_eq!(all(Augment { flip: true, crop: 0 }), [images().1, mirror.to_vec()]);
    }

    #[test]
    fn crops_reach_every_window_and_pad_with_black() {
        let crops = all(Augment { flip: false, crop: 1 });
        assert_eq!(crops.len(), 9);
        let corner = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 9, 10, 11, 12, 13, 14];
        assert!(crops.contains(&corner.to_vec()));
        assert_eq!(all(Augment { flip: true, crop: 1 }).len(), 18);
    }

    #[test]
    fn nothing_by_default() {
        assert!(Augment::default().is_none());
        assert_eq!(all(Augment::default()), [images().1]);
    }
}
