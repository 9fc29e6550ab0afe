//! A folder in which the binary runs, with a tiny spec in it.

use std::fs;

use assert_cmd::Command;
use tempfile::TempDir;

/// A spec that trains in an instant.
pub const SPEC: &str = r#"
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
pub struct Desk(pub TempDir);

impl Desk {
    pub fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.write("tiny.toml", SPEC);
        desk
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn bnn(&self, line: &str) -> Command {
        let mut bnn = Command::cargo_bin("bnn").unwrap();
        let nowhere = self.0.path().join("nowhere");
        bnn.current_dir(self.0.path()).args(line.split_whitespace());
        bnn.env_remove("BNN_DATA").env("XDG_CACHE_HOME", nowhere);
        bnn.env("COLUMNS", "1000"); // long lines stay whole
        bnn
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn works(&self, line: &str) -> String {
        let out = self.bnn(line).assert().success();
        String::from_utf8(out.get_output().stdout.clone()).unwrap()
    }

    /// Runs a command that must fail with this exit code and every one of these words.
    pub fn fails(&self, line: &str, code: i32, words: &[&str]) {
        let out = self.bnn(line).assert().code(code);
        let said = String::from_utf8(out.get_output().stderr.clone()).unwrap();
        let is_no_error = |line: &&str| line.starts_with("note: ") || line.starts_with("warning: ");
        let error: String = said.split_inclusive('\n').skip_while(is_no_error).collect();
        assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
        for word in words {
            assert!(error.contains(word), "`{word}` is not in: {error}");
        }
    }
}
