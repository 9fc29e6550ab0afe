//! Tables of every tier, curves over the epochs, and where the figures come from.

use std::collections::BTreeSet;

use super::element::{absent, drawing, grid, heading, list, paragraph, table};
use crate::bench::{self, Bench};
use crate::counts::Counts;
use crate::record::Record;
use crate::summary::Row;
use crate::{curves as plot, flips, report};

const NONE: &str = "not run: there are no results; `cargo xtask reproduce` makes some";

/// Rows of every tier beside the paper's figures and what the tier expects.
pub fn tables(rows: &[Row]) -> String {
    if rows.is_empty() {
        return absent(NONE);
    }
    let mut text = paragraph(
        "Errors are in per cent: mean ± standard deviation over the seeds, of the epoch with the best \
         validation error. A verdict holds the mean against what the tier expects, not against the \
         paper's figure.",
    );
    for rows in tiers(rows) {
        text += &heading(&format!("Tier {}", rows[0].key.tier));
        text += &table(&report::table(rows, &|row| row.key.spec.clone()));
        text += &report::dirty(rows).map_or_else(String::new, paragraph);
        text += &list(&report::not_run(rows));
    }
    text
}

/// Errors over the epochs, a picture per experiment and data set.
pub fn curves(rows: &[Row]) -> String {
    by_tier(rows, "not run: no run has reported an epoch", |rows| {
        let files: BTreeSet<String> = rows.iter().map(report::curve_file).collect();
        let of = |file: &String| {
            let same = rows.iter().filter(|row| report::curve_file(row) == *file);
            let records: Vec<&Record> = same.flat_map(|row| &row.records).collect();
            let first = records.first()?;
            let title = format!("{} on {}", first.cell.spec, first.cell.data);
            Some(drawing(&plot::svg(&title, &records)))
        };
        files.iter().filter_map(of).collect()
    })
}

/// Flips of every layer over the epochs, a picture per row, of its first seed.
pub fn flips(rows: &[Row]) -> String {
    let why = "not run: no run has reported flips of signs";
    by_tier(rows, why, |rows| {
        let of = |row: &Row| {
            let record = row.records.first()?;
            let title = format!("{}, seed {}", row.name(), record.cell.seed);
            Some(drawing(&flips::svg(&title, record)?))
        };
        rows.iter().filter_map(of).collect()
    })
}

/// Machine, commit, seeds, epochs, backend and deviations of everything that is shown.
pub fn provenance(rows: &[Row], benches: &[Bench], counts: Option<&Counts>) -> String {
    let mut text = String::new();
    for rows in tiers(rows).filter(|rows| rows.iter().any(|row| !row.records.is_empty())) {
        text += &heading(&format!("Tier {}: where the figures come from", rows[0].key.tier));
        let told = rows.iter().filter(|row| !row.records.is_empty());
        let runs = told.map(|row| {
            let epochs = report::distinct(row, |record| record.done.epochs.to_string());
            format!("seeds {}, {epochs} epochs", report::seeds(row))
        });
        let items = report::provenance(rows).into_iter().zip(runs);
        text += &list(&items.map(|(item, run)| format!("{item}; {run}")).collect::<Vec<_>>());
        text += &heading(&format!("Tier {}: deviations from the paper", rows[0].key.tier));
        text += &list(&report::deviations(rows));
    }
    for bench in benches {
        text += &heading(&format!("Timings {} of the tier {}", bench.id(), bench.tier));
        text += &list(&[bench::provenance(bench)]);
        text += &list(&bench.what.deviations);
    }
    if let Some(counts) = counts {
        text += &heading("Operations and memory accesses");
        let how = format!("counted, not measured, by `bnn cost` at commit {}", counts.revision);
        text += &list(&[how]);
    }
    if text.is_empty() { absent(NONE) } else { text }
}

/// Rows of one tier after those of another, as they are sorted.
fn tiers(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|a, b| a.key.tier == b.key.tier)
}

/// Pictures of every tier under its heading, or why there are none.
fn by_tier(rows: &[Row], why: &str, pictures: impl Fn(&[Row]) -> String) -> String {
    let section = |rows: &[Row]| {
        let pictures = pictures(rows);
        let name = format!("Tier {}", rows[0].key.tier);
        if pictures.is_empty() { pictures } else { heading(&name) + &grid(&pictures) }
    };
    let text: String = tiers(rows).map(section).collect();
    if text.is_empty() { absent(why) } else { text }
}
