//! The paper's table 1, with our results for the same figures and those of others as context.

use super::element::{cells, heading, list, paragraph};
use crate::report;
use crate::summary::Row;

/// Data sets of the columns, by our names.
const DATA: [&str; 3] = ["mnist", "svhn", "cifar10"];

/// Tiers that count as a reproduction, the weightiest first; the smaller ones only show that it works.
const TIERS: [&str; 2] = ["paper", "short"];

/// A row of the paper.
struct Line {
    system: &'static str,
    /// Test errors in per cent by data set, as printed.
    errors: [Option<&'static str>; 3],
    /// Whether experiments here aim at these figures.
    ours: bool,
}

/// The paper's rows. Those of its own networks in Theano are in the authors' README too; the others
/// could not be checked against the printed table.
const LINES: [Line; 11] = [
    line("BNN, Torch7", [Some("1.40"), Some("2.53"), Some("10.15")], true),
    line("BNN, Theano", [Some("0.96"), Some("2.80"), Some("11.40")], true),
    line("Committee machines' array (Baldassi 2015)", [Some("1.35"), None, None], false),
    line("BinaryConnect (2015)", [Some("1.29 ± 0.08"), Some("2.30"), Some("9.90")], true),
    line("EBP (Cheng 2015)", [Some("2.2 ± 0.1"), None, None], false),
    line("Bitwise networks (Kim & Smaragdis 2016)", [Some("1.33"), None, None], false),
    line("Ternary weights (Hwang & Sung 2014)", [Some("1.45"), None, None], false),
    line("no binarization", [Some("1.3 ± 0.2"), Some("2.44"), Some("10.94")], true),
    line("Maxout networks (Goodfellow 2013)", [Some("0.94"), Some("2.47"), Some("11.68")], false),
    line("Network in Network (Lin 2013)", [None, Some("2.35"), Some("10.41")], false),
    line("Gated pooling (Lee 2015)", [None, Some("1.69"), Some("7.62")], false),
];

const fn line(system: &'static str, errors: [Option<&'static str>; 3], ours: bool) -> Line {
    Line { system, errors, ours }
}

/// The table, and what is not in it.
pub fn section(rows: &[Row]) -> String {
    let head = ["test error %", "MNIST", "ours", "SVHN", "ours", "CIFAR-10", "ours"];
    let lines: Vec<Vec<String>> = LINES.iter().map(|line| line.cells(rows)).collect();
    let mut text = paragraph(
        "Ours are the experiments that aim at the figure beside them, of the tiers paper and short; \
         what they changed is under Provenance. The paper's figures of BNN in Theano are also in the \
         authors' README; the others were not checked against the printed table.",
    );
    text += &cells(&head.map(String::from), &lines);
    let others: Vec<String> = rows
        .iter()
        .filter(|row| row.key.data == "cifar10-jpeg" && !row.records.is_empty())
        .map(|row| format!("{} {}", row.key.spec, ours(row)))
        .collect();
    if !others.is_empty() {
        text += &heading("Not CIFAR-10: the same images after JPEG compression");
        text += &list(&others);
    }
    text
}

impl Line {
    /// The cells of the row: the system, then the paper's figure and ours for every data set.
    fn cells(&self, rows: &[Row]) -> Vec<String> {
        let mut cells = vec![self.system.to_owned()];
        for (data, printed) in DATA.iter().zip(self.errors) {
            cells.push(printed.unwrap_or("-").into());
            cells.push(match printed {
                Some(printed) if self.ours => found(rows, data, printed),
                _ => "-".into(),
            });
        }
        cells
    }
}

/// The results of the experiments on a data set that aim at a printed figure.
fn found(rows: &[Row], data: &str, printed: &str) -> String {
    let figure = printed.split(' ').next().and_then(|figure| figure.parse::<f64>().ok());
    let aims = |row: &&Row| {
        let paper = row.about.expect.get("test_error").and_then(|expect| expect.paper);
        let near = |paper: f64, figure: f64| (100.0 * paper - figure).abs() < 5e-4;
        row.key.data == data
            && !row.records.is_empty()
            && paper.zip(figure).is_some_and(|(paper, figure)| near(paper, figure))
    };
    let aiming: Vec<&Row> = rows.iter().filter(aims).collect();
    let weightiest = TIERS.iter().find_map(|tier| {
        let of: Vec<&&Row> = aiming.iter().filter(|row| row.key.tier == *tier).collect();
        (!of.is_empty()).then_some(of)
    });
    let Some(all) = weightiest else { return "not run".into() };
    let all: Vec<String> =
        all.iter().map(|row| format!("{} {}", row.key.spec, ours(row))).collect();
    all.join("\n")
}

/// A result with what it takes to read it.
fn ours(row: &Row) -> String {
    let epochs = report::distinct(row, |record| record.done.epochs.to_string());
    let (error, seeds) = (report::test_error(row), report::seeds(row));
    format!("{error} ({}, {}, {epochs} epochs, seed {seeds})", row.key.tier, row.key.backend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::sample;
    use crate::summary::rows;

    fn row(tier: &str, spec: &str, data: &str, paper: f64) -> Row {
        let mut record = sample(spec, 0, 0.0123);
        record.cell.tier = tier.into();
        record.cell.data = data.into();
        record.about.expect.get_mut("test_error").unwrap().paper = Some(paper);
        rows([record.into()]).remove(0)
    }

    fn ours(rows: &[Row]) -> Vec<String> {
        let lines = LINES.iter().filter(|line| line.ours).map(|line| line.cells(rows));
        lines
            .map(|cells| [&cells[2], &cells[4], &cells[6]].map(String::as_str).join(" | "))
            .collect()
    }

    #[test]
    fn results_stand_beside_the_figure_they_aim_at() {
        let all = [
            row("paper", "theano", "cifar10", 0.1140),
            row("short", "theano-short", "cifar10", 0.1140),
            row("short", "torch", "mnist", 0.0140),
            row("short", "float", "mnist", 0.013),
        ];
        let none = "not run";
        let of = |spec, tier| format!("{spec} 1.23 ({tier}, cpu, 2 epochs, seed 0)");
        let want = [
            format!("{} | {none} | {none}", of("torch", "short")),
            format!("{none} | {none} | {}", of("theano", "paper")),
            format!("{none} | {none} | {none}"),
            format!("{} | {none} | {none}", of("float", "short")),
        ];
        assert_eq!(ours(&all), want);
    }

    #[test]
    fn neither_small_tiers_nor_other_data_fill_a_cell() {
        let all = [
            row("quick", "small", "mnist", 0.0096),
            row("short", "jpeg", "cifar10-jpeg", 0.1140),
            row("short", "drawn", "digits", 0.0096),
        ];
        assert!(ours(&all).iter().all(|cells| cells == "not run | not run | not run"));
        let text = section(&all);
        let (table, rest) = text.split_once("Not CIFAR-10").unwrap();
        assert!(!table.contains("jpeg 1.23") && rest.contains("jpeg 1.23 (short"), "{text}");
        assert!(!section(&all[..1]).contains("Not CIFAR-10"));
    }
}
