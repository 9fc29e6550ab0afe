//! The layers of a network as a table for people.

use bnn_core::{Gather, Grid, Window};
use bnn_train::spec::BlockSpec;
use bnn_train::summary::{LayerSummary, Total};
use indicatif::{DecimalBytes, HumanCount};

use crate::layout::{Table, width};

/// The layers, numbered, and their total, as wide as what is written to.
pub fn text(layers: &[LayerSummary], heads: &[&str], more: &[Vec<String>]) -> String {
    table(layers, heads, more).text(width())
}

/// The layers, numbered, and their total; `more` adds cells to every layer, under its heads.
pub fn table(layers: &[LayerSummary], heads: &[&str], more: &[Vec<String>]) -> Table {
    let notations: Vec<String> = layers.iter().map(notation).collect();
    let longest = notations.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let left = |text: &str| format!("{text:<longest$}"); // unlike numbers
    let base = ["inputs", "output", "bits", "weights", "packed", "as f32", "multiply-adds"];
    let base = base.iter().chain(heads).map(|head| (*head).to_owned());
    let mut table = Table::new([String::new(), left("layer")].into_iter().chain(base));
    for (index, (layer, notation)) in layers.iter().zip(notations).enumerate() {
        let mut row = vec![(index + 1).to_string(), left(&notation)];
        row.extend(cells(layer));
        row.extend(more.get(index).into_iter().flatten().cloned());
        table.row(row);
    }
    table.row(total(&Total::of(layers)));
    table
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

fn cells(layer: &LayerSummary) -> [String; 7] {
    [
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
    let none = ["total", "", "", "", ""].map(String::from).into_iter();
    let sums = [
        count_text(total.weights as u64),
        bytes_text(total.packed_bytes as u64),
        bytes_text(total.f32_bytes as u64),
        count_text(total.multiply_accumulates),
    ];
    none.chain(sums).collect()
}

/// A layer as a spec has it, or, where a model of another maker has windows that no spec can ask for,
/// in words.
fn notation(layer: &LayerSummary) -> String {
    let Some((window, pool)) = windows(layer) else {
        return BlockSpec::Dense { outputs: layer.outputs }.to_string();
    };
    let side = |window: Window| (window.height == window.width).then_some(window.height);
    let whole = |pool: &Window| pool.height == pool.stride && pool.pad == 0;
    let pool = pool.map_or(Some(1), |pool| side(pool).filter(|_| whole(&pool)));
    match (side(window), pool) {
        (Some(kernel), Some(pool)) => {
            let Window { stride, pad, .. } = window;
            BlockSpec::Conv { filters: layer.outputs, kernel, stride, pad, pool }.to_string()
        }
        _ => in_words(layer.outputs, window, layer.pool.map(|pool| pool.window)),
    }
}

/// The windows of a convolution and of its pool; none of a dense layer.
fn windows(layer: &LayerSummary) -> Option<(Window, Option<Window>)> {
    match layer.gather {
        Gather::Patches { window, .. } if !layer.is_dense() => {
            Some((window, layer.pool.map(|pool| pool.window)))
        }
        _ => None,
    }
}

fn in_words(filters: usize, window: Window, pool: Option<Window>) -> String {
    let text = |Window { height, width, stride, pad }: Window| {
        format!("{height}x{width} stride {stride} pad {pad}")
    };
    let pool = pool.map_or_else(String::new, |pool| format!(", pool {}", text(pool)));
    format!("conv {filters} window {}{pool}", text(window))
}

/// Height, width and channels; a single pixel has channels alone.
fn output(layer: &LayerSummary) -> String {
    match layer.grid {
        Grid { height: 1, width: 1 } => count_text(layer.outputs as u64),
        Grid { height, width } => format!("{height}x{width}x{}", layer.outputs),
    }
}

#[cfg(test)]
mod tests {
    use bnn_core::{Input, Pool};
    use bnn_train::{Spec, Summary};

    use super::*;

    /// The layers of a built-in spec, and its blocks.
    fn layers(name: &str) -> (Vec<LayerSummary>, Vec<BlockSpec>) {
        let experiment = bnn_experiments::find(name).unwrap();
        let spec = Spec::parse(name, experiment.text).unwrap();
        let (side, channels) = if name.starts_with("cifar") { (32, 3) } else { (28, 1) };
        let input = Input { grid: Grid { height: side, width: side }, channels };
        let classes = (0..10).map(|class| class.to_string()).collect();
        (Summary::new(&spec, input, classes).unwrap().layers, spec.net.blocks)
    }

    #[test]
    fn layers_are_told_as_a_spec_has_them() {
        for name in ["cifar-convnet-quarter", "cifar-convnet-torch-quarter", "digits-conv"] {
            let (layers, blocks) = layers(name);
            let told: Vec<BlockSpec> =
                layers.iter().map(|layer| notation(layer).parse().unwrap()).collect();
            assert_eq!(told, blocks, "{name}");
        }
    }

    #[test]
    fn windows_that_no_spec_asks_for_are_told_in_words() {
        let (layers, _) = layers("digits-conv");
        let odd = |height, pool| {
            let mut layer = layers[0].clone();
            let Gather::Patches { window, .. } = &mut layer.gather else { panic!("a convolution") };
            window.height = height;
            let grid = Grid { height: 9, width: 9 };
            layer.pool = Some(Pool { grid, window: pool });
            notation(&layer)
        };
        let Gather::Patches { window, .. } = layers[0].gather else { panic!("a convolution") };
        let odd_window = odd(window.height + 2, Window::square(2, 2, 0));
        assert!(
            odd_window.contains(" window ") && odd_window.contains(", pool 2x2 stride 2 pad 0")
        );
        let overlapping = odd(window.height, Window::square(3, 2, 0));
        assert!(overlapping.ends_with(", pool 3x3 stride 2 pad 0"), "{overlapping}");
        assert!(odd(window.height, Window::square(2, 2, 0)).parse::<BlockSpec>().is_ok());
    }
}
