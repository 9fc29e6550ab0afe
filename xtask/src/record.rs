//! The result file of a cell: what ran, where, and what came out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::atomic;
use crate::evaluation::Evaluation;
use crate::machine::Machine;
use crate::matrix::{About, Key, file_safe};
use crate::summary::Verdict;

/// Version of the result file.
const FORMAT: u32 = 1;

/// Keys of a spec that say what is run of it and how it is read, but not what a run computes.
const OUTSIDE: [&str; 6] = ["title", "data", "backends", "seeds", "deviations", "expect"];

/// A result file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the file's layout.
    pub format: u32,
    /// Which cell it is.
    pub cell: Key,
    /// What it is read by.
    #[serde(flatten)]
    pub about: About,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: Origin,
    /// Digest of all that the outcome depends on; the same digest is not run again.
    pub hash: String,
    /// When it ended, in UTC.
    pub date: String,
    /// Every epoch.
    pub curve: Vec<Epoch>,
    /// The outcome.
    pub done: Done,
    /// The outcome against what the spec expects, of this seed alone.
    pub verdict: Verdict,
    /// What the network gets wrong; none of runs before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
}

/// What made a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Digest of the binary.
    pub binary: String,
    /// Commit, with `-dirty` for a changed tree, or `unknown`.
    pub revision: String,
    /// The machine.
    pub machine: Machine,
}

/// One epoch, as the binary reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: u64,
    /// Share of validation images misclassified.
    pub validation_error: f64,
    /// Share of test images misclassified.
    pub test_error: f64,
    /// Everything else that was reported.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The outcome, as the binary reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Backend with its kernel.
    pub backend: String,
    /// Digest of the data set.
    pub data_digest: String,
    /// Epochs trained.
    pub epochs: u64,
    /// Share of test images misclassified.
    pub test_error: f64,
    /// Seconds of the run.
    pub seconds: f64,
    /// Seconds of an epoch.
    pub seconds_per_epoch: f64,
    /// Threads computed on.
    pub threads: u64,
    /// Everything else that was reported.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Done {
    /// A figure by the name under which it was reported.
    pub fn metric(&self, name: &str) -> Option<f64> {
        match name {
            "test_error" => Some(self.test_error),
            "seconds_per_epoch" => Some(self.seconds_per_epoch),
            _ => self.other.get(name)?.as_f64(),
        }
    }
}

impl Record {
    /// A result of now.
    pub fn new(cell: Key, about: About, origin: Origin, curve: Vec<Epoch>, done: Done) -> Self {
        let hash = fingerprint(&cell, &about.spec, &origin.binary);
        let date = crate::machine::date();
        let verdict = Verdict::of(&about.expect, |metric| done.metric(metric));
        let (format, evaluation) = (FORMAT, None);
        Self { format, cell, about, origin, hash, date, curve, done, verdict, evaluation }
    }

    /// Reads a result file.
    ///
    /// # Errors
    /// Names the file, and the field that is missing or of the wrong type.
    pub fn read(path: &Path) -> Result<Self> {
        let place = || format!("{} is not a result of this version", path.display());
        let text = crate::folder::text(path)?;
        let record: Self = serde_json::from_str(&text).with_context(place)?;
        ensure!(record.format == FORMAT, "{}: format {}, want {FORMAT}", place(), record.format);
        ensure!(!record.curve.is_empty(), "{}: the field `curve` is empty", place());
        record.evaluation.as_ref().map_or(Ok(()), Evaluation::check).with_context(place)?;
        Ok(record)
    }

    /// Writes the result file, whole or not at all.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        atomic::write(&self.path(folder), &self.text()?)
    }

    /// Takes over a changed title, expectation or list of deviations; whether there was any.
    pub fn retitle(&mut self, about: &About) -> bool {
        let changed = self.about != *about;
        self.about = about.clone();
        self.verdict = Verdict::of(&about.expect, |metric| self.done.metric(metric));
        changed
    }

    /// Where it lies in a folder of one tier.
    pub fn path(&self, folder: &Path) -> PathBuf {
        path(folder, &self.cell)
    }

    /// What its outcome depends on besides seed and binary.
    pub fn essence(&self) -> Value {
        essence(&self.about.spec)
    }

    /// One line per field and one per epoch, so that changes show as changed lines.
    fn text(&self) -> Result<String> {
        let mut fields: Map<String, Value> = serde_json::from_value(serde_json::to_value(self)?)?;
        fields.remove("curve");
        let curve = self.curve.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        let mut lines = vec![format!("\"curve\": [\n    {}\n  ]", curve.join(",\n    "))];
        for (key, value) in fields {
            lines.push(format!("{}: {value}", Value::from(key)));
        }
        lines.sort();
        Ok(format!("{{\n  {}\n}}\n", lines.join(",\n  ")))
    }
}

/// Where the result of a cell lies in a folder of one tier.
pub fn path(folder: &Path, key: &Key) -> PathBuf {
    folder.join(key.name() + ".json")
}

/// Name of a tier's folder.
pub fn tier_folder(root: &Path, tier: &str) -> PathBuf {
    root.join(file_safe(tier))
}

/// Digest of all that an outcome depends on: what the spec computes, the binary, data, backend, seed.
pub fn fingerprint(key: &Key, spec: &Value, binary: &str) -> String {
    let all = json!([essence(spec), binary, key.data, key.backend, key.seed]);
    digest(all.to_string().as_bytes())
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn essence(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Value::Object(fields) = &mut spec {
        fields.retain(|key, _| !OUTSIDE.contains(&key.as_str()));
    }
    spec
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::matrix::Expect;

    /// A record with plausible values.
    pub fn sample(spec: &str, seed: u64, test_error: f64) -> Record {
        let cell = Key {
            tier: "quick".into(),
            spec: spec.into(),
            data: "digits".into(),
            backend: "cpu".into(),
            seed,
        };
        let expect = Expect { at_most: Some(0.02), at_least: None, paper: Some(0.0096) };
        let about = About {
            title: "MLP 3x1024".into(),
            deviations: vec!["no biases".into(), "20 epochs instead of 1000".into()],
            expect: [("test_error".to_owned(), expect)].into(),
            spec: json!({ "name": spec, "title": "MLP 3x1024", "train": { "epochs": 2 } }),
        };
        let machine = Machine {
            cpu: "AMD EPYC".into(),
            cores: 2,
            memory: "7.8 GiB".into(),
            os: "Linux, x86_64".into(),
            gpu: None,
        };
        let origin = Origin { binary: "b1".into(), revision: "0123456789abcdef".into(), machine };
        let done = json!({
            "backend": "cpu/avx512", "data_digest": "d1", "epochs": 2, "test_error": test_error,
            "seconds": 6.5, "seconds_per_epoch": 3.25, "threads": 2, "train_loss": 0.125,
        });
        let epoch = |n: u64| json!({ "epoch": n, "validation_error": 0.5, "test_error": 0.25, "rate": 0.1 });
        let curve = [1, 2].map(|n| serde_json::from_value(epoch(n)).unwrap()).to_vec();
        let done = serde_json::from_value(done).unwrap();
        let record = Record::new(cell, about, origin, curve, done);
        Record { date: "2026-01-02T03:04:05Z".into(), ..record }
    }

    #[test]
    fn a_record_is_read_back_with_the_fields_it_does_not_know() {
        let folder = tempfile::tempdir().unwrap();
        let record = sample("mlp", 0, 0.01);
        record.write(folder.path()).unwrap();
        let back = Record::read(&folder.path().join("mlp.digits.cpu.s0.json")).unwrap();
        assert_eq!(back, record);
        assert_eq!(back.done.metric("train_loss"), Some(0.125));
        assert_eq!(back.curve[1].other["rate"], 0.1);
    }

    #[test]
    fn the_hash_holds_what_computes_and_nothing_else() {
        let record = sample("mlp", 0, 0.01);
        let of = |key: &Key, spec: &Value, binary| fingerprint(key, spec, binary);
        let spec = &record.about.spec;
        assert_eq!(record.hash, of(&record.cell, spec, "b1"));
        assert_ne!(record.hash, of(&record.cell, spec, "b2"));
        for key in [
            Key { seed: 1, ..record.cell.clone() },
            Key { data: "mnist".into(), ..record.cell.clone() },
            Key { backend: "cpu/avx2".into(), ..record.cell.clone() },
        ] {
            assert_ne!(record.hash, of(&key, spec, "b1"), "{key:?}");
        }
        let mut other = spec.clone();
        other["title"] = "another".into();
        other["seeds"] = json!([0, 1]);
        assert_eq!(record.hash, of(&record.cell, &other, "b1"));
        other["train"]["epochs"] = 3.into();
        assert_ne!(record.hash, of(&record.cell, &other, "b1"));
    }

    #[test]
    fn a_missing_field_is_named_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let whole = sample("mlp", 0, 0.01).text().unwrap();
        for field in ["hash", "date", "seconds_per_epoch", "machine", "validation_error"] {
            std::fs::write(&path, whole.replace(&format!("\"{field}\":"), "\"x\":")).unwrap();
            let error = format!("{:#}", Record::read(&path).unwrap_err());
            assert!(error.contains("a.json") && error.contains(&format!("`{field}`")), "{error}");
        }
    }
}
