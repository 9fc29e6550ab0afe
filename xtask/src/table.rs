//! Tables of text, for a terminal or as Markdown.

/// Rows of cells under a head.
#[derive(Clone, Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<const N: usize>(head: [&'static str; N]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, with as many cells as the head.
    pub fn add<const N: usize>(&mut self, row: [String; N]) {
        debug_assert_eq!(self.head.len(), N);
        self.rows.push(row.to_vec());
    }

    /// Columns padded with spaces, for a terminal.
    pub fn text(&self) -> String {
        let head: Vec<String> = self.head.iter().map(|&name| name.into()).collect();
        let all: Vec<&Vec<String>> = std::iter::once(&head).chain(&self.rows).collect();
        let width =
            |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let line = |row: &&Vec<String>| {
            let cells: Vec<_> =
                row.iter().zip(&widths).map(|(cell, &w)| format!("{cell:w$}")).collect();
            cells.join("  ").trim_end().to_owned() + "\n"
        };
        all.iter().map(line).collect()
    }

    /// Names of the columns, and the cells of every row.
    pub fn parts(&self) -> (&[&'static str], &[Vec<String>]) {
        (&self.head, &self.rows)
    }

    /// A Markdown table.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let escaped = |row: &Vec<String>| row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let mut text = line(self.head.iter().map(|&name| name.into()).collect());
        text += &format!("|{}\n", "---|".repeat(self.head.len()));
        text.extend(self.rows.iter().map(|row| line(escaped(row))));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_two_faces() {
        let mut table = Table::new(["network", "error"]);
        table.add(["a|b".into(), "1.00 ± 0.10".into()]);
        table.add(["longer-name".into(), "2".into()]);
        insta::assert_snapshot!(table.text() + &table.markdown());
    }
}
