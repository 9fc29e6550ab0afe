//! Preprocessed images: fitted, kept, trained on, frozen, and found again or refused.
#![allow(clippy::unwrap_used)] // in helpers too

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use bnn_core::{Frozen, Key, Reference, Session};
use bnn_data::{Dataset, Images};
use bnn_train::preprocess::{Care, Prepared, Stage, file_name, for_model, is_cached, prepare};
use bnn_train::{EpochReport, Error, Folder, MODEL_FILE, Observer, Options, Outcome, Spec, run};

const ZCA: &str = r#"["zca ridge 1e-3"]"#;
const LCN: &str = r#"["gcn bias 10", "lcn"]"#;

/// A network with a convolution, in the Torch7 form.
fn spec(preprocess: &str) -> Spec {
    Spec::parse("test.toml", &text(preprocess, "")).unwrap()
}

fn text(preprocess: &str, train: &str) -> String {
    format!(
        r#"
        name = "test"
        title = "test"
        data = ["bars"]
        seeds = [0]
        backends = ["reference"]
        preprocess = {preprocess}
        [net]
        blocks = ["conv 6 kernel 3 pad 1 pool 2", "dense 16", "dense 10"]
        weights = "sign"
        activations = "stochastic-sign"
        norm = "shift"
        output_norm = "torch"
        [train]
        epochs = 12
        batch = 10
        optimizer = "shift-adamax"
        rate = {{ from = 0.015625, halve_every = 4 }}
        loss = "squared-hinge"
        step_scale = "glorot-pow2"
        clip = "all"
        last_batch = "keep"
        {train}
        "#
    )
}

/// Pictures of 10 x 10 pixels in noise: a bar at a place that is the class.
fn bars(train: (usize, u32), test: (usize, u32)) -> Dataset {
    let images = |(count, stream): (usize, u32)| {
        let key = Key::new(9, 0).stream(stream);
        let pixel = |at: usize| {
            let noise = key.word(at as u32) % 60;
            (if at % 10 == at / 100 % 10 { 255 - noise } else { noise }) as u8
        };
        let labels = (0..count).map(|image| (image % 10) as u8).collect();
        Images::new((10, 10, 1), 10, (0..count * 100).map(pixel).collect(), labels).unwrap()
    };
    Dataset::new("bars", images(train), images((40, 7)), images(test))
}

fn data() -> Dataset {
    bars((200, 0), (50, 2))
}

fn prepared(spec: &Spec, data: Dataset, cache: Option<&Path>) -> bnn_train::Result<Dataset> {
    let care = Care { cache, threads: 2, watch: &|_| {} };
    let Prepared { data, uncached } = prepare(&spec.preprocess, data, &care)?;
    uncached.map_or(Ok(data), Err)
}

fn train(spec: &Spec, data: &Dataset, out: &Path) -> Outcome {
    let out = Some(Folder::open(out).unwrap());
    let options = Options { out, force: true, ..Options::default() };
    run(&Reference, spec, data, 0, &options, &mut ()).unwrap()
}

fn model(folder: &Path) -> Frozen {
    Frozen::from_bytes(&fs::read(folder.join(MODEL_FILE)).unwrap()).unwrap()
}

/// The digest that the model in a folder knows its fit by.
fn digest(folder: &Path) -> String {
    model(folder).preprocess.unwrap().digest
}

/// Names of the fits in a folder, whole or half written.
fn fits(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("preprocess-"));
    names.sort();
    names
}

/// The fits in a cache, and whatever else lies beside them but the lock.
fn fitted(cache: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(cache.join("fitted")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|path| !path.ends_with(".lock"));
    files.sort();
    files
}

#[test]
fn a_frozen_network_reads_what_it_was_trained_on() {
    for chain in [ZCA, LCN] {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(chain);
        let data = prepared(&spec, data(), None).unwrap();
        let outcome = train(&spec, &data, folder.path());
        // The run compared the frozen network with evaluation, on the same codes.
        assert!(outcome.best().test.error < 0.5, "{chain}: {}", outcome.best().test.error);
        let network = model(folder.path());
        let done = network.preprocess.as_ref().unwrap();
        assert_eq!(done.digest, data.preparation().unwrap().digest());
        // From pixels once more, by the file beside the model.
        let transform = for_model(&network, &folder.path().join(MODEL_FILE)).unwrap().unwrap();
        let pixels = bars((200, 0), (50, 2)).test;
        let mut bytes = pixels.rows(0..50).as_slice().unwrap().to_vec();
        transform.apply(&mut bytes, 1).unwrap();
        assert_eq!(bytes, data.test.rows(0..50).as_slice().unwrap());
        let session = Session::of_codes(&Reference, &network).unwrap();
        let scores = session.scores(data.test.rows(0..50)).unwrap();
        let score = bnn_train::evaluate::score(&scores, &data.test.labels, spec.train.loss);
        assert_eq!(score.unwrap(), outcome.best().test);
        let kept = if chain == ZCA { vec![file_name(&done.digest)] } else { vec![] };
        assert_eq!(fits(folder.path()), kept);
    }
}

#[test]
fn pixels_are_never_taken_for_codes() {
    let folder = tempfile::tempdir().unwrap();
    let options = |out| Options { out, ..Options::default() };
    let why = |spec: &Spec, data: &Dataset| {
        run(&Reference, spec, data, 0, &options(None), &mut ()).unwrap_err().to_string()
    };
    let want = "preprocess: the spec says `gcn bias 10`, `lcn`, the images of `bars` are `linear`; \
                make them so with `bnn_train::preprocess::prepare`";
    assert_eq!(why(&spec(LCN), &data()), want);
    let whitened = prepared(&spec(ZCA), data(), None).unwrap();
    assert!(why(&spec(r#"["linear"]"#), &whitened).contains("are `zca ridge 1e-3`"));
    train(&spec(ZCA), &whitened, folder.path());
    let network = model(folder.path());
    let Err(error) = Session::new(&Reference, &network) else { panic!("it takes pixels") };
    let error = error.to_string();
    assert!(error.contains("`zca ridge 1e-3`") && error.contains("Session::of_codes"), "{error}");
}

#[test]
fn only_training_images_are_fitted_to() {
    let spec = spec(ZCA);
    let digest =
        |data| prepared(&spec, data, None).unwrap().preparation().unwrap().digest().to_string();
    let digests = [data(), bars((200, 0), (30, 5)), bars((200, 1), (50, 2))].map(digest);
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
}

#[test]
fn a_fit_is_kept_and_found_again() {
    let cache = tempfile::tempdir().unwrap();
    let spec = spec(ZCA);
    let fitted = || fitted(cache.path());
    let there = |data: Dataset| is_cached(&spec.preprocess, &data.train, cache.path()).unwrap();
    assert!(!there(data()));
    let first = prepared(&spec, data(), Some(cache.path())).unwrap();
    assert!(there(data()) && !there(bars((200, 1), (50, 2))));
    let [file] = &fitted()[..] else { panic!("one file") };
    let (bytes, written) =
        (fs::read(file).unwrap(), fs::metadata(file).unwrap().modified().unwrap());
    assert_eq!(prepared(&spec, data(), Some(cache.path())).unwrap(), first);
    assert_eq!(fs::metadata(file).unwrap().modified().unwrap(), written);
    // Under the name of another data set it is refused; whatever is damaged, too.
    prepared(&spec, bars((200, 1), (50, 2)), Some(cache.path())).unwrap();
    let other = fitted().into_iter().find(|path| path != file).unwrap();
    fs::write(&other, &bytes).unwrap();
    let why = |data| prepared(&spec, data, Some(cache.path())).unwrap_err().to_string();
    let foreign = why(bars((200, 1), (50, 2)));
    let want = "was fitted by other steps or to other images than its name says; delete this file";
    assert!(
        foreign.starts_with(&other.display().to_string()) && foreign.contains(want),
        "{foreign}"
    );
    let mut bits = bytes.clone();
    *bits.last_mut().unwrap() ^= 1;
    for damaged in [&bytes[..bytes.len() - 1], &bytes[..9], b"", &bits] {
        fs::write(file, damaged).unwrap();
        let why = why(data());
        let want = "no fitted preprocessing, or a damaged one (";
        assert!(why.starts_with(&file.display().to_string()) && why.contains(want), "{why}");
        assert!(why.ends_with("); delete this file, and it is fitted anew"), "{why}");
    }
}

#[test]
fn what_a_kill_left_in_the_cache_is_overwritten_by_the_next_fit() {
    let (cache, spec) = (tempfile::tempdir().unwrap(), spec(ZCA));
    fs::create_dir(cache.path().join("fitted")).unwrap();
    fs::write(cache.path().join("fitted/fit.part"), "half of one, of any data set").unwrap();
    prepared(&spec, data(), Some(cache.path())).unwrap();
    let [file] = &fitted(cache.path())[..] else { panic!("one file") };
    assert_eq!(file.extension().unwrap(), "safetensors");
}

#[test]
fn runs_that_fit_at_once_do_not_mix_their_files_up() {
    let (cache, spec) = (tempfile::tempdir().unwrap(), spec(ZCA));
    let all = Barrier::new(6);
    let of = |stream| bars((200, stream), (50, 2)); // every fit twice
    let fit = |stream| {
        all.wait();
        prepared(&spec, of(stream), Some(cache.path())).unwrap()
    };
    let made: Vec<_> = std::thread::scope(|scope| {
        let runs = [0, 1, 2, 0, 1, 2].map(|stream| scope.spawn(move || (stream, fit(stream))));
        runs.map(|run| run.join().unwrap()).into()
    });
    assert_eq!(fitted(cache.path()).len(), 3);
    for (stream, made) in made {
        assert!(is_cached(&spec.preprocess, &of(stream).train, cache.path()).unwrap());
        assert_eq!(prepared(&spec, of(stream), Some(cache.path())).unwrap(), made);
    }
}

#[test]
fn what_takes_a_while_is_told_as_it_begins() {
    let cache = tempfile::tempdir().unwrap();
    let told = |chain: &str| {
        let stages = std::cell::RefCell::new(vec![]);
        let watch = |stage| stages.borrow_mut().push(stage);
        let care = Care { cache: Some(cache.path()), threads: 1, watch: &watch };
        prepare(&spec(chain).preprocess, data(), &care).unwrap();
        stages.into_inner()
    };
    let (fit, apply) = (Stage::Fit { images: 200 }, Stage::Apply { images: 290 });
    assert_eq!(told(ZCA), [fit, apply]);
    assert_eq!(told(ZCA), [apply], "it is in the cache");
    assert_eq!(told(LCN), [fit, apply]);
    assert_eq!(told(r#"["linear"]"#), []);
}

#[test]
fn a_cache_that_takes_nothing_is_told_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let care = Care { cache: Some(&file), threads: 1, watch: &|_| {} };
    let Prepared { data, uncached } = prepare(&spec(ZCA).preprocess, data(), &care).unwrap();
    assert!(data.preparation().is_some());
    assert!(uncached.unwrap().to_string().starts_with(&file.display().to_string()));
}

#[test]
fn a_cache_without_a_lock_keeps_what_was_fitted() {
    let cache = tempfile::tempdir().unwrap();
    fs::create_dir_all(cache.path().join("fitted/.lock")).unwrap(); // no file that could be locked
    let care = Care { cache: Some(cache.path()), threads: 1, watch: &|_| {} };
    let Prepared { uncached, .. } = prepare(&spec(ZCA).preprocess, data(), &care).unwrap();
    assert!(uncached.is_none());
    assert!(is_cached(&spec(ZCA).preprocess, &data().train, cache.path()).unwrap());
}

#[test]
#[cfg(unix)]
fn a_folder_that_cannot_be_looked_into_does_not_pass_for_empty() {
    let folder = tempfile::tempdir().unwrap();
    let loops = folder.path().join("fitted"); // to itself: nothing is forbidden to a superuser
    std::os::unix::fs::symlink(&loops, &loops).unwrap();
    let one = is_cached(&spec(ZCA).preprocess, &data().train, folder.path()).unwrap_err();
    let care = Care { cache: Some(folder.path()), threads: 1, watch: &|_| {} };
    let other = prepare(&spec(ZCA).preprocess, data(), &care).unwrap().uncached.unwrap();
    for error in [one.to_string(), other.to_string()] {
        assert!(error.starts_with(&loops.display().to_string()), "{error}");
        assert!(error.contains("cannot be told (") && error.contains("XDG_CACHE_HOME"), "{error}");
    }
    let run = tempfile::tempdir().unwrap();
    train(&spec(ZCA), &prepared(&spec(ZCA), data(), None).unwrap(), run.path());
    let network = model(run.path());
    let error = for_model(&network, &loops.join(MODEL_FILE)).unwrap_err();
    assert!(matches!(error, Error::File { path, .. } if path.starts_with(&loops)));
    for name in ["checkpoint.safetensors", MODEL_FILE] {
        let run = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(name, run.path().join(name)).unwrap();
        let error = Folder::open(run.path()).unwrap().goes_on(true, false).unwrap_err();
        assert!(matches!(error, Error::File { path, .. } if path.ends_with(name)));
    }
}

#[test]
fn a_model_without_its_own_file_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (folder, stream) in [(&one, 0), (&two, 1)] {
        let data = prepared(&spec(ZCA), bars((200, stream), (50, 2)), None).unwrap();
        train(&spec(ZCA), &data, folder.path());
    }
    let (network, path) = (model(one.path()), one.path().join(MODEL_FILE));
    let why = || for_model(&network, &path).unwrap_err().to_string();
    let [beside, other] = [&one, &two].map(|dir| dir.path().join(file_name(&digest(dir.path()))));
    fs::copy(other, &beside).unwrap();
    let other = why();
    let want = "holds preprocessing of another run or data set (digest ";
    assert!(other.starts_with(&beside.display().to_string()) && other.contains(want), "{other}");
    fs::write(&beside, fs::read(&path).unwrap()).unwrap();
    let wrong = why();
    assert!(wrong.contains("this is a frozen model (bits and thresholds), not a "), "{wrong}");
    assert!(
        wrong.ends_with(
            "copy it anew from the folder of the run that made the model, or train again"
        ),
        "{wrong}"
    );
    fs::remove_file(&beside).unwrap();
    let absent = why();
    let want = "not there, and the model reads images preprocessed by `zca ridge 1e-3` as fitted in \
                this file; copy it from the folder of the run that made the model, or train again";
    assert!(absent.contains(want), "{absent}");
}

/// Ends a run as a kill does: nothing of it gets to do anything more.
struct Killed {
    /// In the middle of an epoch, or once it is reported.
    within: bool,
    epoch: usize,
}

impl Killed {
    fn now(&self) -> ! {
        std::panic::resume_unwind(Box::new("killed"))
    }
}

impl Observer for Killed {
    fn step(&mut self, epoch: usize, step: usize, _: usize) -> bool {
        if self.within && (epoch, step) == (self.epoch, 5) {
            self.now();
        }
        true
    }

    fn epoch(&mut self, report: &EpochReport) {
        if !self.within && report.epoch == self.epoch {
            self.now();
        }
    }
}

#[test]
fn a_kill_leaves_every_model_with_its_own_fit() {
    let (folder, spec) = (tempfile::tempdir().unwrap(), spec(ZCA));
    let [old, new] =
        [0, 1].map(|stream| prepared(&spec, bars((200, stream), (50, 2)), None).unwrap());
    train(&spec, &old, folder.path());
    let before = digest(folder.path());
    let fit = |data: &Dataset| file_name(data.preparation().unwrap().digest());
    // Early in a run over an old one, and at its end: the model is the old one, then the new one.
    for (within, epoch, data) in [(true, 1, &old), (false, 12, &new)] {
        let out = Some(Folder::open(folder.path()).unwrap());
        let options = Options { out, force: true, ..Options::default() };
        let mut killed = Killed { within, epoch };
        let run = || run(&Reference, &spec, &new, 0, &options, &mut killed);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
        assert_eq!(digest(folder.path()) == before, within);
        let network = model(folder.path());
        let transform = for_model(&network, &folder.path().join(MODEL_FILE)).unwrap().unwrap();
        assert_eq!(&transform, data.preparation().unwrap());
        assert_eq!(fits(folder.path()).len(), 2);
    }
    // A run that ends leaves its own pair, and nothing that a kill left.
    fs::write(folder.path().join(fit(&old) + ".part"), "half of it").unwrap();
    train(&spec, &new, folder.path());
    assert_eq!(fits(folder.path()), [fit(&new)]);
    let network = model(folder.path());
    let transform = for_model(&network, &folder.path().join(MODEL_FILE)).unwrap().unwrap();
    assert_eq!(&transform, new.preparation().unwrap());
}

#[test]
fn nothing_is_removed_that_a_model_in_the_folder_needs() {
    let (folder, spec) = (tempfile::tempdir().unwrap(), spec(ZCA));
    let [old, new] =
        [0, 1].map(|stream| prepared(&spec, bars((200, stream), (50, 2)), None).unwrap());
    train(&spec, &old, folder.path());
    let aside = folder.path().join("aside.safetensors");
    fs::copy(folder.path().join(MODEL_FILE), &aside).unwrap();
    let foreign = "preprocess-notes.safetensors";
    fs::write(folder.path().join(foreign), "of the user").unwrap();
    train(&spec, &new, folder.path());
    let fit = |data: &Dataset| file_name(data.preparation().unwrap().digest());
    let mut want = [fit(&old), fit(&new), foreign.into()];
    want.sort();
    assert_eq!(fits(folder.path()), want);
    let network = Frozen::from_bytes(&fs::read(&aside).unwrap()).unwrap();
    assert_eq!(&for_model(&network, &aside).unwrap().unwrap(), old.preparation().unwrap());
    fs::remove_file(&aside).unwrap();
    fs::create_dir(&aside).unwrap();
    train(&spec, &new, folder.path());
    assert_eq!(fits(folder.path()), want, "what cannot be read may be a model");
    fs::remove_dir(aside).unwrap();
    train(&spec, &new, folder.path());
    assert_eq!(fits(folder.path()).len(), 2, "its own, and what is no fit");
}

/// Ends a run by asking it to.
struct Asked;

impl Observer for Asked {
    fn step(&mut self, epoch: usize, _: usize, _: usize) -> bool {
        epoch < 2
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_goes_on_writes_its_fit_before_its_model() {
    let (folder, spec) = (tempfile::tempdir().unwrap(), spec(ZCA));
    let data = prepared(&spec, data(), None).unwrap();
    let go = |resume| {
        let out = Some(Folder::open(folder.path()).unwrap());
        let options = Options { out, resume, ..Options::default() };
        run(&Reference, &spec, &data, 0, &options, &mut Asked).unwrap_err()
    };
    assert!(matches!(go(false), Error::Interrupted { .. }));
    // The checkpoint alone was copied to another folder, whose disk is full when the model comes.
    let model = folder.path().join(MODEL_FILE);
    fs::remove_file(&model).unwrap();
    let kept = fits(folder.path());
    fs::remove_file(folder.path().join(&kept[0])).unwrap();
    let part = folder.path().join(format!("{MODEL_FILE}.part"));
    std::os::unix::fs::symlink("/dev/full", part).unwrap();
    assert!(matches!(go(true), Error::File { path, .. } if path == model));
    assert_eq!(fits(folder.path()), kept);
}

#[test]
fn nothing_but_digits_of_a_model_gets_into_a_path() {
    let folder = tempfile::tempdir().unwrap();
    train(&spec(ZCA), &prepared(&spec(ZCA), data(), None).unwrap(), folder.path());
    let mut network = model(folder.path());
    for digest in ["", "../../elsewhere", &"g".repeat(64), &"0".repeat(63)] {
        network.preprocess.as_mut().unwrap().digest = digest.into();
        let error = network.to_bytes().map(|bytes| Frozen::from_bytes(&bytes));
        let error = error.and_then(|network| network).unwrap_err().to_string();
        assert!(error.contains("the digest is not 64 hexadecimal digits"), "{error}");
    }
}

#[test]
fn nonsense_in_a_spec_is_explained() {
    let why = |preprocess: &str, train: &str| {
        Spec::parse("bad.toml", &text(preprocess, train)).unwrap_err().to_string()
    };
    let unknown = why(r#"["gcn bias 10", "pca 3"]"#, "");
    assert!(unknown.starts_with("bad.toml") && unknown.contains("`pca 3` is no step"), "{unknown}");
    assert!(
        why(r#"["linear", "lcn"]"#, "").contains("`linear` leaves bytes as they are, and stands")
    );
    let cropped = why(LCN, "augment = { crop = 2 }");
    assert!(cropped.contains("train.augment.crop: crops pad with black"), "{cropped}");
    let linear = Spec::parse("linear.toml", &text(r#"["linear"]"#, "")).unwrap();
    assert!(linear.preprocess.is_linear() && !linear.to_toml().unwrap().contains("preprocess"));
    let chain = spec(LCN);
    assert_eq!(Spec::parse("again.toml", &chain.to_toml().unwrap()).unwrap(), chain);
}

#[test]
fn images_that_a_step_cannot_take_are_refused() {
    let few = bars((100, 0), (50, 2));
    let error = prepared(&spec(ZCA), few, None).unwrap_err();
    assert!(matches!(error, Error::Spec { .. }), "{error:?}");
    let error = error.to_string();
    let want = "preprocess, `zca ridge 1e-3`: 100 training images are too few";
    assert!(error.starts_with(want), "{error}");
}
