//! The preprocessing of a spec: fitted once, kept in files, and found again for a frozen model.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bnn_core::envelope::{self, Opened, Tensor};
use bnn_core::{Error as CoreError, Frozen, Preprocess};
use bnn_data::preprocess::{Parts, Step, Transform, Whitening, key};
use bnn_data::{Dataset, Error as DataError, Images, limits};
use ndarray::Array2;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::folder::CHECKPOINT_FILE;
use crate::spec::Chain;
use crate::{Error, Result, file};

const KIND: &str = "preprocess";

/// What the name of a fit's file has before and behind its digest.
const PREFIX: &str = "preprocess-";
const SUFFIX: &str = ".safetensors";

/// Digits of a digest that are in the name.
const DIGITS: usize = 12;

/// Subfolder of a cache folder that fitted transforms lie in.
const CACHED: &str = "fitted";

/// Name there of whichever fit is being written.
const WRITTEN: &str = "fit.part";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    steps: Vec<String>,
    height: usize,
    width: usize,
    channels: usize,
    limit: f32,
    digest: String,
    /// In a cache, what it was fitted to: the name of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// A data set that is prepared, and what went wrong beside that.
pub struct Prepared {
    /// The data set, its images codes.
    pub data: Dataset,
    /// Why what was fitted is not in the cache: the next run fits it anew.
    pub uncached: Option<Error>,
}

/// What takes a while of a preparation, told as it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The chain is fitted to training images; what is found in the cache is not.
    Fit {
        /// How many.
        images: usize,
    },
    /// The chain is done to the images of the data set.
    Apply {
        /// How many.
        images: usize,
    },
}

/// Where a fit is kept for other runs, and who is told; nothing here changes its result.
pub struct Care<'a> {
    /// The user's cache folder; none keeps nothing.
    pub cache: Option<&'a Path>,
    /// Threads to work on.
    pub threads: usize,
    /// Is told what begins.
    pub watch: &'a dyn Fn(Stage),
}

/// Does to the images of a data set what a chain says, fitted to its training images alone.
///
/// Whitenings, which take long to fit, are kept in the cache under a name that is a digest of the steps
/// and the training images, and read from there. The number of threads changes no byte.
///
/// # Errors
/// [`Error::Spec`] for images that a step cannot take, [`Error::Preprocess`] for a file in the cache
/// that is damaged or does not hold what its name says, [`Error::File`] for one that cannot be read. A
/// cache that may not be looked into, or not written to, is told in [`Prepared::uncached`].
pub fn prepare(chain: &Chain, data: Dataset, care: &Care<'_>) -> Result<Prepared> {
    if chain.is_linear() {
        return Ok(Prepared { data, uncached: None });
    }
    let (transform, uncached) = match care.cache.filter(|_| whitens(&chain.0)) {
        Some(cache) => cached(&chain.0, &data.train, &cache.join(CACHED), care)?,
        None => (fit(&chain.0, &data.train, care)?, None),
    };
    let images = data.train.len() + data.validation.len() + data.test.len();
    (care.watch)(Stage::Apply { images });
    Ok(Prepared { data: data.prepare(Arc::new(transform), care.threads)?, uncached })
}

/// Whether the cache has what [`prepare`] would fit, so that nothing is fitted.
///
/// It reads all images, and of the cache no more than whether the file is there.
///
/// # Errors
/// [`Error::Preprocess`] where the system cannot tell.
pub fn is_cached(chain: &Chain, images: &Images, cache: &Path) -> Result<bool> {
    Ok(whitens(&chain.0) && in_cache(&cached_at(&cache.join(CACHED), &key(&chain.0, images)))?)
}

/// Fits the steps of a spec: images that they cannot take are the spec's fault.
fn fit(steps: &[Step], images: &Images, care: &Care<'_>) -> Result<Transform> {
    (care.watch)(Stage::Fit { images: images.len() });
    Transform::fit(steps, images, care.threads).map_err(|error| match error {
        DataError::Preprocess { step, why } => Error::spec(format!("preprocess, `{step}`"), why),
        error => error.into(),
    })
}

/// The transform that made the images which a frozen network was trained on; none if it reads pixels
/// as they are. What was fitted to whiten lies beside the model.
///
/// # Errors
/// [`Error::Preprocess`] naming the file that is absent, damaged, or not the one that the network was
/// trained with, [`Error::File`] one that cannot be read.
pub fn for_model(network: &Frozen, model: &Path) -> Result<Option<Transform>> {
    let Some(done) = &network.preprocess else { return Ok(None) };
    let at = |path: &Path, why: String| Error::Preprocess { path: path.into(), why };
    let steps = steps_of(&done.steps).map_err(|why| at(model, why))?;
    let beside = model.with_file_name(file_name(&done.digest));
    let (path, transform) = if whitens(&steps) {
        if !file::is_there(&beside)? {
            let why = format!(
                "not there, and the model reads images preprocessed by `{}` as fitted in this file; \
                 copy it from the folder of the run that made the model, or train again",
                done.steps.join("`, `"),
            );
            return Err(at(&beside, why));
        }
        let remedy = "copy it anew from the folder of the run that made the model, or train again";
        let (transform, _) = read(&beside, remedy)?;
        (beside, transform)
    } else {
        let grid = network.input.grid;
        let size = (grid.height, grid.width, network.input.channels);
        let parts = Parts { steps, size, limit: done.limit, whitenings: vec![] };
        let transform = Transform::new(parts).map_err(|error| at(model, error.to_string()))?;
        (model.to_path_buf(), transform)
    };
    if transform.digest() != done.digest {
        let why = format!(
            "holds preprocessing of another run or data set (digest {:.12}, the model wants {:.12}); \
             put the file of the model's own run there, or train again",
            transform.digest(),
            done.digest,
        );
        return Err(at(&path, why));
    }
    let (grid, (height, width, channels)) = (network.input.grid, transform.parts().size);
    if (height, width, channels) != (grid.height, grid.width, network.input.channels) {
        let why = format!(
            "is for images of {height} x {width} x {channels} bytes, the model reads {}; put the file \
             of the model's own run there, or train again",
            network.input,
        );
        return Err(at(&path, why));
    }
    Ok(Some(transform))
}

/// Whether the images of a data set are prepared as a chain says, and not otherwise.
pub(crate) fn check(chain: &Chain, data: &Dataset) -> Result<()> {
    let done = data.preparation().map_or(&[][..], |transform| &transform.parts().steps);
    if done == chain.0 {
        return Ok(());
    }
    let text = |steps: &[Step]| Vec::from(Chain(steps.into())).join("`, `");
    Err(Error::spec(
        "preprocess",
        format!(
            "the spec says `{}`, the images of `{}` are `{}`; make them so with \
             `bnn_train::preprocess::prepare`",
            text(&chain.0),
            data.name,
            text(done),
        ),
    ))
}

/// What a model says of the transform that made its images.
pub fn record(transform: &Transform) -> Preprocess {
    let Parts { steps, limit, .. } = transform.parts();
    Preprocess {
        steps: steps.iter().map(ToString::to_string).collect(),
        limit: *limit,
        digest: transform.digest().into(),
    }
}

/// Name of the file beside a model that holds what was fitted, where that is too large for the model.
///
/// The name is part of the digest that the model knows it by: the file of one fit never replaces that of
/// another, so that a run that is killed leaves every model with its own.
pub fn file_name(digest: &str) -> String {
    format!("{PREFIX}{digest:.DIGITS$}{SUFFIX}")
}

/// Keeps what was fitted in the folder of a run, where the model has no room for it.
pub(crate) fn keep(transform: &Transform, folder: &Path) -> Result<()> {
    if !whitens(&transform.parts().steps) {
        return Ok(());
    }
    let (path, bytes) = (folder.join(file_name(transform.digest())), to_bytes(transform, None)?);
    if file::is_file(&path, &bytes) { Ok(()) } else { file::write(&path, &bytes) }
}

/// Removes from the folder of a run what was fitted for models that are no longer there, whole or half
/// written; a model that somebody put aside in the folder keeps its own. Where something cannot be read
/// that may be a model, nothing is removed.
pub(crate) fn remove_others(transform: Option<&Transform>, folder: &Path) -> Result<()> {
    let failed = |path: &Path, source| Error::File { path: path.into(), source };
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(|source| failed(folder, source))?;
    let paths: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    let (fits, others): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| is_fit(path));
    let Ok(named) = others.iter().map(|path| fit_of(path)).collect::<Result<Vec<_>>>() else {
        return Ok(());
    };
    let own = transform.map(|transform| file_name(transform.digest()));
    let kept: Vec<String> = named.into_iter().flatten().chain(own).collect();
    let unused = |path: &&PathBuf| !kept.iter().any(|name| path.ends_with(name));
    fits.iter()
        .filter(unused)
        .try_for_each(|path| std::fs::remove_file(path).map_err(|source| failed(path, source)))
}

/// Whether a file has the name of a fit, whole or half written.
fn is_fit(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let whole = name.strip_suffix(file::PART).unwrap_or(name);
    let digest = whole.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    let digits = |digest: &str| digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    digest.is_some_and(|digest| digest.len() == DIGITS && digits(digest)) && path.is_file()
}

/// The name of the fit that a model wants beside it; none for what is no model.
fn fit_of(path: &Path) -> Result<Option<String>> {
    let checkpoint = path.ends_with(CHECKPOINT_FILE); // hundreds of megabytes, and of this run
    if checkpoint || path.extension() != Some(OsStr::new("safetensors")) {
        return Ok(None);
    }
    let look = |first: &[u8], size| Ok(Frozen::look(first, size)?);
    let bytes = match file::read(path, limits::MODEL, look) {
        Err(Error::Backend(_)) => return Ok(None),
        read => read?,
    };
    let model = Frozen::from_bytes(&bytes).ok();
    Ok(model.and_then(|model| model.preprocess).map(|done| file_name(&done.digest)))
}

fn whitens(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Zca { .. }))
}

fn cached_at(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}{SUFFIX}"))
}

/// Whether a file is in the cache.
fn in_cache(path: &Path) -> Result<bool> {
    file::is_there(path).map_err(|error| match error {
        Error::File { path, source } => {
            let why = format!(
                "whether it was fitted before cannot be told ({source}); make its folder readable, or \
                 have XDG_CACHE_HOME name another cache folder"
            );
            Error::Preprocess { path, why }
        }
        other => other,
    })
}

fn cached(
    steps: &[Step],
    images: &Images,
    folder: &Path,
    care: &Care<'_>,
) -> Result<(Transform, Option<Error>)> {
    let key = key(steps, images);
    let path = cached_at(folder, &key);
    let known = in_cache(&path);
    if matches!(known, Ok(true)) {
        let (transform, fitted_to) = read(&path, "delete this file, and it is fitted anew")?;
        if fitted_to.as_ref() == Some(&key) {
            return Ok((transform, None));
        }
        let why = "was fitted by other steps or to other images than its name says; delete this \
                   file, and it is fitted anew";
        return Err(Error::Preprocess { path, why: why.into() });
    }
    let transform = fit(steps, images, care)?;
    let bytes = to_bytes(&transform, Some(key))?;
    let stored = known.and_then(|_| store(folder, &path, &bytes));
    Ok((transform, stored.err()))
}

/// Writes a fit beside its place, and moves it there when it is whole.
///
/// All fits are written under one name, so that however many runs are killed at it, they leave one file;
/// runs that share the cache wait for each other. Where no lock is to be had, as on some network file
/// systems or in a folder of somebody else's, a run has a name of its own.
fn store(folder: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |path: &Path, source| Error::File { path: path.into(), source };
    std::fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    let held = file::open_lock(&folder.join(file::LOCK)).ok().filter(|lock| lock.lock().is_ok());
    let part = match &held {
        Some(_) => WRITTEN.to_owned(),
        None => format!("{WRITTEN}.{}", std::process::id()),
    };
    file::write_by(&folder.join(part), path, bytes) // the lock is held until here
}

fn steps_of(steps: &[String]) -> std::result::Result<Vec<Step>, String> {
    steps.iter().map(|step| step.parse()).collect()
}

pub(crate) fn to_bytes(transform: &Transform, key: Option<String>) -> Result<Vec<u8>> {
    let Parts { size, limit, whitenings, .. } = transform.parts();
    let Preprocess { steps, digest, .. } = record(transform);
    let (height, width, channels) = *size;
    let header = Header { steps, height, width, channels, limit: *limit, digest, key };
    let mut tensors = Vec::new();
    for (index, whitening) in whitenings.iter().enumerate() {
        let (mean, matrix) = (whitening.mean(), whitening.matrix());
        tensors.push(tensor(format!("{index}.mean"), &[mean.len()], mean.iter()));
        let (rows, columns) = matrix.dim();
        tensors.push(tensor(format!("{index}.matrix"), &[rows, columns], matrix.iter()));
    }
    Ok(envelope::write(KIND, &header, &tensors)?)
}

fn tensor<'a>(name: String, shape: &[usize], numbers: impl Iterator<Item = &'a f32>) -> Tensor {
    let bytes = numbers.flat_map(|x| x.to_le_bytes()).collect();
    Tensor { name, dtype: Dtype::F32, shape: shape.into(), bytes }
}

/// A transform, and what it was fitted to if the file tells.
fn read(path: &Path, remedy: &str) -> Result<(Transform, Option<String>)> {
    let look = |first: &[u8], size| {
        envelope::look(KIND, first, size).map_err(|error| damaged(path, &error.to_string(), remedy))
    };
    parse(path, &file::read(path, limits::FITTED, look)?, remedy)
}

/// The same of what lies in a file.
pub(crate) fn parse(
    path: &Path,
    bytes: &[u8],
    remedy: &str,
) -> Result<(Transform, Option<String>)> {
    let damaged = |why: &str| damaged(path, why, remedy);
    let opened: Opened<'_, Header> =
        envelope::read(KIND, bytes).map_err(|error| damaged(&error.to_string()))?;
    let transform = transform(&opened).map_err(|error| damaged(&error.to_string()))?;
    if transform.digest() != opened.header.digest {
        return Err(damaged("its digest is not that of its numbers"));
    }
    Ok((transform, opened.header.key))
}

fn damaged(path: &Path, why: &str, remedy: &str) -> Error {
    let why = format!("no fitted preprocessing, or a damaged one ({why}); {remedy}");
    Error::Preprocess { path: path.into(), why }
}

fn transform(file: &Opened<'_, Header>) -> Result<Transform> {
    let Header { steps, height, width, channels, limit, .. } = &file.header;
    let steps = steps_of(steps).map_err(|why| CoreError::format("steps", why))?;
    let count = steps.iter().filter(|step| matches!(step, Step::Zca { .. })).count();
    let whitenings = (0..count).map(|index| {
        let (name, mean) = (format!("{index}.matrix"), format!("{index}.mean"));
        let (_, mean) = file.tensor::<1, 4>(&mean, Dtype::F32)?;
        let ([rows, columns], matrix) = file.tensor::<2, 4>(&name, Dtype::F32)?;
        let matrix =
            Array2::from_shape_vec((rows, columns), matrix.map(f32::from_le_bytes).collect());
        let matrix = matrix.map_err(|error| CoreError::format(&name, error))?;
        Ok(Whitening::new(mean.map(f32::from_le_bytes).collect(), matrix)?)
    });
    let whitenings = whitenings.collect::<Result<_>>()?;
    let size = (*height, *width, *channels);
    Ok(Transform::new(Parts { steps, size, limit: *limit, whitenings })?)
}
