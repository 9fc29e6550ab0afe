//! Every kernel of the table passes the conformance suite.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_cpu::Cpu;
use bnn_testkit::{check_inference, check_training, skipped};

mod portable {
    use super::*;
    bnn_testkit::conformance_tests!(Cpu::with_kernel("portable").unwrap());
    bnn_testkit::training_conformance_tests!(Cpu::with_kernel("portable").unwrap());
}

/// Calls `check` with every kernel that this processor can run, on one thread and on three.
fn each_kernel(check: impl Fn(&Cpu)) {
    for kernel in Cpu::kernels() {
        match kernel.missing {
            Some(lacks) => skipped(kernel.name, &format!("this processor lacks {lacks}")),
            None => [1, 3].into_iter().for_each(|threads| {
                check(&Cpu::with_kernel(kernel.name).unwrap().with_threads(threads).unwrap());
            }),
        }
    }
}

#[test]
fn every_kernel_conforms_in_inference() {
    each_kernel(check_inference);
}

#[test]
fn every_kernel_conforms_in_training() {
    each_kernel(check_training);
}
