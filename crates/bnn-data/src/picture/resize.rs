//! Images of one size made of images of any, exactly.
//!
//! Where an image shrinks, every pixel is the mean of what it covers, parts of pixels by their parts;
//! where it grows, a pixel lies between the four around its middle, weighted by how near they are. Both
//! are sums of products of integers over an integer, rounded once at the end: no float takes part, and
//! so every machine gives the same bytes.

use std::fmt;
use std::str::FromStr;

use super::{Image, MOST_SIDE, Refused, Size};

/// The most rows or columns to resize to.
const MOST: usize = 1024;

/// A size to bring images to, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// The size.
    pub size: Size,
    /// What becomes of other proportions.
    pub fit: Fit,
}

/// What becomes of images of other proportions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// What is too long is cut off at both ends, and shapes stay as they are.
    #[default]
    Crop,
    /// All is kept, and shapes are stretched.
    Stretch,
}

impl FromStr for Fit {
    type Err = String;

    fn from_str(text: &str) -> Refused<Self> {
        match text {
            "crop" => Ok(Self::Crop),
            "stretch" => Ok(Self::Stretch),
            _ => Err(format!("`{text}` is no way to fit: want `crop` or `stretch`")),
        }
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crop => "crop",
            Self::Stretch => "stretch",
        })
    }
}

/// `WIDTH x HEIGHT`, or with `stretch` behind; without it, or with `crop`, shapes stay as they are.
impl FromStr for Resize {
    type Err = String;

    fn from_str(text: &str) -> Refused<Self> {
        let refused = || {
            format!(
                "`{text}` is no size to resize to: want `WIDTH x HEIGHT`, or with `stretch` behind"
            )
        };
        let words: Vec<_> = text.split_whitespace().collect();
        let (width, height, fit) = match words[..] {
            [width, "x", height] => (width, height, Fit::Crop),
            [width, "x", height, fit] => (width, height, fit.parse()?),
            _ => return Err(refused()),
        };
        let number = |text: &str| text.parse().map_err(|_| refused());
        let size = Size { height: number(height)?, width: number(width)? };
        let resize = Self { size, fit };
        resize.check().map(|()| resize)
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.size, self.fit)
    }
}

impl Resize {
    /// Whether images can be brought to this size.
    ///
    /// # Errors
    /// For a size without pixels, or one of more than 1024 a side.
    pub fn check(&self) -> Refused<()> {
        let Size { height, width } = self.size;
        if height == 0 || width == 0 || height.max(width) > MOST {
            return Err(format!("{} pixels are no size from 1 to {MOST} a side", self.size));
        }
        Ok(())
    }

    /// The image in this size.
    ///
    /// # Panics
    /// If the size is none that [`Resize::check`] takes, or the image has sides beyond [`MOST_SIDE`].
    pub(super) fn apply(&self, image: Image) -> Image {
        assert!(self.check().is_ok() && image.size.height.max(image.size.width) <= MOST_SIDE);
        if image.size == self.size {
            return image;
        }
        let (columns, rows) = self.axes(image.size);
        let (width, channels) = (image.size.width, image.channels);
        let whole = columns.whole() * rows.whole();
        let mut bytes = Vec::with_capacity(self.size.pixels() * channels);
        let mut sums = vec![0_u64; self.size.width * channels];
        let taps: Vec<_> = (0..self.size.width).map(|at| columns.taps(at, width)).collect();
        for y in 0..self.size.height {
            sums.fill(0);
            let (first, weights) = rows.taps(y, image.size.height);
            for (row, weight) in image.bytes.chunks_exact(width * channels).skip(first).zip(weights)
            {
                add_row(&mut sums, row, channels, &taps, weight);
            }
            bytes.extend(sums.iter().map(|sum| ((sum + whole / 2) / whole) as u8));
        }
        Image { size: self.size, channels, bytes }
    }

    /// How columns and rows of an image of this size become those of the other.
    fn axes(&self, from: Size) -> (Axis, Axis) {
        let to = self.size;
        let stretched = |from, to| Axis { start: 0, step: from as u64, unit: to as u64 };
        let (columns, rows) = (stretched(from.width, to.width), stretched(from.height, to.height));
        let (wide, high) = (from.width * to.height, from.height * to.width);
        match self.fit {
            Fit::Crop if wide > high => (rows.middle(from.width, to.width), rows),
            Fit::Crop if wide < high => (columns, columns.middle(from.height, to.height)),
            _ => (columns, rows),
        }
    }
}

/// Pixels of a line and how they cover the pixels of another: pixel `i` of the new line reaches over
/// `step` from `start + step i` on, where a pixel of the old one is `unit` long.
#[derive(Clone, Copy)]
struct Axis {
    start: u64,
    step: u64,
    unit: u64,
}

/// The first old pixel that a new one is made of, and the weights of it and those behind it.
type Taps = (usize, Vec<u64>);

impl Axis {
    /// The same scale on the middle of a line that is longer than it needs to be, from the beginning of
    /// a pixel on: at a scale of 1 nothing is blurred.
    fn middle(self, from: usize, to: usize) -> Self {
        let surplus = from as u64 * self.unit - to as u64 * self.step;
        let start = surplus / 2 / self.unit * self.unit;
        Self { start, ..self }
    }

    /// What the weights of a pixel add up to.
    fn whole(self) -> u64 {
        if self.step >= self.unit { self.step } else { 2 * self.unit }
    }

    /// What pixel `at` is made of, in a line that had `length` pixels.
    fn taps(self, at: usize, length: usize) -> Taps {
        let Self { start, step, unit } = self;
        let begin = start + step * at as u64;
        if step >= unit {
            let end = begin + step;
            let covered = begin / unit..end.div_ceil(unit);
            let first = covered.start as usize;
            let part = |pixel: u64| end.min((pixel + 1) * unit) - begin.max(pixel * unit);
            return (first, covered.map(part).collect());
        }
        // Twice the distance of its middle from that of the first pixel; before that one there is none.
        let middle = (2 * begin + step).saturating_sub(unit);
        let (first, beyond) = ((middle / (2 * unit)) as usize, middle % (2 * unit));
        match first + 1 < length {
            true => (first, vec![2 * unit - beyond, beyond]),
            false => (length - 1, vec![2 * unit]),
        }
    }
}

/// Adds a row of pixels to the sums of a new row.
fn add_row(sums: &mut [u64], row: &[u8], channels: usize, taps: &[Taps], weight: u64) {
    for (sums, (first, weights)) in sums.chunks_exact_mut(channels).zip(taps) {
        for (channel, sum) in sums.iter_mut().enumerate() {
            let pixels = row[first * channels + channel..].iter().step_by(channels);
            let line: u64 = pixels.zip(weights).map(|(&byte, part)| u64::from(byte) * part).sum();
            *sum += weight * line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resized(rows: &[&[u8]], height: usize, width: usize, fit: Fit) -> Vec<u8> {
        let size = Size { height: rows.len(), width: rows[0].len() };
        let image = Image { size, channels: 1, bytes: rows.concat() };
        Resize { size: Size { height, width }, fit }.apply(image).bytes
    }

    #[test]
    fn shrinking_takes_the_mean_of_what_is_covered() {
        let rows: &[&[u8]] = &[&[0, 100, 10, 20], &[200, 101, 30, 41]];
        assert_eq!(resized(rows, 1, 2, Fit::Stretch), [100, 25]); // 401 / 4, 101 / 4
        // Three pixels into two: 2/3 of the outer ones and 1/3 of the middle.
        assert_eq!(resized(&[&[0, 90, 255]], 1, 2, Fit::Stretch), [30, 200]);
        assert_eq!(resized(&[[7; 5].as_slice(); 9], 2, 3, Fit::Stretch), [7; 6]);
    }

    #[test]
    fn growing_goes_from_middle_to_middle() {
        assert_eq!(resized(&[&[0, 100]], 1, 4, Fit::Stretch), [0, 25, 75, 100]);
        assert_eq!(resized(&[&[9]], 3, 2, Fit::Stretch), [9; 6]);
        let both = resized(&[&[0, 40], &[80, 120]], 4, 4, Fit::Stretch);
        assert_eq!(both[..8], [0, 10, 30, 40, 20, 30, 50, 60]);
    }

    #[test]
    fn crops_keep_the_middle_and_its_proportions() {
        let wide: &[&[u8]] = &[&[1, 2, 3, 4, 5], &[6, 7, 8, 9, 10]];
        assert_eq!(resized(wide, 2, 2, Fit::Crop), [2, 3, 7, 8]); // from a whole pixel on
        let high: &[&[u8]] = &[&[0, 0], &[10, 20], &[30, 40], &[99, 99]];
        assert_eq!(resized(high, 1, 1, Fit::Crop), [25]);
        assert_eq!(resized(high, 1, 1, Fit::Stretch), [37]);
    }

    #[test]
    fn channels_stay_apart() {
        let size = Size { height: 1, width: 2 };
        let image = Image { size, channels: 3, bytes: vec![0, 50, 100, 10, 70, 130] };
        let resize = Resize { size: Size { height: 1, width: 1 }, fit: Fit::Crop };
        let stretch = Resize { fit: Fit::Stretch, ..resize };
        assert_eq!(stretch.apply(image.clone()).bytes, [5, 60, 115]);
        assert_eq!(resize.apply(image).bytes, [0, 50, 100]);
    }

    /// The same by fractions of one sum over all pixels, for sizes around each other.
    #[test]
    fn weights_add_up_on_all_sizes() {
        for (from, to) in (1..40).flat_map(|from| (1..20).map(move |to| (from, to))) {
            for fit in [Fit::Crop, Fit::Stretch] {
                let resize = Resize { size: Size { height: to, width: 7 }, fit };
                let (columns, rows) = resize.axes(Size { height: from, width: 11 });
                for (axis, count, length) in [(columns, 7, 11), (rows, to, from)] {
                    for at in 0..count {
                        let (first, weights) = axis.taps(at, length);
                        assert!(first + weights.len() <= length, "{from} {to} {fit}");
                        assert_eq!(weights.iter().sum::<u64>(), axis.whole());
                    }
                }
            }
        }
    }

    #[test]
    fn sizes_are_checked() {
        for (height, width) in [(0, 5), (5, 0), (1025, 1)] {
            let resize = Resize { size: Size { height, width }, fit: Fit::Crop };
            assert!(resize.check().unwrap_err().contains("no size from 1 to 1024"));
        }
        let resize = Resize { size: Size { height: 24, width: 32 }, fit: Fit::Crop };
        assert_eq!("32 x 24".parse(), Ok(resize));
        assert_eq!(resize.to_string().parse(), Ok(resize));
        let stretch = Resize { fit: Fit::Stretch, ..resize };
        assert_eq!("32 x 24 stretch".parse(), Ok(stretch));
        for text in ["", "32", "32x24", "32 x", "a x b", "32 x 24 crop crop", "-1 x 3"] {
            assert!(
                text.parse::<Resize>().unwrap_err().contains("want `WIDTH x HEIGHT`"),
                "{text}"
            );
        }
        assert!("0 x 24".parse::<Resize>().unwrap_err().contains("no size from 1 to 1024"));
        assert!("pad".parse::<Fit>().unwrap_err().contains("want `crop` or `stretch`"));
    }
}
