//! The left operand of a product as kernels read it: rows or windows where they lie.

use std::ops::Range;

use bnn_core::{Gather, Grid, Window};

use crate::borders::Borders;
use crate::code::Code;
use crate::cpu::Cpu;
use crate::kernels::{Counts, Row, Word};
use crate::memory::Buffer;
use crate::patches::Packed;

/// Rows that pass by a panel together, about: they stay in L1 beside it.
pub(crate) const ROWS: usize = 64;

/// Words of all lists of a product's windows, at most: under a megabyte.
const LISTED: usize = 1 << 16;

/// The left operand of a product.
pub(crate) struct Left<'a> {
    cpu: &'a Cpu,
    code: &'a Code,
    gather: &'a Gather,
    /// What a sign that counts adds to the largest sum.
    unit: i32,
    /// The words of rows side by side.
    words: Buffer<Word>,
    /// Windows that are read where they lie; none if rows are read, or windows packed.
    windows: Option<Windows>,
}

/// Rows of a product's left operand whose words lie alike.
pub(crate) struct Block<'a> {
    bits: &'a [u64],
    mask: Option<&'a [u64]>,
    words: &'a [Word],
    digits_apart: usize,
    pub(crate) rows: &'a [Row],
}

/// Windows over images whose pixels are whole words.
struct Windows {
    grid: Grid,
    window: Window,
    /// Window positions.
    out: Grid,
    borders: Borders,
    /// The words under the windows of every class: those of taps inside the image.
    words: Vec<Buffer<Word>>,
}

/// Taps whose columns of the weights need words of their own: all of a window, if it is read where it
/// lies. Windows are packed side by side whose channels would leave a quarter of the words' bits unused,
/// that no [`Word`] spans, or that meet the border in so many ways that their lists would be long.
pub(crate) fn taps_apart(gather: &Gather, code: &Code) -> usize {
    let (taps, channels) = (gather.taps(), code.cols);
    let (apart, packed) = (taps * Code::words_of(channels), Code::words_of(taps * channels));
    let span = match gather {
        Gather::Rows => 0,
        Gather::Patches { grid, window } => {
            window.height.saturating_mul(grid.width).saturating_mul(code.stride())
        }
    };
    let listed = match gather {
        Gather::Rows => 0,
        Gather::Patches { window, .. } => {
            let ways = window.pad.saturating_mul(2).saturating_add(1);
            ways.saturating_mul(ways).saturating_mul(apart)
        }
    };
    let lies_well = 3 * apart <= 4 * packed && span <= u32::MAX as usize && listed <= LISTED;
    if lies_well { taps } else { 1 }
}

impl<'a> Left<'a> {
    /// A code of rows or windows, for sums that grow by `unit` for a sign that counts.
    pub(crate) fn new(cpu: &'a Cpu, code: &'a Code, gather: &'a Gather, unit: i32) -> Self {
        let (words, windows) = match *gather {
            Gather::Patches { grid, window } if taps_apart(gather, code) == window.taps() => {
                (cpu.take(0), Some(Windows::new(cpu, code, grid, window)))
            }
            _ => {
                let words = Code::words_of(gather.taps() * code.cols);
                (cpu.filled(words, (0..words).map(Word::at)), None)
            }
        };
        Self { cpu, code, gather, unit, words, windows }
    }

    /// Rows that cannot be parted: those of a line of windows.
    pub(crate) fn line(&self) -> usize {
        self.windows.as_ref().map_or(1, |windows| windows.out.width)
    }

    /// Rows of whole lines, about [`ROWS`].
    pub(crate) fn step(&self) -> usize {
        let line = self.line();
        (ROWS / line).max(1) * line
    }

    /// Hands some lines over, block by block.
    pub(crate) fn blocks(
        &self,
        range: Range<usize>,
        rows: &mut [Row],
        mut take: impl FnMut(&Block<'_>),
    ) {
        let Some(windows) = &self.windows else {
            return self.side_by_side(range, rows, take);
        };
        let (words, mask) = (self.code.words(), self.code.mask.as_deref());
        for (class, places) in windows.words.iter().enumerate() {
            let counting = windows.borders.taps(class) * self.code.cols;
            let mut count = 0;
            windows.pixels(class, range.clone(), |pixel, to| {
                let mask_at = pixel * words;
                let ones = |mask: &[u64]| Word::ones(places, &mask[mask_at..]);
                let most = mask.map_or(counting, ones) as i32 * self.unit;
                let bits = pixel * self.code.stride();
                rows[count] = Row { bits, mask: mask_at, most, line: 0, to };
                count += 1;
            });
            if count == 0 {
                continue;
            }
            let (bits, rows) = (&self.code.bits[..], &rows[..count]);
            take(&Block { bits, mask, words: places, digits_apart: words, rows });
        }
    }

    /// Rows one after the other, where they lie or packed.
    fn side_by_side(
        &self,
        range: Range<usize>,
        rows: &mut [Row],
        mut take: impl FnMut(&Block<'_>),
    ) {
        let count = range.len();
        let packed = Packed::of(self.cpu, self.code, self.gather, (range.start, count));
        let (words, planes, mask) = (packed.words(), self.code.weights.len(), packed.mask());
        let depth = self.gather.taps() * self.code.cols;
        let rows = &mut rows[..count];
        for (at, row) in rows.iter_mut().enumerate() {
            let ones = |mask: &[u64]| Word::ones(&self.words, &mask[at * words..]);
            let most = mask.map_or(depth, ones) as i32 * self.unit;
            *row = Row { bits: at * planes * words, mask: at * words, most, line: 0, to: at };
        }
        let bits = packed.bits();
        take(&Block { bits, mask, words: &self.words, digits_apart: words, rows });
    }
}

impl Windows {
    fn new(cpu: &Cpu, code: &Code, grid: Grid, window: Window) -> Self {
        let out = window.positions(grid).expect("the window was checked");
        let borders = Borders::new(grid, window, out);
        let words = (0..borders.classes()).map(|class| {
            let (down, along) = borders.stretches(class);
            let taps = down.inside.clone().flat_map(|y| along.inside.clone().map(move |x| (y, x)));
            let words = taps.flat_map(|(y, x)| {
                let (tap, words) = (y * window.width + x, code.words());
                let pixel = (y - down.inside.start) * grid.width + x - along.inside.start;
                (0..words).map(move |word| Word {
                    bits: (pixel * code.stride() + word) as u32,
                    mask: (pixel * words + word) as u32,
                    column: (tap * words + word) as u32,
                })
            });
            cpu.filled(borders.taps(class) * code.words(), words)
        });
        let words = words.collect();
        Self { grid, window, out, borders, words }
    }

    /// Takes the first pixel inside the image under every window of a class, among some rows of the
    /// product, and the row's place among these.
    fn pixels(&self, class: usize, rows: Range<usize>, mut take: impl FnMut(usize, usize)) {
        let Self { grid, window, out, .. } = *self;
        let inside = |at: usize| (at * window.stride).saturating_sub(window.pad);
        let (down, along) = self.borders.stretches(class);
        let first = rows.start / out.width;
        for line in first..rows.end / out.width {
            let (image, y) = (line / out.height, line % out.height);
            if !down.positions.contains(&y) {
                continue;
            }
            let pixel = (image * grid.height + inside(y)) * grid.width;
            for x in along.positions.clone() {
                take(pixel + inside(x), (line - first) * out.width + x);
            }
        }
    }
}

impl Block<'_> {
    /// Counts of `digits` planes from `plane` on, against panels of the weights.
    pub(crate) fn counts<'b>(
        &'b self,
        (plane, digits): (usize, usize),
        (panels, depth, cols): (&'b [u64], usize, usize),
        weight: i32,
    ) -> Counts<'b> {
        Counts {
            a: &self.bits[plane * self.digits_apart..],
            mask: self.mask,
            rows: self.rows,
            words: self.words,
            digits,
            digits_apart: self.digits_apart,
            panels,
            depth,
            cols,
            weight,
        }
    }
}
