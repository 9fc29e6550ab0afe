//! JPEG files.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::exif::Orientation;
use super::{MOST_SIDE, Picture, Refused, Size};

/// The end mark of a file.
const END: [u8; 2] = [0xff, 0xd9];

/// Bytes of other bits that end the data the second time: more than the longest codes of a block's last
/// coefficient take.
const OTHER: [u8; 64] = [0xfe; 64];

/// Decodes a file, baseline or progressive, grey or of colours.
///
/// What a truncated file lacks is an error here, though most viewers fill it up. The decoder fills up
/// as well where an end mark stands in the midst of the data; so it decodes a second time with other
/// bits before the mark, which change the pixels only if the data did not suffice. What lies behind the
/// end mark is passed over.
pub(super) fn decode(bytes: &[u8], allow: &dyn Fn(Size) -> Refused<()>) -> Refused<Picture> {
    let end = end_mark(bytes).ok_or("a JPEG image that breaks off: it has no end mark")?;
    let (picture, orientation) = pixels(&bytes[..end + END.len()], allow)?;
    let fill = bytes[..end].iter().rev().take_while(|&&byte| byte == 0xff).count();
    let other = [&bytes[..end - fill], &OTHER, &END].concat();
    if !pixels(&other, allow).is_ok_and(|other| other.0 == picture) {
        return Err(
            "a JPEG image that breaks off: its end mark stands before the end of its data".into()
        );
    }
    Ok(orientation.upright(picture))
}

/// Where the end mark is; one within a segment, as of a preview, is none.
fn end_mark(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xff)?;
        at += match *bytes.get(at + 1)? {
            0xd9 => return Some(at),
            0xff => 1,
            0 | 1 | 0xd0..=0xd8 => 2, // data, or a marker without a segment
            _ => 2 + usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?])),
        };
    }
}

/// The pixels as they are stored, and how they lie.
///
/// The decoder's vector instructions are switched off when it is built, so that the bytes are the
/// same on every machine.
fn pixels(bytes: &[u8], allow: &dyn Fn(Size) -> Refused<()>) -> Refused<(Picture, Orientation)> {
    let damaged = |error| format!("not a JPEG image, or a damaged one: {error:?}");
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MOST_SIDE)
        .set_max_height(MOST_SIDE);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or("a JPEG image without a size")?;
    let (size, orientation) =
        (Size { height, width }, Orientation::of(decoder.exif().map(Vec::as_slice)));
    allow(orientation.size(size))?;
    let (channels, space) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (1, ColorSpace::Luma),
        Some(ColorSpace::YCbCr | ColorSpace::RGB) => (3, ColorSpace::RGB),
        other => {
            let other = other.map_or_else(|| "no known colours".into(), |name| format!("{name:?}"));
            return Err(format!(
                "a JPEG image of {other}, neither grey nor RGB; convert it first, for example with \
                 `magick IN.jpg -colorspace sRGB OUT.jpg`"
            ));
        }
    };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let samples = decoder.decode().map_err(damaged)?;
    Ok((Picture { size, channels, alpha: false, palette: false, samples }, orientation))
}
