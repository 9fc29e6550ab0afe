//! A network without its numbers: how large its file will be, before there is one.

use safetensors::Dtype;

use crate::format::{Header, HiddenHeader, KIND, OutputHeader, PlanesHeader};
use crate::frozen::{at, check_classes, first_input};
use crate::work::Flow;
use crate::{Gather, Input, Levels, Pool, Preprocess, Result, WORD, Work, envelope};

/// What a [`Frozen`](crate::Frozen) network will be, as far as its size depends on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// The images it reads.
    pub input: Input,
    /// All layers but the last, each with what its output is worth and its pool.
    pub hidden: Vec<(LayerOutline, Levels, Option<Pool>)>,
    /// The last layer.
    pub output: LayerOutline,
    /// Name of every class.
    pub classes: Vec<String>,
    /// How pictures became such images.
    pub images: Vec<String>,
    /// What makes pixels the bytes that it reads.
    pub preprocess: Option<Preprocess>,
}

/// The weights of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerOutline {
    /// Outputs by inputs of one output.
    pub shape: (usize, usize),
    /// What the planes of the weights are worth.
    pub weights: Levels,
    /// How the layer's input meets the weights.
    pub gather: Gather,
}

impl Outline {
    /// Checks what [`Frozen::check`](crate::Frozen::check) will ask of the network and training cannot
    /// change: names of classes, and what an image costs.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format) naming the layer and what is wrong with it.
    pub fn check(&self) -> Result<Work> {
        let mut work = Work::default();
        let first = self.hidden.first().map_or(&self.output, |(layer, ..)| layer);
        let mut input = first_input(self.input, &first.gather)?;
        for (index, (layer, levels, pool)) in self.hidden.iter().enumerate() {
            let code = layer.check(&input, Some((levels, *pool)), &mut work);
            input = code.map_err(at(&format!("hidden.{index}")))?;
        }
        let scores = self.output.check(&input, None, &mut work).map_err(at("output"))?;
        check_classes(&self.classes, scores.channels)?;
        Ok(work)
    }

    /// Bytes of the file that [`Frozen::to_bytes`](crate::Frozen::to_bytes) makes of such a network;
    /// takes the memory of its header alone.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format) for more bytes than any memory has.
    pub fn file_bytes(&self) -> Result<usize> {
        let mut tensors = Vec::new();
        let mut hidden = Vec::new();
        for (index, (layer, levels, pool)) in self.hidden.iter().enumerate() {
            let place = format!("hidden.{index}");
            let weights = layer.planes(&place, &mut tensors);
            tensors.push((format!("{place}.cuts"), Dtype::I32, vec![levels.cuts(), layer.shape.0]));
            let (gather, levels, pool) = (layer.gather, levels.clone(), *pool);
            hidden.push(HiddenHeader { weights, gather, levels, pool });
        }
        let weights = self.output.planes("output", &mut tensors);
        for name in ["mean", "gain", "beta"] {
            tensors.push((format!("output.{name}"), Dtype::F32, vec![self.output.shape.0]));
        }
        let output = OutputHeader { weights, gather: self.output.gather };
        let Self { input, classes, images, preprocess, .. } = self.clone();
        let header = Header { input, hidden, output, classes, images, preprocess };
        envelope::size(KIND, &header, tensors)
    }
}

impl LayerOutline {
    /// What leaves the layer, given its input; its cost is added.
    fn check(
        &self,
        input: &Flow,
        code: Option<(&Levels, Option<Pool>)>,
        work: &mut Work,
    ) -> Result<Flow> {
        let planes = self.weights.weights().len();
        let sums = self.gather.product_shape((input.rows, input.channels), self.shape)?;
        let layer = (planes, self.shape.1);
        let Some((levels, pool)) = code else {
            work.add(input, layer, sums, None)?;
            return Ok(Flow { rows: sums.0, channels: sums.1, ..*input });
        };
        let mut output = Flow::code(sums.0, sums.1, levels);
        if let Some(Pool { grid, window }) = pool {
            output.rows = window.positions(grid)?.pixels();
        }
        work.add(input, layer, sums, Some((&output, pool.map(|pool| pool.window))))?;
        Ok(output)
    }

    /// The header of the weights; adds their planes to the tensors.
    fn planes(&self, place: &str, tensors: &mut Vec<(String, Dtype, Vec<usize>)>) -> PlanesHeader {
        let (rows, columns) = self.shape;
        let plane_weights = self.weights.weights();
        for index in 0..plane_weights.len() {
            let shape = vec![rows, columns.div_ceil(WORD)];
            tensors.push((format!("{place}.weights.{index}"), Dtype::U64, shape));
        }
        PlanesHeader { columns, scale: self.weights.scale, plane_weights, masked: false }
    }
}
