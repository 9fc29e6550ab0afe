//! What a network is made of, in numbers: shapes, bits, bytes and operations.
//!
//! Counted on the frozen network; before training, on the constants of its layers alone, so that a
//! network of any size is counted in no memory. Networks with real weights or activations are counted
//! too, and have no frozen model. Counts that leave 64 bits stay at their end.

use std::collections::BTreeMap;

use bnn_core::{
    Frozen, Gather, Grid, Hidden, Input, LayerOutline, Levels, Outline, Output, Planes, Pool,
    Preprocess, WORD, sum_bound,
};
use bnn_data::preprocess::Transform;
use serde::Serialize;

use crate::Result;
use crate::block::BlockForm;
use crate::form::forms;
use crate::spec::Spec;

/// A network before its training, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Every layer.
    pub layers: Vec<LayerSummary>,
    /// All layers together.
    pub total: Total,
    /// Outputs with a norm, each with a gain, an offset, a running mean and a running deviation.
    pub norm_channels: usize,
    /// Size of the frozen model's file, to within a few bytes if images are preprocessed; none if weights
    /// or activations are real.
    pub model_bytes: Option<usize>,
    /// Memory that training takes.
    pub memory: Memory,
}

/// A layer, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerSummary {
    /// How its input meets its weights.
    pub gather: Gather,
    /// Max-pooling of its output.
    pub pool: Option<Pool>,
    /// Inputs that one output meets, those in the padding included.
    pub inputs: usize,
    /// Outputs, per pixel.
    pub outputs: usize,
    /// Pixels of its output, behind the pool.
    pub grid: Grid,
    /// What is multiplied, such as `byte x binary`.
    pub operands: String,
    /// Bits of one input.
    pub input_bits: usize,
    /// Bits of one weight.
    pub weight_bits: usize,
    /// Number of weights.
    pub weights: usize,
    /// Bytes of the packed weights; every row starts at a new word. Real weights are not packed: their
    /// f32.
    pub packed_bytes: usize,
    /// Bytes of the same weights as f32.
    pub f32_bytes: usize,
    /// Multiply-accumulates per image, those in the padding included.
    pub multiply_accumulates: u64,
    /// Largest magnitude of its integer sums; none for sums of reals.
    pub sum_bound: Option<i32>,
}

/// All layers of a network together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Number of weights.
    pub weights: usize,
    /// Bytes of the packed weights.
    pub packed_bytes: usize,
    /// Bytes of the same weights as f32.
    pub f32_bytes: usize,
    /// Multiply-accumulates per image.
    pub multiply_accumulates: u64,
    /// The same by what is multiplied.
    pub by_operands: BTreeMap<String, u64>,
}

/// Bytes that training takes: an estimate without a backend's scratch and the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Weights as f32, and their packed code where they have one.
    pub weights: u64,
    /// Two f32 moments per latent weight, gain and offset.
    pub optimizer: u64,
    /// Gains, offsets and running statistics: four f32 per norm channel.
    pub norms: u64,
    /// What one batch leaves on its way forward, and the largest product with its gradient.
    pub activations: u64,
    /// What was fitted to whiten images, which is kept for the model's file
    /// ([`kept_bytes`](bnn_data::preprocess::Transform::kept_bytes)).
    pub whitenings: u64,
    /// Taken besides while a checkpoint is written: all numbers as tensors, and these as a file.
    pub checkpoint: u64,
    /// Taken before, while whitenings are fitted, and given back
    /// ([`fit_bytes`](bnn_data::preprocess::Transform::fit_bytes)).
    pub fit: u64,
}

/// What a layer multiplies.
struct Operand {
    name: String,
    bits: usize,
    /// Largest magnitude of the integer behind one entry, none for reals.
    bound: Option<u64>,
}

/// The weights of a layer.
struct Stored {
    shape: (usize, usize),
    entry: Operand,
    /// Bytes of all, packed.
    bytes: usize,
}

/// Bits of a real.
const REAL_BITS: usize = 32;

impl Summary {
    /// The network of a spec on images of a given size.
    ///
    /// # Errors
    /// [`Error::Spec`](crate::Error::Spec) naming the layer that does not fit.
    pub fn new(spec: &Spec, input: Input, classes: Vec<String>) -> Result<Self> {
        let forms = forms(spec, input, classes.len())?;
        let layers = form_layers(&forms)?;
        let total = Total::of(&layers);
        let model = model(&forms, input, classes, spec);
        let norm_channels = layers.iter().map(|layer| layer.outputs).sum();
        Ok(Self {
            memory: Memory {
                whitenings: Transform::kept_bytes(&spec.preprocess.0, input.bytes()),
                fit: Transform::fit_bytes(&spec.preprocess.0, input.bytes()),
                ..Memory::new(&layers, norm_channels, spec.train.batch)
            },
            total,
            norm_channels,
            model_bytes: model.as_ref().map(Outline::file_bytes).transpose()?,
            layers,
        })
    }
}

impl Total {
    /// The sums over layers.
    pub fn of(layers: &[LayerSummary]) -> Self {
        let sum = |of: fn(&LayerSummary) -> usize| layers.iter().map(of).sum();
        let mut by_operands = BTreeMap::<String, u64>::new();
        for layer in layers {
            let count = by_operands.entry(layer.operands.clone()).or_default();
            *count = count.saturating_add(layer.multiply_accumulates);
        }
        Self {
            weights: sum(|layer| layer.weights),
            packed_bytes: sum(|layer| layer.packed_bytes),
            f32_bytes: sum(|layer| layer.f32_bytes),
            multiply_accumulates: sum_all(by_operands.values().copied()),
            by_operands,
        }
    }
}

impl LayerSummary {
    /// Whether every output meets all inputs.
    pub fn is_dense(&self) -> bool {
        match &self.gather {
            Gather::Rows => true,
            Gather::Patches { grid, window } => *window == grid.whole(),
        }
    }

    /// Sums per image, before the pool.
    fn sums(&self) -> u64 {
        product(&[self.pool.map_or(self.grid, |pool| pool.grid).pixels(), self.outputs])
    }

    /// Bytes of one image that backward needs: the packed input; the sums behind the pool, plain and
    /// normalized, as f32; where there is a pool, the tap of every maximum as f32.
    fn kept_bytes(&self) -> u64 {
        let code = self.input_values().saturating_mul(self.input_bits as u64);
        let reals = if self.pool.is_some() { 3 } else { 2 };
        code.div_ceil(8).saturating_add(product(&[4 * reals, self.grid.pixels(), self.outputs]))
    }

    /// Values of one image that the layer reads, each counted once.
    pub(crate) fn input_values(&self) -> u64 {
        let pixels = match &self.gather {
            Gather::Rows => 1,
            Gather::Patches { grid, .. } => grid.pixels(),
        };
        product(&[pixels, self.inputs / self.gather.taps()])
    }
}

impl Memory {
    /// With w weights and c norm channels:
    /// 4 w + packed bytes, 2 * 4 (w + 2 c), 4 * 4 c,
    /// batch * (what is kept of every layer + 2 * 4 * the largest layer's sums), and
    /// twice the 12 w + 32 c bytes of a checkpoint.
    fn new(layers: &[LayerSummary], channels: usize, batch: usize) -> Self {
        let Total { weights, f32_bytes, .. } = Total::of(layers);
        let coded = layers.iter().filter(|layer| layer.weight_bits < REAL_BITS);
        let packed_bytes: usize = coded.map(|layer| layer.packed_bytes).sum();
        let kept = sum_all(layers.iter().map(LayerSummary::kept_bytes));
        let largest = layers.iter().map(LayerSummary::sums).max().unwrap_or(0);
        let of_one = kept.saturating_add(largest.saturating_mul(8));
        Self {
            weights: (f32_bytes + packed_bytes) as u64,
            optimizer: 8 * (weights + 2 * channels) as u64,
            norms: 16 * channels as u64,
            activations: of_one.saturating_mul(batch as u64),
            checkpoint: 2 * (12 * weights + 32 * channels) as u64,
            whitenings: 0,
            fit: 0,
        }
    }

    /// All that training takes while no checkpoint is written.
    pub fn total(&self) -> u64 {
        let Self { weights, optimizer, norms, activations, whitenings, .. } = *self;
        sum_all([weights, optimizer, norms, activations, whitenings])
    }
}

/// The layers of a frozen network.
///
/// # Errors
/// None for a network that [`Frozen::check`] finds sound.
pub fn layers(network: &Frozen) -> bnn_core::Result<Vec<LayerSummary>> {
    let mut input = Operand::byte();
    let mut layers = Vec::with_capacity(network.hidden.len() + 1);
    for Hidden { weights, gather, levels, pool, .. } in &network.hidden {
        layers.push(layer(Stored::of(weights)?, *gather, *pool, &input)?);
        input = Operand::of(levels);
    }
    let Output { weights, gather, .. } = &network.output;
    layers.push(layer(Stored::of(weights)?, *gather, None, &input)?);
    Ok(layers)
}

/// The layers of a network before its training.
fn form_layers(forms: &[BlockForm]) -> bnn_core::Result<Vec<LayerSummary>> {
    let mut input = Operand::byte();
    let mut layers = Vec::with_capacity(forms.len());
    for form in forms {
        let weights = match &form.weight_quant {
            Some(quant) => Stored::coded(form.shape, &quant.levels),
            None => Stored::real(form.shape),
        };
        layers.push(layer(weights, form.gather, form.pool, &input)?);
        let quant = form.activation.as_ref().and_then(|activation| activation.quant());
        input = quant.map_or_else(Operand::real, |quant| Operand::of(&quant.levels));
    }
    Ok(layers)
}

impl Operand {
    fn of(levels: &Levels) -> Self {
        let bits = levels.weights().len();
        Self { name: bits_name(bits), bits, bound: Some(levels.bound()) }
    }

    fn byte() -> Self {
        Self { name: "byte".into(), bits: 8, bound: Some(255) }
    }

    fn real() -> Self {
        Self { name: "f32".into(), bits: REAL_BITS, bound: None }
    }
}

impl Stored {
    fn of(weights: &Planes) -> bnn_core::Result<Self> {
        let packed = weights.planes.iter().map(|(_, plane)| plane).chain(&weights.mask);
        let (bits, bound) = (weights.planes.len(), Some(weights.bound()));
        Ok(Self {
            shape: weights.dim()?,
            entry: Operand { name: bits_name(bits), bits, bound },
            bytes: packed.map(|plane| size_of_val(plane.words())).sum(),
        })
    }

    /// As large as any weights that training will make.
    fn coded(shape: (usize, usize), levels: &Levels) -> Self {
        let entry = Operand::of(levels);
        let bytes = entry.bits * shape.0 * shape.1.div_ceil(WORD) * size_of::<u64>();
        Self { shape, entry, bytes }
    }

    fn real(shape: (usize, usize)) -> Self {
        Self { shape, entry: Operand::real(), bytes: REAL_BITS / 8 * shape.0 * shape.1 }
    }
}

fn bits_name(bits: usize) -> String {
    if bits == 1 { "binary".into() } else { format!("{bits}-bit") }
}

fn layer(
    weights: Stored,
    gather: Gather,
    pool: Option<Pool>,
    input: &Operand,
) -> bnn_core::Result<LayerSummary> {
    let Stored { shape: (outputs, inputs), entry, bytes } = weights;
    let sums = match &gather {
        Gather::Rows => Grid { height: 1, width: 1 },
        Gather::Patches { grid, window } => window.positions(*grid)?,
    };
    let bounds = input.bound.zip(entry.bound);
    Ok(LayerSummary {
        grid: pool.map_or(Ok(sums), |pool| pool.window.positions(pool.grid))?,
        operands: format!("{} x {}", input.name, entry.name),
        input_bits: input.bits,
        weight_bits: entry.bits,
        weights: outputs * inputs,
        packed_bytes: bytes,
        f32_bytes: 4 * outputs * inputs,
        // Saturating: the grid of a damaged file may be of any size.
        multiply_accumulates: product(&[sums.pixels(), outputs * inputs]),
        sum_bound: bounds.map(|(a, w)| sum_bound(inputs, a, w)).transpose()?,
        gather,
        pool,
        inputs,
        outputs,
    })
}

/// Checks what no frozen model may be and training cannot change: names of classes, and what an image
/// costs ([`Outline::check`]).
///
/// # Errors
/// [`Error::Spec`](crate::Error::Spec) for a network that does not fit its images;
/// [`Error::Backend`](crate::Error::Backend) naming the layer that costs too much, or the class.
pub fn check_model(spec: &Spec, input: Input, classes: Vec<String>) -> Result<()> {
    let forms = forms(spec, input, classes.len())?;
    if let Some(outline) = model(&forms, input, classes, spec) {
        outline.check()?;
    }
    Ok(())
}

/// The frozen model; none where forms are not quantized.
fn model(forms: &[BlockForm], input: Input, classes: Vec<String>, spec: &Spec) -> Option<Outline> {
    if !forms.iter().all(BlockForm::is_quantized) {
        return None;
    }
    let mut outline = outline(forms, input, classes);
    outline.images = spec.images.0.into();
    if !spec.preprocess.is_linear() {
        let (steps, digest) = (spec.preprocess.clone().into(), "0".repeat(64));
        outline.preprocess = Some(Preprocess { steps, limit: 1.5, digest });
    }
    Some(outline)
}

/// What training will make of these forms, which are all quantized.
fn outline(forms: &[BlockForm], input: Input, classes: Vec<String>) -> Outline {
    let (last, rest) = forms.split_last().expect("a network has a layer");
    let layer = |form: &BlockForm| {
        let quant = form.weight_quant.as_ref().expect("a quantized layer has one");
        LayerOutline { shape: form.shape, weights: quant.levels.clone(), gather: form.gather }
    };
    let hidden = |form: &BlockForm| {
        let quant = form.activation.as_ref().and_then(|activation| activation.quant());
        let levels = quant.expect("a quantized hidden layer has one").levels.clone();
        (layer(form), levels, form.pool)
    };
    let hidden = rest.iter().map(hidden).collect();
    Outline { input, hidden, output: layer(last), classes, images: vec![], preprocess: None }
}

/// A product, at most the largest number.
fn product(factors: &[usize]) -> u64 {
    factors.iter().fold(1, |product: u64, &factor| product.saturating_mul(factor as u64))
}

/// A sum, at most the largest number.
fn sum_all(terms: impl IntoIterator<Item = u64>) -> u64 {
    terms.into_iter().fold(0, u64::saturating_add)
}
