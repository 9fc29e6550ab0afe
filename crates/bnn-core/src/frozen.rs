//! A trained network as bits and integer thresholds: what is deployed.

use std::fmt;

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::work::Flow;
use crate::{
    BYTE_SCALE, Error, Gather, Grid, Levels, Matrix, Norm, Planes, Result, Window, Work,
    is_plain_text, sum_bound,
};

/// The most classes.
const MOST_CLASSES: usize = 1 << 16;

/// The most bytes of a class's name, and of a step's text.
const MOST_NAME: usize = 1024;

/// The most steps of preprocessing: there are three kinds.
const MOST_STEPS: usize = 16;

/// The most planes of one matrix of weights; as signs that each count, 24 fill the exact integers of f32.
const MOST_PLANES: usize = 32;

/// A network of packed weights and integer thresholds, without a real number between its layers.
///
/// Plain data: any backend runs it (see [`Session`](crate::Session)), and
/// [`to_bytes`](Frozen::to_bytes) writes it in the format of `docs/model-format.md`.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// The images it reads.
    pub input: Input,
    /// All layers but the last.
    pub hidden: Vec<Hidden>,
    /// The last layer.
    pub output: Output,
    /// Name of every class, in the order of the scores.
    pub classes: Vec<String>,
    /// How pictures of any size and kind became images of [`input`](Self::input), in order, such as
    /// `resize 28 x 28 crop`; empty if they were such images. A record, as [`Preprocess`] is.
    pub images: Vec<String>,
    /// What makes pixels the bytes that it reads; none if it reads them as they are.
    pub preprocess: Option<Preprocess>,
}

/// What was done to the bytes of images before a network read them.
///
/// It is a record: this crate does none of it, and a [`Session`](crate::Session) of such a network has
/// to be asked for by another name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// The steps in order, such as `zca ridge 1e-5`.
    pub steps: Vec<String>,
    /// The magnitude that codes 0 and 255 stand for: code `u` is `limit * (2u - 255) / 255`.
    pub limit: f32,
    /// SHA-256 of the steps with all that was fitted to the training images.
    pub digest: String,
}

/// The byte images a network reads; a byte `u` stands for `(2u - 255) / 255`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Height and width in pixels.
    pub grid: Grid,
    /// Bytes per pixel.
    pub channels: usize,
}

/// A product, its thresholds, and a pool of bits where the layer has one.
#[derive(Clone, Debug, PartialEq)]
pub struct Hidden {
    /// One row per output.
    pub weights: Planes,
    /// How the layer's input meets the weights.
    pub gather: Gather,
    /// One row per cut, one column per output: integers, crossed where `sum >= cut`.
    pub cuts: Matrix,
    /// What crossed cuts are worth.
    pub levels: Levels,
    /// Max-pooling behind the thresholds.
    pub pool: Option<Pool>,
}

/// A pooling window over a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Grid of the layer's product.
    pub grid: Grid,
    /// Window over it.
    pub window: Window,
}

/// A product and the affine map that turns it into scores: `(x - mean) * gain + beta`.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// One row per class.
    pub weights: Planes,
    /// How the layer's input meets the weights.
    pub gather: Gather,
    /// Running mean per class.
    pub mean: Vec<f32>,
    /// Gamma times the running inverse deviation per class.
    pub gain: Vec<f32>,
    /// Beta per class.
    pub beta: Vec<f32>,
}

impl Input {
    /// Bytes of one image.
    pub fn bytes(&self) -> usize {
        self.grid.pixels() * self.channels
    }

    /// Images, one per row, as the operand that `gather` reads: rows of images for a dense layer,
    /// rows of pixels for a convolution. The operand lies in `memory`, which is best one that was used
    /// before.
    ///
    /// # Panics
    /// Unless the rows are images of this size.
    pub fn arrange(
        &self,
        images: ArrayView2<'_, u8>,
        gather: &Gather,
        mut memory: Vec<u8>,
    ) -> Array2<u8> {
        assert_eq!(images.ncols(), self.bytes(), "bytes per image");
        let columns = match gather {
            Gather::Rows => self.bytes(),
            Gather::Patches { .. } => self.channels,
        };
        let shape = (images.len() / columns.max(1), columns);
        memory.clear();
        match images.as_slice() {
            Some(bytes) => memory.extend_from_slice(bytes),
            None => memory.extend(images),
        }
        Array2::from_shape_vec(shape, memory).expect("pixels divide the image")
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "images of {} x {} bytes", self.grid, self.channels)
    }
}

impl Frozen {
    /// How the first layer reads its input.
    pub fn first_gather(&self) -> &Gather {
        self.hidden.first().map_or(&self.output.gather, |block| &block.gather)
    }

    /// Checks that every layer fits the one before it, that no sum leaves exact f32 integers, that
    /// all numbers are finite, that names can be printed, and that an image costs no more than
    /// [`Work::MOST`].
    ///
    /// # Errors
    /// [`Error::Format`] naming the layer and what is wrong with it.
    pub fn check(&self) -> Result<()> {
        self.work().map(|_| ())
    }

    /// What one image costs.
    ///
    /// # Errors
    /// As [`Frozen::check`].
    pub fn work(&self) -> Result<Work> {
        let (mut input, mut scale) = (first_input(self.input, self.first_gather())?, BYTE_SCALE);
        let mut work = Work::default();
        for (index, block) in self.hidden.iter().enumerate() {
            input = block.check(&input, &mut work).map_err(at(&format!("hidden.{index}")))?;
            scale = block.levels.scale;
        }
        let classes = self.output.check(&input, scale, &mut work).map_err(at("output"))?;
        check_steps("images", &self.images)?;
        self.preprocess.as_ref().map_or(Ok(()), Preprocess::check)?;
        check_classes(&self.classes, classes)?;
        Ok(work)
    }
}

/// The bytes of an image, as a first layer reads them.
pub(crate) fn first_input(Input { grid, channels }: Input, gather: &Gather) -> Result<Flow> {
    let bytes = grid.height.checked_mul(grid.width).and_then(|area| area.checked_mul(channels));
    let Some(bytes) = bytes else {
        return Err(Error::format("input", "an image of more bytes than any memory has"));
    };
    if bytes == 0 {
        return Err(Error::format("input", "an image without a byte"));
    }
    let rows = if matches!(gather, Gather::Patches { .. }) { grid.pixels() } else { 1 };
    Ok(Flow { rows, channels: bytes / rows, planes: 8, bound: 255 })
}

/// Checks names of classes: they are printed, and a file may hold any number of them.
pub(crate) fn check_classes(classes: &[String], scores: usize) -> Result<()> {
    let refused = |why: String| Err(Error::format("classes", why));
    if classes.len() != scores {
        return refused(format!("{} names for {scores} scores", classes.len()));
    }
    if classes.len() > MOST_CLASSES {
        return refused(format!("{scores} of them, where {MOST_CLASSES} are the most"));
    }
    for name in classes {
        if name.len() > MOST_NAME {
            return refused(format!(
                "a name of {} bytes, where {MOST_NAME} are the most",
                name.len()
            ));
        }
        if !is_plain_text(name) {
            return refused(format!(
                "the name {name:?} has characters that control a terminal; choose another name"
            ));
        }
    }
    Ok(())
}

impl Preprocess {
    /// The digest names a file beside the model: nothing but digits gets into a path.
    fn check(&self) -> Result<()> {
        let refused = |why: &str| Err(Error::format("preprocess", why));
        if !(self.limit > 0.0 && self.limit.is_finite()) {
            return refused("the limit of the codes is not positive");
        }
        if self.steps.is_empty() {
            return refused("no step");
        }
        check_steps("preprocess", &self.steps)?;
        let digits = self.digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if self.digest.len() != 64 || !digits {
            return refused("the digest is not 64 hexadecimal digits");
        }
        Ok(())
    }
}

impl Hidden {
    /// The layer's code, given its input; its cost is added.
    fn check(&self, input: &Flow, work: &mut Work) -> Result<Flow> {
        let planes = check_weights(&self.weights)?;
        let columns = self.weights.dim()?.1;
        let sums = self.gather.product_shape((input.rows, input.channels), self.weights.dim()?)?;
        self.levels.check()?;
        let bound = sum_bound(columns, input.bound, self.weights.bound())?;
        self.check_cuts(sums.1, bound as f32)?;
        let mut output = Flow::code(sums.0, sums.1, &self.levels);
        if let Some(Pool { grid, window }) = self.pool {
            let pooled = window.positions(grid)?; // first: it refuses grids whose pixels overflow
            if grid.pixels() != sums.0 {
                let (want, got) =
                    (format!("a grid of {} pixels", sums.0), format!("{grid} pixels"));
                return Err(Error::shape("pool", want, got));
            }
            output.rows = pooled.pixels();
        }
        let pool = self.pool.map(|pool| pool.window);
        work.add(input, (planes, columns), sums, Some((&output, pool)))?;
        Ok(output)
    }

    /// Checks that the thresholds are integers that sums of this bound can be compared with.
    fn check_cuts(&self, outputs: usize, bound: f32) -> Result<()> {
        let want = (self.levels.cuts(), outputs);
        if self.cuts.dim() != want {
            let got = format!("{:?}", self.cuts.dim());
            return Err(Error::shape("cuts", format!("{want:?}"), got));
        }
        let unsound = |cut: &&f32| cut.fract() != 0.0 || !(-bound..=bound + 1.0).contains(*cut);
        match self.cuts.iter().find(unsound) {
            Some(cut) => {
                Err(Error::value("cuts", format!("{cut} is not an integer within {bound}")))
            }
            None => Ok(()),
        }
    }
}

impl Output {
    /// The number of scores, given the layer's input and its scale; its cost is added.
    fn check(&self, input: &Flow, scale: f32, work: &mut Work) -> Result<usize> {
        let planes = check_weights(&self.weights)?;
        let columns = self.weights.dim()?.1;
        let sums = self.gather.product_shape((input.rows, input.channels), self.weights.dim()?)?;
        let bound = sum_bound(columns, input.bound, self.weights.bound())?;
        for numbers in [&self.mean, &self.gain, &self.beta] {
            if numbers.len() != sums.1 || numbers.iter().any(|x| !x.is_finite()) {
                let got = format!("{} numbers, or one not finite", numbers.len());
                return Err(Error::shape("norm", format!("{} finite numbers", sums.1), got));
            }
        }
        if sums.0 != 1 {
            let got = format!("{} rows of scores per image", sums.0);
            return Err(Error::shape("scores", "one row of scores per image", got));
        }
        work.add(input, (planes, columns), sums, None)?;
        self.check_scores(bound as f32 * (scale * self.weights.scale))?;
        Ok(sums.1)
    }

    /// Checks that no score of a sum within `bound` leaves the finite numbers: scores rise or fall with
    /// the sum, so that it is enough to look at the ends.
    fn check_scores(&self, bound: f32) -> Result<()> {
        let Self { mean, gain, beta, .. } = self;
        let finite = |class: usize, sum: f32| {
            Norm::apply(sum, mean[class], gain[class], beta[class]).is_finite()
        };
        let wild = (0..mean.len()).find(|&class| !finite(class, bound) || !finite(class, -bound));
        match wild {
            Some(class) => {
                let why = format!("those of class {class} can be beyond the finite numbers");
                Err(Error::value("scores", why))
            }
            None => Ok(()),
        }
    }
}

/// Checks weights for themselves; their number of planes.
fn check_weights(weights: &Planes) -> Result<usize> {
    if !(weights.scale > 0.0 && weights.scale.is_finite()) {
        return Err(Error::value("scale", format!("{} is not positive", weights.scale)));
    }
    if weights.dim()?.0 == 0 {
        return Err(Error::value("weights", "a layer without outputs"));
    }
    if weights.planes.len() > MOST_PLANES {
        let why = format!("{} of them, where {MOST_PLANES} are the most", weights.planes.len());
        return Err(Error::value("planes", why));
    }
    if weights.planes.iter().any(|(weight, _)| *weight == 0) {
        return Err(Error::value("planes", "one of weight 0, which adds nothing"));
    }
    Ok(weights.planes.len())
}

/// Checks that steps, which are printed, are few, short and on one line.
fn check_steps(place: &str, steps: &[String]) -> Result<()> {
    if steps.len() > MOST_STEPS {
        return Err(Error::format(place, format!("more than {MOST_STEPS} steps")));
    }
    if steps.iter().any(|step| step.len() > MOST_NAME || !is_plain_text(step)) {
        return Err(Error::format(place, "a step is no text of a few words"));
    }
    Ok(())
}

/// Says in which layer an error lies.
pub(crate) fn at(place: &str) -> impl Fn(Error) -> Error + '_ {
    move |error| Error::format(place, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BitMatrix;

    /// A hidden layer of one output on images of one byte, with a pool.
    fn pooled(pool: Pool) -> Hidden {
        let levels = Levels::sign();
        Hidden {
            weights: Planes::binary(BitMatrix::zeros(1, 1)),
            gather: Gather::Rows,
            cuts: Matrix::zeros((levels.cuts(), 1)),
            levels,
            pool: Some(pool),
        }
    }

    #[test]
    fn pools_on_grids_of_any_size_are_refused() {
        for side in [2, 1 << 20, 1 << 33, usize::MAX] {
            let grid = Grid { height: side, width: side };
            let input = Flow { rows: 1, channels: 1, planes: 8, bound: 255 };
            let layer = pooled(Pool { grid, window: Window::square(1, 1, 0) });
            let error = layer.check(&input, &mut Work::default()).map(|_| ());
            let words = if side <= 1 << 20 { "a grid of 1 pixels" } else { "sides up to 2^20" };
            let error = error.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
