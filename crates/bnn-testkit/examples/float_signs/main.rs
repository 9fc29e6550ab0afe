//! A whole backend, and a network trained on it; `docs/adding-a-backend.md` is the guide.
//!
//!     cargo run --release -p bnn-testkit --example float_signs

mod backend;

use backend::FloatSigns;
use bnn_data::Digits;
use bnn_train::{Options, Result, Spec, run};

const SPEC: &str = r#"
    name = "first"
    title = "a first network"
    data = ["digits"]
    seeds = [0]
    backends = ["float-signs"]
    [net]
    blocks = ["dense 32", "dense 10"]
    weights = "sign"
    activations = "sign"
    norm = "theano"
    [train]
    epochs = 4
    batch = 50
    optimizer = "adam"
    rate = { from = 1e-2, to = 1e-3 }
    loss = "squared-hinge"
    step_scale = "glorot"
"#;

fn main() -> Result<()> {
    println!("{:.1} % of the test images are misclassified", 100.0 * test_error()?);
    Ok(())
}

/// Trains a small network on few digits; chance is 0.9.
///
/// The run itself checks that the frozen network equals evaluation in every bit.
fn test_error() -> Result<f64> {
    let data = Digits { train: 500, validation: 100, test: 100, seed: 1 }.draw();
    let spec = Spec::parse("the first network", SPEC)?;
    let options = Options::default(); // no folder: nothing is written
    Ok(run(&FloatSigns, &spec, &data, 0, &options, &mut ())?.best().test.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    bnn_testkit::conformance_tests!(FloatSigns);
    bnn_testkit::training_conformance_tests!(FloatSigns);

    /// The guide promises it.
    #[test]
    fn it_is_short() {
        assert!(include_str!("backend.rs").lines().count() < 100);
    }

    #[test]
    fn it_trains() {
        assert!(test_error().unwrap() < 0.5);
    }
}
