//! What `bnn train` tells before it trains.

use bnn_core::Preprocess;
use bnn_data::Dataset;
use bnn_data::preprocess::Transform;
use bnn_train::preprocess::{Stage, record};
use bnn_train::spec::Chain;
use bnn_train::{Spec, Summary};

use crate::layer_table::{self, bytes_text, count_text};

/// Why there is no model.
pub const UNFROZEN: &str = "a network with real weights or activations has no bits to freeze";

/// The network, what it takes, and what it is trained on.
pub fn announcement(spec: &Spec, data: &Dataset, summary: &Summary, steps: usize) -> String {
    let count = |count: usize| count_text(count as u64);
    let Dataset { name, train, validation, test, .. } = data;
    let Summary { layers, total, memory, .. } = summary;
    let (epochs, batch) = (spec.last_epoch(), spec.train.batch);
    let model = summary.model_bytes.map(|bytes| format!("{} frozen", bytes_text(bytes as u64)));
    let some = |bytes: u64, text: &dyn Fn(String) -> String| match bytes {
        0 => String::new(),
        bytes => text(bytes_text(bytes)),
    };
    let weight_bits: usize = layers.iter().map(|layer| layer.weights * layer.weight_bits).sum();
    [
        layer_table::text(layers, &[], &[]),
        String::new(),
        format!(
            "parameters  {} bits of weights, {} gains and offsets of norms",
            count(weight_bits),
            count(2 * summary.norm_channels),
        ),
        format!("operations  {} per image", layer_table::operations(total)),
        format!("model       {}", model.unwrap_or_else(|| format!("none: {UNFROZEN}"))),
        format!(
            "memory      about {} (weights {}, optimizer {}, activations {}{}), {} more for a \
             checkpoint{}",
            bytes_text(memory.total()),
            bytes_text(memory.weights),
            bytes_text(memory.optimizer),
            bytes_text(memory.activations),
            some(memory.whitenings, &|bytes| format!(", zca {bytes}")),
            bytes_text(memory.checkpoint),
            some(memory.fit, &|bytes| format!("; {bytes} before, to fit zca")),
        ),
        format!(
            "images      {name}: {} to train, {} to validate, {} to test{}",
            count(train.len()),
            count(validation.len()),
            count(test.len()),
            data.preparation().map_or_else(String::new, prepared),
        ),
        format!("epochs      {epochs} of {steps} steps, {batch} images each\n"),
    ]
    .join("\n")
}

/// What was done to the images, as a further line.
fn prepared(transform: &Transform) -> String {
    let Preprocess { steps, limit, .. } = record(transform);
    format!("\npreprocess  {}; codes up to {limit}", steps.join(", "))
}

/// What a preparation is at, which can take half a minute.
pub fn stage_text(chain: &Chain, stage: Stage) -> String {
    let steps = Vec::from(chain.clone()).join(", ");
    match stage {
        Stage::Fit { images } => format!("fitting {steps} to {} images", count_text(images as u64)),
        Stage::Apply { images } => {
            format!("preprocessing {} images by {steps}", count_text(images as u64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preparation_says_what_it_is_at() {
        let chain = Chain(vec!["gcn bias 10".parse().unwrap(), "zca ridge 1e-5".parse().unwrap()]);
        let text = |stage| stage_text(&chain, stage);
        let fitting = text(Stage::Fit { images: 45_000 });
        assert_eq!(fitting, "fitting gcn bias 10, zca ridge 1e-5 to 45,000 images");
        let applying = text(Stage::Apply { images: 60_000 });
        assert_eq!(applying, "preprocessing 60,000 images by gcn bias 10, zca ridge 1e-5");
    }
}
