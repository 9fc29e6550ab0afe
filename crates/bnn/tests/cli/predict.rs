//! Pictures in, classes out.

use std::fs;

use bnn_core::{Classifier, Frozen, Reference, Session};
use bnn_data::{Digits, Images};
use png::ColorType;
use serde_json::Value;

use crate::desk::Desk;

/// A PNG of 8 bits per sample.
fn png(width: u32, height: u32, color: ColorType, samples: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.write_header().unwrap().write_image_data(samples).unwrap();
    file
}

/// Digits that no network was trained on.
fn digits(count: usize) -> Images {
    Digits { train: 0, validation: 0, test: count, seed: 7 }.draw().test
}

/// A desk with a model that was trained for an epoch.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.works("train tiny.toml --out run");
    desk
}

/// The classes that the model gives without any file of pictures.
fn classes(desk: &Desk, images: &Images) -> Vec<String> {
    let bytes = fs::read(desk.0.path().join("run/model.safetensors")).unwrap();
    let network = Frozen::from_bytes(&bytes).unwrap();
    let session = Session::new(&Reference, &network).unwrap();
    let rows = images.rows(0..images.len());
    let classes = session.classify(rows.as_slice().unwrap()).unwrap();
    classes.into_iter().map(|class| network.classes[class as usize].clone()).collect()
}

fn predictions(desk: &Desk, line: &str) -> Vec<Value> {
    let lines = desk.works(&format!("predict run/model.safetensors --json {line}"));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn pictures_have_the_classes_of_their_bytes() {
    let (desk, images) = (desk(), digits(30));
    let mut names = String::new();
    for (index, image) in images.rows(0..30).rows().into_iter().enumerate() {
        let bytes = image.to_vec();
        let (color, samples) = match index % 3 {
            0 => (ColorType::Grayscale, bytes),
            1 => (ColorType::Rgb, bytes.iter().flat_map(|&byte| [byte; 3]).collect()),
            _ => (ColorType::GrayscaleAlpha, bytes.iter().flat_map(|&byte| [byte, 255]).collect()),
        };
        desk.write(&format!("{index}.png"), png(28, 28, color, &samples));
        names += &format!(" {index}.png");
    }
    let want = classes(&desk, &images);
    assert!(want.iter().any(|class| *class != want[0]), "a model that tells nothing apart");
    for device in ["--backend reference", "--backend cpu/portable --threads 2", ""] {
        let lines = predictions(&desk, &format!("{device} {names}"));
        let got: Vec<_> = lines.iter().map(|line| line["class"].as_str().unwrap()).collect();
        assert_eq!(got, want, "{device}");
        for (index, line) in lines.iter().enumerate() {
            assert_eq!(line["file"], format!("{index}.png"));
            let score = |rank: usize| line["scores"][rank]["score"].as_f64().unwrap();
            assert_eq!(line["scores"].as_array().unwrap().len(), 10);
            assert!((line["margin"].as_f64().unwrap() - (score(0) - score(1))).abs() < 1e-5);
        }
    }
}

#[test]
fn dark_on_light_is_light_on_dark_inverted() {
    let (desk, images) = (desk(), digits(1));
    let bytes = images.rows(0..1).iter().copied().collect::<Vec<_>>();
    let inverted: Vec<_> = bytes.iter().map(|byte| 255 - byte).collect();
    desk.write("light.png", png(28, 28, ColorType::Grayscale, &bytes));
    desk.write("dark.png", png(28, 28, ColorType::Grayscale, &inverted));
    let [light] = &predictions(&desk, "light.png")[..] else { panic!("one line") };
    let [dark] = &predictions(&desk, "dark.png --invert")[..] else { panic!("one line") };
    let [plain] = &predictions(&desk, "dark.png")[..] else { panic!("one line") };
    assert_eq!(light["scores"], dark["scores"]);
    assert_ne!(light["scores"], plain["scores"]);
}

#[test]
fn people_get_a_line_with_the_best_scores() {
    let desk = desk();
    desk.write(
        "a.png",
        png(28, 28, ColorType::Grayscale, digits(1).rows(0..1).as_slice().unwrap()),
    );
    let scores = |more: &str| {
        let line = desk.works(&format!("predict run/model.safetensors a.png {more}"));
        assert!(line.starts_with("a.png: ") && line.contains(", margin "), "{line}");
        assert_eq!(line.lines().count(), 1);
        line.split_once('(').unwrap().1.split(", ").count()
    };
    assert_eq!((scores(""), scores("--top 1"), scores("--top 12")), (3, 1, 10));
    let [line] = &predictions(&desk, "a.png --top 2")[..] else { panic!("one line") };
    assert_eq!(line["scores"].as_array().unwrap().len(), 2);
}

#[test]
fn a_broken_picture_names_itself_and_stops_no_other() {
    let desk = desk();
    let whole = png(28, 28, ColorType::Grayscale, digits(1).rows(0..1).as_slice().unwrap());
    desk.write("good.png", &whole);
    desk.write("cut.png", &whole[..whole.len() / 2]);
    desk.write("text.png", "no picture");
    desk.write("photo.png", b"\xff\xd8\xff\xe0 whatever it is called");
    desk.write("empty.png", "");
    desk.write("wide.png", png(30, 28, ColorType::Grayscale, &[0; 840]));
    desk.write("red.png", png(28, 28, ColorType::Rgb, &[255, 0, 0].repeat(784)));
    desk.write("clear.png", png(28, 28, ColorType::Rgba, &[0; 4 * 784]));
    desk.write("folder/good.png", &whole);
    for (name, words) in [
        ("cut.png", ["cut.png: ", "damaged"]),
        ("text.png", ["text.png: ", "not a PNG image"]),
        ("photo.png", ["photo.png: a JPEG image", "`magick IN.jpg OUT.png`"]),
        ("empty.png", ["empty.png: ", "not a PNG image"]),
        ("wide.png", ["wide.png: the image is 30 x 28 pixels", "the model reads 28 x 28 pixels"]),
        ("red.png", ["red.png: pixel 0,0 is coloured (255, 0, 0)", "-colorspace Gray"]),
        ("clear.png", ["clear.png: pixel 0,0: transparent (opacity 0 of 255)", "-background"]),
        ("folder", ["folder: this is a folder", "folder/*.png"]),
        ("absent.png", ["absent.png: ", "No such file"]),
    ] {
        desk.fails(&format!("predict run/model.safetensors {name}"), 1, &words);
        let line = format!("predict run/model.safetensors good.png {name} folder/good.png --json");
        let out = desk.bnn(&line).assert().code(1).get_output().clone();
        let printed = String::from_utf8(out.stdout).unwrap();
        let files: Vec<Value> =
            printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(files.len(), 2, "{printed}");
        assert_eq!(
            (&files[0]["file"], &files[1]["file"]),
            (&"good.png".into(), &"folder/good.png".into())
        );
        let complaints = String::from_utf8(out.stderr).unwrap();
        assert!(complaints.ends_with("error: 1 of 3 images could not be read\n"), "{complaints}");
    }
}

#[test]
fn wrong_usage_is_explained() {
    let desk = Desk::new();
    desk.fails("predict model.safetensors", 2, &["<IMAGE>", "Usage"]);
    desk.fails("predict model.safetensors a.png --top 0", 2, &["--top"]);
}
