#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod backend;
mod float_backend;
mod train_backend;

mod bits;
mod code;
mod gather;
mod matrix;
mod norm;
mod plain;
mod quant;
mod rng;
mod rule;

pub mod reference;
pub mod scalar;

mod deploy;
pub mod envelope;
pub mod fold;
mod format;
mod frozen;
mod outline;
mod work;

mod error;

pub use backend::{BinaryBackend, Draw};
pub use bits::{BitMatrix, WORD};
pub use code::{BYTE_SCALE, HostCode, Planes, sum_bound};
pub use deploy::{Classifier, Session};
pub use error::{Error, Result};
pub use float_backend::{Activation, FloatBackend};
pub use format::Loaded;
pub use frozen::{Frozen, Hidden, Input, Output, Pool, Preprocess};
pub use gather::{Gather, Grid, Window};
pub use matrix::{Matrix, MatrixView};
pub use norm::{Norm, Spread};
pub use outline::{LayerOutline, Outline};
pub use plain::{is_plain_text, plain};
pub use quant::{Form, Levels, Quant};
pub use reference::Reference;
pub use rng::Key;
pub use rule::{Clock, Loss, Optimizer, Rule};
pub use train_backend::{
    Gradient, HostOperand, LossGrad, NormGrad, Normed, Operand, Param, Pooled, Running,
    TrainBackend, Updated,
};
pub use work::Work;

/// The examples of the workspace's page on numbers, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/numbers.md")]
struct Numbers;
