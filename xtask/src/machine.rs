//! Where and of what a result was made: the machine, the revision, the date.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

const UNKNOWN: &str = "unknown";

/// Names the commit of a binary that was built on another machine than it runs on.
const REVISION: &str = "BNN_REVISION";

/// What of the tree a result depends on; changes elsewhere do not make it dirty.
const SOURCES: [&str; 7] =
    [".cargo", "benches", "Cargo.lock", "Cargo.toml", "crates", "experiments", "xtask"];

/// The machine of a run; `unknown` stands for what cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the CPU.
    pub cpu: String,
    /// Logical cores that the process may use; 0 if unknown.
    pub cores: usize,
    /// Memory, such as `7.8 GiB`.
    pub memory: String,
    /// Operating system and architecture.
    pub os: String,
    /// GPUs that NVIDIA's driver names, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
}

impl Machine {
    /// What a backend of this name computes on.
    pub fn processor(&self, backend: &str) -> String {
        let gpu = self.gpu.as_ref().filter(|_| backend.contains("cuda"));
        gpu.unwrap_or(&self.cpu).clone()
    }

    /// The machine at hand.
    pub fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let field =
            |text: &str, key, sign| field(text, key, sign).unwrap_or_else(|| UNKNOWN.into());
        let release = read("/etc/os-release");
        let release = self::field(&release, "PRETTY_NAME", '=');
        let os = release.unwrap_or_else(|| std::env::consts::OS.into());
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name", ':'),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory: memory(&read("/proc/meminfo")),
            os: format!("{os}, {}", std::env::consts::ARCH),
            gpu: gpu(),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpu, cores, memory, os, gpu } = self;
        write!(f, "{cpu}, {cores} logical cores, {memory}, {os}")?;
        gpu.iter().try_for_each(|gpu| write!(f, ", {gpu}"))
    }
}

/// The commit of the workspace, with `-dirty` if its sources were changed since: what [`REVISION`]
/// says, else what git tells, else `unknown`.
pub fn revision(root: &Path) -> String {
    if let Ok(revision) = std::env::var(REVISION) {
        return revision;
    }
    let Some(commit) = git(root, &["rev-parse", "--verify", "HEAD"]) else { return UNKNOWN.into() };
    let status = [&["status", "--porcelain", "--"], SOURCES.as_slice()].concat();
    match git(root, &status) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}-dirty"),
    }
}

/// The time now, in UTC, to the second.
pub fn date() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

fn git(root: &Path, args: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(args);
    // Set inside a git hook, where they would point at that repository instead of `root`.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().into())
}

/// The value behind the first `key`, without quotes.
fn field(text: &str, key: &str, sign: char) -> Option<String> {
    let pairs = text.lines().filter_map(|line| line.split_once(sign));
    let value = pairs.into_iter().find(|(name, _)| name.trim() == key)?.1;
    Some(value.trim().trim_matches('"').into()).filter(|value: &String| !value.is_empty())
}

/// Names of the GPUs, each once.
fn gpu() -> Option<String> {
    let mut command = Command::new("nvidia-smi");
    let output = command.args(["--query-gpu=name", "--format=csv,noheader"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let mut names: Vec<_> = text.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    names.dedup();
    (!names.is_empty()).then(|| names.join(", "))
}

fn memory(meminfo: &str) -> String {
    let total = field(meminfo, "MemTotal", ':').and_then(|total| {
        let kibibytes: f64 = total.trim_end_matches("kB").trim().parse().ok()?;
        Some(format!("{:.1} GiB", kibibytes / (1024.0 * 1024.0)))
    });
    total.unwrap_or_else(|| UNKNOWN.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_unknown_where_absent() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: other\n";
        assert_eq!(field(cpuinfo, "model name", ':').as_deref(), Some("AMD EPYC"));
        assert_eq!(
            field("NAME=x\nPRETTY_NAME=\"A 1\"", "PRETTY_NAME", '=').as_deref(),
            Some("A 1")
        );
        assert_eq!(field("", "model name", ':'), None);
        assert_eq!(memory("MemTotal:        8174284 kB\n"), "7.8 GiB");
        assert_eq!(memory("nothing"), UNKNOWN);
    }

    #[test]
    fn backends_of_gpus_compute_on_them() {
        let gpu = Some("NVIDIA H100".into());
        let text = |text: &str| text.to_owned();
        let machine = Machine {
            cpu: text("AMD EPYC"),
            cores: 2,
            memory: text("1 GiB"),
            os: text("Linux"),
            gpu,
        };
        assert_eq!(machine.processor("cuda:0/sm_90"), "NVIDIA H100");
        assert_eq!(machine.processor("cpu/avx512"), "AMD EPYC");
        assert_eq!(machine.to_string(), "AMD EPYC, 2 logical cores, 1 GiB, Linux, NVIDIA H100");
    }

    #[test]
    fn a_revision_is_dirty_only_where_sources_changed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(revision(root), UNKNOWN);
        let author = ["-c", "user.name=a", "-c", "user.email=a@b"];
        let commit = ["commit", "--quiet", "--no-verify", "--allow-empty", "-m", "first"];
        git(root, &["init", "--quiet"]).unwrap();
        git(root, &[author.as_slice(), &commit].concat()).unwrap();
        std::fs::write(root.join("notes.txt"), "").unwrap();
        let clean = revision(root);
        assert!(clean.len() >= 40 && clean.chars().all(|c| c.is_ascii_hexdigit()), "{clean}");
        std::fs::write(root.join("Cargo.toml"), "").unwrap();
        assert_eq!(revision(root), format!("{clean}-dirty"));
    }
}
