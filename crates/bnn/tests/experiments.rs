//! The experiments of the workspace: each can be read, goes by its file's name, and is in a tier.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use bnn::train::Spec;
use bnn::train::spec::Metric;

/// The tiers of `cargo xtask reproduce`.
const TIERS: [&str; 4] = ["smoke", "quick", "short", "paper"];

/// Test errors that the paper's table 1 has of networks that can be trained here: both forms of the
/// binarized one, BinaryConnect, and none binarized.
const TABLE: [(&str, [f64; 4]); 3] = [
    ("mnist", [0.0140, 0.0096, 0.0129, 0.013]),
    ("svhn", [0.0253, 0.0280, 0.0230, 0.0244]),
    ("cifar10", [0.1015, 0.1140, 0.0990, 0.1094]),
];

/// All specs with their files.
fn specs() -> Vec<(PathBuf, Spec)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|it| it == "toml"));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let spec = Spec::parse(&path.display().to_string(), &text);
        (path, spec.unwrap_or_else(|error| panic!("{error}")))
    };
    files.map(read).collect()
}

#[test]
fn every_cell_of_table_1_has_an_experiment_of_the_paper_tier() {
    let specs = specs();
    for (data, errors) in TABLE {
        for error in errors {
            let aims = specs.iter().any(|(_, spec)| {
                let aim = spec.expect.get(&Metric::TestError).and_then(|expect| expect.paper);
                spec.data == [data] && spec.tiers.contains_key("paper") && aim == Some(error)
            });
            assert!(aims, "no spec of the tier paper aims at {error} on {data}");
        }
    }
}

#[test]
fn every_experiment_is_in_order() {
    let specs = specs();
    assert!(!specs.is_empty());
    for (path, spec) in specs {
        let place = path.display().to_string();
        assert_eq!(spec.name, path.file_stem().unwrap().to_str().unwrap(), "name in {place}");
        let known = spec.tiers.keys().all(|tier| TIERS.contains(&tier.as_str()));
        assert!(known && !spec.tiers.is_empty(), "{place} has [tier.X] of {TIERS:?}, one or more");
    }
}
