#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod images;

mod augment;
mod batches;
mod random;

mod catalog;
mod lookup;

mod digits;
pub mod idx;
mod mnist;

mod error;

pub use augment::Augment;
pub use batches::{Batch, Batches, Last, Order, Plan};
pub use catalog::{Listing, catalog, load};
pub use digits::Digits;
pub use error::{Error, Result};
pub use images::{Dataset, Images};
pub use lookup::Lookup;
