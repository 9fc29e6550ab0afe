//! Images in a folder per class: formats, splits, and every way in which they can be wrong.

#![allow(clippy::unwrap_used)] // in helpers too

mod archives;
mod pictures;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use bnn_data::{Dataset, Error, Images, Lookup, Order, catalog, class_folders, load, verify};
use flate2::{Compression, write::GzEncoder};
use png::{BitDepth, ColorType, Encoder};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// 16 x 8 pixels: red and green above, blue and white below.
const QUARTERS: &[u8] = include_bytes!("../pictures/quarters.jpg");
/// The red channel of the same.
const GREY: &[u8] = include_bytes!("../pictures/grey.jpg");
const CMYK: &[u8] = include_bytes!("../pictures/cmyk.jpg");

const CLASSES: [&str; 3] = ["ant", "bee", "cow"];

/// A PNG of 2 x 1 pixels.
fn png(color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 2, 1);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette(vec![9, 9, 9, 70, 80, 90]);
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    file
}

fn grey(byte: u8) -> Vec<u8> {
    png(ColorType::Grayscale, BitDepth::Eight, &[byte, 255 - byte])
}

/// Files by their places.
type Files = Vec<(String, Vec<u8>)>;

/// 11 ants, 2 bees, 3 cows to train on and one of each to test, in no order; the first byte of an
/// image counts within its class.
fn files() -> Files {
    let mut files = Files::new();
    for (class, count) in CLASSES.iter().zip([11, 2, 3]) {
        files.push((format!("test/{class}/0.png"), grey(200)));
        let train = (0..count).rev().map(|n| (format!("train/{class}/{n:02}.png"), grey(n)));
        files.extend(train);
    }
    files
}

/// The files with one of them replaced, or a further one.
fn with(place: &str, bytes: &[u8]) -> Files {
    let mut files = files();
    files.retain(|(there, _)| there != place);
    files.push((place.into(), bytes.to_vec()));
    files
}

fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (place, bytes) in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, place, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Reads an archive of these bytes.
fn read(bytes: &[u8]) -> Result<Dataset, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.tar");
    std::fs::write(&path, bytes).unwrap();
    class_folders::read("set", &path)
}

/// Writes the files into a folder.
fn folder(files: &[(String, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (place, bytes) in files {
        let path = folder.path().join(place);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

/// Asserts that archive and folder are refused because of the same entry.
fn refused(files: &[(String, Vec<u8>)], at: &str, because: &str) {
    for result in [read(&archive(files)), class_folders::read("set", folder(files).path())] {
        match result {
            Err(Error::Entry { entry, why, .. }) => {
                assert_eq!((&*entry, why.contains(because)), (at, true), "{entry}: {why}");
            }
            other => panic!("{other:?} instead of: {because}"),
        }
    }
}

/// Labels and first bytes.
fn about(images: &Images) -> Vec<(u8, u8)> {
    let first = |image| images.rows(image..image + 1)[[0, 0]];
    (0..images.len()).map(|image| (images.labels[image], first(image))).collect()
}

#[test]
fn the_last_tenth_of_every_class_is_for_validation_and_classes_take_turns() {
    let data = read(&archive(&files())).unwrap();
    let train = [
        [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1), (0, 2)],
        [(0, 3), (0, 4), (0, 5), (0, 6), (0, 7), (0, 8)],
    ];
    assert_eq!(about(&data.train), train.concat());
    assert_eq!(about(&data.validation), [(0, 9), (1, 1), (2, 2), (0, 10)]);
    assert_eq!(about(&data.test), [(0, 200), (1, 200), (2, 200)]);
    assert_eq!(data.class_names(), CLASSES);
    let test = &data.test;
    assert_eq!((test.height(), test.width(), test.channels(), test.classes()), (1, 2, 1, 3));
}

#[test]
fn archives_plain_or_packed_and_folders_are_the_same() {
    let bytes = archive(&files());
    let data = read(&bytes).unwrap();
    assert_eq!(read(&gzip(&bytes)).unwrap(), data);
    assert_eq!(class_folders::read("set", folder(&files()).path()).unwrap(), data);
    let mut more = files();
    more.push(("LICENSE".into(), b"no image".to_vec()));
    assert_eq!(read(&archive(&more)).unwrap(), data);
    assert_eq!(class_folders::read("set", folder(&more).path()).unwrap(), data);
}

#[test]
fn a_folder_of_its_own_is_for_validation() {
    let data = read(&archive(&files())).unwrap();
    for name in ["val", "valid", "validation"] {
        let mut more = files();
        // A single image to train on is enough then.
        more.retain(|(place, _)| place != "train/bee/01.png");
        let chosen = [("cow", 40), ("ant", 20), ("bee", 30), ("ant", 21)];
        more.extend(chosen.map(|(class, n)| (format!("{name}/{class}/{n}.png"), grey(n))));
        let from_folder = class_folders::read("set", folder(&more).path()).unwrap();
        assert_eq!(read(&archive(&more)).unwrap(), from_folder);
        assert_eq!(about(&from_folder.validation), [(0, 20), (1, 30), (2, 40), (0, 21)]);
        let bees = from_folder.train.labels.iter().filter(|&&label| label == 1).count();
        assert_eq!((from_folder.train.len(), bees, &from_folder.test), (15, 1, &data.test));

        let place = format!("{name}/dog/0.png");
        let dog = [more.clone(), vec![(place, grey(1))]].concat();
        refused(&dog, &format!("{name}/dog"), "train has no such class, but the 3 classes");
        more.retain(|(place, _)| !place.starts_with(&format!("{name}/bee")));
        refused(&more, &format!("{name}/bee"), "the folder is missing; train has this class");
    }
    let mut both = files();
    for name in ["val", "valid"] {
        both.extend(CLASSES.map(|class| (format!("{name}/{class}/0.png"), grey(1))));
    }
    refused(&both, "valid", "there is val already, to validate by");
}

/// The image as the only one of its kind among images of one class.
fn decoded(image: &[u8]) -> Result<Images, Error> {
    let places = ["train/ant/0", "train/ant/1", "test/ant/0"];
    let files: Files = places.map(|place| (place.into(), image.to_vec())).into();
    read(&archive(&files)).map(|data| data.test)
}

#[test]
fn pixels_lie_row_after_row_with_channels_innermost() {
    let near = |images: &Images, pixels: &[(usize, [u8; 3])]| {
        let channels = images.channels();
        for (pixel, colour) in pixels {
            let got = images.rows(0..1);
            let got = &got.as_slice().unwrap()[pixel * channels..][..channels];
            let off = got.iter().zip(colour).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(off < 8, "pixel {pixel} is {got:?}, not {colour:?}");
        }
    };
    let (red, green) = ([250, 10, 10], [10, 250, 10]);
    let (blue, white) = ([10, 10, 250], [240, 240, 240]);
    let quarters = decoded(QUARTERS).unwrap();
    assert_eq!((quarters.height(), quarters.width(), quarters.channels()), (8, 16, 3));
    let corners = [(0, red), (7, red), (8, green), (15, green), (112, blue), (127, white)];
    near(&quarters, &corners);
    let image = decoded(GREY).unwrap();
    assert_eq!((image.height(), image.width(), image.channels()), (8, 16, 1));
    near(&image, &corners);
}

#[test]
fn png_of_all_kinds_that_lose_nothing() {
    use BitDepth::{Eight, One, Sixteen};
    use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
    for (color, depth, data, pixels) in [
        (Grayscale, Sixteen, vec![9, 1, 70, 255], vec![9, 70]),
        (Grayscale, One, vec![0b0100_0000], vec![0, 255]),
        (GrayscaleAlpha, Eight, vec![9, 255, 70, 255], vec![9, 70]),
        (Rgb, Eight, vec![1, 2, 3, 4, 5, 6], vec![1, 2, 3, 4, 5, 6]),
        (Rgba, Eight, vec![1, 2, 3, 255, 4, 5, 6, 255], vec![1, 2, 3, 4, 5, 6]),
        (Indexed, One, vec![0b0100_0000], vec![9, 9, 9, 70, 80, 90]),
    ] {
        let images = decoded(&png(color, depth, &data)).unwrap();
        assert_eq!(images.rows(0..1).as_slice().unwrap(), pixels, "{color:?}");
    }
    let clear = png(GrayscaleAlpha, Eight, &[9, 255, 70, 254]);
    let why =
        "something shines through 1 of the images (19 grey, 1 with an alpha channel); `alpha = ";
    refused(&with("train/bee/01.png", &clear), "train/bee/01.png", why);
}

#[test]
fn images_that_cannot_be_read_are_named() {
    let refuse =
        |bytes: &[u8], why| refused(&with("train/bee/00.png", bytes), "train/bee/00.png", why);
    refuse(b"", "the file is empty");
    refuse(b"GIF89a", "neither a PNG nor a JPEG image");
    refuse(CMYK, "neither grey nor RGB");
    refuse(
        GREY,
        "the image is 16 x 8, but the first one, train/ant/00.png, 2 x 1 (width x height)",
    );
    refuse(
        QUARTERS,
        "grey and coloured images are mixed (18 grey, 1 coloured; train/ant/00.png is grey)",
    );
    let wide = [&grey(1)[..16], &[0, 0, 4, 1], &grey(1)[20..]].concat();
    refuse(&wide, "damaged"); // its checksum is that of another width
    for length in 1..QUARTERS.len() {
        let error = decoded(&QUARTERS[..length]).unwrap_err();
        assert!(matches!(&error, Error::Entry { .. }), "{length}: {error}");
    }
    let whole = grey(1);
    for length in 1..whole.len() - 12 {
        let error = decoded(&whole[..length]).unwrap_err();
        assert!(matches!(&error, Error::Entry { .. }), "{length}: {error}");
    }
}

#[test]
fn huge_images_are_refused_by_their_headers() {
    let mut file = Vec::new();
    let encoder = Encoder::new(&mut file, 1025, 1);
    encoder.write_header().unwrap().write_image_data(&[0; 1025]).unwrap();
    let why = "1025 x 1 pixels are more than 1024 a side";
    refused(&with("test/ant/0.png", &file), "test/ant/0.png", why);
    let mut huge = QUARTERS.to_vec();
    let frame = huge.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    huge[frame + 5..frame + 9].copy_from_slice(&[0x3f, 0xff, 0x3f, 0xff]);
    let error = decoded(&huge).unwrap_err().to_string();
    assert!(
        error.contains("16383 x 16383 pixels are more than 100 million; make it smaller"),
        "{error}"
    );
}

#[test]
fn classes_are_checked() {
    refused(&with("test/dog/0.png", &grey(1)), "test/dog", "but the 3 classes `ant`, `bee`, `cow`");
    refused(&with("train/dog/0.png", &grey(1)), "test/dog", "train has this class, with 1 images");
}

#[test]
fn places_are_checked() {
    refused(&with("train/0.png", &grey(1)), "train/0.png", "images lie in train/<class>/ and");
    let deep = with("train/ant/old/0.png", &grey(1));
    let error = read(&archive(&deep)).unwrap_err().to_string();
    assert!(error.contains("train/ant/old/0.png: this is no place for a file"), "{error}");
    let error = class_folders::read("set", folder(&deep).path()).unwrap_err().to_string();
    assert!(error.ends_with("train/ant/old: a folder where images should be"), "{error}");
    let mut few = files();
    few.retain(|(place, _)| !place.starts_with("train/bee/01"));
    refused(&few, "train/bee/00.png", "1 image in its class is too few");
    few.retain(|(place, _)| !place.starts_with("test"));
    refused(&few, "test", "there are no images");
    refused(&[], "train", "there are no images");
}

#[test]
fn an_empty_class_is_named() {
    let mut without = files();
    without.retain(|(place, _)| !place.starts_with("train/bee"));
    let desk = folder(&without);
    std::fs::create_dir(desk.path().join("train/bee")).unwrap();
    let error = class_folders::read("set", desk.path()).unwrap_err().to_string();
    assert!(error.ends_with(", train/bee: there is no image of this class"), "{error}");
    let mut builder = Builder::new(Vec::new());
    builder.append_dir_all("", desk.path()).unwrap();
    let error = read(&builder.into_inner().unwrap()).unwrap_err().to_string();
    assert!(error.ends_with(", train/bee: there is no image of this class"), "{error}");
}

#[test]
fn many_classes_are_refused() {
    let places = (0..257).flat_map(|class| [format!("train/{class}/0"), format!("test/{class}/0")]);
    let files: Files = places.map(|place| (place, grey(0))).collect();
    refused(&files, "train", "257 classes are more than 256");
}

#[test]
fn what_is_not_there_is_named() {
    let path = PathBuf::from("no/such/archive.tar");
    match class_folders::read("set", &path) {
        Err(Error::File { path: named, .. }) => assert_eq!(named, path),
        other => panic!("{other:?}"),
    }
}

fn lookup(folder: &Path) -> Lookup {
    Lookup { data_dir: Some(folder.into()), ..Lookup::default() }
}

#[test]
fn cifar10_jpeg_is_such_an_archive() {
    let desk = tempfile::tempdir().unwrap();
    let error = load("cifar10-jpeg", &lookup(desk.path())).unwrap_err().to_string();
    for word in ["cifar10-jpeg.tar.gz", "--data-dir", "BNN_DATA", "`digits`"] {
        assert!(error.contains(word), "{error} lacks {word}");
    }
    let path = desk.path().join("cifar10-jpeg.tar.gz");
    std::fs::write(&path, gzip(&archive(&files()))).unwrap();
    let data = load("cifar10-jpeg", &lookup(desk.path())).unwrap();
    assert_eq!((&*data.name, data.train.len()), ("cifar10-jpeg", 12));
    let listings = catalog(&lookup(desk.path()));
    let listing = listings.iter().find(|listing| listing.name == "cifar10-jpeg").unwrap();
    assert_eq!(listing.place.as_deref().unwrap(), path.display().to_string());
    let error = verify("cifar10-jpeg", &lookup(desk.path())).unwrap().result().unwrap_err();
    assert!(error.to_string().contains("not 92692480"), "{error}");
    let note = "not the published files of `cifar10-jpeg`: cifar10-jpeg.tar (1 of 1); results are \
                about these images, `bnn data verify cifar10-jpeg` says what differs";
    assert_eq!(data.notes()[0], note);
}

#[test]
fn any_folder_or_archive_is_the_data_set_images() {
    let (bare, desk) = (folder(&files()), tempfile::tempdir().unwrap());
    let want = load("images", &lookup(bare.path())).unwrap();
    assert_eq!(
        (&*want.name, want.train.len(), want.class_names()[2].as_str()),
        ("images", 12, "cow")
    );
    // As a file that is named itself, and under its own name in a folder.
    for (name, bytes) in [
        ("pets.tar", archive(&files())),
        ("pets.tar.gz", gzip(&archive(&files()))),
        ("images.tar", archive(&files())),
        ("images.tar.gz", gzip(&archive(&files()))),
    ] {
        let path = desk.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let place = if name.starts_with("pets") { &path } else { desk.path() };
        assert_eq!(load("images", &lookup(place)).unwrap(), want, "{name}");
        std::fs::remove_file(path).unwrap();
    }
    let error = load("images", &lookup(desk.path())).unwrap_err();
    assert!(matches!(&error, Error::Missing { name: "images", .. }), "{error}");
    for word in ["train/<class>/", ".tar.gz", "--data-dir", "`digits`"] {
        assert!(error.to_string().contains(word), "{error} lacks {word}");
    }
    std::fs::rename(bare.path(), desk.path().join("images")).unwrap();
    assert_eq!(load("images", &lookup(desk.path())).unwrap(), want);
    std::fs::remove_dir_all(desk.path().join("images/test")).unwrap();
    let error = load("images", &lookup(desk.path())).unwrap_err().to_string();
    assert!(error.contains("images, test: there are no images"), "{error}");
}

/// The real archive, where it is.
#[test]
fn cifar10_jpeg_has_every_class_in_every_split() {
    if std::env::var_os("BNN_DATA").is_none() {
        eprintln!("SKIPPED cifar10-jpeg: BNN_DATA names no folder");
        return;
    }
    let data = match load("cifar10-jpeg", &Lookup::new(None)) {
        Err(error @ Error::Missing { .. }) => return eprintln!("SKIPPED cifar10-jpeg: {error}"),
        data => data.unwrap(),
    };
    verify("cifar10-jpeg", &Lookup::new(None)).unwrap().result().unwrap();
    assert!(data.notes().is_empty(), "{:?}", data.notes());
    for (images, count) in [(&data.train, 4500), (&data.validation, 500), (&data.test, 1000)] {
        let of = |class| images.labels.iter().filter(|&&label| label == class).count();
        assert_eq!((0..10).map(of).collect::<Vec<_>>(), [count; 10]);
    }
    let size = (data.test.height(), data.test.width(), data.test.channels());
    assert_eq!(size, (32, 32, 3));
    assert_eq!(data.class_names()[3], "cat");
    let order = Order { seed: 0, epoch: 1 }.permutation(data.train.len());
    let batch: BTreeSet<_> = order[..50].iter().map(|&image| data.train.labels[image]).collect();
    assert!(batch.len() > 5, "{batch:?}");
    // The known mean of CIFAR-10's training images, 0.4914, 0.4822, 0.4465, within half a percent.
    let mut sums = [0_u64; 3];
    for images in [&data.train, &data.validation] {
        for pixel in images.pixels(0..images.len()).rows() {
            pixel.iter().zip(&mut sums).for_each(|(&byte, sum)| *sum += u64::from(byte));
        }
    }
    for (sum, known) in sums.into_iter().zip([0.4914, 0.4822, 0.4465]) {
        let mean = sum as f64 / (50_000.0 * 1024.0 * 255.0);
        assert!((mean - known).abs() < 0.0025, "{mean} instead of {known}");
    }
}
