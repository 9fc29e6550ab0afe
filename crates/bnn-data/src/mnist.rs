//! MNIST: 70,000 handwritten digits (LeCun, Bottou, Bengio, Haffner, 1998), from their four files.
//!
//! The validation images are the last 10,000 of the training file, as in the scripts that the
//! authors of BinaryNet published.

use crate::catalog::Source;
use crate::idx::Idx;
use crate::images::{Dataset, Images};
use crate::lookup::Found;
use crate::published::{Published, PublishedFile};
use crate::{Lookup, Result};

/// The row of the catalogue.
pub(crate) const SOURCE: Source = Source {
    name: "mnist",
    about: "handwritten digits, 28 x 28 grey: 50,000 + 10,000 + 10,000 images",
    published: Some(&PUBLISHED),
    place: |lookup| Ok(files(lookup)?.folder.display().to_string()),
    load,
};

/// Images and labels for training and validation, images and labels for the test.
///
/// The first server of the files (yann.lecun.com) no longer gives them out; these mirrors do.
static PUBLISHED: Published = Published {
    mirrors: &[
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        "https://raw.githubusercontent.com/fgnt/mnist/master",
    ],
    files: &[
        PublishedFile {
            name: "train-images-idx3-ubyte",
            suffix: ".gz",
            bytes: 47_040_016,
            sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        },
        PublishedFile {
            name: "train-labels-idx1-ubyte",
            suffix: ".gz",
            bytes: 60_008,
            sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        },
        PublishedFile {
            name: "t10k-images-idx3-ubyte",
            suffix: ".gz",
            bytes: 7_840_016,
            sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        },
        PublishedFile {
            name: "t10k-labels-idx1-ubyte",
            suffix: ".gz",
            bytes: 10_008,
            sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ],
    remedy: "fetch it with `bnn data fetch mnist` (and the same --data-dir, if one was given), \
        or put the four MNIST files (train-images-idx3-ubyte, train-labels-idx1-ubyte, \
        t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each with or without .gz) there, \
        or name their folder with --data-dir or BNN_DATA; `digits` needs no files",
};

/// One in so many images of the training file is for validation.
const VALIDATION_SHARE: usize = 6;

const CLASSES: usize = 10;

fn files(lookup: &Lookup) -> Result<Found> {
    lookup.files(SOURCE.name, &PUBLISHED.names(), PUBLISHED.remedy)
}

fn load(lookup: &Lookup) -> Result<Dataset> {
    let files = files(lookup)?.files;
    let (train_images, test_images) = (Idx::<3>::read(&files[0])?, Idx::<3>::read(&files[2])?);
    let (train_labels, test_labels) = (Idx::<1>::read(&files[1])?, Idx::<1>::read(&files[3])?);
    if train_images.dims[1..] != test_images.dims[1..] {
        let (test, train) = (&test_images.dims[1..], &train_images.dims[1..]);
        let why = format!("test images of {test:?} pixels, but training images of {train:?}");
        return Err(test_images.damaged_dims(why));
    }
    let count = train_images.dims[0];
    if count < VALIDATION_SHARE {
        let why = format!("{count} images are too few for training and validation");
        return Err(train_images.damaged_dims(why));
    }
    let mut train = join(train_images, train_labels)?;
    let validation = train.split_off(count - count / VALIDATION_SHARE);
    let data = Dataset::new(SOURCE.name, train, validation, join(test_images, test_labels)?);
    Ok(data.with_notes(PUBLISHED.note(SOURCE.name, &files)?))
}

/// Images with their labels, both checked against each other.
fn join(images: Idx<3>, labels: Idx<1>) -> Result<Images> {
    let [count, height, width] = images.dims;
    if labels.dims[0] != count {
        let (got, path) = (labels.dims[0], images.path.display());
        return Err(labels.damaged_dims(format!("{got} labels, but {path} has {count} images")));
    }
    if let Some(at) = labels.bytes.iter().position(|&label| usize::from(label) >= CLASSES) {
        let why = format!("label {} is not a digit from 0 to 9", labels.bytes[at]);
        return Err(labels.damaged(at, why));
    }
    Images::new((height, width, 1), CLASSES, images.bytes, labels.bytes)
}
