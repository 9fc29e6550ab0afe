//! Specs by name: what is built in, and what is said of names that nothing has.

use std::fs;

use bnn_train::Spec;
use serde_json::Value;

use crate::desk::{Desk, SPEC};

#[test]
fn every_experiment_is_listed_and_printed_as_it_is_written() {
    let desk = Desk::new();
    let list = desk.works("spec --list");
    let rows = desk.works("spec --list --json");
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(rows.len(), bnn_experiments::ALL.len());
    for (row, experiment) in rows.iter().zip(bnn_experiments::ALL) {
        assert_eq!(row["name"], experiment.name);
        assert!(list.contains(&format!("{}: ", experiment.name)), "{list}");
        assert_eq!(desk.works(&format!("spec {}", experiment.name)), experiment.text);
    }
    let digits = rows.iter().find(|row| row["name"] == "digits-mlp").unwrap();
    assert_eq!(digits["tiers"], serde_json::json!(["quick", "smoke"]));
    assert_eq!(digits["data"], serde_json::json!(["digits"]));
    assert!(list.contains("digits-mlp: digits; quick, smoke\n    MLP 3x1024 without dropout"));
}

#[test]
fn a_built_in_spec_is_trained_and_counted_without_a_checkout() {
    let desk = Desk::new();
    let told = desk.works("train digits-mlp --tier smoke --out run");
    assert!(told.starts_with("digits-mlp: MLP 3x1024 without dropout"), "{told}");
    assert!(desk.works("cost cifar-convnet").contains("conv 128 kernel 3 pad 1 pool 2"));
    let tier = desk.works("spec digits-mlp --tier smoke");
    let resolved = Spec::parse("resolved", &tier).unwrap();
    assert_eq!((resolved.train.epochs, resolved.tiers.len()), (4, 0));
    assert!(tier.starts_with("# digits-mlp, tier smoke\n"), "{tier}");
    desk.fails("train digits-mlp --tier huge", 2, &["digits-mlp: no tier `huge`", "quick, smoke"]);
}

#[test]
fn a_printed_spec_is_a_spec() {
    let desk = Desk::new();
    desk.write("my.toml", desk.works("spec digits-mlp"));
    assert_eq!(desk.works("spec my.toml"), desk.works("spec digits-mlp"));
    let resolved = desk.works("spec my.toml --resolved");
    assert!(
        resolved.starts_with("# digits-mlp\n") && resolved.contains("last_batch"),
        "{resolved}"
    );
    desk.write("resolved.toml", &resolved);
    assert_eq!(desk.works("spec resolved.toml --resolved"), resolved);
}

#[test]
fn a_file_of_a_built_in_name_is_taken_and_said_so() {
    let desk = Desk::new();
    desk.write("digits-mlp", SPEC);
    let out = desk.bnn("train digits-mlp --out run").assert().success();
    let said = String::from_utf8(out.get_output().stderr.clone()).unwrap();
    let want = "note: digits-mlp is the file of this name here, not the built-in spec\n";
    assert!(said.contains(want), "{said}");
    assert!(String::from_utf8_lossy(&out.get_output().stdout).starts_with("tiny: "));
    fs::remove_file(desk.0.path().join("digits-mlp")).unwrap();
    // A folder of runs is no spec.
    fs::create_dir(desk.0.path().join("digits-mlp")).unwrap();
    desk.bnn("cost digits-mlp").assert().success().stderr("");
}

#[test]
fn a_spec_that_is_not_there_is_wrong_usage_with_the_closest_names() {
    let desk = Desk::new();
    let list = "`bnn spec --list` names all";
    for command in ["train", "cost", "spec"] {
        let fails = |spec: &str, words: &[&str]| desk.fails(&format!("{command} {spec}"), 2, words);
        fails("digits-mpl", &["digits-mpl: no such file", "close to it are `digits-mlp`", list]);
        fails(
            "experiments/digits-conv.toml",
            &["digits-conv.toml: no such", "`digits-conv`", list],
        );
        fails("resnet50.toml", &["resnet50.toml: no such file, and no built-in spec; ", list]);
        fails("tiny.toml/under", &["tiny.toml/under: no such file", list]);
        fails(".", &["this is a folder, and a regular file was expected", "TOML"]);
        #[cfg(unix)]
        fails("/dev/zero", &["/dev/zero: this is a device", "TOML"]);
    }
    assert!(!desk.0.path().join("runs").exists());
    let large = fs::File::create(desk.0.path().join("large.toml")).unwrap();
    large.set_len(1 << 40).unwrap();
    desk.fails("cost large.toml", 2, &["large.toml: the file has more than the 1048576 bytes"]);
}

#[test]
fn help_names_nothing_that_an_installed_binary_lacks() {
    let desk = Desk::new();
    let commands = ["", "train", "eval", "predict", "inspect", "cost", "data", "backends", "spec"];
    for command in commands {
        let help = desk.works(&format!("{command} --help"));
        assert!(!help.contains("experiments/"), "{help}");
    }
    let first = "bnn train digits-mlp --tier smoke --out runs/first";
    assert!(desk.works("--help").contains(first), "the example is the one that works");
    desk.works(first.strip_prefix("bnn ").unwrap());
}
