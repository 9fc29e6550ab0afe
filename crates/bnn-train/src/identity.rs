//! Which run a checkpoint belongs to.

use bnn_data::Dataset;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::spec::Spec;
use crate::{Error, Result};

/// Keys of a spec that say what is run of it and how it is read, but not what a run computes.
const OUTSIDE: [&str; 6] = ["title", "data", "backends", "seeds", "deviations", "expect"];

/// All that the bytes of a run depend on: resuming anything else is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The resolved spec, as far as it is computed with.
    spec: Value,
    /// Name of the data set.
    data: String,
    /// Digest of its images and labels.
    digest: String,
    /// Name of the backend, with its kernel.
    backend: String,
    /// Seed of the run.
    pub seed: u64,
}

impl Identity {
    /// The identity of a run.
    ///
    /// # Errors
    /// [`Error::Spec`] if the spec cannot be written as JSON.
    pub fn new(spec: &Spec, data: &Dataset, backend: String, seed: u64) -> Result<Self> {
        let mut spec = serde_json::to_value(spec).map_err(|error| Error::spec("spec", error))?;
        if let Value::Object(fields) = &mut spec {
            fields.retain(|key, _| !OUTSIDE.contains(&key.as_str()));
        }
        Ok(Self { spec, data: data.name.clone(), digest: data.digest(), backend, seed })
    }

    /// The first thing in which this run, of a checkpoint, is not the one wanted.
    pub fn difference(&self, wanted: &Self) -> Option<String> {
        let change = |what: &str, from: &dyn std::fmt::Display, to: &dyn std::fmt::Display| {
            Some(format!("{what} ({from}, not {to})"))
        };
        match () {
            () if self.data != wanted.data => change("data set", &self.data, &wanted.data),
            () if self.seed != wanted.seed => change("seed", &self.seed, &wanted.seed),
            () if self.backend != wanted.backend => {
                change("backend", &self.backend, &wanted.backend)
            }
            () => {
                // Before the images, which another tier can take fewer of.
                let decay = decays(&self.spec) && decays(&wanted.spec);
                let (own, other) = (computed(&self.spec, decay), computed(&wanted.spec, decay));
                if let Some((key, from, to)) = first_change("", &own, &other) {
                    let why = if key == "train.epochs" { DECAYS } else { "" };
                    return Some(format!("spec: `{key}` is {from}, not {to}{why}"));
                }
                let others =
                    || format!("data set of the name `{}`: its images are others", self.data);
                (self.digest != wanted.digest).then(others)
            }
        }
    }
}

/// Why a run cannot be continued.
const DECAYS: &str = ", and by `train.rate.to` the rates of all epochs depend on it: only runs of \
                      constant or halved rates can be continued";

/// Whether the rates of a spec depend on the number of epochs.
fn decays(spec: &Value) -> bool {
    !spec["train"]["rate"]["to"].is_null()
}

/// The spec without what says when the run ends, unless the rates `decay` until then.
fn computed(spec: &Value, decay: bool) -> Value {
    let mut spec = spec.clone();
    if let Some(train) = spec.get_mut("train").and_then(Value::as_object_mut) {
        train.remove("stop_after");
        if !decay {
            train.remove("epochs");
        }
    }
    spec
}

/// The first key, with those above it, whose values differ.
fn first_change<'a>(
    place: &str,
    from: &'a Value,
    to: &'a Value,
) -> Option<(String, &'a Value, &'a Value)> {
    let (Value::Object(a), Value::Object(b)) = (from, to) else {
        return (from != to).then(|| (place.to_string(), from, to));
    };
    let value = |map: &'a Map<String, Value>, key: &str| map.get(key).unwrap_or(&Value::Null);
    let keys = a.keys().chain(b.keys());
    keys.into_iter().find_map(|key| {
        let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        first_change(&place, value(a, key), value(b, key))
    })
}
