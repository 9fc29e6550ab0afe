//! The backend, where libtorch is there to build it with.

mod backend;
mod code;
mod device;
mod fault;
mod float;
mod halves;
mod levels;
mod loss;
mod norm;
mod operand;
mod pool;
mod product;
mod random;
mod real;
mod train;
mod update;

pub use code::Code;
pub use device::Tch;
pub use real::Real;
