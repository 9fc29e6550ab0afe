//! Files in the format with few images, packed and not, whole and not.

use std::fs;
use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use super::*;
use crate::{Error, Lookup, catalog, load};

/// Images per file.
const FEW: usize = 4;

/// A file whose images are numbered from `first` on; the planes of an image hold its number, twice
/// the number, and the place.
fn file(first: u8) -> Vec<u8> {
    let record = |number: u8| {
        let place = (0..AREA).map(|at| at as u8);
        let planes = [number, 2 * number].into_iter().flat_map(|byte| [byte; AREA]);
        [number % 10].into_iter().chain(planes).chain(place)
    };
    (first..first + FEW as u8).flat_map(record).collect()
}

/// The six files, one of them replaced.
fn files(replaced: usize, by: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let file = |number| if number == replaced { by.to_vec() } else { file(4 * number as u8) };
    FILES.into_iter().enumerate().map(|(number, name)| (name, file(number))).collect()
}

fn whole() -> Vec<(&'static str, Vec<u8>)> {
    files(0, &file(0))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        let place = format!("cifar-10-batches-bin/{name}");
        builder.append_data(&mut header, place, bytes.as_slice()).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

/// A folder with these files, below `inner`.
fn loose(files: &[(&str, Vec<u8>)], inner: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join(inner)).unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(inner).join(name), bytes).unwrap();
    }
    folder
}

fn packed(bytes: &[u8]) -> TempDir {
    loose(&[("cifar-10-binary.tar.gz", bytes.to_vec())], "")
}

fn lookup(folder: &TempDir) -> Lookup {
    Lookup { data_dir: Some(folder.path().into()), ..Lookup::default() }
}

fn read_in(folder: &TempDir) -> Result<Dataset> {
    read(&Files::find(&lookup(folder))?, FEW)
}

/// Asserts that the set with one file replaced is refused at a byte of that file, packed and not.
fn refused(replaced: usize, by: &[u8], at: usize, because: &str) {
    let files = files(replaced, by);
    match read_in(&loose(&files, "")) {
        Err(Error::Damaged { path, offset, why }) => {
            assert!(path.ends_with(FILES[replaced]), "{}: {why}", path.display());
            assert_eq!((offset, why.contains(because)), (at as u64, true), "{offset}: {why}");
        }
        other => panic!("{other:?} instead of: {because}"),
    }
    let error = read_in(&packed(&archive(&files))).unwrap_err().to_string();
    let place = format!("tar.gz, cifar-10-batches-bin/{}, byte {at}: ", FILES[replaced]);
    let place = place.replace(", byte", ": byte");
    assert!(error.contains(&place) && error.contains(because), "{error}");
}

#[test]
fn the_last_tenth_of_the_training_images_is_for_validation() {
    let data = read_in(&loose(&whole(), "")).unwrap();
    let numbers = |images: &Images| -> Vec<u8> {
        (0..images.len()).map(|image| images.rows(image..image + 1)[[0, 0]]).collect()
    };
    assert_eq!(numbers(&data.train), (0..18).collect::<Vec<_>>());
    assert_eq!(numbers(&data.validation), [18, 19]);
    assert_eq!(numbers(&data.test), [20, 21, 22, 23]);
    assert_eq!(data.validation.labels, [8, 9]);
    assert_eq!(data.class_names()[9], "truck");
    // Row 2, column 5 of image 21: planes have become channels.
    assert_eq!(data.test.pixels(1..2).row(2 * 32 + 5).to_vec(), [21, 42, 69]);
    let test = &data.test;
    assert_eq!((test.height(), test.width(), test.channels(), test.classes()), (32, 32, 3, 10));
}

#[test]
fn files_may_be_packed_or_unpacked() {
    let data = read_in(&loose(&whole(), "")).unwrap();
    for folder in [
        packed(&archive(&whole())),
        loose(&whole(), "cifar10"),
        loose(&whole(), "cifar-10-batches-bin"),
        loose(&whole(), "cifar10/cifar-10-batches-bin"),
        loose(&[("cifar-10-binary.tar.gz", archive(&whole()))], "cifar10"),
        loose(&files(3, &gzip(&file(12))), ""),
    ] {
        assert_eq!(read_in(&folder).unwrap(), data);
    }
}

#[test]
fn damaged_files_are_named_with_the_place() {
    let whole = file(4);
    for length in [0, 1, RECORD - 1, RECORD, 3 * RECORD + 7, 4 * RECORD - 1] {
        refused(1, &whole[..length], length, "ends here, in image");
    }
    refused(5, &[&file(20)[..], &[0]].concat(), 4 * RECORD, "behind the end of the 4 images");
    let mut label = file(8);
    label[2 * RECORD] = 10;
    refused(2, &label, 2 * RECORD, "label 10 of image 2 is not a class from 0 to 9");
}

#[test]
fn damaged_compression_is_seen() {
    let bytes = archive(&whole());
    for length in [2, 20, bytes.len() / 2, bytes.len() - 1] {
        let error = read_in(&packed(&bytes[..length])).unwrap_err();
        assert!(matches!(&error, Error::Damaged { .. }), "{length}: {error}");
    }
    let file = gzip(&file(0));
    let error = read_in(&loose(&files(0, &file[..file.len() - 1]), "")).unwrap_err().to_string();
    assert!(error.contains("data_batch_1.bin, byte 12292: gzip: "), "{error}");
}

#[test]
fn half_a_set_is_an_error_of_its_own() {
    let files = whole();
    let error = read_in(&loose(&files[..5], "")).unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path.ends_with(FILES[5])), "{error}");
    let error = read_in(&packed(&archive(&files[1..]))).unwrap_err().to_string();
    assert!(error.ends_with("data_batch_1.bin: the archive lacks this file"), "{error}");
}

#[test]
fn an_absent_set_says_how_to_get_it() {
    let error = read_in(&tempfile::tempdir().unwrap()).unwrap_err();
    assert!(matches!(&error, Error::Missing { name: "cifar10", .. }), "{error}");
    for word in ["bnn data fetch cifar10", "cifar-10-binary.tar.gz", "test_batch.bin"] {
        assert!(error.to_string().contains(word), "{error} lacks {word}");
    }
}

#[test]
fn the_catalogue_wants_ten_thousand_images_a_file() {
    let folder = loose(&whole(), "");
    let listings = catalog(&lookup(&folder));
    let listing = listings.iter().find(|listing| listing.name == "cifar10").unwrap();
    assert_eq!(listing.place.as_deref().unwrap(), folder.path().display().to_string());
    let error = load("cifar10", &lookup(&folder)).unwrap_err().to_string();
    assert!(error.ends_with("in image 4; want 10000 images in 30730000 bytes"), "{error}");
}

/// The real files, where there are any.
#[test]
fn cifar10_is_what_it_was_in_2009() {
    if std::env::var_os("BNN_DATA").is_none() {
        eprintln!("SKIPPED cifar10: BNN_DATA names no folder");
        return;
    }
    let data = match load("cifar10", &Lookup::new(None)) {
        Err(error @ Error::Missing { .. }) => return eprintln!("SKIPPED cifar10: {error}"),
        data => data.unwrap(),
    };
    let sizes = [&data.train, &data.validation, &data.test].map(|images| images.len());
    assert_eq!(sizes, [45_000, 5_000, 10_000]);
    assert_eq!(data.train.labels[..5], [6, 9, 9, 4, 1]);
    assert_eq!(data.test.labels[..5], [3, 8, 8, 0, 6]);
}
