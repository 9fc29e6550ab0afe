//! Damaged, foreign and outrageous model files: each is refused, none is taken for another model.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::{
    BitMatrix, Form, Frozen, Gather, Grid, Hidden, Input, Levels, Matrix, Output, Planes, Pool,
    Preprocess, Window, Work, envelope,
};

/// A model of version 1, which has no checksum.
const VERSION_1: &[u8] = include_bytes!("version1/model.safetensors");

fn signs(rows: usize, cols: usize) -> Planes {
    Planes::binary(BitMatrix::from_fn(rows, cols, |row, col| (row * 7 + col * 3) % 5 < 2))
}

/// A convolution with a pool on images of `side` x `side` bytes, and a dense layer.
fn network(side: usize, window: Window, outputs: usize) -> Frozen {
    let grid = Grid { height: side, width: side };
    let sums = window.positions(grid).unwrap();
    let levels = Levels { scale: 0.5, form: Form::Steps(vec![1, 2]) };
    let hidden = Hidden {
        weights: signs(outputs, window.taps()),
        gather: Gather::Patches { grid, window },
        cuts: Matrix::from_shape_fn((2, outputs), |(cut, output)| (3 * cut + output) as f32),
        levels,
        pool: Some(Pool { grid: sums, window: sums.whole() }),
    };
    let one = Grid { height: 1, width: 1 };
    let mut weights = signs(3, outputs);
    weights.mask = Some(BitMatrix::from_fn(3, outputs, |row, col| row != col));
    let output = Output {
        weights,
        gather: Gather::Patches { grid: one, window: one.whole() },
        mean: vec![0.5, -1.5, 2.0],
        gain: vec![0.25, 0.5, 1.0],
        beta: vec![0.0, 0.125, -1.0],
    };
    let classes = ["ant", "bee", "cat"].map(String::from).into();
    Frozen {
        input: Input { grid, channels: 1 },
        hidden: vec![hidden],
        output,
        classes,
        images: vec![],
        preprocess: None,
    }
}

fn small() -> Frozen {
    network(6, Window::square(3, 1, 1), 4)
}

fn why(network: &Frozen) -> String {
    network.check().unwrap_err().to_string()
}

#[test]
fn no_flipped_bit_makes_another_model() {
    let mut network = small();
    let digest = "0123456789abcdef".repeat(4);
    network.preprocess = Some(Preprocess { steps: vec!["lcn".into()], limit: 1.5, digest });
    let bytes = network.to_bytes().unwrap();
    for at in 0..bytes.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut flipped = bytes.clone();
            flipped[at] ^= mask;
            match Frozen::from_bytes(&flipped) {
                Ok(read) => assert_eq!(read, network, "byte {at} ^ {mask}"),
                Err(error) => {
                    let text = error.to_string();
                    let remedy = ["train again", "update bnn", "beside its checkpoint"];
                    assert!(remedy.iter().any(|words| text.contains(words)), "{text}");
                }
            }
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = small().to_bytes().unwrap();
    for length in 0..bytes.len() {
        assert!(Frozen::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    assert!(Frozen::from_bytes(&[&bytes[..], b"\0"].concat()).is_err());
}

#[test]
fn a_model_of_version_1_is_read_and_known_for_unverified() {
    let old = Frozen::load(VERSION_1).unwrap();
    assert!(!old.verified);
    assert_eq!(old.network.output.mean.len(), 10);
    let bytes = old.network.to_bytes().unwrap();
    assert_eq!(bytes, old.network.to_bytes().unwrap(), "the same network gives the same bytes");
    let new = Frozen::load(&bytes).unwrap();
    assert!(new.verified);
    assert_eq!(new.network, old.network);
}

#[test]
fn a_checksum_cannot_be_left_out() {
    let bytes = small().to_bytes().unwrap();
    let field = br#"\"sha256\""#;
    let at = bytes.windows(field.len()).position(|part| part == field).unwrap();
    let mut renamed = bytes.clone();
    renamed[at + 2] = b'S';
    let error = Frozen::from_bytes(&renamed).unwrap_err().to_string();
    assert!(error.contains("no checksum in a file of version 2"), "{error}");
}

#[test]
fn headers_beyond_their_size_are_refused_before_they_are_parsed() {
    for size in [(4 << 20) + 1, 1 << 40, 1 << 63, u64::MAX] {
        let bytes = [&u64::to_le_bytes(size)[..], b"{}"].concat();
        let error = Frozen::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains(&format!("a header of {size} bytes")), "{error}");
    }
    let (bytes, mut zeros) = (small().to_bytes().unwrap(), [0; 9]);
    Frozen::look(&bytes[..9], bytes.len() as u64).unwrap();
    for (first, size, because) in [
        (&bytes[..9], 100, "bytes in a file of 100)"),
        (&zeros, 3 << 30, "(no header at its beginning)"),
        (b"\0\0\0\x18ftypm", 3 << 30, "a header of 8104636986268057600 bytes, where"),
    ] {
        let error = Frozen::look(first, size).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
    }
    zeros[8] = b'{';
    Frozen::look(&zeros, 3 << 30).expect("the rest says what is wrong");
    let header = serde_json::json!({ "names": "a".repeat(4 << 20) });
    assert!(envelope::write("frozen", &header, &[]).is_err(), "what no reader would take");
    assert!(envelope::write("checkpoint", &header, &[]).is_ok());
}

#[test]
fn a_network_costs_what_can_be_counted_by_hand() {
    // 36 windows of 9 taps, 4 outputs, 8 planes; a pool of 36 taps, 4 outputs, 2 planes; 3 scores of
    // 4 columns and 2 planes. The first layer reads 36 bytes, sums 36 x 4 and writes 4 x 2 bits.
    let operations = 36 * 9 * 4 * 8 + 36 * 4 * 2 + 3 * 4 * 2;
    assert_eq!(small().work().unwrap(), Work { operations, bytes: 36 + 4 * 36 * 4 + 1 });
}

#[test]
fn work_and_memory_are_bounded() {
    // 513^2 windows of 250^2 taps, 16 outputs and 8 planes: a file of 130 kB.
    let much = network(512, Window::square(250, 1, 125), 16);
    let error = why(&much);
    assert!(error.contains("hidden.0: operations: more than 2^40 operations per image"), "{error}");
    let wide = network(1 << 14, Window::square(1, 1, 0), 4);
    let error = why(&wide);
    assert!(error.contains("hidden.0: memory: more than 2^30 bytes per image"), "{error}");
    assert!(network(224, Window::square(11, 4, 2), 96).check().is_ok(), "AlexNet's first layer");
}

#[test]
fn weights_that_add_nothing_or_are_too_many_are_refused() {
    let mut network = small();
    let plane = network.hidden[0].weights.planes[0].1.clone();
    network.hidden[0].weights.planes = vec![(1, plane.clone()); 33];
    assert!(why(&network).contains("hidden.0: planes: 33 of them, where 32 are the most"));
    network.hidden[0].weights.planes = vec![(1, plane.clone()), (0, plane)];
    assert!(why(&network).contains("hidden.0: planes: one of weight 0"));
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let mut network = small();
        network.output.weights.scale = scale;
        assert!(why(&network).contains("output: scale: "), "{scale}");
    }
    let mut network = small();
    network.hidden[0].levels.form = Form::Steps(vec![1; 256]);
    network.hidden[0].cuts = Matrix::zeros((256, 4));
    assert!(why(&network).contains("hidden.0: levels: 256 planes"), "{}", why(&network));
    let mut network = small();
    network.hidden[0].weights = signs(0, 9);
    network.hidden[0].cuts = Matrix::zeros((2, 0));
    assert!(why(&network).contains("hidden.0: weights: a layer without outputs"));
}

#[test]
fn scores_are_finite_for_every_image() {
    let mut network = small();
    network.output.gain[1] = 1e38;
    assert!(why(&network).contains("output: scores: those of class 1"), "{}", why(&network));
    network.output.gain[1] = f32::NAN;
    assert!(why(&network).contains("output: norm: want 3 finite numbers"), "{}", why(&network));
}

#[test]
fn names_that_control_a_terminal_are_refused() {
    for name in ["\u{1b}[31mred", "two\nlines", "a\tb", "\u{9b}2J", "\u{202e}txt", "\u{7f}"] {
        let mut network = small();
        network.classes[2] = name.into();
        let error = why(&network);
        assert!(
            error.starts_with("classes: the name ") && bnn_core::is_plain_text(&error),
            "{error}"
        );
        let mut network = small();
        let (steps, digest) = (vec![name.into()], "0".repeat(64));
        network.preprocess = Some(Preprocess { steps, limit: 1.0, digest });
        assert_eq!(why(&network), "preprocess: a step is no text of a few words");
    }
    let mut network = small();
    let (steps, digest) = (vec!["lcn".into(); 17], "0".repeat(64));
    network.preprocess = Some(Preprocess { steps, limit: 1.0, digest });
    assert_eq!(why(&network), "preprocess: more than 16 steps");
    let mut network = small();
    network.classes[0] = "a".repeat(1025);
    assert!(why(&network).contains("a name of 1025 bytes, where 1024 are the most"));
    network.classes[0] = "Käse 貓 🐈".into();
    network.check().unwrap();
}
