//! A run that has ended goes on for more epochs, where no epoch before depends on how many there are.

use bnn_core::Reference;
use bnn_train::{CHECKPOINT_FILE, Outcome, Schedule, Spec, run};

use crate::{CONV, StopAfter, bars, options, spec, tensors};

fn with(rate: Schedule, epochs: usize) -> Spec {
    let net = "activations = \"stochastic-sign\"\ndropout = { input = 0.1 }";
    let mut spec = spec(CONV, net);
    (spec.train.rate, spec.train.epochs) = (rate, epochs);
    spec
}

const CONSTANT: Schedule = Schedule { from: 3e-3, to: None, halve_every: None };
const HALVED: Schedule = Schedule { from: 3e-3, to: None, halve_every: Some(2) };
const DECAYING: Schedule = Schedule { from: 3e-3, to: Some(3e-4), halve_every: None };

/// Goes on in a folder, and ends there.
fn go(folder: &std::path::Path, spec: &Spec, resume: bool) -> bnn_train::Result<Outcome> {
    let mut options = options(Some(folder));
    (options.resume, options.keep_checkpoint) = (resume, true);
    run(&Reference, spec, &bars(), 1, &options, &mut ())
}

#[test]
fn a_continued_run_is_the_longer_run() {
    for rate in [CONSTANT, HALVED] {
        let [folder, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let whole = go(other.path(), &with(rate, 5), false).unwrap();
        assert!(whole.continued.is_empty());
        go(folder.path(), &with(rate, 2), false).unwrap();
        // It may end at once, in the same place.
        assert!(go(folder.path(), &with(rate, 2), true).unwrap().continued.is_empty());
        go(folder.path(), &with(rate, 3), true).unwrap();
        let outcome = go(folder.path(), &with(rate, 5), true).unwrap();
        assert_eq!(outcome.continued, [2, 3]);
        assert_eq!((outcome.best, &outcome.model), (whole.best, &whole.model));
        assert_eq!(outcome.judged, whole.judged);
        let [a, b] = [&folder, &other].map(|it| tensors(&it.path().join(CHECKPOINT_FILE)));
        assert!(a == b, "{rate:?}");
        let text = std::fs::read_to_string(folder.path().join("spec.toml")).unwrap();
        let lines: Vec<&str> = text.lines().skip(1).take(2).collect();
        let want =
            [2, 3].map(|end| format!("# It had ended after epoch {end}, and was continued."));
        assert_eq!(lines, want);
        assert_eq!(Spec::parse("spec.toml", &text).unwrap().train.epochs, 5);
    }
}

#[test]
fn a_run_goes_on_behind_the_epoch_where_it_was_to_stop() {
    let (folder, rate) = (tempfile::tempdir().unwrap(), DECAYING);
    let mut short = with(rate, 4);
    short.train.stop_after = Some(2);
    go(folder.path(), &short, false).unwrap();
    let outcome = go(folder.path(), &with(rate, 4), true).unwrap();
    let whole = run(&Reference, &with(rate, 4), &bars(), 1, &options(None), &mut ()).unwrap();
    assert_eq!((outcome.continued.as_slice(), &outcome.model), ([2].as_slice(), &whole.model));
}

#[test]
fn a_run_whose_rates_depend_on_its_length_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    go(folder.path(), &with(DECAYING, 2), false).unwrap();
    let error = go(folder.path(), &with(DECAYING, 3), true).unwrap_err().to_string();
    let why =
        "`train.epochs` is 2, not 3, and by `train.rate.to` the rates of all epochs depend on it";
    assert!(error.contains(why) && error.contains("constant or halved"), "{error}");
    // Nor does a rate become another by being continued.
    let error = go(folder.path(), &with(CONSTANT, 3), true).unwrap_err().to_string();
    assert!(error.contains("`train.rate"), "{error}");
}

#[test]
fn a_run_is_not_cut_short_by_going_on() {
    let folder = tempfile::tempdir().unwrap();
    go(folder.path(), &with(CONSTANT, 3), false).unwrap();
    let error = go(folder.path(), &with(CONSTANT, 2), true).unwrap_err().to_string();
    assert!(
        error.contains("epoch 3 is done, and epoch 2 is the last one asked for: ask for more"),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let options = options(Some(folder.path()));
    let _ = run(&Reference, &with(CONSTANT, 3), &bars(), 1, &options, &mut StopAfter(13));
    drop(options);
    let error = go(folder.path(), &with(CONSTANT, 1), true).unwrap_err().to_string();
    assert!(error.contains("step 3 of epoch 2 is done, and epoch 1 is the last one"), "{error}");
}
