//! Whether a training fits its images.

use bnn_data::Images;

use crate::spec::TrainSpec;
use crate::{Error, Result};

impl TrainSpec {
    /// Checks the keys that depend on the training images of a data set, all of them.
    ///
    /// # Errors
    /// [`Error::Spec`] naming the key, for more samples or a larger batch than there are images, and
    /// for a crop by the side of an image, which can leave nothing of it.
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
