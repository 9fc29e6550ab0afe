//! Quantized values on the device.

use std::sync::{Mutex, PoisonError};

use bnn_core::{BitMatrix, HostCode, Planes, WORD};
use tch::{Device, Kind, Tensor};

use super::fault::Result;

/// Quantized values on the device: planes of booleans, and the integers that products multiply.
pub struct Code {
    /// Behind a lock for the reason that [`Real`](crate::Real) has one.
    parts: Mutex<Parts>,
    pub(crate) dim: (usize, usize),
    pub(crate) scale: f32,
    weights: Vec<i32>,
}

struct Parts {
    /// Booleans: plane, row, column.
    planes: Tensor,
    /// Booleans: row, column; false in holes.
    mask: Option<Tensor>,
    /// f32: the weighted sums of the planes' signs, 0 in holes.
    integers: Tensor,
}

impl Code {
    pub(crate) fn new(
        planes: Tensor,
        mask: Option<Tensor>,
        weights: Vec<i32>,
        scale: f32,
    ) -> Result<Self> {
        let (_, rows, cols) = planes.size3()?;
        let integers = integers(&planes, mask.as_ref(), &weights)?;
        let dim = (rows as usize, cols as usize);
        Ok(Self { parts: Mutex::new(Parts { planes, mask, integers }), dim, scale, weights })
    }

    pub(crate) fn put(code: &HostCode, device: Device) -> Result<Self> {
        let (rows, cols) = code.dim()?;
        match code {
            HostCode::Bytes(bytes) => {
                let bytes = bytes.as_standard_layout();
                let flat: Vec<u8> = bytes.iter().copied().collect();
                let bytes = Tensor::f_from_slice(&flat)?.f_to_device(device)?;
                let bytes = bytes.f_reshape([1, rows as i64, cols as i64])?;
                let shifts = Tensor::f_arange(8, (Kind::Uint8, device))?.f_reshape([8, 1, 1])?;
                let planes = bytes.f_bitwise_right_shift(&shifts)?.f_bitwise_and(1)?;
                let weights = (0..8).map(|bit| 1 << bit).collect();
                Self::new(planes.f_to_kind(Kind::Bool)?, None, weights, bnn_core::BYTE_SCALE)
            }
            HostCode::Planes(code) => {
                let planes: Vec<_> = code.planes.iter().map(|(_, plane)| plane).collect();
                let mask = code.mask.as_ref().map(|mask| unpack(&[mask], device));
                let mask = mask.transpose()?.map(|mask| mask.f_select(0, 0)).transpose()?;
                let weights = code.planes.iter().map(|(weight, _)| *weight).collect();
                Self::new(unpack(&planes, device)?, mask, weights, code.scale)
            }
        }
    }

    pub(crate) fn get(&self) -> Result<HostCode> {
        let planes = pack(&self.planes()?, self.dim)?;
        let mask = self.mask()?.map(|mask| pack(&mask.f_unsqueeze(0)?, self.dim)).transpose()?;
        let planes = self.weights.iter().copied().zip(planes).collect();
        let mask = mask.and_then(|mask| mask.into_iter().next());
        Ok(HostCode::Planes(Planes { scale: self.scale, planes, mask }))
    }

    pub(crate) fn planes(&self) -> Result<Tensor> {
        self.part(|parts| Ok(parts.planes.f_detach()?))
    }

    pub(crate) fn mask(&self) -> Result<Option<Tensor>> {
        self.part(|parts| Ok(parts.mask.as_ref().map(Tensor::f_detach).transpose()?))
    }

    pub(crate) fn integers(&self) -> Result<Tensor> {
        self.part(|parts| Ok(parts.integers.f_detach()?))
    }

    /// The values: integers times the scale.
    pub(crate) fn values(&self) -> Result<Tensor> {
        Ok(self.integers()?.f_mul_scalar(f64::from(self.scale))?)
    }

    /// A code of other planes and the same weights.
    pub(crate) fn like(&self, planes: Tensor, mask: Option<Tensor>, scale: f32) -> Result<Self> {
        Self::new(planes, mask, self.weights.clone(), scale)
    }

    fn part<T>(&self, take: impl FnOnce(&Parts) -> Result<T>) -> Result<T> {
        take(&self.parts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn integers(planes: &Tensor, mask: Option<&Tensor>, weights: &[i32]) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (at, &weight) in (0..).zip(weights) {
        let weight = f64::from(weight);
        // weight * (2 bit - 1)
        let plane = planes.f_select(0, at)?.f_to_kind(Kind::Float)?;
        let term = plane.f_mul_scalar(2.0 * weight)?.f_sub_scalar(weight)?;
        sum = Some(match sum {
            None => term,
            Some(sum) => sum.f_add(&term)?,
        });
    }
    let sum =
        sum.map_or_else(|| planes.f_to_kind(Kind::Float)?.f_sum_dim_intlist(0, false, None), Ok)?;
    Ok(match mask {
        None => sum,
        Some(mask) => sum.f_masked_fill(&mask.f_logical_not()?, 0.0)?,
    })
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
