//! `bnn data`: what it prints, fetches and refuses.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use bnn::data::{FileState, Lookup, verify};
use insta::assert_snapshot;
use serde_json::Value;
use server::{Reply, Server};
use tempfile::TempDir;

#[path = "../../bnn-data/tests/server/mod.rs"]
mod server;

const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// A folder in which commands run, whose subfolder `cache/bnn` is the user's cache.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Runs a command that must end with this exit code; returns what it printed to standard
    /// output and error, with `DESK` for this folder.
    fn bnn(&self, line: &str, code: i32) -> (String, String) {
        let mut bnn = Command::cargo_bin("bnn").unwrap();
        bnn.current_dir(self.0.path()).args(line.split_whitespace());
        bnn.env_remove("BNN_DATA").env("XDG_CACHE_HOME", self.path("cache"));
        bnn.env("COLUMNS", "1000"); // long lines stay whole
        let out = bnn.env("NO_PROXY", "127.0.0.1").assert().code(code).get_output().clone();
        let text = |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(&self.0.path().display().to_string(), "DESK")
        };
        (text(out.stdout), text(out.stderr))
    }

    fn json(&self, line: &str, code: i32) -> Vec<Value> {
        let lines = self.bnn(&format!("{line} --json"), code).0;
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Fetches from a server that plays the script, with its address as `URL` in the output.
    fn fetch(&self, script: Vec<Reply>, more: &str, code: i32) -> (String, Vec<String>) {
        let server = Server::start(script);
        let url = server.url.clone();
        let (out, err) = self.bnn(&format!("data fetch mnist --mirror {url} {more}"), code);
        ((out + &err).replace(&url, "URL"), server.requests())
    }
}

#[test]
fn the_list_says_what_is_here_and_how_to_get_the_rest() {
    let desk = Desk::new();
    assert_snapshot!(desk.bnn("data list", 0).0, @"
    digits        drawn digits, 28 x 28 grey, no files: 10,000 + 2,000 + 2,000 images
                  here: drawn when loaded
    mnist         handwritten digits, 28 x 28 grey: 50,000 + 10,000 + 10,000 images
                  absent: data set `mnist` is not in DESK/cache/bnn; fetch it with `bnn data fetch mnist` (and the same --data-dir, if one was given), or put the four MNIST files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each with or without .gz) there, or name their folder with --data-dir or BNN_DATA; `digits` needs no files
    cifar10       objects and animals, 32 x 32 colours: 45,000 + 5,000 + 10,000 images
                  absent: data set `cifar10` is not in DESK/cache/bnn; fetch it with `bnn data fetch cifar10` (and the same --data-dir, if one was given), or put cifar-10-binary.tar.gz or the six files in it (data_batch_1.bin to data_batch_5.bin, test_batch.bin) there, or name their folder with --data-dir or BNN_DATA; `digits` needs no files
    cifar10-jpeg  CIFAR-10 after JPEG compression, 32 x 32 colours: 45,000 + 5,000 + 10,000 images
                  absent: data set `cifar10-jpeg` is not in DESK/cache/bnn; put cifar10-jpeg.tar.gz there, an archive of train/<class>/ and test/<class>/ with the images of CIFAR-10 as JPEG files, or name its folder with --data-dir or BNN_DATA; no server is known to give it out, and `digits` needs no files
    svhn          house numbers, 32 x 32 colours: 598,388 + 6,000 + 26,032 images, 1.9 GB in memory
                  absent: data set `svhn` is not in DESK/cache/bnn; fetch it with `bnn data fetch svhn` (and the same --data-dir, if one was given), or put train_32x32.mat, extra_32x32.mat and test_32x32.mat there, or name their folder with --data-dir or BNN_DATA; `digits` needs no files
    images        images of your own, PNG or JPEG, in train/<class>/ and test/<class>/
                  absent: data set `images` is not in DESK/cache/bnn; name a folder that holds train/<class>/ and test/<class>/, or a .tar or .tar.gz of them, with --data-dir, or put it into BNN_DATA as images, images.tar or images.tar.gz; `digits` needs no files
    ");
    for file in FILES {
        desk.write(&format!("cache/bnn/mnist/{file}.gz"), b"");
    }
    assert_snapshot!(desk.bnn("data list", 0).0, @"
    digits        drawn digits, 28 x 28 grey, no files: 10,000 + 2,000 + 2,000 images
                  here: drawn when loaded
    mnist         handwritten digits, 28 x 28 grey: 50,000 + 10,000 + 10,000 images
                  here: DESK/cache/bnn/mnist
    cifar10       objects and animals, 32 x 32 colours: 45,000 + 5,000 + 10,000 images
                  absent: data set `cifar10` is not in DESK/cache/bnn; fetch it with `bnn data fetch cifar10` (and the same --data-dir, if one was given), or put cifar-10-binary.tar.gz or the six files in it (data_batch_1.bin to data_batch_5.bin, test_batch.bin) there, or name their folder with --data-dir or BNN_DATA; `digits` needs no files
    cifar10-jpeg  CIFAR-10 after JPEG compression, 32 x 32 colours: 45,000 + 5,000 + 10,000 images
                  absent: data set `cifar10-jpeg` is not in DESK/cache/bnn; put cifar10-jpeg.tar.gz there, an archive of train/<class>/ and test/<class>/ with the images of CIFAR-10 as JPEG files, or name its folder with --data-dir or BNN_DATA; no server is known to give it out, and `digits` needs no files
    svhn          house numbers, 32 x 32 colours: 598,388 + 6,000 + 26,032 images, 1.9 GB in memory
                  absent: data set `svhn` is not in DESK/cache/bnn; fetch it with `bnn data fetch svhn` (and the same --data-dir, if one was given), or put train_32x32.mat, extra_32x32.mat and test_32x32.mat there, or name their folder with --data-dir or BNN_DATA; `digits` needs no files
    images        images of your own, PNG or JPEG, in train/<class>/ and test/<class>/
                  absent: data set `images` is not in DESK/cache/bnn; name a folder that holds train/<class>/ and test/<class>/, or a .tar or .tar.gz of them, with --data-dir, or put it into BNN_DATA as images, images.tar or images.tar.gz; `digits` needs no files
    ");
    fs::remove_file(desk.path("cache/bnn/mnist/t10k-labels-idx1-ubyte.gz")).unwrap();
    let rows = desk.json("data list", 0);
    assert_eq!((&rows[0]["name"], &rows[0]["state"]), (&"digits".into(), &"here".into()));
    assert_eq!((&rows[1]["name"], &rows[1]["state"]), (&"mnist".into(), &"broken".into()));
    assert!(rows[1]["why"].as_str().unwrap().contains("`bnn data fetch mnist`"));
    assert!(rows[1]["mirrors"][0].as_str().unwrap().starts_with("https://"));
}

#[test]
fn help_teaches() {
    let desk = Desk::new();
    for (line, words) in [
        ("--help", ["data", "fetch"]),
        ("data --help", ["bnn data fetch mnist", "BNN_DATA"]),
        ("data fetch --help", ["SHA-256", "--mirror"]),
        ("data verify --help", ["3 if one is missing", "--json"]),
    ] {
        let help = desk.bnn(line, 0).0;
        words.iter().for_each(|word| assert!(help.contains(word), "{word} is not in: {help}"));
    }
}

#[test]
fn files_are_verified() {
    let desk = Desk::new();
    let (out, err) = desk.bnn("data verify mnist", 3);
    assert_snapshot!(out + &err, @"
    missing  train-images-idx3-ubyte
    missing  train-labels-idx1-ubyte
    missing  t10k-images-idx3-ubyte
    missing  t10k-labels-idx1-ubyte
    error: 4 of 4 files are not as published: data set `mnist` is not in DESK/cache/bnn; fetch it with `bnn data fetch mnist` (and the same --data-dir, if one was given), or put the four MNIST files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each with or without .gz) there, or name their folder with --data-dir or BNN_DATA; `digits` needs no files
    ");
    desk.write("own/train-labels-idx1-ubyte", b"mine");
    let (out, err) = desk.bnn("data verify mnist --data-dir own", 1);
    assert_snapshot!(out + &err, @"
    missing  train-images-idx3-ubyte
    wrong    own/train-labels-idx1-ubyte: its content is 4 bytes long, not 60008
    missing  t10k-images-idx3-ubyte
    missing  t10k-labels-idx1-ubyte
    error: 4 of 4 files are not as published: own/train-labels-idx1-ubyte: its content is 4 bytes long, not 60008; remove it and fetch it again
    ");
    let row = &desk.json("data verify mnist --data-dir own", 1)[0];
    let state = |file: usize| row["files"][file]["state"].as_str().unwrap();
    assert_eq!((state(0), state(1)), ("missing", "wrong"));
}

#[test]
fn a_set_without_files_has_nothing_to_fetch_or_verify() {
    let desk = Desk::new();
    for name in ["digits", "images"] {
        let told = format!("{name} has no published files\n");
        assert_eq!(desk.bnn(&format!("data fetch {name}"), 0).0, told);
        assert_eq!(desk.bnn(&format!("data verify {name}"), 0).0, told);
    }
    assert!(
        desk.bnn("data fetch imagenet", 2)
            .1
            .contains("known are `digits`, `mnist`, `cifar10`, `cifar10-jpeg`, `svhn`, `images`")
    );
    assert!(!desk.path("cache").exists());
}

#[test]
fn a_set_that_no_server_has_wants_a_mirror() {
    let desk = Desk::new();
    let (_, err) = desk.bnn("data fetch cifar10-jpeg", 2);
    let start =
        "error: data set `cifar10-jpeg` cannot be fetched without --mirror; put cifar10-jpeg";
    assert!(err.starts_with(start), "{err}");
    assert!(!desk.path("cache").exists());
    let server = Server::start(vec![Reply::File(b"<html>".to_vec())]);
    let (_, err) = desk.bnn(&format!("data fetch cifar10-jpeg --mirror {}", server.url), 1);
    assert!(err.contains("cannot fetch cifar10-jpeg.tar.gz: "), "{err}");
    assert_eq!(server.requests(), ["/cifar10-jpeg.tar.gz"]);
}

#[test]
fn refused_downloads_say_why() {
    let desk = Desk::new();
    let (text, _) = desk.fetch(vec![Reply::Status("404 Not Found")], "", 1);
    assert_snapshot!(text, @"error: cannot fetch train-images-idx3-ubyte.gz: URL/train-images-idx3-ubyte.gz: answered 404 Not Found; try again later, or name another server with --mirror");
    let (text, _) = desk.fetch(vec![Reply::File(b"<html>".to_vec())], "", 1);
    assert!(text.contains("its content is 6 bytes long, not 47040016"), "{text}");
    let (text, _) = desk.fetch(vec![Reply::Cut(vec![0; 47_100_000], 0)], "", 1);
    assert!(text.contains("sends more than the 47088080 bytes expected"), "{text}");
}

#[test]
fn a_cut_download_is_kept_and_goes_on() {
    let desk = Desk::new();
    let (text, _) = desk.fetch(vec![Reply::Cut(vec![7; 9000], 5000)], "--data-dir own", 1);
    assert_snapshot!(text, @"error: cannot fetch train-images-idx3-ubyte.gz: URL/train-images-idx3-ubyte.gz: Peer disconnected; what arrived is kept in own/mnist/train-images-idx3-ubyte.gz.part, and the same command goes on there");
    let script = vec![Reply::Status("503 Service Unavailable")];
    let (_, asked) = desk.fetch(script, "--data-dir own", 1);
    assert_eq!(asked, ["/train-images-idx3-ubyte.gz from 5000"]);
}

#[test]
fn folders_that_cannot_be_written_are_named() {
    let desk = Desk::new();
    desk.write("file", b"in the way");
    let (text, asked) = desk.fetch(vec![], "--data-dir file/data", 1);
    assert!(text.contains("file/data/mnist: "), "{text}");
    assert_eq!(asked.len(), 0);
}

/// The real files, where there are any; the first server lacks them, the second breaks off once.
#[test]
fn mnist_is_fetched_verified_and_kept() {
    let Some(files) = mnist() else { return };
    let desk = Desk::new();
    let cut = files[0].len() / 2;
    let first = Server::start((0..5).map(|_| Reply::Status("404 Not Found")).collect());
    let mut script = vec![Reply::Cut(files[0].clone(), cut)];
    script.extend(files.into_iter().map(Reply::File));
    let second = Server::start(script);
    let fetch = format!("data fetch mnist --mirror {} --mirror {}", first.url, second.url);
    desk.bnn(&fetch, 1);
    let (out, err) = desk.bnn(&fetch, 0);
    assert_snapshot!(out.replace(&second.url, "URL"), @"
    DESK/cache/bnn/mnist/train-images-idx3-ubyte.gz: from URL/train-images-idx3-ubyte.gz
    DESK/cache/bnn/mnist/train-labels-idx1-ubyte.gz: from URL/train-labels-idx1-ubyte.gz
    DESK/cache/bnn/mnist/t10k-images-idx3-ubyte.gz: from URL/t10k-images-idx3-ubyte.gz
    DESK/cache/bnn/mnist/t10k-labels-idx1-ubyte.gz: from URL/t10k-labels-idx1-ubyte.gz
    mnist is in DESK/cache/bnn/mnist
    ");
    assert!(err.starts_with(&first.url) && err.contains("404 Not Found"), "{err}");
    let asked = second.requests();
    assert_eq!((asked.len(), &*asked[1]), (5, &*format!("/{}.gz from {cut}", FILES[0])));

    assert_snapshot!(desk.bnn("data verify mnist", 0).0, @"
    ok       DESK/cache/bnn/mnist/train-images-idx3-ubyte.gz
    ok       DESK/cache/bnn/mnist/train-labels-idx1-ubyte.gz
    ok       DESK/cache/bnn/mnist/t10k-images-idx3-ubyte.gz
    ok       DESK/cache/bnn/mnist/t10k-labels-idx1-ubyte.gz
    ");
    let (_, asked) = desk.fetch(vec![], "", 0);
    assert_eq!(asked.len(), 0);
    let row = &desk.json("data fetch mnist", 0)[0];
    assert_eq!(
        (&row["files"][0]["state"], &row["files"][0]["from"]),
        (&"kept".into(), &Value::Null)
    );
}

/// The published files, if this machine has them.
fn mnist() -> Option<Vec<Vec<u8>>> {
    let verified = verify("mnist", &Lookup::new(None)).unwrap();
    if verified.files.iter().any(|file| file.state != FileState::Right) {
        eprintln!("SKIPPED mnist: its files are in none of {:?}", verified.looked);
        return None;
    }
    let read = |path: &Path| fs::read(path).unwrap();
    Some(verified.files.iter().map(|file| read(file.path.as_deref().unwrap())).collect())
}
