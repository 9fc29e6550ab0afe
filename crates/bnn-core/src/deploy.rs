//! Running a frozen network on any backend.

use std::sync::{Mutex, PoisonError};

use ndarray::ArrayView2;

use crate::{BinaryBackend, Error, Frozen, HostCode, Matrix, Norm, Planes, Result};

/// A network that classifies byte images, whatever runs it.
pub trait Classifier: Send + Sync {
    /// Class numbers of whole images, given as their bytes one after the other (rows of pixels, from
    /// the top, channels innermost).
    ///
    /// # Errors
    /// [`Error::Shape`] unless the bytes are whole images; what the device says.
    fn classify(&self, bytes: &[u8]) -> Result<Vec<u32>>;
}

/// A frozen network whose weights are on a backend.
///
/// It keeps the memory that images pass through, so that a call that is no larger than one before
/// asks for little more than its result.
pub struct Session<'a, B: BinaryBackend> {
    backend: &'a B,
    network: &'a Frozen,
    hidden: Vec<OnDevice<B>>,
    output: B::Code,
    /// One for every call at a time.
    memories: Mutex<Vec<Vec<u8>>>,
}

struct OnDevice<B: BinaryBackend> {
    weights: B::Code,
    cuts: B::Real,
}

impl<'a, B: BinaryBackend> Session<'a, B> {
    /// Puts a network that reads pixels on a backend.
    ///
    /// # Errors
    /// [`Error::Value`] if the network reads codes that preprocessing makes of pixels; what the
    /// network's own check or the device says.
    pub fn new(backend: &'a B, network: &'a Frozen) -> Result<Self> {
        if let Some(done) = &network.preprocess {
            let why = format!(
                "the network reads images preprocessed by `{}` and would misjudge pixels; prepare \
                 them first, then take `Session::of_codes`",
                done.steps.join("`, `"),
            );
            return Err(Error::value("session", why));
        }
        Self::of_codes(backend, network)
    }

    /// Puts a network on a backend that is given images as the network's
    /// [`preprocess`](Frozen::preprocess) says: codes, or pixels where it says nothing.
    ///
    /// # Errors
    /// What the network's own check or the device says.
    pub fn of_codes(backend: &'a B, network: &'a Frozen) -> Result<Self> {
        network.check()?;
        let put = |code: &Planes| backend.put_code(&HostCode::Planes(code.clone()));
        let hidden = network.hidden.iter().map(|block| {
            Ok(OnDevice { weights: put(&block.weights)?, cuts: backend.put(block.cuts.view())? })
        });
        let hidden = hidden.collect::<Result<_>>()?;
        let output = put(&network.output.weights)?;
        Ok(Self { backend, network, hidden, output, memories: Mutex::default() })
    }

    /// The network.
    pub fn network(&self) -> &Frozen {
        self.network
    }

    /// Scores of images, one per row of `images` with its bytes in the order of [`Classifier`];
    /// rows are images, columns are classes.
    ///
    /// # Errors
    /// [`Error::Shape`] if the rows are not images of the network's size; what the device says.
    pub fn scores(&self, images: ArrayView2<'_, u8>) -> Result<Matrix> {
        let mut scores = self.backend.together(|| self.products(images))?;
        let output = &self.network.output;
        for ((_, class), score) in scores.indexed_iter_mut() {
            *score =
                Norm::apply(*score, output.mean[class], output.gain[class], output.beta[class]);
        }
        Ok(scores)
    }

    /// The sums of the last layer, which its norm makes scores of, for images on the device: rows of bytes
    /// as [`scores`](Self::scores) takes them, or of pixels where the first layer moves a window.
    ///
    /// # Errors
    /// [`Error::Shape`] if the rows are not whole images of the network's size; what the device says.
    pub fn sums(&self, images: &B::Code) -> Result<B::Real> {
        let mut code = None;
        for (block, device) in self.network.hidden.iter().zip(&self.hidden) {
            let (gather, levels) = (&block.gather, &block.levels);
            let input = code.as_ref().unwrap_or(images);
            let cut =
                self.backend.product_cut(input, &device.weights, gather, &device.cuts, levels)?;
            code = Some(match &block.pool {
                Some(pool) => self.backend.pool(&cut, pool.grid, pool.window)?,
                None => cut,
            });
        }
        let gather = &self.network.output.gather;
        self.backend.product(code.as_ref().unwrap_or(images), &self.output, gather)
    }

    fn products(&self, images: ArrayView2<'_, u8>) -> Result<Matrix> {
        self.backend.get(&self.sums(&self.put(images)?)?)
    }

    /// Images on the device: rows of images become rows of pixels where the first layer reads pixels.
    fn put(&self, images: ArrayView2<'_, u8>) -> Result<B::Code> {
        let input = &self.network.input;
        if images.ncols() != input.bytes() {
            let got = format!("{} bytes per image", images.ncols());
            return Err(Error::shape("input", input, got));
        }
        let memories = || self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = memories().pop().unwrap_or_default();
        let bytes = HostCode::Bytes(input.arrange(images, self.network.first_gather(), memory));
        let code = self.backend.put_code(&bytes);
        if let HostCode::Bytes(bytes) = bytes {
            memories().push(bytes.into_raw_vec_and_offset().0);
        }
        code
    }
}

impl<B: BinaryBackend> Classifier for Session<'_, B> {
    fn classify(&self, bytes: &[u8]) -> Result<Vec<u32>> {
        let width = self.network.input.bytes();
        if !bytes.len().is_multiple_of(width) {
            let got = format!("{} bytes", bytes.len());
            return Err(Error::shape("classify", format!("whole images of {width} bytes"), got));
        }
        let images = ArrayView2::from_shape((bytes.len() / width, width), bytes);
        let scores = self.scores(images.expect("whole images"))?;
        Ok(scores.rows().into_iter().map(|row| largest(row.iter().copied())).collect())
    }
}

/// Position of the first largest score.
fn largest(scores: impl Iterator<Item = f32>) -> u32 {
    let best = scores.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or(0, |(class, _)| class as u32)
}
