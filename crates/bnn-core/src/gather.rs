//! Which entries of an operand meet the weights: dense layers, convolutions and pooling windows.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Height and width of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
}

/// A window that slides over a [`Grid`].
///
/// Taps outside the grid count 0 in a product (not +1 or -1), and minus infinity in pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Height of the window.
    pub height: usize,
    /// Width of the window.
    pub width: usize,
    /// Pixels between neighbouring windows, both ways.
    pub stride: usize,
    /// Rows and columns of taps outside the grid, on all four sides.
    pub pad: usize,
}

/// How the rows of a matrix meet the weights.
///
/// Images are matrices too: row `(image * height + y) * width + x`, column = channel (NHWC).
/// The weights have one row per output and columns in the order `[window y][window x][channel]`.
///
/// ```
/// use bnn_core::{Gather, Grid, Window};
/// let conv = Gather::Patches { grid: Grid { height: 2, width: 2 }, window: Window::square(3, 1, 1) };
/// assert_eq!(conv.source(0, 0), None); // the tap above and left of the first pixel
/// assert_eq!(conv.source(5, 4), Some(5)); // the tap at the centre, second image
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Gather {
    /// Every row meets the weights as it is: a dense layer, rows are samples.
    Rows,
    /// Every window of every image meets the weights: a convolution (cross-correlation, no flip).
    /// A dense layer behind a convolution is a window as large as the grid.
    Patches {
        /// The images.
        grid: Grid,
        /// The window.
        window: Window,
    },
}

/// The longest side of a grid or window.
const LARGEST: usize = 1 << 20;

/// The grid of rows that are no images.
const PIXEL: Grid = Grid { height: 1, width: 1 };

impl Grid {
    /// Pixels of one image.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// The window that covers the whole grid once, without padding.
    pub fn whole(&self) -> Window {
        Window { height: self.height, width: self.width, stride: 1, pad: 0 }
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.height, self.width)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { height, width, stride, pad } = self;
        write!(f, "{height} x {width} stride {stride} pad {pad}")
    }
}

impl Window {
    /// A square window.
    pub fn square(side: usize, stride: usize, pad: usize) -> Self {
        Self { height: side, width: side, stride, pad }
    }

    /// Taps of one window.
    pub fn taps(&self) -> usize {
        self.height * self.width
    }

    /// The grid of window positions: `floor((size + 2 pad - window) / stride) + 1` each way.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty window or grid, a zero stride, a window larger than the padded
    /// grid, a padding of at least the window's size (whole windows outside the grid), or a side of
    /// more than 2^20, whose products would overflow.
    pub fn positions(&self, grid: Grid) -> Result<Grid> {
        let fits = |size: usize, side: usize| {
            (1..=LARGEST).contains(&size)
                && (1..=LARGEST).contains(&side)
                && (1..=LARGEST).contains(&self.stride)
                && self.pad < side
                && size + 2 * self.pad >= side
        };
        if !fits(grid.height, self.height) || !fits(grid.width, self.width) {
            let want =
                "a window inside the padded grid, pad < window, stride > 0, sides up to 2^20";
            return Err(Error::shape("window", want, format!("{self} on {grid} pixels")));
        }
        let count = |size: usize, side: usize| (size + 2 * self.pad - side) / self.stride + 1;
        Ok(Grid { height: count(grid.height, self.height), width: count(grid.width, self.width) })
    }

    /// The row of `grid` under tap `tap` of the window at row `position`, or none outside the grid.
    ///
    /// Both rows count through all images; `out` is what [`Window::positions`] gave.
    pub fn source(&self, grid: Grid, out: Grid, position: usize, tap: usize) -> Option<usize> {
        let (image, place) = (position / out.pixels(), position % out.pixels());
        let along = |place: usize, tap: usize, size: usize| {
            (place * self.stride + tap).checked_sub(self.pad).filter(|&at| at < size)
        };
        let y = along(place / out.width, tap / self.width, grid.height)?;
        let x = along(place % out.width, tap % self.width, grid.width)?;
        Some((image * grid.height + y) * grid.width + x)
    }
}

impl Gather {
    /// Rows of the operand that one output row meets.
    pub fn taps(&self) -> usize {
        match self {
            Self::Rows => 1,
            Self::Patches { window, .. } => window.taps(),
        }
    }

    /// Output rows for an operand of `rows` rows.
    ///
    /// # Errors
    /// [`Error::Shape`] if the rows are not whole images, or as [`Window::positions`].
    pub fn out_rows(&self, rows: usize) -> Result<usize> {
        let Self::Patches { grid, window } = self else { return Ok(rows) };
        let out = window.positions(*grid)?;
        if !rows.is_multiple_of(grid.pixels()) {
            let want = format!("whole images of {} rows", grid.pixels());
            return Err(Error::shape("gather", want, format!("{rows} rows")));
        }
        Ok(rows / grid.pixels() * out.pixels())
    }

    /// Operand rows behind `out_rows` output rows: the inverse of [`Gather::out_rows`].
    ///
    /// # Errors
    /// As [`Gather::out_rows`].
    pub fn in_rows(&self, out_rows: usize) -> Result<usize> {
        let Self::Patches { grid, window } = self else { return Ok(out_rows) };
        let out = window.positions(*grid)?.pixels();
        if !out_rows.is_multiple_of(out) {
            let want = format!("whole images of {out} windows");
            return Err(Error::shape("gather", want, format!("{out_rows} rows")));
        }
        Ok(out_rows / out * grid.pixels())
    }

    /// The taps of an output row that lie inside the grid, in row-major order, each with the operand
    /// row under it: the same as [`Gather::source`], without a division per tap.
    ///
    /// # Panics
    /// If the window does not fit its grid; [`Gather::out_rows`] tells first.
    pub fn sources(&self, out_row: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (grid, window) = match *self {
            Self::Rows => (PIXEL, PIXEL.whole()),
            Self::Patches { grid, window } => (grid, window),
        };
        let out = window.positions(grid).expect("the window was checked");
        let (image, place) = (out_row / out.pixels(), out_row % out.pixels());
        let (top, left) = (place / out.width * window.stride, place % out.width * window.stride);
        let along = move |from: usize, tap: usize, size: usize| {
            (from + tap).checked_sub(window.pad).filter(|&at| at < size)
        };
        (0..window.height).flat_map(move |i| {
            let row = along(top, i, grid.height).map(|y| (image * grid.height + y) * grid.width);
            (0..window.width).filter_map(move |j| {
                Some((i * window.width + j, row? + along(left, j, grid.width)?))
            })
        })
    }

    /// The operand row under a tap of an output row, or none where the tap lies outside the grid.
    ///
    /// # Panics
    /// If the window does not fit its grid; [`Gather::out_rows`] tells first.
    pub fn source(&self, out_row: usize, tap: usize) -> Option<usize> {
        match self {
            Self::Rows => Some(out_row),
            Self::Patches { grid, window } => {
                let out = window.positions(*grid).expect("the window was checked");
                window.source(*grid, out, out_row, tap)
            }
        }
    }

    /// Shape of a product of an operand `a` (rows, columns) with weights `w` (rows, columns).
    ///
    /// # Errors
    /// [`Error::Shape`] unless `w` has `taps * columns of a` columns and `a` has whole images, or for
    /// a product of more reals than can be addressed.
    pub fn product_shape(&self, a: (usize, usize), w: (usize, usize)) -> Result<(usize, usize)> {
        let rows = self.out_rows(a.0)?; // also refuses windows whose taps overflow
        if self.taps().checked_mul(a.1) != Some(w.1) {
            let got = format!("operand of {} columns, weights of {}", a.1, w.1);
            return Err(Error::shape(
                "product",
                format!("{} taps per weight row", self.taps()),
                got,
            ));
        }
        let bytes = rows.checked_mul(w.0).and_then(|reals| reals.checked_mul(size_of::<f32>()));
        if bytes.is_none_or(|bytes| bytes > isize::MAX as usize) {
            let got = format!("{rows} rows of {} outputs", w.0);
            return Err(Error::shape("product", "a product that can be addressed", got));
        }
        Ok((rows, w.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Counted another way: walk over the padded image and list what lies inside.
        #[test]
        fn sources_are_the_pixels_under_the_window(
            height in 1usize..6, width in 1usize..6, side in 1usize..4, stride in 1usize..3, pad in 0usize..3,
        ) {
            let (grid, window) = (Grid { height, width }, Window::square(side, stride, pad));
            let Ok(out) = window.positions(grid) else { return Ok(()) };
            let gather = Gather::Patches { grid, window };
            for (oy, ox) in (0..out.height).flat_map(|y| (0..out.width).map(move |x| (y, x))) {
                for (ty, tx) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
                    let y = (oy * stride + ty) as isize - pad as isize;
                    let x = (ox * stride + tx) as isize - pad as isize;
                    let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
                    let want = inside.then(|| ((height as isize + y) * width as isize + x) as usize);
                    let position = (out.height + oy) * out.width + ox; // in the second image
                    prop_assert_eq!(gather.source(position, ty * side + tx), want);
                }
            }
        }

        #[test]
        fn sources_are_the_sources_of_the_taps(
            size in 1usize..6, side in 1usize..4, stride in 1usize..3, pad in 0usize..3, row in 0usize..40,
        ) {
            let (grid, window) = (Grid { height: size, width: size + 1 }, Window::square(side, stride, pad));
            prop_assume!(window.positions(grid).is_ok());
            for gather in [Gather::Rows, Gather::Patches { grid, window }] {
                let taps = (0..gather.taps()).filter_map(|tap| Some((tap, gather.source(row, tap)?)));
                prop_assert!(gather.sources(row).eq(taps));
            }
        }

        #[test]
        fn rows_round_trip(images in 0usize..4, side in 1usize..4, stride in 1usize..3) {
            let gather = Gather::Patches {
                grid: Grid { height: 5, width: 4 },
                window: Window::square(side, stride, side - 1),
            };
            let out = gather.out_rows(images * 20).unwrap();
            prop_assert_eq!(gather.in_rows(out).unwrap(), images * 20);
        }
    }

    #[test]
    fn impossible_windows_are_refused() {
        let grid = Grid { height: 2, width: 2 };
        assert_eq!(
            Window::square(3, 1, 0).positions(grid).unwrap_err().to_string(),
            "window: want a window inside the padded grid, pad < window, stride > 0, sides up to 2^20, \
             got 3 x 3 stride 1 pad 0 on 2 x 2 pixels"
        );
        assert!(Window::square(2, 0, 0).positions(grid).is_err());
        assert!(Window::square(2, 1, 2).positions(grid).is_err());
        assert!(Window::square(0, 1, 0).positions(grid).is_err());
        assert!(Window::square(usize::MAX, 1, usize::MAX / 2).positions(grid).is_err());
        let patches = Gather::Patches { grid, window: Window::square(2, 1, 0) };
        assert!(patches.out_rows(3).is_err());
    }

    #[test]
    fn products_beyond_any_memory_are_refused() {
        let half = (1 << 40, 1 << 20);
        assert_eq!(Gather::Rows.product_shape((half.0, 1), (half.1, 1)).unwrap(), half);
        for more in [1 << 21, 1 << 22] {
            assert!(Gather::Rows.product_shape((half.0, 1), (more, 1)).is_err());
        }
    }
}
