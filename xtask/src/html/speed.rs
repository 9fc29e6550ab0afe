//! Timings of kernels: bars, roofline, tables.

use super::element::{absent, details, drawing, grid, heading, paragraph, table};
use crate::bench::{self, Bench};

/// Every experiment that times kernels.
pub fn section(benches: &[Bench]) -> String {
    if benches.is_empty() {
        return absent("not run: `cargo xtask reproduce --only kernels` times the kernels");
    }
    benches.iter().map(one).collect()
}

fn one(bench: &Bench) -> String {
    let mut text = heading(&format!("{}: {} (tier {})", bench.id(), bench.title, bench.tier));
    text += &paragraph(&bench::how(bench));
    text += &paragraph(&format!("In the paper: {}", bench.paper));
    text += &grid(&bench::plots(bench).map(|svg| drawing(&svg)).concat());
    text += &bench::missing(bench).map_or_else(String::new, |why| absent(&why));
    for (caption, rows) in bench::tables(bench) {
        text += &details(&caption, &table(&rows));
    }
    text
}
