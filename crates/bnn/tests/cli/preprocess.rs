//! Models that read preprocessed images.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::desk::{Desk, SPEC};

/// The tiny spec with a chain of preprocessing, and more images than an image has values.
fn spec(chain: &str) -> String {
    let samples = SPEC.replace("samples = 200", "samples = 800");
    samples.replace("[net]", &format!("preprocess = {chain}\n[net]"))
}

/// The one fit in the cache, beside which there is nothing but the lock.
fn fitted(desk: &Desk) -> PathBuf {
    let files = fs::read_dir(desk.0.path().join("nowhere/bnn/fitted")).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let [file] = &files.iter().filter(|path| !path.ends_with(".lock")).collect::<Vec<_>>()[..]
    else {
        panic!("one fit: {files:?}")
    };
    file.to_path_buf()
}

#[test]
fn whitened_images_are_trained_on_and_whitened_again_to_evaluate() {
    let desk = Desk::new();
    desk.write("white.toml", spec(r#"["gcn bias 10", "zca ridge 1e-2"]"#));
    let line = "train white.toml --out run --json";
    let done =
        |lines: String| -> Value { serde_json::from_str(lines.lines().last().unwrap()).unwrap() };
    let first = done(desk.works(line));
    assert_eq!(first["preprocess"]["steps"], serde_json::json!(["gcn bias 10", "zca ridge 1e-2"]));
    let run = desk.0.path().join("run");
    let model = fs::read(run.join("model.safetensors")).unwrap();
    // What was fitted is in the cache: on another number of threads the bytes are the same.
    let again = done(desk.works(&format!("{line} --threads 1 --force")));
    assert_eq!(again["preprocess"], first["preprocess"]);
    assert_eq!(fs::read(run.join("model.safetensors")).unwrap(), model);
    fitted(&desk);
    let eval = done(desk.works("eval run/model.safetensors --data digits --json"));
    assert_eq!(
        (&eval["test_error"], &eval["test_loss"]),
        (&first["test_error"], &first["test_loss"])
    );
    let shown = desk.works("inspect run/model.safetensors");
    assert!(shown.contains("preprocess  gcn bias 10, zca ridge 1e-2; codes up to "), "{shown}");
    let digest = first["preprocess"]["digest"].as_str().unwrap();
    let fit = format!("; fitted in preprocess-{digest:.12}.safetensors");
    assert!(shown.trim_end().ends_with(&fit), "{shown}");
}

#[test]
fn nothing_is_fitted_for_a_backend_that_is_not_there() {
    let desk = Desk::new();
    desk.write("white.toml", spec(r#"["zca ridge 1e-2"]"#));
    desk.fails("train white.toml --out run --backend abacus", 2, &["backend `abacus`"]);
    desk.fails("train white.toml --out run --threads 5000", 2, &["5000 is not in 1..=4096"]);
    assert!(!desk.0.path().join("nowhere/bnn/fitted").exists());
}

#[test]
fn what_is_not_fitted_is_not_called_so() {
    let desk = Desk::new();
    desk.write("lcn.toml", spec(r#"["gcn bias 10", "lcn"]"#));
    desk.works("train lcn.toml --out run");
    let shown = desk.works("inspect run/model.safetensors");
    let line = shown.lines().last().unwrap();
    assert!(line.starts_with("preprocess  gcn bias 10, lcn; codes up to "), "{line}");
    assert!(!line.contains("fitted") && line.matches("; ").count() == 1, "{line}");
}

#[test]
fn a_pipe_hears_of_no_progress() {
    let desk = Desk::new();
    desk.write("white.toml", spec(r#"["zca ridge 1e-2"]"#));
    let out = desk.bnn("train white.toml --out run").assert().success();
    assert_eq!(String::from_utf8_lossy(&out.get_output().stderr), "");
    let said = String::from_utf8_lossy(&out.get_output().stdout).into_owned();
    assert!(!said.contains("fitting"), "{said}");
    // 784 values: 4 (784 + 784^2) bytes.
    assert!(said.contains(", zca 2.46 MB), "), "{said}");
    // 784 values: 49 * 784^2 + 8 * 1024 * 784 + 5 * 2^20 bytes.
    assert!(said.contains(" more for a checkpoint; 41.78 MB before, to fit zca"), "{said}");
}

#[test]
fn a_damaged_fit_in_the_cache_is_to_be_deleted() {
    let desk = Desk::new();
    desk.write("white.toml", spec(r#"["zca ridge 1e-2"]"#));
    desk.works("train white.toml --out run");
    let file = fitted(&desk);
    fs::write(&file, "damaged").unwrap();
    let name = format!("{}: no fitted preprocessing, or a damaged one (", file.display());
    let words = [&*name, "; delete this file, and it is fitted anew"];
    desk.fails("train white.toml --out run --force", 1, &words);
    fs::remove_file(file).unwrap();
    desk.works("train white.toml --out run --force");
}

#[test]
fn a_model_is_never_fed_pixels_that_it_cannot_read() {
    let desk = Desk::new();
    desk.write("white.toml", spec(r#"["zca ridge 1e-2"]"#));
    let done = desk.works("train white.toml --out run --json");
    let done: Value = serde_json::from_str(done.lines().last().unwrap()).unwrap();
    let fit = format!(
        "run/preprocess-{:.12}.safetensors",
        done["preprocess"]["digest"].as_str().unwrap()
    );
    fs::remove_file(desk.0.path().join(&fit)).unwrap();
    let absent = format!("{fit}: not there");
    let words = [&*absent, "zca ridge 1e-2", "copy it from the folder"];
    desk.fails("eval run/model.safetensors --data digits", 1, &words);
    desk.fails("predict run/model.safetensors any.png", 1, &words);
    assert!(desk.works("inspect run/model.safetensors").contains("safetensors: not there"));
    let inspected = desk.works("inspect run/model.safetensors --json");
    assert!(inspected.contains(&format!("\"absent\":\"{absent}")), "{inspected}");
    desk.write(&fit, "damaged");
    let damaged = format!("{fit}: no fitted preprocessing, or a damaged one");
    desk.fails("eval run/model.safetensors --data digits", 1, &[&damaged]);
}

#[test]
fn chains_that_do_not_fit_are_wrong_usage() {
    let desk = Desk::new();
    desk.write("bad.toml", spec(r#"["gcn scale 55"]"#));
    desk.fails("train bad.toml", 2, &["bad.toml", "`gcn scale 55` is no step of preprocessing"]);
    desk.write("few.toml", spec(r#"["zca ridge 0.1"]"#).replace("= 800", "= 700"));
    let words = ["few.toml", "`zca ridge 1e-1`: 700 training images are too few", "train.samples"];
    desk.fails("train few.toml --out run", 2, &words);
}
