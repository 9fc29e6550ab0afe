//! What takes turns.

use bnn_core::{Matrix, Result};
use serde::Serialize;

/// Some of the rows of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Rows that are computed.
    pub rows: usize,
    /// Rows of the result.
    pub of: usize,
}

/// A way to compute the result of a case.
pub(crate) trait Contender {
    /// What it is called in reports.
    fn name(&self) -> String;

    /// Computes the result once more.
    fn run(&mut self);

    /// Waits for what was started: a device may still be at it when [`run`](Self::run) returns.
    fn wait(&mut self) {}

    /// The rows that it computes, the first ones, where it is too slow for all of them.
    fn part(&self) -> Option<Part> {
        None
    }

    /// The result of the last run.
    fn result(&self) -> Result<Matrix>;
}
