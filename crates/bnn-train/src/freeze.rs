//! From a network in training to bits and integer thresholds (paper, algorithm 5).

use bnn_core::fold::Evaluation;
use bnn_core::{
    BYTE_SCALE, BitMatrix, Error, Frozen, Hidden, Norm, Output, Planes, Result, TrainBackend,
    sum_bound,
};

use crate::block::Block;
use crate::net::Net;

/// The evaluation norm of a layer, on the host.
struct HostNorm {
    mean: Vec<f32>,
    gain: Vec<f32>,
    beta: Vec<f32>,
}

impl<B: TrainBackend> Net<B> {
    /// The network as packed signs and integer thresholds; scores equal those of
    /// [`Net::evaluate`] in every bit. What was done to its images is not recorded in it.
    ///
    /// # Errors
    /// [`Error::Value`] if weights or activations are real; what the backend says.
    pub fn freeze(&self, backend: &B, classes: Vec<String>) -> Result<Frozen> {
        let (last, rest) = self.blocks.split_last().expect("a network has a layer");
        let (mut scale, mut bound) = (BYTE_SCALE, 255);
        let mut inverted = Vec::new();
        let mut hidden = Vec::with_capacity(rest.len());
        for block in rest {
            let weights = negate_columns(block.host_code(backend)?, &inverted);
            let quant = block.form.activation.as_ref().and_then(|activation| activation.quant());
            let quant = quant.ok_or_else(|| Error::value("freeze", "real activations"))?;
            let HostNorm { mean, gain, beta } = &host_norm(backend, block)?;
            let evaluation = Evaluation { scale: scale * weights.scale, mean, gain, beta, quant };
            let cuts = evaluation.fold(sum_bound(block.form.shape.1, bound, weights.bound())?);
            let levels = quant.levels.clone();
            (scale, bound) = (levels.scale, levels.bound());
            hidden.push(Hidden {
                weights,
                gather: block.form.gather,
                cuts: cuts.at,
                levels,
                pool: block.form.pool,
            });
            inverted = cuts.inverted;
        }
        let weights = negate_columns(last.host_code(backend)?, &inverted);
        let HostNorm { mean, gain, beta } = host_norm(backend, last)?;
        let output = Output { weights, gather: last.form.gather, mean, gain, beta };
        Ok(Frozen { input: self.input, hidden, output, classes, images: vec![], preprocess: None })
    }
}

/// The weights with the sign of every column changed whose channel arrives inverted.
///
/// Columns count through taps and channels, channels innermost.
fn negate_columns(weights: Planes, inverted: &[bool]) -> Planes {
    if !inverted.contains(&true) {
        return weights;
    }
    let negate = |plane: &BitMatrix| {
        BitMatrix::from_fn(plane.rows(), plane.cols(), |row, col| {
            plane.get(row, col) != inverted[col % inverted.len()]
        })
    };
    let planes = weights.planes.iter().map(|(weight, plane)| (*weight, negate(plane))).collect();
    Planes { planes, ..weights }
}

fn host_norm<B: TrainBackend>(backend: &B, block: &Block<B>) -> Result<HostNorm> {
    let row = |real| Ok(backend.get(real)?.iter().copied().collect::<Vec<f32>>());
    let (gamma, spread) = (row(&block.gamma.value)?, row(&block.running.spread)?);
    let norm: &Norm = &block.form.norm;
    let gain =
        gamma.iter().zip(&spread).map(|(&gamma, &spread)| norm.gain(gamma, spread)).collect();
    Ok(HostNorm { mean: row(&block.running.mean)?, gain, beta: row(&block.beta.value)? })
}
