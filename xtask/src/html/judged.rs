//! What the networks get wrong, and what their first layers look for.

use super::element::{absent, details, escape, heading, picture};
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

/// What every row has to show, folded up but for the first.
fn shown(rows: &[Row], how: &str, show: impl Fn(&Evaluation) -> Option<String>) -> String {
    let of = |row: &Row| {
        let told =
            row.records.iter().find_map(|record| Some((record, record.evaluation.as_ref()?)));
        let (record, evaluation) = told?;
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
