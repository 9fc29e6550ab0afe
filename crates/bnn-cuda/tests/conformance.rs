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

mod hopper {
    use super::*;
    bnn_testkit::conformance_tests!(Cuda::emulated("hopper").unwrap());
}
