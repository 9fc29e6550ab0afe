//! PNG files as the bytes that a model reads, and the way back.

use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bnn_core::Input;
use bnn_data::{Error as Data, limits, regular};
use png::{BitDepth, ColorType, Decoder, Encoder, Transformations};

/// What every JPEG file begins with.
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

/// Bytes per pixel of a decoded PNG, and whether the last of them is its opacity.
#[derive(Clone, Copy)]
struct Format {
    samples: usize,
    alpha: bool,
}

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

/// Reads an image of the size that a model reads: its rows of pixels from the top, channels innermost.
///
/// Palettes and small samples are expanded, samples of 16 bits keep their upper half.
/// A conversion that would lose something is refused: transparency, colours for a model of grey, and
/// any other size.
///
/// # Errors
/// What is wrong with the image, without the name of its file.
pub fn read(path: &Path, input: Input) -> Result<Vec<u8>> {
    if path.is_dir() {
        bail!("this is a folder; name the images in it, such as {}", path.join("*.png").display());
    }
    decode(&read_file(path)?, input)
}

/// What a regular file holds; the error has no name of the file.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    regular::read(path, limits::IMAGE_FILE).map_err(|error| match error {
        Data::File { source, .. } => source.into(),
        other => other.into(),
    })
}

fn decode(bytes: &[u8], input: Input) -> Result<Vec<u8>> {
    ensure!(
        !bytes.starts_with(&JPEG),
        "a JPEG image, and PNG is read here; convert it first, for example with `magick IN.jpg OUT.png`"
    );
    let damaged = "not a PNG image, or a damaged one";
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().context(damaged)?;
    check_size(reader.info(), input)?; // before any memory is taken for its pixels
    let mut pixels = vec![0; reader.output_buffer_size().context(damaged)?];
    let frame = reader.next_frame(&mut pixels).context(damaged)?;
    pixels.truncate(frame.buffer_size());
    let samples = frame.color_type.samples();
    let format = Format { samples, alpha: samples.is_multiple_of(2) };
    convert(&pixels, format, input)
}

fn check_size(info: &png::Info<'_>, input: Input) -> Result<()> {
    let (height, width) = (input.grid.height, input.grid.width);
    let size = |width: usize, height: usize| format!("{width} x {height} pixels (width x height)");
    let found = (info.width as usize, info.height as usize);
    ensure!(
        found == (width, height),
        "the image is {}, the model reads {}; resize the image first",
        size(found.0, found.1),
        size(width, height),
    );
    Ok(())
}

/// Drops opacity, and turns grey into colours or colours into grey where nothing is lost.
fn convert(pixels: &[u8], format: Format, input: Input) -> Result<Vec<u8>> {
    let channels = input.channels;
    ensure!(
        matches!(channels, 1 | 3),
        "the model reads {channels} bytes per pixel, a PNG image has 1 (grey) or 3 (colours)"
    );
    let mut bytes = Vec::with_capacity(input.bytes());
    for (index, pixel) in pixels.chunks_exact(format.samples).enumerate() {
        let place = || format!("pixel {},{}", index % input.grid.width, index / input.grid.width);
        let colours = opaque(pixel, format).with_context(place)?;
        match (colours, channels) {
            (&[grey], 3) => bytes.extend([grey; 3]),
            (&[red, green, blue], 1) => {
                ensure!(
                    red == green && green == blue,
                    "{} is coloured ({red}, {green}, {blue}), the model reads grey; convert the \
                     image first, for example with `magick IN.png -colorspace Gray OUT.png`",
                    place(),
                );
                bytes.push(red);
            }
            _ => bytes.extend(colours),
        }
    }
    Ok(bytes)
}

/// The colours of a pixel that nothing shines through.
fn opaque(pixel: &[u8], format: Format) -> Result<&[u8]> {
    let Some((alpha, colours)) = pixel.split_last().filter(|_| format.alpha) else {
        return Ok(pixel);
    };
    ensure!(
        *alpha == 255,
        "transparent (opacity {alpha} of 255); put the image on a background first, for example \
         with `magick IN.png -background black -flatten OUT.png`"
    );
    Ok(colours)
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
        decode(&png(color, depth, data), input)
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
        assert!(coloured.starts_with("pixel 1,0 is coloured (70, 71, 70), the model reads grey"));
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
            assert_eq!(decode(&file, image).unwrap(), pixels);
        }
        let depth = Input { grid: Grid { height: 1, width: 1 }, channels: 2 };
        assert_eq!(encode(depth, &[1, 2]).unwrap(), None);
    }

    #[test]
    fn damage_and_other_sizes_are_refused() {
        let whole = png(ColorType::Grayscale, BitDepth::Eight, &[9, 70]);
        let why = |bytes: &[u8], width| {
            let input = Input { grid: Grid { height: 1, width }, channels: 1 };
            format!("{:#}", decode(bytes, input).unwrap_err())
        };
        for length in [0, 4, 20, whole.len() - 20] {
            let why = why(&whole[..length], 2);
            assert!(why.starts_with("not a PNG image, or a damaged one: "), "{length}: {why}");
        }
        assert_eq!(
            why(&whole, 3),
            "the image is 2 x 1 pixels (width x height), the model reads 3 x 1 pixels \
             (width x height); resize the image first"
        );
    }
}
