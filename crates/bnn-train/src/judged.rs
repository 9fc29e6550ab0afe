//! What a network gets wrong: which classes it takes for which, and its worst mistakes.

use bnn_core::Matrix;
use serde::{Deserialize, Serialize};

/// Mistakes that are kept.
pub(crate) const WORST: usize = 20;

/// How a network classifies a set of images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Images by class (rows) and by the class they are taken for (columns).
    pub confusion: Vec<Vec<u64>>,
    /// The misclassified images with the largest margins, the largest first; at most 20.
    pub mistakes: Vec<Mistake>,
}

/// A misclassified image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Its place in the set of images, from 0.
    pub index: usize,
    /// Its class.
    pub label: usize,
    /// The class it is taken for.
    pub predicted: usize,
    /// By how much the score of that class is above the score of its own.
    pub margin: f32,
}

impl Judged {
    /// Compares scores, one row per image, with the classes of the images.
    ///
    /// An image is taken for the first class of the largest score, as the loss counts errors.
    ///
    /// # Panics
    /// If a label is no column of the scores, or if there are fewer rows than labels.
    pub fn new(scores: &Matrix, labels: &[u8]) -> Self {
        let classes = scores.ncols();
        let mut confusion = vec![vec![0; classes]; classes];
        let mut mistakes = Vec::new();
        for (index, &label) in labels.iter().enumerate() {
            let (row, label) = (scores.row(index), usize::from(label));
            let first_largest = |best, at| if row[at] > row[best] { at } else { best };
            let predicted = (0..classes).fold(0, first_largest);
            confusion[label][predicted] += 1;
            if predicted != label {
                let margin = row[predicted] - row[label];
                mistakes.push(Mistake { index, label, predicted, margin });
            }
        }
        mistakes.sort_by(|a, b| b.margin.total_cmp(&a.margin).then(a.index.cmp(&b.index)));
        mistakes.truncate(WORST);
        Self { confusion, mistakes }
    }

    /// Images that are taken for another class than theirs.
    pub fn errors(&self) -> u64 {
        let rows = self.confusion.iter().enumerate();
        rows.map(|(label, row)| row.iter().sum::<u64>() - row[label]).sum()
    }
}

#[cfg(test)]
mod tests {
    use bnn_core::Loss;
    use ndarray::arr2;

    use super::*;
    use crate::evaluate::score;

    #[test]
    fn mistakes_are_counted_as_the_loss_counts_them_and_the_worst_come_first() {
        let scores = arr2(&[[0.5, 0.5, 0.0], [1.0, -1.0, 0.0], [0.0, 0.25, 2.0], [3.0, 0.0, 2.0]]);
        let labels = [0, 1, 1, 2];
        let judged = Judged::new(&scores, &labels);
        assert_eq!(judged.confusion, [[1, 0, 0], [1, 0, 1], [1, 0, 0]]);
        let mistake = |index, label, predicted, margin| Mistake { index, label, predicted, margin };
        let want = [mistake(1, 1, 0, 2.0), mistake(2, 1, 2, 1.75), mistake(3, 2, 0, 1.0)];
        assert_eq!(judged.mistakes, want);
        let error = score(&scores, &labels, Loss::SquaredHinge).unwrap().error;
        assert_eq!(judged.errors() as f64, error * 4.0);
    }

    #[test]
    fn no_more_than_the_worst_are_kept() {
        let scores = Matrix::from_shape_fn((50, 2), |(row, class)| (row * class) as f32);
        let judged = Judged::new(&scores, &[0; 50]);
        let places: Vec<usize> = judged.mistakes.iter().map(|mistake| mistake.index).collect();
        assert_eq!(places, (30..50).rev().collect::<Vec<_>>());
        assert_eq!((judged.errors(), judged.confusion), (49, vec![vec![1, 49], vec![0, 0]]));
    }
}
