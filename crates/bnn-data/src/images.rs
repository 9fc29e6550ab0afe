//! Byte images with their labels, and the three sets of them that make a data set.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArcArray2, ArrayView2, Axis, Slice};
use sha2::{Digest, Sha256};

use crate::picture::{Picture, Rules};
use crate::preprocess::Transform;
use crate::{Error, Result, digest};

/// Labelled byte images of one size; a clone shares the pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Class numbers, one per image.
    pub labels: Vec<u8>,
    /// One row per image: its rows of pixels from the top, channels innermost.
    pixels: ArcArray2<u8>,
    height: usize,
    width: usize,
    classes: usize,
}

impl Images {
    /// Images of (height, width, channels) with labels below `classes`.
    ///
    /// `pixels` holds image after image; each is its rows of pixels from the top, channels
    /// innermost (NHWC).
    ///
    /// # Errors
    /// [`Error::Images`] if a size is 0, if the pixels are not one image per label, or if a label
    /// is not a class.
    pub fn new(
        (height, width, channels): (usize, usize, usize),
        classes: usize,
        pixels: Vec<u8>,
        labels: Vec<u8>,
    ) -> Result<Self> {
        let bytes = height.checked_mul(width).and_then(|area| area.checked_mul(channels));
        let Some(bytes) = bytes.filter(|&bytes| bytes > 0) else {
            return Err(Error::images(format!("{height} x {width} x {channels} is no size")));
        };
        if labels.len().checked_mul(bytes) != Some(pixels.len()) {
            let (count, got) = (labels.len(), pixels.len());
            let why = format!("{count} labels want images of {bytes} bytes each, got {got} bytes");
            return Err(Error::images(why));
        }
        if let Some(at) = labels.iter().position(|&label| usize::from(label) >= classes) {
            let why = format!("label {} of image {at} is not below {classes}", labels[at]);
            return Err(Error::images(why));
        }
        let pixels = ArcArray2::from_shape_vec((labels.len(), bytes), pixels);
        let pixels = pixels.expect("one row of bytes per label");
        Ok(Self { labels, pixels, height, width, classes })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.pixels.nrows()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows of pixels in an image.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixels in a row of an image.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Bytes of a pixel: 1 for grey, 3 for colours.
    pub fn channels(&self) -> usize {
        self.pixels.ncols() / (self.height * self.width)
    }

    /// Number of classes; labels are below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Images as rows: `[images, height * width * channels]`, contiguous.
    ///
    /// # Panics
    /// If the range reaches beyond the last image, as slices do.
    pub fn rows(&self, range: Range<usize>) -> ArrayView2<'_, u8> {
        self.pixels.slice_axis(Axis(0), Slice::from(range))
    }

    /// Pixels as rows: `[images * height * width, channels]`, contiguous.
    ///
    /// # Panics
    /// If the range reaches beyond the last image, as slices do.
    pub fn pixels(&self, range: Range<usize>) -> ArrayView2<'_, u8> {
        let shape = (range.len() * self.height * self.width, self.channels());
        self.rows(range).into_shape_with_order(shape).expect("rows are contiguous")
    }

    /// Keeps the first `count` images; all, if there are no more.
    pub fn truncate(&mut self, count: usize) {
        let count = count.min(self.len());
        self.labels.truncate(count);
        self.pixels.slice_axis_inplace(Axis(0), Slice::from(..count));
    }

    /// Keeps the first `at` images and returns the others.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        let mut tail = Self { labels: self.labels.split_off(at), ..self.clone() };
        tail.pixels.slice_axis_inplace(Axis(0), Slice::from(at..));
        self.truncate(at);
        tail
    }

    /// The images made anew as `rules` say.
    fn developed(&self, rules: &Rules) -> Result<Self> {
        let (size, channels) = ((self.height, self.width), self.channels());
        let mut made = (size, channels);
        let mut pixels = Vec::new();
        for row in self.pixels.rows() {
            let image = rules.develop(Picture::opaque(size, channels, row.to_vec()));
            let image = image.map_err(Error::images)?;
            made = ((image.size.height, image.size.width), image.channels);
            pixels.extend(image.bytes);
        }
        let ((height, width), channels) = made;
        Self::new((height, width, channels), self.classes, pixels, self.labels.clone())
    }

    /// All bytes, to change them in place; they are copied first where a clone shares them.
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.pixels.as_slice_mut().expect("rows are contiguous")
    }

    fn shape(&self) -> [usize; 4] {
        [self.height, self.width, self.channels(), self.classes]
    }

    /// Number of classes that have an image.
    fn met(&self) -> usize {
        let mut met = [false; 256];
        self.labels.iter().for_each(|&label| met[usize::from(label)] = true);
        met.iter().filter(|&&met| met).count()
    }

    /// Whether there are several images, all of them the same; the first that differs ends the look.
    fn is_constant(&self) -> bool {
        self.len() > 1 && self.pixels.rows().into_iter().all(|image| image == self.pixels.row(0))
    }

    /// Feeds what makes these images to a digest.
    pub(crate) fn feed(&self, digest: &mut Sha256) {
        for size in self.shape().into_iter().chain([self.len()]) {
            digest.update((size as u64).to_le_bytes());
        }
        digest.update(&self.labels);
        for image in self.pixels.rows() {
            digest.update(image.as_slice().expect("rows are contiguous"));
        }
    }
}

/// A data set: images to train on, to choose the best network by, and to judge it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The name it is known by.
    pub name: String,
    /// Images to train on.
    pub train: Images,
    /// Images to choose by.
    pub validation: Images,
    /// Images to judge by.
    pub test: Images,
    class_names: Vec<String>,
    /// What made its bytes codes, if anything did.
    preparation: Option<Arc<Transform>>,
    /// How its pictures became images.
    rules: Rules,
    /// What its reader noticed.
    notes: Vec<String>,
}

impl Dataset {
    /// A data set of three sets of images, whose classes are named by their numbers.
    ///
    /// # Panics
    /// Unless the three agree in the size of their images and in their classes.
    pub fn new(name: impl Into<String>, train: Images, validation: Images, test: Images) -> Self {
        assert_eq!(train.shape(), validation.shape(), "training and validation images differ");
        assert_eq!(train.shape(), test.shape(), "training and test images differ");
        let class_names = (0..train.classes()).map(|class| class.to_string()).collect();
        let (name, preparation, rules, notes) = (name.into(), None, Rules::default(), vec![]);
        Self { name, train, validation, test, class_names, preparation, rules, notes }
    }

    /// The data set with all images turned into codes, in place where nobody shares them; the
    /// transform stays with it.
    ///
    /// # Errors
    /// [`Error::Preprocess`] if that was done before, or if the transform was fitted to images of
    /// another size.
    pub fn prepare(mut self, transform: Arc<Transform>, threads: usize) -> Result<Self> {
        let refused = |why: String| Err(Error::Preprocess { step: self.name.clone(), why });
        if self.preparation.is_some() {
            return refused("its images are codes already; load it anew".into());
        }
        let (size, [height, width, channels, _]) = (transform.parts().size, self.train.shape());
        if size != (height, width, channels) {
            return refused(format!(
                "its images are {height} x {width} x {channels}, the transform is for {} x {} x {}",
                size.0, size.1, size.2
            ));
        }
        for images in [&mut self.train, &mut self.validation, &mut self.test] {
            transform.apply(images.bytes_mut(), threads)?;
        }
        Ok(Self { preparation: Some(transform), ..self })
    }

    /// The data set with all images made anew as `rules` say.
    ///
    /// # Errors
    /// [`Error::Images`] for rules that cannot be followed, and where there are rules or codes already.
    pub fn developed(mut self, rules: &Rules) -> Result<Self> {
        if *rules == Rules::default() {
            return Ok(self);
        }
        if self.rules != Rules::default() || self.preparation.is_some() {
            return Err(Error::images("made by other rules already; load them anew".into()));
        }
        for images in [&mut self.train, &mut self.validation, &mut self.test] {
            *images = images.developed(rules)?;
        }
        Ok(self.made_by(*rules))
    }

    /// The same data set, whose pictures became images by these rules.
    pub(crate) fn made_by(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// How its pictures became images.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What turned its images into codes; none if they are bytes of pixels.
    pub fn preparation(&self) -> Option<&Transform> {
        self.preparation.as_deref()
    }

    /// The same data set with names for its classes, in the order of their numbers.
    ///
    /// # Panics
    /// Unless there is one name per class.
    pub fn with_class_names(self, class_names: Vec<String>) -> Self {
        assert_eq!(class_names.len(), self.train.classes(), "one name per class");
        Self { class_names, ..self }
    }

    /// Names of the classes, in the order of their numbers.
    pub fn class_names(&self) -> Vec<String> {
        self.class_names.clone()
    }

    /// The same data set with further lines for whoever uses it.
    pub(crate) fn with_notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// What should be told of it before it is used, a line each: what its reader noticed, sets whose
    /// images are all the same, and sets to judge by that are of one class.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        let sets =
            [("training", &self.train), ("validation", &self.validation), ("test", &self.test)];
        for (set, images) in sets {
            let count = images.len();
            if images.is_constant() {
                notes.push(format!("all {count} {set} images are the same, pixel by pixel"));
            }
            if count > 1 && images.met() == 1 && images.classes() > 1 {
                let class = &self.class_names[usize::from(images.labels[0])];
                notes.push(format!("all {count} {set} images are of one class, `{class}`"));
            }
        }
        notes
    }

    /// Refuses training images of a single class: whatever is trained on them is never wrong, and has
    /// learned nothing.
    ///
    /// # Errors
    /// [`Error::Images`].
    pub fn check_training(&self) -> Result<()> {
        let (count, met) = (self.train.len(), self.train.met());
        if met >= 2 {
            return Ok(());
        }
        let class = self.train.labels.first().map(|&label| &self.class_names[usize::from(label)]);
        let class = class.map_or_else(String::new, |class| format!(", `{class}`"));
        let why = "there is nothing to tell apart; take images of two classes at least";
        Err(Error::images(format!(
            "the {count} training images of `{}` are of {met} class{class}: {why}",
            self.name
        )))
    }

    /// SHA-256 of everything but the names, in hexadecimal digits: which images a result is about.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for images in [&self.train, &self.validation, &self.test] {
            images.feed(&mut digest);
        }
        digest::hex(digest)
    }
}

#[cfg(test)]
impl Images {
    /// Whether no clone shares the pixels.
    pub(crate) fn sole_owner(self) -> bool {
        self.pixels.try_into_owned_nocopy().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` images of 2 x 3 x 2 bytes, counted through.
    fn images(count: usize) -> Images {
        let pixels = (0..count * 12).map(|byte| byte as u8).collect();
        Images::new((2, 3, 2), 5, pixels, (0..count).map(|i| (i % 5) as u8).collect()).unwrap()
    }

    #[test]
    fn views_are_images_or_pixels() {
        let images = images(4);
        assert_eq!((images.len(), images.channels(), images.classes()), (4, 2, 5));
        assert_eq!(images.rows(1..3).dim(), (2, 12));
        assert_eq!(images.rows(1..3)[[1, 0]], 24);
        assert_eq!(images.pixels(1..3).dim(), (12, 2));
        assert_eq!(images.pixels(1..3)[[7, 1]], 27);
        assert_eq!(images.rows(4..4).dim(), (0, 12));
    }

    #[test]
    fn images_are_kept_or_split() {
        let mut head = images(4);
        let tail = head.split_off(3);
        assert_eq!((head.len(), head.labels.len()), (3, 3));
        assert_eq!((tail.labels.as_slice(), tail.rows(0..1)[[0, 0]]), ([3].as_slice(), 36));
        head.truncate(9);
        assert_eq!(head, {
            let mut same = images(4);
            same.truncate(3);
            same
        });
        head.truncate(0);
        assert!(head.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let why = |size, pixels: usize, labels: &[u8]| {
            Images::new(size, 3, vec![0; pixels], labels.to_vec()).unwrap_err().to_string()
        };
        assert_eq!(why((2, 0, 1), 0, &[]), "images: 2 x 0 x 1 is no size");
        assert_eq!(
            why((2, 2, 1), 7, &[0, 1]),
            "images: 2 labels want images of 4 bytes each, got 7 bytes"
        );
        assert_eq!(why((1, 1, 1), 2, &[2, 3]), "images: label 3 of image 1 is not below 3");
        assert!(why((usize::MAX, 2, 1), 0, &[]).ends_with("is no size"));
    }

    #[test]
    fn the_digest_sees_pixels_labels_and_splits() {
        let digest = |train, validation: &Images| {
            Dataset::new("any", images(train), validation.clone(), images(1)).digest()
        };
        let (mut labels, mut pixels) = (images(2), images(2));
        labels.labels[1] = 4;
        pixels.pixels[[1, 11]] ^= 1;
        let digests = [(3, &images(2)), (2, &images(3)), (3, &labels), (3, &pixels)];
        let digests = digests.map(|(train, validation)| digest(train, validation));
        assert!((0..4).all(|i| digests[i].len() == 64 && !digests[..i].contains(&digests[i])));
        assert_eq!(digests[0], digest(3, &images(2)));
    }

    #[test]
    fn clones_share_their_pixels() {
        let images = images(2);
        let clone = images.clone();
        assert_eq!(clone.rows(0..2).as_ptr(), images.rows(0..2).as_ptr());
        assert!(!images.sole_owner());
        assert!(clone.sole_owner());
    }
}
