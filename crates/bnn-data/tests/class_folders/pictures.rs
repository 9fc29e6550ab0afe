//! Pictures as cameras and people make them: turned, cut off, of several sizes and kinds.

use bnn_data::picture::{self, Background, Picture, Rules};
use flate2::Crc;
use png::{BitDepth, ColorType};

use super::*;

const RED: [u8; 3] = [250, 10, 10];
const GREEN: [u8; 3] = [10, 250, 10];
const BLUE: [u8; 3] = [10, 10, 250];
const WHITE: [u8; 3] = [240, 240, 240];

/// An EXIF block that tells an orientation and nothing else.
fn exif(orientation: u8) -> Vec<u8> {
    let head = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0";
    [head, &[orientation][..], &[0; 6]].concat()
}

/// A JPEG file with an EXIF block.
fn turned_jpeg(file: &[u8], orientation: u8) -> Vec<u8> {
    let block = [b"Exif\0\0", &exif(orientation)[..]].concat();
    let length = (block.len() as u16 + 2).to_be_bytes();
    [&file[..2], b"\xff\xe1", &length, &block, &file[2..]].concat()
}

/// Where a PNG file's second chunk begins: behind the signature and a header.
const SECOND: usize = 8 + 25;

/// A chunk of a PNG file.
fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let whole = [kind, body].concat();
    let mut crc = Crc::new();
    crc.update(&whole);
    let length = (body.len() as u32).to_be_bytes();
    [&length, &whole[..], &crc.sum().to_be_bytes()].concat()
}

/// A PNG file with an EXIF block before its pixels.
fn turned_png(file: &[u8], orientation: u8) -> Vec<u8> {
    let block = chunk(b"eXIf", &exif(orientation));
    [&file[..SECOND], &block, &file[SECOND..]].concat()
}

/// The colours of the corners: above left and right, below left and right.
fn corners(images: &Images) -> [[u8; 3]; 4] {
    let (height, width) = (images.height(), images.width());
    let pixels = images.rows(0..1);
    let pixels = pixels.as_slice().unwrap().as_chunks::<3>().0;
    [0, width - 1, (height - 1) * width, height * width - 1].map(|at| pixels[at])
}

fn near(got: [[u8; 3]; 4], want: [[u8; 3]; 4]) {
    let off = got.as_flattened().iter().zip(want.as_flattened()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(off.unwrap() < 8, "{got:?}, not {want:?}");
}

#[test]
fn photos_are_turned_as_every_viewer_does() {
    for (orientation, size, want) in [
        (1, (8, 16), [RED, GREEN, BLUE, WHITE]),
        (2, (8, 16), [GREEN, RED, WHITE, BLUE]),
        (3, (8, 16), [WHITE, BLUE, GREEN, RED]),
        (4, (8, 16), [BLUE, WHITE, RED, GREEN]),
        (5, (16, 8), [RED, BLUE, GREEN, WHITE]),
        (6, (16, 8), [BLUE, RED, WHITE, GREEN]),
        (7, (16, 8), [WHITE, GREEN, BLUE, RED]),
        (8, (16, 8), [GREEN, WHITE, RED, BLUE]),
    ] {
        let images = decoded(&turned_jpeg(QUARTERS, orientation)).unwrap();
        assert_eq!((images.height(), images.width()), size, "{orientation}");
        near(corners(&images), want);
    }
    let file = png(ColorType::Grayscale, BitDepth::Eight, &[9, 70]);
    for (orientation, size, want) in
        [(1, (1, 2), [9, 70]), (3, (1, 2), [70, 9]), (6, (2, 1), [9, 70])]
    {
        let images = decoded(&turned_png(&file, orientation)).unwrap();
        assert_eq!((images.height(), images.width()), size, "{orientation}");
        assert_eq!(images.rows(0..1).as_slice().unwrap(), want, "{orientation}");
    }
}

#[test]
fn a_jpeg_ends_where_its_data_do() {
    for file in [QUARTERS, GREY] {
        let want = decoded(file).unwrap().rows(0..1).to_owned();
        let padded = [file, b"\xff\xd8 a preview \xff\xd9", &[0; 100]].concat();
        assert_eq!(decoded(&padded).unwrap().rows(0..1), want);
        let scan = file.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap();
        let data = scan + 2 + usize::from(file[scan + 3]);
        for length in data..file.len() - 2 {
            let cut = [&file[..length], &[0xff, 0xd9]].concat();
            let error = decoded(&cut).expect_err("refused").to_string();
            assert!(error.contains("JPEG image"), "{length}: {error}");
        }
    }
}

/// Coefficients times their quantizers that do not fit 32 bits; fuzzing has found such a file.
const FAR: &[u8] = include_bytes!("../pictures/far.jpg");

#[test]
fn a_jpeg_that_overflows_in_the_decoder_is_refused() {
    let error = decoded(FAR).unwrap_err().to_string();
    assert!(error.contains("its decoder panics") || !cfg!(debug_assertions), "{error}");
}

/// Its decoder looks behind the end of a block, in every build.
const BEYOND: &[u8] = include_bytes!("../pictures/beyond.jpg");

#[test]
fn a_jpeg_on_which_the_decoder_panics_is_refused() {
    let error = decoded(BEYOND).unwrap_err().to_string();
    assert!(error.contains("its decoder panics"), "{error}");
}

#[test]
fn a_palette_that_ends_within_a_colour_is_refused() {
    let file = png(ColorType::Indexed, BitDepth::One, &[0b0100_0000]);
    let [two, more] = [6, 7].map(|bytes| chunk(b"PLTE", &[9; 7][..bytes]));
    let damaged = [&file[..SECOND], &more, &file[SECOND + two.len()..]].concat();
    let error = decoded(&damaged).unwrap_err().to_string();
    assert!(error.contains("a colour of its palette is not whole"), "{error}");
}

/// The same pixels as [`QUARTERS`], in ten scans.
const PROGRESSIVE: &[u8] = include_bytes!("../pictures/progressive.jpg");

#[test]
fn a_jpeg_without_its_last_scans_is_refused() {
    near(corners(&decoded(PROGRESSIVE).unwrap()), [RED, GREEN, BLUE, WHITE]);
    let is_scan = |at: &usize| PROGRESSIVE[*at..].starts_with(&[0xff, 0xda]);
    let scans: Vec<_> = (0..PROGRESSIVE.len()).filter(is_scan).collect();
    assert_eq!(scans.len(), 10);
    for scan in &scans[1..] {
        let cut = [&PROGRESSIVE[..*scan], &[0xff, 0xd9]].concat();
        let error = decoded(&cut).unwrap_err().to_string();
        assert!(error.contains("some of its scans are absent"), "{error}");
    }
}

/// Files of which one is replaced, as `rules` make them.
fn made(place: &str, file: &[u8], rules: Rules) -> Result<Dataset, Error> {
    class_folders::read_as("set", folder(&with(place, file)).path(), &rules)
}

#[test]
fn mixed_kinds_are_told_and_decided_by_a_key() {
    let colours = png(ColorType::Rgb, BitDepth::Eight, &[255, 0, 0, 9, 9, 9]);
    let place = "train/ant/00.png";
    let refused = made(place, &colours, Rules::default()).unwrap_err().to_string();
    for part in ["train/ant/00.png", "18 grey, 1 coloured", "`channels = 1`", "`channels = 3`"] {
        assert!(refused.contains(part), "{refused}");
    }
    let rules = |channels| Rules { channels: Some(channels), ..Rules::default() };
    let grey = made(place, &colours, rules(1)).unwrap();
    assert_eq!((grey.train.channels(), grey.rules()), (1, &rules(1)));
    assert_eq!(grey.train.rows(0..1).as_slice().unwrap(), [76, 9]); // 255 times 0.299
    assert_eq!(grey.notes()[0], "18 grey, 1 coloured");
    let coloured = made(place, &colours, rules(3)).unwrap();
    assert_eq!(coloured.train.rows(0..1).as_slice().unwrap(), [255, 0, 0, 9, 9, 9]);
    assert_eq!(coloured.test.rows(0..1).as_slice().unwrap(), [200, 200, 200, 55, 55, 55]);
    let palette = png(ColorType::Indexed, BitDepth::One, &[0b0100_0000]);
    let notes = made(place, &palette, rules(1)).unwrap().notes();
    assert_eq!(notes[0], "18 grey, 1 coloured, 1 of these with a palette");
    let alike = made(place, &super::grey(0), rules(1)).unwrap().notes();
    assert!(alike.iter().all(|note| !note.contains("grey")), "{alike:?}");
}

#[test]
fn transparency_is_told_and_decided_by_a_key() {
    let clear = png(ColorType::GrayscaleAlpha, BitDepth::Eight, &[100, 0, 100, 255]);
    let place = "train/ant/00.png";
    let refused = made(place, &clear, Rules::default()).unwrap_err().to_string();
    for part in ["shines through 1 of the images", "`alpha = \"white\"`", "`alpha = \"black\"`"] {
        assert!(refused.contains(part), "{refused}");
    }
    for (alpha, want) in [(Background::White, [255, 100]), (Background::Black, [0, 100])] {
        let rules = Rules { alpha: Some(alpha), ..Rules::default() };
        let data = made(place, &clear, rules).unwrap();
        assert_eq!(data.train.rows(0..1).as_slice().unwrap(), want);
        assert_eq!(data.notes()[0], "19 grey, 1 with an alpha channel");
    }
}

#[test]
fn sizes_are_made_one_by_a_key() {
    let rules = Rules { resize: Some("2 x 1 stretch".parse().unwrap()), ..Rules::default() };
    let data = made("test/ant/0.png", GREY, rules).unwrap();
    assert_eq!((data.test.height(), data.test.width()), (1, 2));
    let photo = data.test.rows(0..1).to_owned();
    let whole = decoded(GREY).unwrap();
    let half = |from: usize| {
        let rows = whole.rows(0..1);
        let rows = rows.as_slice().unwrap();
        let sum: usize = (0..8)
            .flat_map(|row| (0..8).map(move |col| 16 * row + from + col))
            .map(|at| usize::from(rows[at]))
            .sum();
        ((sum + 32) / 64) as u8
    };
    assert_eq!(photo.as_slice().unwrap(), [half(0), half(8)]);
    // Sets of one size are made another as well.
    let twice = Rules { resize: Some("14 x 14".parse().unwrap()), ..Rules::default() };
    let digits = bnn_data::load_as("digits", &Lookup::new(None), &twice).unwrap();
    assert_eq!((digits.train.height(), digits.train.width(), *digits.rules()), (14, 14, twice));
}

#[test]
fn huge_pictures_are_refused_before_their_pixels_are_held() {
    let allow = |size: picture::Size| Err(format!("asked for {size}"));
    let told = |file: &[u8]| picture::decode(file, allow).map(|picture: Picture| picture.size);
    assert_eq!(told(&turned_jpeg(QUARTERS, 6)).unwrap_err(), "asked for 8 x 16");
    assert_eq!(told(&grey(1)).unwrap_err(), "asked for 2 x 1");
}
