//! Cells of one row taken together: mean over the seeds, and whether it is what was expected.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::matrix::{About, Expect, Key};
use crate::record::Record;

/// An outcome against what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All bounds hold.
    Reached,
    /// A bound does not hold, or its metric was not reported.
    Missed,
    /// The spec expects nothing.
    NoExpectation,
    /// Data or backend is not available here.
    NotRun,
    /// A run ended with an error.
    Failed,
}

impl Verdict {
    /// Checks metrics against bounds.
    pub fn of(expect: &BTreeMap<String, Expect>, metric: impl Fn(&str) -> Option<f64>) -> Self {
        let bounded = expect.iter().filter(|(_, expect)| expect.is_bound()).collect::<Vec<_>>();
        let holds =
            |name: &str, expect: &Expect| metric(name).is_some_and(|value| expect.holds(value));
        match bounded.iter().all(|(name, expect)| holds(name, expect)) {
            _ if bounded.is_empty() => Self::NoExpectation,
            true => Self::Reached,
            false => Self::Missed,
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Reached => "reached",
            Self::Missed => "missed",
            Self::NoExpectation => "-",
            Self::NotRun => "not run",
            Self::Failed => "failed",
        })
    }
}

impl Expect {
    fn is_bound(&self) -> bool {
        self.at_most.is_some() || self.at_least.is_some()
    }

    fn holds(&self, value: f64) -> bool {
        // Written so that NaN never holds.
        self.at_most.is_none_or(|most| value <= most)
            && self.at_least.is_none_or(|least| value >= least)
    }
}

/// How a cell ended.
#[derive(Clone, Debug)]
pub enum State {
    /// With a result.
    Done(Box<Record>),
    /// Not at all, and what to do about it.
    NotRun(String),
    /// With an error, already shown.
    Failed,
}

/// A cell with its end.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which cell.
    pub key: Key,
    /// What it is read by.
    pub about: About,
    /// How it ended.
    pub state: State,
}

/// The cells that differ by their seed only.
#[derive(Clone, Debug)]
pub struct Row {
    /// The first of the cells.
    pub key: Key,
    /// What they are read by.
    pub about: About,
    /// Results by seed.
    pub records: Vec<Record>,
    /// Why cells were not run.
    pub not_run: Option<String>,
    /// How many cells failed.
    pub failed: usize,
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        let (key, about) = (record.cell.clone(), record.about.clone());
        Self { key, about, state: State::Done(Box::new(record)) }
    }
}

/// Rows in the order of their first cell.
pub fn rows(entries: impl IntoIterator<Item = Entry>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for entry in entries {
        match rows.iter_mut().find(|row| row.holds(&entry.key)) {
            Some(row) => row.add(entry),
            None => {
                let (key, about) = (entry.key.clone(), entry.about.clone());
                let mut row = Row { key, about, records: Vec::new(), not_run: None, failed: 0 };
                row.add(entry);
                rows.push(row);
            }
        }
    }
    rows
}

impl Row {
    /// Mean of a metric over the seeds, and its sample standard deviation if there are two or more.
    pub fn stats(&self, metric: &str) -> Option<(f64, Option<f64>)> {
        let values: Option<Vec<f64>> =
            self.records.iter().map(|record| record.done.metric(metric)).collect();
        let values = values.filter(|values| !values.is_empty())?;
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some((mean, (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt())))
    }

    /// The row against what its spec expects.
    pub fn verdict(&self) -> Verdict {
        match (self.failed, self.records.is_empty()) {
            (1.., _) => Verdict::Failed,
            (0, true) => Verdict::NotRun,
            (0, false) => Verdict::of(&self.about.expect, |metric| Some(self.stats(metric)?.0)),
        }
    }

    /// Every bound that does not hold, and by how much.
    pub fn misses(&self) -> Vec<String> {
        if self.records.is_empty() {
            return Vec::new();
        }
        self.about.expect.iter().filter_map(|(metric, expect)| self.miss(metric, expect)).collect()
    }

    /// `<spec>.<data>.<backend>`.
    pub fn name(&self) -> String {
        let Key { spec, data, backend, .. } = &self.key;
        format!("{spec}.{data}.{backend}")
    }

    fn miss(&self, metric: &str, expect: &Expect) -> Option<String> {
        let name = self.name();
        let Some((mean, _)) = self.stats(metric) else {
            return expect
                .is_bound()
                .then(|| format!("{name}: expects a {metric}, which was not reported"));
        };
        let above =
            expect.at_most.filter(|&most| mean > most || mean.is_nan()).map(|most| ("above", most));
        let below = expect.at_least.filter(|&least| mean < least).map(|least| ("below", least));
        let (side, bound) = above.or(below)?;
        let (value, bound, far) =
            (figure(metric, mean), figure(metric, bound), far(metric, mean - bound));
        Some(format!("{name}: {metric} {value} is {side} the expected {bound}, by {far}"))
    }

    fn holds(&self, key: &Key) -> bool {
        *key == Key { seed: key.seed, ..self.key.clone() }
    }

    fn add(&mut self, entry: Entry) {
        match entry.state {
            State::Done(record) => self.records.push(*record),
            State::NotRun(why) => self.not_run = Some(why),
            State::Failed => self.failed += 1,
        }
        self.records.sort_by_key(|record| record.cell.seed);
    }
}

/// A figure with its unit: errors in per cent, everything else as it is.
pub fn figure(metric: &str, value: f64) -> String {
    if metric.ends_with("_error") { format!("{} %", percent(value)) } else { format!("{value:.4}") }
}

fn far(metric: &str, difference: f64) -> String {
    let far = figure(metric, difference.abs());
    far.strip_suffix(" %").map_or(far.clone(), |points| format!("{points} points"))
}

/// A fraction in per cent, with two decimals.
pub fn percent(fraction: f64) -> String {
    format!("{:.2}", 100.0 * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::sample;

    fn row(errors: &[f64]) -> Row {
        let records =
            errors.iter().zip(0..).map(|(&error, seed)| sample("mlp", seed, error).into());
        rows(records).pop().unwrap()
    }

    #[test]
    fn seeds_are_taken_together() {
        let (mean, deviation) = row(&[0.01, 0.02, 0.03]).stats("test_error").unwrap();
        assert!((mean - 0.02).abs() < 1e-12 && (deviation.unwrap() - 0.01).abs() < 1e-12);
        assert_eq!(row(&[0.25]).stats("test_error"), Some((0.25, None)));
    }

    #[test]
    fn the_mean_is_held_against_the_bounds() {
        assert_eq!(row(&[0.01, 0.03]).verdict(), Verdict::Reached);
        assert_eq!(row(&[0.01, 0.04]).verdict(), Verdict::Missed);
        let expect = row(&[0.01]).about.expect;
        assert_eq!(Verdict::of(&expect, |_| Some(f64::NAN)), Verdict::Missed);
        let misses = row(&[0.01, 0.04]).misses().join("");
        insta::assert_snapshot!(misses);
    }

    #[test]
    fn a_lower_bound_and_an_unreported_metric_are_missed_too() {
        let mut row = row(&[0.01]);
        row.about.expect.get_mut("test_error").unwrap().at_least = Some(0.015);
        let loss = Expect { at_most: Some(1.0), ..Expect::default() };
        row.about.expect.insert("strange_loss".into(), loss);
        insta::assert_snapshot!(row.misses().join("\n"));
    }

    #[test]
    fn nothing_expected_is_nothing_reached() {
        let mut row = row(&[0.01]);
        row.about.expect.get_mut("test_error").unwrap().at_most = None;
        assert_eq!(row.verdict(), Verdict::NoExpectation);
        assert!(row.misses().is_empty());
    }
}
