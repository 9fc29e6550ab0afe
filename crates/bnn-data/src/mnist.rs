//! MNIST: 70,000 handwritten digits (LeCun, Bottou, Bengio, Haffner, 1998), from their four files.
//!
//! The validation images are the last 10,000 of the training file, as in the scripts that the
//! authors of BinaryNet published.

use crate::catalog::Source;
use crate::idx::Idx;
use crate::images::{Dataset, Images};
use crate::{Lookup, Result};

/// The row of the catalogue.
pub(crate) const SOURCE: Source = Source {
    name: "mnist",
    about: "handwritten digits, 28 x 28 grey: 50,000 + 10,000 + 10,000 images",
    place: |lookup| Ok(lookup.files(SOURCE.name, &FILES, REMEDY)?.folder.display().to_string()),
    load,
};

/// Images and labels for training and validation, images and labels for the test.
const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

const REMEDY: &str = "put the four MNIST files (train-images-idx3-ubyte, train-labels-idx1-ubyte, \
    t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each with or without .gz) there, \
    or name their folder with --data-dir or BNN_DATA; `digits` needs no files";

/// One in so many images of the training file is for validation.
const VALIDATION_SHARE: usize = 6;

const CLASSES: usize = 10;

fn load(lookup: &Lookup) -> Result<Dataset> {
    let files = lookup.files(SOURCE.name, &FILES, REMEDY)?.files;
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
    Ok(Dataset::new(SOURCE.name, train, validation, join(test_images, test_labels)?))
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
