//! `bnn inspect`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bnn_core::{Frozen, Hidden, Preprocess, plain};
use bnn_data::preprocess::Transform;
use bnn_train::kernels::unique_share;
use bnn_train::preprocess;
use bnn_train::summary::{self, LayerSummary, Total};
use serde::Serialize;
use serde_json::{Value, json};

use crate::commands::read_model;
use crate::layer_table::{self, bytes_text, count_text};
use crate::layout::width;
use crate::output;

/// Show what a frozen model is made of: layers, bits, bytes, operations, thresholds.
///
/// `images` is how pictures of any size and kind become the images that it reads.
/// `preprocess` is what is done to images before the network reads them, and where images are whitened,
/// whether what was fitted for it is here.
/// `bits` are those of an input and of a weight. `constant` counts the neurons whose thresholds all
/// lie beyond every sum that their inputs can make: they tell nothing about an image.
/// `kernels` is the share of a convolution's 2-D kernels that differ, per input channel and up to sign.
///
/// Example: bnn inspect runs/first/model.safetensors
#[derive(clap::Args)]
pub struct Args {
    /// The frozen model, such as `model.safetensors` in the folder of a run.
    model: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A layer, and its thresholds if it has some.
#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    layer: &'a LayerSummary,
    thresholds: Option<Thresholds>,
    /// Share of 2-D kernels that differ, of a convolution.
    unique_kernels: Option<f64>,
}

/// The integer thresholds of a layer.
#[derive(Serialize)]
struct Thresholds {
    min: i32,
    max: i32,
    constant_neurons: usize,
}

/// Prints a table, or JSON.
pub fn run(args: &Args) -> Result<()> {
    let network = read_model(&args.model)?;
    let place = || args.model.display().to_string();
    let file_bytes = std::fs::metadata(&args.model).with_context(place)?.len();
    let layers = summary::layers(&network).with_context(place)?;
    let transform = preprocess::for_model(&network, &args.model);
    if args.json {
        let absent = transform.err().map(|error| error.to_string());
        output::json(&json(&network, &layers, file_bytes, absent))
    } else {
        output::text(&text(&network, &layers, file_bytes, width())?)?;
        if !network.images.is_empty() {
            let images = network.images.join(", ");
            output::text(&format!("images      made by {}", plain(&images)))?;
        }
        let line = network.preprocess.as_ref().map(|done| preprocess_line(done, &transform));
        line.map_or(Ok(()), |line| output::text(&line))
    }
}

/// What is done to images; of what was fitted for it, the file, or why that is not here.
fn preprocess_line(
    Preprocess { steps, limit, digest }: &Preprocess,
    transform: &bnn_train::Result<Option<Transform>>,
) -> String {
    let steps = steps.join(", ");
    let line = format!("preprocess  {}; codes up to {limit}", plain(&steps));
    match transform {
        Err(error) => format!("{line}; {}", plain(&error.to_string())),
        Ok(Some(transform)) if !transform.parts().whitenings.is_empty() => {
            format!("{line}; fitted in {}", preprocess::file_name(digest))
        }
        Ok(_) => line,
    }
}

fn json(
    network: &Frozen,
    layers: &[LayerSummary],
    file_bytes: u64,
    absent: Option<String>,
) -> Value {
    let thresholds = thresholds(network, layers).map(Some).chain([None]);
    let kernels = network.hidden.iter().map(unique_share).chain([None]);
    let inspected = layers.iter().zip(thresholds).zip(kernels);
    let inspected = inspected.map(|((layer, thresholds), unique_kernels)| Inspected {
        layer,
        thresholds,
        unique_kernels,
    });
    let mut value = json!({
        "input": network.input,
        "classes": network.classes,
        "file_bytes": file_bytes,
        "layers": inspected.collect::<Vec<_>>(),
        "total": Total::of(layers),
    });
    if !network.images.is_empty() {
        value["images"] = json!(network.images);
    }
    if let Some(done) = &network.preprocess {
        value["preprocess"] = json!(done);
        value["preprocess"]["absent"] = json!(absent);
    }
    value
}

fn text(
    network: &Frozen,
    layers: &[LayerSummary],
    file_bytes: u64,
    width: usize,
) -> Result<String> {
    let cells = |(thresholds, layer): (Thresholds, &Hidden)| {
        let Thresholds { min, max, constant_neurons } = thresholds;
        let kernels = unique_share(layer);
        let kernels = kernels.map_or("-".into(), |share| format!("{:.0} %", 100.0 * share));
        vec![format!("{min} to {max}"), count_text(constant_neurons as u64), kernels]
    };
    let none = vec!["-".to_string(); 3];
    let hidden = thresholds(network, layers).zip(&network.hidden);
    let more: Vec<_> = hidden.map(cells).chain([none]).collect();
    let total = Total::of(layers);
    let smaller = total.f32_bytes as f64 / total.packed_bytes as f64;
    Ok([
        format!("reads {}, tells {} classes", network.input, network.classes.len()),
        String::new(),
        layer_table::table(layers, &["thresholds", "constant", "kernels"], &more).text(width),
        String::new(),
        format!("weights     packed {smaller:.1} times smaller than as f32"),
        format!("operations  {} per image", layer_table::operations(&total)),
        format!("file        {}", bytes_text(file_bytes)),
    ]
    .join("\n"))
}

/// The thresholds of every hidden layer.
fn thresholds<'a>(
    network: &'a Frozen,
    layers: &'a [LayerSummary],
) -> impl Iterator<Item = Thresholds> + 'a {
    let of = |(block, layer): (&Hidden, &LayerSummary)| {
        let limit = layer.sum_bound.unwrap_or(i32::MAX); // a frozen model's sums are integers
        // A frozen model's cuts are integers within f32's exact range.
        let cuts = || block.cuts.iter().map(|&cut| cut as i32);
        let constant = |&cut: &f32| cut as i32 <= -limit || cut as i32 > limit;
        let neurons = block.cuts.columns().into_iter();
        Thresholds {
            min: cuts().min().unwrap_or(0),
            max: cuts().max().unwrap_or(0),
            constant_neurons: neurons.filter(|neuron| neuron.iter().all(constant)).count(),
        }
    };
    network.hidden.iter().zip(layers).map(of)
}

#[cfg(test)]
mod tests {
    use bnn_core::{
        BitMatrix, Form, Gather, Grid, Input, Levels, Matrix, Output, Planes, Pool, Window,
    };

    use super::*;

    fn signs(outputs: usize, inputs: usize) -> Planes {
        Planes::binary(BitMatrix::from_fn(outputs, inputs, |row, col| (row + col) % 3 == 0))
    }

    /// A layer whose threshold of neuron i is `first + i * step`.
    fn hidden(outputs: usize, inputs: usize, gather: Gather, first: f32, step: f32) -> Hidden {
        let cuts = Matrix::from_shape_fn((1, outputs), |(_, i)| first + i as f32 * step);
        Hidden { weights: signs(outputs, inputs), gather, cuts, levels: Levels::sign(), pool: None }
    }

    fn network(side: usize, hidden: Vec<Hidden>, inputs: usize, gather: Gather) -> Frozen {
        let (mean, gain, beta) = (vec![0.0; 3], vec![1.0; 3], vec![0.0; 3]);
        let output = Output { weights: signs(3, inputs), gather, mean, gain, beta };
        let input = Input { grid: Grid { height: side, width: side }, channels: 1 };
        let classes = ["ant", "bee", "cat"].map(String::from).into();
        Frozen { input, hidden, output, classes, images: vec![], preprocess: None }
    }

    fn mlp() -> Frozen {
        // Sums of the second layer lie within -1200 and 1200, where the thresholds of the last
        // neurons do not.
        let first = hidden(1200, 784, Gather::Rows, -600.0, 1.0);
        let mut second = hidden(64, 1200, Gather::Rows, 1170.0, 0.0);
        second.cuts.iter_mut().skip(62).for_each(|cut| *cut = 1201.0);
        network(28, vec![first, second], 64, Gather::Rows)
    }

    fn convnet() -> Frozen {
        let grid = Grid { height: 8, width: 8 };
        let gather = Gather::Patches { grid, window: Window::square(3, 1, 1) };
        let mut first = hidden(16, 9, gather, -900.0, 100.0);
        first.pool = Some(Pool { grid, window: Window::square(2, 2, 0) });
        let grid = Grid { height: 4, width: 4 };
        let gather = Gather::Patches { grid, window: Window::square(3, 2, 1) };
        let mut second = hidden(20, 144, gather, 0.0, 1.0);
        second.levels = Levels { scale: 1.0 / 3.0, form: Form::Binary { planes: 2 } };
        // Sums lie within -144 and 144: the outer thresholds are beyond, the inner ones of every
        // second neuron are not.
        let inner = |i| if i % 2 == 0 { 0.0 } else { 145.0 };
        let cuts = |(cut, i)| [-144.0, inner(i), 145.0][cut];
        second.cuts = Matrix::from_shape_fn((3, 20), cuts);
        let grid = Grid { height: 2, width: 2 };
        network(8, vec![first, second], 80, Gather::Patches { grid, window: grid.whole() })
    }

    #[test]
    fn an_mlp_is_shown() {
        let network = mlp();
        let layers = summary::layers(&network).unwrap();
        insta::assert_snapshot!(text(&network, &layers, 140_916, 120).unwrap());
    }

    #[test]
    fn a_convnet_is_shown() {
        let network = convnet();
        let layers = summary::layers(&network).unwrap();
        insta::assert_snapshot!(text(&network, &layers, 2636, 80).unwrap());
        let json = serde_json::to_string(&json(&network, &layers, 2636, None)).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        insta::assert_snapshot!(format!("{json:#}"));
    }

    #[test]
    fn neurons_are_constant_where_no_sum_reaches_a_threshold() {
        let constant = |network: &Frozen| -> Vec<usize> {
            let layers = summary::layers(network).unwrap();
            thresholds(network, &layers).map(|thresholds| thresholds.constant_neurons).collect()
        };
        assert_eq!(constant(&mlp()), [0, 2]);
        assert_eq!(constant(&convnet()), [0, 10]);
    }
}
