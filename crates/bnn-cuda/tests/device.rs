//! The conformance suite on a GPU, by every family of kernels, and inference by every kernel; skipped
//! aloud where there is none.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::Error;
use bnn_cuda::{Cuda, machine_code};
use bnn_testkit::{check_inference, check_training, skipped};

/// The first GPU, if there is one.
fn cuda() -> Option<Cuda> {
    match Cuda::new(0) {
        Ok(cuda) => return Some(cuda),
        Err(Error::Unavailable { what, why }) => skipped("cuda", &format!("{what}: {why}")),
        Err(error) => panic!("{error}"),
    }
    None
}

#[test]
fn every_family_conforms_on_the_device() {
    let Some(cuda) = cuda() else { return };
    for family in ["plain", "int8", "tensor", "hopper"] {
        match cuda.clone().with_kernel(family) {
            Ok(cuda) => {
                check_inference(&cuda);
                check_training(&cuda);
            }
            Err(error) => skipped(family, &error.to_string()),
        }
    }
}

#[test]
fn every_kernel_conforms_on_the_device() {
    let Some(cuda) = cuda() else { return };
    for name in machine_code::launches().map(|launch| launch.name) {
        match cuda.clone().with_kernel(name) {
            Ok(cuda) => check_inference(&cuda),
            Err(error) => skipped(name, &error.to_string()),
        }
    }
}
