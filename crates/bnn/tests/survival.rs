//! Runs survive kills, signals and full disks: resumed, they end in the bytes of a run left alone.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const SPEC: &str = r#"
name = "short"
title = "A short run"
data = ["digits"]
seeds = [0]
backends = ["cpu"]
[net]
blocks = ["dense 128", "dense 128", "dense 10"]
weights = "sign"
activations = "stochastic-sign"
norm = "theano"
dropout = { input = 0.1 }
[train]
epochs = 4
batch = 50
samples = 4000
optimizer = "adam"
rate = { from = 3e-3, to = 3e-4 }
loss = "squared-hinge"
step_scale = "glorot"
"#;

/// Kills of the random test, unless `BNN_KILLS` says otherwise.
const KILLS: usize = 6;

/// How long a run may take to its first checkpoint: long, so that a busy machine fails no test.
const PATIENCE: Duration = Duration::from_secs(600);

/// Minutes between checkpoints: a few steps.
const OFTEN: &str = "0.0003";

struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        fs::write(desk.path("short.toml"), SPEC).unwrap();
        desk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// A run of a moment, whose rate is constant: it may begin as a longer one.
    fn quick() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let spec = SPEC.replace("samples = 4000", "samples = 600").replace(", to = 3e-4", "");
        fs::write(desk.path("short.toml"), spec).unwrap();
        desk
    }

    fn train(&self, out: &str) -> Command {
        self.train_every(OFTEN, out)
    }

    fn train_every(&self, minutes: &str, out: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bnn"));
        command.current_dir(self.0.path());
        command.args(["train", "short.toml", "--json", "--resume", "--threads", "1"]);
        command.args(["--checkpoint-every", minutes, "--out", out]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Trains to the end and returns what it leaves: the model, and what that gets wrong.
    fn finish(&self, out: &str) -> [Vec<u8>; 2] {
        let done = self.train(out).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let left = fs::read_dir(self.path(out)).unwrap().map(|file| file.unwrap().file_name());
        let mut left: Vec<_> = left.filter(|name| name != ".lock").collect();
        left.sort();
        let files = ["evaluation.json", "history.jsonl", "model.safetensors", "spec.toml"];
        assert_eq!(left, files, "the checkpoint goes with the end of the run");
        ["model.safetensors", "evaluation.json"]
            .map(|name| fs::read(self.path(out).join(name)).unwrap())
    }

    /// Starts a run, and returns it once its first checkpoint is there.
    fn started(&self, out: &str) -> Child {
        until(&self.path(out).join("checkpoint.safetensors"), self.train(out))
    }

    /// Leaves the state behind the first epoch of a quick run, as a kill does.
    fn killed(&self, out: &str) {
        // So long a run, with so few checkpoints, is still there when it has written the first, and the
        // model in it behind that.
        let mut long = self.train_every("1000", out);
        long.args(["--epochs", "1000000"]).stdout(Stdio::null());
        let mut run = until(&self.path(out).join("model.safetensors"), long);
        run.kill().unwrap();
        run.wait().unwrap();
    }
}

/// Starts a run, and returns it once a file is there.
fn until(file: &Path, mut command: Command) -> Child {
    let (run, start) = (command.spawn().unwrap(), Instant::now());
    while !file.exists() {
        assert!(start.elapsed() < PATIENCE, "no {}", file.display());
        std::thread::sleep(Duration::from_millis(2));
    }
    run
}

/// Repeatable numbers for the moments of kills.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

#[test]
fn killed_runs_end_in_the_same_bytes() {
    let kills = std::env::var("BNN_KILLS")
        .map_or(KILLS, |text| text.parse().expect("BNN_KILLS is a number"));
    let desk = Desk::new();
    let started = Instant::now();
    let whole = desk.finish("whole");
    let mut length = started.elapsed().as_millis() as u64 * 3 / 4;
    let mut moments = Moments(7);
    let (mut done, mut resumed) = (0, 0);
    // Some kills come when the run has ended: the machine has become faster since.
    for attempt in 0..10 * kills {
        let out = format!("run{attempt}");
        for _ in 0..=moments.next(3) {
            let mut run = desk.train(&out).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(moments.next(length)));
            run.kill().unwrap();
            let killed = !run.wait().unwrap().success();
            length = if killed { length } else { length * 3 / 4 + 1 };
            let checkpoint = desk.path(&out).join("checkpoint.safetensors");
            done += usize::from(killed);
            resumed += usize::from(killed && checkpoint.exists());
        }
        // A run that has ended is refused to go on.
        let model = desk.path(&out).join("model.safetensors");
        let ended = model.exists() && !model.with_file_name("checkpoint.safetensors").exists();
        if ended {
            assert_eq!(fs::read(model).unwrap(), whole[0], "after {done} kills");
        } else {
            assert_eq!(desk.finish(&out), whole, "after {done} kills");
        }
        if done >= kills && resumed > 0 {
            println!("{done} kills met a run, {resumed} of them one with a checkpoint");
            return;
        }
    }
    panic!("only {done} kills met a run, {resumed} of them one with a checkpoint");
}

#[test]
fn a_signal_saves_the_state_and_says_how_to_go_on() {
    let desk = Desk::new();
    let whole = desk.finish("whole");
    for signal in ["INT", "TERM"] {
        let mut run = desk.started(signal);
        let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().contains("start"));
        send(signal, &run);
        let done = run.wait_with_output().unwrap();
        let error = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(4), "{error}");
        assert!(error.contains("the same command and --resume"), "{error}");
        assert!(desk.path(signal).join("checkpoint.safetensors").exists());
        assert_eq!(desk.finish(signal), whole, "after {signal}");
    }
}

#[test]
fn a_run_says_where_it_starts_and_destroys_no_other() {
    let desk = Desk::new();
    let first = desk.train("run").output().unwrap();
    let said = String::from_utf8(first.stderr).unwrap();
    assert!(said.contains("no checkpoint in run: the run starts at epoch 1"), "{said}");
    let again = desk.train("run").output().unwrap();
    let error = String::from_utf8(again.stderr).unwrap();
    assert_eq!(again.status.code(), Some(1), "{error}");
    assert!(again.stdout.is_empty() && error.contains("anew with --force"), "{error}");
    let mut over = Command::new(env!("CARGO_BIN_EXE_bnn"));
    over.current_dir(desk.0.path()).args(["train", "short.toml", "--out", "run"]);
    let refused = over.output().unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{error}");
    let files = "a finished run is there (model.safetensors, evaluation.json, history.jsonl)";
    assert!(
        error.contains(files) && error.contains("--out") && error.contains("--force"),
        "{error}"
    );
    assert!(refused.stdout.is_empty());
    assert!(over.arg("--force").output().unwrap().status.success());
}

#[test]
fn a_reader_that_goes_away_ends_a_run_with_its_state_saved() {
    let desk = Desk::new();
    let mut run = desk.train("run").spawn().unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("start"));
    drop(lines);
    let done = run.wait_with_output().unwrap();
    let error = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(4), "{error}");
    assert!(error.contains("standard output was closed by its reader; the state is"), "{error}");
    assert_eq!(desk.finish("run"), desk.finish("whole"));
}

#[test]
fn a_second_run_in_the_folder_is_refused() {
    let desk = Desk::new();
    desk.finish("run");
    fs::remove_file(desk.path("run/model.safetensors")).unwrap();
    let lock = fs::File::open(desk.path("run/.lock")).unwrap();
    lock.try_lock().unwrap(); // as a run that is going on
    let second = desk.train("run").output().unwrap();
    let error = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{error}");
    assert!(error.contains("run: another run is going on"), "{error}");
}

#[test]
fn a_run_goes_on_with_its_own_backend_only() {
    let desk = Desk::new();
    let mut run = desk.started("run");
    run.kill().unwrap();
    run.wait().unwrap();
    let other = desk.train("run").args(["--backend", "reference"]).output().unwrap();
    let error = String::from_utf8(other.stderr).unwrap();
    assert_eq!(other.status.code(), Some(1), "{error}");
    assert!(error.contains("belongs to another backend (cpu/"), "{error}");
    assert!(error.contains("not reference); remove it"), "{error}");
}

#[test]
fn a_read_only_folder_leaves_the_old_checkpoint_whole() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    let mut run = desk.started("run");
    run.kill().unwrap();
    run.wait().unwrap();
    let (folder, checkpoint) = (desk.path("run"), desk.path("run/checkpoint.safetensors"));
    let before = fs::read(&checkpoint).unwrap();
    let _ = fs::remove_file(desk.path("run/checkpoint.safetensors.part"));
    let allow = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o555);
    if fs::write(folder.join("probe"), "").is_ok() {
        println!("SKIPPED a read-only folder: this user writes into it all the same, as root does");
        return;
    }
    let refused = desk.train("run").output().unwrap();
    allow(0o755);
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("run/") && error.contains("ermission denied"), "{error}");
    assert_eq!(fs::read(&checkpoint).unwrap(), before);
    assert_eq!(desk.finish("run"), desk.finish("whole"));
}

/// A limit on the size of files stands for the full disk: writing fails in the middle of a file. The
/// signal that comes with it is as if it were not, whether the caller ignores it or not.
#[test]
fn a_file_beyond_its_limit_leaves_the_old_checkpoint_whole() {
    let desk = Desk::quick();
    let whole = desk.finish("whole");
    for (out, trap) in [("ignored", "trap '' XFSZ; "), ("run", "")] {
        desk.killed(out);
        let checkpoint = desk.path(out).join("checkpoint.safetensors");
        let before = fs::read(&checkpoint).unwrap();
        let script = format!("{trap}ulimit -f 8; exec \"$@\"");
        let always = desk.train_every("0.000001", out);
        let full = by_shell(&script, &always, desk.0.path());
        let error = String::from_utf8(full.stderr).unwrap();
        assert_eq!(full.status.code(), Some(1), "{error}");
        let warned = error.lines().next().unwrap();
        assert!(warned.starts_with("warning: ") && warned.contains("; the run goes on"), "{error}");
        assert!(warned.contains("checkpoint.safetensors: "), "{error}");
        let last = error.lines().last().unwrap();
        let words =
            ["error: the run could not be saved; whole in ", "checkpoint.safetensors", "--resume"];
        assert!(words.iter().all(|word| last.contains(word)), "{error}");
        assert!(last.ends_with("raise the limit on the size of files (`ulimit -f`)"), "{error}");
        assert_eq!(fs::read(&checkpoint).unwrap(), before);
        assert_eq!(desk.finish(out), whole);
    }
}

/// Allocations that fail end a process without a word of what to do.
#[test]
fn a_run_that_the_limit_on_its_memory_would_end_is_refused() {
    let desk = Desk::quick();
    fs::write(desk.path("short.toml"), SPEC.replace("dense 128", "dense 8192")).unwrap();
    let refused = by_shell("ulimit -v 1000000; exec \"$@\"", &desk.train("run"), desk.0.path());
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains(" GB of memory, ") && error.contains(" free: choose fewer"), "{error}");
}

/// A disk of so many kilobytes is mounted at the folder `disk`, for one command alone; what is left there
/// when that has ended is copied to the folder `left`, which is put there first.
const ON_A_SMALL_DISK: &str = r#"
    mount -t tmpfs -o size="$1"k tmpfs disk || exit 77
    shift
    cp -a left/. disk/
    "$@"; code=$?
    rm -rf left && mkdir left && cp -a disk/. left/
    exit $code"#;

/// Runs a training whose folder is on a disk of so many kilobytes, where the system lets us.
fn on_a_small_disk(desk: &Desk, kilobytes: usize) -> Option<std::process::Output> {
    for name in ["disk", "left"] {
        fs::create_dir_all(desk.path(name)).unwrap();
    }
    let mut command = Command::new("sh");
    command.arg(kilobytes.to_string()).arg(env!("CARGO_BIN_EXE_bnn"));
    command.args(desk.train("disk").get_args());
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh"]);
    let mut line: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    unshare.current_dir(desk.0.path()).args(["-c", ON_A_SMALL_DISK, "sh"]).args(line.drain(..));
    match unshare.output() {
        Ok(done) if done.status.code() == Some(77) || done.status.code().is_none() => None,
        Ok(done) if String::from_utf8_lossy(&done.stderr).starts_with("unshare: ") => None,
        done => done.ok(),
    }
}

#[test]
fn a_full_disk_costs_what_has_no_room_and_nothing_else() {
    let desk = Desk::quick();
    let whole = desk.finish("whole");
    let model = whole[0].len();
    // Nothing but the spec has room; the model, and not what it gets wrong; both, and no checkpoint.
    let mut met = [false; 3];
    for kilobytes in [16, model / 1024 + 24, (model + whole[1].len()) / 1024 + 96] {
        let Some(done) = on_a_small_disk(&desk, kilobytes / 4 * 4) else {
            println!("SKIPPED a full disk: this user may not mount one");
            return;
        };
        let error = String::from_utf8(done.stderr).unwrap();
        let at = match done.status.code() {
            Some(0) => 2,
            _ if error.contains("what its network gets wrong could not be saved") => 1,
            _ => 0,
        };
        met[at] = true;
        assert!(error.contains("warning: ") && error.contains("make room there"), "{error}");
        if at < 2 {
            assert_eq!(done.status.code(), Some(1), "{error}");
            let words = ["whole in disk are: ", "history.jsonl", "start anew with --force"];
            assert!(words.iter().all(|word| error.contains(word)), "{kilobytes}: {error}");
        }
        assert_eq!(error.contains("model.safetensors,"), at == 1, "{kilobytes}: {error}");
        fs::remove_dir_all(desk.path("left")).unwrap();
    }
    assert_eq!(met, [true; 3], "every way to run out of room");
}

fn send(signal: &str, run: &Child) {
    let sent = Command::new("kill").args([format!("-{signal}"), run.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Runs a command by a script of a shell, which has it as its arguments.
fn by_shell(script: &str, command: &Command, folder: &Path) -> Output {
    let mut shell = Command::new("sh");
    let line: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    shell.current_dir(folder).args(["-c", script, "sh"]).args(line).output().unwrap()
}
