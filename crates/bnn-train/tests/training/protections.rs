//! What `run` refuses by itself, whoever calls it.

use bnn_core::{Grid, Input, Reference};
use bnn_data::{Dataset, Images};
use bnn_train::spec::LastBatch;
use bnn_train::{Error, Schedule, Spec, Summary, run};

use crate::{CONV, MLP, bars, options, spec, train};

fn sign(blocks: &str) -> Spec {
    spec(blocks, "activations = \"sign\"")
}

fn refused(spec: &Spec, data: &Dataset) -> Error {
    run(&Reference, spec, data, 1, &options(None), &mut ()).unwrap_err()
}

#[test]
fn a_spec_that_was_changed_is_checked_anew() {
    let change = |of: &dyn Fn(&mut Spec)| {
        let mut spec = sign(MLP);
        of(&mut spec);
        refused(&spec, &bars()).to_string()
    };
    let rate = Schedule { from: f64::NAN, to: None, halve_every: None };
    assert!(change(&|spec| spec.train.rate = rate).starts_with("train.rate.from: "));
    assert!(change(&|spec| spec.train.batch = 0).starts_with("train.batch: must be at least 1"));
    assert!(change(&|spec| spec.net.dropout.hidden = 1e-9).starts_with("net.dropout.hidden: "));
    assert!(
        change(&|spec| spec.train.samples = Some(101)).starts_with("train.samples: 101 is more")
    );
    assert!(change(&|spec| spec.train.augment.crop = 6).starts_with("train.augment.crop: 6 can"));
}

#[test]
fn samples_are_taken_by_the_run() {
    let mut few = sign(MLP);
    few.train.samples = Some(60);
    let whole = train(&few, &options(None));
    let mut data = bars();
    data.train.truncate(60);
    let by_hand = run(&Reference, &few, &data, 1, &options(None), &mut ()).unwrap();
    assert_eq!(whole.model, by_hand.model);
    assert_ne!(whole.model, train(&sign(MLP), &options(None)).model);
}

#[test]
fn a_batch_of_one_image_is_refused_wherever_it_would_come() {
    for blocks in [MLP, CONV] {
        let mut one = sign(blocks);
        one.train.batch = 1;
        let error = refused(&one, &bars()).to_string();
        assert!(
            error.starts_with("train.batch: 1 image makes a norm over a single row"),
            "{error}"
        );
        let mut rest = sign(blocks);
        (rest.train.batch, rest.train.last_batch) = (33, LastBatch::Keep);
        let error = refused(&rest, &bars()).to_string();
        let want = "train.last_batch: `keep` makes the last batch of a single image, as 100 images are \
                    in batches of 33";
        assert!(error.starts_with(want) && error.contains("want `drop`, or another"), "{error}");
        rest.train.samples = Some(98); // and two are left
        assert_eq!(train(&rest, &options(None)).epochs.len(), 3);
        (rest.train.samples, rest.train.last_batch) = (None, LastBatch::Drop);
        assert_eq!(train(&rest, &options(None)).epochs.len(), 3);
    }
}

#[test]
fn images_of_one_class_are_refused() {
    let images = || Images::new((6, 6, 1), 10, vec![7; 3600], vec![3; 100]).unwrap();
    let error = refused(&sign(MLP), &Dataset::new("threes", images(), bars().test, bars().test));
    assert!(error.to_string().contains("of `threes` are of 1 class, `3`"), "{error}");
}

#[test]
fn images_to_choose_and_to_judge_by_are_missed() {
    for what in ["validation", "test"] {
        let mut data = bars();
        if what == "test" { &mut data.test } else { &mut data.validation }.truncate(0);
        let error = refused(&sign(MLP), &data).to_string();
        assert_eq!(error, format!("data: `bars` has no {what} images"));
    }
}

#[test]
fn a_run_that_takes_more_memory_than_any_machine_has_is_refused_before_it_is_built() {
    // An image costs it a little less than the most that a model's image may.
    let layers = vec!["\"dense 65535\""; 250].join(", ");
    let mut spec = sign(&format!("[{layers}, \"dense 10\"]"));
    spec.train.batch = 100;
    let labels: Vec<u8> = (0..100).map(|image| image % 10).collect();
    let images = || Images::new((1, 1, 1), 10, vec![0; 100], labels.clone()).unwrap();
    let error = refused(&spec, &Dataset::new("dots", images(), images(), images()));
    if !std::path::Path::new("/proc/meminfo").exists() {
        println!("SKIPPED a run of too much memory: this system does not tell what is free");
        return;
    }
    assert!(matches!(error, Error::Memory { .. }), "{error}");
    let (text, input) =
        (error.to_string(), Input { grid: Grid { height: 1, width: 1 }, channels: 1 });
    let total = Summary::new(&spec, input, vec![String::new(); 10]).unwrap().memory.total();
    let told = format!("this run takes about {:.2} TB of memory, ", total as f64 / 1e12);
    assert!(text.starts_with(&told), "{text}");
    assert!(text.ends_with("choose fewer or narrower layers, or a smaller batch"), "{text}");
}
