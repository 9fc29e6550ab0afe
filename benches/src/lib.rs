//! Benchmarks whose results are checked first, and whose contenders are timed in turn.
//!
//! `bnn bench` runs the [`cases`]; the benches of this package give single kernels to criterion.
//!
//! ```no_run
//! use std::time::Duration;
//! let case = bnn_bench::cases().into_iter().find(|case| case.name == "dense/b1/4096x4096").unwrap();
//! let timed = case.time(1, Duration::from_secs(2))?;
//! println!("{}: {:.1} us", timed.rows[0].name, 1e6 * timed.rows[0].seconds);
//! # Ok::<(), bnn_core::Error>(())
//! ```

#![forbid(unsafe_code)]

mod case;
mod contender;
#[cfg(any(feature = "cuda", test))]
mod cuda;
mod gradient;
mod layer;
mod model;
mod network;
mod ours;
mod peaks;
mod product;
mod rival_network;
mod rivals;
mod training;
mod turns;
mod update;

pub use case::{Case, Limit, Row, Timed, cases};
pub use contender::Part;
pub use peaks::{Peaks, Reading, peaks};
pub use turns::Interval;
