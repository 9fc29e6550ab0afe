#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod cases;

mod check;
#[cfg(test)]
mod definitions;
mod samples;
mod skip;
mod suite;
mod table;

pub use skip::skipped;
pub use suite::{check_inference, check_training};

/// The examples of the workspace's guide, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/adding-a-backend.md")]
struct AddingABackend;
