//! Reader of labelled images that lie in a folder per class, in a folder or a tar archive.
//!
//! Images are PNG or JPEG files, `train/<class>/<file>` and `test/<class>/<file>`; the archive may
//! be compressed with gzip. Classes are numbered in the order of their names.
//! The validation images are those of `val/<class>/` (or `valid`, or `validation`) where there is such a
//! folder, and otherwise the last tenth of each class of `train`, by the order of file names.
//! In each of the three sets the classes take turns, so that the first images of a set are of all
//! classes alike.

mod folder;
pub(crate) mod picture;
mod shelf;

use std::path::{Path, PathBuf};

use crate::archive::{self, Content, Entry, Filter};
use crate::images::{Dataset, Images};
use crate::{Error, Result, limits};

use picture::Size;
use shelf::{Shelf, Split};

/// One in so many images of a class is for validation, counted upwards.
const VALIDATION_SHARE: usize = 10;

/// Reads the data set that lies at `path`, a folder or an archive, and calls it `name`.
///
/// Files beside these folders are left out, and so are, wherever they lie, names that begin with a dot
/// and what systems leave behind (`Thumbs.db`, `desktop.ini`, `__MACOSX`), which a
/// [note](Dataset::notes) counts.
/// A file has at most [`limits::IMAGE_FILE`] bytes, all have at most [`limits::DATA_SET`].
/// Samples of 16 bits keep their upper half, palettes are expanded.
///
/// # Errors
/// [`Error::File`] if something cannot be read, [`Error::Damaged`] if the archive is cut off or
/// badly compressed, [`Error::Entry`] for everything within: an image that cannot be decoded or has
/// another size than the first one, transparency, a class without images or with too few to choose
/// by, and one that is in `train` or `test` alone.
pub fn read(name: &str, path: &Path) -> Result<Dataset> {
    let content =
        if path.is_dir() { folder::read(path, &FILTER)? } else { archive::read(path, &FILTER)? };
    develop(name, path, content)
}

/// What is an image, by its place and its first bytes.
pub(crate) const FILTER: Filter = Filter {
    take: shelf::is_image,
    folder: shelf::is_class,
    look: |first| match first {
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, ..] => Ok(()),
        [] => Err("the file is empty".into()),
        _ => Err("neither a PNG nor a JPEG image, by its first bytes".into()),
    },
    file: limits::IMAGE_FILE,
    all: limits::DATA_SET,
};

/// Turns the content of a folder or an archive into a data set.
pub(crate) fn develop(name: &str, path: &Path, content: Content) -> Result<Dataset> {
    let refuse = |(entry, why): (String, String)| Error::entry(path, entry, why);
    let note = content.strays.note();
    let Shelf { classes, train, test, validation } = Shelf::sort(content).map_err(refuse)?;
    let (train, validation) = match validation {
        Some(validation) => (train, validation),
        None => part(train).map_err(refuse)?,
    };
    let mut album = Album { path: path.into(), classes: classes.len(), first: None };
    let (train, validation) = (album.develop(train)?, album.develop(validation)?);
    let data = Dataset::new(name, train, validation, album.develop(test)?);
    Ok(data.with_class_names(classes).with_notes(note))
}

/// Takes the validation images off the end of every class.
fn part(mut train: Split) -> std::result::Result<(Split, Split), (String, String)> {
    let mut validation = Vec::new();
    for class in &mut train {
        let count = class.len();
        if count < 2 {
            let why = "1 image in its class is too few for training and validation";
            return Err((class[0].place.clone(), why.into()));
        }
        validation.push(class.split_off(count - count.div_ceil(VALIDATION_SHARE)));
    }
    Ok((train, validation))
}

/// Turns files into pixels, all of the size of the first one.
struct Album {
    path: PathBuf,
    classes: usize,
    /// Size and place of the first image.
    first: Option<(Size, String)>,
}

impl Album {
    /// The images of a split, the classes taking turns.
    fn develop(&mut self, split: Split) -> Result<Images> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        let count: usize = split.iter().map(Vec::len).sum();
        let mut classes: Vec<_> = split.into_iter().map(Vec::into_iter).collect();
        while labels.len() < count {
            for (label, class) in classes.iter_mut().enumerate() {
                let Some(entry) = class.next() else { continue };
                self.append(&entry, count - labels.len(), &mut pixels)?;
                labels.push(label as u8);
            }
        }
        let (size, _) = self.first.as_ref().expect("no class is empty");
        Images::new((size.height, size.width, size.channels), self.classes, pixels, labels)
    }

    /// Appends an image, one of `left`.
    fn append(&mut self, entry: &Entry, left: usize, pixels: &mut Vec<u8>) -> Result<()> {
        let refuse = |why| Error::entry(&self.path, &entry.place, why);
        let (size, image) = picture::decode(&entry.bytes).map_err(refuse)?;
        let (first, place) = self.first.get_or_insert_with(|| (size, entry.place.clone()));
        if size != *first {
            return Err(refuse(format!(
                "the image is {size}, but the first one, {place}, {first}"
            )));
        }
        let reserved = pixels.try_reserve_exact(left.saturating_mul(image.len()));
        reserved.map_err(|_| refuse(format!("no memory for {left} images of {size}")))?;
        pixels.extend(image);
        Ok(())
    }
}
