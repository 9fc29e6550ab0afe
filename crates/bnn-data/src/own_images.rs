//! `images`: PNG or JPEG images of the user's own, in a folder per class.
//!
//! They are what [`class_folders`] reads: a folder with `train` and `test` in it, or a tar archive of
//! both, packed with gzip or not.

use std::path::{Path, PathBuf};

use crate::catalog::Source;
use crate::lookup::metadata;
use crate::picture::Rules;
use crate::{Dataset, Error, Lookup, Result, class_folders};

pub(crate) const SOURCE: Source = Source {
    name: "images",
    about: "images of your own, PNG or JPEG, in train/<class>/ and test/<class>/",
    published: None,
    place: |lookup| Ok(find(lookup)?.display().to_string()),
    load: |lookup| load(lookup, &Rules::default()),
};

/// Reads the images as `rules` say.
pub(crate) fn load(lookup: &Lookup, rules: &Rules) -> Result<Dataset> {
    class_folders::read_as(SOURCE.name, &find(lookup)?, rules)
}

const REMEDY: &str = "name a folder that holds train/<class>/ and test/<class>/, or a .tar or .tar.gz of \
    them, with --data-dir, or put it into BNN_DATA as images, images.tar or images.tar.gz; `digits` \
    needs no files";

/// The first folder or archive of images in the folders that are looked into.
fn find(lookup: &Lookup) -> Result<PathBuf> {
    let missing = || {
        let looked = lookup.folders().into_iter().map(Path::to_path_buf).collect();
        Error::Missing { name: SOURCE.name, looked, remedy: REMEDY }
    };
    for place in lookup.folders() {
        if let Some(found) = within(place)? {
            return Ok(found);
        }
    }
    Err(missing())
}

/// The place itself, where it is one of images, or else what lies there under the name of the set.
///
/// Half of such a folder counts: what it lacks is told when it is read.
fn within(place: &Path) -> Result<Option<PathBuf>> {
    // What is neither a file nor a folder is refused by its kind where it is opened.
    let is_there = |path: &Path| Ok(metadata(path)?.is_some_and(|about| !about.is_dir()));
    if is_there(place)? {
        return Ok(Some(place.into()));
    }
    for folder in [place.to_path_buf(), place.join(SOURCE.name)] {
        for split in ["train", "test"] {
            if metadata(&folder.join(split))?.is_some_and(|about| about.is_dir()) {
                return Ok(Some(folder));
            }
        }
    }
    for archive in ["images.tar", "images.tar.gz"].map(|name| place.join(name)) {
        if is_there(&archive)? {
            return Ok(Some(archive));
        }
    }
    Ok(None)
}
