//! The windows of a gather, as kernels take them.

use std::collections::HashMap;

use bnn_core::{Error, Gather, Grid, Result, Window};

use crate::cuda::Cuda;
use crate::device::{Buffer, bytes_of};

/// Windows over images, sorted into classes of places whose windows have the same taps inside.
pub(crate) struct Windows {
    /// `Patches` of common.cuh.
    pub(crate) patches: [u64; 4],
    /// Whether rows are taken as they are.
    pub(crate) rows: bool,
    /// Places of an image.
    pub(crate) positions: usize,
    /// Taps of a window.
    pub(crate) taps: usize,
    /// Number of classes.
    pub(crate) count: usize,
    /// Class of every place, `int`.
    pub(crate) classes: Buffer,
    /// Taps inside, of every class, `int`.
    pub(crate) class_taps: Buffer,
    /// Whether a tap lies inside, by class and tap, `unsigned char`.
    pub(crate) inside: Buffer,
}

impl Windows {
    pub(crate) fn new(cuda: &Cuda, gather: &Gather) -> Result<Self> {
        let (grid, window) = match *gather {
            Gather::Rows => (PIXEL, PIXEL.whole()),
            Gather::Patches { grid, window } => (grid, window),
        };
        let out = window.positions(grid)?;
        let (taps, positions) = (window.taps(), out.pixels());
        if positions.checked_mul(taps).is_none_or(|taps| taps > MOST_TAPS) {
            let got = format!("{taps} taps at {positions} places");
            return Err(Error::shape("windows", "at most 2^26 taps in all of an image", got));
        }
        let mut known = HashMap::new();
        let mut classes = Vec::with_capacity(positions);
        let mut inside = Vec::new();
        for place in 0..positions {
            let of: Vec<u8> = (0..taps)
                .map(|tap| u8::from(window.source(grid, out, place, tap).is_some()))
                .collect();
            let next = known.len() as i32;
            classes.push(*known.entry(of.clone()).or_insert_with(|| {
                inside.extend(&of);
                next
            }));
        }
        let class_taps: Vec<i32> =
            inside.chunks(taps).map(|of| of.iter().map(|&tap| i32::from(tap)).sum()).collect();
        Ok(Self {
            patches: patches(grid, window, out),
            rows: matches!(gather, Gather::Rows),
            positions,
            taps,
            count: class_taps.len(),
            classes: cuda.upload(bytes_of(&classes))?,
            class_taps: cuda.upload(bytes_of(&class_taps))?,
            inside: cuda.upload(&inside)?,
        })
    }
}

/// Taps of all windows of an image; the host lists them once.
const MOST_TAPS: usize = 1 << 26;

/// The grid of rows that are no images.
const PIXEL: Grid = Grid { height: 1, width: 1 };

/// `Patches` of common.cuh: eight `int`. Sides are at most 2^20, which [`Window::positions`] checks.
fn patches(grid: Grid, window: Window, out: Grid) -> [u64; 4] {
    let pair = |low: usize, high: usize| low as u64 | (high as u64) << 32;
    [
        pair(grid.height, grid.width),
        pair(window.height, window.width),
        pair(window.stride, window.pad),
        pair(out.height, out.width),
    ]
}

/// Kernels count the rows of images in 31 bits.
pub(crate) fn check_rows(op: &'static str, rows: usize) -> Result<()> {
    if rows <= i32::MAX as usize {
        return Ok(());
    }
    Err(Error::shape(op, "less than 2^31 rows", rows))
}
