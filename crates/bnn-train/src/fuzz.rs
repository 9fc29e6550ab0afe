//! Readers of bytes in memory, for the fuzz targets; only there with `--cfg fuzzing`.

use std::path::Path;
use std::time::Duration;

use bnn_core::Reference;
use bnn_data::preprocess::Transform;
use bnn_data::{Dataset, Images};

use crate::identity::Identity;
use crate::net::Net;
use crate::run::{Options, input, run};
use crate::sound::Facts;
use crate::{Folder, Result, Spec, checkpoint, preprocess};

const SEED: u64 = 0;

/// The hidden layer of the run whose checkpoints are fuzzed.
pub const HIDDEN: &str = "dense 3";

const SPEC: &str = r#"
    name = "fuzz"
    title = "two small layers"
    data = ["fuzz"]
    seeds = [0]
    backends = ["reference"]
    [net]
    blocks = ["HIDDEN", "dense 2"]
    weights = "sign"
    activations = "sign"
    norm = "theano"
    [train]
    epochs = 1
    batch = 4
    optimizer = "adam"
    rate = { from = 1e-2 }
    loss = "squared-hinge"
    step_scale = "glorot"
"#;

/// A run whose checkpoints are read.
pub struct Run {
    spec: Spec,
    data: Dataset,
    identity: Identity,
}

impl Run {
    /// A run of this hidden layer and one for two classes on a few images.
    ///
    /// # Errors
    /// As [`Spec::parse`].
    pub fn new(hidden: &str) -> Result<Self> {
        let spec = Spec::parse("fuzz", &SPEC.replace("HIDDEN", hidden))?;
        let images = |count: usize| {
            let labels = (0..count).map(|image| (image % 2) as u8).collect();
            Images::new((2, 2, 1), 2, (0..4 * count).map(|at| (31 * at) as u8).collect(), labels)
        };
        let data = Dataset::new("fuzz", images(8)?, images(4)?, images(4)?);
        let identity = Identity::new(&spec, &data, "reference".into(), SEED)?;
        Ok(Self { spec, data, identity })
    }

    /// Reads a checkpoint of the run.
    ///
    /// # Errors
    /// As when it is resumed.
    pub fn checkpoint(&self, bytes: &[u8]) -> Result<()> {
        let classes = self.data.train.classes();
        let mut net = Net::new(&Reference, &self.spec, input(&self.data), classes, SEED)?;
        let forms = net.blocks.iter().map(|block| &block.form);
        let facts = Facts::new(&self.spec, &self.data, forms)?;
        let file = (Path::new("fuzz"), bytes);
        checkpoint::parse(file, &Reference, &self.identity, &facts, &mut net).map(|_| ())
    }

    /// Trains, and leaves a checkpoint and a model in a folder, as seeds.
    ///
    /// # Errors
    /// As training.
    pub fn train(&self, folder: &Path) -> Result<()> {
        let options = Options {
            out: Some(Folder::open(folder)?),
            checkpoint_every: Duration::MAX,
            keep_checkpoint: true,
            ..Options::default()
        };
        run(&Reference, &self.spec, &self.data, SEED, &options, &mut ()).map(|_| ())
    }
}

/// A file of fitted preprocessing, as a seed.
///
/// # Errors
/// None that these images have.
pub fn fitted() -> Result<Vec<u8>> {
    let steps: Vec<_> =
        ["gcn bias 10", "zca ridge 0.1"].map(str::parse).into_iter().flatten().collect();
    let transform = Transform::fit(&steps, &Run::new(HIDDEN)?.data.train, 1)?;
    preprocess::to_bytes(&transform, None)
}

/// Reads a file of fitted preprocessing.
///
/// # Errors
/// As when a model that names it is read.
pub fn preprocess(bytes: &[u8]) -> Result<()> {
    preprocess::parse(Path::new("fuzz"), bytes, "").map(|_| ())
}
