//! libtorch passes the conformance suite: on the processor, there by the means of GPUs, and where
//! there is one on a GPU. `BNN_REQUIRE=tch:cuda` fails where there is none.
#![cfg(feature = "tch")]

use bnn_tch::Tch;

bnn_testkit::conformance_tests!(Tch::cpu());
bnn_testkit::training_conformance_tests!(Tch::cpu());

mod by_the_means_of_gpus {
    use super::*;

    bnn_testkit::conformance_tests!(Tch::cpu_as_gpu());
    bnn_testkit::training_conformance_tests!(Tch::cpu_as_gpu());
}

mod cuda {
    use super::*;

    /// The GPU, or none, which is said.
    fn gpu() -> Option<Tch> {
        Tch::cuda().map_err(|error| bnn_testkit::skipped("tch:cuda", &error.to_string())).ok()
    }

    bnn_testkit::conformance_tests!(match gpu() {
        Some(tch) => tch,
        None => return,
    });
    bnn_testkit::training_conformance_tests!(match gpu() {
        Some(tch) => tch,
        None => return,
    });
}
