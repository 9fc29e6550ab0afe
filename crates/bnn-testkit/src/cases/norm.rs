//! Batch normalization: evaluation equal in every bit, training and gradients within 1e-5.

use ndarray::{Array2, Axis};
use proptest::prelude::*;
use proptest::sample::select;

use bnn_core::scalar::ap2;
use bnn_core::{Matrix, Norm, Normed, Running, Spread, TrainBackend, reference};

use crate::check::{close, forall, once, refused, same, share_of};
use crate::samples::Dice;

/// Evaluation equals [`Norm::apply`] in every bit, because thresholds are found from it.
pub fn norm_eval<B: TrainBackend>(backend: &B) {
    forall((norms(), 1usize..=9, channels(), any::<u64>()), |(norm, rows, channels, seed)| {
        let sample = Sample::draw(rows, channels, seed);
        let [x, gamma, beta] = sample.put(backend)?;
        let running = sample.running(backend)?;
        let got = backend.norm_eval(&x, &gamma, &beta, &running, &norm)?;
        let statistics = (&sample.mean, &sample.spread);
        let want = reference::norm_eval(&sample.x, &sample.gamma, &sample.beta, statistics, &norm)?;
        same("norm_eval", &backend.get(&got)?, &want)
    });
}

/// Training normalizes by the batch and moves the running statistics.
///
/// Bounds, all 1e-5: of `(largest |x| + |mean|) |gain| + |beta|` for the values; of the largest
/// `|x|` of its column for the mean; of themselves for the deviation and the running statistics.
pub fn norm<B: TrainBackend>(backend: &B) {
    forall((norms(), samples(), channels(), any::<u64>()), |(norm, rows, channels, seed)| {
        let sample = Sample::draw(rows, channels, seed);
        let [x, gamma, beta] = sample.put(backend)?;
        let mut running = sample.running(backend)?;
        let got = backend.norm(&x, &gamma, &beta, &mut running, &norm)?;
        let mut moved = (sample.mean.clone(), sample.spread.clone());
        let want = reference::norm(&sample.x, &sample.gamma, &sample.beta, &mut moved, &norm)?;
        close("y", &backend.get(&got.y)?, &want.y, &sample.bound(&want, &norm))?;
        let largest = sample.largest();
        close("mean", &backend.get(&got.mean)?, &want.mean, &(&largest * 1e-5))?;
        let deviation = backend.get(&got.inverse_deviation)?;
        let bound = &want.inverse_deviation * 1e-5;
        close("inverse deviation", &deviation, &want.inverse_deviation, &bound)?;
        let bound = share_of(1e-5, &sample.mean, &largest);
        close("running mean", &backend.get(&running.mean)?, &moved.0, &bound)?;
        let bound = share_of(1e-5, &sample.spread, &moved.1);
        close("running spread", &backend.get(&running.spread)?, &moved.1, &bound)
    });
}

/// Gradients by values, gains and offsets; bounds: 1e-5 of the sum of the magnitudes of the terms.
pub fn norm_grad<B: TrainBackend>(backend: &B) {
    forall((norms(), samples(), channels(), any::<u64>()), |(norm, rows, channels, seed)| {
        let sample = Sample::draw(rows, channels, seed);
        let dy = Dice::new(!seed).real(rows, channels).mapv(|g| g / 3.0);
        let mut moved = (sample.mean.clone(), sample.spread.clone());
        let batch = reference::norm(&sample.x, &sample.gamma, &sample.beta, &mut moved, &norm)?;
        let normed = Normed {
            y: backend.put(batch.y.view())?,
            mean: backend.put(batch.mean.view())?,
            inverse_deviation: backend.put(batch.inverse_deviation.view())?,
        };
        let [x, gamma, _] = sample.put(backend)?;
        let got = backend.norm_grad(&backend.put(dy.view())?, &x, &gamma, &normed, &norm)?;
        let statistics = (&batch.mean, &batch.inverse_deviation);
        let want = reference::norm_grad(&dy, &sample.x, &sample.gamma, statistics, &norm)?;
        let bound = sample.grad_bounds(&dy, &batch, &norm);
        close("gradient by x", &backend.get(&got.x)?, &want.x, &bound.x)?;
        close("gradient by gamma", &backend.get(&got.gamma)?, &want.gamma, &bound.gamma)?;
        close("gradient by beta", &backend.get(&got.beta)?, &want.beta, &bound.beta)
    });
}

/// An empty batch, and rows of another width, are refused.
pub fn norm_refusals<B: TrainBackend>(backend: &B) {
    once(|| {
        let norm = Norm::theano();
        let (sample, other) = (Sample::draw(3, 5, 0), Sample::draw(3, 4, 0));
        let [x, gamma, beta] = sample.put(backend)?;
        let [_, narrow, _] = other.put(backend)?;
        let mut running = sample.running(backend)?;
        refused("gamma of 4", backend.norm(&x, &narrow, &beta, &mut running, &norm))?;
        refused("beta of 4", backend.norm_eval(&x, &gamma, &narrow, &running, &norm))?;
        let none = backend.put(Array2::zeros((0, 5)).view())?;
        refused("no sample", backend.norm(&none, &gamma, &beta, &mut running, &norm))?;
        let normed = backend.norm(&x, &gamma, &beta, &mut running, &norm)?;
        refused("dy of 0 rows", backend.norm_grad(&none, &x, &gamma, &normed, &norm))
    });
}

/// A batch with its parameters and running statistics.
struct Sample {
    x: Matrix,
    gamma: Matrix,
    beta: Matrix,
    mean: Matrix,
    spread: Matrix,
}

impl Sample {
    /// Columns have means from 0 to 16 and their sums are exact in f32, so that no backend may see
    /// another mean, on whose last bit a rounding to a power of two could hang.
    fn draw(rows: usize, channels: usize, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let offset = Array2::from_shape_fn((rows, channels), |(_, col)| (col % 5 * 4) as f32);
        let x = dice.real(rows, channels) + offset;
        let mut row = || dice.real(1, channels).mapv(|x| x * 1.1);
        let (gamma, beta, mean) = (row(), row(), row());
        Self { x, gamma, beta, mean, spread: row().mapv(|x| x.abs() + 0.1) }
    }

    fn put<B: TrainBackend>(&self, backend: &B) -> bnn_core::Result<[B::Real; 3]> {
        let put = |x: &Matrix| backend.put(x.view());
        Ok([put(&self.x)?, put(&self.gamma)?, put(&self.beta)?])
    }

    fn running<B: TrainBackend>(&self, backend: &B) -> bnn_core::Result<Running<B>> {
        let mean = backend.put(self.mean.view())?;
        Ok(Running { mean, spread: backend.put(self.spread.view())? })
    }

    /// The largest magnitude of every column, a row.
    fn largest(&self) -> Matrix {
        let largest = self.x.fold_axis(Axis(0), 0.0f32, |most, x| most.max(x.abs()));
        largest.insert_axis(Axis(0))
    }

    fn bound(&self, batch: &reference::Normed, norm: &Norm) -> Matrix {
        let largest = self.largest();
        Array2::from_shape_fn(self.x.dim(), |(_, col)| {
            let at = [0, col];
            let gain = norm.batch_gain(self.gamma[at], batch.inverse_deviation[at]).abs();
            1e-5 * ((largest[at] + batch.mean[at].abs()) * gain + self.beta[at].abs())
        })
    }

    fn grad_bounds(
        &self,
        dy: &Matrix,
        batch: &reference::Normed,
        norm: &Norm,
    ) -> reference::NormGrad {
        let round = |x: f32| if norm.shift { ap2(x) } else { x };
        let samples = self.x.nrows() as f32;
        let g = dy.mapv(f32::abs);
        let c = (&self.x - &batch.mean).mapv(|c| round(c).abs());
        let scale = batch.inverse_deviation.mapv(round);
        let gain = self.gamma.mapv(|gamma| round(gamma).abs()) * &scale;
        let sum_g = g.sum_axis(Axis(0)).insert_axis(Axis(0));
        let sum_cg = (&c * &g).sum_axis(Axis(0)).insert_axis(Axis(0));
        let slope = &sum_cg * &scale * &scale / samples;
        let x = (&g + &(&sum_g / samples) + &(&c * &slope)) * &gain * 1e-5;
        // AP2 of the product differs from the product of the AP2 by at most a factor of 2.
        reference::NormGrad { x, gamma: sum_cg * &scale * 2e-5, beta: sum_g * 1e-5 }
    }
}

fn norms() -> impl Strategy<Value = Norm> {
    let variance = Norm { running: Spread::Variance, ..Norm::shift() };
    select(vec![Norm::theano(), Norm::torch(), Norm::shift(), variance])
}

/// Powers of two, whose means are exact; see [`Sample::draw`].
fn samples() -> impl Strategy<Value = usize> {
    select(vec![1, 2, 4, 8, 16, 64, 256])
}

fn channels() -> impl Strategy<Value = usize> {
    select(vec![1, 3, 7, 8, 9, 16, 17, 65])
}
