//! Quantized values on the device.

use std::sync::{Mutex, PoisonError};

use bnn_core::{BitMatrix, HostCode, Planes, WORD};
use tch::{Device, Kind, Tensor};

use super::device::{Means, Tch};
use super::fault::Result;

/// Quantized values on the device: planes of booleans, and the integers that products multiply.
///
/// Each of the two is made when it is first asked for.
pub struct Code {
    /// Behind a lock for the reason that [`Real`](crate::Real) has one.
    parts: Mutex<Parts>,
    pub(crate) dim: (usize, usize),
    pub(crate) scale: f32,
    weights: Vec<i32>,
    means: Means,
}

struct Parts {
    signs: Signs,
    /// Booleans: row, column; false in holes.
    mask: Option<Tensor>,
    /// The weighted sums of the planes' signs, 0 in holes; see [`kind`].
    integers: Option<Tensor>,
}

/// What a code was made of.
enum Signs {
    /// Booleans: plane, row, column.
    Planes(Tensor),
    /// Bytes u, row by column: 2u - 255 is their integer.
    Bytes(Tensor),
}

impl Code {
    /// A code without holes of booleans: plane, row, column.
    pub(crate) fn new(means: Means, planes: Tensor, weights: Vec<i32>, scale: f32) -> Result<Self> {
        let (_, rows, cols) = planes.size3()?;
        let parts = Parts { signs: Signs::Planes(planes), mask: None, integers: None };
        let dim = (rows as usize, cols as usize);
        Ok(Self { parts: Mutex::new(parts), dim, scale, weights, means })
    }

    pub(crate) fn put(code: &HostCode, Tch { device, means }: Tch) -> Result<Self> {
        let dim = code.dim()?;
        let (signs, mask, weights, scale) = match code {
            HostCode::Bytes(bytes) => {
                let bytes = bytes.as_standard_layout();
                let flat: Vec<u8> = bytes.iter().copied().collect();
                let bytes = Tensor::f_from_slice(&flat)?.f_reshape([dim.0 as i64, dim.1 as i64])?;
                let bytes = bytes.f_to_device_(device, Kind::Uint8, true, false)?;
                let weights = (0..8).map(|bit| 1 << bit).collect();
                (Signs::Bytes(bytes), None, weights, bnn_core::BYTE_SCALE)
            }
            HostCode::Planes(code) => {
                let planes: Vec<_> = code.planes.iter().map(|(_, plane)| plane).collect();
                let mask = code.mask.as_ref().map(|mask| unpack(&[mask], device));
                let mask = mask.transpose()?.map(|mask| mask.f_select(0, 0)).transpose()?;
                let weights = code.planes.iter().map(|(weight, _)| *weight).collect();
                (Signs::Planes(unpack(&planes, device)?), mask, weights, code.scale)
            }
        };
        let parts = Mutex::new(Parts { signs, mask, integers: None });
        Ok(Self { parts, dim, scale, weights, means })
    }

    pub(crate) fn get(&self) -> Result<HostCode> {
        let planes = pack(&self.planes()?, self.dim)?;
        let mask = self.mask()?.map(|mask| pack(&mask.f_unsqueeze(0)?, self.dim)).transpose()?;
        let planes = self.weights.iter().copied().zip(planes).collect();
        let mask = mask.and_then(|mask| mask.into_iter().next());
        Ok(HostCode::Planes(Planes { scale: self.scale, planes, mask }))
    }

    pub(crate) fn planes(&self) -> Result<Tensor> {
        self.part(|parts| parts.signs.planes())
    }

    pub(crate) fn mask(&self) -> Result<Option<Tensor>> {
        self.part(|parts| Ok(parts.mask.as_ref().map(Tensor::f_detach).transpose()?))
    }

    /// The integers, in bf16 if they are small and products are taken from that, else in f32.
    pub(crate) fn integers(&self) -> Result<Tensor> {
        self.part(|parts| {
            let integers = match parts.integers.take() {
                Some(integers) => integers,
                None => integers(parts, &self.weights, kind(self.means, &self.weights))?,
            };
            Ok(parts.integers.insert(integers).f_detach()?)
        })
    }

    /// The values in f32: integers times the scale.
    pub(crate) fn values(&self) -> Result<Tensor> {
        Ok(self.integers()?.f_to_kind(Kind::Float)?.f_mul_scalar(f64::from(self.scale))?)
    }

    /// A code of other planes, without holes, and the same weights.
    pub(crate) fn like(&self, planes: Tensor) -> Result<Self> {
        Self::new(self.means, planes, self.weights.clone(), self.scale)
    }

    /// The same code with holes where it or `kept` has them, and another scale.
    pub(crate) fn masked(&self, kept: Tensor, scale: f32) -> Result<Self> {
        let (signs, mask) = self.part(|parts| {
            let mask = match &parts.mask {
                None => kept,
                Some(mask) => kept.f_logical_and(mask)?,
            };
            Ok((parts.signs.handle()?, Some(mask)))
        })?;
        let parts = Mutex::new(Parts { signs, mask, integers: None });
        Ok(Self { parts, dim: self.dim, scale, weights: self.weights.clone(), means: self.means })
    }

    /// Where the integers of two codes of one form differ.
    pub(crate) fn differs(&self, other: &Self) -> Result<Tensor> {
        Ok(match self.weights.len() {
            1 => self.planes()?.f_ne_tensor(&other.planes()?)?,
            _ => self.integers()?.f_ne_tensor(&other.integers()?)?,
        })
    }

    fn part<T>(&self, take: impl FnOnce(&mut Parts) -> Result<T>) -> Result<T> {
        take(&mut self.parts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Signs {
    fn planes(&self) -> Result<Tensor> {
        match self {
            Self::Planes(planes) => Ok(planes.f_detach()?),
            Self::Bytes(bytes) => {
                let places = Tensor::f_arange(8, (Kind::Uint8, bytes.device()))?;
                let shifted = bytes.f_bitwise_right_shift(&places.f_reshape([8, 1, 1])?)?;
                Ok(shifted.f_bitwise_and(1)?.f_to_kind(Kind::Bool)?)
            }
        }
    }

    fn handle(&self) -> Result<Self> {
        Ok(match self {
            Self::Planes(planes) => Self::Planes(planes.f_detach()?),
            Self::Bytes(bytes) => Self::Bytes(bytes.f_detach()?),
        })
    }
}

/// The kind of the integers: bf16 has 8 bits of significand, which hold any up to 256.
fn kind(means: Means, weights: &[i32]) -> Kind {
    let largest: i64 = weights.iter().map(|&weight| i64::from(weight).abs()).sum();
    if means == Means::Gathered && largest <= 256 { Kind::BFloat16 } else { Kind::Float }
}

fn integers(parts: &Parts, weights: &[i32], kind: Kind) -> Result<Tensor> {
    let mut sum = match &parts.signs {
        // Twice a byte is even, so that bf16 holds it too.
        Signs::Bytes(bytes) => bytes.f_to_kind(kind)?.f_mul_scalar_(2.0)?.f_sub_scalar_(255.0)?,
        Signs::Planes(planes) => weighted(planes, weights, kind)?,
    };
    Ok(match &parts.mask {
        None => sum,
        Some(mask) => sum.f_masked_fill_(&mask.f_logical_not()?, 0.0)?,
    })
}

/// Sums of signs times weights: one kernel per plane, besides those of the numbers to choose from.
fn weighted(planes: &Tensor, weights: &[i32], kind: Kind) -> Result<Tensor> {
    let (_, rows, cols) = planes.size3()?;
    let number = |x: f64| Tensor::f_full([1, 1], x, (kind, planes.device()));
    let mut sum: Option<Tensor> = None;
    for (at, &weight) in (0..).zip(weights) {
        let weight = f64::from(weight);
        let term = number(weight)?.f_where_self(&planes.f_select(0, at)?, &number(-weight)?)?;
        sum = Some(match sum {
            None => term,
            Some(mut sum) => sum.f_add_(&term)?,
        });
    }
    sum.map_or_else(|| Ok(Tensor::f_zeros([rows, cols], (kind, planes.device()))?), Ok)
}

/// The bits of host matrices of one shape: plane, row, column.
fn unpack(planes: &[&BitMatrix], device: Device) -> Result<Tensor> {
    let (count, rows) =
        (planes.len() as i64, planes.first().map_or(0, |plane| plane.rows()) as i64);
    let cols = planes.first().map_or(0, |plane| plane.cols()) as i64;
    let words = planes.iter().flat_map(|plane| plane.words().iter().map(|word| *word as i64));
    let words = Tensor::f_from_slice(&words.collect::<Vec<_>>())?.f_to_device(device)?;
    let width = cols.unsigned_abs().div_ceil(WORD as u64) as i64;
    let words = words.f_reshape([count, rows, width, 1])?;
    let bits = words.f_bitwise_right_shift(&places(device)?)?.f_bitwise_and(1)?;
    let bits = bits.f_reshape([count, rows, width * WORD as i64])?.f_narrow(2, 0, cols)?;
    Ok(bits.f_to_kind(Kind::Bool)?)
}

/// The host matrices of bits: plane, row, column.
fn pack(bits: &Tensor, (rows, cols): (usize, usize)) -> Result<Vec<BitMatrix>> {
    let width = cols.div_ceil(WORD);
    let padded =
        bits.f_to_kind(Kind::Int64)?.f_constant_pad_nd([0, (width * WORD - cols) as i64])?;
    let (count, _, _) = padded.size3()?;
    let shape = [count, rows as i64, width as i64, WORD as i64];
    let words = padded.f_reshape(shape)?.f_bitwise_left_shift(&places(bits.device())?)?;
    // Every bit is in one place only, so the sum is the OR; bit 63 is the sign.
    let words = words.f_sum_dim_intlist(-1, false, Kind::Int64)?;
    let host = words.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut words = vec![0_i64; count as usize * rows * width];
    let len = words.len();
    host.f_copy_data(&mut words, len)?;
    let words: Vec<u64> = words.into_iter().map(|word| word as u64).collect();
    let plane = |at: usize| words[at * rows * width..][..rows * width].to_vec();
    let planes = (0..count as usize).map(|at| BitMatrix::from_words(rows, cols, plane(at)));
    Ok(planes.collect::<bnn_core::Result<_>>()?)
}

/// 0 to 63, the places of a word.
fn places(device: Device) -> Result<Tensor> {
    Ok(Tensor::f_arange(WORD as i64, (Kind::Int64, device))?)
}
