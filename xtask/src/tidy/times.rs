//! What the published runs of a tier took, against what a newcomer was promised.

use std::path::Path;

use anyhow::Result;

use super::{Finding, Report};
use crate::{bench, publish, record};

/// Tiers, and the most seconds that all their cells and timings take.
const BUDGETS: [(&str, f64); 2] = [("smoke", 2.0 * 60.0), ("quick", 15.0 * 60.0)];

/// Adds up the seconds in the results of every tier that has a budget.
///
/// # Errors
/// A result that cannot be read.
pub fn check(root: &Path, report: &mut Report) -> Result<()> {
    for (tier, budget) in BUDGETS {
        let folder = record::tier_folder(Path::new("results"), tier);
        let place = folder.display().to_string();
        let (records, benches) = match root.join(&folder) {
            folder if folder.is_dir() => (publish::read(&folder)?, bench::read_all(&folder)?),
            _ => Default::default(),
        };
        let trained: f64 = records.iter().map(|record| record.done.seconds).sum();
        let seconds = trained + benches.iter().map(|bench| bench.seconds).sum::<f64>();
        if records.is_empty() {
            report.notes.push(format!("{place} holds no result: its time is not checked"));
        } else if seconds > budget {
            let fault = format!(
                "its runs took {seconds:.0} s, of at most {budget:.0}: \
                 take experiments out of the tier, or shorten them"
            );
            report.findings.push(Finding { place, fault });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::sample;

    fn check(seconds: &[f64]) -> Report {
        let root = tempfile::tempdir().unwrap();
        for (seed, &seconds) in (0..).zip(seconds) {
            let mut record = sample("mlp", seed, 0.01);
            record.done.seconds = seconds;
            record.write(&root.path().join("results/quick")).unwrap();
        }
        let mut report = Report::default();
        super::check(root.path(), &mut report).unwrap();
        report
    }

    #[test]
    fn the_runs_of_a_tier_take_no_longer_than_promised() {
        assert!(check(&[400.0, 500.0]).findings.is_empty());
        let want = "results/quick: its runs took 901 s, of at most 900: \
            take experiments out of the tier, or shorten them";
        assert_eq!(check(&[400.0, 501.0]).findings[0].to_string(), want);
    }

    #[test]
    fn timings_of_kernels_count() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("results/quick");
        sample("mlp", 0, 0.01).write(&folder).unwrap();
        let timed = bench::Bench { seconds: 900.0, ..bench::sample() };
        timed.write(&folder).unwrap();
        let mut report = Report::default();
        super::check(root.path(), &mut report).unwrap();
        assert!(report.findings[0].to_string().contains("its runs took 906 s"));
    }

    #[test]
    fn a_tier_without_results_is_noted() {
        let note = |tier| format!("results/{tier} holds no result: its time is not checked");
        assert_eq!(check(&[]).notes, ["smoke", "quick"].map(note));
        assert_eq!(check(&[1.0]).notes, ["smoke"].map(note));
    }
}
