//! The left operand of a product as kernels read it: rows or windows where they lie.

use std::ops::Range;

use bnn_core::{Gather, Grid, Window};

use crate::borders::Borders;
use crate::code::Code;
use crate::cpu::Cpu;
use crate::kernels::{Counts, Row, Runs};
use crate::patches::{Bits, Packed};
use crate::sliding::Sliding;

/// Rows of a [`Block`], at most.
pub(crate) const ROWS: usize = 64;

/// The left operand of a product.
pub(crate) struct Left<'a> {
    cpu: &'a Cpu,
    code: &'a Code,
    gather: &'a Gather,
    /// What a sign that counts adds to the largest sum.
    unit: i32,
    /// Numbers from one line to the next.
    apart: usize,
    /// The images that windows are read from; none if rows are read, or windows packed.
    images: Option<Images<'a>>,
}

/// Some rows of a product's left operand.
pub(crate) struct Block<'a> {
    bits: Bits<'a>,
    mask: Option<Bits<'a>>,
    runs: Runs,
    digits_apart: usize,
    pub(crate) rows: &'a [Row],
}

/// Images whose pixels are whole words, plane after plane, with their padding.
struct Images<'a> {
    bits: Bits<'a>,
    mask: Option<Bits<'a>>,
    sliding: Sliding,
    /// Words of a plane.
    plane: usize,
}

/// Taps whose columns of the weights need words of their own: all of a window, if it is read where it
/// lies. Channels that would leave a quarter of the words' bits unused are packed side by side.
pub(crate) fn taps_apart(gather: &Gather, channels: usize) -> usize {
    let taps = gather.taps();
    let (apart, packed) = (taps * Code::words_of(channels), Code::words_of(taps * channels));
    if 3 * apart <= 4 * packed { taps } else { 1 }
}

impl<'a> Left<'a> {
    /// A code of rows or windows, for sums that grow by `unit` for a sign that counts, and lines that
    /// lie `apart`.
    pub(crate) fn new(
        cpu: &'a Cpu,
        code: &'a Code,
        gather: &'a Gather,
        (unit, apart): (i32, usize),
    ) -> Self {
        let images = match *gather {
            Gather::Patches { grid, window } if taps_apart(gather, code.cols) == window.taps() => {
                Some(Images::new(cpu, code, grid, window))
            }
            _ => None,
        };
        Self { cpu, code, gather, unit, apart, images }
    }

    /// Some rows of the product, at most [`ROWS`]; a line for each class of
    /// [`Left::borders`].
    pub(crate) fn block<'b>(&'b self, range: Range<usize>, rows: &'b mut Vec<Row>) -> Block<'b> {
        let Some(images) = &self.images else { return self.side_by_side(range, rows) };
        let sliding = &images.sliding;
        rows.clear();
        rows.extend(range.map(|row| {
            let (at, class) = (sliding.start(row), sliding.borders.class(row));
            let (counting, line) = match &images.mask {
                None => (sliding.borders.count_inside(class) * self.code.cols, class * self.apart),
                Some(mask) => (sliding.runs().ones(&mask.words()[at..]), 0),
            };
            Row { bits: at, mask: at, most: counting as i32 * self.unit, line }
        }));
        let mask = images.mask.as_ref().map(|mask| Bits::Borrowed(mask.words()));
        let bits = Bits::Borrowed(images.bits.words());
        Block { bits, mask, rows, runs: sliding.runs(), digits_apart: images.plane }
    }

    /// Rows one after the other, where they lie or packed.
    fn side_by_side<'b>(&'b self, range: Range<usize>, rows: &'b mut Vec<Row>) -> Block<'b> {
        let count = range.len();
        let packed = Packed::of(self.cpu, self.code, self.gather, (range.start, count));
        let (words, planes) = (packed.words(), self.code.weights.len());
        let (bits, mask) = packed.into_parts();
        let runs = Runs { count: 1, len: words, apart: 0 };
        let depth = self.gather.taps() * self.code.cols;
        rows.clear();
        rows.extend((0..count).map(|row| {
            let count = |mask: &Bits<'_>| runs.ones(&mask.words()[row * words..]);
            let most = mask.as_ref().map_or(depth, count) as i32 * self.unit;
            Row { bits: row * planes * words, mask: row * words, most, line: 0 }
        }));
        Block { bits, mask, rows, runs, digits_apart: words }
    }

    /// Classes of rows whose taps outside the grid are words of zeros that do not count, though no mask
    /// says so.
    pub(crate) fn borders(&self) -> Option<&Borders> {
        let images = self.images.as_ref().filter(|images| images.mask.is_none());
        images.map(|images| &images.sliding.borders)
    }
}

impl<'a> Images<'a> {
    fn new(cpu: &Cpu, code: &'a Code, grid: Grid, window: Window) -> Self {
        let (words, images) = (code.words(), code.rows / grid.pixels());
        let (planes, sliding) = (code.weights.len(), Sliding::new(grid, window, words));
        let (bits, mask) = if window.pad == 0 && planes == 1 {
            (Bits::Borrowed(&code.bits[..]), code.mask.as_ref().map(|mask| Bits::Borrowed(mask)))
        } else {
            let row = |plane: usize, row: usize| &code.row(row)[plane * words..][..words];
            let mask = code.mask.is_some().then(|| {
                let row = |_, row: usize| code.mask_row(row).expect("the code has a mask");
                Bits::Copied(sliding.pad(cpu, (1, images), 0, row))
            });
            (Bits::Copied(sliding.pad(cpu, (planes, images), 0, row)), mask)
        };
        Self { bits, mask, plane: images * sliding.image(), sliding }
    }
}

impl Block<'_> {
    /// Counts of `digits` planes from `plane` on, against panels of the weights.
    pub(crate) fn counts<'b>(
        &'b self,
        (plane, digits): (usize, usize),
        (panels, cols): (&'b [u64], usize),
        weight: i32,
    ) -> Counts<'b> {
        Counts {
            a: &self.bits.words()[plane * self.digits_apart..],
            mask: self.mask.as_ref().map(Bits::words),
            rows: self.rows,
            runs: self.runs,
            digits,
            digits_apart: self.digits_apart,
            panels,
            cols,
            weight,
        }
    }
}
