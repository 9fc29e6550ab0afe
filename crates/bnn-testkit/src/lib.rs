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
