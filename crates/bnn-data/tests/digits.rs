//! The drawn digits: the same everywhere, balanced, learnable, and not by a linear classifier.

#![allow(clippy::unwrap_used)] // in helpers too

use bnn_data::{Batches, Dataset, Digits, Images, Lookup, Order, Plan, load};
use ndarray::{Array2, Axis};

fn digits() -> Dataset {
    load("digits", &Lookup::default()).unwrap()
}

/// Images as rows of numbers from -1 to 1.
fn reals(bytes: ndarray::ArrayView2<'_, u8>) -> Array2<f32> {
    bytes.mapv(|byte| f32::from(byte) / 127.5 - 1.0)
}

#[test]
fn the_bytes_are_part_of_the_data_set() {
    assert_eq!(digits().digest(), DIGEST);
}

/// Changes with every change of the strokes, the distortions or the random numbers.
const DIGEST: &str = "f35123f6046d076f27a45233c89f64369ad9d83a3f64a2f4666424288876b2da";

#[test]
fn images_depend_on_seed_split_and_number_alone() {
    let draw = |train, seed| Digits { train, validation: 20, test: 20, seed }.draw();
    let (few, many, other) = (draw(20, 5), draw(90, 5), draw(20, 6));
    assert_eq!(few.train.rows(0..20), many.train.rows(0..20));
    assert_eq!((&few.validation, &few.test), (&many.validation, &many.test));
    let all = [&few.train, &few.validation, &few.test, &other.train, &other.validation];
    let images: Vec<_> = all
        .iter()
        .flat_map(|images| {
            images.rows(0..20).outer_iter().map(|row| row.to_vec()).collect::<Vec<_>>()
        })
        .collect();
    assert!((0..images.len()).all(|i| !images[..i].contains(&images[i])));
}

#[test]
fn splits_have_their_sizes_and_all_classes_alike() {
    let data = digits();
    for (images, count) in [(&data.train, 10_000), (&data.validation, 2_000), (&data.test, 2_000)] {
        assert_eq!((images.len(), images.height(), images.width()), (count, 28, 28));
        assert_eq!((images.channels(), images.classes()), (1, 10));
        for class in 0..10 {
            let same = images.labels.iter().filter(|&&label| label == class).count();
            assert_eq!(same, count / 10, "images of {class}");
        }
    }
    assert_eq!(data.class_names(), ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert!(Digits { train: 0, validation: 0, test: 0, seed: 0 }.draw().train.is_empty());
}

/// Ink is there, does not fill the image, and seldom reaches the border.
#[test]
fn images_are_dark_strokes_on_paper() {
    let images = digits().test;
    let ink = |byte: &&u8| **byte > 100;
    for (number, image) in images.rows(0..images.len()).outer_iter().enumerate() {
        let inked = image.iter().filter(ink).count();
        assert!((20..400).contains(&inked), "{inked} pixels of image {number}");
    }
    let border = |at: usize| [at / 28, at % 28].iter().any(|&place| place == 0 || place == 27);
    let rows = images.rows(0..images.len());
    let inked = rows.indexed_iter().filter(|((_, at), byte)| border(*at) && ink(byte)).count();
    assert!(inked < images.len(), "{inked} pixels of ink on the border");
}

#[test]
fn a_linear_classifier_is_not_enough_and_a_neighbour_is_better() {
    let data = digits();
    let linear = linear_error(&data);
    assert!((0.05..0.15).contains(&linear), "linear: {linear}");
    let neighbour = neighbour_error(&data.train, &data.test, 500);
    assert!(neighbour < 0.08 && neighbour < linear, "neighbour: {neighbour}, linear: {linear}");
}

/// Share of test images misclassified by softmax regression.
fn linear_error(data: &Dataset) -> f64 {
    let mut weights = Array2::<f32>::zeros((784, 10));
    for epoch in 0..20 {
        let rate = 0.03 / (1.0 + 0.3 * epoch as f32);
        for batch in Batches::new(&data.train, Plan::of(50), Order { seed: 0, epoch }, 0).unwrap() {
            let x = reals(batch.pixels.view());
            let gradient = x.t().dot(&surplus(x.dot(&weights), &batch.labels));
            weights.scaled_add(-rate / 50.0, &gradient);
        }
    }
    let scores = reals(data.test.rows(0..data.test.len())).dot(&weights);
    let right = scores.outer_iter().zip(&data.test.labels).filter(|(row, label)| {
        let best = (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b]));
        best == Some(usize::from(**label))
    });
    1.0 - right.count() as f64 / data.test.len() as f64
}

/// Probabilities of the scores, less 1 for the right class.
fn surplus(mut scores: Array2<f32>, labels: &[u8]) -> Array2<f32> {
    for (mut row, &label) in scores.outer_iter_mut().zip(labels) {
        let largest = row.fold(f32::MIN, |a, &b| a.max(b));
        row.mapv_inplace(|score| libm::expf(score - largest));
        let sum = row.sum();
        row.mapv_inplace(|power| power / sum);
        row[usize::from(label)] -= 1.0;
    }
    scores
}

/// Share of the first `count` test images whose nearest training image shows another digit.
fn neighbour_error(train: &Images, test: &Images, count: usize) -> f64 {
    let (all, some) = (reals(train.rows(0..train.len())), reals(test.rows(0..count)));
    let squares = (&all * &all).sum_axis(Axis(1));
    let closeness = some.dot(&all.t()) * 2.0 - squares;
    let wrong = closeness.outer_iter().zip(&test.labels).filter(|(row, label)| {
        let nearest = (0..train.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
        nearest.map(|nearest| train.labels[nearest]) != Some(**label)
    });
    wrong.count() as f64 / count as f64
}
