//! A chain of steps, fitted to training images, from bytes to bytes.

use ndarray::{Array2, ArrayView2, Axis};
use sha2::{Digest, Sha256};
use std::sync::{Mutex, PoisonError};

use crate::preprocess::chunks::each;
use crate::preprocess::codes::{Histogram, code};
use crate::preprocess::zca::Moments;
use crate::preprocess::{Step, Whitening, gcn, lcn};
use crate::{Error, Images, Result, digest};

/// Images that are reals at a time, on each thread.
const AT_A_TIME: usize = 128;

/// Images whose products are summed up at a time.
const SUMMED: usize = 1024;

/// Bytes that a product packs its operands into.
const PACKED: u64 = 5 << 20;

/// Version of the fit: what an older one kept is not taken for the same.
const FIT: u32 = 1;

/// The most steps: there are three kinds.
const MOST_STEPS: usize = 16;

/// What a [`Transform`] is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// The steps, in the order in which they are done.
    pub steps: Vec<Step>,
    /// Height, width and channels of the images.
    pub size: (usize, usize, usize),
    /// The magnitude that the codes 0 and 255 stand for.
    pub limit: f32,
    /// What was fitted of each `zca` among the steps, in their order.
    pub whitenings: Vec<Whitening>,
}

/// Steps that were fitted to training images, and the scale of the codes they end in.
///
/// Images come as bytes and leave as bytes: code `u` stands for `limit * (2u - 255) / 255`.
#[derive(Clone, Debug)]
pub struct Transform {
    parts: Parts,
    digest: String,
}

/// Transforms of the same digest are the same.
impl PartialEq for Transform {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Transform {}

impl Transform {
    /// Fits steps to training images; each step sees what the steps before it made of them.
    ///
    /// The limit of the codes is chosen such that one in [`CLIPPED`](super::CLIPPED) values of these
    /// images lies beyond it. The number of threads changes no bit of the result.
    ///
    /// # Errors
    /// [`Error::Preprocess`] if there is no step or more than 16, if the images are too few or too small for one, or
    /// if nothing but zeros is left of them.
    pub fn fit(steps: &[Step], images: &Images, threads: usize) -> Result<Self> {
        let size = (images.height(), images.width(), images.channels());
        let mut fitted = Parts { steps: vec![], size, limit: 1.0, whitenings: vec![] };
        check_steps(steps, size)?;
        for step in steps {
            if let Step::Zca { ridge } = *step {
                check_count(step, images.len(), images.rows(0..0).ncols())?;
                let moments = moments(&fitted, images, threads);
                fitted.whitenings.push(moments.whitening(ridge)?);
            }
            fitted.steps.push(*step);
        }
        fitted.limit = match steps.last() {
            None => 1.0,
            Some(last) => limit(&fitted, images, threads).ok_or_else(|| {
                let why = "nothing but zeros is left of the training images, or numbers that are \
                           not finite; look at the images, or leave it out";
                last.error(why.into())
            })?,
        };
        Self::new(fitted)
    }

    /// Bytes that a fit takes at its worst, beside the images and what every thread works on.
    ///
    /// With v values in an image a whitening takes 49 v^2, as measured: the sums of products, the
    /// covariance, its eigenvectors, their half and the matrix in f64, the matrix again in f32, and what
    /// the decomposition works on. To these come 4 v^2 for each whitening before it, the images that are
    /// summed up at a time, and what a product packs its operands into.
    pub fn fit_bytes(steps: &[Step], values: usize) -> u64 {
        let whitenings = steps.iter().filter(|step| matches!(step, Step::Zca { .. })).count();
        let Some(before) = whitenings.checked_sub(1) else { return 0 };
        let (values, before) = (values as u64, before as u64);
        let square = values.saturating_mul(values);
        let whitening = square.saturating_mul(49 + 4 * before);
        whitening.saturating_add(PACKED + 8 * SUMMED as u64 * values)
    }

    /// Bytes that what was fitted takes afterwards: with v values in an image, a mean and a matrix of
    /// 4 (v + v^2) for every whitening.
    pub fn kept_bytes(steps: &[Step], values: usize) -> u64 {
        let whitenings = steps.iter().filter(|step| matches!(step, Step::Zca { .. })).count();
        let numbers = (values as u64).saturating_mul(values as u64 + 1);
        numbers.saturating_mul(4 * whitenings as u64)
    }

    /// A transform of its parts, as read from a file.
    ///
    /// # Errors
    /// [`Error::Preprocess`] if the parts do not fit each other.
    pub fn new(parts: Parts) -> Result<Self> {
        let Parts { steps, size, limit, whitenings } = &parts;
        let refused = |why: String| Error::Preprocess { step: "chain".into(), why };
        check_steps(steps, *size)?;
        if !(*limit > 0.0 && limit.is_finite()) {
            return Err(refused(format!("the limit of the codes, {limit}, is not positive")));
        }
        let values = size.0.checked_mul(size.1).and_then(|area| area.checked_mul(size.2));
        let wide = |whitening: &Whitening| Some(whitening.mean().len()) == values;
        let want = steps.iter().filter(|step| matches!(step, Step::Zca { .. })).count();
        if whitenings.len() != want || !whitenings.iter().all(wide) {
            let (height, width, channels) = size;
            return Err(refused(format!(
                "want {want} whitenings of images of {height} x {width} x {channels} bytes"
            )));
        }
        Ok(Self { digest: parts.digest(), parts })
    }

    /// What it is made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// SHA-256 of all its parts, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Turns whole images, one after the other, into their codes, in place.
    ///
    /// An image's codes depend on no other image and not on the number of threads.
    ///
    /// # Errors
    /// [`Error::Images`] unless the bytes are whole images.
    pub fn apply(&self, bytes: &mut [u8], threads: usize) -> Result<()> {
        let image = self.parts.image();
        if !bytes.len().is_multiple_of(image) {
            let why = format!("{} bytes are no whole images of {image} bytes", bytes.len());
            return Err(Error::images(why));
        }
        each(bytes.chunks_mut(AT_A_TIME * image), threads, |chunk| {
            let values = self.parts.values(chunk);
            let codes = values.iter().map(|&value| code(value, self.parts.limit));
            chunk.iter_mut().zip(codes).for_each(|(byte, code)| *byte = code);
        });
        Ok(())
    }
}

impl Parts {
    /// Bytes of an image.
    fn image(&self) -> usize {
        self.size.0 * self.size.1 * self.size.2
    }

    /// What the steps make of whole images: one per row.
    fn values(&self, bytes: &[u8]) -> Array2<f32> {
        let (_, width, channels) = self.size;
        let image = self.image();
        let shape = (bytes.len() / image, image);
        let scaled = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        let mut values = Array2::from_shape_vec(shape, scaled).expect("whole images");
        let mut whitenings = self.whitenings.iter();
        for step in &self.steps {
            let images =
                values.as_slice_mut().expect("rows are contiguous").chunks_exact_mut(image);
            match *step {
                Step::Gcn { bias } => images.for_each(|image| gcn::normalize(image, bias)),
                Step::Lcn => images.for_each(|image| lcn::normalize(image, width, channels)),
                Step::Zca { .. } => {
                    values = whitenings.next().expect("one for each").apply(&values);
                }
            }
        }
        values
    }

    fn digest(&self) -> String {
        let mut sum = Sha256::new();
        self.steps.iter().for_each(|step| sum.update(format!("{step}\n")));
        let (height, width, channels) = self.size;
        [height, width, channels].iter().for_each(|&n| sum.update((n as u64).to_le_bytes()));
        sum.update(self.limit.to_le_bytes());
        for whitening in &self.whitenings {
            let rows = whitening.matrix().rows();
            for row in std::iter::once(whitening.mean().view()).chain(rows) {
                let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_le_bytes()).collect();
                sum.update(bytes);
            }
        }
        digest::hex(sum)
    }
}

/// SHA-256 of steps and of the images that they are to be fitted to, in hexadecimal digits: the name
/// under which what is fitted can be kept.
pub fn key(steps: &[Step], images: &Images) -> String {
    let mut sum = Sha256::new();
    sum.update(format!("fit {FIT}\n"));
    steps.iter().for_each(|step| sum.update(format!("{step}\n")));
    images.feed(&mut sum);
    digest::hex(sum)
}

/// Checks that there are steps, not too many, and that each takes images of this size.
fn check_steps(steps: &[Step], size: (usize, usize, usize)) -> Result<()> {
    let refused = |why: String| Err(Error::Preprocess { step: "chain".into(), why });
    if steps.is_empty() {
        return refused("no steps: bytes as they are need no transform".into());
    }
    if steps.len() > MOST_STEPS {
        let steps = steps.len();
        return refused(format!("{steps} steps, where {MOST_STEPS} are the most; leave some out"));
    }
    if [size.0, size.1, size.2].contains(&0) {
        return refused("its images have no pixels".into());
    }
    steps.iter().try_for_each(|step| step.check(size))
}

/// A covariance over no more images than values is singular: whitening would blow up what the images
/// happen not to vary in.
fn check_count(step: &Step, images: usize, values: usize) -> Result<()> {
    if images > values {
        return Ok(());
    }
    Err(step.error(format!(
        "{images} training images are too few for images of {values} values: want {} or more; \
         train on more of them (`train.samples`), or leave it out",
        values + 1,
    )))
}

/// Sums over what the steps so far make of all images.
fn moments(fitted: &Parts, images: &Images, threads: usize) -> Moments {
    let mut moments = Moments::new(fitted.image());
    for first in (0..images.len()).step_by(SUMMED) {
        let bytes = images.rows(first..images.len().min(first + SUMMED));
        let mut values = Array2::<f64>::zeros(bytes.dim());
        let pieces = bytes.axis_chunks_iter(Axis(0), AT_A_TIME);
        let places = values.axis_chunks_iter_mut(Axis(0), AT_A_TIME);
        each(pieces.zip(places), threads, |(piece, mut place)| {
            place.assign(&fitted.values(contiguous(&piece)).mapv(f64::from));
        });
        moments.add(values.view(), threads);
    }
    moments
}

/// The limit of the codes of what the steps make of all images.
fn limit(fitted: &Parts, images: &Images, threads: usize) -> Option<f32> {
    let all = images.rows(0..images.len());
    let histogram = Mutex::new(Histogram::new());
    each(all.axis_chunks_iter(Axis(0), 8 * AT_A_TIME), threads, |block| {
        let mut mine = Histogram::new();
        for piece in block.axis_chunks_iter(Axis(0), AT_A_TIME) {
            mine.add(fitted.values(contiguous(&piece)).as_slice().expect("contiguous"));
        }
        histogram.lock().unwrap_or_else(PoisonError::into_inner).merge(&mine);
    });
    histogram.into_inner().unwrap_or_else(PoisonError::into_inner).limit()
}

fn contiguous<'a>(images: &'a ArrayView2<'_, u8>) -> &'a [u8] {
    images.as_slice().expect("rows of images are contiguous")
}
