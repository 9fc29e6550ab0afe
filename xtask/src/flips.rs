//! Sign flips as SVG: how many of a layer's weights change their sign in an epoch, over the epochs.

use serde::Deserialize;
use serde_json::Value;

use crate::curves::{PAGE, PLOT, Scale};
use crate::record::{Epoch, Record};
use crate::svg::{colour, label, page};

/// A layer of an epoch, as the binary reports it.
#[derive(Deserialize)]
struct Layer {
    flips: f64,
}

/// Draws a line per layer; none if a run reports no flips, or has no signs that could flip.
pub fn svg(title: &str, record: &Record) -> Option<String> {
    let epochs: Vec<(u64, Vec<f64>)> = record
        .curve
        .iter()
        .map(|epoch| Some((epoch.epoch, flips(epoch)?)))
        .collect::<Option<_>>()?;
    let all = || epochs.iter().flat_map(|(_, flips)| flips.iter().copied());
    if all().all(|flips| flips == 0.0) {
        return None;
    }
    let scale = Scale::of(epochs.iter().map(|(epoch, _)| *epoch).max()?, all);
    let title = format!("sign flips per 100 weights: {title}");
    let mut text = page(PAGE, PLOT[0], &title);
    scale.axes(&mut text);
    let layers = epochs.iter().map(|(_, flips)| flips.len()).min()?;
    for layer in 0..layers {
        let shares = epochs.iter().map(|(epoch, flips)| (*epoch, flips[layer]));
        scale.line(&mut text, shares, colour(layer), "");
        // Flips become fewer: the lower left is free.
        let place = [PLOT[0] + 8.0, PLOT[3] - 8.0 - 14.0 * (layers - 1 - layer) as f64];
        label(&mut text, place, "start", colour(layer), &format!("layer {}", layer + 1));
    }
    Some(text + "</svg>\n")
}

/// Flips per weight of every layer.
fn flips(epoch: &Epoch) -> Option<Vec<f64>> {
    let layers: &Value = epoch.other.get("layers")?;
    let layers = Vec::<Layer>::deserialize(layers).ok()?;
    Some(layers.into_iter().map(|layer| layer.flips).collect())
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::tests::sample;

    /// A run that reports flips of two layers.
    pub fn flipping() -> Record {
        let mut record = sample("mlp", 0, 0.01);
        for (epoch, flips) in record.curve.iter_mut().zip([0.5, 0.0]) {
            let layers = json!([{ "flips": flips, "clipped": 0.1 }, { "flips": 2.5 * flips }]);
            epoch.other.insert("layers".into(), layers);
        }
        record
    }

    #[test]
    fn every_layer_has_a_line_and_a_label() {
        let text = svg("a<b", &flipping()).unwrap();
        assert!(text.contains(">layer 1</text>") && text.contains(">layer 2</text>"), "{text}");
        assert!(text.contains("a&lt;b") && !text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn without_flips_there_is_no_picture() {
        assert_eq!(svg("", &sample("mlp", 0, 0.01)), None);
        let mut still = flipping();
        still.curve.remove(0);
        assert_eq!(svg("", &still), None);
    }
}
