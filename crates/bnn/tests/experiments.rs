//! The experiments of the workspace: each can be read, goes by its file's name, and is in a tier.
#![allow(clippy::unwrap_used)]

use bnn::train::Spec;
use bnn::train::spec::Metric;
use bnn_experiments::Experiment;

/// The tiers of `cargo xtask reproduce`.
const TIERS: [&str; 4] = ["smoke", "quick", "short", "paper"];

/// Test errors that the paper's table 1 has of networks that can be trained here: both forms of the
/// binarized one, BinaryConnect, and none binarized.
const TABLE: [(&str, [f64; 4]); 3] = [
    ("mnist", [0.0140, 0.0096, 0.0129, 0.013]),
    ("svhn", [0.0253, 0.0280, 0.0230, 0.0244]),
    ("cifar10", [0.1015, 0.1140, 0.0990, 0.1094]),
];

/// All specs with the names of their files.
fn specs() -> Vec<(&'static str, Spec)> {
    let read = |&Experiment { name, text }: &Experiment| {
        (name, Spec::parse(name, text).unwrap_or_else(|error| panic!("{error}")))
    };
    bnn_experiments::ALL.iter().map(read).collect()
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
    for (place, spec) in specs() {
        assert_eq!(spec.name, place, "name in {place}");
        let known = spec.tiers.keys().all(|tier| TIERS.contains(&tier.as_str()));
        assert!(known && !spec.tiers.is_empty(), "{place} has [tier.X] of {TIERS:?}, one or more");
    }
}
