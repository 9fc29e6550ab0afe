//! A trained network as bits and integer thresholds: what is deployed.

use std::fmt;

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::{Error, Gather, Grid, Levels, Matrix, Planes, Result, Window, sum_bound};

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

    /// Checks that every layer fits the one before it, that no sum leaves exact f32 integers, and
    /// that all numbers are finite.
    ///
    /// # Errors
    /// [`Error::Format`] naming the layer and what is wrong with it.
    pub fn check(&self) -> Result<()> {
        let Input { grid, channels } = self.input;
        let bytes = grid.height.checked_mul(grid.width).and_then(|area| area.checked_mul(channels));
        if bytes.is_none() {
            return Err(Error::format("input", "an image of more bytes than any memory has"));
        }
        let pixels = matches!(self.first_gather(), Gather::Patches { .. });
        let rows = if pixels { self.input.grid.pixels() } else { 1 };
        if self.input.bytes() == 0 {
            return Err(Error::format("input", "an image without a byte"));
        }
        let mut shape = (rows, self.input.bytes() / rows);
        let mut bound = 255;
        for (index, block) in self.hidden.iter().enumerate() {
            shape = block.check(shape, bound).map_err(at(&format!("hidden.{index}")))?;
            bound = block.levels.bound();
        }
        let shape = self.output.check(shape, bound).map_err(at("output"))?;
        if shape.0 != 1 {
            return Err(Error::format("output", format!("{} rows of scores per image", shape.0)));
        }
        self.preprocess.as_ref().map_or(Ok(()), Preprocess::check)?;
        if self.classes.len() != shape.1 {
            let why = format!("{} names for {} scores", self.classes.len(), shape.1);
            return Err(Error::format("classes", why));
        }
        Ok(())
    }
}

impl Preprocess {
    /// The digest names a file beside the model: nothing but digits gets into a path.
    fn check(&self) -> Result<()> {
        let refused = |why: &str| Err(Error::format("preprocess", why));
        if !(self.limit > 0.0 && self.limit.is_finite()) {
            return refused("the limit of the codes is not positive");
        }
        let digits = self.digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if self.digest.len() != 64 || !digits {
            return refused("the digest is not 64 hexadecimal digits");
        }
        Ok(())
    }
}

impl Hidden {
    /// Shape of the layer's code (rows per image, channels), given its input's.
    fn check(&self, input: (usize, usize), bound: u64) -> Result<(usize, usize)> {
        let (rows, channels) = self.gather.product_shape(input, self.weights.dim()?)?;
        self.levels.check()?;
        let bound = sum_bound(self.weights.dim()?.1, bound, self.weights.bound())? as f32;
        let want = (self.levels.cuts(), channels);
        if self.cuts.dim() != want {
            return Err(Error::shape(
                "cuts",
                format!("{want:?}"),
                format!("{:?}", self.cuts.dim()),
            ));
        }
        let sound = |cut: &&f32| cut.fract() != 0.0 || !(-bound..=bound + 1.0).contains(*cut);
        if let Some(cut) = self.cuts.iter().find(sound) {
            return Err(Error::value("cuts", format!("{cut} is not an integer within {bound}")));
        }
        let Some(Pool { grid, window }) = self.pool else { return Ok((rows, channels)) };
        let pooled = window.positions(grid)?; // first: it refuses grids whose pixels overflow
        if grid.pixels() != rows {
            return Err(Error::shape(
                "pool",
                format!("a grid of {rows} pixels"),
                format!("{grid} pixels"),
            ));
        }
        Ok((pooled.pixels(), channels))
    }
}

impl Output {
    /// Shape of the scores (rows per image, classes), given the layer's input's.
    fn check(&self, input: (usize, usize), bound: u64) -> Result<(usize, usize)> {
        let (rows, classes) = self.gather.product_shape(input, self.weights.dim()?)?;
        sum_bound(self.weights.dim()?.1, bound, self.weights.bound())?;
        for numbers in [&self.mean, &self.gain, &self.beta] {
            if numbers.len() != classes || numbers.iter().any(|x| !x.is_finite()) {
                let got = format!("{} numbers, or one not finite", numbers.len());
                return Err(Error::shape("norm", format!("{classes} finite numbers"), got));
            }
        }
        Ok((rows, classes))
    }
}

/// Says in which layer an error lies.
fn at(place: &str) -> impl Fn(Error) -> Error + '_ {
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
            let error = pooled(Pool { grid, window: Window::square(1, 1, 0) }).check((1, 1), 255);
            let words = if side <= 1 << 20 { "a grid of 1 pixels" } else { "sides up to 2^20" };
            let error = error.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
