//! What one image costs a network: multiply-adds, and bits that cross between memory and arithmetic.
//!
//! The least that any machine must do: every weight and every activation of a layer is read once per
//! image, every output is written once, behind the pool. Machines whose registers and caches are too
//! small read more. Left out are the norm's constants, two numbers per output, and zero padding.

use serde::Serialize;

use crate::summary::LayerSummary;

/// Bits of a real, and of a score in every form.
const REAL: u64 = 32;
/// Bits of an entry of a network in 8-bit integers.
const BYTE: u64 = 8;

/// A layer for one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerCost {
    /// Multiply-accumulates, those in the padding included.
    pub multiply_adds: u64,
    /// The same in products of single bits: times the bits of an input and of a weight; none if one
    /// of them is a real.
    pub bit_products: Option<u64>,
    /// The layer as it is.
    pub own: Traffic,
    /// The same layer with 8 bits per weight and activation.
    pub int8: Traffic,
    /// The same layer with an f32 per weight and activation.
    pub f32: Traffic,
}

/// Bits that cross between memory and arithmetic for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Weights read.
    pub weights: u64,
    /// Activations read.
    pub read: u64,
    /// Outputs written.
    pub written: u64,
}

/// Values that a layer reads and writes for one image.
struct Values {
    weights: u64,
    inputs: u64,
    outputs: u64,
}

/// The costs of a network's layers, in order.
pub fn costs(layers: &[LayerSummary]) -> Vec<LayerCost> {
    let own_output = |at: usize| layers.get(at + 1).map_or(REAL, |next| next.input_bits as u64);
    let last = layers.len().saturating_sub(1);
    let of = |(at, layer): (usize, &LayerSummary)| {
        let values = Values::of(layer);
        let (input, weight) = (layer.input_bits as u64, layer.weight_bits as u64);
        let are_codes = input < REAL && weight < REAL;
        let byte_output = if at == last { REAL } else { BYTE };
        LayerCost {
            multiply_adds: layer.multiply_accumulates,
            bit_products: are_codes
                .then(|| layer.multiply_accumulates.saturating_mul(input * weight)),
            own: values.traffic([weight, input, own_output(at)]),
            int8: values.traffic([BYTE, BYTE, byte_output]),
            f32: values.traffic([REAL; 3]),
        }
    };
    layers.iter().enumerate().map(of).collect()
}

impl Values {
    fn of(layer: &LayerSummary) -> Self {
        let outputs = (layer.grid.pixels() as u64).saturating_mul(layer.outputs as u64);
        Self { weights: layer.weights as u64, inputs: layer.input_values(), outputs }
    }

    /// The bits of as many values, given the bits of a weight, of an input and of an output.
    fn traffic(&self, [weight, input, output]: [u64; 3]) -> Traffic {
        let Self { weights, inputs, outputs } = self;
        Traffic {
            weights: weights.saturating_mul(weight),
            read: inputs.saturating_mul(input),
            written: outputs.saturating_mul(output),
        }
    }
}
