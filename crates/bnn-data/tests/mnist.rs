//! MNIST from its files: the split, the names, and every way in which files can be damaged.

#![allow(clippy::unwrap_used)] // in helpers too

use std::io::Write;
use std::path::Path;

use bnn_data::{Dataset, Error, FileState, Lookup, catalog, load, verify};
use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn header(dims: &[u32]) -> Vec<u8> {
    let dims_bytes = dims.iter().flat_map(|dim| dim.to_be_bytes());
    [0, 0, 8, dims.len() as u8].into_iter().chain(dims_bytes).collect()
}

/// `count` images of 2 x 3 pixels; every byte of an image is its number, from `first` on.
fn images(count: u8, first: u8) -> Vec<u8> {
    let mut file = header(&[count.into(), 2, 3]);
    file.extend((first..first + count).flat_map(|image| [image; 6]));
    file
}

fn labels(count: u8) -> Vec<u8> {
    let mut file = header(&[count.into()]);
    file.extend((0..count).map(|image| image % 10));
    file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder with 12 training and 3 test images, of which one file is replaced.
fn folder(replaced: usize, by: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = [images(12, 0), labels(12), images(3, 100), labels(3)];
    for (number, (name, bytes)) in FILES.iter().zip(&files).enumerate() {
        let bytes = if number == replaced { by } else { bytes };
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn intact() -> TempDir {
    folder(1, &labels(12))
}

fn read(folder: &Path) -> Result<Dataset, Error> {
    load("mnist", &Lookup { data_dir: Some(folder.into()), ..Lookup::default() })
}

/// Asserts that the set with one file replaced is refused at a byte of that file.
fn refused(replaced: usize, by: &[u8], at: u64, because: &str) {
    match read(folder(replaced, by).path()) {
        Err(Error::Damaged { path, offset, why }) => {
            assert!(path.ends_with(FILES[replaced]), "{}: {why}", path.display());
            assert_eq!((offset, why.contains(because)), (at, true), "{offset}: {why}");
        }
        other => panic!("{other:?} instead of: {because}"),
    }
}

#[test]
fn the_last_sixth_of_the_training_file_is_for_validation() {
    let data = read(intact().path()).unwrap();
    let about = |images: &bnn_data::Images| (images.labels.clone(), images.rows(0..1)[[0, 5]]);
    assert_eq!(about(&data.train), (vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 0));
    assert_eq!(about(&data.validation), (vec![0, 1], 10));
    assert_eq!(about(&data.test), (vec![0, 1, 2], 100));
    let test = &data.test;
    assert_eq!((test.height(), test.width(), test.channels(), test.classes()), (2, 3, 1, 10));
}

#[test]
fn files_may_be_compressed_and_in_a_subfolder() {
    let expected = read(intact().path()).unwrap();
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("mnist");
    std::fs::create_dir(&inner).unwrap();
    let plain = intact();
    for file in FILES {
        let bytes = gzip(&std::fs::read(plain.path().join(file)).unwrap());
        std::fs::write(inner.join(format!("{file}.gz")), bytes).unwrap();
    }
    assert_eq!(read(outer.path()).unwrap(), expected);
    assert_eq!(read(&inner).unwrap(), expected);
    // Browsers unpack and keep the name, or the other way round.
    assert_eq!(read(folder(0, &gzip(&images(12, 0))).path()).unwrap(), expected);
}

#[test]
fn headers_are_checked() {
    refused(0, &labels(12), 0, "begins [0, 0, 8, 3], not [0, 0, 8, 1]");
    refused(3, b"<html>", 0, "begins [0, 0, 8, 1], not [60, 104, 116, 109]");
    refused(0, &[], 0, "ends here, 16 bytes of header");
    refused(0, &images(12, 0)[..13], 13, "ends here, 16 bytes of header");
    refused(1, &header(&[0]), 4, "dimension 0 is 0");
    refused(0, &header(&[12, 2, 0]), 12, "dimension 2 is 0");
    refused(0, &header(&[u32::MAX; 3]), 4, "too large");
}

#[test]
fn lengths_are_checked() {
    refused(0, &images(12, 0)[..87], 87, "ends here, 72 bytes of array");
    refused(2, &[images(3, 0), vec![0]].concat(), 34, "behind the end of the array of [3, 2, 3]");
    refused(1, &labels(12)[..8], 8, "ends here, 12 bytes of array");
}

#[test]
fn images_and_labels_must_fit() {
    refused(1, &labels(11), 4, "11 labels, but ");
    refused(3, &labels(4), 4, "t10k-images-idx3-ubyte has 3 images");
    let mut wrong = labels(12);
    wrong[8 + 7] = 10;
    refused(1, &wrong, 15, "label 10 is not a digit from 0 to 9");
    let wide = [header(&[3, 3, 2]), vec![0; 18]].concat();
    refused(2, &wide, 4, "test images of [3, 2] pixels, but training images of [2, 3]");
    refused(0, &images(5, 0), 4, "5 images are too few");
}

#[test]
fn damaged_compression_is_seen() {
    let whole = gzip(&images(12, 0));
    let end = whole.len();
    refused(0, &whole[..5], 0, "gzip: ");
    refused(0, &whole[..end - 1], 88, "gzip: ");
    for cut in 0..end {
        let error = read(folder(0, &whole[..cut]).path()).unwrap_err();
        assert!(matches!(&error, Error::Damaged { .. }), "cut at {cut}: {error}");
    }
    let mut checksum = whole.clone();
    checksum[end - 8] ^= 1;
    refused(0, &checksum, 88, "gzip: ");
    refused(0, &[&whole[..], b"more"].concat(), 88, "gzip: ");
    refused(0, &gzip(&[images(12, 0), vec![0]].concat()), 88, "behind the end");
}

#[test]
fn messages_name_file_place_and_cause() {
    let folder = folder(1, &labels(11));
    let message = read(folder.path()).unwrap_err().to_string();
    let at = |file: &str| folder.path().join(file).display().to_string();
    let (labels, images) = (at(FILES[1]), at(FILES[0]));
    assert_eq!(message, format!("{labels}, byte 4: 11 labels, but {images} has 12 images"));
}

#[test]
fn an_absent_set_says_where_it_was_looked_for_and_how_to_get_it() {
    let empty = tempfile::tempdir().unwrap();
    let message = read(empty.path()).unwrap_err().to_string();
    let start = format!("data set `mnist` is not in {}; fetch it with", empty.path().display());
    assert!(message.starts_with(&start), "{message}");
    for word in ["`bnn data fetch mnist`", FILES[0], "--data-dir", "BNN_DATA", "`digits`"] {
        assert!(message.contains(word), "{message} lacks {word}");
    }
}

#[test]
fn a_set_without_one_of_its_files_is_not_absent_but_broken() {
    let folder = intact();
    std::fs::remove_file(folder.path().join(FILES[1])).unwrap();
    let error = read(folder.path()).unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path.ends_with(FILES[1])), "{error}");
}

#[test]
fn files_are_compared_with_the_published_ones() {
    let look = |folder: &TempDir| {
        let lookup = Lookup { data_dir: Some(folder.path().into()), ..Lookup::default() };
        verify("mnist", &lookup).unwrap()
    };
    let absent = look(&tempfile::tempdir().unwrap());
    assert!(
        absent.files.iter().all(|file| file.state == FileState::Missing && file.path.is_none())
    );
    assert!(matches!(absent.result(), Err(Error::Missing { name: "mnist", .. })));

    let folder = intact();
    std::fs::remove_file(folder.path().join(FILES[0])).unwrap();
    let small = look(&folder);
    assert_eq!(small.looked, [folder.path()]);
    assert_eq!(small.files[0].state, FileState::Missing);
    let why = "its content is 20 bytes long, not 60008".to_string();
    assert_eq!(small.files[1].state, FileState::Wrong(why));
    let error = small.result().unwrap_err();
    assert!(matches!(&error, Error::Wrong { path, .. } if path.ends_with(FILES[1])), "{error}");
    assert!(error.to_string().ends_with("remove it and fetch it again"), "{error}");

    assert!(verify("digits", &Lookup::default()).unwrap().result().is_ok());
    assert!(matches!(verify("minst", &Lookup::default()), Err(Error::Unknown { .. })));
}

#[test]
fn other_files_of_the_right_form_are_told() {
    let data = read(intact().path()).unwrap();
    let [published, ..] = &data.notes()[..] else { panic!("{:?}", data.notes()) };
    let want = format!(
        "not the published files of `mnist`: {} (4 of 4); results are about these images, \
         `bnn data verify mnist` says what differs",
        FILES.join(", "),
    );
    assert_eq!(*published, want);
    let zeros = [header(&[3, 2, 3]), vec![0; 18]].concat();
    let notes = read(folder(2, &zeros).path()).unwrap().notes();
    assert_eq!(notes[1], "all 3 test images are the same, pixel by pixel");
}

#[test]
fn one_class_is_nothing_to_train_on() {
    let data = read(intact().path()).unwrap();
    assert!(data.check_training().is_ok());
    let one = [header(&[12]), vec![7; 12]].concat();
    let data = read(folder(1, &one).path()).unwrap();
    let error = data.check_training().unwrap_err().to_string();
    let want = "images: the 10 training images of `mnist` are of 1 class, `7`: there is nothing to \
                tell apart; take images of two classes at least";
    assert_eq!(error, want);
    let notes = data.notes();
    assert!(notes.contains(&"all 10 training images are of one class, `7`".into()), "{notes:?}");
}

#[test]
fn the_catalogue_says_where_it_is() {
    let folder = intact();
    let lookup = Lookup { env: Some(folder.path().into()), ..Lookup::default() };
    let listings = catalog(&lookup);
    let mnist = listings.iter().find(|listing| listing.name == "mnist").unwrap();
    assert_eq!(mnist.place.as_deref().unwrap(), folder.path().display().to_string());
}

/// The real files, where there are any.
#[test]
fn mnist_is_what_it_was_in_1998() {
    if std::env::var_os("BNN_DATA").is_none() {
        eprintln!("SKIPPED mnist: BNN_DATA names no folder");
        return;
    }
    let data = match load("mnist", &Lookup::new(None)) {
        Err(error @ Error::Missing { .. }) => return eprintln!("SKIPPED mnist: {error}"),
        data => data.unwrap(),
    };
    let sizes = [&data.train, &data.validation, &data.test].map(|images| images.len());
    assert_eq!(sizes, [50_000, 10_000, 10_000]);
    verify("mnist", &Lookup::new(None)).unwrap().result().unwrap();
    assert!(data.notes().is_empty(), "{:?}", data.notes());
    assert_eq!(data.train.labels[..5], [5, 0, 4, 1, 9]);
    assert_eq!(data.validation.labels[..5], [3, 8, 6, 9, 6]);
    assert_eq!(data.test.labels[..5], [7, 2, 1, 0, 4]);
    assert_eq!((data.test.height(), data.test.width()), (28, 28));
    let sum = |images: &bnn_data::Images| -> u64 {
        images.rows(0..images.len()).iter().map(|&byte| u64::from(byte)).sum()
    };
    // The known mean of the training file, 33.3184.
    let mean = (sum(&data.train) + sum(&data.validation)) as f64 / (60_000.0 * 784.0);
    assert!((mean - 33.3184).abs() < 1e-3, "{mean}");
}
