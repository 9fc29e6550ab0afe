#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod schedule;
pub mod spec;

pub mod block;
pub mod cost;
mod form;
mod freeze;
pub mod kernels;
pub mod net;
pub mod summary;

mod checkpoint;
pub mod evaluate;
mod file;
pub mod folder;
mod history;
mod identity;
mod judged;
pub mod memory;
pub mod preprocess;
mod progress;
pub mod report;
pub mod run;
mod saving;
mod sound;

mod error;

#[cfg(fuzzing)]
pub mod fuzz;

pub use error::{Error, Result};
pub use folder::{CHECKPOINT_FILE, EVALUATION_FILE, Folder, HISTORY_FILE, MODEL_FILE, SPEC_FILE};
pub use judged::{Judged, Mistake};
pub use report::{EpochReport, LayerReport, Outcome, Score};
pub use run::{Observer, Options, run};
pub use schedule::Schedule;
pub use spec::Spec;
pub use summary::Summary;
