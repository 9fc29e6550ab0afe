#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(feature = "tch")]
mod libtorch;

#[cfg(feature = "tch")]
pub use libtorch::{Code, Real, Tch};
