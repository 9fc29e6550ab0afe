//! Frozen networks to bytes and back; the format is described in `docs/model-format.md`.

use ndarray::Array2;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::envelope::{self, Opened, Tensor};
use crate::{
    BitMatrix, Error, Frozen, Gather, Hidden, Input, Levels, Matrix, Output, Planes, Pool,
    Preprocess, Result,
};

pub(crate) const KIND: &str = "frozen";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) input: Input,
    pub(crate) hidden: Vec<HiddenHeader>,
    pub(crate) output: OutputHeader,
    pub(crate) classes: Vec<String>,
    /// Absent for networks whose images were taken as they are, as in all files before there were others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<String>,
    /// Absent for networks that read pixels as they are: readers that do not know it refuse the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) preprocess: Option<Preprocess>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HiddenHeader {
    pub(crate) weights: PlanesHeader,
    pub(crate) gather: Gather,
    pub(crate) levels: Levels,
    pub(crate) pool: Option<Pool>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputHeader {
    pub(crate) weights: PlanesHeader,
    pub(crate) gather: Gather,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanesHeader {
    pub(crate) columns: usize,
    pub(crate) scale: f32,
    pub(crate) plane_weights: Vec<i32>,
    pub(crate) masked: bool,
}

impl Frozen {
    /// The network as the bytes of a model file; equal networks give equal bytes.
    ///
    /// # Errors
    /// [`Error::Format`] if the network is not sound.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check()?;
        let mut tensors = Vec::new();
        let mut hidden = Vec::new();
        for (index, block) in self.hidden.iter().enumerate() {
            let place = format!("hidden.{index}");
            let weights = write_planes(&mut tensors, &place, &block.weights)?;
            tensors.push(integers(format!("{place}.cuts"), &block.cuts));
            let (gather, levels, pool) = (block.gather, block.levels.clone(), block.pool);
            hidden.push(HiddenHeader { weights, gather, levels, pool });
        }
        let weights = write_planes(&mut tensors, "output", &self.output.weights)?;
        let Output { mean, gain, beta, gather, .. } = &self.output;
        for (name, numbers) in [("mean", mean), ("gain", gain), ("beta", beta)] {
            tensors.push(reals(format!("output.{name}"), numbers));
        }
        let output = OutputHeader { weights, gather: *gather };
        let Self { input, classes, images, preprocess, .. } = self.clone();
        let header = Header { input, hidden, output, classes, images, preprocess };
        envelope::write(KIND, &header, &tensors)
    }

    /// Refuses what is no model by its first bytes, nine or more, and its size, before it is read.
    ///
    /// # Errors
    /// [`Error::Format`].
    pub fn look(first: &[u8], size: u64) -> Result<()> {
        envelope::look(KIND, first, size)
    }

    /// The network in the bytes of a model file; [`Frozen::load`] also tells whether they were verified.
    ///
    /// # Errors
    /// As [`Frozen::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Ok(Self::load(bytes)?.network)
    }

    /// Reads a model file, and tells whether it has a checksum.
    ///
    /// # Errors
    /// [`Error::Format`] naming the tensor or field that is missing, damaged, foreign or newer, for
    /// a checkpoint, and for a network whose layers do not fit together or that [costs](crate::Work)
    /// too much.
    pub fn load(bytes: &[u8]) -> Result<Loaded> {
        let file = envelope::read::<Header>(KIND, bytes)?;
        let network = network(&file).and_then(|network| network.check().map(|()| network));
        Ok(Loaded { network: network.map_err(unsound)?, verified: file.verified() })
    }
}

/// A network as it was read from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The network.
    pub network: Frozen,
    /// Whether the file has a checksum, which is then right. Those of older versions have none: damage to
    /// them can pass unnoticed.
    pub verified: bool,
}

/// The network that a file describes, not yet checked as a whole.
fn network(file: &Opened<'_, Header>) -> Result<Frozen> {
    let hidden = file.header.hidden.iter().enumerate();
    let hidden = hidden.map(|(index, header)| {
        let place = format!("hidden.{index}");
        Ok(Hidden {
            weights: read_planes(file, &place, &header.weights)?,
            gather: header.gather,
            cuts: read_integers(file, &format!("{place}.cuts"))?,
            levels: header.levels.clone(),
            pool: header.pool,
        })
    });
    Ok(Frozen {
        input: file.header.input,
        hidden: hidden.collect::<Result<_>>()?,
        output: Output {
            weights: read_planes(file, "output", &file.header.output.weights)?,
            gather: file.header.output.gather,
            mean: read_reals(file, "output.mean")?,
            gain: read_reals(file, "output.gain")?,
            beta: read_reals(file, "output.beta")?,
        },
        classes: file.header.classes.clone(),
        images: file.header.images.clone(),
        preprocess: file.header.preprocess.clone(),
    })
}

/// The same error with what to do about the file.
fn unsound(error: Error) -> Error {
    let remedy = "the file is damaged, or was not made by bnn: copy it anew, or train again";
    match error {
        Error::Format { place, why } => Error::Format { place, why: format!("{why}; {remedy}") },
        other => Error::format("network", format!("{other}; {remedy}")),
    }
}

fn write_planes(tensors: &mut Vec<Tensor>, place: &str, planes: &Planes) -> Result<PlanesHeader> {
    for (index, (_, plane)) in planes.planes.iter().enumerate() {
        tensors.push(bits(format!("{place}.weights.{index}"), plane));
    }
    tensors.extend(planes.mask.as_ref().map(|mask| bits(format!("{place}.mask"), mask)));
    Ok(PlanesHeader {
        columns: planes.dim()?.1,
        scale: planes.scale,
        plane_weights: planes.planes.iter().map(|(weight, _)| *weight).collect(),
        masked: planes.mask.is_some(),
    })
}

fn read_planes(file: &Opened<'_, Header>, place: &str, header: &PlanesHeader) -> Result<Planes> {
    let plane = |(index, &weight): (usize, &i32)| {
        Ok((weight, read_bits(file, &format!("{place}.weights.{index}"), header.columns)?))
    };
    let planes = header.plane_weights.iter().enumerate().map(plane).collect::<Result<_>>()?;
    let mask = header.masked.then(|| read_bits(file, &format!("{place}.mask"), header.columns));
    let planes = Planes { scale: header.scale, planes, mask: mask.transpose()? };
    planes.dim()?;
    Ok(planes)
}

fn bits(name: String, bits: &BitMatrix) -> Tensor {
    let bytes = bits.words().iter().flat_map(|word| word.to_le_bytes()).collect();
    Tensor { name, dtype: Dtype::U64, shape: vec![bits.rows(), bits.words_per_row()], bytes }
}

fn integers(name: String, matrix: &Matrix) -> Tensor {
    let bytes = matrix.iter().flat_map(|&x| (x as i32).to_le_bytes()).collect();
    Tensor { name, dtype: Dtype::I32, shape: vec![matrix.nrows(), matrix.ncols()], bytes }
}

fn reals(name: String, numbers: &[f32]) -> Tensor {
    let bytes = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    Tensor { name, dtype: Dtype::F32, shape: vec![numbers.len()], bytes }
}

fn read_bits(file: &Opened<'_, Header>, name: &str, columns: usize) -> Result<BitMatrix> {
    let ([rows, _], words) = file.tensor::<2, 8>(name, Dtype::U64)?;
    let words = words.map(u64::from_le_bytes).collect();
    BitMatrix::from_words(rows, columns, words).map_err(|error| Error::format(name, error))
}

fn read_integers(file: &Opened<'_, Header>, name: &str) -> Result<Matrix> {
    let ([rows, columns], elements) = file.tensor::<2, 4>(name, Dtype::I32)?;
    let elements = elements.map(|bytes| i32::from_le_bytes(bytes) as f32).collect();
    Array2::from_shape_vec((rows, columns), elements).map_err(|error| Error::format(name, error))
}

fn read_reals(file: &Opened<'_, Header>, name: &str) -> Result<Vec<f32>> {
    let (_, elements) = file.tensor::<1, 4>(name, Dtype::F32)?;
    Ok(elements.map(f32::from_le_bytes).collect())
}
