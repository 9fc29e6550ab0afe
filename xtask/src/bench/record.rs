//! The result file of an experiment that times kernels.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::spec::{PROCESSOR, Plan, Tier, id};
use super::timings::Timings;
use crate::matrix::file_safe;
use crate::record::{Origin, digest};
use crate::{atomic, folder};

/// Version of the result file.
const FORMAT: u32 = 1;

/// How the name of a result file ends; those of trained cells end otherwise.
const ENDING: &str = ".bench.json";

/// A result file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bench {
    /// Version of the file's layout.
    pub format: u32,
    /// Name of the experiment.
    pub name: String,
    /// Name of the tier.
    pub tier: String,
    /// One line for the heading.
    pub title: String,
    /// What the paper reports.
    pub paper: String,
    /// What it was timed on.
    #[serde(default = "processor")]
    pub backend: String,
    /// What was timed.
    pub what: Tier,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: Origin,
    /// Digest of what was timed, of the binary and of the model.
    pub hash: String,
    /// When it ended, in UTC.
    pub date: String,
    /// Seconds that all of it took.
    pub seconds: f64,
    /// What came out.
    #[serde(flatten)]
    pub timings: Timings,
}

fn processor() -> String {
    PROCESSOR.into()
}

impl Bench {
    /// What its files are called, and its section.
    pub fn id(&self) -> String {
        id(&self.name, &self.backend)
    }

    /// Whether it is of a GPU.
    pub fn is_gpu(&self) -> bool {
        self.backend != PROCESSOR
    }

    /// A result of now, which took so many seconds; `hash` is the [`fingerprint`].
    pub fn new(plan: &Plan, origin: Origin, hash: String, seconds: f64, timings: Timings) -> Self {
        let Plan { name, title, paper, tier, backend, what } = plan.clone();
        let date = crate::machine::date();
        let format = FORMAT;
        Self {
            format,
            name,
            tier,
            title,
            paper,
            backend,
            what,
            origin,
            hash,
            date,
            seconds,
            timings,
        }
    }

    /// Takes over a changed title, sentence or list of deviations; whether there was any.
    pub fn retitle(&mut self, plan: &Plan) -> bool {
        let new = Self {
            title: plan.title.clone(),
            paper: plan.paper.clone(),
            what: plan.what.clone(),
            ..self.clone()
        };
        let changed = *self != new;
        *self = new;
        changed
    }

    /// Reads a result file.
    ///
    /// # Errors
    /// Names the file, and the field that is missing or of the wrong type.
    pub fn read(path: &Path) -> Result<Self> {
        let place = || format!("{} is not a result of this version", path.display());
        let text = crate::folder::text(path)?;
        let bench: Self = serde_json::from_str(&text).with_context(place)?;
        ensure!(bench.format == FORMAT, "{}: format {}, want {FORMAT}", place(), bench.format);
        let Timings { product, cases, network, .. } = &bench.timings;
        for timed in cases.iter().chain([product]).chain(network.timed()) {
            ensure!(!timed.rows.is_empty(), "{}: {} has no `rows`", place(), timed.case);
        }
        Ok(bench)
    }

    /// Writes the result file, whole or not at all.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        atomic::write(&path(folder, &self.id()), &(serde_json::to_string_pretty(self)? + "\n"))
    }
}

/// Where the result of an experiment, by its id, lies in a folder of one tier.
pub fn path(folder: &Path, id: &str) -> PathBuf {
    folder.join(file_safe(id) + ENDING)
}

/// Whether a file is a result of this kind, by its name.
pub fn is(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ENDING))
}

/// The results right in a folder and in the folders right below it.
///
/// # Errors
/// A folder or a result that cannot be read.
pub fn read_all(folder: &Path) -> Result<Vec<Bench>> {
    let mut files = folder::children(folder)?;
    for path in files.clone().iter().filter(|path| path.is_dir()) {
        files.extend(folder::children(path)?);
    }
    files.iter().filter(|path| is(path)).map(|path| Bench::read(path)).collect()
}

/// Digest of all that is timed: the same digest is not timed again.
pub fn fingerprint(what: &Tier, binary: &str, model: Option<&str>) -> String {
    let what = Tier { deviations: Vec::new(), ..what.clone() };
    digest(json!([what, binary, model]).to_string().as_bytes())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::bench::timings::{Interval, Network, Part, Peaks, Reading, Row, Timed};
    use crate::machine::Machine;

    fn row(name: &str, seconds: f64, part: Option<Part>, error: Option<f64>) -> Row {
        let times = Interval { low: seconds - 0.1, median: seconds, high: seconds + 0.1 };
        Row { name: name.into(), seconds, rate: 1e12 / seconds, share: None, times, part, error }
    }

    fn timed(case: &str, bytes: Option<u64>, rows: Vec<Row>) -> Timed {
        let adds = 1_000_000_000_000;
        Timed { case: case.into(), threads: 1, rounds: 7, adds, bytes, rows }
    }

    /// A result with plausible values.
    pub fn sample() -> Bench {
        let network = json!({ "spec": "mlp", "data": "mnist", "backend": "cpu", "seed": 0 });
        let what = Tier {
            deviations: vec!["a processor instead of a GPU".into(), "4096".into()],
            seconds: 1.0,
            product: "square/4096".into(),
            cases: vec!["dense/b1".into()],
            network: serde_json::from_value(network).unwrap(),
        };
        let (name, title) = ("kernels".into(), "Figure 3".into());
        let (paper, tier) = ("The XNOR kernel was 23 times as fast.".into(), "quick".into());
        let plan = Plan { name, title, paper, tier, backend: PROCESSOR.into(), what };
        let (memory, os) = ("7.8 GiB".into(), "Linux".into());
        let machine = Machine { cpu: "AMD EPYC".into(), cores: 2, memory, os, gpu: None };
        let origin = Origin { binary: "b1".into(), revision: "0123456789ab".into(), machine };
        let hash = fingerprint(&plan.what, "b1", Some("m1"));
        let mut ours = row("cpu/avx512", 1.0, None, None);
        ours.share = Some(0.8);
        let part = Some(Part { rows: 4, of: 4096 });
        let naive = row("naive f32 loop", 900.0, part, None);
        let slow = row("f32 <gemm>", 20.0, None, None);
        let (memory, cache) = ((256 << 20, 2e10), (16 << 10, 2e11));
        let reading = [cache, memory].map(|(block, rate)| Reading { block, rate }).into();
        let images = ["cpu/avx512", "f32 <gemm>"].map(|name| {
            row(name, if name.starts_with("cpu") { 0.5 } else { 1.5 }, None, Some(0.0167))
        });
        let timings = Timings {
            peaks: Peaks { popcount: Some(1.25e12), reading },
            product: timed("square/4096", Some(1 << 22), vec![ours.clone(), slow.clone(), naive]),
            cases: vec![timed("dense/b1", Some(1 << 33), vec![ours, slow])],
            network: Network::Done {
                model: "m1".into(),
                timed: timed("model/mnist", None, images.into()),
            },
        };
        let bench = Bench::new(&plan, origin, hash, 75.5, timings);
        Bench { date: "2026-01-02T03:04:05Z".into(), ..bench }
    }

    /// A result of a GPU with plausible values.
    pub fn sample_gpu() -> Bench {
        let Bench { origin, .. } = sample();
        let mut what = sample().what;
        (what.product, what.cases) = ("square/8192".into(), vec!["dense/b100".into()]);
        what.deviations = vec!["another GPU".into()];
        let network = json!({ "spec": "mlp", "data": "mnist", "backend": "cuda", "seed": 0 });
        what.network = serde_json::from_value(network).unwrap();
        let names = ["cuda:0/sm_90", "cuda:0/sm_90/plain", "paper XNOR", "paper f32", "cuBLAS f32"];
        let seconds = [0.00017, 0.011, 0.05, 0.9, 0.025];
        let rows = names.iter().zip(seconds).map(|(name, seconds)| {
            let ratio = seconds / 0.00017;
            let times = Interval { low: 0.9 * ratio, median: ratio, high: 1.1 * ratio };
            Row { times, ..row(name, seconds, None, None) }
        });
        let images = ["cuda:0/sm_90", "cuda:0/sm_90/plain", "cpu/avx512"]
            .map(|name| row(name, 0.012, None, Some(0.0167)));
        let timings = Timings {
            peaks: Peaks::default(),
            product: timed("square/8192", Some(1 << 24), rows.collect()),
            cases: vec![timed("dense/b100", Some(1 << 21), vec![row(names[0], 1e-5, None, None)])],
            network: Network::Done {
                model: "m1".into(),
                timed: timed("model/mnist", None, images.into()),
            },
        };
        let machine = Machine { gpu: Some("NVIDIA H100".into()), ..origin.machine.clone() };
        let (origin, title) = (Origin { machine, ..origin }, "Figure 3 on a GPU".into());
        Bench { backend: "cuda".into(), title, what, origin, timings, ..sample() }
    }

    #[test]
    fn results_of_a_gpu_lie_beside_those_of_the_processor() {
        let folder = tempfile::tempdir().unwrap();
        let both = [sample(), sample_gpu()];
        both.iter().try_for_each(|bench| bench.write(folder.path())).unwrap();
        assert!(folder.path().join("kernels.cuda.bench.json").is_file());
        let mut read = read_all(folder.path()).unwrap();
        read.sort_by_key(Bench::id);
        assert_eq!(read, both);
        // Those that were written before there were any of a GPU are the processor's.
        let file = path(folder.path(), "kernels");
        let text = std::fs::read_to_string(&file).unwrap();
        let old = text.replace("  \"backend\": \"cpu\",\n  \"what\"", "  \"what\"");
        assert_ne!(old, text);
        std::fs::write(&file, old).unwrap();
        assert_eq!(Bench::read(&file).unwrap(), sample());
    }

    #[test]
    fn a_result_is_read_back_and_its_faults_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let bench = sample();
        bench.write(folder.path()).unwrap();
        let file = path(folder.path(), "kernels");
        assert!(is(&file) && !is(Path::new("mlp.digits.cpu.s0.json")));
        assert!(matches!(&read_all(folder.path()).unwrap()[..], [back] if *back == bench));
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("\"rounds\":", "\"x\":")).unwrap();
        let error = format!("{:#}", Bench::read(&file).unwrap_err());
        assert!(error.contains("kernels.bench.json") && error.contains("`rounds`"), "{error}");
        let mut empty = bench;
        empty.timings.cases[0].rows.clear();
        empty.write(folder.path()).unwrap();
        let error = format!("{:#}", Bench::read(&file).unwrap_err());
        assert!(error.contains("dense/b1 has no `rows`"), "{error}");
    }

    #[test]
    fn the_hash_holds_what_is_timed_and_the_model() {
        let Bench { what, hash, .. } = sample();
        assert_eq!(
            hash,
            fingerprint(&Tier { deviations: vec![], ..what.clone() }, "b1", Some("m1"))
        );
        assert_ne!(hash, fingerprint(&what, "b2", Some("m1")));
        assert_ne!(hash, fingerprint(&what, "b1", Some("m2")));
        assert_ne!(hash, fingerprint(&what, "b1", None));
        assert_ne!(hash, fingerprint(&Tier { seconds: 2.0, ..what }, "b1", Some("m1")));
    }
}
