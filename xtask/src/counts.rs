//! What one image costs the networks of the experiments, as the binary counts it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bnn::Bnn;
use crate::{atomic, folder};

/// Version of the file, and of what the binary prints for a network.
const FORMAT: u64 = 1;
/// Name of the file in the folder of a tier, and among the published results.
const FILE: &str = "counts.json";
/// The tier whose networks are counted: those of the paper's size.
const TIER: &str = "paper";

/// The networks of the paper's size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Version of the file's layout.
    pub format: u64,
    /// Commit of the binary that counted.
    pub revision: String,
    /// Networks that differ, each once.
    pub networks: Vec<Network>,
    /// Experiments that could not be counted, and why.
    pub skipped: Vec<String>,
}

/// A network, for one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// The experiments that have it.
    pub specs: Vec<String>,
    /// Its first data set.
    pub data: String,
    /// Its layers.
    pub layers: Vec<Layer>,
}

/// A layer, for one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Multiply-adds, those in the padding included.
    pub multiply_adds: u64,
    /// The same in products of single bits; none where a real is multiplied.
    pub bit_products: Option<u64>,
    /// Bits of the layer as it is.
    pub own: Traffic,
    /// Bits of the same layer in 8-bit integers.
    pub int8: Traffic,
    /// Bits of the same layer in f32.
    pub f32: Traffic,
}

/// Bits that cross between memory and arithmetic, each value once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Weights read.
    pub weights: u64,
    /// Activations read.
    pub read: u64,
    /// Outputs written.
    pub written: u64,
}

impl Traffic {
    /// All bits.
    pub fn bits(&self) -> u64 {
        self.weights + self.read + self.written
    }
}

impl Network {
    /// Multiply-adds of all layers.
    pub fn multiply_adds(&self) -> u64 {
        self.layers.iter().map(|layer| layer.multiply_adds).sum()
    }

    /// Products of single bits; none if a layer multiplies reals.
    pub fn bit_products(&self) -> Option<u64> {
        self.layers.iter().map(|layer| layer.bit_products).sum()
    }

    /// The traffic of all layers in one form.
    pub fn traffic(&self, form: fn(&Layer) -> Traffic) -> Traffic {
        self.layers.iter().map(form).fold(Traffic::default(), |sum, layer| Traffic {
            weights: sum.weights + layer.weights,
            read: sum.read + layer.read,
            written: sum.written + layer.written,
        })
    }
}

impl Counts {
    /// Asks the binary for the networks of the paper's tier.
    ///
    /// # Errors
    /// Broken specs; what is printed by a binary of another version.
    pub fn ask(bnn: &Bnn, files: &[PathBuf], revision: &str) -> Result<Self> {
        let mut all = Self {
            format: FORMAT,
            revision: revision.into(),
            networks: Vec::new(),
            skipped: Vec::new(),
        };
        for file in bnn.in_tier(files, TIER)? {
            match bnn.cost(&file, TIER)? {
                Ok(told) => all.add(network(&told).with_context(|| {
                    format!("`bnn cost {} --tier {TIER} --json`", file.display())
                })?),
                Err(why) => all.skipped.push(why),
            }
        }
        Ok(all)
    }

    /// Networks of equal layers are one.
    fn add(&mut self, network: Network) {
        let same = |other: &&mut Network| other.layers == network.layers;
        match self.networks.iter_mut().find(same) {
            Some(other) => other.specs.extend(network.specs),
            None => self.networks.push(network),
        }
    }

    /// Reads the file of a folder, if there is one.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let place = || format!("{} holds no counts of this version", path.display());
        if path.metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Ok(None);
        }
        let text = crate::folder::text(&path)?;
        let value: Value = serde_json::from_str(&text).with_context(place)?;
        let format = &value["format"];
        ensure!(*format == FORMAT, "{}: format {format}, want {FORMAT}", place());
        serde_json::from_value(value).map(Some).with_context(place)
    }

    /// The newest file in a folder and in the folders right below it.
    ///
    /// # Errors
    /// As [`read`](Self::read); a folder that cannot be read.
    pub fn newest(folder: &Path) -> Result<Option<Self>> {
        let mut folders = folder::children(folder)?;
        folders.push(folder.into());
        let age = |folder: &PathBuf| std::fs::metadata(folder.join(FILE)).ok()?.modified().ok();
        let newest = folders.iter().filter(|folder| age(folder).is_some()).max_by_key(|it| age(it));
        newest.map_or(Ok(None), |folder| Self::read(folder))
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        atomic::write(&folder.join(FILE), &(serde_json::to_string_pretty(self)? + "\n"))
    }
}

/// Whether a file holds counts, by its name.
pub fn is(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == FILE)
}

/// A network as the binary prints it.
fn network(told: &Value) -> Result<Network> {
    #[derive(Deserialize)]
    struct Told {
        spec: String,
        data: String,
        layers: Vec<Layer>,
    }
    let format = &told["format"];
    ensure!(*format == FORMAT, "format {format}, want {FORMAT}");
    let Told { spec, data, layers } = Told::deserialize(told)?;
    Ok(Network { specs: vec![spec], data, layers })
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// A network of one layer of 100 inputs and 10 outputs.
    pub fn sample() -> Counts {
        let layer = json!({
            "multiply_adds": 1000, "bit_products": 8000,
            "own": { "weights": 1000, "read": 800, "written": 320 },
            "int8": { "weights": 8000, "read": 800, "written": 320 },
            "f32": { "weights": 32000, "read": 3200, "written": 320 },
        });
        let told = json!({ "format": 1, "spec": "mlp", "data": "digits", "layers": [layer] });
        let (networks, skipped) = (vec![network(&told).unwrap()], vec!["a.toml: unknown".into()]);
        Counts { format: FORMAT, revision: "0123456789".into(), networks, skipped }
    }

    #[test]
    fn equal_networks_are_one() {
        let mut counts = sample();
        let mut twin = counts.networks[0].clone();
        twin.specs = vec!["twin".into()];
        let mut other = twin.clone();
        other.layers[0].bit_products = None;
        counts.add(twin);
        counts.add(other);
        let names: Vec<_> = counts.networks.iter().map(|network| network.specs.join(" ")).collect();
        assert_eq!(names, ["mlp twin", "twin"]);
        assert_eq!(counts.networks[1].bit_products(), None);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Counts::newest(root.path()).unwrap(), None);
        let folder = root.path().join("quick");
        sample().write(&folder).unwrap();
        assert_eq!(Counts::newest(root.path()).unwrap(), Some(sample()));
        let path = folder.join(FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        for (from, to) in [("\"format\": 1", "\"format\": 7"), ("\"read\"", "\"x\""), ("{", "")] {
            std::fs::write(&path, whole.replacen(from, to, 1)).unwrap();
            let error = format!("{:#}", Counts::read(&folder).unwrap_err());
            assert!(error.contains("counts.json holds no counts of this version"), "{error}");
        }
    }
}
