//! `bnn cost`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bnn_core::{Grid, Input};
use bnn_data::picture::{Resize, Rules};
use bnn_train::cost::{LayerCost, Traffic, costs};
use bnn_train::{Spec, Summary};
use serde_json::json;

use crate::commands::{in_tier, read_spec};
use crate::layer_table::{self, count_text};
use crate::layout::{Table, width};
use crate::output::{self, Usage};

/// Version of the JSON.
const FORMAT: u32 = 1;

/// Classes of all data sets whose images are known here.
const CLASSES: usize = 10;

/// Count what one image costs the network of a spec: multiply-adds, bits read and written.
///
/// Every weight and activation is counted once, as the least that any machine must move; beside the
/// network as it is stands the same one in 8-bit integers and in f32. No data set is read.
///
/// Example: bnn cost mnist-mlp --tier paper
#[derive(clap::Args)]
pub struct Args {
    /// A spec file, or the name of a built-in spec (`bnn spec --list`).
    spec: PathBuf,
    /// Tier whose overrides apply; the paper's own setting by default.
    #[arg(long)]
    tier: Option<String>,
    /// Size of the images; that of the spec's first data set by default.
    #[arg(long, value_name = "HEIGHTxWIDTHxCHANNELS", value_parser = size)]
    input: Option<Input>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Counts.
pub fn run(args: &Args) -> Result<()> {
    let file = read_spec(&args.spec)?;
    let spec = match &args.tier {
        Some(tier) => in_tier(&file, &args.spec, tier)?,
        None => file,
    };
    let place = || args.spec.display().to_string();
    let data = &spec.data[0];
    let input = args.input.map_or_else(|| images(data, &spec.images.0), Ok).with_context(place)?;
    let classes = (0..classes(&spec)).map(|class| class.to_string()).collect();
    let layers = Summary::new(&spec, input, classes).with_context(place)?.layers;
    let costs = costs(&layers);
    if args.json {
        return output::json(&json!({
            "format": FORMAT, "spec": spec.name, "title": spec.title, "tier": args.tier,
            "data": data, "input": input, "layers": costs,
        }));
    }
    let more: Vec<_> = costs.iter().map(cells).collect();
    let table = layer_table::text(&layers, &["bits read", "bits written"], &more);
    let totals = totals(&costs).text(width());
    output::line(&format!("reads {input}, for one image:\n\n{table}\n\n{totals}"))
}

/// The bits of a layer's activations, as the network is.
fn cells(cost: &LayerCost) -> Vec<String> {
    [cost.own.read, cost.own.written].map(count_text).into()
}

/// The bits of all layers in every form.
fn totals(costs: &[LayerCost]) -> Table {
    let mut table = Table::new(["all layers", "bits of weights", "bits read", "bits written"]);
    let mut total = |name: &str, of: fn(&LayerCost) -> Traffic| {
        let sum = |part: fn(Traffic) -> u64| count_text(costs.iter().map(of).map(part).sum());
        let sums = [sum(|all| all.weights), sum(|all| all.read), sum(|all| all.written)];
        table.row([name.to_owned()].into_iter().chain(sums).collect());
    };
    total("as it is", |cost| cost.own);
    total("in 8 bits", |cost| cost.int8);
    total("in f32", |cost| cost.f32);
    table
}

/// Classes of the data set of a spec; of a user's own images, as many as the network tells apart.
fn classes(spec: &Spec) -> usize {
    match (spec.data[0].as_str(), spec.net.blocks.last()) {
        ("images", Some(last)) => last.outputs(),
        _ => CLASSES,
    }
}

/// The images that `rules` make of a data set, without reading it.
fn images(data: &str, rules: &Rules) -> Result<Input> {
    let (grid, channels) = match data {
        "digits" | "mnist" => (Some(Grid { height: 28, width: 28 }), Some(1)),
        "cifar10" | "cifar10-jpeg" | "svhn" => (Some(Grid { height: 32, width: 32 }), Some(3)),
        _ => (None, None),
    };
    let resized = rules.resize.map(|Resize { size, .. }| (size.height, size.width));
    let resized = resized.map(|(height, width)| Grid { height, width });
    match (resized.or(grid), rules.channels.or(channels)) {
        (Some(grid), Some(channels)) => Ok(Input { grid, channels }),
        _ => bail!(Usage(format!(
            "the images of `{data}` are not known here: give their size with --input, or in the table \
             `[images]` of the spec, with `resize` and `channels`"
        ))),
    }
}

/// Reads a size such as `28x28x1`.
fn size(text: &str) -> std::result::Result<Input, String> {
    let numbers: Option<Vec<usize>> =
        text.split('x').map(|part| part.parse().ok().filter(|&number| number > 0)).collect();
    match numbers.as_deref() {
        Some(&[height, width, channels]) => Ok(Input { grid: Grid { height, width }, channels }),
        _ => Err("a size is three positive numbers, such as 28x28x1".into()),
    }
}

#[cfg(test)]
mod tests {
    use bnn_data::Lookup;
    use bnn_train::run::input;

    use super::*;

    #[test]
    fn sizes_are_those_of_the_data_sets_that_are_here() {
        for listing in bnn_data::catalog(&Lookup::new(None)) {
            if listing.name == "images" {
                continue; // a user's own are of any size
            }
            let known = images(listing.name, &Rules::default()).unwrap();
            if listing.place.is_ok() && matches!(listing.name, "digits" | "mnist") {
                let data = bnn_data::load(listing.name, &Lookup::new(None)).unwrap();
                assert_eq!((known, CLASSES), (input(&data), data.class_names().len()));
            }
        }
        let kept = images("images", &Rules::default());
        assert!(kept.unwrap_err().to_string().contains("--input"));
        let rules = Rules {
            resize: Some("20 x 10".parse().unwrap()),
            channels: Some(1),
            ..Rules::default()
        };
        let want = Input { grid: Grid { height: 10, width: 20 }, channels: 1 };
        for data in ["images", "cifar10"] {
            assert_eq!(images(data, &rules).unwrap(), want);
        }
    }

    #[test]
    fn a_size_has_three_numbers() {
        let want = Input { grid: Grid { height: 2, width: 3 }, channels: 1 };
        assert_eq!(size("2x3x1"), Ok(want));
        for wrong in ["", "28", "28x28", "28x28x0", "28x-1x1", "1x1x1x1", "axbxc"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
