//! CIFAR-10-JPEG: the 60,000 images of CIFAR-10 (Krizhevsky, 2009) after JPEG compression.
//!
//! Compression changed the pixels a little (quality about 75, chroma halved in both directions), and
//! the images lie by class, so that neither the pixels nor the split are those of CIFAR-10: results
//! on one say nothing exact about the other.
//! The validation images are the last 500 of each class.

use std::path::PathBuf;

use crate::catalog::Source;
use crate::class_folders;
use crate::images::Dataset;
use crate::published::{Published, PublishedFile};
use crate::{Lookup, Result};

/// The row of the catalogue.
pub(crate) const SOURCE: Source = Source {
    name: "cifar10-jpeg",
    about: "CIFAR-10 after JPEG compression, 32 x 32 colours: 45,000 + 5,000 + 10,000 images",
    published: Some(&PUBLISHED),
    place: |lookup| Ok(file(lookup)?.display().to_string()),
    load,
};

/// No server is known to give it out; length and digest are those of the archive that the results
/// of this project were made from.
static PUBLISHED: Published = Published {
    mirrors: &[],
    files: &[PublishedFile {
        name: "cifar10-jpeg.tar",
        suffix: ".gz",
        bytes: 92_692_480,
        sha256: "9a6bda9b80e8c8a32cad7194444e16af35d8fe33114395726b7354056f12d797",
    }],
    remedy: "put cifar10-jpeg.tar.gz there, an archive of train/<class>/ and test/<class>/ with the \
        images of CIFAR-10 as JPEG files, or name its folder with --data-dir or BNN_DATA; \
        no server is known to give it out, and `digits` needs no files",
};

fn file(lookup: &Lookup) -> Result<PathBuf> {
    let found = lookup.files(SOURCE.name, &PUBLISHED.names(), PUBLISHED.remedy)?;
    Ok(found.files.into_iter().next().expect("one file was asked for"))
}

fn load(lookup: &Lookup) -> Result<Dataset> {
    let path = file(lookup)?;
    let data = class_folders::read(SOURCE.name, &path)?;
    Ok(data.with_notes(PUBLISHED.note(SOURCE.name, &[path])?))
}
