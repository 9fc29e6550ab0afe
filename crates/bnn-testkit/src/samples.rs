//! Sizes around every boundary of words and vectors, and contents drawn from a key.

use ndarray::Array2;
use proptest::prelude::*;
use proptest::sample::select;

use bnn_core::{BitMatrix, Gather, Grid, HostCode, Key, Planes, Window};
use bnn_core::{Levels, Matrix, Quant};

/// Columns of an operand: around words of 64 and vectors of 512 bits.
pub(crate) fn depths() -> impl Strategy<Value = usize> {
    select(vec![1, 7, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1000])
}

/// Outputs of a product: around tiles of 8, 16 and 64, and more than any block.
pub(crate) fn outputs() -> impl Strategy<Value = usize> {
    select(vec![1, 2, 7, 8, 9, 16, 17, 33, 65, 300])
}

/// A dense product or a convolution: gather, rows and columns of the operand.
pub(crate) fn gathers() -> impl Strategy<Value = (Gather, usize, usize)> {
    let rows = prop_oneof![9 => 1usize..=9, 1 => Just(70)];
    let dense = (rows, depths()).prop_map(|(rows, depth)| (Gather::Rows, rows, depth));
    let channels = select(vec![1, 3, 7, 8, 31, 50, 64, 65, 100, 128, 130]);
    let patches =
        (slides(), 1usize..=3, channels).prop_map(|((grid, window), images, channels)| {
            (Gather::Patches { grid, window }, images * grid.pixels(), channels)
        });
    prop_oneof![dense, patches]
}

/// A grid with a window that fits it.
pub(crate) fn slides() -> impl Strategy<Value = (Grid, Window)> {
    let grid = (1usize..=6, 1usize..=6).prop_map(|(height, width)| Grid { height, width });
    let window = (1usize..=3, 1usize..=3, 1usize..=3, 0usize..=2).prop_map(
        |(height, width, stride, pad)| Window {
            height,
            width,
            stride,
            pad: pad.min(height.min(width) - 1),
        },
    );
    (grid, window).prop_map(|(grid, window)| {
        let fits = window.positions(grid).is_ok();
        (grid, if fits { window } else { Window::square(1, window.stride, 0) })
    })
}

/// Any quantizer: signs, three values, even steps, and uneven cuts.
pub(crate) fn quants() -> impl Strategy<Value = Quant> {
    let uniform = (1u32..=4).prop_map(|bits| Quant::uniform(bits).expect("1 to 4 bits are sound"));
    let ternary = Quant::ternary(0.5).expect("0.5 is positive");
    let uneven = Quant { cuts: vec![-0.25, 0.0, 1.0], levels: steps(vec![2, 1, 4]), range: 0.75 };
    prop_oneof![Just(Quant::sign()), Just(ternary), Just(uneven), uniform]
}

/// What a code is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Signs,
    Bytes,
    /// Weights of the planes; with holes or without.
    Planes(&'static [i32], bool),
}

/// Kinds of code with which three planes of weight 4 still sum exactly.
pub(crate) fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Bytes), weight_kinds()]
}

/// Kinds of code that the other side of a product may have.
pub(crate) fn weight_kinds() -> impl Strategy<Value = Kind> {
    let planes = select(vec![&[1][..], &[1, 1], &[1, 2], &[1, 2, 4], &[1, 2, -4]]);
    let planes = (planes, any::<bool>()).prop_map(|(weights, holes)| Kind::Planes(weights, holes));
    prop_oneof![Just(Kind::Signs), Just(Kind::Planes(&[1], true)), planes]
}

/// Contents, drawn one after the other.
pub(crate) struct Dice {
    key: Key,
    next: u32,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { key: Key::new(seed, 0), next: 0 }
    }

    fn word(&mut self) -> u32 {
        self.next += 1;
        self.key.word(self.next)
    }

    pub(crate) fn bits(&mut self, rows: usize, cols: usize) -> BitMatrix {
        BitMatrix::from_fn(rows, cols, |_, _| self.word() & 1 == 1)
    }

    /// Multiples of 1/64 in [-2, 2): zeros, ties and cuts are frequent, sums are exact in f32.
    pub(crate) fn real(&mut self, rows: usize, cols: usize) -> Matrix {
        Array2::from_shape_simple_fn((rows, cols), || (self.word() % 256) as f32 / 64.0 - 2.0)
    }

    /// Any numbers in [-2, 2), and those that trap comparisons: both zeros, their neighbours,
    /// infinities, NaN.
    pub(crate) fn wild(&mut self, rows: usize, cols: usize) -> Matrix {
        let tiny = f32::from_bits(1);
        let traps = [0.0, -0.0, tiny, -tiny, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        Array2::from_shape_simple_fn((rows, cols), || {
            let word = self.word();
            let plain = (word >> 8) as f32 / (1 << 22) as f32 - 2.0;
            traps.get(word as usize % 32).copied().unwrap_or(plain)
        })
    }

    pub(crate) fn code(&mut self, kind: Kind, rows: usize, cols: usize) -> HostCode {
        match kind {
            Kind::Signs => HostCode::binary(self.bits(rows, cols)),
            Kind::Bytes => {
                let byte = || self.word() as u8;
                HostCode::Bytes(Array2::from_shape_simple_fn((rows, cols), byte))
            }
            Kind::Planes(weights, holes) => {
                let planes = weights.iter().map(|&weight| (weight, self.bits(rows, cols)));
                let planes = planes.collect();
                let scale = 1.0 / (3 + self.word() % 5) as f32;
                let mask = holes.then(|| self.bits(rows, cols));
                HostCode::Planes(Planes { scale, planes, mask })
            }
        }
    }
}

/// A thermometer of the given weights.
fn steps(weights: Vec<i32>) -> Levels {
    Levels { scale: 0.25, form: bnn_core::Form::Steps(weights) }
}
