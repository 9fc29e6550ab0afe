//! `bnn bench`.

use crate::desk::Desk;

#[test]
fn results_are_checked_and_told_as_json() {
    let desk = Desk::new();
    let out = desk.bnn("bench --only dense/b1/577 --seconds 0 --json").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let timed: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(timed["case"], "dense/b1/577x577");
    let rows = timed["rows"].as_array().unwrap();
    let name = |row: &serde_json::Value| row["name"].as_str().unwrap().to_owned();
    let names: Vec<_> = rows.iter().map(name).collect();
    assert!(names[0].starts_with("cpu/"), "{names:?}");
    for rival in ["cpu/portable", "f32 rten-gemm", "int8 rten-gemm", "popcount loop"] {
        assert!(names.iter().any(|name| name == rival), "{rival} is not among {names:?}");
    }
    assert!(rows.iter().all(|row| row["seconds"].as_f64().unwrap() > 0.0));
}

#[test]
fn cases_are_named() {
    let desk = Desk::new();
    let out = desk.bnn("bench --list --only square").output().unwrap();
    let want = "square/1024\nsquare/2048\nsquare/4096\nsquare/8192\nlayer/square/8192\n";
    assert_eq!(String::from_utf8(out.stdout).unwrap(), want);
    for (only, count) in [("dense/b1/4096x4096", 1), ("b1/4096x4096", 2)] {
        assert_eq!(desk.works(&format!("bench --list --only {only}")).lines().count(), count);
    }
    let on_gpus = desk.works("bench --list --backend cuda"); // names need no GPU
    assert!(on_gpus.contains("square/8192\n") && !on_gpus.contains("gradient/"), "{on_gpus}");
    desk.fails("bench --list --backend abacus", 2, &["GPU `abacus`", "cuda:1"]);
    desk.fails("bench --check --only square/8192", 2, &["--check", "take smaller ones"]);
    desk.fails("bench --only triangle", 2, &["no case contains `triangle`", "--list"]);
    desk.fails("bench --only dense/b1/577 --kernel mmx", 2, &["cpu/mmx", "portable"]);
    desk.fails("bench --only dense/b1/577 --threads 0", 2, &["--threads", "0 is not in 1..="]);
    desk.fails("bench --seconds=-1 --only square/1024", 2, &["--seconds", "from 0 on"]);
}

#[test]
fn a_gpu_that_is_not_here_is_named_with_its_remedy() {
    let desk = Desk::new();
    desk.fails("bench --backend tch --only square/1024", 2, &["GPU `tch`", "cuda:1"]);
    desk.fails("bench --backend cuda --kernel avx2", 2, &["--kernel", "for the processor"]);
    let told = desk.works("backends");
    let cuda = told.lines().find(|line| line.starts_with("cuda ")).unwrap();
    if cuda.contains(" usable ") {
        println!("SKIPPED a GPU that is not here: it is");
        return;
    }
    let why = cuda.split_once("absent").unwrap().1.trim();
    desk.fails("bench --backend cuda --only square/1024", 3, &["backend `cuda", why]);
    // Before the data set is looked for, and the model read.
    desk.fails("bench --backend cuda --model none --data mnist", 3, &["backend `cuda", why]);
}

#[test]
fn a_trained_model_is_timed_with_everyones_test_error() {
    let desk = Desk::new();
    desk.works("train tiny.toml --out run");
    let model = "run/model.safetensors";
    let evaluated: serde_json::Value =
        serde_json::from_str(&desk.works(&format!("eval {model} --data digits --json"))).unwrap();
    let told = desk.works(&format!("bench --model {model} --data digits --seconds 0 --json"));
    let timed: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(timed["case"], "model/digits");
    let rows = timed["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["name"] == "f32 rten-gemm"), "{rows:?}");
    assert!(rows.iter().all(|row| row["error"] == evaluated["test_error"]), "{rows:?}");

    desk.fails(&format!("bench --model {model}"), 2, &["--data"]);
    desk.fails("bench --model none.safetensors --data digits", 1, &["none.safetensors"]);
    desk.fails(&format!("bench --model {model} --data mnist"), 3, &["mnist", "BNN_DATA"]);
}

#[test]
fn peaks_are_told() {
    let desk = Desk::new();
    let peaks: serde_json::Value =
        serde_json::from_str(&desk.works("bench --peaks --json")).unwrap();
    let rates: Vec<f64> = peaks["reading"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reading| reading["rate"].as_f64().unwrap())
        .collect();
    assert!(rates.len() >= 3 && rates.iter().all(|&rate| rate > 1e8), "{rates:?}");
    assert!(desk.works("bench --peaks").contains("reading 16 KiB again and again: "));
}
