//! How text meets the width it is read in.

use terminal_size::{Width, terminal_size_of};
use textwrap::{Options, WordSplitter};

/// Columns where neither a terminal nor `COLUMNS` tells.
const USUAL: usize = 80;

/// Columns that text is fitted to at least: what is narrower breaks words.
const LEAST: usize = 40;

/// Spaces between columns, which also end the label of a line.
const GAP: &str = "  ";

/// Columns of the terminal that is written to; for a pipe or a file what `COLUMNS` says, or 80.
pub fn width() -> usize {
    let terminal = terminal_size_of(std::io::stdout()).map(|(Width(width), _)| width.into());
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(told).filter(|&width| width > 0).unwrap_or(USUAL).max(LEAST)
}

/// Text whose longer lines are broken between words, and go on below what stands behind their label.
///
/// A label ends in two spaces; a line without one goes on as far to the right as it began. Words are
/// never broken, so that paths and commands can be copied.
pub fn fitted(text: &str, width: usize) -> String {
    let fit = |line: &str| match line.chars().count() <= width {
        true => line.to_owned(),
        false => broken(line, width),
    };
    text.split('\n').map(fit).collect::<Vec<_>>().join("\n")
}

fn broken(line: &str, width: usize) -> String {
    let text = line.trim_start();
    let start = line.len() - text.len();
    let label = text.find(GAP).map_or(0, |at| text.len() - text[at..].trim_start().len());
    // Below a label that leaves too little of the width a line goes on at its own start.
    let indent = if start + label <= width / 2 { start + label } else { start };
    let (head, rest) = line.split_at(if label > 0 { start + label } else { start });
    let (first, indent) = (head.to_owned(), " ".repeat(indent));
    let options = Options::new(width).initial_indent(&first).subsequent_indent(&indent);
    let options = options.word_splitter(WordSplitter::NoHyphenation).break_words(false);
    textwrap::fill(rest, options)
}

/// A table of columns as wide as their widest cell, the first on the left, the others on the right.
///
/// What does not fit goes on in further columns below, every part of which begins with the first column.
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// A table of these heads, without rows.
    pub fn new<S: Into<String>>(heads: impl IntoIterator<Item = S>) -> Self {
        Self(vec![heads.into_iter().map(Into::into).collect()])
    }

    /// Adds a row, which may have fewer cells than there are heads.
    pub fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }

    /// The table in so many columns of characters; a part is at least two columns of cells.
    pub fn text(&self, width: usize) -> String {
        let sizes: Vec<usize> = (0..self.0[0].len()).map(|column| self.size(column)).collect();
        let mut parts = Vec::new();
        let mut first = 1;
        while first < sizes.len().max(2) {
            let mut end = first + 1;
            let mut taken = sizes[0] + sizes.get(first).map_or(0, |size| GAP.len() + size);
            while end < sizes.len() && taken + GAP.len() + sizes[end] <= width {
                taken += GAP.len() + sizes[end];
                end += 1;
            }
            parts.push(self.part(first..end.min(sizes.len()), &sizes));
            first = end;
        }
        parts.join("\n\n")
    }

    fn size(&self, column: usize) -> usize {
        let cells = self.0.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }

    /// The first column and those of a range; rows that are empty in that range are left out.
    fn part(&self, columns: std::ops::Range<usize>, sizes: &[usize]) -> String {
        let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let line = |row: &Vec<String>| {
            let cells = columns.clone().map(|column| {
                let size = sizes[column];
                format!("{GAP}{:>size$}", cell(row, column))
            });
            let size = sizes[0];
            let text = format!("{:<size$}{}", cell(row, 0), cells.collect::<String>());
            text.trim_end().to_owned()
        };
        let told = |row: &&Vec<String>| columns.clone().any(|at| !cell(row, at).is_empty());
        let told = |row: &&Vec<String>| columns.is_empty() || told(row);
        self.0.iter().filter(told).map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["", "layer", "inputs", "weights"]);
        table.row(["1", "dense 1024", "784", "802,816"].map(String::from).into());
        table.row(["total", "", "", "802,816"].map(String::from).into());
        table
    }

    #[test]
    fn a_table_that_fits_is_one() {
        let want = "            layer  inputs  weights\n\
                    1      dense 1024     784  802,816\n\
                    total                      802,816";
        assert_eq!(table().text(34), want);
    }

    #[test]
    fn columns_that_do_not_fit_go_on_below() {
        let want = "            layer  inputs\n\
                    1      dense 1024     784\n\n       \
                           weights\n\
                    1      802,816\n\
                    total  802,816";
        assert_eq!(table().text(33), want);
        assert_eq!(Table::new(["alone"]).text(3), "alone");
        assert_eq!(table().text(0).split("\n\n").count(), 3, "a part has a column");
    }

    #[test]
    fn lines_go_on_below_what_stands_behind_their_label() {
        let line = "memory      about 1.56 MB (weights 22.86 kB, optimizer 44.61 kB)";
        let want = "memory      about 1.56 MB (weights 22.86\n            kB, optimizer 44.61 kB)";
        assert_eq!(fitted(line, 40), want);
        assert_eq!(fitted(&format!("short\n{line}"), 40), format!("short\n{want}"));
        assert_eq!(fitted("  begun further on the right", 20), "  begun further on\n  the right");
        let path = "/a/path/that/is/longer/than/the/line/--data-dir";
        assert_eq!(fitted(&format!("here: {path}"), 20), format!("here:\n{path}"));
        let label = "a long label, longer than half  and what follows it";
        assert_eq!(fitted(label, 40), "a long label, longer than half  and what\nfollows it");
    }
}
