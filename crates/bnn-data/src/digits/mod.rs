//! Digits of 28 x 28 pixels that the crate draws itself: no file, any number of them.
//!
//! Every image is a pure function of the seed, its split and its number, in arithmetic and square
//! roots only, so that its bytes are the same on every machine.

mod hand;
mod pen;
mod strokes;

use crate::catalog::Source;
use crate::images::{Dataset, Images};
use crate::random::Random;
use hand::Hand;
use pen::Pen;
use strokes::GLYPHS;

/// The row of the catalogue.
pub(crate) const SOURCE: Source = Source {
    name: "digits",
    about: "drawn digits, 28 x 28 grey, no files: 10,000 + 2,000 + 2,000 images",
    published: None,
    place: |_| Ok("drawn when loaded".into()),
    load: |_| Ok(Digits::default().draw()),
};

/// Height and width of an image, in pixels.
const SIDE: usize = 28;

/// The digits to draw; image `i` of a split shows the digit `i mod 10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Number of training images.
    pub train: usize,
    /// Number of validation images.
    pub validation: usize,
    /// Number of test images.
    pub test: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Digits {
    /// The data set `digits`.
    fn default() -> Self {
        Self { train: 10_000, validation: 2_000, test: 2_000, seed: 0 }
    }
}

impl Digits {
    /// Draws all images; a split's images do not depend on the sizes.
    pub fn draw(&self) -> Dataset {
        let split = |number, count| split(self.seed, number, count);
        Dataset::new(
            SOURCE.name,
            split(0, self.train),
            split(1, self.validation),
            split(2, self.test),
        )
    }
}

fn split(seed: u64, split: u64, count: usize) -> Images {
    let mut pixels = vec![0; count * SIDE * SIDE];
    for (index, image) in pixels.chunks_exact_mut(SIDE * SIDE).enumerate() {
        draw(index % 10, &mut Random::new([seed, split, index as u64]), image);
    }
    let labels = (0..count).map(|index| (index % 10) as u8).collect();
    Images::new((SIDE, SIDE, 1), 10, pixels, labels).expect("one label below 10 per image")
}

fn draw(digit: usize, random: &mut Random, image: &mut [u8]) {
    let glyphs = GLYPHS[digit];
    let glyph = glyphs[random.below(glyphs.len())];
    let (hand, pen) = (Hand::new(random), Pen::new(random));
    let chains: Vec<_> = glyph.iter().map(|stroke| hand.write(stroke, random)).collect();
    pen.draw(&chains, random, image);
}
