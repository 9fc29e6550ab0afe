//! From a spec to the constants of every layer on images of a given size.

use bnn_core::{Gather, Grid, Input, Norm, Pool, Rule, Spread, Window, sum_bound};

use crate::block::{ActivationForm, BlockForm, CodeForm};
use crate::spec::{Activations, BlockSpec, Clip, NetSpec, QuantName, Spec};
use crate::{Error, Result};

/// How a layer lies on its input.
struct Geometry {
    gather: Gather,
    pool: Option<Pool>,
    /// Inputs that one output meets.
    fan_in: usize,
    /// Outputs that one input meets, away from the border.
    fan_out: usize,
    /// Grid of its output.
    out: Grid,
}

/// Weights of a layer that random numbers tell apart.
const MOST_WEIGHTS: usize = u32::MAX as usize;

/// The grid of dense layers.
const PIXEL: Grid = Grid { height: 1, width: 1 };

/// What the layers of a spec are on images of a given size.
///
/// # Errors
/// [`Error::Spec`] naming the layer that does not fit its input, whose sums would leave exact f32
/// integers, whose norm would be over a single row, or whose outputs are not the classes; and for
/// images without a byte, or with more than any memory has.
pub fn forms(spec: &Spec, input: Input, classes: usize) -> Result<Vec<BlockForm>> {
    check_images(input)?;
    let (mut grid, mut channels, mut bound) = (input.grid, input.channels, Some(255));
    if matches!(spec.net.blocks.first(), Some(BlockSpec::Dense { .. })) {
        (grid, channels) = (PIXEL, input.bytes()); // flattened already: a row of bytes is an image
    }
    let [weights, activations] = [spec.net.weights.quant()?, spec.net.activations.quant()?]
        .map(|quant| quant.map(|quant| quant.levels.bound()));
    let mut forms = Vec::with_capacity(spec.net.blocks.len());
    for (index, block) in spec.net.blocks.iter().enumerate() {
        let place =
            |why: &dyn ToString| Error::spec(format!("net.blocks, `{block}`"), why.to_string());
        let geometry = geometry(*block, grid, channels).map_err(|error| place(&error))?;
        let geometry = geometry.ok_or_else(|| place(&"more than 2^32 weights in one layer"))?;
        let form = form(spec, index, &geometry)?;
        if form.activation.is_none() && block.outputs() != classes {
            return Err(place(&format!("the data set has {classes} classes")));
        }
        check_rows(spec.train.batch, geometry.out)
            .map_err(|why| Error::spec("train.batch", format!("{why} (net.blocks, `{block}`)")))?;
        if let (Some(bound), Some(weights)) = (bound, weights) {
            sum_bound(geometry.fan_in, bound, weights).map_err(|error| place(&error))?;
        }
        (grid, channels, bound) = (geometry.out, block.outputs(), activations);
        forms.push(form);
    }
    Ok(forms)
}

/// Images have a byte, and no more than can be counted.
fn check_images(Input { grid, channels }: Input) -> Result<()> {
    let bytes = grid.height.checked_mul(grid.width).and_then(|area| area.checked_mul(channels));
    match bytes {
        Some(bytes) if bytes > 0 => Ok(()),
        _ => {
            let size = format!("{} x {} x {channels}", grid.height, grid.width);
            Err(Error::spec("images", format!("{size} bytes is no size of an image")))
        }
    }
}

/// A norm takes off the mean of its rows: of one row nothing is left, and nothing is learned.
fn check_rows(batch: usize, out: Grid) -> std::result::Result<(), String> {
    if batch.saturating_mul(out.pixels()) > 1 {
        return Ok(());
    }
    Err(format!(
        "{batch} image makes a norm over a single row, which takes everything off and learns \
         nothing; want at least 2"
    ))
}

/// How a layer lies on its input, or none if it has too many weights.
fn geometry(block: BlockSpec, grid: Grid, channels: usize) -> bnn_core::Result<Option<Geometry>> {
    let (gather, pool, out) = match block {
        BlockSpec::Dense { .. } => {
            // One pixel is a row already; more pixels are flattened by a window as large as the grid.
            let whole = Gather::Patches { grid, window: grid.whole() };
            (if grid == PIXEL { Gather::Rows } else { whole }, None, PIXEL)
        }
        BlockSpec::Conv { kernel, stride, pad, pool, .. } => {
            let window = Window::square(kernel, stride, pad);
            let sums = window.positions(grid)?;
            let pooling = Window::square(pool, pool, 0);
            let out = pooling.positions(sums)?;
            let pool = (pool > 1).then_some(Pool { grid: sums, window: pooling });
            (Gather::Patches { grid, window }, pool, out)
        }
    };
    let outputs = block.outputs();
    let fans = || {
        let fan_in = gather.taps().checked_mul(channels)?;
        fan_in.checked_mul(outputs).filter(|&weights| weights <= MOST_WEIGHTS)?;
        let windows = if matches!(block, BlockSpec::Conv { .. }) { gather.taps() } else { 1 };
        Some((fan_in, windows.checked_mul(outputs)?))
    };
    Ok(fans().map(|(fan_in, fan_out)| Geometry { gather, pool, fan_in, fan_out, out }))
}

fn form(spec: &Spec, index: usize, geometry: &Geometry) -> Result<BlockForm> {
    let net = &spec.net;
    let last = index + 1 == net.blocks.len();
    let optimizer = spec.train.optimizer.optimizer();
    let scale = spec.train.step_scale.factor(geometry.fan_in, geometry.fan_out);
    let gain_scale = spec.train.gain_step_scale.factor(0, net.blocks[index].outputs());
    let clip_all = spec.train.clip == Clip::All;
    let norm = if last { net.output_norm.unwrap_or(net.norm) } else { net.norm };
    let convolution = matches!(net.blocks[index], BlockSpec::Conv { .. });
    let weight_quant = net.weights.quant()?;
    let glorot = (6.0 / (geometry.fan_in + geometry.fan_out) as f64).sqrt() as f32;
    Ok(BlockForm {
        gather: geometry.gather,
        pool: geometry.pool,
        shape: (net.blocks[index].outputs(), geometry.fan_in),
        norm: norm.norm(),
        spread: first_spread(&norm.norm(), convolution),
        start: if weight_quant.is_some() { 1.0 } else { glorot },
        weight_rule: Rule { optimizer, scale, clip: clip_all || weight_quant.is_some() },
        weight_quant,
        gain_rule: Rule { optimizer, scale: gain_scale, clip: clip_all },
        offset_rule: Rule { optimizer, scale: 1.0, clip: clip_all },
        activation: (!last).then(|| activation(net, index)).transpose()?,
    })
}

/// The published spatial shift-based norm starts its running statistic at 0, all others at 1. A dense
/// layer on a grid is a window in its form, and no convolution.
fn first_spread(norm: &Norm, convolution: bool) -> f32 {
    let from_zero = norm.shift && norm.running == Spread::InverseDeviation && convolution;
    if from_zero { 0.0 } else { 1.0 }
}

fn activation(net: &NetSpec, index: usize) -> Result<ActivationForm> {
    Ok(match net.activations {
        Activations::Real(activation) => ActivationForm::Real(activation),
        Activations::Quant(name) => ActivationForm::Code(CodeForm {
            quant: name.quant()?,
            stochastic: name == QuantName::StochasticSign,
            keep: 1.0 - net.dropout.hidden,
            stream: 2 * index as u32 + 1,
        }),
    })
}
