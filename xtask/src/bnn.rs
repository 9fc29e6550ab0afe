//! The `bnn` binary as seen from outside: built by cargo, asked for specs, run for cells.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::matrix::{Key, Plan};
use crate::record;

/// The binary that does the work.
#[derive(Debug)]
pub struct Bnn {
    path: PathBuf,
    /// SHA-256 of the binary, in hexadecimal.
    pub digest: String,
}

/// Where a cell runs.
#[derive(Debug)]
pub struct Place<'a> {
    /// Folder for the model.
    pub out: &'a Path,
    /// Folder of the data sets, if not the usual one.
    pub data_dir: Option<&'a Path>,
    /// Whether to go on from the checkpoint in the folder; what is there is replaced otherwise.
    pub resume: bool,
}

impl Bnn {
    /// A binary that is already there.
    ///
    /// # Errors
    /// A path that cannot be read.
    pub fn at(path: PathBuf) -> Result<Self> {
        let bytes = crate::folder::read(&path)?;
        Ok(Self { path, digest: record::digest(&bytes) })
    }

    /// Builds the binary of the workspace, with cargo's output shown; with the feature that the
    /// backend needs, if it is one.
    ///
    /// # Errors
    /// A build that fails.
    pub fn build(root: &Path, features: Option<&str>, backend: Option<&str>) -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(root).args(["build", "--release", "--package", "bnn", "--bin", "bnn"]);
        command.arg("--message-format=json-render-diagnostics");
        let features = features.into_iter().chain(backend.and_then(feature));
        command.args(features.map(|names| format!("--features={names}")));
        let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
        if !output.status.success() {
            bail!("`cargo build --release --package bnn` failed: {}", output.status);
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let path =
            messages.lines().find_map(executable).context("cargo built no binary named `bnn`")?;
        Self::at(path)
    }

    /// Reads the experiments that are in a tier.
    ///
    /// # Errors
    /// Broken specs, all of them at once; two specs of one name; a tier without a spec.
    pub fn plans(&self, files: &[PathBuf], tier: &str) -> Result<Vec<Plan>> {
        let (mut plans, mut tiers, mut broken) = (Vec::<Plan>::new(), Vec::new(), Vec::new());
        for file in files {
            match self.plan(file, tier) {
                Ok((all, plan)) => (tiers.extend(all), plans.extend(plan)).0,
                Err(error) => broken.push(format!("{error:#}")),
            }
        }
        if !broken.is_empty() {
            bail!("{}", broken.join("\n"));
        }
        if plans.is_empty() {
            tiers.sort();
            tiers.dedup();
            bail!("no experiment is in the tier `{tier}`; their tiers are: {}", tiers.join(", "));
        }
        no_twins(&plans)?;
        Ok(plans)
    }

    /// The command that trains a cell.
    pub fn train(&self, file: &Path, key: &Key, place: &Place<'_>) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("train").arg(file).args(["--tier", &key.tier, "--data", &key.data]);
        command.args(["--backend", &key.backend, "--seed", &key.seed.to_string(), "--json"]);
        command.arg("--out").arg(place.out);
        command.arg(if place.resume { "--resume" } else { "--force" });
        if let Some(dir) = place.data_dir {
            command.arg("--data-dir").arg(dir);
        }
        command
    }

    /// Those of the experiments that are in a tier.
    ///
    /// # Errors
    /// A broken spec.
    pub fn in_tier(&self, files: &[PathBuf], tier: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for file in files {
            let (_, plan) = self.plan(file, tier)?;
            found.extend(plan.map(|plan| plan.file));
        }
        Ok(found)
    }

    /// What one image costs the network of an experiment, as JSON; or why that cannot be counted.
    ///
    /// # Errors
    /// A binary that has no such command.
    pub fn cost(&self, file: &Path, tier: &str) -> Result<Result<Value, String>> {
        let mut command = Command::new(&self.path);
        command.arg("cost").arg(file).args(["--tier", tier, "--json"]);
        let output =
            command.output().with_context(|| format!("cannot run {}", self.path.display()))?;
        match output.status.code() {
            Some(0) => {
                let place = || format!("`bnn cost {} --tier {tier} --json`", file.display());
                Ok(Ok(serde_json::from_slice(&output.stdout).with_context(place)?))
            }
            Some(1) => Ok(Err(complaint("bnn cost", &output))),
            _ => bail!("{}: {}", file.display(), complaint("bnn cost", &output)),
        }
    }

    /// The command that times cases on one thread.
    pub fn bench(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(["bench", "--json"]);
        command
    }

    /// The tiers of a spec, and what it says for one of them if it is in it.
    fn plan(&self, file: &Path, tier: &str) -> Result<(Vec<String>, Option<Plan>)> {
        let place = || format!("`bnn spec {} --tier {tier}`", file.display());
        let mut command = Command::new(&self.path);
        command.arg("spec").arg(file).args(["--tier", tier, "--json"]);
        let output =
            command.output().with_context(|| format!("cannot run {}", self.path.display()))?;
        if !output.status.success() {
            bail!("{}: {}", file.display(), complaint("bnn spec", &output));
        }
        let value: Value = serde_json::from_slice(&output.stdout).with_context(place)?;
        let tiers = serde_json::from_value(value["tiers"].clone()).with_context(place)?;
        if value["tier"].is_null() {
            return Ok((tiers, None));
        }
        let plan: Plan = serde_json::from_value(value).with_context(place)?;
        Ok((tiers, Some(Plan { file: file.into(), ..plan })))
    }
}

fn no_twins(plans: &[Plan]) -> Result<()> {
    for (i, plan) in plans.iter().enumerate() {
        if let Some(twin) = plans[..i].iter().find(|other| other.name == plan.name) {
            let (a, b) = (twin.file.display(), plan.file.display());
            bail!("{a} and {b} are both named `{}`: rename one", plan.name);
        }
    }
    Ok(())
}

/// What a child said before it failed, without its own `error:`.
pub fn complaint(command: &str, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let text = text.trim();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    if text.is_empty() {
        format!("`{command}` failed: {}", output.status)
    } else if text.contains("error while loading shared libraries") {
        format!("{text}; if that is a part of libtorch, `cargo xtask libtorch` brings it back")
    } else {
        text.into()
    }
}

/// The feature of `bnn` that has a backend, if it is not a default one.
fn feature(backend: &str) -> Option<&'static str> {
    let name = backend.split([':', '/']).next();
    ["cuda", "tch"].into_iter().find(|feature| name == Some(feature))
}

/// The path of the binary in a line of cargo's messages.
fn executable(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_bnn = message["target"]["name"] == "bnn";
    message["executable"].as_str().filter(|_| is_bnn).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_resumed_where_it_is_asked_for() {
        let bnn = Bnn { path: "bnn".into(), digest: String::new() };
        let key = Key {
            tier: "quick".into(),
            spec: "mlp".into(),
            data: "digits".into(),
            backend: "cpu".into(),
            seed: 3,
        };
        for resume in [false, true] {
            let place = Place { out: Path::new("runs/mlp"), data_dir: None, resume };
            let command = bnn.train(Path::new("mlp.toml"), &key, &place);
            assert_eq!(command.get_args().any(|arg| arg == "--resume"), resume);
            assert_eq!(command.get_args().any(|arg| arg == "--force"), !resume);
        }
    }

    #[test]
    fn a_backend_names_its_feature() {
        let backends = ["tch", "tch:cuda", "cuda:1", "cuda/tf32", "cpu/avx2", "reference"];
        let features = [Some("tch"), Some("tch"), Some("cuda"), Some("cuda"), None, None];
        assert_eq!(backends.map(feature), features);
    }

    #[test]
    fn the_executable_is_found_among_the_messages_of_cargo() {
        let library = r#"{"reason":"compiler-artifact","target":{"name":"bnn"},"executable":null}"#;
        let binary =
            r#"{"reason":"compiler-artifact","target":{"name":"bnn"},"executable":"/t/bnn"}"#;
        let other = r#"{"reason":"compiler-artifact","target":{"name":"x"},"executable":"/t/x"}"#;
        let found: Vec<_> =
            [library, other, "warning", binary].into_iter().map(executable).collect();
        assert_eq!(found, [None, None, None, Some("/t/bnn".into())]);
    }
}
