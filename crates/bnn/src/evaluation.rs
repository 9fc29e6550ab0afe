//! What a trained network gets wrong, as a small file for reports: it needs no data set to be read.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bnn_core::{BitMatrix, Frozen, Gather, Grid, Input, Planes};
use bnn_data::Dataset;
use bnn_train::kernels::unique_share;
use bnn_train::run::input;
use bnn_train::{Judged, Mistake, Outcome};
use serde::Serialize;

use crate::picture;

/// Version of the file's layout.
const FORMAT: u32 = 1;

/// Filters that are shown, and how many of them side by side.
const FILTERS: usize = 64;
const ACROSS: usize = 8;
/// The grey between two filters.
const GAP: u8 = 128;

/// The file.
#[derive(Serialize)]
struct Evaluation<'a> {
    format: u32,
    /// The epoch whose network it is, from 1.
    epoch: usize,
    /// Names of the classes.
    classes: Vec<String>,
    /// Test images by class (rows) and by the class they are taken for (columns).
    confusion: &'a [Vec<u64>],
    mistakes: Vec<Shown<'a>>,
    /// None for real weights and for weights of several planes.
    filters: Option<Filters>,
    /// Share of 2-D kernels that differ, of every hidden layer; none for layers without such kernels.
    kernels: Vec<Option<f64>>,
}

/// A mistake with its image.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    mistake: &'a Mistake,
    /// A PNG file in base64; none where a pixel is neither grey nor colours.
    image: Option<String>,
}

/// The signs of the first layer's weights as one picture: +1 is bright, filters lie in rows.
#[derive(Debug, PartialEq, Serialize)]
struct Filters {
    /// Size of a filter in pixels, and its channels.
    height: usize,
    width: usize,
    channels: usize,
    /// The first so many are shown, of so many.
    shown: usize,
    of: usize,
    /// A PNG file in base64.
    image: String,
}

/// The bytes of the file.
///
/// # Errors
/// Images too large for PNG; what a damaged model says.
pub fn bytes(judged: &Judged, outcome: &Outcome, data: &Dataset) -> Result<Vec<u8>> {
    let frozen = outcome.model.as_deref().map(Frozen::from_bytes).transpose()?;
    let evaluation = Evaluation {
        format: FORMAT,
        epoch: outcome.best().epoch,
        classes: data.class_names(),
        confusion: &judged.confusion,
        mistakes: judged
            .mistakes
            .iter()
            .map(|mistake| show(mistake, data))
            .collect::<Result<_>>()?,
        filters: frozen.as_ref().map(filters).transpose()?.flatten(),
        kernels: frozen.iter().flat_map(|model| model.hidden.iter().map(unique_share)).collect(),
    };
    Ok(serde_json::to_vec(&evaluation)?)
}

fn show<'a>(mistake: &'a Mistake, data: &Dataset) -> Result<Shown<'a>> {
    let row = data.test.rows(mistake.index..mistake.index + 1);
    let pixels: Vec<u8> = row.iter().copied().collect();
    Ok(Shown { mistake, image: base64_png(input(data), &pixels)? })
}

fn base64_png(image: Input, pixels: &[u8]) -> Result<Option<String>> {
    Ok(picture::encode(image, pixels)?.map(|file| STANDARD.encode(file)))
}

/// What the first layer looks for, where that is one plane of signs.
fn filters(network: &Frozen) -> Result<Option<Filters>> {
    let Planes { planes, mask: None, .. } = first_weights(network) else { return Ok(None) };
    let [(_, signs)] = planes.as_slice() else { return Ok(None) };
    let (grid, channels) = (filter_grid(network), network.input.channels);
    let (pixels, sheet) = sheet(signs, grid, channels);
    let Some(image) = base64_png(sheet, &pixels)? else { return Ok(None) };
    let (of, Grid { height, width }) = (signs.rows(), grid);
    Ok(Some(Filters { height, width, channels, shown: of.min(FILTERS), of, image }))
}

fn first_weights(network: &Frozen) -> &Planes {
    network.hidden.first().map_or(&network.output.weights, |layer| &layer.weights)
}

/// Height and width of the first layer's filters: its window, or the whole image.
fn filter_grid(network: &Frozen) -> Grid {
    match network.first_gather() {
        Gather::Rows => network.input.grid,
        Gather::Patches { window, .. } => Grid { height: window.height, width: window.width },
    }
}

/// The first filters as the pixels of one picture, with lines between them.
///
/// Weights lie in the order `[y][x][channel]`, as pixels do.
fn sheet(signs: &BitMatrix, filter: Grid, channels: usize) -> (Vec<u8>, Input) {
    let shown = signs.rows().min(FILTERS);
    let (columns, rows) = (shown.min(ACROSS), shown.div_ceil(ACROSS));
    let size = |count: usize, side: usize| (count * (side + 1)).saturating_sub(1);
    let grid = Grid { height: size(rows, filter.height), width: size(columns, filter.width) };
    let mut pixels = vec![GAP; grid.pixels() * channels];
    for at in 0..shown {
        let (top, left) = (at / ACROSS * (filter.height + 1), at % ACROSS * (filter.width + 1));
        for column in 0..filter.pixels() * channels {
            let (pixel, channel) = (column / channels, column % channels);
            let (y, x) = (top + pixel / filter.width, left + pixel % filter.width);
            let bright = signs.get(at, column);
            pixels[(y * grid.width + x) * channels + channel] = if bright { 255 } else { 0 };
        }
    }
    (pixels, Input { grid, channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_lie_side_by_side_in_the_order_of_their_weights() {
        let filter = Grid { height: 1, width: 2 };
        let signs = BitMatrix::from_fn(9, 2, |output, column| output == 8 || column == 1);
        let (pixels, sheet) = sheet(&signs, filter, 1);
        assert_eq!(sheet.grid, Grid { height: 3, width: 8 * 3 - 1 });
        assert_eq!(pixels[..6], [0, 255, GAP, 0, 255, GAP]);
        assert_eq!(pixels[2 * 23..2 * 23 + 4], [255, 255, GAP, GAP]);
        assert!(pixels[23..2 * 23].iter().all(|&pixel| pixel == GAP));
    }

    #[test]
    fn colours_are_those_of_the_channels() {
        let signs = BitMatrix::from_fn(1, 6, |_, column| column == 0 || column == 4);
        let (pixels, sheet) = sheet(&signs, Grid { height: 2, width: 1 }, 3);
        assert_eq!((sheet.grid, sheet.channels), (Grid { height: 2, width: 1 }, 3));
        assert_eq!(pixels, [255, 0, 0, 0, 255, 0]);
    }
}
