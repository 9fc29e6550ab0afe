//! What takes turns.

use bnn_core::{Matrix, Result};

/// A way to compute the result of a case.
pub(crate) trait Contender {
    /// What it is called in reports.
    fn name(&self) -> String;

    /// Computes the result once more.
    fn run(&mut self);

    /// The result of the last run.
    fn result(&self) -> Result<Matrix>;
}
