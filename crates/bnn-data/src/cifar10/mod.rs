//! CIFAR-10: 60,000 coloured images of ten kinds (Krizhevsky, 2009), from the binary version.
//!
//! A file holds 10,000 records: the label, and the red, green and blue planes of 32 rows.
//! The validation images are the last 5,000 of the fifth training file, as in the scripts that the
//! authors of BinaryNet published.

mod files;

#[cfg(test)]
mod tests;

use crate::catalog::Source;
use crate::images::{Dataset, Images};
use crate::published::{Published, PublishedFile};
use crate::{Lookup, Result};

use files::Files;

/// The row of the catalogue.
pub(crate) const SOURCE: Source = Source {
    name: "cifar10",
    about: "objects and animals, 32 x 32 colours: 45,000 + 5,000 + 10,000 images",
    published: Some(&PUBLISHED),
    place: |lookup| Ok(Files::find(lookup)?.place().display().to_string()),
    load,
};

/// The archive; the files in it are read as well where it was unpacked.
static PUBLISHED: Published = Published {
    mirrors: &["https://www.cs.toronto.edu/~kriz"],
    files: &[PublishedFile {
        name: "cifar-10-binary.tar.gz",
        suffix: "",
        bytes: 170_052_171,
        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    }],
    remedy: "fetch it with `bnn data fetch cifar10` (and the same --data-dir, if one was given), \
        or put cifar-10-binary.tar.gz or the six files in it (data_batch_1.bin to \
        data_batch_5.bin, test_batch.bin) there, or name their folder with --data-dir or BNN_DATA; \
        `digits` needs no files",
};

/// The files of the archive, the one for the test last.
const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Height and width of an image, in pixels.
const SIDE: usize = 32;

/// Pixels of an image.
const AREA: usize = SIDE * SIDE;

/// A label and three planes.
const RECORD: usize = 1 + 3 * AREA;

/// Images of a file.
const COUNT: usize = 10_000;

/// One in so many training images is for validation.
const VALIDATION_SHARE: usize = 10;

/// Only the archive is known by its digest, not the files in it.
fn load(lookup: &Lookup) -> Result<Dataset> {
    let files = Files::find(lookup)?;
    let data = read(&files, COUNT)?;
    match files {
        Files::Packed(path) => Ok(data.with_notes(PUBLISHED.note(SOURCE.name, &[path])?)),
        Files::Loose(..) => Ok(data),
    }
}

/// Reads files of `count` images each.
fn read(files: &Files, count: usize) -> Result<Dataset> {
    dataset(count, |take| files.each(take))
}

/// The same of an archive in memory.
#[cfg(fuzzing)]
pub(crate) fn read_archive(
    path: &std::path::Path,
    reader: impl std::io::Read,
    count: usize,
) -> Result<Dataset> {
    let content = crate::archive::parse(path, reader, &files::FILTER)?;
    dataset(count, |take| files::each_of(path, content, take))
}

/// Takes name and bytes of a file.
type Take<'a> = &'a mut dyn FnMut(&str, &[u8]) -> std::result::Result<(), Fault>;

/// The data set of files of `count` images each, which `each` hands over.
fn dataset(count: usize, each: impl FnOnce(Take<'_>) -> Result<()>) -> Result<Dataset> {
    let (mut train, mut test) = (Album::default(), Album::default());
    each(&mut |name, bytes| {
        let album = if name == FILES[5] { &mut test } else { &mut train };
        album.append(bytes, count)
    })?;
    let mut train = train.images()?;
    let validation = train.split_off(train.len() - train.len() / VALIDATION_SHARE);
    let names = CLASSES.map(String::from).to_vec();
    Ok(Dataset::new(SOURCE.name, train, validation, test.images()?).with_class_names(names))
}

/// What is wrong in a file, and at which byte.
type Fault = (usize, String);

/// Images as they come out of the files.
#[derive(Default)]
struct Album {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Album {
    /// Appends the images of a file.
    fn append(&mut self, bytes: &[u8], count: usize) -> std::result::Result<(), Fault> {
        let want = count * RECORD;
        if bytes.len() < want {
            let (whole, want) = (bytes.len() / RECORD, format!("{count} images in {want} bytes"));
            return Err((
                bytes.len(),
                format!("the file ends here, in image {whole}; want {want}"),
            ));
        }
        if bytes.len() > want {
            return Err((want, format!("there are bytes behind the end of the {count} images")));
        }
        self.pixels.reserve(want);
        for (number, record) in bytes.chunks_exact(RECORD).enumerate() {
            let (&label, planes) = record.split_first().expect("a record begins with its label");
            if usize::from(label) >= CLASSES.len() {
                let why = format!("label {label} of image {number} is not a class from 0 to 9");
                return Err((number * RECORD, why));
            }
            self.labels.push(label);
            let pixels = (0..AREA).flat_map(|at| [0, 1, 2].map(|plane| planes[plane * AREA + at]));
            self.pixels.extend(pixels);
        }
        Ok(())
    }

    fn images(self) -> Result<Images> {
        Images::new((SIDE, SIDE, 3), CLASSES.len(), self.pixels, self.labels)
    }
}
