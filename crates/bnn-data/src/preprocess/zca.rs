//! Zero-phase whitening: the inverse square root of the covariance.

use faer::Side;
use faer::linalg::solvers::SelfAdjointEigen;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};

use crate::preprocess::chunks::each;
use crate::{Error, Result};

/// Rows of the covariance that are summed up at a time.
const PANEL: usize = 256;

/// A fitted whitening: `y = (x - mean) matrix`.
#[derive(Clone, Debug, PartialEq)]
pub struct Whitening {
    mean: Array1<f32>,
    matrix: Array2<f32>,
}

impl Whitening {
    /// A whitening of its parts.
    ///
    /// # Errors
    /// [`Error::Preprocess`] unless the matrix is square, as wide as the mean is long, and all numbers
    /// are finite.
    pub fn new(mean: Vec<f32>, matrix: Array2<f32>) -> Result<Self> {
        let refused = |why: String| Err(Error::Preprocess { step: "zca".into(), why });
        if matrix.dim() != (mean.len(), mean.len()) {
            let (rows, columns) = matrix.dim();
            let count = mean.len();
            return refused(format!("{count} means and a matrix of {rows} x {columns}"));
        }
        if !mean.iter().chain(&matrix).all(|x| x.is_finite()) {
            return refused("a mean or a factor is not a finite number".into());
        }
        // Products of rows want the matrix row after row, whatever it came as.
        let matrix = matrix.as_standard_layout().into_owned();
        Ok(Self { mean: mean.into(), matrix })
    }

    /// What is taken off every value.
    pub fn mean(&self) -> &Array1<f32> {
        &self.mean
    }

    /// What the rest is multiplied by.
    pub fn matrix(&self) -> &Array2<f32> {
        &self.matrix
    }

    /// Whitens images, one per row.
    ///
    /// Each result is one sum in one order, whatever other images are in the rows and whatever the
    /// number of threads; a processor with other vectors may round it differently.
    pub(crate) fn apply(&self, images: &Array2<f32>) -> Array2<f32> {
        let mut white = Array2::zeros(images.dim());
        general_mat_mul(1.0, &(images - &self.mean), &self.matrix, 0.0, &mut white);
        white
    }
}

/// Sums over images that a whitening is made of.
pub(crate) struct Moments {
    count: usize,
    sum: Array1<f64>,
    /// Sums of products, the lower triangle in panels.
    products: Array2<f64>,
}

impl Moments {
    pub(crate) fn new(values: usize) -> Self {
        Self { count: 0, sum: Array1::zeros(values), products: Array2::zeros((values, values)) }
    }

    /// Adds images, one per row, on threads that do not change a bit of the sums.
    pub(crate) fn add(&mut self, images: ArrayView2<'_, f64>, threads: usize) {
        self.count += images.nrows();
        self.sum += &images.sum_axis(Axis(0));
        let panels = self.products.axis_chunks_iter_mut(Axis(0), PANEL).enumerate();
        each(panels, threads, |(panel, mut sums)| {
            let first = panel * PANEL;
            let end = first + sums.nrows();
            let columns = |first| images.slice_axis(Axis(1), Slice::from(first..end));
            let (left, right) = (columns(first), columns(0));
            let mut lower = sums.slice_axis_mut(Axis(1), Slice::from(..end));
            general_mat_mul(1.0, &left.t(), &right, 1.0, &mut lower);
        });
    }

    /// The whitening `(C + ridge)^(-1/2)`, with C the covariance over the images (their number as the
    /// divisor): `U (D + ridge)^(-1/2) U^T` where `C = U D U^T`.
    ///
    /// The decomposition runs on one thread and in f64. None of the variances is below 0 but by
    /// rounding, which counts as 0.
    ///
    /// # Errors
    /// [`Error::Preprocess`] if the decomposition does not converge.
    pub(crate) fn whitening(&self, ridge: f32) -> Result<Whitening> {
        let failed = |why: String| Error::Preprocess { step: "zca".into(), why };
        let values = self.sum.len();
        let mean = &self.sum / self.count as f64;
        // The upper triangle is not read.
        let covariance = faer::Mat::from_fn(values, values, |row, column| {
            self.products[[row, column]] / self.count as f64 - mean[row] * mean[column]
        });
        faer::set_global_parallelism(faer::Par::Seq); // should another crate turn its threads on
        let eigen = SelfAdjointEigen::new(covariance.as_ref(), Side::Lower);
        let eigen = eigen.map_err(|error| failed(format!("no decomposition: {error:?}")))?;
        let root = |k: usize| (eigen.S()[k].max(0.0) + f64::from(ridge)).sqrt().sqrt().recip();
        let vectors = eigen.U();
        let half = Array2::from_shape_fn((values, values), |(row, k)| vectors[(row, k)] * root(k));
        let mean = mean.mapv(|x| x as f32).to_vec();
        Whitening::new(mean, half.dot(&half.t()).mapv(|x| x as f32))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    /// Six images of three values.
    fn images() -> Array2<f64> {
        arr2(&[
            [0.0, 0.5, 0.25],
            [1.0, 0.75, 0.5],
            [0.25, 0.25, 0.75],
            [0.5, 1.0, 0.0],
            [0.75, 0.0, 1.0],
            [0.5, 0.5, 0.0],
        ])
    }

    fn whitening(images: &Array2<f64>, ridge: f32) -> Whitening {
        let mut moments = Moments::new(images.ncols());
        moments.add(images.view(), 2);
        moments.whitening(ridge).unwrap()
    }

    #[test]
    fn the_matrix_is_the_inverse_square_root_of_the_covariance() {
        // NumPy: w, U = eigh((X - m).T @ (X - m) / 6); M = (U / sqrt(w + ridge)) @ U.T.
        for (ridge, want, white) in [
            (
                0.1,
                [
                    [2.241081, -0.126032, -0.194105],
                    [-0.126032, 2.402634, 0.528463],
                    [-0.194105, 0.528463, 2.22735],
                ],
                [-1.08819, -0.025061, -0.274173],
            ),
            (
                1e-5,
                [
                    [3.434932, -0.948313, -1.012262],
                    [-0.948313, 5.044112, 2.500393],
                    [-1.012262, 2.500393, 4.321671],
                ],
                [-1.548755, 0.057424, -0.214147],
            ),
        ] {
            let fitted = whitening(&images(), ridge);
            let close = |got: &Array2<f32>, want: &Array2<f32>| {
                let near = got.iter().zip(want).all(|(got, want)| (got - want).abs() < 2e-5);
                assert!(near, "ridge {ridge}: {got}, want {want}");
            };
            close(fitted.matrix(), &arr2(&want));
            let first = images().mapv(|x| x as f32).slice_axis(Axis(0), (..1).into()).to_owned();
            close(&fitted.apply(&first), &arr2(&[white]));
            assert!((fitted.mean()[2] - 0.416_666_7).abs() < 1e-6);
        }
    }

    #[test]
    fn whitened_images_have_the_identity_as_covariance() {
        // More values than a panel has rows, and images that are sums of their neighbours.
        let (count, values) = (900, PANEL + 37);
        let noise = |row: usize, col: usize| {
            let word = (row * 7919 + col * 104_729 + row * col * 31) as u32;
            f64::from(word.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24)
        };
        let images = Array2::from_shape_fn((count, values), |(row, col)| {
            (0..3).map(|near| noise(row, col + near)).sum::<f64>() / 3.0
        });
        let white = whitening(&images, 1e-7).apply(&images.mapv(|x| x as f32)).mapv(f64::from);
        let covariance = white.t().dot(&white) / count as f64;
        for ((row, col), &got) in covariance.indexed_iter() {
            let want = f64::from(u8::from(row == col));
            assert!((got - want).abs() < 1e-2, "covariance of {row} and {col}: {got}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let why = |mean: usize, matrix: Array2<f32>| {
            Whitening::new(vec![0.0; mean], matrix).unwrap_err().to_string()
        };
        let want = "preprocess, `zca`: 2 means and a matrix of 2 x 3";
        assert_eq!(why(2, Array2::zeros((2, 3))), want);
        assert!(why(2, arr2(&[[0.0, f32::NAN], [0.0, 0.0]])).contains("not a finite number"));
    }
}
