#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod images;

mod augment;
mod batches;
mod random;

pub mod preprocess;

mod catalog;
mod lookup;

#[cfg(feature = "download")]
pub mod download;
mod published;
mod verify;

mod cifar10;
mod cifar10_jpeg;
pub mod class_folders;
mod digits;
pub mod idx;
mod mnist;
mod own_images;
pub mod picture;
mod svhn;

mod archive;
mod digest;
mod gzip;
pub mod limits;
pub mod regular;
mod source;

mod error;

#[cfg(fuzzing)]
pub mod fuzz;

pub use augment::Augment;
pub use batches::{Batch, Batches, Last, Order, Plan};
pub use catalog::{Listing, catalog, load, load_as};
pub use digits::Digits;
pub use error::{Error, Result};
pub use images::{Dataset, Images};
pub use lookup::Lookup;
pub use verify::{FileState, Verified, VerifiedFile, verify};
