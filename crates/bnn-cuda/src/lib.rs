#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod backend;
mod code;
mod cuda;
mod device;
mod float;
#[cfg(all(feature = "compile", unix))]
#[doc(hidden)]
pub mod machine_code;
mod norm;
mod operand;
mod product;
mod real;
mod recording;
#[cfg(feature = "rivals")]
pub mod rivals;
mod tile;
mod train;
mod update;
mod windows;

pub use code::Code;
pub use cuda::Cuda;
pub use real::Real;
pub use recording::Recording;
