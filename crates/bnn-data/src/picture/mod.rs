//! PNG and JPEG files as pixels, and pixels as the images that a network reads.
//!
//! Training and classification share what is here, in this order: a file is decoded, turned upright
//! as its EXIF block says, put on a background, made grey or coloured, and resized. All of it is
//! integer arithmetic without vector instructions: the same file gives the same bytes everywhere.

mod exif;
mod jpeg;
mod png;
mod resize;
mod rules;

use std::fmt;
use std::path::Path;

pub use resize::{Fit, Resize};
pub use rules::{Background, Rules};

use crate::{Error, Result, limits, regular};

/// The most pixels of a picture that is decoded.
///
/// Memory stays below 16 bytes for each: of a progressive JPEG, whose coefficients take 6 and whose colours
/// 3, the colours are there twice while it is decoded again; of a PNG with opacity there are 4, and 4 more
/// while it is turned.
pub const MOST_PIXELS: usize = 100_000_000;

/// The most pixels in a row or a column of a picture that is decoded; a JPEG cannot have more.
pub const MOST_SIDE: usize = 65_535;

/// Why something is no picture to work with, and what to do.
type Refused<T> = std::result::Result<T, String>;

/// Height and width of pixels, as text the width first, as every tool for pictures has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
}

/// What a file held, upright.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its size.
    pub size: Size,
    /// 1 for grey, 3 for colours.
    pub channels: usize,
    /// Whether opacity lies behind the channels of every pixel.
    pub alpha: bool,
    /// Whether the file numbers its colours.
    pub palette: bool,
    /// Rows from the top; of every pixel its channels and its opacity, if there is one.
    samples: Vec<u8>,
}

/// What a network reads: rows of pixels from the top, channels innermost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its size.
    pub size: Size,
    /// 1 for grey, 3 for colours.
    pub channels: usize,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Reads a file that may be a picture: not further than its first bytes if it is none, and not at all
/// if it is no regular file.
///
/// # Errors
/// [`Error::File`] for what cannot be read or has more than [`limits::IMAGE_FILE`] bytes,
/// [`Error::Picture`] for what is neither PNG nor JPEG.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let refused = |why| Error::Picture { path: path.into(), why };
    regular::read_if(path, limits::IMAGE_FILE, |first, _| look(first).map_err(refused))
}

/// Looks at the first bytes of what should be a picture.
pub(crate) fn look(first: &[u8]) -> Refused<()> {
    Format::of(first).map(drop)
}

/// Decodes a picture, whose first bytes tell its format, and turns it upright.
///
/// Samples of 16 bits keep their upper half, smaller ones are spread over 0 to 255, palettes are
/// expanded. `allow` is asked for its size before memory is taken for its pixels.
///
/// # Errors
/// What is wrong with it, or what `allow` says.
pub fn decode(bytes: &[u8], allow: impl Fn(Size) -> Refused<()>) -> Refused<Picture> {
    let allow = |size: Size| {
        size.check()?;
        allow(size)
    };
    match Format::of(bytes)? {
        Format::Png => png::decode(bytes, &allow),
        Format::Jpeg => jpeg::decode(bytes, &allow),
    }
}

enum Format {
    Png,
    Jpeg,
}

impl Format {
    fn of(bytes: &[u8]) -> Refused<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', ..] => Ok(Self::Png),
            [0xff, 0xd8, ..] => Ok(Self::Jpeg),
            [] => Err("the file is empty".into()),
            _ => Err("neither a PNG nor a JPEG image, by its first bytes; convert it first, for \
                      example with `magick IN OUT.png`"
                .into()),
        }
    }
}

impl Size {
    fn check(self) -> Refused<()> {
        if self.height.max(self.width) > MOST_SIDE {
            return Err(format!("{self} pixels are more than {MOST_SIDE} a side; make it smaller"));
        }
        if self.height * self.width > MOST_PIXELS {
            let most = MOST_PIXELS / 1_000_000;
            return Err(format!("{self} pixels are more than {most} million; make it smaller"));
        }
        Ok(())
    }

    fn pixels(self) -> usize {
        self.height * self.width
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.width, self.height)
    }
}

impl Picture {
    /// A picture of pixels that are there already.
    pub(crate) fn opaque(
        (height, width): (usize, usize),
        channels: usize,
        samples: Vec<u8>,
    ) -> Self {
        Self { size: Size { height, width }, channels, alpha: false, palette: false, samples }
    }

    /// Samples of a pixel.
    fn depth(&self) -> usize {
        self.channels + usize::from(self.alpha)
    }

    /// The first pixel that something shines through, by row and column, and its opacity.
    fn clear(&self) -> Option<(usize, usize, u8)> {
        let mut pixels = self.samples.chunks_exact(self.depth()).map(|pixel| pixel[self.channels]);
        let at = self.alpha.then(|| pixels.position(|alpha| alpha != u8::MAX))??;
        let alpha = self.samples[at * self.depth() + self.channels];
        Some((at / self.size.width, at % self.size.width, alpha))
    }

    /// Whether something shines through a pixel.
    pub fn is_clear(&self) -> bool {
        self.clear().is_some()
    }
}
