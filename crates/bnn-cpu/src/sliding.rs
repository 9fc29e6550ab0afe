//! Windows that slide over padded images.

use bnn_core::{Grid, Window};

use crate::borders::Borders;
use crate::cpu::Cpu;
use crate::kernels::Runs;
use crate::memory::Buffer;

/// Windows over images with their padding, whose pixels are some bytes each.
pub(crate) struct Sliding {
    grid: Grid,
    padded: Grid,
    window: Window,
    /// Window positions.
    out: Grid,
    /// Bytes of a pixel.
    items: usize,
    pub(crate) borders: Borders,
}

impl Sliding {
    /// A window that was checked.
    pub(crate) fn new(grid: Grid, window: Window, items: usize) -> Self {
        let Grid { height, width } = grid;
        let padded = Grid { height: height + 2 * window.pad, width: width + 2 * window.pad };
        let out = window.positions(grid).expect("the window was checked");
        Self { grid, padded, window, out, items, borders: Borders::new(grid, window, out) }
    }

    /// Bytes of a padded image.
    pub(crate) fn image(&self) -> usize {
        self.padded.pixels() * self.items
    }

    /// The first byte under the window of a row of the product.
    pub(crate) fn start(&self, row: usize) -> usize {
        let Self { padded, window, out, items, .. } = self;
        let (image, place) = (row / out.pixels(), row % out.pixels());
        let (y, x) = (place / out.width * window.stride, place % out.width * window.stride);
        ((image * padded.height + y) * padded.width + x) * items
    }

    /// The runs of bytes under a window.
    pub(crate) fn runs(&self) -> Runs {
        let Self { padded, window, items, .. } = self;
        match window.width == padded.width {
            true => Runs { count: 1, len: window.taps() * items, apart: 0 },
            false => {
                let (len, apart) = (window.width * items, padded.width * items);
                Runs { count: window.height, len, apart }
            }
        }
    }

    /// Copies images of bytes into padding of zeros, with some more zeros behind.
    pub(crate) fn pad(&self, cpu: &Cpu, images: &[u8], slack: usize) -> Buffer<u8> {
        let Self { grid, padded, window: Window { pad, .. }, items, .. } = *self;
        let (from, to) = ((grid.pixels() * items).max(1), self.image().max(1));
        let images = images.chunks_exact(from);
        let mut copy = cpu.take_zeroed(images.len() * to + slack);
        cpu.workers.each(copy.chunks_exact_mut(to).zip(images), |(copy, image)| {
            for (y, line) in image.chunks_exact(grid.width * items).enumerate() {
                let at = ((y + pad) * padded.width + pad) * items;
                copy[at..][..line.len()].copy_from_slice(line);
            }
        });
        copy
    }
}
