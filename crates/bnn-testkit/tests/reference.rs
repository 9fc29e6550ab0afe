//! The definitions, as a backend, pass the suite.

bnn_testkit::conformance_tests!(bnn_core::Reference);
bnn_testkit::training_conformance_tests!(bnn_core::Reference);
