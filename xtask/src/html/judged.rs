//! What the networks get wrong, and what their first layers look for.

use super::element::{absent, cells, details, escape, heading, paragraph, picture};
use crate::evaluation::{Evaluation, Mistake};
use crate::record::Record;
use crate::summary::Row;

const NONE: &str =
    "not run: no result here tells what its network gets wrong; those of earlier versions do not";

/// Which classes are taken for which, of the first seed of every row.
pub fn confusion(rows: &[Row]) -> String {
    shown(rows, "rows: class, columns: taken for", |told| Some(matrix(told)))
}

/// The misclassified images with the largest margins.
pub fn mistakes(rows: &[Row]) -> String {
    shown(rows, "as the network reads them, the largest margins first", |told| {
        let tiles: String = told.mistakes.iter().map(|mistake| tile(mistake, told)).collect();
        (!tiles.is_empty()).then(|| format!("<div class=\"tiles\">\n{tiles}</div>\n"))
    })
}

/// The signs of the first layer's weights.
pub fn filters(rows: &[Row]) -> String {
    shown(rows, "+1 is bright, -1 dark", |told| {
        let filters = told.filters.as_ref()?;
        let words = format!(
            "the first {} of {} filters of {} x {} pixels{}",
            filters.shown,
            filters.of,
            filters.height,
            filters.width,
            if filters.channels == 3 { ", a sign per colour" } else { "" },
        );
        Some(picture("sheet", &filters.image.address(), &words))
    })
}

/// How many of the 2-D kernels of convolutions differ, of the first seed of every row.
pub fn kernels(rows: &[Row]) -> String {
    let percent = |share: &f64| format!("{:.0}", 100.0 * share);
    let of = |row: &Row| {
        let (record, told) = first(row)?;
        let shares: Vec<f64> = told.kernels.iter().flatten().copied().collect();
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        let layers: Vec<String> = shares.iter().map(percent).collect();
        (!shares.is_empty()).then(|| vec![title(record, told), layers.join(", "), percent(&mean)])
    };
    let lines: Vec<Vec<String>> = rows.iter().filter_map(of).collect();
    if lines.is_empty() {
        return absent(
            "not run: no result here tells how many kernels of its convolutions differ; those of \
             earlier versions do not",
        );
    }
    let head = ["network", "distinct %, layer by layer", "mean %"].map(String::from);
    paragraph(
        "For every input channel the kernels that act on it and differ, over the outputs, a kernel and \
         its negative counted as one. In the paper: 42 % on average, in the CIFAR-10 network after 500 \
         epochs. Narrow layers have larger shares, since a 3 x 3 kernel is one of only 256: of random \
         signs 79 % differ at 128 outputs and 43 % at 512.",
    ) + &cells(&head, &lines)
}

/// The first seed of a row that tells what its network gets wrong.
fn first(row: &Row) -> Option<(&Record, &Evaluation)> {
    row.records.iter().find_map(|record| Some((record, record.evaluation.as_ref()?)))
}

/// What every row has to show, folded up but for the first.
fn shown(rows: &[Row], how: &str, show: impl Fn(&Evaluation) -> Option<String>) -> String {
    let of = |row: &Row| {
        let (record, evaluation) = first(row)?;
        Some((title(record, evaluation), show(evaluation)?))
    };
    let all: Vec<(String, String)> = rows.iter().filter_map(of).collect();
    let Some(((first, body), rest)) = all.split_first() else { return absent(NONE) };
    let rest: String = rest.iter().map(|(title, body)| details(title, body)).collect();
    format!("<p>{}</p>\n", escape(how)) + &heading(first) + body + &rest
}

fn title(record: &Record, told: &Evaluation) -> String {
    let (tier, name) = (&record.cell.tier, record.cell.name());
    format!("{name} of the tier {tier}, the network of epoch {}", told.epoch)
}

/// A table whose cells are the darker the more images they count: blue where right, red where wrong.
fn matrix(told: &Evaluation) -> String {
    let classes: Vec<String> = told.classes.iter().map(|class| escape(class)).collect();
    let head: String =
        classes.iter().map(|class| format!("<th scope=\"col\">{class}</th>")).collect();
    let wrong = |(label, row): (usize, &Vec<u64>)| {
        let others = row.iter().enumerate().filter(move |(taken, _)| *taken != label);
        others.map(|(_, count)| *count).max().unwrap_or(0)
    };
    let most_wrong = told.confusion.iter().enumerate().map(wrong).max().unwrap_or(0);
    let row = |(label, row): (usize, &Vec<u64>)| {
        let all: u64 = row.iter().sum();
        let cell = |(taken, &count): (usize, &u64)| {
            let (colour, most) =
                if taken == label { ("31,111,235", all) } else { ("209,36,47", most_wrong) };
            let share = 0.6 * count as f64 / most.max(1) as f64;
            format!("<td style=\"background:rgba({colour},{share:.2})\">{count}</td>")
        };
        let cells: String = row.iter().enumerate().map(cell).collect();
        format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", classes[label])
    };
    let rows: String = told.confusion.iter().enumerate().map(row).collect();
    format!(
        "<div class=\"wide\"><table class=\"counts\">\n<thead><tr><th></th>{head}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

fn tile(mistake: &Mistake, told: &Evaluation) -> String {
    let Mistake { index, label, predicted, margin, image } = mistake;
    let (label, predicted) = (&told.classes[*label], &told.classes[*predicted]);
    let words = format!("{label}, taken for {predicted} (margin {margin:.2}, test image {index})");
    match image {
        Some(image) => picture("tile", &image.address(), &words),
        None => format!("<p class=\"tile\">{}</p>\n", escape(&words)),
    }
}
