//! Runs under one backend's name end in the same bytes, whatever caches the processor says it has.
#![cfg(all(target_os = "linux", feature = "cpu"))]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bnn_testkit::skipped;

/// A first layer of bytes whose gradient has more terms than any library adds up at a time.
const SPEC: &str = r#"
name = "caches"
title = "A first layer of bytes"
data = ["digits"]
seeds = [0]
backends = ["cpu"]
[net]
blocks = ["conv 128 kernel 3 pad 1 pool 2", "dense 10"]
weights = "sign"
activations = "sign"
norm = "theano"
[train]
samples = 200
epochs = 2
batch = 50
optimizer = "adam"
rate = { from = 3e-3, to = 3e-4 }
loss = "squared-hinge"
step_scale = "glorot"
"#;

/// Where Linux describes processors; libraries read the caches there.
const PROCESSORS: &str = "/sys/devices/system/cpu";

/// Level, kind, size and ways of a cache.
type Cache = (u8, &'static str, &'static str, u8);

/// First caches of 8 and of 12 ways, and a second cache so small that its share is none.
const MACHINES: [(&str, [Cache; 2]); 3] = [
    ("8 ways", [(1, "Data", "32K", 8), (2, "Unified", "1024K", 16)]),
    ("12 ways", [(1, "Data", "48K", 12), (2, "Unified", "2048K", 16)]),
    ("a small second cache", [(1, "Data", "32K", 8), (2, "Unified", "16K", 8)]),
];

/// Describes a processor of these caches in a folder.
fn describe(caches: &[Cache], folder: &Path) {
    for (index, (level, kind, size, ways)) in caches.iter().enumerate() {
        let cache = folder.join(format!("cpu0/cache/index{index}"));
        fs::create_dir_all(&cache).unwrap();
        let (level, ways) = (level.to_string(), ways.to_string());
        let lines = [
            ("level", level.as_str()),
            ("type", kind),
            ("size", size),
            ("ways_of_associativity", &ways),
            ("coherency_line_size", "64"),
            ("shared_cpu_list", "0"),
        ];
        for (name, text) in lines {
            fs::write(cache.join(name), format!("{text}\n")).unwrap();
        }
    }
    for name in ["online", "possible", "present"] {
        fs::write(folder.join(name), "0-1\n").unwrap();
    }
}

/// The tensors of a checkpoint, whose header has the seconds of every epoch.
fn tensors(mut checkpoint: Vec<u8>) -> Vec<u8> {
    let header = u64::from_le_bytes(*checkpoint.first_chunk().unwrap());
    checkpoint.split_off(size_of::<u64>() + header as usize)
}

/// Runs a command that finds a folder where processors are described.
fn run(folder: &Path, desk: &Path, command: &[&str]) -> std::io::Result<Output> {
    let mut run = Command::new("unshare");
    let script = format!(r#"mount --bind "$1" {PROCESSORS} && shift && exec "$@""#);
    run.args(["--mount", "sh", "-c", &script, "sh"]).arg(folder).args(command);
    run.current_dir(desk).output()
}

/// Why commands cannot be shown another processor here, if so.
fn refusal(folder: &Path) -> Option<String> {
    let tried = run(folder, folder, &["cat", &format!("{PROCESSORS}/cpu0/cache/index0/size")]);
    match tried {
        Err(error) => Some(format!("unshare cannot be run: {error}")),
        Ok(tried) if !tried.status.success() => {
            Some(format!("no mount namespace: {}", String::from_utf8_lossy(&tried.stderr).trim()))
        }
        Ok(tried) => {
            assert_eq!(tried.stdout, b"32K\n", "the imitation is what a command finds");
            None
        }
    }
}

#[test]
fn runs_end_in_the_same_bytes_whatever_the_caches() {
    let desk = tempfile::tempdir().unwrap();
    fs::write(desk.path().join("spec.toml"), SPEC).unwrap();
    let mut first = None;
    for (at, (what, caches)) in MACHINES.iter().enumerate() {
        let folder = desk.path().join(format!("cpus{at}"));
        describe(caches, &folder);
        if let Some(why) = if at == 0 { refusal(&folder) } else { None } {
            return skipped("caches", &why);
        }
        let out = format!("run{at}");
        let bnn = env!("CARGO_BIN_EXE_bnn");
        let train =
            [bnn, "train", "spec.toml", "--keep-checkpoint", "--threads", "2", "--out", &out];
        let done = run(&folder, desk.path(), &train).unwrap();
        assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
        let file = |name: &str| fs::read(desk.path().join(&out).join(name)).unwrap();
        let made = (tensors(file("checkpoint.safetensors")), file("model.safetensors"));
        let same = first.get_or_insert_with(|| made.clone()) == &made;
        assert!(same, "latent weights or model differ with {what}");
    }
}
