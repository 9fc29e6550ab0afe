//! PNG and JPEG files as bytes of pixels.

use std::fmt;
use std::io::Cursor;

use png::Transformations;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// The most pixels in a row or a column: no more memory is taken on the word of a header.
const LIMIT: usize = 1024;

/// Size of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(super) height: usize,
    pub(super) width: usize,
    /// 1 for grey, 3 for colours.
    pub(super) channels: usize,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colours = if self.channels == 1 { "grey" } else { "coloured" };
        write!(f, "{} x {} {colours} (width x height)", self.width, self.height)
    }
}

/// Decodes an image, whose first bytes tell its format: its rows from the top, channels innermost.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Size, Vec<u8>), String> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => png(bytes),
        [0xff, 0xd8, ..] => jpeg(bytes),
        [] => Err("the file is empty".into()),
        _ => Err("neither a PNG nor a JPEG image, by its first bytes".into()),
    }
}

fn check(width: usize, height: usize) -> Result<(), String> {
    if width.max(height) > LIMIT {
        return Err(format!("{width} x {height} pixels are more than {LIMIT} a side; resize it"));
    }
    Ok(())
}

/// What a truncated file lacks is an error here, though most viewers fill it up; the decoder notices
/// most of that itself, but not within the last rows, hence a look at the end.
///
/// The decoder's vector instructions are switched off when it is built, so that the bytes are the
/// same on every machine.
fn jpeg(bytes: &[u8]) -> Result<(Size, Vec<u8>), String> {
    let damaged = |error| format!("not a JPEG image, or a damaged one: {error:?}");
    let options = DecoderOptions::default().set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or("a JPEG image without a size")?;
    check(width, height)?;
    let (channels, space) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (1, ColorSpace::Luma),
        Some(ColorSpace::YCbCr | ColorSpace::RGB) => (3, ColorSpace::RGB),
        other => return Err(format!("a JPEG image of {other:?}, neither grey nor RGB")),
    };
    if !bytes.ends_with(&[0xff, 0xd9]) {
        return Err("a JPEG image that breaks off: it does not end with its end mark".into());
    }
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let pixels = decoder.decode().map_err(damaged)?;
    Ok((Size { height, width, channels }, pixels))
}

fn png(bytes: &[u8]) -> Result<(Size, Vec<u8>), String> {
    let damaged = |error| format!("not a PNG image, or a damaged one: {error}");
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    check(width, height)?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("an image too large to address")?];
    let frame = reader.next_frame(&mut pixels).map_err(damaged)?;
    pixels.truncate(frame.buffer_size());
    let (samples, space) = (frame.color_type.samples(), frame.color_type);
    let channels = samples - usize::from(samples.is_multiple_of(2));
    if channels < samples {
        pixels = opaque(&pixels, samples).ok_or(format!("a PNG image of {space:?}, not opaque"))?;
    }
    Ok((Size { height, width, channels }, pixels))
}

/// Drops the opacity behind every pixel; nothing if anything shines through.
fn opaque(pixels: &[u8], samples: usize) -> Option<Vec<u8>> {
    let mut colours = Vec::with_capacity(pixels.len());
    for pixel in pixels.chunks_exact(samples) {
        let (alpha, colour) = pixel.split_last()?;
        if *alpha != u8::MAX {
            return None;
        }
        colours.extend(colour);
    }
    Some(colours)
}
