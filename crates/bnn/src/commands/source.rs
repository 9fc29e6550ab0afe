//! Where specs come from: files, and the experiments that are built in.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use bnn_data::{Error as Data, limits, regular};
use bnn_train::{Error, Spec};

use crate::output::{self, Usage};

/// How alike names must be, from 0 to 1, for one to be meant by the other.
const ALIKE: f64 = 0.8;

/// Names that are suggested at most.
const SUGGESTED: usize = 3;

/// The text of a spec: of the file of this name, or else of the built-in experiment.
///
/// # Errors
/// [`Usage`] with the closest names if there is neither, and for what is no text; what the system says
/// of a file that cannot be read.
pub fn text(spec: &Path) -> Result<String> {
    let place = spec.display();
    let built_in = spec.to_str().and_then(bnn_experiments::find);
    // A folder of this name is that of a run, rather than a spec.
    let taken = spec.metadata().is_ok_and(|about| !about.is_dir());
    let bytes = match built_in {
        Some(experiment) if !taken => return Ok(experiment.text.into()),
        Some(_) => {
            output::note(&format!(
                "note: {place} is the file of this name here, not the built-in spec"
            ));
            read(spec)?
        }
        None => read(spec)?,
    };
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::spec(place, format!("not valid UTF-8 from byte {at} on")).into()
    })
}

/// Reads a spec: the file of this name, or else the built-in experiment.
///
/// # Errors
/// As [`text`], and for a spec that is broken.
pub fn read_spec(spec: &Path) -> Result<Spec> {
    Ok(Spec::parse(&spec.display().to_string(), &text(spec)?)?)
}

/// A spec that was read from `path`, with the overrides of a tier that it must have.
///
/// # Errors
/// Names the tiers that it has.
pub fn in_tier(spec: &Spec, path: &Path, tier: &str) -> Result<Spec> {
    let tiers: Vec<&str> = spec.tiers.keys().map(String::as_str).collect();
    let known = if tiers.is_empty() { "no tiers".into() } else { tiers.join(", ") };
    let why = format!("no tier `{}`; it has {}", bnn_core::plain(tier), bnn_core::plain(&known));
    spec.tier(tier)?.ok_or_else(|| Error::spec(path.display(), why).into())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let place = path.display();
    let source = match regular::read(path, limits::SPEC) {
        Ok(bytes) => return Ok(bytes),
        Err(Data::File { source, .. }) => source,
        Err(other) => return Err(other.into()),
    };
    match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Err(Usage(absent(path)).into()),
        ErrorKind::InvalidInput | ErrorKind::FileTooLarge => {
            Err(Usage(format!("{place}: {source}; a spec is a text file in TOML")).into())
        }
        _ => Err(source).with_context(|| format!("{place}: cannot be read as a spec")),
    }
}

/// What to do about a spec that is neither a file nor built in.
fn absent(path: &Path) -> String {
    let meant = path.file_stem().unwrap_or_default().to_string_lossy();
    let closest = closest(&meant).into_iter().map(|name| format!("`{name}`"));
    let closest = closest.collect::<Vec<_>>().join(", ");
    let hint = if closest.is_empty() { closest } else { format!("; close to it are {closest}") };
    format!(
        "{}: no such file, and no built-in spec{hint}; `bnn spec --list` names all that are built in",
        path.display()
    )
}

/// The built-in names that a text is likely to mean, the likeliest first.
fn closest(text: &str) -> Vec<&'static str> {
    let alike = |name| strsim::jaro_winkler(text, name);
    let names = bnn_experiments::ALL.iter().map(|it| (alike(it.name), it.name));
    let mut names: Vec<_> = names.filter(|(alike, _)| *alike >= ALIKE).collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0));
    names.into_iter().take(SUGGESTED).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_suggested_first() {
        assert_eq!(closest("digits-mpl").first(), Some(&"digits-mlp"));
        assert_eq!(closest("digits_mlp").first(), Some(&"digits-mlp"));
        assert_eq!(closest("cifar-convnet").first(), Some(&"cifar-convnet"));
        assert_eq!(closest("mnist").len(), SUGGESTED);
        assert_eq!(closest("resnet50"), [""; 0]);
    }
}
