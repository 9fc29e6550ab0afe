//! The report as one file of HTML that needs nothing else: no network, no script, no other file.

mod element;
mod energy;
mod judged;
mod results;
mod speed;
mod table1;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::atomic;
use crate::bench::Bench;
use crate::counts::Counts;
use crate::summary::Row;
use element::{escape, paragraph};

/// Where the page lies in the folder of a report.
const FILE: &str = "report/index.html";

const STYLE: &str = include_str!("style.css");

/// Lets a browser load nothing but what the page holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// What is reported.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Cells by tier.
    pub rows: &'a [Row],
    /// Timings of kernels.
    pub benches: &'a [Bench],
    /// What an image costs the paper's networks, if that was counted.
    pub counts: Option<&'a Counts>,
    /// The first words.
    pub intro: &'a str,
}

/// A part of the page: an anchor, a heading, and what is said there.
struct Section {
    id: &'static str,
    heading: &'static str,
    body: String,
}

/// Writes the page into a folder, and returns where it is.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write(report: &Report<'_>, folder: &Path) -> Result<PathBuf> {
    let path = folder.join(FILE);
    atomic::write(&path, &page(report))?;
    Ok(path)
}

/// The page.
pub fn page(report: &Report<'_>) -> String {
    let sections = sections(report);
    let links: String = sections
        .iter()
        .map(|Section { id, heading, .. }| format!("<a href=\"#{id}\">{heading}</a>\n"))
        .collect();
    let body: String = sections
        .iter()
        .map(|Section { id, heading, body }| {
            format!("<section id=\"{id}\">\n<h2>{heading}</h2>\n{body}</section>\n")
        })
        .collect();
    let (policy, intro) = (escape(POLICY), paragraph(report.intro));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\"/>\n\
         <title>bnn: results</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>Binarized neural networks: results beside the paper&#39;s</h1>\n{intro}\
         <nav>\n{links}</nav>\n</header>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn sections(report: &Report<'_>) -> Vec<Section> {
    let Report { rows, benches, counts, .. } = *report;
    let section = |id, heading, body| Section { id, heading, body };
    vec![
        section("results", "Results", results::tables(rows)),
        section("table-1", "Table 1: test errors", table1::section(rows)),
        section("curves", "Figure 1: training curves", results::curves(rows)),
        section("flips", "Sign flips", results::flips(rows)),
        section("filters", "First-layer filters", judged::filters(rows)),
        section("kernels", "Distinct 2-D kernels", judged::kernels(rows)),
        section("confusion", "Confusion", judged::confusion(rows)),
        section("mistakes", "Worst mistakes", judged::mistakes(rows)),
        section("speed", "Figure 3: speed", speed::section(benches)),
        section("energy", "Tables 2 and 3: operations, memory, energy", energy::section(counts)),
        section("provenance", "Provenance", results::provenance(rows, benches, counts)),
    ]
}
