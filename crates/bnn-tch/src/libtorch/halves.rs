//! Matrix products on tensor cores: operands in bf16, sums in f32.
//!
//! bf16 holds integers up to 256, so that products of two codes are exact, and their sums while they
//! stay below 2^24. A real of 24 bits is the sum of three bf16 of 8 bits each, so that the product of
//! reals with a code loses nothing but in its sums.

use tch::{Kind, Tensor};

use super::fault::Result;

/// The product of matrices, in f32; of operands in bf16 the sums are in f32 as well.
pub fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match a.f_kind()? {
        Kind::BFloat16 if a.device().is_cuda() => Ok(a.f_mm_dtype(b, Kind::Float)?),
        // What libtorch has for GPUs alone; the operands are the same.
        Kind::BFloat16 => Ok(a.f_to_kind(Kind::Float)?.f_mm(&b.f_to_kind(Kind::Float)?)?),
        _ => Ok(a.f_mm(b)?.f_to_kind(Kind::Float)?),
    }
}

/// The product of reals in f32 with integers in bf16: one product of three times the size.
///
/// What is not finite becomes NaN.
pub fn split_product(x: &Tensor, integers: &Tensor) -> Result<Tensor> {
    let (rows, depth) = x.size2()?;
    let (_, cols) = integers.size2()?;
    let parts = parts(x)?;
    if depth <= rows {
        // Fewer integers to repeat than sums to add up.
        return product(&Tensor::f_cat(&parts, 1)?, &integers.f_repeat([3, 1])?);
    }
    let sums = product(&Tensor::f_cat(&parts, 0)?, integers)?;
    Ok(sums.f_reshape([3, rows, cols])?.f_sum_dim_intlist(0, false, Kind::Float)?)
}

/// Three tensors of bf16 whose sum is `x`, the smallest first.
fn parts(x: &Tensor) -> Result<[Tensor; 3]> {
    let high = x.f_to_kind(Kind::BFloat16)?;
    let rest = x.f_sub(&high)?; // in f32, without rounding
    let middle = rest.f_to_kind(Kind::BFloat16)?;
    let low = rest.f_sub(&middle)?.f_to_kind(Kind::BFloat16)?;
    Ok([low, middle, high])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Nothing is lost, down to where bf16 runs out of exponents for the last of the parts.
        #[test]
        fn parts_add_up(bits: Vec<u32>) {
            let normal = |x: &f32| x.is_finite() && (1e-30..1e38).contains(&x.abs());
            let x = Vec::from_iter(bits.into_iter().map(f32::from_bits).filter(normal));
            let there = Tensor::f_from_slice(&x).unwrap();
            let wide = parts(&there).unwrap().map(|part| part.f_to_kind(Kind::Double).unwrap());
            let sum = wide[0].f_add(&wide[1]).unwrap().f_add(&wide[2]).unwrap();
            prop_assert!(sum.f_equal(&there.f_to_kind(Kind::Double).unwrap()).unwrap());
        }
    }
}
