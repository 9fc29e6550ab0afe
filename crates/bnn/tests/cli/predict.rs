//! Pictures in, classes out.

use std::fs;

use bnn_core::{Classifier, Frozen, Reference, Session};
use bnn_data::picture::Rules;
use bnn_data::{Digits, Images, Lookup};
use png::ColorType;
use serde_json::Value;

use crate::desk::{Desk, SPEC};

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
        ("text.png", ["text.png: neither a PNG nor a JPEG image", "`magick IN OUT.png`"]),
        ("photo.png", ["photo.png: ", "a JPEG image that breaks off"]),
        ("empty.png", ["empty.png: ", "the file is empty"]),
        ("wide.png", ["wide.png: the image is 30 x 28 pixels", "the model reads 28 x 28; resize"]),
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

/// 16 x 8 pixels, as a camera writes them.
const PHOTO: &[u8] = include_bytes!("../../../bnn-data/tests/pictures/quarters.jpg");

/// The spec of a network of two classes that reads pictures of any size and kind.
fn photos() -> String {
    let images = "[images]\nalpha = \"white\"\nchannels = 1\nresize = \"12 x 10\"\n[net]";
    let spec = SPEC.replace("digits", "images").replace("[net]", images);
    spec.replace("samples = 200\n", "")
        .replace("batch = 50", "batch = 10")
        .replace("dense 10", "dense 2")
}

#[test]
fn photos_become_what_the_model_was_trained_on() {
    let desk = Desk::new();
    desk.write("photos.toml", photos());
    let drawing = png(40, 30, ColorType::Rgba, &[90, 20, 5, 77].repeat(1200));
    for n in 0..20 {
        for split in ["train", "test"] {
            desk.write(&format!("set/{split}/photo/{n}.jpg"), PHOTO);
            desk.write(&format!("set/{split}/drawing/{n}.png"), &drawing);
        }
    }
    let told = desk.bnn("train photos.toml --data-dir set --out run").assert().success();
    let told = String::from_utf8(told.get_output().stderr.clone()).unwrap();
    assert!(told.contains("80 coloured, 40 with an alpha channel"), "{told}");
    let file = fs::read(desk.0.path().join("run/model.safetensors")).unwrap();
    let network = Frozen::from_bytes(&file).unwrap();
    assert_eq!(network.images, ["alpha white", "channels 1", "resize 12 x 10 crop"]);

    let rules = Rules::try_from(&network.images[..]).unwrap();
    let folder = Lookup::new(Some(desk.0.path().join("set")));
    let data = bnn_data::load_as("images", &folder, &rules).unwrap();
    let session = Session::new(&Reference, &network).unwrap();
    let scores = session.scores(data.test.rows(0..2)).unwrap(); // classes take turns
    let lines = predictions(&desk, "set/test/drawing/0.png set/test/photo/0.jpg");
    for (line, scores) in lines.iter().zip(scores.rows()) {
        for told in line["scores"].as_array().unwrap() {
            let class = network.classes.iter().position(|class| *class == told["class"]).unwrap();
            assert_eq!(told["score"].as_f64().unwrap() as f32, scores[class], "{line}");
        }
    }
    desk.works("eval run/model.safetensors --data images --data-dir set");
    let inspected = desk.works("inspect run/model.safetensors");
    assert!(inspected.contains("alpha white, channels 1, resize 12 x 10 crop"), "{inspected}");
    assert!(desk.works("cost photos.toml").starts_with("reads 10 x 12 x 1"));
}

#[test]
fn rules_of_pictures_are_checked() {
    let desk = Desk::new();
    for (from, to, words) in [
        ("channels = 1", "channels = 2", ["images: 2 channels", "want 1 (grey) or 3"]),
        ("white", "green", ["images.alpha: `green`", "want `white` or `black`"]),
        ("12 x 10", "12 x 0", ["images.resize: 12 x 0 pixels", "no size from 1 to 1024"]),
        ("12 x 10", "12 by 10", ["images.resize: `12 by 10`", "want `WIDTH x HEIGHT`"]),
        ("channels = 1", "colours = 1", ["unknown field `colours`", "`channels`"]),
    ] {
        desk.write("photos.toml", photos().replace(from, to));
        desk.fails("train photos.toml --out run", 2, &words);
    }
}

#[test]
fn wrong_usage_is_explained() {
    let desk = Desk::new();
    desk.fails("predict model.safetensors", 2, &["<IMAGE>", "Usage"]);
    desk.fails("predict model.safetensors a.png --top 0", 2, &["--top"]);
}
