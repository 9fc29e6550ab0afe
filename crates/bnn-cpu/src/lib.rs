#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod backend;
mod float;
mod train;

mod borders;
mod code;
mod cpu;
mod real;

mod elementwise;
mod gradient;
mod multiply;
mod norm;
mod operand;
mod panels;
mod patches;
mod pooling;
mod product;
mod quads;
mod sliding;
mod transpose;
mod update;
mod windows;

mod memory;
mod workers;

#[allow(unsafe_code)]
mod kernels;

pub use code::Code;
pub use cpu::{Cpu, KernelInfo};
#[doc(hidden)]
pub use kernels::peak;
pub use real::Real;
