//! A network: blocks in a row. The loop over them is forward, the reversed loop is backward.

use bnn_core::reference;
use bnn_core::{
    BinaryBackend, Clock, Draw, FloatBackend, Gather, HostCode, Input, Key, Matrix, Param, Result,
    Running, TrainBackend,
};
use ndarray::{Array2, ArrayView2};

use crate::Result as TrainResult;
use crate::block::{ActivationForm, Block, BlockForm, Flow, Saved};
use crate::form::forms;
use crate::spec::Spec;

/// Step number of the random numbers that start a network; no training step is as late.
const START: u64 = u64::MAX;

/// Reals of a layer that an evaluation holds at a time, if they are more than a batch's.
const EVALUATED: usize = 1 << 21;

/// A network in training.
pub struct Net<B: TrainBackend> {
    /// The images it reads.
    pub input: Input,
    /// Its layers.
    pub blocks: Vec<Block<B>>,
    input_keep: f32,
    /// Images of a full batch.
    batch: usize,
}

/// A batch on the device.
pub struct Batch<B: BinaryBackend> {
    /// Bytes of the images.
    pub images: B::Code,
    /// Class numbers, a column.
    pub labels: B::Real,
    /// Number of images.
    pub samples: usize,
}

/// What a step leaves on the device, to be read back later.
pub struct StepTally<B: BinaryBackend> {
    /// The row of loss sum and errors.
    pub loss: B::Real,
    /// The row of flips and clipped weights of every layer.
    pub layers: Vec<B::Real>,
}

impl<B: FloatBackend> Net<B> {
    /// A network with latent weights uniform in (-1, 1), real weights uniform as Glorot's, gains 1
    /// and offsets 0.
    ///
    /// # Errors
    /// [`crate::Error::Spec`] if the layers do not fit the images or the classes; what the backend says.
    pub fn new(
        backend: &B,
        spec: &Spec,
        input: Input,
        classes: usize,
        seed: u64,
    ) -> TrainResult<Self> {
        let forms = forms(spec, input, classes)?;
        let key = Key::new(seed, START);
        let starts = forms.into_iter().zip(0..);
        let blocks = starts.map(|(form, layer)| start(backend, form, key.stream(layer)));
        Ok(Self {
            input,
            blocks: blocks.collect::<Result<_>>()?,
            input_keep: 1.0 - spec.net.dropout.input,
            batch: spec.train.batch,
        })
    }

    /// Copies a batch of images (one per row) and their labels to the device.
    ///
    /// # Errors
    /// What the backend says.
    pub fn upload(
        &self,
        backend: &B,
        images: ArrayView2<'_, u8>,
        labels: &[u8],
    ) -> Result<Batch<B>> {
        let bytes = self.input.arrange(images, &self.blocks[0].form.gather, Vec::new());
        let column = Array2::from_shape_fn((labels.len(), 1), |(row, _)| f32::from(labels[row]));
        Ok(Batch {
            images: backend.put_code(&HostCode::Bytes(bytes))?,
            labels: backend.put(column.view())?,
            samples: labels.len(),
        })
    }

    /// One training step: forward, loss, backward and update. A batch of fewer images than the spec's
    /// counts as much less in the running statistics, which it would otherwise move as far, with a
    /// mean of few images.
    ///
    /// # Errors
    /// What the backend says.
    pub fn step(
        &mut self,
        backend: &B,
        batch: Batch<B>,
        loss: bnn_core::Loss,
        clock: &Clock,
    ) -> Result<StepTally<B>> {
        backend.together(|| {
            let clock = backend.put(clock.to_row().view())?;
            let saved = self.forward(backend, batch.images, batch.samples, &clock)?;
            let scores = saved.last().expect("a network has a layer").normed();
            let graded = backend.loss(scores, &batch.labels, loss)?;
            let layers = self.backward(backend, graded.grad, &saved, &clock)?;
            Ok(StepTally { loss: graded.tally, layers })
        })
    }

    /// Images to evaluate at a time: at least a batch of training, more where their layers are narrow.
    /// Scores do not depend on it, but for the rounding of reals in float baselines.
    pub fn evaluation_batch(&self, batch: usize) -> usize {
        let places = |gather: &Gather| match gather {
            Gather::Rows => 1,
            Gather::Patches { grid, .. } => grid.pixels(),
        };
        let widths =
            self.blocks.iter().map(|block| block.form.shape.0 * places(&block.form.gather));
        batch.max(EVALUATED / widths.max().unwrap_or(1).max(1))
    }

    /// Whether the network is all codes, so that [`freeze`](Self::freeze) has bits to pack.
    pub fn freezes(&self) -> bool {
        self.blocks.iter().all(|block| block.form.is_quantized())
    }

    /// Scores of a batch by the running statistics; codes go through the packed kernels.
    ///
    /// # Errors
    /// What the backend says.
    pub fn evaluate(&self, backend: &B, images: B::Code) -> Result<Matrix> {
        backend.together(|| {
            let mut flow = Flow::Code(images);
            for block in &self.blocks {
                let normed = block.evaluate(backend, &flow)?;
                match &block.form.activation {
                    Some(activation) => flow = activation.evaluate(backend, &normed)?,
                    None => return backend.get(&normed),
                }
            }
            unreachable!("the last block has no activation")
        })
    }

    fn forward(
        &mut self,
        backend: &B,
        images: B::Code,
        samples: usize,
        clock: &B::Real,
    ) -> Result<Vec<Saved<B>>> {
        let mut code = images;
        if self.input_keep < 1.0 {
            code = backend.dropout(&code, self.input_keep, Draw { clock, stream: 0 })?;
        }
        let mut flow = Flow::Code(code);
        let mut saved = Vec::with_capacity(self.blocks.len());
        for block in &mut self.blocks {
            let norm = block.form.norm.of_batch(samples, self.batch);
            let kept = block.forward(backend, flow, &norm)?;
            let activate = |form: &ActivationForm| form.train(backend, kept.normed(), clock);
            let next = block.form.activation.as_ref().map(activate).transpose()?;
            saved.push(kept);
            let Some(next) = next else { break };
            flow = next;
        }
        Ok(saved)
    }

    /// Backward and step in one pass: no layer's gradients outlive its step.
    fn backward(
        &mut self,
        backend: &B,
        grad: B::Real,
        saved: &[Saved<B>],
        clock: &B::Real,
    ) -> Result<Vec<B::Real>> {
        let mut dy = grad;
        let mut tallies = Vec::with_capacity(self.blocks.len());
        for (index, block) in self.blocks.iter_mut().enumerate().rev() {
            if let Some(activation) = &block.form.activation {
                let (x, output) = (saved[index].normed(), saved[index + 1].input());
                dy = activation.grad(backend, &dy, x, output)?;
            }
            let back = block.backward(backend, &dy, &saved[index], index > 0)?;
            tallies.push(block.step(backend, &back.gradients, &saved[index], clock)?);
            let Some(dx) = back.input else { break };
            dy = dx;
        }
        tallies.reverse();
        Ok(tallies)
    }
}

/// A layer at its start.
fn start<B: TrainBackend>(backend: &B, form: BlockForm, key: Key) -> Result<Block<B>> {
    let (outputs, columns) = form.shape;
    let uniform = |(row, col)| form.start * (2.0 * key.uniform((row * columns + col) as u32) - 1.0);
    let latent = Array2::from_shape_fn(form.shape, uniform);
    let quant = form.weight_quant.as_ref();
    let code = quant.map(|quant| reference::encode(&latent, quant, None)).transpose()?;
    let put = |code| backend.put_code(&HostCode::Planes(code));
    let row = |value| Matrix::from_elem((1, outputs), value);
    Ok(Block {
        weights: param(backend, latent)?,
        code: code.map(put).transpose()?,
        gamma: param(backend, row(1.0))?,
        beta: param(backend, row(0.0))?,
        running: Running {
            mean: backend.put(row(0.0).view())?,
            spread: backend.put(row(form.spread).view())?,
        },
        form,
    })
}

/// A parameter whose optimizer has not moved yet.
fn param<B: TrainBackend>(backend: &B, value: Matrix) -> Result<Param<B>> {
    let zeros = Matrix::zeros(value.dim());
    Ok(Param {
        value: backend.put(value.view())?,
        m: backend.put(zeros.view())?,
        v: backend.put(zeros.view())?,
    })
}
