//! Experiments that time kernels: a large product, a trained network and single cases, by whatever
//! could be taken.

mod bars;
mod record;
mod roofline;
mod spec;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod text;
mod timings;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;

use crate::atomic;
use crate::bnn::{Bnn, complaint};
use crate::matrix::Only;
use crate::record::{Origin, digest};
use crate::reproduce::Interrupted;

#[cfg(test)]
pub use record::tests::{sample, sample_gpu};
pub use record::{Bench, is, read_all};
pub use spec::{Plan, read as plans};
pub use text::{how, missing, provenance, section, tables, terminal};

use record::fingerprint;
use spec::PROCESSOR;
use timings::{Network, Peaks, Timed, Timings};

/// The exit code of `bnn` for a data set that is not here.
const UNAVAILABLE: i32 = 3;

/// All that the experiments of one command share.
pub struct Stand<'a> {
    /// The binary.
    pub bnn: &'a Bnn,
    /// Folder of the tier's results.
    pub folder: &'a Path,
    /// What makes the results.
    pub origin: &'a Origin,
    /// Folder of the data sets, if not the usual one.
    pub data_dir: Option<&'a Path>,
    /// Set when the command is to end.
    pub stop: &'a AtomicBool,
}

impl Stand<'_> {
    /// Runs those that are chosen: the results, those of earlier commands too, and what failed.
    ///
    /// # Errors
    /// [`Interrupted`]; a result that cannot be written with its new title.
    pub fn run(
        &self,
        plans: &[Plan],
        only: &Only,
        fresh: bool,
    ) -> Result<(Vec<Bench>, Vec<String>)> {
        let (mut benches, mut faults) = (Vec::new(), Vec::new());
        for plan in plans {
            let chosen = only.takes(&plan.name);
            let current = self.current(plan)?;
            if !chosen || (current.is_some() && !fresh) {
                benches.extend(current);
                continue;
            }
            match self.measure(plan) {
                Ok(bench) => benches.push(bench),
                Err(error) if error.is::<Interrupted>() => return Err(error),
                Err(error) => {
                    let why = format!("{}: {error:#}", plan.id());
                    eprintln!("{why}");
                    faults.push(why);
                }
            }
        }
        Ok((benches, faults))
    }

    /// The result of an experiment if it is of the same binary, model and cases.
    fn current(&self, plan: &Plan) -> Result<Option<Bench>> {
        let model = digest_of(&self.model(plan)).ok();
        let hash = fingerprint(&plan.what, &self.origin.binary, model.as_deref());
        // A file of another version, or a damaged one, is replaced like one of another binary.
        let bench = Bench::read(&record::path(self.folder, &plan.id())).ok();
        let Some(mut bench) = bench.filter(|bench| bench.hash == hash) else { return Ok(None) };
        if model.is_some() && bench.timings.network.timed().is_none() {
            return Ok(None); // there was a model without its data set
        }
        if bench.retitle(plan) {
            bench.write(self.folder)?;
        }
        Ok(Some(bench))
    }

    /// The network first: what it lacks is known before half a minute is spent on products.
    fn measure(&self, plan: &Plan) -> Result<Bench> {
        let start = Instant::now();
        let network = self.network(plan)?;
        let model = match &network {
            Network::Done { model, .. } => Some(model.as_str()),
            Network::NotRun(_) => None,
        };
        let hash = fingerprint(&plan.what, &self.origin.binary, model);
        let peaks = match plan.backend.as_str() {
            PROCESSOR => self.tell(plan, "peaks", self.bnn.bench().arg("--peaks"))?,
            _ => Peaks::default(),
        };
        let product = self.case(plan, &plan.what.product)?;
        let cases = plan.what.cases.iter().map(|case| self.case(plan, case));
        let cases = cases.collect::<Result<_>>()?;
        let timings = Timings { peaks, product, cases, network };
        let bench =
            Bench::new(plan, self.origin.clone(), hash, start.elapsed().as_secs_f64(), timings);
        bench.write(self.folder)?;
        Ok(bench)
    }

    fn case(&self, plan: &Plan, case: &str) -> Result<Timed> {
        let mut command = self.bnn.bench();
        command.args(["--only", case, "--seconds", &plan.what.seconds.to_string()]);
        let timed: Timed = self.tell(plan, case, &mut command)?;
        ensure!(timed.case == case, "there is no case `{case}`; `bnn bench --list` names them");
        Ok(timed)
    }

    fn network(&self, plan: &Plan) -> Result<Network> {
        let model = self.model(plan);
        let mut command = self.bnn.bench();
        command.arg("--model").arg(&model).args(["--data", &plan.what.network.data]);
        command.args(["--seconds", &plan.what.seconds.to_string()]);
        command.args(self.data_dir.map(|_| "--data-dir")).args(self.data_dir);
        match self.tell::<Timed>(plan, "the trained network", &mut command) {
            Ok(timed) => Ok(Network::Done { model: digest_of(&model)?, timed }),
            Err(error) => match error.downcast::<Unavailable>() {
                Ok(Unavailable(why)) => Ok(Network::NotRun(why)),
                Err(error) if !model.exists() && !error.is::<Interrupted>() => {
                    let cell = plan.what.network.key(&plan.tier).name();
                    bail!(
                        "its network is not trained: {} is missing; \
                         run `cargo xtask reproduce --tier {} --only '{cell}'` first",
                        model.display(),
                        plan.tier
                    )
                }
                Err(error) => Err(error),
            },
        }
    }

    /// Where the cell of the network keeps its model.
    fn model(&self, plan: &Plan) -> PathBuf {
        let cell = plan.what.network.key(&plan.tier).name();
        self.folder.join("runs").join(cell).join("model.safetensors")
    }

    /// Runs the binary, which says one line of JSON.
    fn tell<T: DeserializeOwned>(&self, plan: &Plan, of: &str, command: &mut Command) -> Result<T> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        eprintln!("{}: timing {of}", plan.id());
        if plan.backend != PROCESSOR {
            command.args(["--backend", &plan.backend]);
        }
        let output = command.output().context("cannot run `bnn bench`")?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        let said = || complaint("bnn bench", &output);
        match output.status.code() {
            Some(0) => {
                eprint!("{}", String::from_utf8_lossy(&output.stderr)); // its warnings
                let place = || format!("`bnn bench` on {of}");
                serde_json::from_slice(&output.stdout).with_context(place)
            }
            Some(UNAVAILABLE) => Err(Unavailable(one_line(&said())).into()),
            _ => bail!("{of}: {}", said()),
        }
    }
}

/// A data set is not here; the text says what to do about it.
#[derive(Debug)]
struct Unavailable(String);

impl std::error::Error for Unavailable {}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn digest_of(model: &Path) -> Result<String> {
    let bytes = crate::folder::read(model)?;
    Ok(digest(&bytes))
}

/// The plots of a result as SVG: bars and roofline.
pub fn plots(bench: &Bench) -> [String; 2] {
    [bars::svg(bench), roofline::svg(bench)]
}

/// Writes the plots of a result into a folder.
///
/// # Errors
/// Names the file that cannot be written.
pub fn draw(bench: &Bench, folder: &Path) -> Result<()> {
    atomic::write(&folder.join(text::plot(bench, "bars")), &bars::svg(bench))?;
    atomic::write(&folder.join(text::plot(bench, "roofline")), &roofline::svg(bench))
}
