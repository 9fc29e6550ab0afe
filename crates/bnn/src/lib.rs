#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod select;

pub use bnn_core as core;
pub use bnn_data as data;
pub use bnn_train as train;

pub use select::{BackendStatus, Gpu, WithBackend, backends, check_gpu, gpu, with_backend};

/// The example of the workspace's README, as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct WorkspaceReadme;

/// The examples of a guide of the workspace, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/adding-a-data-set.md")]
struct AddingADataSet;
