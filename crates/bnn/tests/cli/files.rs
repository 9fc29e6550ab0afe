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
    let pipe = desk.0.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let is_pipe = ["pipe: this is a pipe, and a regular file was expected"];
    for (line, code) in [
        ("train pipe --out run", 2),
        ("spec pipe", 2),
        ("cost pipe", 2),
        ("eval pipe --data digits", 1),
        ("inspect pipe", 1),
        ("predict pipe a.png", 1),
        ("train tiny.toml --data images --data-dir pipe --out run", 1),
    ] {
        desk.fails(line, code, &is_pipe);
    }
    let is_device = ["/dev/zero: this is a device, and a regular file was expected"];
    desk.fails("eval /dev/zero --data digits", 1, &is_device);
    desk.fails("train /dev/zero --out run", 2, &is_device);
}

#[test]
fn files_that_are_far_too_large_are_refused_unread() {
    let desk = Desk::new();
    let sparse = |name: &str| {
        File::create(desk.0.path().join(name)).unwrap().set_len(200 << 30).unwrap();
    };
    sparse("huge.toml");
    let why = "huge.toml: the file has more than the 1048576 bytes that such a file may have";
    desk.fails("train huge.toml --out run", 2, &[why]);
    sparse("huge.safetensors");
    let why = "huge.safetensors: the file has more than the 4294967296 bytes";
    desk.fails("eval huge.safetensors --data digits", 1, &[why]);
}
