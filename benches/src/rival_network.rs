//! Networks of dense layers of signs with the products of other libraries, from bytes to scores.

use bnn_core::{BitMatrix, Frozen, Matrix, Norm, Output, Result};
use bnn_cpu::peak;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::ThreadPool;

use crate::contender::Contender;
use crate::model::BATCH;
use crate::product::reals;
use crate::rivals::{BYTES, FLOATS, Packed, WORDS, pool};

/// How a library keeps signs, and how it multiplies them by the weights of a layer.
pub(crate) trait Library: Sync {
    /// Operands of a product, a row per image.
    type Batch;
    /// Sums of a product.
    type Sum: Copy + Default + Into<f64> + Send + Sync;

    /// What it is called in reports.
    const NAME: &'static str;

    /// Bytes as what the first layer reads.
    fn bytes(&self, images: ArrayView2<'_, u8>) -> Self::Batch;

    /// Sums as signs: +1 where they reach the cut of their column.
    fn signs(&self, sums: ArrayView2<'_, Self::Sum>, cuts: &[f32]) -> Self::Batch;

    /// The sums of a layer, those of the first one being of `2u - 255` for a byte `u`.
    fn product(&self, layer: usize, batch: &Self::Batch, sums: ArrayViewMut2<'_, Self::Sum>);
}

/// A network by the products of one library.
pub(crate) struct Dense<L: Library> {
    library: L,
    images: Array2<u8>,
    /// Thresholds of every hidden layer.
    cuts: Vec<Array1<f32>>,
    output: Output,
    /// Sums of every layer for a batch of images.
    sums: Vec<Array2<L::Sum>>,
    scores: Matrix,
    pool: ThreadPool,
}

impl<L: Library> Dense<L> {
    /// A network whose layers are dense, of signs alone.
    pub(crate) fn new(
        library: L,
        network: &Frozen,
        images: &Array2<u8>,
        threads: usize,
    ) -> Result<Self> {
        let outputs = weights(network).map(BitMatrix::rows);
        let batch = BATCH.min(images.nrows());
        Ok(Self {
            library,
            images: images.clone(),
            cuts: network.hidden.iter().map(|block| block.cuts.row(0).to_owned()).collect(),
            output: network.output.clone(),
            sums: outputs.map(|width| Array2::from_elem((batch, width), default())).collect(),
            scores: Array2::zeros((images.nrows(), network.classes.len())),
            pool: pool(threads)?,
        })
    }
}

impl<L: Library> Contender for Dense<L> {
    fn name(&self) -> String {
        L::NAME.into()
    }

    fn run(&mut self) {
        let Self { library, images, cuts, output, sums, scores, pool } = self;
        let batches = images.axis_chunks_iter(Axis(0), BATCH);
        pool.install(|| {
            for (images, mut scores) in batches.zip(scores.axis_chunks_iter_mut(Axis(0), BATCH)) {
                let mut batch = library.bytes(images);
                for (layer, sums) in sums.iter_mut().enumerate() {
                    let mut sums = sums.slice_axis_mut(Axis(0), (..images.nrows()).into());
                    library.product(layer, &batch, sums.view_mut());
                    match cuts.get(layer) {
                        Some(cuts) => {
                            let cuts = cuts.as_slice().expect("one row");
                            batch = library.signs(sums.view(), cuts);
                        }
                        None => scores.assign(&affine(output, sums.view())),
                    }
                }
            }
        });
    }

    fn result(&self) -> Result<Matrix> {
        Ok(self.scores.clone())
    }
}

fn default<T: Default>() -> T {
    T::default()
}

/// The scores of the last layer's sums.
pub(crate) fn affine<S: Copy + Into<f64>>(output: &Output, sums: ArrayView2<'_, S>) -> Matrix {
    Array2::from_shape_fn(sums.dim(), |(row, class)| {
        let sum: f64 = sums[[row, class]].into();
        Norm::apply(sum as f32, output.mean[class], output.gain[class], output.beta[class])
    })
}

/// The signs of all layers.
pub(crate) fn weights(network: &Frozen) -> impl Iterator<Item = &BitMatrix> {
    let hidden = network.hidden.iter().map(|block| &block.weights);
    hidden.chain([&network.output.weights]).map(|weights| &weights.planes[0].1)
}

/// Sums against the cuts of their columns, as whatever a library takes for -1 and +1.
fn cut<S: Copy, T>(
    sums: ArrayView2<'_, S>,
    cuts: &[f32],
    real: fn(S) -> f32,
    [minus, plus]: [T; 2],
) -> Array2<T>
where
    T: Copy,
{
    let mut signs = Array2::from_elem(sums.dim(), minus);
    for (mut signs, sums) in signs.rows_mut().into_iter().zip(sums.rows()) {
        for ((sign, &sum), &cut) in signs.iter_mut().zip(sums).zip(cuts) {
            *sign = if real(sum) >= cut { plus } else { minus };
        }
    }
    signs
}

/// Products of f32.
pub(crate) struct Floats(Vec<Packed<f32, f32, f32>>);

impl Floats {
    pub(crate) fn new(network: &Frozen) -> Result<Self> {
        Ok(Self(weights(network).map(|w| Packed::new(&reals(w))).collect()))
    }
}

impl Library for Floats {
    type Batch = Matrix;
    type Sum = f32;
    const NAME: &'static str = FLOATS;

    fn bytes(&self, images: ArrayView2<'_, u8>) -> Matrix {
        images.mapv(|byte| 2.0 * f32::from(byte) - 255.0)
    }

    fn signs(&self, sums: ArrayView2<'_, f32>, cuts: &[f32]) -> Matrix {
        cut(sums, cuts, |sum| sum, [-1.0, 1.0])
    }

    fn product(&self, layer: usize, batch: &Matrix, sums: ArrayViewMut2<'_, f32>) {
        self.0[layer].product(batch.view(), None, sums);
    }
}

/// Products of bytes: -1 and +1 are 0 and 2, where 1 stands for 0.
pub(crate) struct Bytes {
    weights: Vec<Packed<u8, i8, i32>>,
    /// `255 * sum(w)` for every output of the first layer.
    first: Vec<i32>,
}

impl Bytes {
    pub(crate) fn new(network: &Frozen) -> Result<Self> {
        let bytes: Vec<_> = weights(network).map(|w| reals(w).mapv(|sign| sign as i8)).collect();
        let sum = |row: ndarray::ArrayView1<'_, i8>| row.iter().map(|&w| i32::from(w)).sum::<i32>();
        let first = bytes[0].rows().into_iter().map(|row| 255 * sum(row)).collect();
        Ok(Self { weights: bytes.iter().map(Packed::new).collect(), first })
    }
}

impl Library for Bytes {
    type Batch = Array2<u8>;
    type Sum = i32;
    const NAME: &'static str = BYTES;

    fn bytes(&self, images: ArrayView2<'_, u8>) -> Array2<u8> {
        images.as_standard_layout().into_owned()
    }

    fn signs(&self, sums: ArrayView2<'_, i32>, cuts: &[f32]) -> Array2<u8> {
        cut(sums, cuts, |sum| sum as f32, [0, 2])
    }

    fn product(&self, layer: usize, batch: &Array2<u8>, mut sums: ArrayViewMut2<'_, i32>) {
        let zeros = vec![1; batch.nrows()];
        let zeros = (layer > 0).then_some(zeros.as_slice());
        self.weights[layer].product(batch.view(), zeros, sums.view_mut());
        if layer == 0 {
            // The sum of (2u - 255) w is twice the sum of u w, less 255 times the sum of w.
            for mut row in sums.rows_mut() {
                row.iter_mut().zip(&self.first).for_each(|(sum, first)| *sum = 2 * *sum - first);
            }
        }
    }
}

/// XOR and popcount of words in three nested loops.
pub(crate) struct Words(Vec<BitMatrix>);

impl Words {
    pub(crate) fn new(network: &Frozen) -> Result<Self> {
        Ok(Self(weights(network).cloned().collect()))
    }
}

impl Library for Words {
    /// Sign planes with their weights.
    type Batch = Vec<(i32, BitMatrix)>;
    type Sum = i32;
    const NAME: &'static str = WORDS;

    fn bytes(&self, images: ArrayView2<'_, u8>) -> Self::Batch {
        let plane = |bit: u8| pack(images, |_, byte| byte >> bit & 1 == 1);
        (0..8).map(|bit| (1 << bit, plane(bit))).collect()
    }

    fn signs(&self, sums: ArrayView2<'_, i32>, cuts: &[f32]) -> Self::Batch {
        vec![(1, pack(sums, |col, sum| sum as f32 >= cuts[col]))]
    }

    fn product(&self, layer: usize, batch: &Self::Batch, mut sums: ArrayViewMut2<'_, i32>) {
        let w = &self.0[layer];
        let size = (w.words_per_row(), w.cols());
        let [(_, plane)] = &batch[..] else {
            let mut of_plane = vec![0; sums.len()];
            sums.fill(0);
            for (weight, plane) in batch {
                peak::word_loop(plane.words(), w.words(), size, &mut of_plane);
                sums.iter_mut()
                    .zip(&of_plane)
                    .for_each(|(sum, of_plane)| *sum += weight * of_plane);
            }
            return;
        };
        let sums = sums.as_slice_mut().expect("row-major");
        peak::word_loop(plane.words(), w.words(), size, sums);
    }
}

/// The entries for which something holds, as bits.
fn pack<S: Copy>(entries: ArrayView2<'_, S>, holds: impl Fn(usize, S) -> bool) -> BitMatrix {
    let mut words = Vec::with_capacity(entries.nrows() * entries.ncols().div_ceil(64));
    for row in entries.rows() {
        let row = row.to_slice().expect("row-major");
        for (at, entries) in row.chunks(64).enumerate() {
            let bits = entries
                .iter()
                .enumerate()
                .map(|(bit, &entry)| u64::from(holds(64 * at + bit, entry)) << bit);
            words.push(bits.fold(0, |word, bit| word | bit));
        }
    }
    BitMatrix::from_words(entries.nrows(), entries.ncols(), words).expect("whole rows")
}
