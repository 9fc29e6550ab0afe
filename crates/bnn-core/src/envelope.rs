//! The frame of every model file: safetensors with one JSON header that says what the file is.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, View, serialize};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The version written, and the newest one read.
pub const VERSION: u32 = 1;

/// The only metadata key: several would be written in random order.
const KEY: &str = "bnn";

/// A named tensor on its way to a file; bytes are little-endian, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Unique name.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// The elements.
    pub bytes: Vec<u8>,
}

/// What was read from a file: its header and its tensors.
pub struct Opened<'a, H> {
    /// The header of its kind.
    pub header: H,
    tensors: SafeTensors<'a>,
}

#[derive(Serialize, Deserialize)]
struct Framed<H> {
    kind: String,
    version: u32,
    #[serde(flatten)]
    rest: H,
}

/// Writes a file of a kind, such as `frozen` or `checkpoint`; the same content gives the same bytes.
///
/// # Errors
/// [`Error::Format`] if a tensor's size and bytes disagree.
pub fn write(kind: &str, header: &impl Serialize, tensors: &[Tensor]) -> Result<Vec<u8>> {
    let framed = Framed { kind: kind.into(), version: VERSION, rest: header };
    let json = serde_json::to_string(&framed).map_err(|error| Error::format("header", error))?;
    let metadata = HashMap::from([(KEY.to_string(), json)]);
    let named = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor));
    serialize(named, Some(metadata)).map_err(|error| Error::format("tensors", error))
}

/// Reads a file of a kind.
///
/// # Errors
/// [`Error::Format`] for bytes that are not safetensors, not ours, of another kind, of a newer
/// version, or whose header is not that kind's.
pub fn read<'a, H: DeserializeOwned>(kind: &str, bytes: &'a [u8]) -> Result<Opened<'a, H>> {
    let damaged = |error: &dyn std::fmt::Display| {
        Error::format("file", format!("not a model file, or a damaged one ({error})"))
    };
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
    let json = metadata.metadata().as_ref().and_then(|entries| entries.get(KEY));
    let json = json.ok_or_else(|| {
        Error::format("header", "no `bnn` entry: a safetensors file of another program")
    })?;
    let bad = |error| Error::format("header", error);
    let about: Framed<serde_json::Value> = serde_json::from_str(json).map_err(bad)?;
    if about.kind != kind {
        let (is, want) = (describe(&about.kind), describe(kind));
        let why = format!("this is a {is}, not a {want}{}", remedy(kind));
        return Err(Error::format("header", why));
    }
    if about.version > VERSION {
        let why = format!("version {} is newer than {VERSION}: update bnn", about.version);
        return Err(Error::format("header", why));
    }
    Ok(Opened { header: serde_json::from_value(about.rest).map_err(bad)?, tensors })
}

impl<H> Opened<'_, H> {
    /// The elements of a tensor of the given type and number of dimensions, and its shape.
    ///
    /// # Errors
    /// [`Error::Format`] if it is missing or of another type or rank.
    pub fn tensor<const RANK: usize, const WIDTH: usize>(
        &self,
        name: &str,
        dtype: Dtype,
    ) -> Result<([usize; RANK], impl Iterator<Item = [u8; WIDTH]>)> {
        let missing = |_| Error::format(name, "the tensor is missing");
        let tensor = self.tensors.tensor(name).map_err(missing)?;
        let shape = <[usize; RANK]>::try_from(tensor.shape());
        let Some(shape) = shape.ok().filter(|_| tensor.dtype() == dtype) else {
            let got = format!("{:?} of shape {:?}", tensor.dtype(), tensor.shape());
            return Err(Error::format(name, format!("want {dtype:?} of rank {RANK}, got {got}")));
        };
        let elements = tensor.data().chunks_exact(WIDTH);
        Ok((shape, elements.map(|bytes| bytes.try_into().expect("chunks of this width"))))
    }
}

/// What a kind of file holds, in words.
fn describe(kind: &str) -> String {
    match kind {
        "checkpoint" => "checkpoint (latent weights and optimizer state)".into(),
        "frozen" => "frozen model (bits and thresholds)".into(),
        other => format!("file of kind `{other}`"),
    }
}

fn remedy(kind: &str) -> &'static str {
    match kind {
        "frozen" => "; training writes the frozen model beside its checkpoint",
        _ => "",
    }
}

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
