//! Every bad input is an error that names the file, the place and the cause.

use std::fs;

use crate::desk::{Desk, SPEC};

impl Desk {
    /// Trains the spec with one line replaced; it must be refused with these words.
    fn refuses(&self, line: &str, by: &str, words: &[&str]) {
        assert!(SPEC.contains(line));
        self.write("bad.toml", SPEC.replace(line, by));
        self.fails("train bad.toml --out run", 2, words);
        self.bnn("train bad.toml --out run").assert().stdout(""); // announced nothing
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
fn damaged_data_is_named() {
    let desk = Desk::new();
    let images = "train-images-idx3-ubyte";
    let labels = "train-labels-idx1-ubyte";
    let whole = idx(3, &[60, 28, 28], 7);
    desk.mnist(images, &whole[..whole.len() / 2]);
    desk.fails(MNIST, 1, &[images, "byte", "`bnn data verify mnist` tells which files"]);
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
    desk.fails("train tiny.toml --data imagenet --out run", 2, &["imagenet", "digits"]);
    desk.fails("train tiny.toml --backend cuda --out run", 3, &["cuda"]);
    #[cfg(not(feature = "tch"))]
    for backend in ["tch", "tch/2", "tch:cuda"] {
        let line = format!("train tiny.toml --backend {backend} --out run");
        desk.fails(&line, 3, &[backend, "`cargo xtask libtorch`", "`--features tch`"]);
    }
    #[cfg(feature = "tch")]
    for backend in ["tch/mkl", "tch/0", "tch/2 --threads 1"] {
        desk.fails(&format!("train tiny.toml --backend {backend} --out run"), 2, &["threads"]);
    }
    desk.fails("train tiny.toml --backend cpu/mmx --out run", 2, &["mmx", "portable"]);
    desk.fails("train tiny.toml --backend abacus --out run", 2, &["abacus", "reference"]);
    let tier = ["tiny.toml: no tier `huge`; it has no tiers"];
    desk.fails("train tiny.toml --tier huge --out run", 2, &tier);
    desk.fails("spec tiny.toml --tier huge", 2, &tier);
    desk.write("tiers.toml", format!("{SPEC}[tier.smoke]\n[tier.short]"));
    let tiers = ["tiers.toml: no tier `huge`; it has short, smoke"];
    desk.fails("spec tiers.toml --tier huge", 2, &tiers);
    assert!(desk.works("spec tiers.toml --tier huge --json").contains("\"tier\":null"));
    let mirror = "an address begins with https:// or http://";
    desk.fails("data fetch mnist --mirror foo", 2, &["foo", "--mirror", mirror]);
}

#[test]
fn numbers_that_cannot_be_are_wrong_usage() {
    let desk = Desk::new();
    for (option, why) in [
        ("--threads=0", "0 is not in 1..=4096"),
        ("--threads=5000", "5000 is not in 1..=4096"),
        ("--threads=-1", "invalid digit"),
    ] {
        for command in ["train tiny.toml", "eval absent --data digits", "predict absent a.png"] {
            desk.fails(&format!("{command} {option}"), 2, &["--threads", why]);
        }
    }
    for minutes in ["-1", "nan", "1e300", "soon"] {
        let line = format!("train tiny.toml --checkpoint-every={minutes}");
        desk.fails(&line, 2, &["--checkpoint-every", minutes, "a number from 0 on"]);
    }
    assert!(!desk.0.path().join("runs").exists());
}

#[test]
fn broken_specs_are_refused() {
    let desk = Desk::new();
    desk.refuses("batch = 50", "batch = 50\nbach = 3", &["bad.toml", "bach"]);
    desk.write("bytes.toml", b"name = \"\xff\"");
    desk.fails("train bytes.toml", 2, &["bytes.toml: not valid UTF-8 from byte 8 on"]);
    desk.refuses("batch = 50", "batch = 0", &["bad.toml", "batch"]);
    desk.refuses("batch = 50", "batch = \"fifty\"", &["bad.toml", "batch"]);
    desk.refuses("from = 3e-3", "from = nan", &["bad.toml", "rate"]);
    desk.refuses(
        "from = 3e-3",
        "from = 1e-320",
        &["bad.toml", "train.rate.from: a rate of 1e-320"],
    );
    desk.refuses("batch = 50", "batch = 1", &["bad.toml", "train.batch", "norm over a single row"]);
    let rest = "batch = 199\nlast_batch = \"keep\"";
    desk.refuses("batch = 50", rest, &["bad.toml: train.last_batch", "want `drop`"]);
    desk.refuses("\"dense 16\"", "\"dense sixteen\"", &["bad.toml", "dense sixteen"]);
    desk.refuses("weights = \"sign\"", "weights = \"sine\"", &["bad.toml", "sine"]);
    for (line, key) in [("epochs = 1", "train.epochs"), ("samples = 200", "train.samples")] {
        let (word, _) = line.split_once(' ').unwrap();
        let words = ["bad.toml", key, "must be at least 1"];
        desk.refuses(line, &format!("{word} = 0"), &words);
    }
}

#[test]
fn layers_that_do_not_fit_their_input_are_refused() {
    let desk = Desk::new();
    let window = "a window inside the padded grid";
    for (layer, why) in [
        ("conv 4 kernel 29", "29 x 29 stride 1 pad 0 on 28 x 28 pixels"),
        ("conv 4 kernel 31 pad 1", "31 x 31 stride 1 pad 1 on 28 x 28 pixels"),
        ("conv 4 kernel 3 pad 3", "3 x 3 stride 1 pad 3 on 28 x 28 pixels"),
        ("conv 4 kernel 3 pool 27", "27 x 27 stride 27 pad 0 on 26 x 26 pixels"),
    ] {
        let quoted = format!("\"{layer}\"");
        desk.refuses("\"dense 16\"", &quoted, &["bad.toml", &format!("`{layer}`"), window, why]);
    }
    desk.refuses("\"dense 10\"", "\"dense 9\"", &["bad.toml", "`dense 9`", "10 classes"]);
}

#[test]
fn trainings_that_do_not_fit_their_images_are_refused() {
    let desk = Desk::new();
    let many = "9999999 is more than the 10000 training images there are";
    desk.refuses("samples = 200", "samples = 9999999", &["bad.toml: train.samples: ", many]);
    let lines = "batch = 50\nsamples = 200";
    desk.refuses(lines, "batch = 9999999", &["bad.toml: train.batch: ", many]);
    let crop = "samples = 200\naugment = { crop = 28 }";
    let words = ["bad.toml: train.augment.crop: 28 ", "28 x 28 pixels; want less than 28"];
    desk.refuses("samples = 200", crop, &words);
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
    let version = br#"version\":2"#;
    let at = model.windows(version.len()).position(|bytes| bytes == version).unwrap();
    let mut newer = model.clone();
    newer[at + version.len() - 1] = b'3';
    desk.write("bad.safetensors", newer);
    desk.fails(eval, 1, &["bad.safetensors", "version 3 is newer than 2", "update bnn"]);
    for command in ["eval FILE --data digits", "inspect FILE", "predict FILE any.png"] {
        let fails =
            |file: &str, words: &[&str]| desk.fails(&command.replace("FILE", file), 1, words);
        let checkpoint = "run/checkpoint.safetensors";
        fails(checkpoint, &[checkpoint, "this is a checkpoint", "not a frozen model"]);
        fails("absent.safetensors", &["absent.safetensors", "No such file"]);
        fails("run", &["run: a directory; name the model in it, such as run/model.safetensors"]);
    }
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
    let cause = "file/run: Not a directory (os error 20)\n"; // once
    desk.fails("train tiny.toml --out file/run", 1, &[cause]);
    let file = "file: a file lies where the folder should be; name another one with --out";
    desk.fails("train tiny.toml --out file", 1, &[file]);
    fs::create_dir_all(desk.0.path().join("run/model.safetensors")).unwrap();
    for line in ["train tiny.toml --out run", "train tiny.toml --out run --force"] {
        desk.fails(line, 1, &["run/model.safetensors: a folder lies where", "with --out"]);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_where_a_file_should_be_is_no_reason_to_wait() {
    for name in ["checkpoint.safetensors", ".lock", "model.safetensors.part", "spec.toml"] {
        let desk = Desk::new();
        let folder = desk.0.path().join("run");
        fs::create_dir(&folder).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(folder.join(name)).status();
        assert!(pipe.unwrap().success());
        let line = "train tiny.toml --out run --resume";
        let out = desk.bnn(line).timeout(std::time::Duration::from_secs(300)).assert().code(1);
        let error = String::from_utf8(out.get_output().stderr.clone()).unwrap();
        assert!(error.contains(name.trim_end_matches(".part")), "{error}");
    }
}
