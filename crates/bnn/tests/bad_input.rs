//! At the command line every bad input is an error that names the file, the place and the cause.
#![allow(clippy::unwrap_used)]

use std::fs;

use assert_cmd::Command;
use tempfile::TempDir;

const SPEC: &str = r#"
name = "tiny"
title = "A tiny network"
data = ["digits"]
seeds = [0]
backends = ["cpu"]
[net]
blocks = ["dense 16", "dense 10"]
weights = "sign"
activations = "sign"
norm = "theano"
[train]
epochs = 1
batch = 50
samples = 200
optimizer = "adam"
rate = { from = 3e-3, to = 3e-4 }
loss = "squared-hinge"
step_scale = "glorot"
"#;

/// A folder with the tiny spec, in which commands run.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.write("tiny.toml", SPEC);
        desk
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn bnn(&self, line: &str) -> Command {
        let mut bnn = Command::cargo_bin("bnn").unwrap();
        let nowhere = self.0.path().join("nowhere");
        bnn.current_dir(self.0.path()).args(line.split_whitespace());
        bnn.env_remove("BNN_DATA").env("XDG_CACHE_HOME", nowhere);
        bnn
    }

    /// Runs a command that must succeed, and returns what it printed.
    fn works(&self, line: &str) -> String {
        let out = self.bnn(line).assert().success();
        String::from_utf8(out.get_output().stdout.clone()).unwrap()
    }

    /// Runs a command that must fail with this exit code and every one of these words.
    fn fails(&self, line: &str, code: i32, words: &[&str]) {
        let out = self.bnn(line).assert().code(code);
        let error = String::from_utf8(out.get_output().stderr.clone()).unwrap();
        assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
        for word in words {
            assert!(error.contains(word), "`{word}` is not in: {error}");
        }
    }

    /// Trains the spec with one line replaced; it must be refused with these words.
    fn refuses(&self, line: &str, by: &str, words: &[&str]) {
        assert!(SPEC.contains(line));
        self.write("bad.toml", SPEC.replace(line, by));
        self.fails("train bad.toml --out run", 2, words);
        assert!(!self.0.path().join("run").exists(), "a refused spec leaves no folder");
    }

    /// MNIST files of 60 training and 10 test images, of which one is replaced.
    fn mnist(&self, replaced: &str, by: &[u8]) {
        for (name, bytes) in mnist(5) {
            self.write(&format!("mnist/{name}"), if name == replaced { by } else { &bytes });
        }
    }
}

fn idx(magic: u8, dims: &[u32], byte: u8) -> Vec<u8> {
    let mut file = vec![0, 0, 8, magic];
    dims.iter().for_each(|dim| file.extend(dim.to_be_bytes()));
    file.resize(file.len() + dims.iter().product::<u32>() as usize, byte);
    file
}

fn mnist(label: u8) -> [(&'static str, Vec<u8>); 4] {
    [
        ("train-images-idx3-ubyte", idx(3, &[60, 28, 28], 7)),
        ("train-labels-idx1-ubyte", idx(1, &[60], label)),
        ("t10k-images-idx3-ubyte", idx(3, &[10, 28, 28], 7)),
        ("t10k-labels-idx1-ubyte", idx(1, &[10], label)),
    ]
}

const MNIST: &str = "train tiny.toml --data mnist --data-dir mnist --out run";

#[test]
fn a_network_is_trained_evaluated_and_inspected() {
    let desk = Desk::new();
    let lines = desk.works("train tiny.toml --out run --json");
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "done");
    let eval = desk.works("eval run/model.safetensors --data digits --json");
    let eval: serde_json::Value = serde_json::from_str(&eval).unwrap();
    assert_eq!(
        (&eval["test_error"], &eval["test_loss"]),
        (&last["test_error"], &last["test_loss"])
    );
    assert!(desk.works("inspect run/model.safetensors").contains("dense"));
    assert!(desk.works("backends").contains("cpu/portable"));
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let desk = Desk::new();
    let model = |threads: usize| {
        desk.works(&format!("train tiny.toml --out run{threads} --threads {threads}"));
        fs::read(desk.0.path().join(format!("run{threads}/model.safetensors"))).unwrap()
    };
    assert_eq!(model(1), model(2));
}

#[test]
fn damaged_data_is_named() {
    let desk = Desk::new();
    let images = "train-images-idx3-ubyte";
    let labels = "train-labels-idx1-ubyte";
    let whole = idx(3, &[60, 28, 28], 7);
    desk.mnist(images, &whole[..whole.len() / 2]);
    desk.fails(MNIST, 1, &[images, "byte"]);
    desk.mnist(images, &idx(1, &[60], 7));
    desk.fails(MNIST, 1, &[images, "byte"]);
    desk.mnist(labels, &idx(1, &[60], 10));
    desk.fails(MNIST, 1, &[labels, "byte", "10"]);
    desk.mnist(labels, &idx(1, &[59], 1));
    desk.fails(MNIST, 1, &["59", "60"]);
    desk.mnist(images, &whole);
    fs::remove_file(desk.0.path().join("mnist/t10k-images-idx3-ubyte")).unwrap();
    desk.fails(MNIST, 1, &["t10k-images-idx3-ubyte"]);
}

#[test]
fn what_is_not_here_is_named_with_the_remedy() {
    let desk = Desk::new();
    desk.fails("train tiny.toml --data mnist --out run", 3, &["mnist", "nowhere"]);
    desk.fails("train tiny.toml --data imagenet --out run", 1, &["imagenet", "digits"]);
    desk.fails("train tiny.toml --backend cuda --out run", 3, &["cuda"]);
    desk.fails("train tiny.toml --backend cpu/mmx --out run", 3, &["mmx", "portable"]);
    desk.fails("train absent.toml --out run", 1, &["absent.toml"]);
    desk.fails("train tiny.toml --tier huge --out run", 2, &["tiny.toml", "huge"]);
}

#[test]
fn broken_specs_are_refused() {
    let desk = Desk::new();
    desk.refuses("batch = 50", "batch = 50\nbach = 3", &["bad.toml", "bach"]);
    desk.refuses("batch = 50", "batch = 0", &["bad.toml", "batch"]);
    desk.refuses("batch = 50", "batch = \"fifty\"", &["bad.toml", "batch"]);
    desk.refuses("from = 3e-3", "from = nan", &["bad.toml", "rate"]);
    desk.refuses("\"dense 16\"", "\"dense sixteen\"", &["bad.toml", "dense sixteen"]);
    desk.refuses("weights = \"sign\"", "weights = \"sine\"", &["bad.toml", "sine"]);
}

#[test]
fn foreign_and_corrupt_models_are_refused() {
    let desk = Desk::new();
    desk.works("train tiny.toml --out run --keep-checkpoint");
    let model = fs::read(desk.0.path().join("run/model.safetensors")).unwrap();
    let eval = "eval bad.safetensors --data digits";
    desk.write("bad.safetensors", &model[..model.len() - 9]);
    desk.fails(eval, 1, &["bad.safetensors"]);
    desk.write("bad.safetensors", "not a model");
    desk.fails(eval, 1, &["bad.safetensors", "not a model file"]);
    desk.write("bad.safetensors", b"\x08\0\0\0\0\0\0\0{}      ");
    desk.fails(eval, 1, &["bad.safetensors", "another program"]);
    desk.fails("eval run/checkpoint.safetensors --data digits", 1, &["checkpoint"]);
    desk.fails("eval absent.safetensors --data digits", 1, &["absent.safetensors"]);
}

#[test]
fn models_that_do_not_fit_the_data_are_refused() {
    let desk = Desk::new();
    desk.works("train tiny.toml --out run");
    for (name, bytes) in mnist(1) {
        let small = match name.contains("images") {
            true => idx(3, &[if name.starts_with("train") { 60 } else { 10 }, 8, 8], 7),
            false => bytes,
        };
        desk.write(&format!("mnist/{name}"), small);
    }
    let eval = "eval run/model.safetensors --data mnist --data-dir mnist";
    desk.fails(eval, 1, &["model.safetensors", "28", "8"]);
}

#[test]
fn divergence_is_an_error() {
    let desk = Desk::new();
    desk.write("wild.toml", SPEC.replace("from = 3e-3", "from = 1e38"));
    desk.fails("train wild.toml --out run", 1, &["diverged", "epoch 1", "lower the rate"]);
    assert!(!desk.0.path().join("run/model.safetensors").exists());
}

#[test]
fn folders_that_cannot_be_written_are_named() {
    let desk = Desk::new();
    desk.write("file", "in the way");
    desk.fails("train tiny.toml --out file/run", 1, &["file/run"]);
    fs::create_dir_all(desk.0.path().join("run/model.safetensors")).unwrap();
    desk.fails("train tiny.toml --out run", 1, &["run/model.safetensors"]);
}
