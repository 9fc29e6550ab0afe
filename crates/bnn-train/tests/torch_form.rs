//! The Torch7 form on ConvNets: norms per channel, where they start, and steps as powers of two.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::{BinaryBackend, Clock, Grid, Input, Key, Matrix, Norm, Reference, reference};
use bnn_data::Images;
use bnn_train::Spec;
use bnn_train::net::Net;

fn spec(file: &str) -> Spec {
    let path = format!("{}/../../experiments/{file}.toml", env!("CARGO_MANIFEST_DIR"));
    Spec::parse(file, &std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A small network on 8 x 8 pictures, with all that the published ConvNets have.
fn small() -> Spec {
    let mut spec = spec("cifar-convnet-torch");
    let blocks = ["conv 6 kernel 3 pad 1", "conv 8 kernel 3 pad 1 pool 2", "dense 12", "dense 10"];
    spec.net.blocks = blocks.iter().map(|block| block.parse().unwrap()).collect();
    spec
}

const INPUT: Input = Input { grid: Grid { height: 8, width: 8 }, channels: 3 };

fn images(count: usize) -> Images {
    let key = Key::new(3, 0);
    let pixels = (0..count * 192).map(|at| key.word(at as u32) as u8).collect();
    Images::new((8, 8, 3), 10, pixels, (0..count).map(|i| (i % 10) as u8).collect()).unwrap()
}

#[test]
fn shift_based_norms_of_convolutions_start_at_0_and_all_others_at_1() {
    let net = Net::new(&Reference, &small(), INPUT, 10, 1).unwrap();
    let starts: Vec<f32> = net.blocks.iter().map(|block| block.running.spread[[0, 0]]).collect();
    // The third layer is dense, though it lies on a grid.
    assert_eq!(starts, [0.0, 0.0, 1.0, 1.0]);
    let channels: Vec<_> = net.blocks.iter().map(|block| block.running.mean.dim()).collect();
    assert_eq!(channels, [(1, 6), (1, 8), (1, 12), (1, 10)]);
}

#[test]
fn the_norm_of_a_convolution_is_per_channel_over_images_and_pixels() {
    let (mut spec, images) = (small(), images(5));
    spec.train.batch = 5;
    let mut net = Net::new(&Reference, &spec, INPUT, 10, 1).unwrap();
    let batch = net.upload(&Reference, images.rows(0..5), &images.labels).unwrap();
    let block = &net.blocks[0];
    let product =
        Reference.product(&batch.images, block.code.as_ref().unwrap(), &block.form.gather);
    let sums = Reference.get(&product.unwrap()).unwrap();
    assert_eq!(sums.dim(), (5 * 8 * 8, 6)); // a row for each pixel of each image
    let clock = Clock { step_size: 0.0, key: Key::new(1, 1) };
    net.step(&Reference, batch, spec.train.loss, &clock).unwrap();
    let running = &net.blocks[0].running;
    for (channel, column) in sums.columns().into_iter().enumerate() {
        // Paper, algorithm 2: the variance of shifts, `mean(c AP2(c))`; both averages move by 1/8.
        let mean = column.iter().map(|&x| f64::from(x)).sum::<f64>() / 320.0;
        let shifted = |&x: &f32| {
            let centred = f64::from(x) - mean;
            let power = 2.0_f64.powi(libm::log2(centred.abs()).round() as i32);
            centred.abs() * power
        };
        let variance = column.iter().map(shifted).sum::<f64>() / 320.0;
        let close = |got: f32, want: f64| (f64::from(got) / want - 1.0).abs() < 1e-4;
        assert!(close(running.mean[[0, channel]], 0.125 * mean), "mean of {channel}");
        let spread = 0.125 / (variance + 1e-5).sqrt();
        assert!(close(running.spread[[0, channel]], spread), "spread of {channel}");
    }
}

#[test]
fn evaluation_shifts_by_powers_of_two() {
    let norm = Norm::shift();
    let row = |x: f32| Matrix::from_elem((1, 1), x);
    let x = Matrix::from_shape_vec((3, 1), vec![-3.0, 0.0, 10.0]).unwrap();
    let running = (&row(1.0), &row(0.3));
    let y = reference::norm_eval(&x, &row(0.8), &row(0.5), running, &norm).unwrap();
    // AP2(0.8) = 1 and AP2(0.3) = 1/4.
    assert_eq!(y.into_raw_vec_and_offset().0, [-0.5, 0.25, 2.75]);
}

#[test]
fn steps_are_scaled_by_the_published_powers_of_two() {
    let input = Input { grid: Grid { height: 32, width: 32 }, channels: 3 };
    for (file, want) in [
        ("cifar-convnet-torch", [32.0, 32.0, 64.0, 64.0, 64.0, 64.0, 64.0, 32.0, 32.0]),
        ("svhn-convnet-torch", [16.0, 32.0, 32.0, 32.0, 64.0, 64.0, 64.0, 32.0, 32.0]),
    ] {
        let net = Net::new(&Reference, &spec(file), input, 10, 1).unwrap();
        let scales: Vec<f32> =
            net.blocks.iter().map(|block| block.form.weight_rule.scale).collect();
        assert_eq!(scales, want, "{file}");
        assert!(net.blocks.iter().all(|block| block.form.gain_rule.scale == 1.0));
        // The script for CIFAR-10 clips gains and offsets too, that for SVHN does not.
        let clips = net.blocks.iter().all(|block| block.form.gain_rule.clip);
        assert_eq!(clips, file == "cifar-convnet-torch");
    }
}
