//! Whether a job fits the memory that is free.

use anyhow::{Result, ensure};

use crate::layer_table::bytes_text;

/// Refuses a job that needs more bytes than are free, where the system tells.
///
/// A process that takes more is killed without a word.
pub fn check(job: &str, needed: u64, remedy: &str) -> Result<()> {
    let told = std::fs::read_to_string("/proc/meminfo").ok();
    match told.as_deref().and_then(available) {
        Some(free) => fits(job, needed, free, remedy),
        None => Ok(()),
    }
}

fn fits(job: &str, needed: u64, free: u64, remedy: &str) -> Result<()> {
    let (takes, has) = (bytes_text(needed), bytes_text(free));
    ensure!(needed <= free, "{job} takes about {takes} of memory, {has} are free: {remedy}");
    Ok(())
}

/// Bytes that can be taken without swapping, from the text of Linux's `/proc/meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_do_not_fit_are_refused() {
        let told = "MemTotal:       16 kB\nMemAvailable:    2048 kB\nSwapFree: 9 kB\n";
        assert_eq!(available(told), Some(2 << 20));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert!(fits("this", 2 << 20, 2 << 20, "take less").is_ok());
        let refused = fits("this", 3 << 20, 2 << 20, "take less").unwrap_err().to_string();
        assert_eq!(refused, "this takes about 3.15 MB of memory, 2.10 MB are free: take less");
    }
}
