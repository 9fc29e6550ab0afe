//! Windows that slide over padded images.

use bnn_core::{Grid, Window};

use crate::borders::Borders;
use crate::cpu::Cpu;
use crate::kernels::Runs;
use crate::memory::{Buffer, Item};

/// Windows over images with their padding, whose pixels are some items each.
pub(crate) struct Sliding {
    grid: Grid,
    padded: Grid,
    window: Window,
    /// Window positions.
    out: Grid,
    /// Items of a pixel.
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

    /// Items of a padded image.
    pub(crate) fn image(&self) -> usize {
        self.padded.pixels() * self.items
    }

    /// The first item under the window of a row of the product.
    pub(crate) fn start(&self, row: usize) -> usize {
        let Self { padded, window, out, items, .. } = self;
        let (image, place) = (row / out.pixels(), row % out.pixels());
        let (y, x) = (place / out.width * window.stride, place % out.width * window.stride);
        ((image * padded.height + y) * padded.width + x) * items
    }

    /// The runs of items under a window.
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

    /// Copies planes of images into padding of zeros, with some more zeros behind; `row` gives the items
    /// of a plane's pixel.
    pub(crate) fn pad<'b, T: Item>(
        &self,
        cpu: &Cpu,
        (planes, images): (usize, usize),
        slack: usize,
        row: impl Fn(usize, usize) -> &'b [T] + Sync,
    ) -> Buffer<T> {
        let Self { grid, padded, window: Window { pad, .. }, items, .. } = *self;
        let size = self.image();
        let mut copy = cpu.take_zeroed(planes * images * size + slack);
        let tasks = copy.chunks_exact_mut(size.max(1)).take(planes * images).enumerate();
        cpu.workers.each(tasks, |(at, copy)| {
            let (plane, image) = (at / images, at % images);
            for y in 0..grid.height {
                let line = &mut copy[((y + pad) * padded.width + pad) * items..];
                for (x, to) in line.chunks_exact_mut(items).take(grid.width).enumerate() {
                    to.copy_from_slice(row(plane, (image * grid.height + y) * grid.width + x));
                }
            }
        });
        copy
    }
}
