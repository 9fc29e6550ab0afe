//! The layers of a network as a table for people.

use bnn_core::{Gather, Grid};
use bnn_train::summary::{LayerSummary, Total};
use indicatif::{DecimalBytes, HumanCount};

/// The layers and their total in aligned columns; `more` adds cells to every layer, under its heads.
pub fn text(layers: &[LayerSummary], heads: &[&str], more: &[Vec<String>]) -> String {
    let base =
        ["layer", "inputs", "output", "bits", "weights", "packed", "as f32", "multiply-adds"];
    let mut rows = vec![base.iter().chain(heads).map(|head| (*head).into()).collect()];
    for (index, layer) in layers.iter().enumerate() {
        let mut row = cells(layer);
        row.extend(more.get(index).into_iter().flatten().cloned());
        rows.push(row);
    }
    rows.push(total(&Total::of(layers)));
    aligned(&rows)
}

/// Operations by what is multiplied, such as `3,211,264 byte x binary`.
pub fn operations(total: &Total) -> String {
    let kind = |(operands, &count): (&String, &u64)| format!("{} {operands}", count_text(count));
    total.by_operands.iter().map(kind).collect::<Vec<_>>().join(", ")
}

/// A number with separators: `36,806,656`.
pub fn count_text(count: u64) -> String {
    HumanCount(count).to_string()
}

/// A number of bytes with its unit: `4.60 MB`, in powers of 1000.
pub fn bytes_text(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}

fn cells(layer: &LayerSummary) -> Vec<String> {
    vec![
        kind(layer),
        count_text(layer.inputs as u64),
        output(layer),
        format!("{} x {}", layer.input_bits, layer.weight_bits),
        count_text(layer.weights as u64),
        bytes_text(layer.packed_bytes as u64),
        bytes_text(layer.f32_bytes as u64),
        count_text(layer.multiply_accumulates),
    ]
}

fn total(total: &Total) -> Vec<String> {
    vec![
        "total".into(),
        String::new(),
        String::new(),
        String::new(),
        count_text(total.weights as u64),
        bytes_text(total.packed_bytes as u64),
        bytes_text(total.f32_bytes as u64),
        count_text(total.multiply_accumulates),
    ]
}

/// `dense`, or a convolution with its window and pool.
fn kind(layer: &LayerSummary) -> String {
    let window = match &layer.gather {
        Gather::Patches { window, .. } if !layer.is_dense() => window,
        _ => return "dense".into(),
    };
    let mut text = format!("conv {}x{}", window.height, window.width);
    for (word, number, usual) in [("stride", window.stride, 1), ("pad", window.pad, 0)] {
        if number != usual {
            text += &format!(" {word} {number}");
        }
    }
    if let Some(pool) = layer.pool {
        text += &format!(" pool {}x{}", pool.window.height, pool.window.width);
    }
    text
}

/// Height, width and channels; a single pixel has channels alone.
fn output(layer: &LayerSummary) -> String {
    match layer.grid {
        Grid { height: 1, width: 1 } => count_text(layer.outputs as u64),
        Grid { height, width } => format!("{height}x{width}x{}", layer.outputs),
    }
}

/// Rows of columns as wide as their widest cell, the first on the left, the others on the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let pad = |(column, (cell, &width)): (usize, (&String, &usize))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        };
        let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(pad).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
