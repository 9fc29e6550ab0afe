//! `images`: PNG or JPEG images of the user's own, in a folder per class.
//!
//! They are what [`class_folders`] reads: a folder with `train` and `test` in it, or a tar archive of
//! both, packed with gzip or not.

use std::path::{Path, PathBuf};

use crate::catalog::Source;
use crate::{Error, Lookup, Result, class_folders};

pub(crate) const SOURCE: Source = Source {
    name: "images",
    about: "images of your own, PNG or JPEG, in train/<class>/ and test/<class>/",
    published: None,
    place: |lookup| Ok(find(lookup)?.display().to_string()),
    load: |lookup| class_folders::read("images", &find(lookup)?),
};

const REMEDY: &str = "name a folder that holds train/<class>/ and test/<class>/, or a .tar or .tar.gz of \
    them, with --data-dir, or put it into BNN_DATA as images, images.tar or images.tar.gz; `digits` \
    needs no files";

/// The first folder or archive of images in the folders that are looked into.
fn find(lookup: &Lookup) -> Result<PathBuf> {
    let missing = || {
        let looked = lookup.folders().into_iter().map(Path::to_path_buf).collect();
        Error::Missing { name: SOURCE.name, looked, remedy: REMEDY }
    };
    lookup.folders().into_iter().find_map(within).ok_or_else(missing)
}

/// The place itself, where it is one of images, or else what lies there under the name of the set.
///
/// Half of such a folder counts: what it lacks is told when it is read.
fn within(place: &Path) -> Option<PathBuf> {
    let sorted = |path: &PathBuf| ["train", "test"].iter().any(|split| path.join(split).is_dir());
    let archives = ["images.tar", "images.tar.gz"].map(|name| place.join(name));
    let (own, inner) = (place.to_path_buf(), place.join(SOURCE.name));
    if own.is_file() {
        return Some(own);
    }
    [own, inner].into_iter().find(sorted).or_else(|| archives.into_iter().find(|it| it.is_file()))
}
