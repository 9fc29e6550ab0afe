//! A whole network by the products of a rival.

use bnn_core::{
    BinaryBackend, BitMatrix, Error, Gather, HostCode, Matrix, Norm, Quant, Result, Running,
    TrainBackend,
};
use ndarray::{Array2, ArrayView2};

use super::{Rival, paper_float, paper_xnor, turned};
use crate::code::{Code, stride};
use crate::cuda::Cuda;
use crate::device::{Buffer, Gemm, Rounding};
use crate::operand::decode;
use crate::real::Real;

/// Dense layers of signs, multiplied by a rival; cut in between as the frozen network is.
///
/// The paper's XNOR kernel takes signs alone: the first layer, which reads bytes, is then one of the
/// paper's float kernel. Sums are integers, and exact below 2^24, as sums of MNIST's 784 bytes are.
pub struct Network {
    cuda: Cuda,
    rival: Rival,
    layers: Vec<Layer>,
}

/// The weights of a layer as its product takes them, and its thresholds unless it is the last.
struct Layer {
    /// Outputs and inputs.
    shape: [usize; 2],
    weights: Buffer,
    norm: Option<Cut>,
}

/// Thresholds as a norm: sums less their thresholds.
struct Cut {
    ones: Real,
    zeros: Real,
    running: Running<Cuda>,
}

impl Network {
    /// Layers of signs, a row per output, each with the thresholds of its outputs but the last.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for a rival that is not one of the paper's, cuBLAS in f32 or in TF32: others
    /// cannot hold the values of bytes; what the device says.
    pub fn new(cuda: &Cuda, rival: Rival, layers: &[(&BitMatrix, Option<Matrix>)]) -> Result<Self> {
        if !matches!(rival, Rival::PaperFloat | Rival::PaperXnor | Rival::Single | Rival::Tf32) {
            let why = "its operands cannot hold the bytes of images; take one of the paper's, or cuBLAS in \
                       f32 or TF32";
            return Err(Error::unavailable(format!("a network by {rival:?}"), why));
        }
        let layers = layers.iter().enumerate().map(|(at, (w, cuts))| {
            let shape = [w.rows(), w.cols()];
            let code = cuda.put_code(&HostCode::binary((*w).clone()))?;
            let reals = || decode(cuda, &code, &*cuda.windows(&Gather::Rows)?, w.rows());
            let weights = match rival {
                Rival::PaperXnor if at > 0 => {
                    turned(cuda, &code.planes, [shape[0], stride(shape[1])])?
                }
                Rival::PaperXnor | Rival::PaperFloat => turned(cuda, &reals()?, shape)?,
                _ => reals()?,
            };
            let norm = cuts.as_ref().map(|cuts| Cut::new(cuda, cuts)).transpose()?;
            Ok(Layer { shape, weights, norm })
        });
        Ok(Self { cuda: cuda.clone(), rival, layers: layers.collect::<Result<_>>()? })
    }

    /// The sums of the last layer for bytes of images, one per row; a byte u stands for `2u - 255`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the first layer does not read as many bytes; what the device says.
    pub fn sums(&self, images: ArrayView2<'_, u8>) -> Result<Matrix> {
        let mut code = self.cuda.put_code(&HostCode::Bytes(images.to_owned()))?;
        code.scale = 1.0;
        for (at, layer) in self.layers.iter().enumerate() {
            if code.dim.1 != layer.shape[1] {
                return Err(Error::shape("layer", layer.shape[1], code.dim.1));
            }
            let sums = self.product(at, layer, &code)?;
            let Some(norm) = &layer.norm else { return sums.get() };
            code = norm.signs(&self.cuda, &sums)?;
        }
        Err(Error::shape("network", "a layer without thresholds at its end", "none"))
    }

    fn product(&self, at: usize, layer: &Layer, code: &Code) -> Result<Real> {
        let Self { cuda, rival, .. } = self;
        let (rows, [outputs, depth]) = (code.dim.0, layer.shape);
        let (size, sums) = ([rows, outputs, depth], Real::new(cuda, (rows, outputs))?);
        if *rival == Rival::PaperXnor && at > 0 {
            paper_xnor(cuda, size, [&code.planes, &layer.weights, &sums.data])?;
            return Ok(sums);
        }
        let reals = decode(cuda, code, &*cuda.windows(&Gather::Rows)?, rows)?;
        if matches!(rival, Rival::PaperXnor | Rival::PaperFloat) {
            paper_float(cuda, size, [&reals, &layer.weights, &sums.data])?;
            return Ok(sums);
        }
        let rounding = if *rival == Rival::Tf32 { Rounding::Tensor } else { Rounding::Single };
        let (a, b) = ((&reals, false), (&layer.weights, true));
        cuda.gemm(&Gemm { size, a, b, c: &sums.data, rounding })?;
        Ok(sums)
    }
}

impl Cut {
    fn new(cuda: &Cuda, cuts: &Matrix) -> Result<Self> {
        let row = |value| cuda.put(Array2::from_elem(cuts.dim(), value).view());
        let running = Running { mean: cuda.put(cuts.view())?, spread: row(1.0)? };
        Ok(Self { ones: row(1.0)?, zeros: row(0.0)?, running })
    }

    /// +1 where a sum reaches its threshold.
    fn signs(&self, cuda: &Cuda, sums: &Real) -> Result<Code> {
        let Self { ones, zeros, running } = self;
        let above = cuda.norm_eval(sums, ones, zeros, running, &Norm::theano())?;
        cuda.encode(&above, &Quant::sign(), None)
    }
}
