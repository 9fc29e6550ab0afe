//! The left operand of a product as kernels read it: rows or windows where they lie.

use bnn_core::{Gather, Grid, Window};

use crate::code::Code;
use crate::cpu::Cpu;
use crate::kernels::{Counts, Runs, Start};
use crate::memory::Buffer;
use crate::patches::{Bits, Packed};

/// Rows of a [`Block`], at most.
pub(crate) const ROWS: usize = 64;

/// The left operand of a product.
pub(crate) struct Left<'a> {
    cpu: &'a Cpu,
    code: &'a Code,
    gather: &'a Gather,
    /// The images that windows are read from; none if rows are read, or windows packed.
    images: Option<Images<'a>>,
}

/// Some rows of a product's left operand.
pub(crate) struct Block<'a> {
    bits: Bits<'a>,
    mask: Option<Bits<'a>>,
    starts: [Start; ROWS],
    runs: Runs,
    digits_apart: usize,
    /// Number of rows.
    pub(crate) rows: usize,
    /// Signs that count in each row.
    pub(crate) counting: [i32; ROWS],
    /// Rows and their taps whose words are all zero though they do not count.
    pub(crate) blanks: Vec<(usize, usize)>,
}

/// Images whose pixels are whole words, plane after plane, with their padding.
struct Images<'a> {
    bits: Bits<'a>,
    mask: Option<Bits<'a>>,
    grid: Grid,
    window: Window,
    /// Window positions.
    out: Grid,
    /// Words of a pixel.
    words: usize,
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
    pub(crate) fn new(cpu: &'a Cpu, code: &'a Code, gather: &'a Gather) -> Self {
        let images = match *gather {
            Gather::Patches { grid, window } if taps_apart(gather, code.cols) == window.taps() => {
                Some(Images::new(cpu, code, grid, window))
            }
            _ => None,
        };
        Self { cpu, code, gather, images }
    }

    /// Rows `first..first + count` of the product; at most [`ROWS`].
    pub(crate) fn block(&self, first: usize, count: usize) -> Block<'_> {
        let mut block = match &self.images {
            Some(images) => images.block(first, count),
            None => self.side_by_side(first, count),
        };
        self.count_signs(&mut block, first);
        block
    }

    /// Rows one after the other, where they lie or packed.
    fn side_by_side(&self, first: usize, count: usize) -> Block<'_> {
        let packed = Packed::of(self.cpu, self.code, self.gather, (first, count));
        let words = packed.words();
        let mut starts = [Start::default(); ROWS];
        for (row, start) in starts.iter_mut().enumerate() {
            *start = Start { bits: row * self.code.weights.len() * words, mask: row * words };
        }
        let runs = Runs { count: 1, len: words, apart: 0 };
        let (bits, mask) = packed.into_parts();
        Block::new(bits, mask, &starts[..count], runs, words)
    }

    /// Finds how many signs count in each row, and which taps lie outside the grid.
    fn count_signs(&self, block: &mut Block<'_>, first: usize) {
        let (taps, channels) = (self.gather.taps(), self.code.cols);
        for row in 0..block.rows {
            if let Some(mask) = &block.mask {
                block.counting[row] = block.ones(mask.words(), row);
                continue;
            }
            let before = block.blanks.len();
            if self.images.as_ref().is_some_and(|images| images.at_border(first + row)) {
                let blank = |&tap: &usize| self.gather.source(first + row, tap).is_none();
                block.blanks.extend((0..taps).filter(blank).map(|tap| (row, tap)));
            }
            block.counting[row] = ((taps - (block.blanks.len() - before)) * channels) as i32;
        }
    }
}

impl<'a> Images<'a> {
    fn new(cpu: &Cpu, code: &'a Code, grid: Grid, window: Window) -> Self {
        let Grid { height, width } = grid;
        let padded = Grid { height: height + 2 * window.pad, width: width + 2 * window.pad };
        let (words, images) = (code.words(), code.rows / grid.pixels());
        let planes = code.weights.len();
        let border = Border { grid, padded, words, pad: window.pad };
        let (bits, mask) = if window.pad == 0 && planes == 1 {
            (Bits::Borrowed(&code.bits[..]), code.mask.as_ref().map(|mask| Bits::Borrowed(mask)))
        } else {
            let row = |plane: usize, row: usize| &code.row(row)[plane * words..][..words];
            let mask = code.mask.is_some().then(|| {
                let row = |_, row: usize| code.mask_row(row).expect("the code has a mask");
                Bits::Copied(border.copy(cpu, (1, images), row))
            });
            (Bits::Copied(border.copy(cpu, (planes, images), row)), mask)
        };
        let out = window.positions(grid).expect("the window was checked");
        let plane = images * padded.pixels() * words;
        Self { bits, mask, grid: padded, window, out, words, plane }
    }

    fn block(&self, first: usize, count: usize) -> Block<'_> {
        let Self { grid, window, out, words, .. } = *self;
        let mut starts = [Start::default(); ROWS];
        for (start, row) in starts.iter_mut().zip(first..first + count) {
            let (image, place) = (row / out.pixels(), row % out.pixels());
            let (y, x) = (place / out.width * window.stride, place % out.width * window.stride);
            let at = ((image * grid.height + y) * grid.width + x) * words;
            *start = Start { bits: at, mask: at };
        }
        let runs = match window.width == grid.width {
            true => Runs { count: 1, len: window.taps() * words, apart: 0 },
            false => {
                Runs { count: window.height, len: window.width * words, apart: grid.width * words }
            }
        };
        let mask = self.mask.as_ref().map(|mask| Bits::Borrowed(mask.words()));
        Block::new(Bits::Borrowed(self.bits.words()), mask, &starts[..count], runs, self.plane)
    }

    /// Whether a window reaches over its image.
    fn at_border(&self, row: usize) -> bool {
        let Self { grid, window, out, .. } = *self;
        let place = row % out.pixels();
        let over =
            |at: usize, side: usize, size: usize| at < window.pad || at + side > size - window.pad;
        over(place / out.width * window.stride, window.height, grid.height)
            || over(place % out.width * window.stride, window.width, grid.width)
    }
}

/// Padding around images.
#[derive(Clone, Copy)]
struct Border {
    grid: Grid,
    padded: Grid,
    /// Words of a pixel.
    words: usize,
    pad: usize,
}

impl Border {
    /// Copies planes of images, `row` giving the words of a pixel, into padding of zeros.
    fn copy<'b>(
        self,
        cpu: &Cpu,
        (planes, images): (usize, usize),
        row: impl Fn(usize, usize) -> &'b [u64] + Sync,
    ) -> Buffer<u64> {
        let Self { grid, padded, words, pad } = self;
        let size = padded.pixels() * words;
        let mut copy = cpu.take_zeroed(planes * images * size);
        cpu.workers.each(copy.chunks_exact_mut(size.max(1)).enumerate(), |(at, copy)| {
            let (plane, image) = (at / images, at % images);
            for y in 0..grid.height {
                let line = &mut copy[((y + pad) * padded.width + pad) * words..];
                for (x, to) in line.chunks_exact_mut(words).take(grid.width).enumerate() {
                    to.copy_from_slice(row(plane, (image * grid.height + y) * grid.width + x));
                }
            }
        });
        copy
    }
}

impl<'a> Block<'a> {
    fn new(
        bits: Bits<'a>,
        mask: Option<Bits<'a>>,
        from: &[Start],
        runs: Runs,
        digits_apart: usize,
    ) -> Self {
        let mut starts = [Start::default(); ROWS];
        starts[..from.len()].copy_from_slice(from);
        let (rows, counting, blanks) = (from.len(), [0; ROWS], Vec::new());
        Self { bits, mask, starts, runs, digits_apart, rows, counting, blanks }
    }

    /// Counts of `digits` planes from `plane` on, against panels of the weights.
    pub(crate) fn counts<'b>(
        &'b self,
        (plane, digits): (usize, usize),
        panels: &'b [u64],
        weight: i32,
    ) -> Counts<'b> {
        Counts {
            a: &self.bits.words()[plane * self.digits_apart..],
            mask: self.mask.as_ref().map(Bits::words),
            starts: &self.starts[..self.rows],
            runs: self.runs,
            digits,
            digits_apart: self.digits_apart,
            panels,
            weight,
        }
    }

    /// Set bits of a row's mask.
    fn ones(&self, mask: &[u64], row: usize) -> i32 {
        let runs = (0..self.runs.count).flat_map(|run| {
            &mask[self.starts[row].mask + run * self.runs.apart..][..self.runs.len]
        });
        runs.map(|word| word.count_ones() as i32).sum()
    }
}
