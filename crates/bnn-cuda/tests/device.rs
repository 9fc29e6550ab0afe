//! The conformance suite on a GPU, by every family of kernels; skipped aloud where there is none.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::Error;
use bnn_cuda::Cuda;
use bnn_testkit::{check_inference, check_training, skipped};

#[test]
fn every_family_conforms_on_the_device() {
    let cuda = match Cuda::new(0) {
        Ok(cuda) => cuda,
        Err(Error::Unavailable { what, why }) => return skipped("cuda", &format!("{what}: {why}")),
        Err(error) => panic!("{error}"),
    };
    for family in ["plain", "tensor", "hopper"] {
        match cuda.clone().with_kernel(family) {
            Ok(cuda) => {
                check_inference(&cuda);
                check_training(&cuda);
            }
            Err(error) => skipped(family, &error.to_string()),
        }
    }
}
