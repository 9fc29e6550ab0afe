//! The binary at the command line.
#![allow(clippy::unwrap_used)] // in helpers too

mod desk;

mod bad_input;
#[cfg(feature = "cpu")]
mod bench;
mod files;
mod models;
mod predict;
mod preprocess;
mod specs;
mod train;
mod usage;
mod width;
