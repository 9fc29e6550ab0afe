//! Chains of preprocessing: fitted to training images, the same on any number of threads.

#![allow(clippy::unwrap_used)] // in helpers too

use std::sync::Arc;

use bnn_data::preprocess::{Parts, Step, Transform, Whitening, key};
use bnn_data::{Dataset, Images};
use ndarray::Array2;

const SIZE: (usize, usize, usize) = (12, 10, 2);

/// Images whose neighbouring pixels are alike, another set for each seed.
fn images(count: usize, seed: u32) -> Images {
    images_of(SIZE, count, seed)
}

fn images_of(size: (usize, usize, usize), count: usize, seed: u32) -> Images {
    let values = size.0 * size.1 * size.2;
    let noise = |at: usize| {
        let word = (at as u32 ^ seed.wrapping_mul(0x9E37_79B9)).wrapping_mul(0x85EB_CA6B);
        (word ^ word >> 13).wrapping_mul(0xC2B2_AE35) >> 24
    };
    let pixel = |at: usize| ((noise(at) + noise(at + 2) + noise(at + 4)) / 3) as u8;
    let pixels = (0..count * values).map(pixel).collect();
    Images::new(size, 3, pixels, (0..count).map(|image| (image % 3) as u8).collect()).unwrap()
}

fn steps(texts: &[&str]) -> Vec<Step> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn codes(transform: &Transform, images: &Images, threads: usize) -> Vec<u8> {
    let mut bytes = images.rows(0..images.len()).as_slice().unwrap().to_vec();
    transform.apply(&mut bytes, threads).unwrap();
    bytes
}

#[test]
fn threads_change_no_bit_of_the_fit_or_of_the_codes() {
    let chain = steps(&["gcn bias 10", "lcn", "zca ridge 1e-3"]);
    let (train, test) = (images(1300, 1), images(301, 2));
    let one = Transform::fit(&chain, &train, 1).unwrap();
    let want = codes(&one, &test, 1);
    for threads in [2, 3, 8] {
        assert_eq!(Transform::fit(&chain, &train, threads).unwrap().digest(), one.digest());
        assert_eq!(codes(&one, &test, threads), want);
    }
    // Nor do the other images of a batch.
    let alone = want.chunks_exact(240).enumerate().all(|(image, want)| {
        let mut bytes = test.rows(image..image + 1).as_slice().unwrap().to_vec();
        one.apply(&mut bytes, 1).unwrap();
        bytes == want
    });
    assert!(alone);
}

#[test]
fn codes_of_whitened_images_have_nearly_the_identity_as_covariance() {
    let train = images(2000, 3);
    let white = Transform::fit(&steps(&["zca ridge 1e-6"]), &train, 2).unwrap();
    let limit = f64::from(white.parts().limit);
    let real = |code: u8| limit * (2.0 * f64::from(code) - 255.0) / 255.0;
    let values = codes(&white, &train, 2).into_iter().map(real).collect();
    let values = Array2::from_shape_vec((2000, 240), values).unwrap();
    assert!(values.mean_axis(ndarray::Axis(0)).unwrap().iter().all(|mean| mean.abs() < 1e-2));
    let covariance = values.t().dot(&values) / 2000.0;
    for ((row, col), got) in covariance.indexed_iter() {
        let want = f64::from(u8::from(row == col));
        assert!((got - want).abs() < 2e-2, "covariance of {row} and {col}: {got}");
    }
    let clipped = values.iter().filter(|value| value.abs() >= limit * 0.999).count();
    assert!(clipped <= 2 * 48, "{clipped} of 480,000 are at the limit");
}

#[test]
fn the_order_of_the_chain_is_that_of_its_steps() {
    let train = images(300, 4);
    let fit = |texts: &[&str]| Transform::fit(&steps(texts), &train, 2).unwrap();
    let (there, back) = (fit(&["gcn bias 0.1", "lcn"]), fit(&["lcn", "gcn bias 0.1"]));
    assert_ne!(codes(&there, &train, 2), codes(&back, &train, 2));
    // LCN divides by the deviation: what GCN divided by before hardly shows, but for the border.
    let ratio = |transform: &Transform| f64::from(transform.parts().limit);
    let deviation_of_gcn = (0.1_f64 + 1.0).sqrt();
    assert!((ratio(&there) / ratio(&back) / deviation_of_gcn - 1.0).abs() < 0.1);
}

#[test]
fn whitening_twice_is_a_chain_like_any_other() {
    let train = images(400, 5);
    let chain = steps(&["zca ridge 0.1", "zca ridge 1e-5"]);
    let twice = Transform::fit(&chain, &train, 2).unwrap();
    let [first, second] = &twice.parts().whitenings[..] else { panic!("two whitenings") };
    let once = Transform::fit(&chain[..1], &train, 2).unwrap();
    assert_eq!(first, &once.parts().whitenings[0]);
    assert!(first != second && second.mean().iter().all(|mean| mean.abs() < 1e-5));
}

#[test]
fn what_training_images_do_not_allow_is_refused() {
    let why = |texts: &[&str], images: &Images| {
        Transform::fit(&steps(texts), images, 2).unwrap_err().to_string()
    };
    let few = why(&["zca ridge 0.1"], &images(240, 1));
    let want = "preprocess, `zca ridge 1e-1`: 240 training images are too few for images of 240 \
                values: want 241 or more; train on more of them (`train.samples`), or leave it out";
    assert_eq!(few, want);
    assert!(Transform::fit(&steps(&["zca ridge 0.1"]), &images(241, 1), 2).is_ok());
    let small = why(&["gcn bias 10", "lcn"], &images_of((12, 8, 1), 20, 1));
    let want = "preprocess, `lcn`: images of 12 x 8 pixels are smaller than its window of 9 x 9; \
                leave it out, or take larger images";
    assert_eq!(small, want);
    let flat = Images::new((2, 2, 1), 1, vec![9; 40], vec![0; 10]).unwrap();
    let flat = why(&["gcn bias 10"], &flat);
    assert!(flat.contains("`gcn bias 10`: nothing but zeros is left"), "{flat}");
    assert!(why(&[], &images(9, 1)).contains("bytes as they are need no transform"));
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let parts = |texts: &[&str], limit, whitenings| {
        Transform::new(Parts { steps: steps(texts), size: SIZE, limit, whitenings })
    };
    let why = |result: bnn_data::Result<Transform>| result.unwrap_err().to_string();
    assert!(why(parts(&["lcn"], f32::NAN, vec![])).contains("NaN, is not positive"));
    let long = why(parts(&["lcn"; 17], 1.0, vec![]));
    assert!(long.contains("17 steps, where 16 are the most"), "{long}");
    let narrow = Whitening::new(vec![0.0; 3], Array2::eye(3)).unwrap();
    for whitenings in [vec![], vec![narrow]] {
        let why = why(parts(&["zca ridge 1"], 1.0, whitenings));
        assert!(why.contains("want 1 whitenings of images of 12 x 10 x 2 bytes"), "{why}");
    }
    let transform = parts(&["lcn"], 1.0, vec![]).unwrap();
    let error = transform.apply(&mut [0; 241], 1).unwrap_err();
    assert_eq!(error.to_string(), "images: 241 bytes are no whole images of 240 bytes");
}

#[test]
fn a_data_set_is_prepared_once_and_keeps_its_transform() {
    let data = || Dataset::new("any", images(300, 6), images(20, 7), images(30, 8));
    let lcn = Arc::new(Transform::fit(&steps(&["lcn"]), &images(300, 6), 2).unwrap());
    let pixels = data();
    let place = pixels.train.rows(0..300).as_ptr();
    let prepared = pixels.prepare(Arc::clone(&lcn), 2).unwrap();
    assert_eq!(prepared.train.rows(0..300).as_ptr(), place, "large sets are not copied");
    assert_eq!(prepared.preparation(), Some(&*lcn));
    assert!(data().preparation().is_none());
    for (of, count, seed) in
        [(&prepared.train, 300, 6), (&prepared.validation, 20, 7), (&prepared.test, 30, 8)]
    {
        let want = codes(&lcn, &images(count, seed), 1);
        assert_eq!(of.rows(0..count).as_slice().unwrap(), want);
    }
    let error = prepared.prepare(Arc::clone(&lcn), 2).unwrap_err();
    let want = "preprocess, `any`: its images are codes already; load it anew";
    assert_eq!(error.to_string(), want);
    let small = || images_of((9, 9, 1), 20, 1);
    let error = Dataset::new("small", small(), small(), small()).prepare(lcn, 2).unwrap_err();
    let want = "preprocess, `small`: its images are 9 x 9 x 1, the transform is for 12 x 10 x 2";
    assert_eq!(error.to_string(), want);
}

#[test]
fn keys_tell_steps_and_images_apart() {
    let (lcn, gcn) = (steps(&["lcn"]), steps(&["gcn bias 10"]));
    let keys = [key(&lcn, &images(9, 1)), key(&gcn, &images(9, 1)), key(&lcn, &images(9, 2))];
    assert!((0..3).all(|i| keys[i].len() == 64 && !keys[..i].contains(&keys[i])));
    assert_eq!(keys[0], key(&lcn, &images(9, 1)));
}
