//! libtorch passes the conformance suite, on the processor and where there is one on a GPU.
#![cfg(feature = "tch")]

use bnn_tch::Tch;

bnn_testkit::conformance_tests!(Tch::cpu());
bnn_testkit::training_conformance_tests!(Tch::cpu());

#[test]
fn cuda() {
    match Tch::cuda() {
        Ok(tch) => {
            bnn_testkit::check_inference(&tch);
            bnn_testkit::check_training(&tch);
        }
        Err(error) => bnn_testkit::skipped("tch:cuda", &error.to_string()),
    }
}
