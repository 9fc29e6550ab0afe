//! Images made ready for training: contrast normalized, whitened, and coded as bytes again.
//!
//! A [`Transform`] is fitted to training images alone and turns byte images into byte images of
//! codes, before any batch is made of them: what trains and what is deployed reads the same bytes.

mod chunks;
mod codes;
mod gcn;
mod lcn;
mod step;
mod transform;
mod zca;

pub use codes::CLIPPED;
pub use lcn::WINDOW;
pub use step::Step;
pub use transform::{Parts, Transform, key};
pub use zca::Whitening;
