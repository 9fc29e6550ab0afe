//! PNG files.

use std::io::Cursor;

use png::{ColorType, Decoder, Transformations};

use super::exif::Orientation;
use super::{Picture, Refused, Size};

/// Decodes a file to its end mark; of an animation, the image that it shows where it cannot move.
pub(super) fn decode(bytes: &[u8], allow: &dyn Fn(Size) -> Refused<()>) -> Refused<Picture> {
    let damaged = |error| format!("not a PNG image, or a damaged one: {error}");
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let size = Size { height: info.height as usize, width: info.width as usize };
    let palette = info.color_type == ColorType::Indexed;
    if !info.palette.as_deref().unwrap_or_default().len().is_multiple_of(3) {
        // The decoder would panic.
        return Err("a damaged PNG image: a colour of its palette is not whole".into());
    }
    allow(Orientation::of(info.exif_metadata.as_deref()).size(size))?;
    let room = reader.output_buffer_size().ok_or("an image too large to address")?;
    let mut samples = vec![0; room];
    let frame = reader.next_frame(&mut samples).map_err(damaged)?;
    samples.truncate(frame.buffer_size());
    // How to turn it may be told behind the pixels.
    reader
        .finish()
        .map_err(|_| "a PNG image that breaks off: its end mark is absent or damaged")?;
    let orientation = Orientation::of(reader.info().exif_metadata.as_deref());
    let depth = frame.color_type.samples();
    let alpha = depth.is_multiple_of(2);
    let channels = depth - usize::from(alpha);
    let stored = Picture { size, channels, alpha, palette, samples };
    Ok(orientation.upright(stored))
}
