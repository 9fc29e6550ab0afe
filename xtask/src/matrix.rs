//! The matrix of cells: experiments x data sets x backends x seeds, for one tier.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a spec says for one tier, as `bnn spec --json` prints it.
#[derive(Debug, Deserialize)]
pub struct Plan {
    /// Where it was read.
    #[serde(skip)]
    pub file: PathBuf,
    /// Name of the experiment.
    pub name: String,
    /// Data sets it runs on.
    pub data: Vec<String>,
    /// Backends it runs on.
    pub backends: Vec<String>,
    /// Seeds it runs with.
    pub seeds: Vec<u64>,
    /// What results are read by.
    #[serde(flatten)]
    pub about: About,
}

/// What a result is read by: it goes into the result file, and may change without another run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// One line for tables.
    pub title: String,
    /// What differs from the paper.
    #[serde(default)]
    pub deviations: Vec<String>,
    /// Figures to reach, by the name of a metric.
    #[serde(default)]
    pub expect: BTreeMap<String, Expect>,
    /// The whole spec with the overrides of its tier.
    pub spec: Value,
}

/// Bounds for the mean of a metric over the seeds, and the paper's figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// Upper bound.
    pub at_most: Option<f64>,
    /// Lower bound.
    pub at_least: Option<f64>,
    /// What the paper or its authors report.
    pub paper: Option<f64>,
}

/// The coordinates of a cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Name of the tier.
    pub tier: String,
    /// Name of the experiment.
    pub spec: String,
    /// Name of the data set.
    pub data: String,
    /// Name of the backend, as asked for.
    pub backend: String,
    /// Seed of weights, order and noise.
    pub seed: u64,
}

/// One run of the matrix.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Its coordinates.
    pub key: Key,
    /// The experiment it belongs to.
    pub plan: Rc<Plan>,
}

/// What the command line picks of the matrix.
#[derive(Debug, Default)]
pub struct Choice {
    /// Replaces the backends of the specs.
    pub backend: Option<String>,
    /// Takes the first seeds only.
    pub seeds: Option<usize>,
}

/// Names of cells that a pattern matches.
#[derive(Debug)]
pub struct Only(Option<GlobMatcher>);

impl Key {
    /// `<spec>.<data>.<backend>.s<seed>`, safe as a file name.
    pub fn name(&self) -> String {
        let Self { spec, data, backend, seed, .. } = self;
        file_safe(&format!("{spec}.{data}.{backend}.s{seed}"))
    }
}

impl Only {
    /// Compiles a pattern; none matches everything.
    ///
    /// # Errors
    /// A pattern that is no glob.
    pub fn new(pattern: Option<&str>) -> Result<Self> {
        let compile =
            |text| Glob::new(text).with_context(|| format!("--only `{text}` is not a glob"));
        Ok(Self(pattern.map(compile).transpose()?.map(|glob| glob.compile_matcher())))
    }

    /// Whether the cell of this name is chosen.
    pub fn takes(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|glob| glob.is_match(name))
    }

    /// Refuses a pattern that takes none of the names.
    ///
    /// # Errors
    /// Lists the names that there are.
    pub fn check<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        let names: Vec<&str> = names.collect();
        let Some(glob) = self.0.as_ref().filter(|_| !names.iter().any(|name| self.takes(name)))
        else {
            return Ok(());
        };
        bail!("--only `{}` matches no cell; there are:\n  {}", glob.glob(), names.join("\n  "))
    }
}

/// Every cell of the plans, in the order of specs, data sets, backends, seeds.
pub fn expand(plans: Vec<Plan>, tier: &str, choice: &Choice) -> Vec<Cell> {
    plans.into_iter().map(Rc::new).flat_map(|plan| cells(&plan, tier, choice)).collect()
}

/// The same text with all but letters, digits, `-`, `_` and `.` replaced by `-`; never empty, and
/// never `.` or `..`.
pub fn file_safe(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let safe: String = text.chars().map(keep).collect();
    if safe.trim_matches('.').is_empty() { format!("-{safe}") } else { safe }
}

fn cells(plan: &Rc<Plan>, tier: &str, choice: &Choice) -> Vec<Cell> {
    let backends = match &choice.backend {
        Some(backend) => std::slice::from_ref(backend),
        None => &plan.backends,
    };
    let mut cells = Vec::new();
    for data in &plan.data {
        for backend in backends {
            for &seed in plan.seeds.iter().take(choice.seeds.unwrap_or(usize::MAX)) {
                let (spec, data, backend) = (plan.name.clone(), data.clone(), backend.clone());
                let key = Key { tier: tier.into(), spec, data, backend, seed };
                cells.push(Cell { key, plan: Rc::clone(plan) });
            }
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let text = r#"{"name": "mlp", "title": "MLP", "data": ["mnist", "digits"], "spec": {},
            "backends": ["cpu", "tch/cuda:0"], "seeds": [3, 4, 5], "epochs": 2}"#;
        serde_json::from_str(text).unwrap()
    }

    fn names(choice: &Choice) -> Vec<String> {
        expand(vec![plan()], "quick", choice).iter().map(|cell| cell.key.name()).collect()
    }

    #[test]
    fn the_matrix_is_the_whole_product_with_file_safe_names() {
        let names = names(&Choice::default());
        assert_eq!(names.len(), 12);
        assert_eq!(names[0], "mlp.mnist.cpu.s3");
        assert_eq!(names[11], "mlp.digits.tch-cuda-0.s5");
    }

    #[test]
    fn a_choice_takes_the_first_seeds_and_another_backend() {
        let names = names(&Choice { backend: Some("cpu/avx2".into()), seeds: Some(1) });
        assert_eq!(names, ["mlp.mnist.cpu-avx2.s3", "mlp.digits.cpu-avx2.s3"]);
    }

    #[test]
    fn a_pattern_without_a_match_lists_what_there_is() {
        let only = Only::new(Some("*.svhn.*")).unwrap();
        let error = only.check(["a.mnist.cpu.s0", "a.digits.cpu.s0"].into_iter()).unwrap_err();
        insta::assert_snapshot!(error);
    }

    #[test]
    fn names_cannot_leave_their_folder() {
        assert_eq!(file_safe("../a b"), "..-a-b");
        assert_eq!(file_safe(".."), "-..");
    }
}
