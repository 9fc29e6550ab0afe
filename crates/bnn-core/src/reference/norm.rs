//! Batch normalization: training, its gradients, and evaluation.

use ndarray::{Array2, ArrayView1, Axis};

use crate::scalar::ap2;
use crate::{Error, Matrix, Norm, Result};

/// What training makes of a batch; see [`TrainBackend::norm`](crate::TrainBackend::norm).
pub struct Normed {
    /// The normalized values.
    pub y: Matrix,
    /// Mean of every column, a row.
    pub mean: Matrix,
    /// Inverse deviation of every column before rounding, a row.
    pub inverse_deviation: Matrix,
}

/// Gradients; see [`TrainBackend::norm_grad`](crate::TrainBackend::norm_grad).
pub struct NormGrad {
    /// By the input.
    pub x: Matrix,
    /// By gamma, a row.
    pub gamma: Matrix,
    /// By beta, a row.
    pub beta: Matrix,
}

/// See [`TrainBackend::norm`](crate::TrainBackend::norm); `running` is (mean, spread).
///
/// With c the centred values, the variance is the mean of `c * c`, or of `c * AP2(c)` if the norm is
/// shift-based (paper, algorithm 2).
///
/// # Errors
/// [`Error::Shape`] for an empty batch, or rows that are not one number per column.
pub fn norm(
    x: &Matrix,
    gamma: &Matrix,
    beta: &Matrix,
    running: &mut (Matrix, Matrix),
    norm: &Norm,
) -> Result<Normed> {
    check_rows("norm", x, &[gamma, beta, &running.0, &running.1])?;
    let (samples, channels) = x.dim();
    let mut y = Array2::zeros(x.dim());
    let [mut mean, mut inverse_deviation] = [0; 2].map(|_| Array2::zeros((1, channels)));
    for at in (0..channels).map(|channel| [0, channel]) {
        let column = x.column(at[1]);
        mean[at] = average(column.iter().map(|&x| f64::from(x))) as f32;
        let variance = variance(column, mean[at], norm.shift);
        inverse_deviation[at] = norm.inverse_deviation(variance);
        running.0[at] = norm.running(running.0[at], mean[at]);
        running.1[at] = norm.running(running.1[at], norm.batch_spread(variance, samples));
        let gain = norm.batch_gain(gamma[at], inverse_deviation[at]);
        y.column_mut(at[1]).assign(&column.mapv(|x| Norm::apply(x, mean[at], gain, beta[at])));
    }
    Ok(Normed { y, mean, inverse_deviation })
}

/// See [`TrainBackend::norm_eval`](crate::TrainBackend::norm_eval); `running` is (mean, spread).
///
/// # Errors
/// As [`norm`].
pub fn norm_eval(
    x: &Matrix,
    gamma: &Matrix,
    beta: &Matrix,
    running: (&Matrix, &Matrix),
    norm: &Norm,
) -> Result<Matrix> {
    check_rows("norm_eval", x, &[gamma, beta, running.0, running.1])?;
    Ok(Array2::from_shape_fn(x.dim(), |(row, channel)| {
        let at = [0, channel];
        let gain = norm.gain(gamma[at], running.1[at]);
        Norm::apply(x[[row, channel]], running.0[at], gain, beta[at])
    }))
}

/// See [`TrainBackend::norm_grad`](crate::TrainBackend::norm_grad); `batch` is (mean, inverse
/// deviation).
///
/// With c the centred input, s the inverse deviation and g = dy:
/// `dx = gain (g - mean(g) - c mean(c g) s^2)`, `dgamma = sum(c s g)`, `dbeta = sum(g)`.
/// A shift-based norm has `AP2(c)` for the two c of dx, `AP2(s)` for s, and `AP2(c s)` in dgamma.
///
/// # Errors
/// As [`norm`].
pub fn norm_grad(
    dy: &Matrix,
    x: &Matrix,
    gamma: &Matrix,
    batch: (&Matrix, &Matrix),
    norm: &Norm,
) -> Result<NormGrad> {
    check_rows("norm_grad", x, &[gamma, batch.0, batch.1])?;
    if dy.dim() != x.dim() {
        return Err(Error::shape(
            "norm_grad",
            format!("dy {:?}", x.dim()),
            format!("{:?}", dy.dim()),
        ));
    }
    let round = |x: f32| if norm.shift { ap2(x) } else { x };
    let mut dx = Array2::zeros(x.dim());
    let [mut dgamma, mut dbeta] = [0; 2].map(|_| Array2::zeros((1, x.ncols())));
    for at in (0..x.ncols()).map(|channel| [0, channel]) {
        let (g, centred) = (dy.column(at[1]), x.column(at[1]).mapv(|x| x - batch.0[at]));
        let scale = round(batch.1[at]);
        let gain = f64::from(norm.batch_gain(gamma[at], batch.1[at]));
        let q = centred.mapv(|c| f64::from(round(c)));
        let pairs = || q.iter().zip(g.iter().map(|&g| f64::from(g)));
        let (mean_g, mean_qg) =
            (average(pairs().map(|(_, g)| g)), average(pairs().map(|(q, g)| q * g)));
        let slope = mean_qg * f64::from(scale) * f64::from(scale);
        for (dx, (q, g)) in dx.column_mut(at[1]).iter_mut().zip(pairs()) {
            *dx = (gain * (g - mean_g - q * slope)) as f32;
        }
        let hats = centred.iter().map(|&c| f64::from(round(c * scale)));
        dgamma[at] = hats.zip(pairs()).map(|(hat, (_, g))| hat * g).sum::<f64>() as f32;
        dbeta[at] = pairs().map(|(_, g)| g).sum::<f64>() as f32;
    }
    Ok(NormGrad { x: dx, gamma: dgamma, beta: dbeta })
}

/// Biased variance of a column about its mean, with `AP2(c)` for one factor if shift-based.
fn variance(column: ArrayView1<'_, f32>, mean: f32, shift: bool) -> f32 {
    let square = |x: &f32| {
        let centred = x - mean;
        f64::from(centred) * f64::from(if shift { ap2(centred) } else { centred })
    };
    average(column.iter().map(square)) as f32
}

fn average(terms: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = terms.len() as f64;
    terms.sum::<f64>() / count
}

/// Each of `rows` is one row of as many numbers as `x` has columns, and `x` is not empty.
fn check_rows(op: &'static str, x: &Matrix, rows: &[&Matrix]) -> Result<()> {
    if x.len_of(Axis(0)) == 0 {
        return Err(Error::shape(op, "at least one sample", "none"));
    }
    let want = (1, x.ncols());
    match rows.iter().find(|row| row.dim() != want) {
        Some(row) => Err(Error::shape(op, format!("a row {want:?}"), format!("{:?}", row.dim()))),
        None => Ok(()),
    }
}
