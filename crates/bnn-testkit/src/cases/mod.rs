//! The properties, one function each; [`conformance_tests!`](crate::conformance_tests) and
//! [`training_conformance_tests!`](crate::training_conformance_tests) make tests of them.
//!
//! Signs and integers must equal the definitions of [`bnn_core::reference`]; reals must lie within
//! the bounds that each function states. Every function panics with the smallest sample that fails.

pub mod coding;
pub mod golden;
pub mod gradient;
pub mod norm;
pub mod pool;
pub mod product;
pub mod steps;
pub mod update;
