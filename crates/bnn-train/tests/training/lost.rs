//! A device that is lost in the middle of a run costs what came after the last checkpoint, no more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bnn_core::{
    BinaryBackend, Draw, FloatBackend, Gather, Grid, HostCode, Levels, Matrix, MatrixView, Planes,
    Quant, Reference, Result, TrainBackend, Window,
};
use bnn_train::{CHECKPOINT_FILE, Error, MODEL_FILE, Options, run};

use crate::{CONV, bars, options, spec, train};

/// The reference, on a device that does so many operations and from then on fails, whatever it is asked
/// for.
struct Mortal(AtomicUsize);

impl Mortal {
    fn alive(&self) -> Result<Reference> {
        let left = |left: usize| left.checked_sub(1);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left) {
            Ok(_) => Ok(Reference),
            Err(_) => Err(bnn_core::Error::Device { op: "product", source: "off the bus".into() }),
        }
    }
}

impl BinaryBackend for Mortal {
    type Real = Matrix;
    type Code = Planes;

    fn name(&self) -> String {
        Reference.name() // a checkpoint is for the backend that wrote it
    }

    fn put(&self, x: MatrixView<'_>) -> Result<Matrix> {
        self.alive()?.put(x)
    }

    fn get(&self, x: &Matrix) -> Result<Matrix> {
        self.alive()?.get(x)
    }

    fn put_code(&self, x: &HostCode) -> Result<Planes> {
        self.alive()?.put_code(x)
    }

    fn get_code(&self, x: &Planes) -> Result<HostCode> {
        self.alive()?.get_code(x)
    }

    fn encode(&self, x: &Matrix, quant: &Quant, draw: Option<Draw<'_, Self>>) -> Result<Planes> {
        let draw = draw.map(|Draw { clock, stream }| Draw { clock, stream });
        self.alive()?.encode(x, quant, draw)
    }

    fn product(&self, a: &Planes, w: &Planes, gather: &Gather) -> Result<Matrix> {
        self.alive()?.product(a, w, gather)
    }

    fn product_cut(
        &self,
        a: &Planes,
        w: &Planes,
        gather: &Gather,
        cuts: &Matrix,
        levels: &Levels,
    ) -> Result<Planes> {
        self.alive()?.product_cut(a, w, gather, cuts, levels)
    }

    fn pool(&self, x: &Planes, grid: Grid, window: Window) -> Result<Planes> {
        self.alive()?.pool(x, grid, window)
    }
}

impl TrainBackend for Mortal {}

impl FloatBackend for Mortal {}

#[test]
fn a_run_whose_device_is_lost_goes_on_bit_for_bit() {
    let spec = spec(CONV, "activations = \"stochastic-sign\"\ndropout = { input = 0.1 }");
    let whole = train(&spec, &options(None));
    let folder = tempfile::tempdir().unwrap();
    // Operations before the loss: in the first step, in later ones, while a checkpoint is read or written.
    let (mut lost, mut ended) = (0, None);
    for life in [50, 1000, 1777, 3001, 4003, 5501, 6007] {
        let mut options = options(Some(folder.path()));
        (options.resume, options.checkpoint_every) = (true, Duration::ZERO);
        let mortal = Mortal(AtomicUsize::new(life));
        match run(&mortal, &spec, &bars(), 1, &options, &mut ()) {
            Ok(outcome) => {
                ended = Some(outcome);
                break;
            }
            Err(Error::Backend(bnn_core::Error::Device { .. })) => lost += 1,
            Err(other) => panic!("{other}"),
        }
        let there = folder.path().join(CHECKPOINT_FILE).exists();
        assert!(there || life == 50, "what was saved outlives the device");
    }
    assert!(lost >= 3, "lost {lost} times");
    let resumed = ended.unwrap_or_else(|| {
        let options = Options { resume: true, ..options(Some(folder.path())) };
        train(&spec, &options)
    });
    assert_eq!(resumed.model, whole.model);
    assert_eq!(Some(std::fs::read(folder.path().join(MODEL_FILE)).unwrap()), whole.model);
}
