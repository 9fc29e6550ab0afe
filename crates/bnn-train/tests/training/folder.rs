//! What a run leaves in its folder, what it refuses to replace, and what it does where it cannot write.

use std::fs;
use std::path::{Path, PathBuf};

use bnn_core::Reference;
use bnn_train::{
    CHECKPOINT_FILE, EVALUATION_FILE, EpochReport, Error, Folder, HISTORY_FILE, MODEL_FILE,
    Observer, Options, Outcome, SPEC_FILE, Spec, run,
};

use crate::{MLP, StopAfter, bars, float_spec, options, spec, train};

fn sign() -> Spec {
    spec(MLP, "activations = \"sign\"")
}

/// Names of what lies in a folder, but for the lock.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name != ".lock");
    names.sort();
    names
}

/// Hears of troubles, and may fail at the end.
#[derive(Default)]
struct Hears {
    troubles: Vec<String>,
    fails_at_end: bool,
    /// A folder that is made with the first step, in the way of a file: it stands for a disk that has
    /// no more room.
    block: Option<PathBuf>,
}

impl Observer for Hears {
    fn step(&mut self, epoch: usize, step: usize, _: usize) -> bool {
        if let (1, 1, Some(block)) = (epoch, step, &self.block) {
            fs::create_dir(block).unwrap();
        }
        true
    }

    fn trouble(&mut self, error: &Error) {
        self.troubles.push(error.to_string());
    }

    fn ended(&mut self, outcome: &Outcome, folder: &Folder) -> bnn_train::Result<()> {
        let model = outcome.model.as_ref().unwrap();
        assert_eq!(&fs::read(folder.model()).unwrap(), model, "the model is saved before");
        match self.fails_at_end {
            true => Err(Error::file(EVALUATION_FILE, std::io::Error::other("full"))),
            false => folder.write(EVALUATION_FILE, b"{}"),
        }
    }
}

#[test]
fn a_finished_run_is_replaced_by_force_alone() {
    for (spec, what) in [(sign(), MODEL_FILE), (float_spec(MLP, "real", "relu"), HISTORY_FILE)] {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(Some(folder.path()));
        train(&spec, &options);
        let before = fs::read(folder.path().join(HISTORY_FILE)).unwrap();
        let error = run(&Reference, &spec, &bars(), 1, &options, &mut ()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Occupied { .. }) && text.contains(what), "{text}");
        assert!(text.starts_with(&folder.path().display().to_string()), "{text}");
        assert!(text.ends_with("--out, or replace that run with --force"), "{text}");
        assert_eq!(fs::read(folder.path().join(HISTORY_FILE)).unwrap(), before);
        options.force = true;
        train(&spec, &options);
    }
}

/// What lies in a folder in the first step and once the first epoch is told.
struct Looks<'a>(&'a Path, Vec<Vec<(String, Vec<u8>)>>);

impl Observer for Looks<'_> {
    fn step(&mut self, epoch: usize, step: usize, _: usize) -> bool {
        if (epoch, step) == (1, 1) {
            self.1.push(contents(self.0));
        }
        true
    }

    fn epoch(&mut self, report: &EpochReport) {
        if report.epoch == 1 {
            self.1.push(contents(self.0));
        }
    }
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| (fs::read(folder.join(&name)).unwrap(), name);
    names(folder).into_iter().map(read).map(|(bytes, name)| (name, bytes)).collect()
}

#[test]
fn the_run_before_is_whole_until_the_first_checkpoint_replaces_all_of_it() {
    let real = float_spec(MLP, "real", "relu");
    for (spec, after) in [
        (sign(), vec![CHECKPOINT_FILE, HISTORY_FILE, MODEL_FILE, SPEC_FILE]),
        (real, vec![CHECKPOINT_FILE, HISTORY_FILE, SPEC_FILE]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(Some(folder.path()));
        options.keep_checkpoint = true;
        run(&Reference, &sign(), &bars(), 1, &options, &mut Hears::default()).unwrap();
        let before = contents(folder.path());
        assert_eq!(before.len(), 5);
        options.force = true;
        let mut looks = Looks(folder.path(), vec![]);
        run(&Reference, &spec, &bars(), 2, &options, &mut looks).unwrap();
        let [first, told] = &looks.1[..] else { panic!("two looks") };
        assert_eq!(*first, before, "as the run before left it");
        assert_eq!(told.iter().map(|(name, _)| name).collect::<Vec<_>>(), after);
        assert!(told.iter().all(|file| !before.contains(file)), "all is of the new run");
    }
}

#[test]
fn a_run_that_has_ended_without_a_model_is_not_started_anew_by_resuming_it() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, mut options) = (float_spec(MLP, "real", "relu"), options(Some(folder.path())));
    train(&spec, &options);
    let before = contents(folder.path());
    options.resume = true;
    let error = run(&Reference, &spec, &bars(), 1, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("has ended and left no checkpoint"), "{error}");
    assert_eq!(contents(folder.path()), before);
}

#[test]
fn the_folder_keeps_the_spec_and_the_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(Some(folder.path()));
    let mut own = sign();
    own.train.stop_after = Some(2);
    let outcome = run(&Reference, &own, &bars(), 7, &options, &mut ()).unwrap();
    assert_eq!(names(folder.path()), [HISTORY_FILE, MODEL_FILE, SPEC_FILE]);
    let text = fs::read_to_string(folder.path().join(SPEC_FILE)).unwrap();
    let head = "# The run in this folder: data bars, seed 7, backend reference\n";
    assert!(text.starts_with(head), "{text}");
    let kept = Spec::parse(SPEC_FILE, &text).unwrap();
    assert_eq!(kept, Spec { seeds: vec![7], ..own });
    let lines = fs::read_to_string(folder.path().join(HISTORY_FILE)).unwrap();
    let want: String =
        outcome.epochs.iter().map(|epoch| format!("{}\n", epoch.to_json())).collect();
    assert_eq!(lines, want);
    assert!(lines.starts_with("{\"epoch\":1,\"event\":\"epoch\","), "{lines}");
}

#[test]
fn a_spec_of_somebodys_own_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(Some(folder.path()));
    options.force = true;
    let own = folder.path().join(SPEC_FILE);
    fs::write(&own, "name = \"mine\"\n").unwrap();
    let checkpoint = folder.path().join(CHECKPOINT_FILE);
    fs::write(&checkpoint, "of an earlier run").unwrap();
    let error = run(&Reference, &sign(), &bars(), 1, &options, &mut ()).unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if *path == own), "{error}");
    assert_eq!(fs::read_to_string(&own).unwrap(), "name = \"mine\"\n");
    assert_eq!(fs::read_to_string(&checkpoint).unwrap(), "of an earlier run");
}

/// Counts the lines of the history when an epoch is told, and ends the run in the third epoch.
struct Lines<'a>(&'a Path, Vec<usize>);

impl Observer for Lines<'_> {
    fn step(&mut self, epoch: usize, step: usize, _: usize) -> bool {
        (epoch, step) != (3, 4)
    }

    fn epoch(&mut self, _: &EpochReport) {
        let lines = fs::read_to_string(self.0.join(HISTORY_FILE)).unwrap();
        self.1.push(lines.lines().count());
    }
}

#[test]
fn a_history_grows_with_the_run_and_is_set_right_when_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(Some(folder.path()));
    let mut lines = Lines(folder.path(), vec![]);
    assert!(run(&Reference, &sign(), &bars(), 1, &options, &mut lines).is_err());
    assert_eq!(lines.1, [1, 2]);
    // As if it had been killed in the middle of a line, two epochs after its checkpoint.
    let history = folder.path().join(HISTORY_FILE);
    let before = fs::read_to_string(&history).unwrap();
    fs::write(&history, format!("{before}{before}{{\"epo")).unwrap();
    options.resume = true;
    let outcome = train(&sign(), &options);
    let after = fs::read_to_string(&history).unwrap();
    assert!(after.starts_with(&before) && after.lines().count() == outcome.epochs.len(), "{after}");
}

/// What there is when the first epoch is told.
struct AtFirst<'a>(&'a Path, Vec<String>);

impl Observer for AtFirst<'_> {
    fn epoch(&mut self, report: &EpochReport) {
        if report.epoch == 1 {
            self.1 = names(self.0);
        }
    }
}

#[test]
fn the_first_checkpoint_comes_with_the_first_epoch() {
    for spec in [sign(), float_spec(MLP, "real", "relu")] {
        let folder = tempfile::tempdir().unwrap();
        let mut first = AtFirst(folder.path(), vec![]);
        let options = options(Some(folder.path()));
        run(&Reference, &spec, &bars(), 1, &options, &mut first).unwrap();
        assert!(first.1.contains(&CHECKPOINT_FILE.to_string()), "{:?}", first.1);
        assert!(!folder.path().join(CHECKPOINT_FILE).exists(), "it goes at the end");
    }
}

#[test]
fn what_a_killed_run_left_half_written_goes_with_the_end_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(Some(folder.path()));
    let _ = run(&Reference, &sign(), &bars(), 1, &options, &mut StopAfter(25));
    let files = [CHECKPOINT_FILE, MODEL_FILE, EVALUATION_FILE, HISTORY_FILE, SPEC_FILE];
    for name in files {
        fs::write(folder.path().join(format!("{name}.part")), "half").unwrap();
    }
    options.resume = true;
    train(&sign(), &options);
    assert_eq!(names(folder.path()), [HISTORY_FILE, MODEL_FILE, SPEC_FILE]);
}

#[test]
fn a_run_goes_on_without_a_checkpoint_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let whole = train(&sign(), &options(None));
    let (options, block) =
        (options(Some(folder.path())), folder.path().join("checkpoint.safetensors.part"));
    let mut hears = Hears { block: Some(block.clone()), ..Hears::default() };
    let error = run(&Reference, &sign(), &bars(), 1, &options, &mut hears).unwrap_err();
    // What cannot be removed at the end is told, after all is saved.
    assert!(error.to_string().contains("checkpoint.safetensors.part"), "{error}");
    assert_eq!(hears.troubles.len(), 1, "{:?}", hears.troubles);
    assert!(hears.troubles[0].contains(CHECKPOINT_FILE), "{:?}", hears.troubles);
    assert_eq!(Some(fs::read(folder.path().join(MODEL_FILE)).unwrap()), whole.model);
    assert!(block.is_dir());
}

#[test]
fn a_model_that_cannot_be_written_fails_the_run_at_its_end_and_it_goes_on_from_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let whole = train(&sign(), &options(None));
    let (mut options, block) =
        (options(Some(folder.path())), folder.path().join("model.safetensors.part"));
    let mut hears = Hears { block: Some(block.clone()), ..Hears::default() };
    let error = run(&Reference, &sign(), &bars(), 1, &options, &mut hears).unwrap_err();
    let model = folder.path().join(MODEL_FILE);
    assert!(matches!(&error, Error::File { path, .. } if *path == block), "{error}");
    assert!(folder.path().join(CHECKPOINT_FILE).exists() && !model.exists());
    fs::remove_dir(block).unwrap();
    options.resume = true;
    assert_eq!(train(&sign(), &options).model, whole.model);
    assert_eq!(Some(fs::read(model).unwrap()), whole.model);
}

#[test]
fn a_run_whose_observer_fails_at_the_end_is_saved_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(Some(folder.path()));
    let mut hears = Hears { fails_at_end: true, ..Hears::default() };
    run(&Reference, &sign(), &bars(), 1, &options, &mut hears).unwrap_err();
    let model = fs::read(folder.path().join(MODEL_FILE)).unwrap();
    options.resume = true;
    run(&Reference, &sign(), &bars(), 1, &options, &mut Hears::default()).unwrap();
    assert_eq!(fs::read(folder.path().join(MODEL_FILE)).unwrap(), model);
    assert_eq!(names(folder.path()), [EVALUATION_FILE, HISTORY_FILE, MODEL_FILE, SPEC_FILE]);
}

#[test]
fn a_folder_where_a_file_is_to_be_written_is_told_before_the_run() {
    for name in [CHECKPOINT_FILE, MODEL_FILE, EVALUATION_FILE, HISTORY_FILE, SPEC_FILE] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        for (resume, force) in [(false, false), (true, false), (false, true)] {
            let options = Options { resume, force, ..options(Some(folder.path())) };
            let error = run(&Reference, &sign(), &bars(), 1, &options, &mut ()).unwrap_err();
            assert!(matches!(&error, Error::File { path: named, .. } if *named == path), "{error}");
        }
        assert_eq!(names(folder.path()), [name]);
    }
}
