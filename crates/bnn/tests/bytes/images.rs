//! Images made of random numbers, in the shape of a data set's.

use bnn::core::Key;
use bnn_data::{Dataset, Images};

/// Classes of every data set.
const CLASSES: usize = 10;

/// So many images to train on and to evaluate, in the shape of a data set's: a patch in noise, at a
/// place that is the class.
pub(crate) fn like(data: &str, training: usize, evaluated: usize) -> Dataset {
    let shape = if data.starts_with("cifar10") { (32, 32, 3) } else { (28, 28, 1) };
    let images = |count, stream| random(shape, count, Key::new(5, 0).stream(stream));
    Dataset::new(data, images(training, 0), images(evaluated, 1), images(evaluated, 2))
}

fn random(shape: (usize, usize, usize), count: usize, key: Key) -> Images {
    let (height, width, channels) = shape;
    let bytes = height * width * channels;
    let pixel = |at: usize| {
        let (image, row, column) =
            (at / bytes, at % bytes / (width * channels), at / channels % width);
        let (down, right) = (image % CLASSES / 4 * 8, image % CLASSES % 4 * 7);
        let lit = (down..down + 7).contains(&row) && (right..right + 6).contains(&column);
        let noise = key.word(at as u32) % 100;
        (if lit { 255 - noise } else { noise }) as u8
    };
    let labels = (0..count).map(|image| (image % CLASSES) as u8).collect();
    Images::new(shape, CLASSES, (0..count * bytes).map(pixel).collect(), labels).unwrap()
}
