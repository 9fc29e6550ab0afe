//! A trained network on the images of a data set: how long all of them take, and how many are
//! misclassified.

use bnn_core::{
    BinaryBackend, Error, Frozen, Gather, Levels, Loss, Matrix, Reference, Result, Session,
    reference,
};
use bnn_cpu::Cpu;
use ndarray::{Array2, Axis};

use crate::case::{Case, Limit, Wanted, Work};
use crate::network::Ours;
use crate::product::Contenders;
use crate::rival_network::{Bytes, Dense, Floats, Words};

/// Images that cross to a contender at a time.
pub(crate) const BATCH: usize = 1000;

/// A network with images and their classes.
pub(crate) struct Model {
    pub(crate) network: Frozen,
    pub(crate) images: Array2<u8>,
    labels: Vec<u8>,
}

impl Case {
    /// A trained network that classifies images, one per row, whose classes are known.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no image, or not a label for every image.
    pub fn model(
        name: impl Into<String>,
        network: Frozen,
        images: Array2<u8>,
        labels: Vec<u8>,
    ) -> Result<Self> {
        if labels.len() != images.nrows() || labels.is_empty() {
            let got = format!("{} images, {} labels", images.nrows(), labels.len());
            return Err(Error::shape("benchmark", "as many images as labels", got));
        }
        let adds = images.nrows() * adds(&network)?;
        let work = Work::Model(Box::new(Model { network, images, labels }));
        Ok(Self { name: name.into(), adds, bytes: None, limit: Limit::Unknown, work })
    }
}

impl Model {
    /// Ours by kernel, then other libraries if the network is one that they are taught here.
    pub(crate) fn contenders(&self, kernels: &[Cpu], threads: usize) -> Result<Contenders> {
        let Self { network, images, .. } = self;
        let (mut contenders, wanted) = self.ours(kernels)?;
        if is_dense(network) {
            contenders.push(Box::new(Dense::new(Floats::new(network)?, network, images, threads)?));
            contenders.push(Box::new(Dense::new(Bytes::new(network)?, network, images, threads)?));
            contenders.push(Box::new(Dense::new(Words::new(network)?, network, images, threads)?));
        }
        Ok((contenders, wanted))
    }

    /// Ours by kernel, or by family of a GPU's; the first image's scores are those of the definition.
    pub(crate) fn ours<B>(&self, kernels: &[B]) -> Result<Contenders>
    where
        B: BinaryBackend + Clone + 'static,
    {
        let Self { network, images, .. } = self;
        let first = images.slice_axis(Axis(0), (..1).into());
        let want = Session::of_codes(&Reference, network)?.scores(first)?;
        let entries = want.indexed_iter().map(|(place, &score)| (place, f64::from(score)));
        let wanted = Wanted { entries: entries.collect(), tolerance: 0.0 };
        let ours = |backend| Ok(Box::new(Ours::new(backend, network, images, BATCH)?) as _);
        Ok((kernels.iter().map(ours).collect::<Result<_>>()?, wanted))
    }

    /// Share of the images that scores misclassify.
    pub(crate) fn error(&self, scores: &Matrix) -> Result<f64> {
        let classes = self.labels.iter().map(|&label| f32::from(label)).collect();
        let column = Array2::from_shape_vec((self.labels.len(), 1), classes).expect("a column");
        let (_, tally) = reference::loss(scores, &column, Loss::SquaredHinge)?;
        Ok(f64::from(tally[[0, 1]]) / self.labels.len() as f64)
    }
}

/// Multiply-adds for one image.
fn adds(network: &Frozen) -> Result<usize> {
    network.check()?;
    let mut rows = match network.first_gather() {
        Gather::Rows => 1,
        Gather::Patches { .. } => network.input.grid.pixels(),
    };
    let mut adds = 0;
    for block in &network.hidden {
        rows = block.gather.out_rows(rows)?;
        let (outputs, depth) = block.weights.dim()?;
        adds += rows * outputs * depth;
        if let Some(pool) = &block.pool {
            rows = pool.window.positions(pool.grid)?.pixels();
        }
    }
    let (outputs, depth) = network.output.weights.dim()?;
    Ok(adds + network.output.gather.out_rows(rows)? * outputs * depth)
}

/// Whether all layers are dense, of signs alone.
pub(crate) fn is_dense(network: &Frozen) -> bool {
    let hidden = network.hidden.iter().all(|block| {
        matches!(block.gather, Gather::Rows)
            && block.pool.is_none()
            && block.levels == Levels::sign()
    });
    let weights = network.hidden.iter().map(|block| &block.weights);
    let signs = |w: &bnn_core::Planes| {
        w.scale == 1.0 && w.mask.is_none() && matches!(w.planes[..], [(1, _)])
    };
    let output = &network.output;
    hidden && matches!(output.gather, Gather::Rows) && weights.chain([&output.weights]).all(signs)
}

#[cfg(test)]
mod tests {
    use bnn_core::{Hidden, Input, Output, Planes};
    use std::time::Duration;

    use super::*;
    use crate::product::signs;

    /// A network of odd sizes whose sums often meet their cuts, for 5 x 3 images.
    fn network() -> Frozen {
        let dense = |outputs: usize, depth: usize| Hidden {
            weights: Planes::binary(signs((outputs, depth), depth)),
            gather: Gather::Rows,
            cuts: Array2::from_shape_fn((1, outputs), |(_, at)| (at % 5) as f32 - 2.0),
            levels: Levels::sign(),
            pool: None,
        };
        let output = Output {
            weights: Planes::binary(signs((3, 70), 9)),
            gather: Gather::Rows,
            mean: vec![0.5, 1.5, -1.0],
            gain: vec![0.1, 0.3, 0.7],
            beta: vec![0.0, 0.2, -0.3],
        };
        let grid = bnn_core::Grid { height: 5, width: 3 };
        let classes = ["a", "b", "c"].map(String::from).into();
        let hidden = vec![dense(65, 15), dense(70, 65)];
        Frozen {
            input: Input { grid, channels: 1 },
            hidden,
            output,
            classes,
            images: vec![],
            preprocess: None,
        }
    }

    /// More images than go into one batch.
    fn images() -> Array2<u8> {
        Array2::from_shape_fn((BATCH + 30, 15), |(row, col)| (row * 89 + col * 37 + row / 7) as u8)
    }

    #[test]
    fn all_contenders_give_the_scores_of_the_definition_and_their_own_error() {
        let (network, images) = (network(), images());
        let scores = Session::new(&Reference, &network).unwrap().scores(images.view()).unwrap();
        let largest = |row: ndarray::ArrayView1<'_, f32>| {
            (0..3).fold(0, |best, at| if row[at] > row[best] { at } else { best }) as u8
        };
        let mut labels: Vec<u8> = scores.rows().into_iter().map(largest).collect();
        assert!(
            (0..3).all(|class| labels.contains(&class)),
            "a network of one class tells nothing"
        );
        labels.iter_mut().take(103).for_each(|label| *label = (*label + 1) % 3);
        let case = Case::model("model", network.clone(), images, labels).unwrap();
        assert_eq!(case.adds, (BATCH + 30) * (15 * 65 + 65 * 70 + 70 * 3));
        let timed = case.time(1, Duration::ZERO).unwrap();
        let names: Vec<&str> = timed.rows.iter().map(|row| row.name.as_str()).collect();
        for rival in ["cpu/portable", "f32 rten-gemm", "int8 rten-gemm", "popcount loop"] {
            assert!(names.contains(&rival), "{rival} is not among {names:?}");
        }
        assert!(timed.rows.iter().all(|row| row.error == Some(0.1)), "{timed:?}");
        let sum = timed.rows[0].checksum;
        assert!(timed.rows.iter().all(|row| row.checksum == sum), "{timed:?}");
        // `time` has compared the first contender with the definition for one image only.
        let kernels = crate::product::kernels(1).unwrap();
        let Work::Model(model) = &case.work else { unreachable!() };
        for mut contender in model.contenders(&kernels, 1).unwrap().0 {
            contender.run();
            assert_eq!(contender.result().unwrap(), scores, "{}", contender.name());
        }
    }

    #[test]
    fn a_gpu_misclassifies_what_the_processor_does() {
        let images = images().slice_axis(Axis(0), (..9).into()).to_owned();
        let case = Case::model("model", network(), images, vec![1; 9]).unwrap();
        let gpu = bnn_cuda::Cuda::emulated("tensor").unwrap();
        let rows = case.time_on(&gpu, Duration::ZERO).unwrap().rows;
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let ours = gpu.families().count();
        let (rivals, cpu) = names[ours..].split_at(3);
        assert_eq!(rivals, ["paper XNOR", "paper f32", "cuBLAS f32"], "behind our families");
        assert!(cpu.len() == 1 && cpu[0].starts_with("cpu/"), "{names:?}");
        let last = &rows[rows.len() - 1];
        let same = |row: &crate::Row| (row.error, row.checksum) == (last.error, last.checksum);
        assert!(rows.iter().all(same) && rows[0].error.is_some(), "{rows:?}");
    }

    #[test]
    fn images_and_labels_must_be_as_many() {
        let error = Case::model("model", network(), images(), vec![0; 3]).err().unwrap();
        assert!(error.to_string().contains("1030 images, 3 labels"), "{error}");
    }
}
