//! What training, evaluation and inspection print.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::desk::{Desk, SPEC};

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
    let line = desk.works("eval run/model.safetensors --data digits --backend cpu/portable");
    assert!(line.starts_with("test error ") && line.ends_with(", cpu/portable\n"), "{line}");
    assert!(desk.works("inspect run/model.safetensors").contains("dense"));
    assert!(desk.works("backends").contains("cpu/portable"));
}

#[test]
fn what_the_network_gets_wrong_lies_beside_it() {
    let desk = Desk::new();
    let lines = desk.works("train tiny.toml --out run --json");
    let done: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(done["evaluation"], "evaluation.json");
    let file = fs::read(desk.0.path().join("run/evaluation.json")).unwrap();
    let told: Value = serde_json::from_slice(&file).unwrap();
    let counts = |row: &Value| row.as_array().unwrap().iter().flat_map(Value::as_u64).sum::<u64>();
    let rows = told["confusion"].as_array().unwrap();
    let images: u64 = rows.iter().map(counts).sum();
    let right: u64 = (0..10).map(|class| rows[class][class].as_u64().unwrap()).sum();
    assert_eq!(done["test_error"], (images - right) as f64 / images as f64);
    let worst = &told["mistakes"][0];
    assert_ne!(worst["label"], worst["predicted"]);
    let png = "iVBORw0KGgo";
    let image = worst["image"].as_str().unwrap();
    assert!(image.starts_with(png), "{worst}");
    // The README takes the first picture of the file, and has it classified.
    let text = String::from_utf8(file).unwrap();
    assert_eq!(text.find("iVBOR"), text.find(image));
    desk.write("hard.png", STANDARD.decode(image).unwrap());
    let class = told["classes"][worst["predicted"].as_u64().unwrap() as usize].as_str().unwrap();
    let line = desk.works("predict run/model.safetensors hard.png");
    assert!(line.starts_with(&format!("hard.png: {class}, margin ")), "{line}");
    let filters = &told["filters"];
    let size = ["height", "width", "channels", "shown", "of"].map(|key| filters[key].as_u64());
    assert_eq!(size, [28, 28, 1, 16, 16].map(Some));
    assert!(filters["image"].as_str().unwrap().starts_with(png));
}

#[test]
fn what_a_network_costs_is_counted_without_its_data() {
    let desk = Desk::new();
    let told: Value = serde_json::from_str(&desk.works("cost tiny.toml --json")).unwrap();
    assert_eq!(told["layers"][0]["multiply_adds"], 784 * 16);
    assert_eq!(told["layers"][1]["own"]["written"], 32 * 10);
    insta::assert_snapshot!(desk.works("cost tiny.toml"));
    desk.write("other.toml", SPEC.replace("[\"digits\"]", "[\"mine\"]"));
    let words = ["other.toml", "the images of `mine` are not known here", "--input"];
    desk.fails("cost other.toml", 2, &words);
    assert!(desk.works("cost other.toml --input 4x4x3").contains("48"));
    desk.fails("cost tiny.toml --tier paper", 2, &["no tier `paper`"]);
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

/// Two convolutions and two dense layers.
fn convnet() -> String {
    let blocks = r#""conv 8 kernel 5 stride 2 pad 2", "conv 6 kernel 3 pad 1 pool 2", "dense 16""#;
    SPEC.replace("\"dense 16\"", blocks)
}

#[test]
fn the_network_is_described_before_it_is_trained() {
    let desk = Desk::new();
    desk.write("convnet.toml", convnet());
    let lines = desk.works("train convnet.toml --backend cpu/portable --out run");
    let (before, after) = lines.split_once("\n\nepoch").unwrap();
    insta::assert_snapshot!(before);
    assert!(after.contains("test error"), "{after}");
}

#[test]
fn a_last_batch_that_is_kept_is_a_step() {
    let desk = Desk::new();
    for (last_batch, steps) in [("drop", 4), ("keep", 5)] {
        let keys = format!("samples = 230\nlast_batch = \"{last_batch}\"");
        desk.write("odd.toml", SPEC.replace("samples = 200", &keys));
        let lines = desk.works("train odd.toml --out run --json --force");
        let start: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(start["steps_per_epoch"], steps);
        let text = desk.works("train odd.toml --out run --force");
        assert!(text.contains(&format!("of {steps} steps, 50 images each")), "{text}");
    }
}

#[test]
fn the_description_is_the_same_in_json_and_in_the_model() {
    let desk = Desk::new();
    desk.write("convnet.toml", convnet());
    let lines = desk.works("train convnet.toml --out run --json");
    let start: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(start["event"], "start");
    assert_eq!((&start["steps_per_epoch"], &start["images"]["train"]), (&4.into(), &200.into()));
    let inspected = desk.works("inspect run/model.safetensors --json");
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    let told = fs::read(desk.0.path().join("run/evaluation.json")).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let kernels = inspected["layers"].as_array().unwrap().iter().map(|it| &it["unique_kernels"]);
    let kernels: Vec<&Value> = kernels.take(3).collect(); // of the hidden layers
    assert_eq!(told["kernels"].as_array().unwrap().iter().collect::<Vec<_>>(), kernels);
    assert!(kernels[0].is_f64() && kernels[2].is_null(), "{kernels:?}");
    let summary = &start["summary"];
    assert_eq!(summary["total"], inspected["total"]);
    assert_eq!(summary["model_bytes"], inspected["file_bytes"]);
    let layers = |value: &Value| value["layers"].as_array().unwrap().clone();
    for (before, mut after) in layers(summary).into_iter().zip(layers(&inspected)) {
        for trained in ["thresholds", "unique_kernels"] {
            after.as_object_mut().unwrap().remove(trained).unwrap();
        }
        assert_eq!(before, after);
    }
}

#[test]
fn a_float_baseline_is_trained_and_leaves_no_model() {
    let desk = Desk::new();
    for (name, weights) in [("float", "real"), ("connect", "sign")] {
        let text = SPEC.replace("weights = \"sign\"", &format!("weights = \"{weights}\""));
        let text = text.replace("activations = \"sign\"", "activations = \"relu\"");
        desk.write(&format!("{name}.toml"), text);
        let lines = desk.works(&format!("train {name}.toml --out {name} --json"));
        let events: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (first, last) = (events.first().unwrap(), events.last().unwrap());
        assert_eq!(
            (&first["summary"]["model_bytes"], &last["model"]),
            (&Value::Null, &Value::Null)
        );
        assert!(last["test_error"].as_f64().unwrap() <= 1.0 && last["model_bytes"].is_null());
        assert!(!desk.0.path().join(name).join("model.safetensors").exists());
        let text = desk.works(&format!("train {name}.toml --out {name} --force"));
        assert_eq!(text.matches("has no bits to freeze").count(), 2, "{text}"); // before, and after
        assert!(text.contains("x f32") == (weights == "real"), "{text}");
    }
}

/// As a person does: a short run, then more of it, then a look at what there is.
#[test]
fn a_run_goes_on_for_more_epochs_and_keeps_what_one_comes_back_for() {
    let desk = Desk::new();
    desk.write(
        "steady.toml",
        SPEC.replace(", to = 3e-4", "").replace("[train]", "[train]\nstop_after = 1"),
    );
    let lines = |line: &str| -> Vec<Value> {
        let text = desk.works(line);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    lines("train steady.toml --out run --json --keep-checkpoint");
    let more = lines("train steady.toml --out run --json --resume --epochs 3");
    let whole = lines("train steady.toml --out whole --json --epochs 3");
    let (more, whole) = (more.last().unwrap(), whole.last().unwrap());
    assert_eq!((&more["continued_after"], &whole["continued_after"]), (&json!([1]), &json!([])));
    assert_eq!((&more["epochs"], &more["test_error"]), (&json!(3), &whole["test_error"]));
    let read = |name: &str| fs::read(desk.0.path().join(name)).unwrap();
    assert_eq!(read("run/model.safetensors"), read("whole/model.safetensors"));
    // The spec as it was run gives the same again.
    desk.works("train run/spec.toml --out again");
    assert_eq!(read("again/model.safetensors"), read("whole/model.safetensors"));
    let history = String::from_utf8(read("whole/history.jsonl")).unwrap();
    let told = desk.works("train run/spec.toml --out again --json --force");
    let without_time = |text: &str| -> Vec<Value> {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines = lines.filter(|line| line["event"] == "epoch");
        lines.map(|mut line| (line["seconds"] = Value::Null, line).1).collect()
    };
    assert_eq!(without_time(&history), without_time(&told));
    desk.fails("train tiny.toml --out run --epochs 0 --force", 2, &["--epochs", "train.epochs"]);
    desk.fails("train tiny.toml --out run --resume --force", 2, &["--resume", "--force"]);
    desk.works("train tiny.toml --out tiny --keep-checkpoint");
    let words = ["`train.epochs` is 1, not 2", "constant or halved rates can be continued"];
    desk.fails("train tiny.toml --out tiny --resume --epochs 2", 1, &words);
}

/// 1,002 images in batches of 100: the last batch of every epoch has two.
#[test]
fn a_last_batch_of_two_images_spoils_no_statistics() {
    let desk = Desk::new();
    let error = |last_batch: &str| {
        let keys = format!("samples = 1002\nlast_batch = \"{last_batch}\"");
        let text = SPEC.replace("samples = 200", &keys).replace("batch = 50", "batch = 100");
        let text = text.replace("\"dense 16\"", "\"dense 64\"").replace(", to = 3e-4", "");
        desk.write("two.toml", text.replace("epochs = 1", "epochs = 10"));
        let lines = desk.works("train two.toml --out run --json --force");
        let done: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        done["test_error"].as_f64().unwrap()
    };
    let [kept, dropped] = ["keep", "drop"].map(error);
    assert!((kept - dropped).abs() < 0.05, "{kept} where they are kept, {dropped} where not");
}
