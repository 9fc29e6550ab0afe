//! Files of pictures as the bytes that a model reads, and the way back.

use std::path::Path;

use anyhow::{Context, Error, Result, bail, ensure};
use bnn_core::Input;
use bnn_data::picture::{self, Rules, Size};
use png::{BitDepth, ColorType, Encoder};

/// The bytes of an image of this size as a PNG file; none if its pixels are neither grey (1 byte) nor
/// colours (3 bytes).
///
/// # Errors
/// An image that is too large for PNG.
pub fn encode(image: Input, pixels: &[u8]) -> Result<Option<Vec<u8>>> {
    let color = match image.channels {
        1 => ColorType::Grayscale,
        3 => ColorType::Rgb,
        _ => return Ok(None),
    };
    let mut file = Vec::new();
    let [width, height] = [image.grid.width, image.grid.height].map(u32::try_from);
    let mut encoder = Encoder::new(&mut file, width?, height?);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(Some(file))
}

/// Reads a picture as the image that a model reads: its rows of pixels from the top, channels innermost.
///
/// What `rules` do not say and would lose something is refused: transparency, colours for a model of
/// grey, and any other size.
///
/// # Errors
/// What is wrong with the picture, with the name of its file.
pub fn read(path: &Path, input: Input, rules: &Rules) -> Result<Vec<u8>> {
    let place = || path.display().to_string();
    if path.is_dir() {
        let some = path.join("*.png");
        bail!("{}: this is a folder; name the images in it, such as {}", place(), some.display());
    }
    decode(&picture::read(path)?, input, rules).with_context(place)
}

fn decode(bytes: &[u8], input: Input, rules: &Rules) -> Result<Vec<u8>> {
    let channels = input.channels;
    ensure!(
        matches!(channels, 1 | 3),
        "the model reads {channels} bytes per pixel, a picture has 1 (grey) or 3 (colours)"
    );
    let wanted = Size { height: input.grid.height, width: input.grid.width };
    let fits = |size: Size| {
        if rules.resize.is_some() || size == wanted {
            return Ok(()); // known before any memory is taken for its pixels
        }
        Err(format!(
            "the image is {size} pixels (width x height), the model reads {wanted}; resize the image \
             first, or train with `resize` in the table `[images]` of the spec"
        ))
    };
    let image = picture::decode(bytes, fits).and_then(|picture| rules.develop(picture));
    let image = image.and_then(|image| image.lossless(channels)).map_err(Error::msg)?;
    ensure!(image.size == wanted, "the rules of pictures make it {}, not {wanted}", image.size);
    Ok(image.bytes)
}

#[cfg(test)]
mod tests {
    use bnn_core::Grid;

    use super::*;

    /// A PNG of 2 x 1 pixels.
    fn png(color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 2, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![9, 9, 9, 70, 70, 70]);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        file
    }

    fn read(channels: usize, color: ColorType, depth: BitDepth, data: &[u8]) -> Result<Vec<u8>> {
        let input = Input { grid: Grid { height: 1, width: 2 }, channels };
        decode(&png(color, depth, data), input, &Rules::default())
    }

    #[test]
    fn whatever_loses_nothing_is_converted() {
        use BitDepth::{Eight, One, Sixteen};
        use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
        for (color, depth, data) in [
            (Grayscale, Eight, vec![9, 70]),
            (Grayscale, Sixteen, vec![9, 1, 70, 255]),
            (GrayscaleAlpha, Eight, vec![9, 255, 70, 255]),
            (Rgb, Eight, vec![9, 9, 9, 70, 70, 70]),
            (Rgba, Eight, vec![9, 9, 9, 255, 70, 70, 70, 255]),
            (Indexed, One, vec![0b0100_0000]),
        ] {
            assert_eq!(read(1, color, depth, &data).unwrap(), [9, 70], "{color:?}");
            assert_eq!(read(3, color, depth, &data).unwrap(), [9, 9, 9, 70, 70, 70], "{color:?}");
        }
        assert_eq!(read(1, Grayscale, One, &[0b0100_0000]).unwrap(), [0, 255]);
        assert_eq!(read(3, Rgb, Eight, &[1, 2, 3, 4, 5, 6]).unwrap(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn whatever_would_lose_something_is_refused() {
        use ColorType::{Grayscale, GrayscaleAlpha, Rgb, Rgba};
        let why = |channels, color, data: &[u8]| {
            format!("{:#}", read(channels, color, BitDepth::Eight, data).unwrap_err())
        };
        let coloured = why(1, Rgb, &[9, 9, 9, 70, 71, 70]);
        assert!(coloured.starts_with("pixel 1,0 is coloured (70, 71, 70)"), "{coloured}");
        let clear = "pixel 1,0: transparent (opacity 254 of 255)";
        assert!(why(1, GrayscaleAlpha, &[9, 255, 70, 254]).starts_with(clear));
        assert!(why(3, Rgba, &[9, 9, 9, 255, 7, 7, 7, 254]).starts_with(clear));
        assert!(why(2, Grayscale, &[9, 70]).starts_with("the model reads 2 bytes per pixel"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for channels in [1, 3] {
            let image = Input { grid: Grid { height: 2, width: 3 }, channels };
            let pixels: Vec<u8> = (0..6 * channels as u8).map(|at| 14 * at).collect();
            let file = encode(image, &pixels).unwrap().unwrap();
            assert_eq!(decode(&file, image, &Rules::default()).unwrap(), pixels);
        }
        let depth = Input { grid: Grid { height: 1, width: 1 }, channels: 2 };
        assert_eq!(encode(depth, &[1, 2]).unwrap(), None);
    }

    #[test]
    fn damage_and_other_sizes_are_refused() {
        let whole = png(ColorType::Grayscale, BitDepth::Eight, &[9, 70]);
        let why = |bytes: &[u8], width| {
            let input = Input { grid: Grid { height: 1, width }, channels: 1 };
            format!("{:#}", decode(bytes, input, &Rules::default()).unwrap_err())
        };
        assert_eq!(why(&[], 2), "the file is empty");
        for length in [4, 20, whole.len() - 20] {
            let why = why(&whole[..length], 2);
            assert!(why.starts_with("not a PNG image, or a damaged one: "), "{length}: {why}");
        }
        let other = why(&whole, 3);
        let want = "the image is 2 x 1 pixels (width x height), the model reads 3 x 1; resize";
        assert!(other.starts_with(want), "{other}");
    }
}
