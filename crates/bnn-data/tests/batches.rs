//! Epochs of batches: every image once, the same for the same seed, from any step on.

#![allow(clippy::unwrap_used)] // in helpers too

use bnn_data::{Augment, Batch, Batches, Images, Last, Order, Plan};

/// `count` images of one row of two bytes, which hold the image's number; so does the label.
fn images(count: u8) -> Images {
    let pixels = (0..count).flat_map(|image| [image, 255 - image]).collect();
    Images::new((1, 2, 1), 256, pixels, (0..count).collect()).unwrap()
}

const ORDER: Order = Order { seed: 3, epoch: 2 };

fn epoch(images: &Images, batch: usize, start: usize, last: Last) -> Vec<Batch> {
    Batches::new(images, Plan { last, ..Plan::of(batch) }, ORDER, start).unwrap().collect()
}

fn labels(batches: &[Batch]) -> Vec<u8> {
    batches.iter().flat_map(|batch| batch.labels.clone()).collect()
}

#[test]
fn an_epoch_has_every_image_once_with_its_label() {
    for (count, batch) in [(1, 1), (7, 7), (20, 5), (23, 5), (200, 3)] {
        let batches = epoch(&images(count), batch, 0, Last::Keep);
        let mut seen = labels(&batches);
        seen.sort_unstable();
        assert_eq!(seen, (0..count).collect::<Vec<_>>(), "{count} in batches of {batch}");
        for Batch { pixels, labels } in batches {
            assert_eq!(pixels.dim(), (labels.len(), 2));
            assert!(
                pixels.outer_iter().zip(labels).all(|(row, n)| [row[0], row[1]] == [n, 255 - n])
            );
        }
    }
}

#[test]
fn the_last_batch_is_dropped_or_kept() {
    let sizes = |batches: Vec<Batch>| batches.iter().map(|b| b.labels.len()).collect::<Vec<_>>();
    let images = images(23);
    assert_eq!(sizes(epoch(&images, 5, 0, Last::Keep)), [5, 5, 5, 5, 3]);
    assert_eq!(sizes(epoch(&images, 5, 0, Last::Drop)), [5, 5, 5, 5]);
    assert_eq!(
        sizes(Batches::new(&images, Plan::of(5), ORDER, 0).unwrap().collect()),
        [5, 5, 5, 5]
    );
    assert_eq!(Batches::new(&images, Plan::of(5), ORDER, 3).unwrap().steps(), 4);
}

#[test]
fn any_step_may_be_the_first() {
    let images = images(40);
    for last in [Last::Drop, Last::Keep] {
        let whole = epoch(&images, 6, 0, last);
        for start in 0..=whole.len() {
            assert_eq!(epoch(&images, 6, start, last), whole[start..], "from {start}");
        }
    }
}

#[test]
fn augmented_batches_do_not_depend_on_where_the_epoch_starts() {
    let images = images(40);
    let plan = Plan { augment: Augment { flip: true, crop: 0 }, ..Plan::of(6) };
    let epoch = |start, epoch| {
        let order = Order { epoch, ..ORDER };
        Batches::new(&images, plan, order, start).unwrap().collect::<Vec<_>>()
    };
    let whole = epoch(0, 2);
    assert_eq!(epoch(3, 2), whole[3..]);
    assert_ne!(epoch(0, 3)[0].pixels, whole[0].pixels);
    assert_eq!(labels(&whole), labels(&self::epoch(&images, 6, 0, Last::Drop)));
}

#[test]
fn seed_and_epoch_make_the_order() {
    let orders = [(3, 2), (3, 3), (4, 2), (2, 3)];
    let orders = orders.map(|(seed, epoch)| Order { seed, epoch }.permutation(100));
    assert!((0..4).all(|i| !orders[..i].contains(&orders[i])));
    assert_eq!(orders[0], ORDER.permutation(100));
    let used = labels(&epoch(&images(100), 10, 0, Last::Drop));
    assert_eq!(used, orders[0].iter().map(|&image| image as u8).collect::<Vec<_>>());
}

/// Computed by a second implementation in Python, from the description of [`Order`].
#[test]
fn the_order_is_as_described() {
    assert_eq!(Order { seed: 0, epoch: 0 }.permutation(10), [0, 4, 3, 9, 7, 6, 5, 1, 2, 8]);
    let last = Order { seed: u64::MAX, epoch: 7 }.permutation(50_000);
    assert_eq!(last[..5], [21447, 26445, 42194, 37088, 22331]);
}

/// Every image is at every place about equally often.
#[test]
fn orders_are_uniform() {
    let mut counts = [[0_u32; 6]; 6];
    for epoch in 0..6_000 {
        for (place, image) in (Order { seed: 1, epoch }).permutation(6).into_iter().enumerate() {
            counts[place][image] += 1;
        }
    }
    // 1000 expected, standard deviation 29.
    assert!(counts.iter().flatten().all(|count| (850..1150).contains(count)), "{counts:?}");
}

#[test]
fn impossible_batches_are_refused() {
    let why = |count, batch, start| {
        Batches::new(&images(count), Plan::of(batch), ORDER, start).unwrap_err().to_string()
    };
    assert_eq!(
        why(10, 11, 0),
        "batches of 11 from step 0 on, of 10 images: there are fewer images than in one batch"
    );
    assert!(why(10, 0, 0).ends_with("a batch has at least one image"));
    assert!(why(0, 1, 0).ends_with("there are no images"));
    assert!(why(10, 4, 3).ends_with("an epoch has fewer steps"));
    for crop in [1, usize::MAX] {
        let plan = Plan { augment: Augment { flip: false, crop }, ..Plan::of(4) };
        let error = Batches::new(&images(10), plan, ORDER, 0).unwrap_err().to_string();
        assert!(error.ends_with("can leave nothing of it"), "{error}");
    }
}
