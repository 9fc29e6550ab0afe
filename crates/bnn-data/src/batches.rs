//! One epoch of training images in random order, prepared ahead on a thread of its own.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use ndarray::{Array2, Axis};

use crate::augment::Augment;
use crate::images::Images;
use crate::random::Random;
use crate::{Error, Result};

/// Batches that wait ready for use.
const AHEAD: usize = 2;

/// Separates the random numbers of orders from others of the same seed.
const STREAM: u64 = 0x6261_7463_6865_7320;

/// A random order of images, a pure function of seed and epoch.
///
/// The order of `n` images is a shuffle (Fisher and Yates): for `i` from `n - 1` down to 1, place
/// `i` is exchanged with place `(word * (i + 1)) >> 64`. The words are those of SplitMix64, whose
/// state starts at 0 and takes in the stream, the seed and the epoch, each with
/// `state = mix((state ^ word) + 0x9E3779B97F4A7C15)`, where `mix` is the generator's output
/// function and the stream is 0x6261746368657320.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Seed of all epochs.
    pub seed: u64,
    /// Number of the epoch.
    pub epoch: u64,
}

impl Order {
    /// Numbers of the images, in the order of their use.
    pub fn permutation(self, images: usize) -> Vec<usize> {
        let mut random = Random::new([STREAM, self.seed, self.epoch]);
        let mut order: Vec<usize> = (0..images).collect();
        for place in (1..images).rev() {
            order.swap(place, random.below(place + 1));
        }
        order
    }
}

/// What happens to the last images of an epoch if they do not fill a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// They are left out.
    Drop,
    /// They are a smaller batch.
    Keep,
}

/// How an epoch is cut into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Images in a batch.
    pub batch: usize,
    /// What happens to images that do not fill one.
    pub last: Last,
    /// What is done to every image.
    pub augment: Augment,
}

impl Plan {
    /// Batches of so many images as they are; images that do not fill one are left out.
    pub fn of(batch: usize) -> Self {
        Self { batch, last: Last::Drop, augment: Augment::default() }
    }

    /// Number of batches in an epoch of so many images.
    ///
    /// # Errors
    /// [`Error::Batches`] if there are no images, or not enough for a batch.
    pub fn steps(&self, images: usize) -> Result<usize> {
        let &Self { batch, last, .. } = self;
        let refuse = |why| Err(Error::Batches { batch, start: 0, images, why });
        if images == 0 {
            return refuse("there are no images");
        }
        if batch == 0 {
            return refuse("a batch has at least one image");
        }
        if batch > images {
            return refuse("there are fewer images than in one batch");
        }
        Ok(match last {
            Last::Drop => images / batch,
            Last::Keep => images.div_ceil(batch),
        })
    }
}

/// Images with their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// One row per image: its rows of pixels from the top, channels innermost.
    pub pixels: Array2<u8>,
    /// Class numbers, one per image.
    pub labels: Vec<u8>,
}

/// The batches of one epoch, prepared ahead; dropping them ends the thread that does so.
#[derive(Debug)]
pub struct Batches {
    steps: usize,
    /// The batches and who prepares them; both are there until the drop.
    ready: Option<(Receiver<Batch>, JoinHandle<()>)>,
}

impl Batches {
    /// The batches of an epoch from step `start` on.
    ///
    /// # Errors
    /// [`Error::Batches`] if there are no images, not enough for a batch, no step `start`, or a crop
    /// by the side of an image; [`Error::Thread`] if the system has no thread left.
    pub fn new(images: &Images, plan: Plan, order: Order, start: usize) -> Result<Self> {
        let steps = steps(images, plan, start)?;
        let (sender, ready) = sync_channel(AHEAD);
        let images = images.clone();
        let job = move || prepare(&images, plan, order, start..steps, &sender);
        let thread = thread::Builder::new().name("batches".into()).spawn(job);
        Ok(Self { steps, ready: Some((ready, thread.map_err(Error::Thread)?)) })
    }

    /// Number of batches in a whole epoch, those before the first one given included.
    pub fn steps(&self) -> usize {
        self.steps
    }
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        self.ready.as_ref()?.0.recv().ok()
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        if let Some((ready, thread)) = self.ready.take() {
            drop(ready); // ends a wait for room in the channel
            let _ = thread.join(); // a panic there was printed there
        }
    }
}

/// Checks the request and counts the batches of a whole epoch.
fn steps(images: &Images, plan: Plan, start: usize) -> Result<usize> {
    let (count, batch) = (images.len(), plan.batch);
    let refuse = |why| Err(Error::Batches { batch, start, images: count, why });
    let steps = plan.steps(count)?;
    if images.labels.len() != count {
        return refuse("there is not one label per image");
    }
    if plan.augment.crop >= images.height().min(images.width()) {
        return refuse("a crop by the side of an image can leave nothing of it");
    }
    if start > steps { refuse("an epoch has fewer steps") } else { Ok(steps) }
}

fn prepare(
    images: &Images,
    plan: Plan,
    order: Order,
    steps: std::ops::Range<usize>,
    sender: &SyncSender<Batch>,
) {
    let places = order.permutation(images.len());
    let pixels = images.rows(0..images.len());
    for step in steps {
        let chosen = &places[step * plan.batch..places.len().min((step + 1) * plan.batch)];
        let mut batch = Batch {
            pixels: pixels.select(Axis(0), chosen),
            labels: chosen.iter().map(|&image| images.labels[image]).collect(),
        };
        if !plan.augment.is_none() {
            for (mut row, &image) in batch.pixels.rows_mut().into_iter().zip(chosen) {
                let row = row.as_slice_mut().expect("rows are contiguous");
                plan.augment.apply(images, [order.seed, order.epoch, image as u64], row);
            }
        }
        if sender.send(batch).is_err() {
            return; // nobody waits for it any more
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(count: usize) -> Images {
        let pixels = (0..count * 2).map(|byte| byte as u8).collect();
        Images::new((1, 2, 1), 200, pixels, (0..count).map(|i| i as u8).collect()).unwrap()
    }

    /// While the thread lives it holds a clone, and the pixels have two owners.
    #[test]
    fn an_early_drop_ends_the_thread() {
        for used in [0, 1, 20, 25] {
            let images = images(100);
            let mut batches =
                Batches::new(&images, Plan::of(4), Order { seed: 1, epoch: 1 }, 0).unwrap();
            assert_eq!(batches.by_ref().take(used).count(), used);
            drop(batches);
            assert!(images.sole_owner(), "after {used} batches");
        }
    }

    #[test]
    fn labels_that_were_taken_away_are_missed() {
        let mut images = images(8);
        images.labels.pop();
        let error = Batches::new(&images, Plan::of(4), Order { seed: 1, epoch: 1 }, 0).unwrap_err();
        assert!(error.to_string().ends_with("there is not one label per image"), "{error}");
    }
}
