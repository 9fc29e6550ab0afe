//! RESULTS.md and the short table of README.md.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::bench::{self, Bench};
use crate::matrix::{Expect, Key, file_safe};
use crate::record::Record;
use crate::summary::{Row, figure, percent};
use crate::table::Table;
use crate::{atomic, curves};

/// Tiers in the order in which they are shown; others follow.
const TIERS: [&str; 4] = ["paper", "short", "quick", "smoke"];

/// Sorts rows by tier, the weightiest first; the order within a tier stays.
pub fn sort(rows: &mut [Row]) {
    rows.sort_by_key(|row| rank(&row.key.tier));
}

/// Place of a tier among the others.
pub fn rank(tier: &str) -> (usize, String) {
    (TIERS.iter().position(|&name| name == tier).unwrap_or(TIERS.len()), tier.into())
}

/// Name of the file with the curves of a row.
pub fn curve_file(row: &Row) -> String {
    file_safe(&format!("{}.{}.svg", row.key.spec, row.key.data))
}

/// Writes the curves of rows of one tier into a folder, a file per spec and data set.
///
/// # Errors
/// Names the file that cannot be written.
pub fn draw(rows: &[&Row], folder: &Path) -> Result<()> {
    for file in rows.iter().map(|row| curve_file(row)).collect::<BTreeSet<_>>() {
        let same = rows.iter().filter(|row| curve_file(row) == file);
        let records: Vec<&Record> = same.flat_map(|row| &row.records).collect();
        if let Some(first) = records.first() {
            let title = format!("{} on {}", first.cell.spec, first.cell.data);
            atomic::write(&folder.join(file), &curves::svg(&title, &records))?;
        }
    }
    Ok(())
}

/// The summary for a terminal.
pub fn terminal(rows: &[Row]) -> String {
    let head = [
        "spec",
        "data",
        "backend",
        "seeds",
        "test error %",
        "expected",
        "paper %",
        "verdict",
        "seconds",
    ];
    let mut table = Table::new(head);
    for row in rows {
        let seconds: f64 = row.records.iter().map(|record| record.done.seconds).sum();
        table.add([
            row.key.spec.clone(),
            row.key.data.clone(),
            row.key.backend.clone(),
            seeds(row),
            test_error(row),
            expected(row),
            paper(row),
            row.verdict().to_string(),
            if row.records.is_empty() { "-".into() } else { format!("{seconds:.1}") },
        ]);
    }
    table.text()
}

/// The short table; `curves` is where the curves of a tier lie, as seen from the document.
pub fn short(rows: &[Row], curves: &dyn Fn(&str) -> String) -> String {
    let head = [
        "tier",
        "network",
        "data",
        "backend",
        "seeds",
        "test error %",
        "paper %",
        "verdict",
        "s / epoch",
    ];
    let mut table = Table::new(head);
    for row in rows {
        table.add([
            row.key.tier.clone(),
            link(row, curves),
            row.key.data.clone(),
            row.key.backend.clone(),
            seeds(row),
            test_error(row),
            paper(row),
            row.verdict().to_string(),
            seconds_per_epoch(row),
        ]);
    }
    table.markdown()
}

/// The whole document: the short table, then every tier with its deviations and provenance, and with
/// the timings of kernels.
pub fn document(
    rows: &[Row],
    benches: &[Bench],
    intro: &str,
    curves: &dyn Fn(&str) -> String,
) -> String {
    let mut text = format!("# Results\n\n{intro}\n");
    text += "Errors are in per cent: mean ± standard deviation over the seeds, of the epoch with the best \
             validation error.\n\n";
    text += &short(rows, curves);
    let tiers = rows.iter().map(|row| &row.key.tier).chain(benches.iter().map(|bench| &bench.tier));
    let mut tiers: Vec<&String> = tiers.collect();
    tiers.sort_by_key(|tier| rank(tier));
    tiers.dedup();
    for tier in tiers {
        text += &format!("\n## Tier `{tier}`\n");
        let rows: Vec<Row> = rows.iter().filter(|row| row.key.tier == *tier).cloned().collect();
        if !rows.is_empty() {
            text += &section(&rows, curves);
        }
        for bench in benches.iter().filter(|bench| bench.tier == *tier) {
            text += &bench::section(bench, &curves(tier));
        }
    }
    text
}

fn section(rows: &[Row], curves: &dyn Fn(&str) -> String) -> String {
    let mut text = format!("\n{}", table(rows, &|row| link(row, curves)).markdown());
    if let Some(note) = dirty(rows) {
        text += &format!("\n{note}\n");
    }
    text + &list("Not run", not_run(rows))
        + &list("Deviations from the paper", deviations(rows))
        + &list("Provenance", provenance(rows))
}

/// What a commit with `-dirty` means, if there is one.
pub fn dirty(rows: &[Row]) -> Option<&'static str> {
    let mut records = rows.iter().flat_map(|row| &row.records);
    let dirty = records.any(|record| record.origin.revision.ends_with("-dirty"));
    dirty.then_some("A commit with `-dirty` stands for a tree with changes that are in no commit.")
}

/// Items under a heading; nothing if there are none.
fn list(heading: &str, items: Vec<String>) -> String {
    let items: String = items.iter().map(|item| format!("- {item}\n")).collect();
    if items.is_empty() { items } else { format!("\n{heading}:\n\n{items}") }
}

/// The rows of a tier beside the paper's figures and what was expected; `name` shows the network.
pub fn table(rows: &[Row], name: &dyn Fn(&Row) -> String) -> Table {
    let mut table = Table::new([
        "network",
        "data",
        "backend",
        "seeds",
        "test error %",
        "paper %",
        "expected",
        "verdict",
        "epochs",
        "s / epoch",
        "machine",
        "commit",
    ]);
    for row in rows {
        table.add([
            name(row),
            row.key.data.clone(),
            row.key.backend.clone(),
            seeds(row),
            test_error(row),
            paper(row),
            expected(row),
            row.verdict().to_string(),
            distinct(row, |record| record.done.epochs.to_string()),
            seconds_per_epoch(row),
            distinct(row, |record| record.origin.machine.processor(&record.done.backend)),
            distinct(row, |record| commit(&record.origin.revision)),
        ]);
    }
    table
}

/// Why rows, or seeds of them, were not run.
pub fn not_run(rows: &[Row]) -> Vec<String> {
    let why = |row: &Row| row.not_run.as_ref().map(|why| format!("{}: {why}", row.name()));
    rows.iter().filter_map(why).collect()
}

/// What differs from the paper, once per experiment; by backend where they ran it at different times
/// with different settings.
pub fn deviations(rows: &[Row]) -> Vec<String> {
    let mut items = Vec::new();
    for same in rows.chunk_by(|a, b| a.key.spec == b.key.spec) {
        let settings: Vec<_> =
            same.chunk_by(|a, b| a.about.deviations == b.about.deviations).collect();
        for rows in &settings {
            let (Key { spec, backend, .. }, about) = (&rows[0].key, &rows[0].about);
            let list = about.deviations.join("; ");
            let list = if list.is_empty() { "none" } else { &list };
            let on = if settings.len() > 1 { format!(" on {backend}") } else { String::new() };
            items.push(format!("{spec}{on} ({}): {list}", about.title));
        }
    }
    items
}

/// Where the figures of every row come from.
pub fn provenance(rows: &[Row]) -> Vec<String> {
    let of = |row: &Row| {
        let kernel = distinct(row, |record| {
            format!("{}, {} threads", record.done.backend, record.done.threads)
        });
        let machine = distinct(row, |record| record.origin.machine.to_string());
        let revision = distinct(row, |record| record.origin.revision.clone());
        let data = distinct(row, |record| record.done.data_digest.clone());
        let dates = distinct(row, |record| record.date.chars().take(10).collect());
        format!("{}: {kernel}; {machine}; commit {revision}; data {data}; {dates}", row.name())
    };
    rows.iter().filter(|row| !row.records.is_empty()).map(of).collect()
}

fn link(row: &Row, curves: &dyn Fn(&str) -> String) -> String {
    let spec = &row.key.spec;
    if row.records.is_empty() {
        return spec.clone();
    }
    format!("[{spec}]({}/{})", curves(&row.key.tier), curve_file(row))
}

/// The seeds of a row.
pub fn seeds(row: &Row) -> String {
    let seeds: Vec<String> =
        row.records.iter().map(|record| record.cell.seed.to_string()).collect();
    if seeds.is_empty() { "-".into() } else { seeds.join(", ") }
}

/// Mean test error of a row in per cent, and its standard deviation over the seeds.
pub fn test_error(row: &Row) -> String {
    match row.stats("test_error") {
        None => "-".into(),
        Some((mean, None)) => percent(mean),
        Some((mean, Some(deviation))) => format!("{} ± {}", percent(mean), percent(deviation)),
    }
}

fn seconds_per_epoch(row: &Row) -> String {
    row.stats("seconds_per_epoch").map_or_else(|| "-".into(), |(mean, _)| format!("{mean:.1}"))
}

fn paper(row: &Row) -> String {
    let figure = row.about.expect.get("test_error").and_then(|expect| expect.paper);
    figure.map_or_else(|| "-".into(), percent)
}

fn expected(row: &Row) -> String {
    let show = |(metric, expect): (&String, &Expect)| {
        let name = if metric == "test_error" { String::new() } else { format!("{metric} ") };
        let bound = |words, bound: Option<f64>| Some(format!("{words} {}", figure(metric, bound?)));
        let bounds = [bound("at least", expect.at_least), bound("at most", expect.at_most)];
        let bounds: Vec<String> = bounds.into_iter().flatten().collect();
        (!bounds.is_empty()).then(|| name + &bounds.join(", "))
    };
    let all: Vec<String> = row.about.expect.iter().filter_map(show).collect();
    if all.is_empty() { "-".into() } else { all.join("; ") }
}

/// What the records of a row say, each thing once.
pub fn distinct(row: &Row, of: impl Fn(&Record) -> String) -> String {
    let all: BTreeSet<String> = row.records.iter().map(of).collect();
    if all.is_empty() { "-".into() } else { Vec::from_iter(all).join(" / ") }
}

/// The first characters of a commit, and whether the tree was dirty.
fn commit(revision: &str) -> String {
    match revision.split_once('-') {
        Some((commit, rest)) => format!("{}-{rest}", commit.chars().take(9).collect::<String>()),
        None => revision.chars().take(9).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::sample;
    use crate::summary::{Entry, State, rows};

    #[test]
    fn timings_stand_behind_the_cells_of_their_tier_or_alone() {
        let timed = crate::bench::sample();
        let paper = Bench { tier: "paper".into(), ..timed.clone() };
        let rows = rows([sample("mlp", 0, 0.01).into()]);
        let text = document(&rows, &[timed, paper], "", &|tier| tier.into());
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("##")).collect();
        let kernels = "### kernels: Figure 3";
        assert_eq!(headings, ["## Tier `paper`", kernels, "## Tier `quick`", kernels]);
        assert!(text.contains("(paper/kernels.bars.svg)"), "{text}");
    }

    #[test]
    fn the_document_shows_tables_deviations_and_provenance() {
        let mut other = sample("cnn", 0, 0.05);
        other.cell.tier = "paper".into();
        other.origin.revision += "-dirty";
        let (a, b) = (sample("mlp", 0, 0.01), sample("mlp", 1, 0.02));
        let mut missing = Entry::from(sample("zeta", 0, 0.01));
        missing.state = State::NotRun("set BNN_DATA".into());
        let mut rows = rows([a.into(), b.into(), missing, other.into()]);
        sort(&mut rows);
        insta::assert_snapshot!(document(&rows, &[], "Generated.", &|tier| format!(
            "{tier}/curves"
        )));
        insta::assert_snapshot!(terminal(&rows));
    }
}
