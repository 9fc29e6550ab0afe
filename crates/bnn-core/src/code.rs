//! Quantized matrices as weighted sums of sign planes.

use ndarray::Array2;

use crate::{BitMatrix, Error, Result};

/// A matrix of small integers times one scale, as signs:
/// `value = scale * sum_i weight_i * plane_i`, each plane -1 or +1.
///
/// A binary matrix is one plane of weight 1.
/// A byte `u` that stands for `2u/255 - 1` is eight planes, its bits, with weights 1, 2, .., 128 and
/// scale 1/255, since `2u - 255` is the sum of `2^i` times the sign of bit `i`.
/// Entries whose mask bit is clear are holes: they count 0 (dropout, pruning).
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    /// Multiplies the integer sum of the planes.
    pub scale: f32,
    /// Weight and signs of each plane; all of one shape.
    pub planes: Vec<(i32, BitMatrix)>,
    /// Where given, a clear bit marks a hole.
    pub mask: Option<BitMatrix>,
}

/// What crosses between host and device as the operand of a product.
#[derive(Clone, Debug, PartialEq)]
pub enum HostCode {
    /// Bytes `u` with the meaning `(2u - 255) / 255`, from -1 to 1.
    Bytes(Array2<u8>),
    /// Any other sum of sign planes.
    Planes(Planes),
}

/// Scale of a byte: `(2u - 255) * BYTE_SCALE` spans [-1, 1].
pub const BYTE_SCALE: f32 = 1.0 / 255.0;

impl Planes {
    /// One plane of signs, without holes, of scale 1.
    pub fn binary(signs: BitMatrix) -> Self {
        Self { scale: 1.0, planes: vec![(1, signs)], mask: None }
    }

    /// The eight planes of a byte matrix.
    pub fn from_bytes(bytes: &Array2<u8>) -> Self {
        let (rows, cols) = bytes.dim();
        let bit =
            |i: u8| BitMatrix::from_fn(rows, cols, |row, col| bytes[[row, col]] >> i & 1 == 1);
        Self { scale: BYTE_SCALE, planes: (0..8).map(|i| (1 << i, bit(i))).collect(), mask: None }
    }

    /// Rows and columns.
    ///
    /// # Errors
    /// [`Error::Shape`] without a plane, or if planes and mask differ in shape.
    pub fn dim(&self) -> Result<(usize, usize)> {
        let Some((_, first)) = self.planes.first() else {
            return Err(Error::shape("planes", "at least one plane", "none"));
        };
        let dim = (first.rows(), first.cols());
        let all = self.planes.iter().map(|(_, plane)| plane).chain(&self.mask);
        match all.map(|plane| (plane.rows(), plane.cols())).find(|&other| other != dim) {
            Some(other) => Err(Error::shape("planes", format!("{dim:?}"), format!("{other:?}"))),
            None => Ok(dim),
        }
    }

    /// The largest magnitude of the integer sum of one entry.
    pub fn bound(&self) -> u64 {
        self.planes.iter().map(|(weight, _)| u64::from(weight.unsigned_abs())).sum()
    }

    /// The integers before scaling; holes are 0.
    ///
    /// # Errors
    /// As [`Planes::dim`].
    pub fn integers(&self) -> Result<Array2<i32>> {
        let entry = |row, col| {
            let kept = self.mask.as_ref().is_none_or(|mask| mask.get(row, col));
            let sum = || self.planes.iter().map(|(weight, plane)| weight * plane.sign(row, col));
            if kept { sum().sum() } else { 0 }
        };
        Ok(Array2::from_shape_fn(self.dim()?, |(row, col)| entry(row, col)))
    }
}

impl HostCode {
    /// A single plane of signs.
    pub fn binary(signs: BitMatrix) -> Self {
        Self::Planes(Planes::binary(signs))
    }

    /// The same matrix as planes.
    pub fn into_planes(self) -> Planes {
        match self {
            Self::Bytes(bytes) => Planes::from_bytes(&bytes),
            Self::Planes(planes) => planes,
        }
    }

    /// Rows and columns.
    ///
    /// # Errors
    /// As [`Planes::dim`].
    pub fn dim(&self) -> Result<(usize, usize)> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.dim()),
            Self::Planes(planes) => planes.dim(),
        }
    }

    /// The largest magnitude of the integer behind one entry.
    pub fn bound(&self) -> u64 {
        match self {
            Self::Bytes(_) => 255,
            Self::Planes(planes) => planes.bound(),
        }
    }
}

/// The largest magnitude of the integer sums of a product: `depth * bound(a) * bound(w)`.
///
/// # Errors
/// [`Error::Value`] from 2^24 on, where an f32 no longer holds every integer.
pub fn sum_bound(depth: usize, a: u64, w: u64) -> Result<i32> {
    let bound = a.checked_mul(w).and_then(|product| product.checked_mul(depth as u64));
    match bound.and_then(|bound| i32::try_from(bound).ok()) {
        Some(bound) if bound < 1 << 24 => Ok(bound),
        _ => Err(Error::value(
            "depth",
            format!("{depth} terms of {a} x {w} reach 2^24, where f32 sums stop being exact"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_eight_planes() {
        let bytes = Array2::from_shape_fn((1, 256), |(_, u)| u as u8);
        let planes = Planes::from_bytes(&bytes);
        let want = Array2::from_shape_fn((1, 256), |(_, u)| 2 * u as i32 - 255);
        assert_eq!(planes.integers().unwrap(), want);
        assert_eq!(planes.bound(), 255);
        assert_eq!(
            [HostCode::Bytes(bytes), HostCode::Planes(planes)].map(|code| code.bound()),
            [255; 2]
        );
    }

    #[test]
    fn holes_are_zero() {
        let mut planes = Planes::binary(BitMatrix::from_fn(1, 3, |_, col| col > 0));
        planes.mask = Some(BitMatrix::from_fn(1, 3, |_, col| col != 1));
        assert_eq!(planes.integers().unwrap().as_slice().unwrap(), [-1, 0, 1]);
    }

    #[test]
    fn differing_planes_are_refused() {
        let mut planes = Planes::binary(BitMatrix::zeros(2, 3));
        planes.mask = Some(BitMatrix::zeros(3, 2));
        assert_eq!(planes.dim().unwrap_err().to_string(), "planes: want (2, 3), got (3, 2)");
    }

    #[test]
    fn sums_beyond_f32_are_refused() {
        assert_eq!(sum_bound(784, 255, 1).unwrap(), 199_920);
        assert!(sum_bound(1 << 24, 1, 1).is_err());
        assert!(sum_bound(usize::MAX, 255, 255).is_err());
    }
}
