//! Readers of bytes in memory, for the fuzz targets; only there with `--cfg fuzzing`.

use std::io::{Cursor, Read};
use std::path::Path;

use crate::archive;
use crate::picture::{self, Background, Rules, Size};
use crate::{Dataset, Error, Result, cifar10, class_folders, gzip, svhn};

/// The bytes, unpacked if they are packed.
fn unpacked(bytes: &[u8]) -> Result<Box<dyn Read + '_>> {
    let failed = |source| Error::file(Path::new("fuzz"), source);
    gzip::unpack(Cursor::new(bytes), bytes.len() as u64).map_err(failed)
}

/// Reads an archive of images in a folder per class.
///
/// # Errors
/// As [`class_folders::read`].
pub fn images(bytes: &[u8]) -> Result<Dataset> {
    let path = Path::new("fuzz");
    let content = archive::parse(path, unpacked(bytes)?, &class_folders::FILTER)?;
    class_folders::develop("fuzz", path, content, &Rules::default())
}

/// Reads an archive of CIFAR-10 with one image in a file.
///
/// # Errors
/// As for the data set.
pub fn cifar10(bytes: &[u8]) -> Result<Dataset> {
    cifar10::read_archive(Path::new("fuzz"), unpacked(bytes)?, 1)
}

/// Reads a file of SVHN; the number of its images.
///
/// # Errors
/// As for the data set.
pub fn svhn(bytes: &[u8]) -> Result<usize> {
    svhn::read_file(Path::new("fuzz"), unpacked(bytes)?)
}

/// Decodes a picture and makes it a small grey image.
///
/// # Errors
/// What is wrong with it.
pub fn picture(bytes: &[u8]) -> std::result::Result<(), String> {
    let small = |Size { height, width }| match height * width <= 1 << 20 {
        true => Ok(()),
        false => Err("too large for a fuzzer's memory".into()),
    };
    let (alpha, channels) = (Some(Background::White), Some(1));
    let rules = Rules { alpha, channels, resize: Some("28 x 20".parse()?) };
    picture::decode(bytes, small).and_then(|picture| rules.develop(picture)).map(|_| ())
}
