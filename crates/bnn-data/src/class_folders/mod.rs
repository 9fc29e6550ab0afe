//! Reader of labelled images that lie in a folder per class, in a folder or a tar archive.
//!
//! Images are PNG or JPEG files, `train/<class>/<file>` and `test/<class>/<file>`; the archive may
//! be compressed with gzip. Classes are numbered in the order of their names.
//! The validation images are those of `val/<class>/` (or `valid`, or `validation`) where there is such a
//! folder, and otherwise the last tenth of each class of `train`, by the order of file names.
//! In each of the three sets the classes take turns, so that the first images of a set are of all
//! classes alike.

mod album;
mod folder;
mod shelf;

use std::path::Path;

use crate::archive::{self, Content, Filter};
use crate::images::Dataset;
use crate::{Error, Result, limits, picture};

use album::Album;
use shelf::{Shelf, Split};

/// One in so many images of a class is for validation, counted upwards.
const VALIDATION_SHARE: usize = 10;

/// Reads the data set that lies at `path`, a folder or an archive, and calls it `name`; its images are
/// as they are in their files, upright.
///
/// # Errors
/// As [`read_as`].
pub fn read(name: &str, path: &Path) -> Result<Dataset> {
    read_as(name, path, &picture::Rules::default())
}

/// Reads the data set that lies at `path`, a folder or an archive, and calls it `name`; `rules` say how
/// its pictures become images.
///
/// Files beside these folders are left out, and so are, wherever they lie, names that begin with a dot
/// and what systems leave behind (`Thumbs.db`, `desktop.ini`, `__MACOSX`). A file has at most
/// [`limits::IMAGE_FILE`] bytes, all have at most [`limits::DATA_SET`]. Pictures are decoded one at a time.
/// [Notes](Dataset::notes) of the data set say of which kinds they are where these are mixed, and count
/// what was left behind.
///
/// # Errors
/// [`Error::File`] if something cannot be read, [`Error::Damaged`] if the archive is cut off or
/// badly compressed, [`Error::Entry`] for everything within: an image that cannot be decoded, a class
/// without images or with too few to choose by, and one that is in `train` or `test` alone; and where
/// the rules say nothing of it, images of several sizes, grey ones among coloured ones, transparency.
pub fn read_as(name: &str, path: &Path, rules: &picture::Rules) -> Result<Dataset> {
    let content =
        if path.is_dir() { folder::read(path, &FILTER)? } else { archive::read(path, &FILTER)? };
    develop(name, path, content, rules)
}

/// What is an image, by its place and its first bytes.
pub(crate) const FILTER: Filter = Filter {
    take: shelf::is_image,
    folder: shelf::is_class,
    look: picture::look,
    file: limits::IMAGE_FILE,
    all: limits::DATA_SET,
};

/// Turns the content of a folder or an archive into a data set.
pub(crate) fn develop(
    name: &str,
    path: &Path,
    content: Content,
    rules: &picture::Rules,
) -> Result<Dataset> {
    let refuse = |(entry, why): (String, String)| Error::entry(path, entry, why);
    let strays = content.strays.note();
    let Shelf { classes, train, test, validation } = Shelf::sort(content).map_err(refuse)?;
    let (train, validation) = match validation {
        Some(validation) => (train, validation),
        None => part(train).map_err(refuse)?,
    };
    let mut album = Album::new(path, classes.len(), rules);
    let sets = [album.develop(train)?, album.develop(validation)?, album.develop(test)?];
    let kinds = album.kinds()?;
    let [train, validation, test] = sets.map(|(pixels, labels)| album.images(pixels, labels));
    let data = Dataset::new(name, train?, validation?, test?).with_class_names(classes);
    Ok(data.with_notes(strays.into_iter().chain(kinds)).made_by(*rules))
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
