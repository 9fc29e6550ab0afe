//! Every family of kernels passes the conformance suite on the host, where they run as a C++ program.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_cuda::Cuda;

mod plain {
    use super::*;
    bnn_testkit::conformance_tests!(Cuda::emulated("plain").unwrap());
    bnn_testkit::training_conformance_tests!(Cuda::emulated("plain").unwrap());
}

mod int8 {
    use super::*;
    bnn_testkit::conformance_tests!(Cuda::emulated("int8").unwrap());
}

mod tensor {
    use super::*;
    bnn_testkit::conformance_tests!(Cuda::emulated("tensor").unwrap());
}

/// Kernels that no device takes for products as small as these, by name.
mod hopper {
    use super::*;
    bnn_testkit::conformance_tests!(asked("hopper_128x128"));
}

mod hopper_bytes {
    use super::*;
    bnn_testkit::conformance_tests!(asked("hopper_bytes_128x128"));
}

fn asked(kernel: &str) -> Cuda {
    Cuda::emulated("hopper").unwrap().with_kernel(kernel).unwrap()
}
