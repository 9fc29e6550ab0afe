//! The experiments of the workspace: each can be read, goes by its file's name, and is in a tier.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use bnn::train::Spec;

/// The tiers of `cargo xtask reproduce`.
const TIERS: [&str; 4] = ["smoke", "quick", "short", "paper"];

#[test]
fn every_experiment_is_in_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let specs: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    assert!(!specs.is_empty());
    for path in specs {
        let (place, text) = (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
        let spec = Spec::parse(&place, &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(spec.name, path.file_stem().unwrap().to_str().unwrap(), "name in {place}");
        let known = spec.tiers.keys().all(|tier| TIERS.contains(&tier.as_str()));
        assert!(known && !spec.tiers.is_empty(), "{place} has [tier.X] of {TIERS:?}, one or more");
    }
}
