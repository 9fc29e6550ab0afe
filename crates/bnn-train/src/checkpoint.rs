//! The whole state of a run as a file, to go on bit for bit.

use std::path::Path;

use bnn_core::envelope::{self, Opened, Tensor};
use bnn_core::{Error as CoreError, Matrix, Param, Running, TrainBackend};
use bnn_data::limits;
use ndarray::Array2;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::block::Block;
use crate::file;
use crate::identity::Identity;
use crate::net::Net;
use crate::progress::Progress;
use crate::sound::{Facts, check_tensor};
use crate::{Error, Result};

const KIND: &str = "checkpoint";
/// Version of the checkpoint's header; those before it had none.
const FORMAT: u64 = 2;

#[derive(Serialize, Deserialize)]
struct Header {
    format: u64,
    identity: Identity,
    progress: Progress,
}

/// A checkpoint that was read.
pub struct Read {
    /// How far the run was.
    pub progress: Progress,
    /// Whether the file has a checksum; those of older versions have none.
    pub verified: bool,
}

/// Writes a checkpoint; the old file stays whole until the new one is on disk.
///
/// # Errors
/// [`Error::File`] if it cannot be written, [`Error::Checkpoint`] if the network has numbers that no
/// reader would take, as training diverged; what the backend says.
pub fn write<B: TrainBackend>(
    path: &Path,
    backend: &B,
    identity: &Identity,
    progress: &Progress,
    net: &Net<B>,
) -> Result<()> {
    let mut tensors = Vec::new();
    for (index, block) in net.blocks.iter().enumerate() {
        for (name, real) in NAMES.iter().zip(reals(block)) {
            let matrix = backend.get(real)?;
            check_tensor(name, &matrix, &block.form).map_err(|why| Error::Checkpoint {
                path: path.into(),
                why: format!(
                    "not written: {index}.{why}; training has diverged: lower the rate, or look at \
                     the inputs"
                ),
            })?;
            tensors.push(tensor(format!("{index}.{name}"), &matrix));
        }
    }
    let model = progress.model.clone();
    tensors.push(Tensor {
        name: "model".into(),
        dtype: Dtype::U8,
        shape: vec![model.len()],
        bytes: model,
    });
    let header = Header { format: FORMAT, identity: identity.clone(), progress: progress.clone() };
    file::write(path, &envelope::write(KIND, &header, &tensors)?)
}

/// Reads a checkpoint into a network built from the same spec.
///
/// # Errors
/// [`Error::File`] if it cannot be read, [`Error::Checkpoint`] if it is damaged, of another version
/// of bnn, of another spec, data set, seed or backend, or holds values that the run cannot have; what
/// the backend says.
pub fn read<B: TrainBackend>(
    path: &Path,
    backend: &B,
    identity: &Identity,
    facts: &Facts<'_>,
    net: &mut Net<B>,
) -> Result<Read> {
    let look = |first: &[u8], size| envelope::look(KIND, first, size).map_err(damage(path));
    parse((path, &file::read(path, limits::CHECKPOINT, look)?), backend, identity, facts, net)
}

/// The same of a file's name and bytes.
pub(crate) fn parse<B: TrainBackend>(
    (path, bytes): (&Path, &[u8]),
    backend: &B,
    identity: &Identity,
    facts: &Facts<'_>,
    net: &mut Net<B>,
) -> Result<Read> {
    let foreign = |why: String| Error::Checkpoint { path: path.into(), why };
    let damaged = damage(path);
    let file: Opened<'_, Value> = envelope::read(KIND, bytes).map_err(damaged)?;
    let header = header(&file.header).map_err(foreign)?;
    if let Some(what) = header.identity.difference(identity) {
        return Err(foreign(format!(
            "belongs to another {what}; remove it, or name another folder"
        )));
    }
    for (index, block) in net.blocks.iter_mut().enumerate() {
        let form = block.form.clone();
        for (name, real) in NAMES.iter().zip(reals_mut(block)) {
            let shape = backend.get(real)?.dim();
            let matrix = matrix(&file, &format!("{index}.{name}"), shape).map_err(damaged)?;
            check_tensor(name, &matrix, &form)
                .map_err(|why| damaged(CoreError::format(index, why)))?;
            *real = backend.put(matrix.view())?;
        }
        let encode = |quant| backend.encode(&block.weights.value, quant, None);
        block.code = block.form.weight_quant.as_ref().map(encode).transpose()?;
    }
    let mut progress = header.progress;
    let (_, model) = file.tensor::<1, 1>("model", Dtype::U8).map_err(damaged)?;
    progress.model = model.map(|[byte]| byte).collect();
    let asked = facts.asked(&progress);
    asked.map_err(|why| Error::Checkpoint { path: path.into(), why })?;
    facts.check(&progress).map_err(|why| damaged(CoreError::format("progress", why)))?;
    Ok(Read { progress, verified: file.verified() })
}

/// The error of a damaged file.
fn damage(path: &Path) -> impl Fn(CoreError) -> Error + Copy {
    |error| {
        let why = format!("{error}; remove it to start anew, or name another folder");
        Error::Checkpoint { path: path.into(), why }
    }
}

/// The header, or why there is none that this version can go on from.
fn header(value: &Value) -> std::result::Result<Header, String> {
    let format = value["format"].as_u64().unwrap_or(1);
    if format != FORMAT {
        let (age, remedy) = match format < FORMAT {
            true => ("an older", "finish the run with that version, or remove the file"),
            false => ("a newer", "update bnn, or remove the file"),
        };
        return Err(format!(
            "a checkpoint of {age} version of bnn (format {format}, want {FORMAT}); {remedy}"
        ));
    }
    Header::deserialize(value).map_err(|error| format!("a damaged header: {error}"))
}

/// Names of everything a layer holds, in the order of [`reals`].
const NAMES: [&str; 11] = [
    "weights.value",
    "weights.m",
    "weights.v",
    "gamma.value",
    "gamma.m",
    "gamma.v",
    "beta.value",
    "beta.m",
    "beta.v",
    "running.mean",
    "running.spread",
];

fn reals<B: TrainBackend>(block: &Block<B>) -> [&B::Real; 11] {
    let Block { weights, gamma, beta, running, .. } = block;
    let [w, g, b] = [weights, gamma, beta].map(|Param { value, m, v }| [value, m, v]);
    let Running { mean, spread } = running;
    [w[0], w[1], w[2], g[0], g[1], g[2], b[0], b[1], b[2], mean, spread]
}

fn reals_mut<B: TrainBackend>(block: &mut Block<B>) -> [&mut B::Real; 11] {
    let Block { weights, gamma, beta, running, .. } = block;
    let Running { mean, spread } = running;
    let [[w0, w1, w2], [g0, g1, g2], [b0, b1, b2]] =
        [weights, gamma, beta].map(|Param { value, m, v }| [value, m, v]);
    [w0, w1, w2, g0, g1, g2, b0, b1, b2, mean, spread]
}

fn tensor(name: String, matrix: &Matrix) -> Tensor {
    let bytes = matrix.iter().flat_map(|x| x.to_le_bytes()).collect();
    Tensor { name, dtype: Dtype::F32, shape: vec![matrix.nrows(), matrix.ncols()], bytes }
}

fn matrix(file: &Opened<'_, Value>, name: &str, want: (usize, usize)) -> bnn_core::Result<Matrix> {
    let ([rows, columns], elements) = file.tensor::<2, 4>(name, Dtype::F32)?;
    if (rows, columns) != want {
        return Err(CoreError::format(name, format!("{rows} x {columns} numbers, want {want:?}")));
    }
    let elements = elements.map(f32::from_le_bytes).collect();
    Array2::from_shape_vec(want, elements).map_err(|error| CoreError::format(name, error))
}
