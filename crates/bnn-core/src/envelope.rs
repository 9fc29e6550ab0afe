//! The frame of every model file: safetensors with one JSON header that says what the file is, and a
//! checksum over that header and all tensors.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo, View, serialize};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The version written, and the newest one read. Files of version 1 have no checksum.
pub const VERSION: u32 = 2;

/// The only metadata key: several would be written in random order.
const KEY: &str = "bnn";

/// Stands in the header for the checksum while that is taken.
const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The largest header, in bytes: layers and class names take far less.
const MOST_HEADER: u64 = 4 << 20;

/// The largest header of a checkpoint, which reports on every epoch: enough for 50,000 of them.
const MOST_WITH_REPORTS: u64 = 64 << 20;

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
    verified: bool,
}

#[derive(Serialize, Deserialize)]
struct Framed<H> {
    kind: String,
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(flatten)]
    rest: H,
}

/// Writes a file of a kind, such as `frozen` or `checkpoint`; the same content gives the same bytes.
///
/// # Errors
/// [`Error::Format`] if a tensor's size and bytes disagree, or for a header that no reader would take.
pub fn write(kind: &str, header: &impl Serialize, tensors: &[Tensor]) -> Result<Vec<u8>> {
    let text = blank(kind, header)?;
    let mut sum = Checksum::new(&text);
    let mut sorted: Vec<&Tensor> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    for Tensor { name, dtype, shape, bytes } in sorted {
        sum.add(name, *dtype, shape, bytes)?;
    }
    // Its field is the first that can hold it: kind and version come before.
    let text = text.replacen(BLANK, &sum.digits(), 1);
    let metadata = HashMap::from([(KEY.to_string(), text)]);
    let named = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor));
    let bytes =
        serialize(named, Some(metadata)).map_err(|error| Error::format("tensors", error))?;
    look(kind, &bytes, bytes.len() as u64)?;
    Ok(bytes)
}

/// Bytes of the file that [`write`] would make of tensors of these names, types and shapes; none of
/// them is there.
///
/// # Errors
/// [`Error::Format`] for tensors of more bytes than any memory has, or for a header that no reader would
/// take.
pub(crate) fn size(
    kind: &str,
    header: &impl Serialize,
    mut tensors: Vec<(String, Dtype, Vec<usize>)>,
) -> Result<usize> {
    let bad = |error: &dyn std::fmt::Display| Error::format("tensors", error);
    tensors.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0))); // as safetensors does
    let (mut end, mut infos) = (0usize, Vec::with_capacity(tensors.len()));
    for (name, dtype, shape) in tensors {
        let bytes =
            shape.iter().try_fold(dtype.bitsize() / 8, |size, &side| size.checked_mul(side));
        let (start, next) = (end, bytes.and_then(|bytes| end.checked_add(bytes)));
        end = next.ok_or_else(|| bad(&"more bytes than any memory has"))?;
        infos.push((name, TensorInfo { dtype, shape, data_offsets: (start, end) }));
    }
    let text = HashMap::from([(KEY.to_string(), blank(kind, header)?)]); // as long as with its digits
    let metadata = Metadata::new(Some(text), infos).map_err(|error| bad(&error))?;
    let json = serde_json::to_string(&metadata).map_err(|error| bad(&error))?;
    let header = json.len().next_multiple_of(8);
    let size = end.checked_add(size_of::<u64>() + header);
    let size = size.ok_or_else(|| bad(&"more bytes than any memory has"))?;
    look(kind, &(header as u64).to_le_bytes(), size as u64)?;
    Ok(size)
}

/// The text of a header, with a blank for the checksum.
fn blank(kind: &str, header: &impl Serialize) -> Result<String> {
    let (kind, sha256) = (kind.into(), Some(BLANK.into()));
    let framed = Framed { kind, version: VERSION, sha256, rest: header };
    serde_json::to_string(&framed).map_err(|error| Error::format("header", error))
}

/// Reads a file of a kind; [`Opened::verified`] tells whether it had a checksum.
///
/// # Errors
/// [`Error::Format`] for bytes that are not safetensors, not ours, of another kind, of a newer
/// version, or damaged, and for a header that is not that kind's, or larger than one can be.
pub fn read<'a, H: DeserializeOwned>(kind: &str, bytes: &'a [u8]) -> Result<Opened<'a, H>> {
    let damaged = |error: &dyn std::fmt::Display| {
        let why = format!("not a model file, or a damaged one ({error}){}", whole(kind));
        Error::format("file", why)
    };
    look(kind, bytes, bytes.len() as u64)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
    let text = metadata.metadata().as_ref().and_then(|entries| entries.get(KEY));
    let text = text.ok_or_else(|| {
        let why = format!(
            "no `bnn` entry: a safetensors file of another program, or a damaged one{}",
            whole(kind)
        );
        Error::format("header", why)
    })?;
    let bad = |error| Error::format("header", format!("{error}{}", whole(kind)));
    let about: Framed<serde_json::Value> = serde_json::from_str(text).map_err(bad)?;
    if about.kind != kind {
        let (is, want) = (describe(&about.kind), describe(kind));
        let why = format!("this is a {is}, not a {want}{}", remedy(kind));
        return Err(Error::format("header", why));
    }
    if about.version > VERSION {
        let why = format!("version {} is newer than {VERSION}: update bnn", about.version);
        return Err(Error::format("header", why));
    }
    let verified = about.sha256.is_some();
    if !verified && about.version > 1 {
        let why = format!("no checksum in a file of version {}{}", about.version, whole(kind));
        return Err(Error::format("header", why));
    }
    // What is fuzzed has none that is right.
    if let Some(digits) = &about.sha256
        && !cfg!(fuzzing)
        && checksum(text, digits, &tensors)? != *digits
    {
        let why = format!(
            "its checksum is not that of its content: some of it was changed or damaged{}",
            whole(kind)
        );
        return Err(Error::format("file", why));
    }
    let header = serde_json::from_value(about.rest).map_err(bad)?;
    Ok(Opened { header, tensors, verified })
}

/// The checksum of a header with its own digits in it, and of tensors.
fn checksum(text: &str, digits: &str, tensors: &SafeTensors<'_>) -> Result<String> {
    let field = |digits: &str| format!("\"sha256\":\"{digits}\"");
    let mut sum = Checksum::new(&text.replacen(&field(digits), &field(BLANK), 1));
    let mut names = tensors.names();
    names.sort_unstable();
    for name in names {
        let tensor = tensors.tensor(name).map_err(|error| Error::format(name, error))?;
        sum.add(name, tensor.dtype(), tensor.shape(), tensor.data())?;
    }
    Ok(sum.digits())
}

/// SHA-256 in the making: lines of text, each tensor's with its bytes behind.
struct Checksum(Sha256);

impl Checksum {
    /// Begins with the header, whose checksum is blank.
    fn new(header: &str) -> Self {
        let mut sum = Self(Sha256::new());
        sum.line(header);
        sum
    }

    /// Adds a tensor, in the order of the names' bytes.
    fn add(&mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Result<()> {
        let about = serde_json::to_string(&(name, dtype, shape));
        self.line(&about.map_err(|error| Error::format(name, error))?);
        self.0.update(bytes);
        Ok(())
    }

    fn line(&mut self, text: &str) {
        self.0.update(text);
        self.0.update("\n");
    }

    fn digits(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Refuses what is no file of a kind by its first bytes, nine or more, and its size, before it is read.
///
/// The header must not be larger than one of its kind can be: parsed, it takes many times its size.
///
/// # Errors
/// [`Error::Format`].
pub fn look(kind: &str, first: &[u8], size: u64) -> Result<()> {
    let most = match kind {
        "checkpoint" => MOST_WITH_REPORTS,
        _ => MOST_HEADER,
    };
    // A file too short to have a header is refused where it is read.
    let Some((length, rest)) = first.split_first_chunk() else { return Ok(()) };
    let header = u64::from_le_bytes(*length);
    let why = if header > most {
        format!("a header of {header} bytes, where {most} are the most")
    } else if header > size.saturating_sub(length.len() as u64) {
        format!("a header of {header} bytes in a file of {size}")
    } else if rest.first().is_some_and(|&byte| byte != b'{') {
        "no header at its beginning".into()
    } else {
        return Ok(());
    };
    let why = format!("not a model file, or a damaged one ({why}){}", whole(kind));
    Err(Error::format("file", why))
}

impl<H> Opened<'_, H> {
    /// Whether the file has a checksum, which is then right; those of version 1 have none, and damage to
    /// them can pass unnoticed.
    pub fn verified(&self) -> bool {
        self.verified
    }

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

/// What to do about a damaged file, where its reader does not say it.
fn whole(kind: &str) -> &'static str {
    match kind {
        "frozen" => "; copy it anew from where it was made, or train again",
        _ => "",
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
