//! Wrong usage ends with exit code 2, whatever the command; failures of work with 1.

use crate::desk::{Desk, SPEC};

/// Command lines that ask for what cannot be, and words of what is said: place, cause and remedy.
const WRONG: &[(&str, &[&str])] = &[
    ("", &["Usage: bnn <COMMAND>"]),
    ("trian", &["unrecognized subcommand 'trian'", "train"]),
    ("train", &["<SPEC>", "required"]),
    ("train tiny.toml extra", &["unexpected argument 'extra'"]),
    ("train tiny.toml --tire quick", &["unexpected argument '--tire'", "--tier"]),
    ("train absent", &["absent: no such file", "bnn spec --list"]),
    ("train tiny.toml --tier huge", &["tiny.toml: no tier `huge`; it has quick"]),
    ("train tiny.toml --data imagenet", &["no data set `imagenet`", "digits"]),
    ("train tiny.toml --backend abacus", &["backend `abacus` is not known", "reference"]),
    ("train tiny.toml --backend cpu/mmx", &["cpu/mmx is not known", "portable"]),
    ("train tiny.toml --backend reference/2", &["`reference/2` is not known", "reference"]),
    ("train tiny.toml --backend=", &["backend `` is not known", "reference"]),
    ("train tiny.toml --seed one", &["--seed", "invalid digit"]),
    ("train tiny.toml --seed=-1", &["--seed", "invalid digit"]),
    ("train tiny.toml --threads 0", &["--threads", "1..=4096"]),
    ("train tiny.toml --checkpoint-every never", &["--checkpoint-every", "a number from 0 on"]),
    ("train broken.toml", &["broken.toml", "line", "unknown field `bach`", "batch"]),
    ("train mine.toml", &["no data set `mine`", "images"]),
    ("eval run.safetensors", &["--data", "required"]),
    ("eval run.safetensors --data digits --threads many", &["--threads", "invalid digit"]),
    ("predict run.safetensors", &["<IMAGE>", "required"]),
    ("predict run.safetensors a.png --top 0", &["--top", "0"]),
    ("inspect", &["<MODEL>", "required"]),
    ("cost", &["<SPEC>", "required"]),
    ("cost absent.toml", &["absent.toml: no such file", "bnn spec --list"]),
    ("cost tiny.toml --tier huge", &["no tier `huge`; it has quick"]),
    ("cost tiny.toml --input 28x28", &["--input", "28x28x1"]),
    ("cost tiny.toml --input 0x28x1", &["--input", "three positive numbers"]),
    ("cost mine.toml", &["mine.toml: the images of `mine` are not known here", "--input"]),
    ("data", &["Usage: bnn data <COMMAND>"]),
    ("data fetch", &["<NAME>", "required"]),
    ("data fetch imagenet", &["no data set `imagenet`", "mnist"]),
    ("data fetch mnist --mirror ftp://a", &["--mirror", "https://"]),
    ("data fetch cifar10-jpeg", &["cannot be fetched without --mirror", "cifar10-jpeg.tar.gz"]),
    ("data verify imagenet", &["no data set `imagenet`", "mnist"]),
    ("backends --all", &["unexpected argument '--all'"]),
    ("spec", &["<SPEC>", "required"]),
    ("spec --list digits-mlp", &["--list", "cannot be used with"]),
    ("spec digits-mlp --tier huge", &["digits-mlp: no tier `huge`; it has quick, smoke"]),
    ("spec absent.toml", &["absent.toml: no such file", "bnn spec --list"]),
];

#[cfg(feature = "cpu")]
const WRONG_BENCH: &[(&str, &[&str])] = &[
    ("bench --only triangle", &["no case contains `triangle`", "--list"]),
    ("bench --backend abacus", &["GPU `abacus` is not known", "cuda:1"]),
    ("bench --kernel mmx --only square/1024", &["cpu/mmx is not known", "portable"]),
    ("bench --seconds soon", &["--seconds", "a number from 0 on"]),
    ("bench --model m.safetensors", &["--data", "required"]),
    ("bench --model m.safetensors --data imagenet", &["no data set `imagenet`", "digits"]),
    ("bench --check --kernel avx2", &["--check", "cannot be used with"]),
];
#[cfg(not(feature = "cpu"))]
const WRONG_BENCH: &[(&str, &[&str])] = &[];

/// A desk with specs that are wrong, each in its own way.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("tiny.toml", format!("{SPEC}[tier.quick]\n"));
    desk.write("broken.toml", SPEC.replace("batch = 50", "bach = 50"));
    desk.write("mine.toml", SPEC.replace("[\"digits\"]", "[\"mine\"]"));
    desk
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_would_be_right() {
    let desk = desk();
    for (line, words) in WRONG.iter().chain(WRONG_BENCH) {
        let out = desk.bnn(line).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "`bnn {line}`: {said}");
        assert!(out.stdout.is_empty() && !said.contains("panicked"), "`bnn {line}`: {said}");
        for word in *words {
            assert!(said.contains(word), "`bnn {line}`: `{word}` is not in: {said}");
        }
    }
    assert!(!desk.0.path().join("runs").exists(), "nothing was begun");
}

#[test]
fn without_a_home_a_download_asks_for_a_folder() {
    let desk = Desk::new();
    let mut command = desk.bnn("data fetch mnist --mirror http://127.0.0.1:1");
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env("BNN_DATA", "");
    let out = command.output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    // The system may know a home by the user's name, and it may not be there.
    let wanted: &[&str] = match out.status.code() {
        Some(2) => &["--data-dir or BNN_DATA"],
        _ => &["127.0.0.1", ".cache/bnn/mnist: Permission denied"],
    };
    let told = wanted.iter().any(|wanted| said.contains(wanted));
    assert!(told && !said.contains("panicked"), "{said}");
}

#[test]
fn failures_of_work_end_with_1() {
    let desk = desk();
    desk.write("text.safetensors", "no model");
    for (line, words) in [
        ("eval absent.safetensors --data digits", ["absent.safetensors", "No such file"]),
        ("predict text.safetensors a.png", ["text.safetensors", "not a model file"]),
        ("inspect text.safetensors", ["text.safetensors", "not a model file"]),
        ("train tiny.toml --out tiny.toml", ["tiny.toml: a file lies where", "--out"]),
    ] {
        desk.fails(line, 1, &words);
    }
}
