//! `bnn inspect`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bnn_core::{Frozen, Gather, Planes, sum_bound};
use serde::Serialize;

use crate::output;

/// Show what a frozen model is made of: layers, bits, bytes, operations, thresholds.
///
/// A neuron is constant if its threshold lies beyond every sum its inputs can make.
///
/// Example: bnn inspect runs/first/model.safetensors
#[derive(clap::Args)]
pub struct Args {
    /// The frozen model.
    model: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `inspect` tells of a layer.
#[derive(Serialize)]
struct Layer {
    kind: &'static str,
    outputs: usize,
    inputs: usize,
    /// Weights, one bit per plane each.
    weights: usize,
    packed_bytes: usize,
    f32_bytes: usize,
    /// Multiply-accumulates per image on single bits, and on bytes.
    bit_operations: u64,
    byte_operations: u64,
    /// Smallest and largest threshold.
    thresholds: Option<[f32; 2]>,
    constant_neurons: Option<usize>,
}

/// Prints a table, or JSON.
pub fn run(args: &Args) -> Result<()> {
    let place = || args.model.display().to_string();
    let bytes = std::fs::read(&args.model).with_context(place)?;
    let network = Frozen::from_bytes(&bytes).with_context(place)?;
    let layers = layers(&network)?;
    if args.json {
        return output::json(&serde_json::json!({
            "input": network.input, "classes": network.classes, "file_bytes": bytes.len(), "layers": layers,
        }));
    }
    output::line(&format!(
        "{}, {} classes, {} bytes",
        network.input,
        network.classes.len(),
        bytes.len()
    ))?;
    output::line(
        "layer    outputs   inputs    weights  packed    as f32    bit ops   byte ops  thresholds     constant",
    )?;
    for layer in &layers {
        output::line(&row(layer))?;
    }
    let total = |of: fn(&Layer) -> usize| layers.iter().map(of).sum::<usize>();
    let (packed, float) = (total(|layer| layer.packed_bytes), total(|layer| layer.f32_bytes));
    output::line(&format!(
        "weights: {packed} bytes packed, {float} as f32, {:.1} times smaller",
        float as f64 / packed as f64
    ))
}

fn layers(network: &Frozen) -> Result<Vec<Layer>> {
    let (mut bound, mut first) = (255, true);
    let mut layers = Vec::new();
    for block in &network.hidden {
        let mut layer = layer(&block.weights, &block.gather, first)?;
        let limit = sum_bound(layer.inputs, bound, block.weights.bound())? as f32;
        let constant = |cut: &&f32| **cut <= -limit || **cut > limit;
        layer.constant_neurons = Some(block.cuts.iter().filter(constant).count());
        let edge =
            |pick: fn(f32, f32) -> f32| block.cuts.iter().copied().reduce(pick).unwrap_or(0.0);
        layer.thresholds = Some([edge(f32::min), edge(f32::max)]);
        layers.push(layer);
        (bound, first) = (block.levels.bound(), false);
    }
    layers.push(layer(&network.output.weights, &network.output.gather, first)?);
    Ok(layers)
}

fn layer(weights: &Planes, gather: &Gather, bytes: bool) -> Result<Layer> {
    let (outputs, inputs) = weights.dim()?;
    let positions = match gather {
        Gather::Rows => 1,
        Gather::Patches { grid, window } => window.positions(*grid)?.pixels(),
    };
    let operations = (outputs * inputs * positions * weights.planes.len()) as u64;
    let plane_bytes = |plane: &bnn_core::BitMatrix| 8 * plane.words().len();
    Ok(Layer {
        kind: if matches!(gather, Gather::Rows) { "dense" } else { "window" },
        outputs,
        inputs,
        weights: outputs * inputs,
        packed_bytes: weights.planes.iter().map(|(_, plane)| plane_bytes(plane)).sum(),
        f32_bytes: 4 * outputs * inputs,
        bit_operations: if bytes { 0 } else { operations },
        byte_operations: if bytes { operations } else { 0 },
        thresholds: None,
        constant_neurons: None,
    })
}

fn row(layer: &Layer) -> String {
    let thresholds = layer.thresholds.map_or("-".into(), |[low, high]| format!("{low}..{high}"));
    let constant = layer.constant_neurons.map_or("-".into(), |count| count.to_string());
    format!(
        "{:<8} {:>7} {:>8} {:>10} {:>7} {:>9} {:>10} {:>10}  {thresholds:<14} {constant:>8}",
        layer.kind,
        layer.outputs,
        layer.inputs,
        layer.weights,
        layer.packed_bytes,
        layer.f32_bytes,
        layer.bit_operations,
        layer.byte_operations,
    )
}
