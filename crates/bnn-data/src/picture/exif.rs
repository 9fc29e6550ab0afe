//! Pictures that were taken with the camera on its side.
//!
//! Cameras store pixels as their sensor lies and write into an EXIF block how to turn them; every
//! viewer does so, and who looks through a data set sees no other pixels. A block that is damaged, or
//! says what no block may say, is passed over as viewers pass over it: the pixels are whole without it.

use exif::{In, Reader, Tag};

use super::{Picture, Size};

/// How stored pixels lie: 1 to 8 as EXIF counts them, 1 upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orientation(u32);

impl Orientation {
    /// What an EXIF block says, from its TIFF header on; upright if there is none or it does not tell.
    pub(super) fn of(block: Option<&[u8]>) -> Self {
        let told = block.and_then(|block| {
            let mut reader = Reader::new();
            let read = reader.continue_on_error(true).read_raw(block.to_vec());
            let read = read.or_else(|error| error.distill_partial_result(|_| {})).ok()?;
            read.get_field(Tag::Orientation, In::PRIMARY)?.value.get_uint(0)
        });
        Self(told.filter(|told| (1..=8).contains(told)).unwrap_or(1))
    }

    /// The size upright of pixels that are stored in this size.
    pub(super) fn size(self, Size { height, width }: Size) -> Size {
        if self.0 >= 5 { Size { height: width, width: height } } else { Size { height, width } }
    }

    /// Turns a picture whose pixels lie as they are stored.
    pub(super) fn upright(self, stored: Picture) -> Picture {
        if self.0 == 1 {
            return stored;
        }
        let (Size { height, width }, depth) = (stored.size, stored.depth());
        let (from_below, from_right) =
            (matches!(self.0, 3 | 4 | 6 | 7), matches!(self.0, 2 | 3 | 7 | 8));
        let size = self.size(stored.size);
        let mut samples = Vec::with_capacity(stored.samples.len());
        for y in 0..size.height {
            for x in 0..size.width {
                let (row, column) = if self.0 >= 5 { (x, y) } else { (y, x) };
                let row = if from_below { height - 1 - row } else { row };
                let column = if from_right { width - 1 - column } else { column };
                samples
                    .extend_from_slice(&stored.samples[(row * width + column) * depth..][..depth]);
            }
        }
        Picture { size, samples, ..stored }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of one field of 16 bits.
    fn block(tag: u16, value: u16) -> Vec<u8> {
        let mut block = b"MM\0*\0\0\0\x08\0\x01".to_vec();
        block.extend(tag.to_be_bytes());
        block.extend([0, 3, 0, 0, 0, 1]);
        block.extend(value.to_be_bytes());
        block.extend([0; 6]);
        block
    }

    #[test]
    fn every_orientation_has_its_arrangement() {
        // Stored as 123 over 456; what a viewer shows.
        let shown: [(u16, &[u8], usize); 8] = [
            (1, &[1, 2, 3, 4, 5, 6], 3),
            (2, &[3, 2, 1, 6, 5, 4], 3),
            (3, &[6, 5, 4, 3, 2, 1], 3),
            (4, &[4, 5, 6, 1, 2, 3], 3),
            (5, &[1, 4, 2, 5, 3, 6], 2),
            (6, &[4, 1, 5, 2, 6, 3], 2),
            (7, &[6, 3, 5, 2, 4, 1], 2),
            (8, &[3, 6, 2, 5, 1, 4], 2),
        ];
        for (told, want, width) in shown {
            let orientation = Orientation::of(Some(&block(0x112, told)));
            for channels in [1, 3] {
                let samples = (1..=6).flat_map(|n| vec![n; channels]).collect();
                let size = Size { height: 2, width: 3 };
                let stored = Picture { size, channels, alpha: false, palette: false, samples };
                let upright = orientation.upright(stored);
                assert_eq!(upright.size, Size { height: 6 / width, width }, "{told}");
                let want: Vec<u8> = want.iter().flat_map(|&n| vec![n; channels]).collect();
                assert_eq!(upright.samples, want, "{told}");
            }
        }
    }

    #[test]
    fn a_block_that_tells_nothing_turns_nothing() {
        let whole = block(0x112, 6);
        assert_eq!(Orientation::of(Some(&whole)), Orientation(6));
        for block in
            [vec![], b"II".to_vec(), whole[..18].to_vec(), block(0x100, 6), b"x".repeat(99)]
        {
            assert_eq!(Orientation::of(Some(&block)), Orientation(1), "{block:?}");
        }
        for beyond in [0, 9, u16::MAX] {
            assert_eq!(Orientation::of(Some(&block(0x112, beyond))), Orientation(1));
        }
        assert_eq!(Orientation::of(None), Orientation(1));
        // Damage behind the field does not hide it.
        let cut = &whole[..whole.len() - 4];
        assert_eq!(Orientation::of(Some(cut)), Orientation(6));
    }
}
