//! Experiments that time kernels: one TOML each in `experiments/bench/`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::folder;
use crate::matrix::Key;

/// A spec file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    title: String,
    paper: String,
    tier: BTreeMap<String, Tier>,
    /// The same on a GPU.
    cuda: Option<Gpu>,
}

/// What is timed on a GPU.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gpu {
    title: String,
    tier: BTreeMap<String, Tier>,
}

/// What is timed in one tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// What differs from the paper.
    pub deviations: Vec<String>,
    /// Seconds for each case, if the slowest contender lets it.
    pub seconds: f64,
    /// The case of the large product.
    pub product: String,
    /// Further cases, for the plot of rates under their roofs.
    pub cases: Vec<String>,
    /// The trained network.
    pub network: Network,
}

/// A cell of the tier whose model is timed on the test images it was trained for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    spec: String,
    /// Name of the data set.
    pub data: String,
    backend: String,
    seed: u64,
}

/// An experiment in one tier.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name, by which `--only` finds it.
    pub name: String,
    /// One line for the heading.
    pub title: String,
    /// What the paper reports, as a sentence.
    pub paper: String,
    /// Name of the tier.
    pub tier: String,
    /// What it is timed on: [`PROCESSOR`], or a GPU such as `cuda`.
    pub backend: String,
    /// What is timed.
    pub what: Tier,
}

/// The backend whose kernels are timed unless another is asked for.
pub const PROCESSOR: &str = "cpu";

impl Plan {
    /// What its files are called: experiments on a GPU lie beside those on the processor.
    pub fn id(&self) -> String {
        id(&self.name, &self.backend)
    }
}

/// The name of an experiment, with what it is timed on unless that is the processor.
pub fn id(name: &str, backend: &str) -> String {
    if backend == PROCESSOR { name.into() } else { format!("{name}.{backend}") }
}

/// The GPU of a backend, if it is one: that of `cuda:1/tf32` is `cuda:1`.
fn gpu(backend: &str) -> Option<&str> {
    let device = backend.split('/').next()?;
    (device.split(':').next() == Some("cuda")).then_some(device)
}

impl Network {
    /// The cell that trains it.
    pub fn key(&self, tier: &str) -> Key {
        let Self { spec, data, backend, seed } = self.clone();
        Key { tier: tier.into(), spec, data, backend, seed }
    }
}

/// The experiments of a tier, with networks trained on a backend other than the spec's if one is given,
/// and everything timed on it if it is a GPU; none without the folder.
///
/// # Errors
/// Names the file that cannot be read, and the place in it.
pub fn read(root: &Path, tier: &str, backend: Option<&str>) -> Result<Vec<Plan>> {
    let folder = root.join("experiments/bench");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = folder::children(&folder)?;
    files.retain(|path| folder::is(path, "toml"));
    let gpu = backend.and_then(gpu);
    let plans = files.iter().map(|path| plan(path, tier, gpu)).collect::<Result<Vec<_>>>()?;
    let mut plans: Vec<Plan> = plans.into_iter().flatten().collect();
    if let Some(backend) = backend {
        plans.iter_mut().for_each(|plan| plan.what.network.backend = backend.into());
    }
    Ok(plans)
}

fn plan(path: &Path, tier: &str, gpu: Option<&str>) -> Result<Option<Plan>> {
    let place = || path.display().to_string();
    let text = crate::folder::text(path)?;
    let File { name, title, paper, tier: tiers, cuda } =
        toml::from_str(&text).with_context(place)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    ensure!(name == stem, "{}: its name is `{name}`; call it `{stem}` as its file", place());
    let on_gpus = cuda.iter().flat_map(|cuda| &cuda.tier);
    for (tier, what) in tiers.iter().chain(on_gpus) {
        let seconds = what.seconds;
        ensure!(
            (0.0..=3600.0).contains(&seconds),
            "{}: [tier.{tier}] has seconds = {seconds}, want 0 to 3600",
            place()
        );
    }
    let (title, mut tiers) = match (gpu, cuda) {
        (None, _) => (title, tiers),
        (Some(_), Some(Gpu { title, tier })) => (title, tier),
        (Some(_), None) => return Ok(None),
    };
    let (tier, backend) = (tier.to_owned(), gpu.unwrap_or(PROCESSOR).to_owned());
    Ok(tiers.remove(&tier).map(|what| Plan { name, title, paper, tier, backend, what }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("experiments/bench");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("kernels.toml"), text).unwrap();
        format!("{:#}", read(root.path(), "quick", None).unwrap_err())
    }

    #[test]
    fn the_experiments_of_the_workspace_are_in_order() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for tier in ["smoke", "quick", "short", "paper"] {
            let plans = read(root, tier, None).unwrap();
            assert_eq!(plans.len(), 1, "{tier}");
            let network = &plans[0].what.network;
            let spec = root.join("experiments").join(network.spec.clone() + ".toml");
            let spec = std::fs::read_to_string(spec).unwrap();
            assert!(spec.contains(&format!("[tier.{tier}]")), "the model of {tier}");
        }
        let plan = &read(root, "quick", Some("cpu/avx2")).unwrap()[0];
        let cell = plan.what.network.key("quick").name();
        assert_eq!(cell, "mnist-mlp-small.mnist.cpu-avx2.s0");
        assert!(read(root, "none", None).unwrap().is_empty());
        for tier in ["smoke", "quick", "short", "paper"] {
            let [plan] = &read(root, tier, Some("cuda:1/tf32")).unwrap()[..] else {
                panic!("one on a GPU in {tier}")
            };
            assert_eq!((plan.backend.as_str(), plan.id().as_str()), ("cuda:1", "kernels.cuda:1"));
            assert_eq!(plan.what.product, "square/8192", "the paper's");
            let cell = plan.what.network.key(tier).name();
            assert!(cell.ends_with(".mnist.cuda-1-tf32.s0"), "{cell}");
            assert_ne!(plan.title, read(root, tier, None).unwrap()[0].title);
        }
        assert!(read(Path::new("nowhere"), "quick", None).unwrap().is_empty());
    }

    #[test]
    fn broken_specs_are_named_with_their_place() {
        let good = std::fs::read_to_string("../experiments/bench/kernels.toml").unwrap();
        let said = error(&good.replace("seconds = 1.0", "second = 2.0"));
        assert!(said.contains("kernels.toml") && said.contains("second"), "{said}");
        let said = error(&good.replace("name = \"kernels\"", "name = \"other\""));
        assert!(said.contains("its name is `other`; call it `kernels`"), "{said}");
        let said = error(&good.replace("seconds = 1.0", "seconds = -1.0"));
        assert!(said.contains("[tier.quick] has seconds = -1"), "{said}");
    }
}
