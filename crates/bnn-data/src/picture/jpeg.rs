//! JPEG files.

use std::panic::{AssertUnwindSafe, catch_unwind};

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
/// bits before the mark, which change the pixels only if the data did not suffice. Scans that are
/// absent altogether are missed by their headers. What lies behind the end mark is passed over.
pub(super) fn decode(bytes: &[u8], allow: &dyn Fn(Size) -> Refused<()>) -> Refused<Picture> {
    let Markers { end, components } =
        Markers::read(bytes).ok_or("a JPEG image that breaks off: it has no end mark")?;
    if components.iter().any(|(_, told)| *told != u64::MAX) {
        return Err("a JPEG image that breaks off: some of its scans are absent".into());
    }
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

/// What the markers of a file tell, up to the end mark.
struct Markers {
    /// Where the end mark is; one within a segment, as of a preview, is none.
    end: usize,
    /// For every component by its name, a bit for each of its 64 coefficients that a scan has told whole.
    components: Vec<(u8, u64)>,
}

impl Markers {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (mut at, mut components, mut progressive) = (2, Vec::new(), false);
        loop {
            at += bytes.get(at..)?.iter().position(|&byte| byte == 0xff)?;
            let marker = *bytes.get(at + 1)?;
            at += match marker {
                0xd9 => return Some(Self { end: at, components }),
                0xff => 1,
                0 | 1 | 0xd0..=0xd8 => 2, // data, or a marker without a segment
                _ => {
                    let length = u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]);
                    let segment = bytes.get(at + 4..at + 2 + usize::from(length))?;
                    match marker {
                        0xc0..=0xc2 => {
                            progressive = marker == 0xc2;
                            let names =
                                segment.get(6..)?.chunks_exact(3).map(|names| (names[0], 0));
                            components = names.collect();
                        }
                        0xda => tell(segment, progressive, &mut components)?,
                        _ => {}
                    }
                    2 + usize::from(length)
                }
            };
        }
    }
}

/// Notes what a scan tells, by its header: all coefficients of its components, or where the file is
/// progressive a range of them, once their lowest bits are told.
fn tell(header: &[u8], progressive: bool, components: &mut [(u8, u64)]) -> Option<()> {
    let (&count, rest) = header.split_first()?;
    let (names, range) = rest.split_at_checked(2 * usize::from(count))?;
    let &[first, last, bits] = range.first_chunk()?;
    let told = match progressive {
        false => u64::MAX,
        true if bits & 0xf > 0 || first > last || last > 63 => 0,
        true => u64::MAX << first & u64::MAX >> (63 - last),
    };
    for name in names.chunks_exact(2) {
        components.iter_mut().filter(|(of, _)| *of == name[0]).for_each(|(_, all)| *all |= told);
    }
    Some(())
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
    // Damaged files can make the decoder panic: sizes that contradict each other in every build,
    // coefficients that overflow where overflow is checked.
    let samples = catch_unwind(AssertUnwindSafe(|| decoder.decode()))
        .map_err(|_| "a damaged JPEG image: its decoder panics")?
        .map_err(damaged)?;
    Ok((Picture { size, channels, alpha: false, palette: false, samples }, orientation))
}
