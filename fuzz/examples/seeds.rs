//! Writes the seeds that only training makes: models, a checkpoint, a file of fitted preprocessing.
//!
//! From the folder `fuzz`: `RUSTFLAGS="--cfg fuzzing" cargo run --example seeds`

use std::error::Error;
use std::fs;
use std::path::Path;

use bnn_train::fuzz::{HIDDEN, Run, fitted};
use bnn_train::{CHECKPOINT_FILE, MODEL_FILE};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("target/seeds");
    for target in ["model", "checkpoint", "preprocess"] {
        fs::create_dir_all(format!("corpus/{target}"))?;
    }
    for (name, hidden) in [("conv", "conv 2 kernel 3 pad 1"), ("dense", HIDDEN)] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        Run::new(hidden)?.train(folder)?;
        fs::copy(folder.join(MODEL_FILE), format!("corpus/model/{name}"))?;
    }
    fs::copy(folder.join(CHECKPOINT_FILE), "corpus/checkpoint/dense")?;
    fs::write("corpus/preprocess/zca", fitted()?)?;
    Ok(())
}
