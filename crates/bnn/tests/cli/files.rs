//! Files that are no files, data sets that are not what they are called, and what is said of them.

use std::fs::File;

use crate::desk::Desk;

impl Desk {
    /// MNIST files of 60 training and 10 test images, all the same, with a label that counts up to
    /// this one.
    fn mnist_up_to(&self, last: u8) {
        let idx = |magic: u8, dims: &[u32], byte: &dyn Fn(usize) -> u8| {
            let mut file = vec![0, 0, 8, magic];
            dims.iter().for_each(|dim| file.extend(dim.to_be_bytes()));
            file.extend((0..dims.iter().product::<u32>() as usize).map(byte));
            file
        };
        let label = |image: usize| (image % (usize::from(last) + 1)) as u8;
        for (name, bytes) in [
            ("train-images-idx3-ubyte", idx(3, &[60, 28, 28], &|_| 7)),
            ("train-labels-idx1-ubyte", idx(1, &[60], &label)),
            ("t10k-images-idx3-ubyte", idx(3, &[10, 28, 28], &|_| 0)),
            ("t10k-labels-idx1-ubyte", idx(1, &[10], &label)),
        ] {
            self.write(&format!("mnist/{name}"), bytes);
        }
    }

    #[cfg(unix)]
    fn pipe(&self, name: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    /// A file of so many GiB, none of which is on the disk.
    fn sparse(&self, name: &str, gib: u64) {
        self.write(name, "");
        File::options()
            .write(true)
            .open(self.0.path().join(name))
            .unwrap()
            .set_len(gib << 30)
            .unwrap();
    }

    /// What a command that ends with this code says on standard error.
    fn says(&self, line: &str, code: i32) -> String {
        let out = self.bnn(line).assert().code(code).get_output().clone();
        String::from_utf8(out.stderr).unwrap()
    }
}

const SMALL: &str = "train small.toml --data mnist --data-dir mnist";

#[test]
fn other_files_than_the_published_ones_are_told_once_and_used() {
    let desk = Desk::new();
    let small = crate::desk::SPEC.replace("batch = 50\nsamples = 200", "batch = 10");
    desk.write("small.toml", small);
    desk.mnist_up_to(9);
    let said = desk.says(&format!("{SMALL} --out run"), 0);
    let line = "note: data set `mnist`: not the published files of `mnist`: \
                train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, \
                t10k-labels-idx1-ubyte (4 of 4); results are about these images, `bnn data verify \
                mnist` says what differs\n";
    assert_eq!(said.matches(line).count(), 1, "{said}");
    for set in ["50 training", "10 validation", "10 test"] {
        let line =
            format!("note: data set `mnist`: all {set} images are the same, pixel by pixel\n");
        assert_eq!(said.matches(&line).count(), 1, "{said}");
    }
    let eval = "eval run/model.safetensors --data mnist --data-dir mnist";
    assert_eq!(desk.says(eval, 0).matches(line).count(), 1);
}

#[test]
fn training_on_one_class_is_refused() {
    let desk = Desk::new();
    desk.write("small.toml", crate::desk::SPEC.replace("batch = 50\nsamples = 200", "batch = 10"));
    desk.mnist_up_to(0);
    let why =
        "the 50 training images of `mnist` are of 1 class, `0`: there is nothing to tell apart";
    desk.fails(&format!("{SMALL} --out run"), 1, &[why]);
    assert!(!desk.0.path().join("run").exists());
    // The first samples alone can be of one class too.
    let first = crate::desk::SPEC.replace("batch = 50\nsamples = 200", "batch = 1\nsamples = 1");
    desk.write("small.toml", first);
    desk.fails("train small.toml --out run", 1, &["the 1 training images of `digits`"]);
}

#[test]
#[cfg(unix)]
fn pipes_and_devices_are_refused_by_their_kind() {
    let desk = Desk::new();
    desk.pipe("pipe");
    let _listening = std::os::unix::net::UnixListener::bind(desk.0.path().join("socket")).unwrap();
    desk.works("train tiny.toml --out run");
    for (place, kind) in [("pipe", "a pipe"), ("socket", "a socket"), ("/dev/zero", "a device")] {
        let why = format!("{place}: this is {kind}, and a regular file was expected");
        for (line, code) in [
            ("train PLACE --out other", 2),
            ("spec PLACE", 2),
            ("cost PLACE", 2),
            ("eval PLACE --data digits", 1),
            ("inspect PLACE", 1),
            ("bench --model PLACE --data digits", 1),
            ("predict PLACE a.png", 1),
            ("predict run/model.safetensors PLACE", 1),
            ("train tiny.toml --data images --data-dir PLACE --out other", 1),
            ("eval run/model.safetensors --data images --data-dir PLACE", 1),
        ] {
            desk.fails(&line.replace("PLACE", place), code, &[&why]);
        }
    }
}

#[test]
#[cfg(unix)]
fn pipes_in_the_folder_of_a_run_are_refused() {
    let desk = Desk::new();
    let why = "this is a pipe, and a regular file was expected";
    desk.pipe("lock/.lock");
    desk.fails("train tiny.toml --out lock", 1, &["lock/.lock: ", why]);
    desk.pipe("part/model.safetensors.part");
    desk.fails("train tiny.toml --out part", 1, &["model.safetensors.part: ", why]);
    desk.pipe("run/checkpoint.safetensors");
    desk.fails("train tiny.toml --out run --resume", 1, &["checkpoint.safetensors: ", why]);
    desk.pipe("spec/spec.toml");
    desk.fails("train tiny.toml --out spec", 1, &["spec/spec.toml: ", why]);
}

#[test]
fn files_that_are_far_too_large_are_refused_unread() {
    let desk = Desk::new();
    let more = |name: &str, most: u64| {
        format!("{name}: the file has more than the {most} bytes that such a file may have")
    };
    desk.sparse("huge.toml", 200);
    desk.fails("train huge.toml --out run", 2, &[&more("huge.toml", 1 << 20)]);
    desk.sparse("huge.safetensors", 200);
    let why = more("huge.safetensors", 4 << 30);
    desk.fails("eval huge.safetensors --data digits", 1, &[&why]);
    desk.sparse("run/checkpoint.safetensors", 200);
    let why = more("checkpoint.safetensors", 64 << 30);
    desk.fails("train tiny.toml --out run --resume", 1, &[&why]);
    let white = crate::desk::SPEC.replace("samples = 200", "samples = 800");
    desk.write("white.toml", white.replace("[net]", "preprocess = [\"zca ridge 1e-2\"]\n[net]"));
    desk.works("train white.toml --out white");
    let files = std::fs::read_dir(desk.0.path().join("white")).unwrap();
    let mut names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let fit = names.find(|name| name.starts_with("preprocess-")).unwrap();
    desk.sparse(&format!("white/{fit}"), 200);
    let why = more(&fit, 8 << 30);
    desk.fails("eval white/model.safetensors --data digits", 1, &[&why]);
    desk.sparse("huge.png", 200);
    let why = more("huge.png", 64 << 20);
    desk.fails("predict white/model.safetensors huge.png", 1, &[]);
    desk.works("train tiny.toml --out small");
    desk.fails("predict small/model.safetensors huge.png", 1, &[&why]);
}

/// Below the limits the first bytes decide: nothing of a disk's size is read to be refused.
#[test]
#[cfg(target_os = "linux")]
fn files_of_another_kind_are_refused_by_their_first_bytes() {
    let desk = Desk::new();
    desk.sparse("movie", 3);
    desk.sparse("run/checkpoint.safetensors", 60);
    for line in ["inspect movie", "train tiny.toml --out run --resume"] {
        let mut limited = assert_cmd::Command::new("sh");
        limited.current_dir(desk.0.path()).args(["-c", r#"ulimit -v 1500000; "$0" "$@""#]);
        limited.arg(assert_cmd::cargo::cargo_bin("bnn")).args(line.split(' '));
        let out = limited.assert().code(1).get_output().clone();
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(said.contains("(no header at its beginning)"), "{said}");
    }
}
