//! Whether a training fits its images.

use bnn_data::Images;

use crate::spec::{LastBatch, TrainSpec};
use crate::{Error, Result};

impl TrainSpec {
    /// Checks the keys that depend on the training images of a data set, all of them.
    ///
    /// # Errors
    /// [`Error::Spec`] naming the key, for more samples or a larger batch than there are images, for a
    /// last batch of a single image, which no norm can be taken over, and for a crop by the side of an
    /// image, which can leave nothing of it.
    pub fn check_images(&self, images: &Images) -> Result<()> {
        let count = images.len();
        if let Some(samples) = self.samples.filter(|&samples| samples > count) {
            let why = format!("{samples} is more than the {count} training images there are");
            return Err(Error::spec("train.samples", why));
        }
        let batch = self.batch;
        if batch > count {
            let why = format!("{batch} is more than the {count} training images there are");
            return Err(Error::spec("train.batch", why));
        }
        let used = self.samples.unwrap_or(count);
        if self.last_batch == LastBatch::Keep && batch > 0 && used % batch == 1 {
            let why = format!(
                "`keep` makes the last batch of a single image, as {used} images are in batches of \
                 {batch}, and a norm over a single row learns nothing; want `drop`, or another \
                 train.batch or train.samples"
            );
            return Err(Error::spec("train.last_batch", why));
        }
        let (crop, side) = (self.augment.crop, images.height().min(images.width()));
        if crop >= side {
            let why = format!(
                "{crop} can leave nothing of images of {} x {} pixels; want less than {side}",
                images.height(),
                images.width(),
            );
            return Err(Error::spec("train.augment.crop", why));
        }
        Ok(())
    }
}
