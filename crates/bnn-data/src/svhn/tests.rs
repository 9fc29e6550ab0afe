//! Files in the format with few images, compressed and not, whole and not.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use flate2::{Compression, write::ZlibEncoder};
use ndarray::ArrayView1;
use tempfile::TempDir;

use super::*;
use crate::load;
use crate::preprocess::{Step, Transform};

const FILES: [&str; 3] = ["train_32x32.mat", "extra_32x32.mat", "test_32x32.mat"];

/// A file of two images, 0 and 3, that another program wrote (SciPy's `savemat`, compressed): 11, 12,
/// 13 in row 2, column 5 of the first, 14 in the blue of row 31, column 0 of the second.
const SCIPY: &[u8] = include_bytes!("scipy.mat");

/// An element of type `kind`.
fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let size = data.len() as u32;
    let mut bytes = if (1..=4).contains(&size) {
        (size << 16 | kind).to_le_bytes().to_vec() // short data lie in the tag
    } else {
        [kind.to_le_bytes(), size.to_le_bytes()].concat()
    };
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn array(name: &str, class: u8, dims: &[u32], kind: u32, data: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
    let flags = element(6, &[class, 0, 0, 0, 0, 0, 0, 0]);
    let head = [flags, element(5, &dims), element(1, name.as_bytes())].concat();
    element(14, &[head, element(kind, data)].concat())
}

/// Images that are their numbers throughout, from `first` on.
fn images(first: u8, count: u8) -> Vec<u8> {
    let data: Vec<u8> = (first..first + count).flat_map(|number| [number; IMAGE]).collect();
    array("X", 9, &[32, 32, 3, count.into()], 2, &data)
}

fn labels(labels: &[u8]) -> Vec<u8> {
    array("y", 9, &[labels.len() as u32, 1], 2, labels)
}

/// The labels of each digit in turn, as the files have them.
fn turns(count: u8) -> Vec<u8> {
    labels(
        &(0..count).map(|image| if image % 10 == 0 { 10 } else { image % 10 }).collect::<Vec<_>>(),
    )
}

fn packed(array: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(array).unwrap();
    let data = encoder.finish().unwrap();
    let tag = [15_u32.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    [tag, data].concat() // not filled up
}

fn file(arrays: &[Vec<u8>]) -> Vec<u8> {
    let mut head = b"MATLAB 5.0 MAT-file".to_vec();
    head.resize(124, b' ');
    [head, b"\0\x01IM".to_vec(), arrays.concat()].concat()
}

/// A folder of train (30 images), extra (20, numbered from 50 on) and test (10, from 100 on), one of
/// which is replaced.
fn folder(replaced: usize, by: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = [(0, 30), (50, 20), (100, 10)];
    for (number, (name, (first, count))) in FILES.iter().zip(files).enumerate() {
        let whole = file(&[packed(&images(first, count)), packed(&turns(count))]);
        let bytes = if number == replaced { by } else { &whole };
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn lookup(folder: &TempDir) -> Lookup {
    Lookup { data_dir: Some(folder.path().into()), ..Lookup::default() }
}

/// Reads the folder with two images of each digit of train and one of extra to validate.
fn read_in(folder: &TempDir) -> Result<Dataset> {
    read(&find(&lookup(folder))?.files, [2, 1])
}

/// Asserts that the set with this file for the test is refused at a byte of it.
fn refused(by: &[u8], at: usize, because: &str) {
    match read_in(&folder(2, by)) {
        Err(Error::Damaged { path, offset, why }) => {
            assert!(path.ends_with(FILES[2]), "{}: {why}", path.display());
            assert_eq!((offset, why.contains(because)), (at as u64, true), "{offset}: {why}");
        }
        other => panic!("{other:?} instead of: {because}"),
    }
}

/// First bytes of images.
fn numbers(images: &Images) -> Vec<u8> {
    (0..images.len()).map(|image| images.rows(image..image + 1)[[0, 0]]).collect()
}

#[test]
fn the_first_of_each_digit_in_train_and_in_extra_are_for_validation() {
    let whole = file(&[packed(&images(100, 10)), packed(&turns(10))]);
    let data = read_in(&folder(2, &whole)).unwrap();
    assert_eq!(numbers(&data.train), (20..30).chain(60..70).collect::<Vec<_>>());
    assert_eq!(numbers(&data.validation), (0..20).chain(50..60).collect::<Vec<_>>());
    assert_eq!(numbers(&data.test), (100..110).collect::<Vec<_>>());
    let digits: Vec<u8> = (0..10).collect();
    assert_eq!(data.test.labels, digits);
    assert_eq!(data.train.labels, [&*digits, &digits].concat());
    assert_eq!(data.validation.labels, [&*digits, &digits, &digits].concat());
    assert_eq!((data.test.height(), data.test.width(), data.test.channels()), (32, 32, 3));
}

#[test]
fn local_contrast_normalization_takes_brightness_away() {
    let data = read_in(&folder(FILES.len(), &[])).unwrap();
    let transform = Transform::fit(&[Step::Lcn], &data.train, 2).unwrap();
    let sizes = [&data.train, &data.validation, &data.test].map(Images::len);
    let data = data.prepare(Arc::new(transform), 2).unwrap();
    assert_eq!([&data.train, &data.validation, &data.test].map(Images::len), sizes);
    // The test images are even, each brighter than the one before: all that is left is their border.
    let test = data.test.rows(0..data.test.len());
    let alike = |image: ArrayView1<'_, u8>| {
        image.iter().zip(test.row(0)).all(|(&a, &b)| a.abs_diff(b) <= 1)
    };
    assert!(test.rows().into_iter().all(alike));
    assert!(
        test[[0, 0]] > test[[0, IMAGE / 2 + 48]],
        "a corner is brighter than the zeros outside"
    );
}

#[test]
fn a_file_of_another_program_is_read() {
    let test = read_in(&folder(2, SCIPY)).unwrap().test;
    assert_eq!(test.labels, [0, 3]);
    assert_eq!(test.pixels(0..1).row(2 * 32 + 5).to_vec(), [11, 12, 13]);
    assert_eq!(test.pixels(1..2).row(31 * 32).to_vec(), [0, 0, 14]);
    let sum: u32 = test.rows(0..2).iter().map(|&byte| u32::from(byte)).sum();
    assert_eq!(sum, 50);
}

#[test]
fn arrays_may_be_plain_in_any_order_and_beside_others() {
    let (x, y) = (images(100, 10), turns(10));
    let other = array("z", 6, &[3, 1], 9, &[0; 24]);
    let digits = (0..10).map(|image| if image == 0 { 10.0 } else { f64::from(image) });
    let doubles: Vec<u8> = digits.flat_map(f64::to_le_bytes).collect();
    let doubles = array("y", 6, &[10, 1], 9, &doubles);
    let narrow = array("y", 6, &[10, 1], 2, &[10, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let expected = read_in(&folder(2, &file(&[packed(&x), packed(&y)]))).unwrap();
    for arrays in [
        vec![x.clone(), y.clone()],
        vec![y.clone(), x.clone()],
        vec![packed(&y), x.clone()],
        vec![other.clone(), packed(&other), packed(&x), packed(&y), other],
        vec![packed(&x), doubles],
        vec![x, narrow],
    ] {
        assert_eq!(read_in(&folder(2, &file(&arrays))).unwrap(), expected);
    }
}

#[test]
fn other_versions_and_formats_are_refused() {
    let mut whole = file(&[images(0, 1), labels(&[1])]);
    whole[124..128].copy_from_slice(b"\0\x02IM");
    refused(&whole, 124, "version 7.3 (HDF5)");
    whole[124..128].copy_from_slice(b"\x01\0MI");
    refused(&whole, 124, "big-endian");
    for (kind, bytes) in [(50, u32::to_le_bytes as fn(u32) -> [u8; 4]), (1050, u32::to_be_bytes)] {
        // 300 bytes as a row, called `X`.
        let mut fourth: Vec<u8> = [kind, 1, 300, 0, 2].into_iter().flat_map(bytes).collect();
        fourth.extend(b"X\0");
        fourth.resize(fourth.len() + 300, 7);
        refused(&fourth, 0, "looks like a MAT file of version 4");
        fourth[0] = 9;
        refused(&fourth, 124, "has [0, 1, 73, 77] here, not [7, 7, 7, 7]");
    }
    refused(&[0; 200], 124, "has [0, 1, 73, 77] here, not [0, 0, 0, 0]");
    refused(&[b'<'; 200], 124, "has [0, 1, 73, 77] here, not [60, 60, 60, 60]");
    refused(b"<html>", 6, "122 more bytes were expected");
}

#[test]
fn other_arrays_are_refused() {
    let y = labels(&[1, 2]);
    let double = array("X", 6, &[32, 32, 3, 2], 9, &[0; 8]);
    refused(&file(&[double, y.clone()]), 136, "`X` is of class 6, not of bytes");
    let wide = array("X", 9, &[32, 33, 3, 1], 2, &[0; 3168]);
    refused(&file(&[wide, y.clone()]), 184, "`X` is of [32, 33, 3, 1], not of [32, 32, 3, images]");
    let none = array("X", 9, &[32, 32, 3, 0], 2, &[]);
    refused(&file(&[none, y.clone()]), 184, "of [32, 32, 3, 0]");
    let less = array("X", 9, &[32, 32, 3, 2], 2, &[0; IMAGE]);
    refused(&file(&[less, y]), 184, "`X` is 3072 bytes of type 2, not 6144 of type 2");
    let x = images(0, 2);
    let end = 128 + x.len();
    let row = array("y", 9, &[1, 2], 2, &[1, 2]);
    refused(&file(&[x.clone(), row]), end + 48, "`y` is of [1, 2], not of [images, 1]");
    let wrong = labels(&[1, 11]);
    refused(&file(&[x.clone(), wrong]), end + 48, "label 1 is no digit from 1 to 10 ([11])");
    let words = array("y", 9, &[2, 1], 4, &[1, 0, 2, 0]);
    refused(&file(&[x.clone(), words]), end + 48, "the labels are of type 4");
    let three = array("y", 9, &[2, 1], 2, &[1, 2, 3]);
    refused(&file(&[x.clone(), three]), end + 48, "2 labels of 1 bytes are not 3 bytes");
    let whole = file(&[x.clone(), labels(&[1])]);
    refused(&whole, whole.len(), "1 labels, but 2 images");
    refused(&file(std::slice::from_ref(&x)), end, "ends here, without the array `y`");
    refused(&file(&[]), 128, "ends here, without the array `X`");
    let inner = packed(&element(5, &[0; 8]));
    refused(&file(&[inner]), 128, "byte 0 of what is compressed here: an element of type 5");
}

#[test]
fn truncated_files_are_refused_at_every_byte() {
    let whole = file(&[images(0, 1), packed(&labels(&[1]))]);
    let last = whole.len() - packed(&labels(&[1])).len();
    for length in (0..200).chain(last..whole.len()) {
        let error = read_in(&folder(2, &whole[..length])).unwrap_err();
        let Error::Damaged { offset, why, .. } = &error else { panic!("{length}: {error}") };
        let place = if length < last + 8 { length } else { last };
        assert_eq!(*offset, place as u64, "{length}: {why}");
    }
    let packed = file(&[packed(&images(0, 1)), packed(&labels(&[1]))]);
    for length in 128..packed.len() {
        let error = read_in(&folder(2, &packed[..length])).unwrap_err();
        assert!(matches!(&error, Error::Damaged { .. }), "{length}: {error}");
    }
}

#[test]
fn damaged_bytes_are_errors_or_pixels_but_no_crash() {
    let whole = file(&[packed(&images(0, 1)), labels(&[1])]);
    let folder = folder(2, &whole);
    for at in 124..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        fs::write(folder.path().join(FILES[2]), &bytes).unwrap();
        if let Err(error) = read_in(&folder) {
            assert!(matches!(&error, Error::Damaged { .. }), "{at}: {error}");
        }
    }
    let mut checksum = whole.clone();
    let end = whole.len() - labels(&[1]).len();
    checksum[end - 1] ^= 1;
    refused(&checksum, 128, "compression: ");
}

#[test]
fn digits_that_leave_none_to_train_are_missed() {
    let few = file(&[images(0, 20), turns(20)]);
    let error = read_in(&folder(0, &few)).unwrap_err().to_string();
    let why = "byte 0: 2 images of the digit 0 are too few: 2 are for validation, others to train";
    assert!(error.ends_with(why), "{error}");
}

#[test]
fn an_absent_set_says_how_to_get_it() {
    let error = load("svhn", &lookup(&tempfile::tempdir().unwrap())).unwrap_err();
    assert!(matches!(&error, Error::Missing { name: "svhn", .. }), "{error}");
    for word in ["bnn data fetch svhn", "extra_32x32.mat", "--data-dir"] {
        assert!(error.to_string().contains(word), "{error} lacks {word}");
    }
    let whole = folder(9, &[]);
    fs::remove_file(whole.path().join(FILES[1])).unwrap();
    let error = read_in(&whole).unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path.ends_with(FILES[1])), "{error}");
}

/// The real files, where there are any.
#[test]
fn svhn_is_what_it_was_in_2011() {
    if std::env::var_os("BNN_DATA").is_none() {
        eprintln!("SKIPPED svhn: BNN_DATA names no folder");
        return;
    }
    let data = match load("svhn", &Lookup::new(None)) {
        Err(error @ Error::Missing { .. }) => return eprintln!("SKIPPED svhn: {error}"),
        data => data.unwrap(),
    };
    let sizes = [&data.train, &data.validation, &data.test].map(|images| images.len());
    assert_eq!(sizes, [598_388, 6_000, 26_032]);
}

#[test]
fn an_array_that_unpacks_without_end_stops_at_its_size() {
    let whole = images(100, 2);
    let mut endless = packed(&[&*whole, &[0; 100]].concat());
    let len = endless.len() as u32 - 8;
    endless[4..8].copy_from_slice(&len.to_le_bytes());
    // What lies behind the array is read to its end, for the checksum, and no further than the limit.
    assert!(read_in(&folder(2, &file(&[packed(&whole), packed(&turns(2))]))).is_ok());
    let mut bomb = ZlibEncoder::new(Vec::new(), Compression::fast());
    bomb.write_all(&whole).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 1 << 30), &mut bomb).unwrap();
    let data = bomb.finish().unwrap();
    let tag = [15_u32.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    refused(&file(&[[tag, data].concat()]), 128, "unpacks to more than 1073741824 bytes");
}

#[test]
fn an_array_that_comes_twice_is_refused() {
    let twice = [images(100, 2), images(100, 2), turns(2)];
    refused(&file(&twice), 128 + twice[0].len() + 8, "a second array `X`");
}

#[test]
fn files_packed_by_a_user_are_compared_by_what_they_hold() {
    let folder = folder(2, &file(&[packed(&images(100, 10)), packed(&turns(10))]));
    let path = folder.path().join(FILES[2]);
    let bytes = fs::read(&path).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&bytes).unwrap();
    fs::write(folder.path().join("test_32x32.mat.gz"), encoder.finish().unwrap()).unwrap();
    fs::remove_file(path).unwrap();
    let verified = crate::verify("svhn", &lookup(&folder)).unwrap();
    let crate::FileState::Wrong(why) = &verified.files[2].state else { panic!("right") };
    assert_eq!(*why, format!("its content is {} bytes long, not 64275384", bytes.len()));
}
