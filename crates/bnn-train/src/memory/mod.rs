//! Whether a job fits the memory that is free.

mod free;

use crate::{Error, Result};

/// Refuses a job that needs more bytes than are free on the machine or left by the limits of its
/// container and process, where the system tells.
///
/// A process that takes more is killed without a word.
///
/// # Errors
/// [`Error::Memory`].
pub fn check(job: &str, needed: u64, remedy: &str) -> Result<()> {
    match free::bytes() {
        Some(free) => fits(job, needed, free, remedy),
        None => Ok(()),
    }
}

fn fits(job: &str, needed: u64, free: u64, remedy: &str) -> Result<()> {
    if needed <= free {
        return Ok(());
    }
    let (needed, free) = (text(needed), text(free));
    Err(Error::Memory { job: job.into(), needed, free, remedy: remedy.into() })
}

/// A number of bytes with its unit, in powers of 1000.
fn text(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let power = bytes.max(1).ilog10() as usize / 3;
    if power == 0 {
        return format!("{bytes} B");
    }
    format!("{:.2} {}", bytes as f64 / 1000f64.powi(power as i32), units[power])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_do_not_fit_are_refused() {
        assert!(fits("this", 2 << 20, 2 << 20, "take less").is_ok());
        let refused = fits("this", 3 << 20, 2 << 20, "take less").unwrap_err().to_string();
        assert_eq!(refused, "this takes about 3.15 MB of memory, 2.10 MB are free: take less");
        let texts = [0, 999, 1000, 1 << 30, u64::MAX].map(text);
        assert_eq!(texts, ["0 B", "999 B", "1.00 kB", "1.07 GB", "18.45 EB"]);
    }
}
