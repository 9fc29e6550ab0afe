//! Scores over a set of images, by a network in training or by a frozen one.

use bnn_core::reference;
use bnn_core::{BinaryBackend, FloatBackend, Loss, Matrix, Session};
use bnn_data::Images;
use ndarray::Array2;

use crate::net::Net;
use crate::{Result, Score};

/// Scores of all images by a network in training, `batch` images at a time.
///
/// # Errors
/// What the backend says.
pub fn scores<B: FloatBackend>(
    backend: &B,
    net: &Net<B>,
    images: &Images,
    batch: usize,
) -> Result<Matrix> {
    in_batches(images, batch, net.blocks.last().map_or(0, |block| block.form.shape.0), |range| {
        let uploaded = net.upload(backend, images.rows(range.clone()), &images.labels[range])?;
        Ok(net.evaluate(backend, uploaded.images)?)
    })
}

/// Scores of all images by a frozen network, `batch` images at a time.
///
/// # Errors
/// What the backend says.
pub fn frozen_scores<B: BinaryBackend>(
    session: &Session<'_, B>,
    images: &Images,
    batch: usize,
) -> Result<Matrix> {
    in_batches(images, batch, session.network().classes.len(), |range| {
        Ok(session.scores(images.rows(range))?)
    })
}

/// Mean loss and share of misclassified images.
///
/// # Errors
/// [`bnn_core::Error::Shape`] if labels and scores do not fit.
pub fn score(scores: &Matrix, labels: &[u8], loss: Loss) -> Result<Score> {
    let column = Array2::from_shape_fn((labels.len(), 1), |(row, _)| f32::from(labels[row]));
    let (_, tally) = reference::loss(scores, &column, loss)?;
    let count = labels.len() as f64;
    Ok(Score { loss: f64::from(tally[[0, 0]]) / count, error: f64::from(tally[[0, 1]]) / count })
}

fn in_batches(
    images: &Images,
    batch: usize,
    classes: usize,
    mut part: impl FnMut(std::ops::Range<usize>) -> Result<Matrix>,
) -> Result<Matrix> {
    let mut all = Matrix::zeros((0, classes));
    for first in (0..images.len()).step_by(batch) {
        let scores = part(first..images.len().min(first + batch))?;
        all.append(ndarray::Axis(0), scores.view()).expect("one column per class");
    }
    Ok(all)
}
