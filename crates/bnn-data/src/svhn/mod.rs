//! SVHN, format 2: house numbers as 32 x 32 crops (Netzer, Wang, Coates, Bissacco, Wu, Ng, 2011).
//!
//! The training images are those of train and, behind them, of extra, but for 6,000 to validate: the
//! first 400 of each digit in train and the first 200 of each in extra, as in the Torch7 script that
//! the authors of BinaryNet published; their Theano script draws as many by chance.
//! Class numbers are the digits; the files have 10 for the digit 0.

mod mat;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::catalog::Source;
use crate::images::{Dataset, Images};
use crate::lookup::Found;
use crate::published::{Published, PublishedFile};
use crate::{Error, Lookup, Result};

/// The row of the catalogue.
pub(crate) const SOURCE: Source = Source {
    name: "svhn",
    about: "house numbers, 32 x 32 colours: 598,388 + 6,000 + 26,032 images, 1.9 GB in memory",
    published: Some(&PUBLISHED),
    place: |lookup| Ok(find(lookup)?.folder.display().to_string()),
    load,
};

/// Train, extra, test.
static PUBLISHED: Published = Published {
    mirrors: &["http://ufldl.stanford.edu/housenumbers"],
    files: &[
        PublishedFile {
            name: "train_32x32.mat",
            suffix: "",
            bytes: 182_040_794,
            sha256: "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        },
        PublishedFile {
            name: "extra_32x32.mat",
            suffix: "",
            bytes: 1_329_278_602,
            sha256: "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
        },
        PublishedFile {
            name: "test_32x32.mat",
            suffix: "",
            bytes: 64_275_384,
            sha256: "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        },
    ],
    remedy: "fetch it with `bnn data fetch svhn` (and the same --data-dir, if one was given), or \
        put train_32x32.mat, extra_32x32.mat and test_32x32.mat there, or name their folder with \
        --data-dir or BNN_DATA; `digits` needs no files",
};

const CLASSES: usize = 10;

/// Height and width of an image, in pixels.
const SIDE: usize = 32;

/// Bytes of an image.
const IMAGE: usize = SIDE * SIDE * 3;

fn find(lookup: &Lookup) -> Result<Found> {
    lookup.files(SOURCE.name, &PUBLISHED.names(), PUBLISHED.remedy)
}

fn load(lookup: &Lookup) -> Result<Dataset> {
    let files = find(lookup)?.files;
    let data = read(&files, [400, 200])?;
    Ok(data.with_notes(PUBLISHED.note(SOURCE.name, &files)?))
}

/// Reads train, extra and test; `quota` is how many images of each digit in train and in extra are
/// for validation.
fn read(files: &[PathBuf], quota: [usize; 2]) -> Result<Dataset> {
    let mut train = Album::default();
    let mut chosen = Vec::new();
    for (path, quota) in files.iter().zip(quota) {
        let labels = mat::read(path, &mut train.pixels)?;
        let short = |why| Error::Damaged { path: path.clone(), offset: 0, why };
        chosen.extend(first_of_each(&labels, quota).map_err(short)?);
        train.labels.extend(labels);
    }
    let validation = train.take_out(&chosen);
    let mut test = Album::default();
    test.labels = mat::read(&files[2], &mut test.pixels)?;
    Ok(Dataset::new(SOURCE.name, train.images()?, validation.images()?, test.images()?))
}

/// Reads what lies in a file; the number of its images.
#[cfg(fuzzing)]
pub(crate) fn read_file(path: &std::path::Path, reader: impl std::io::Read) -> Result<usize> {
    let labels = mat::parse(std::io::BufReader::new(reader), &mut Vec::new());
    labels.map(|labels| labels.len()).map_err(|fault| fault.of(path))
}

/// Marks the first `quota` labels of each class.
fn first_of_each(labels: &[u8], quota: usize) -> std::result::Result<Vec<bool>, String> {
    let mut counts = [0; CLASSES];
    let mut mark = |label: &u8| {
        let count = &mut counts[usize::from(*label)];
        *count += 1;
        *count <= quota
    };
    let chosen = labels.iter().map(&mut mark).collect();
    match counts.iter().position(|&count| count <= quota) {
        Some(digit) => Err(format!(
            "{} images of the digit {digit} are too few: {quota} are for validation, others to train",
            counts[digit]
        )),
        None => Ok(chosen),
    }
}

/// Images as they lie in the files: image after image, then channels, columns, rows.
#[derive(Default)]
struct Album {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Album {
    /// Takes the marked images out, and closes the gaps in place: the others fill much of a memory.
    fn take_out(&mut self, chosen: &[bool]) -> Self {
        let mut out = Self::default();
        let mut kept = 0;
        for (image, &chosen) in chosen.iter().enumerate() {
            let place = image * IMAGE..(image + 1) * IMAGE;
            if chosen {
                out.pixels.extend_from_slice(&self.pixels[place]);
                out.labels.push(self.labels[image]);
            } else {
                self.pixels.copy_within(place, kept * IMAGE);
                self.labels[kept] = self.labels[image];
                kept += 1;
            }
        }
        self.pixels.truncate(kept * IMAGE);
        self.labels.truncate(kept);
        out
    }

    fn images(mut self) -> Result<Images> {
        self.pixels.chunks_exact_mut(IMAGE).for_each(turn);
        Images::new((SIDE, SIDE, 3), CLASSES, self.pixels, self.labels)
    }
}

/// Turns an image of channels, columns, rows into one of rows, columns, channels.
fn turn(image: &mut [u8]) {
    let mut before = [0; IMAGE];
    before.copy_from_slice(image);
    for (at, pixel) in image.chunks_exact_mut(3).enumerate() {
        let (row, column) = (at / SIDE, at % SIDE);
        for (channel, byte) in pixel.iter_mut().enumerate() {
            *byte = before[(channel * SIDE + column) * SIDE + row];
        }
    }
}
