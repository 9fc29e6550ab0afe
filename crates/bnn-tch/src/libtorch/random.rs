//! The random numbers of `bnn_core::Key` in integer operations of tensors.

use bnn_core::Error;
use tch::{Kind, Tensor};

use super::fault::Result;
use super::real::Real;

/// The low 32 bits of an integer of 64.
const WORD: i64 = 0xFFFF_FFFF;

/// The uniform numbers of a stream, f32, one per entry of a matrix.
///
/// The key comes from the clock's row and never visits the host.
pub fn uniforms(clock: &Real, stream: u32, (rows, cols): (usize, usize)) -> Result<Tensor> {
    let word = words(&key(clock, stream)?, (rows as i64).wrapping_mul(cols as i64))?;
    let share = word.f_bitwise_right_shift_tensor_scalar(8)?.f_to_kind(Kind::Float)?;
    let share = share.f_mul_scalar(1.0 / f64::from(1 << 24))?;
    Ok(share.f_reshape([rows as i64, cols as i64])?)
}

/// The step size in a clock's row: one number in a matrix.
pub fn step_size(clock: &Real) -> Result<Tensor> {
    check(clock)?;
    Ok(clock.tensor()?.f_narrow(1, 0, 1)?)
}

/// Both words of the stream's key, one number in each tensor.
fn key(clock: &Real, stream: u32) -> Result<[Tensor; 2]> {
    check(clock)?;
    let row = clock.tensor()?.f_to_kind(Kind::Int64)?;
    let word = |at: i64| -> Result<Tensor> {
        let high = row.f_select(1, at + 1)?.f_mul_scalar(1 << 16)?;
        Ok(row.f_select(1, at)?.f_add(&high)?)
    };
    let spread = stream.wrapping_add(1).wrapping_mul(0x9E37_79B9);
    let turned = word(3)?.f_add_scalar(i64::from(spread.rotate_left(16)))?;
    Ok([word(1)?.f_bitwise_xor(i64::from(spread))?, turned.f_bitwise_and(WORD)?])
}

/// The first `count` words of a key; the index wraps at 2^32.
///
/// No product reaches 2^63: a word times a constant of at most 31 bits.
fn words([low, high]: &[Tensor; 2], count: i64) -> Result<Tensor> {
    let mut index = Tensor::f_arange(count, (Kind::Int64, low.device()))?;
    if count > WORD {
        index = index.f_bitwise_and_(WORD)?;
    }
    let x = mixed(index.f_bitwise_xor_tensor_(low)?, 16)?.f_mul_scalar_(0x21F0_AAAD)?;
    let x = x.f_add(high)?.f_bitwise_and_(WORD)?;
    let x = mixed(x, 15)?.f_mul_scalar_(0x735A_2D97)?.f_bitwise_and_(WORD)?;
    mixed(x, 15)
}

/// `x ^ (x >> places)`, in its place.
fn mixed(mut x: Tensor, places: i64) -> Result<Tensor> {
    let shifted = x.f_bitwise_right_shift_tensor_scalar(places)?;
    Ok(x.f_bitwise_xor_tensor_(&shifted)?)
}

fn check(clock: &Real) -> Result<()> {
    if clock.dim == (1, 5) {
        Ok(())
    } else {
        Err(Error::shape("clock", "(1, 5)", format!("{:?}", clock.dim)).into())
    }
}

#[cfg(test)]
mod tests {
    use bnn_core::{Clock, Key};
    use proptest::prelude::*;
    use tch::Device;

    use super::*;

    proptest! {
        /// The key of every seed and step, and every bit of the words that it makes.
        #[test]
        fn words_are_those_of_the_core(seed: u64, step: u64, stream: u32) {
            let key = Key::new(seed, step);
            let row = Clock { step_size: 0.5, key }.to_row();
            let clock = Real::put(row.view(), Device::Cpu).unwrap();
            let there = words(&super::key(&clock, stream).unwrap(), 300).unwrap();
            let mut got = vec![0_i64; 300];
            there.f_copy_data(&mut got, 300).unwrap();
            let want = Vec::from_iter((0..300).map(|i| i64::from(key.stream(stream).word(i))));
            prop_assert_eq!(got, want);
            let there = uniforms(&clock, stream, (3, 100)).unwrap();
            let got = Real::new(there).unwrap().get().unwrap();
            for ((row, col), &got) in got.indexed_iter() {
                prop_assert_eq!(got, key.stream(stream).uniform((row * 100 + col) as u32));
            }
        }
    }
}
