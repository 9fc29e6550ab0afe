//! Crossing between host and device, quantizers, and dropout: equal in every bit.

use ndarray::{Array2, Axis, Slice};
use proptest::prelude::*;

use bnn_core::{BinaryBackend, Clock, Draw, HostCode, Key, Planes, Quant, TrainBackend, reference};

use crate::check::{forall, once, refused, same, same_code};
use crate::samples::{Dice, depths, kinds, quants};

/// Reals come back in every bit, from views of any stride.
pub fn reals_round_trip<B: BinaryBackend>(backend: &B) {
    forall((1usize..=9, depths(), any::<u64>()), |(rows, cols, seed)| {
        let x = Dice::new(seed).wild(rows, cols);
        same("get", &backend.get(&backend.put(x.view())?)?, &x)?;
        let turned = x.t().to_owned();
        same("get of a transposed view", &backend.get(&backend.put(x.t())?)?, &turned)?;
        let every_other = x.slice_axis(Axis(1), Slice::from(..).step_by(2));
        same("get of a view", &backend.get(&backend.put(every_other)?)?, &every_other.to_owned())
    });
}

/// Codes come back equal, plane by plane and with their holes.
pub fn codes_round_trip<B: BinaryBackend>(backend: &B) {
    forall((kinds(), 1usize..=9, depths(), any::<u64>()), |(kind, rows, cols, seed)| {
        let code = Dice::new(seed).code(kind, rows, cols);
        let got = backend.get_code(&backend.put_code(&code)?)?;
        prop_assert_eq!(got.into_planes(), code.into_planes());
        Ok(())
    });
}

/// A value crosses a cut where it is at least as large: zeros of both signs, infinities and NaN.
pub fn encode<B: BinaryBackend>(backend: &B) {
    forall((quants(), 1usize..=9, depths(), any::<u64>()), |(quant, rows, cols, seed)| {
        let mut dice = Dice::new(seed);
        for x in [dice.real(rows, cols), dice.wild(rows, cols)] {
            let got = backend.encode(&backend.put(x.view())?, &quant, None)?;
            let want = reference::encode(&x, &quant, None)?;
            prop_assert_eq!(backend.get_code(&got)?.into_planes(), want);
        }
        Ok(())
    });
}

/// The stochastic sign takes the uniform number of its element, of its stream, of its step.
pub fn encode_stochastic<B: BinaryBackend>(backend: &B) {
    let draws = (any::<u64>(), any::<u64>(), 0u32..4);
    forall((1usize..=9, depths(), draws), |(rows, cols, (seed, step, stream))| {
        let x = Dice::new(seed).wild(rows, cols);
        let key = Key::new(seed, step);
        let clock = backend.put(Clock { step_size: 0.5, key }.to_row().view())?;
        let draw = Draw { clock: &clock, stream };
        let got = backend.encode(&backend.put(x.view())?, &Quant::sign(), Some(draw))?;
        let want = reference::encode(&x, &Quant::sign(), Some(key.stream(stream)))?;
        prop_assert_eq!(backend.get_code(&got)?.into_planes(), want);
        Ok(())
    });
}

/// Dropout keeps what the draw says, adds to the holes that were there, and raises what is left, so that
/// the mean stays: by hand too, as the definition could forget it with everybody else.
pub fn dropout<B: TrainBackend>(backend: &B) {
    let draws = (any::<u64>(), 0u32..4, prop_oneof![Just(1.0f32), 0.01f32..1.0]);
    let sizes = (1usize..=9, depths());
    forall((kinds(), sizes, draws), |(kind, (rows, cols), (seed, stream, keep))| {
        let code = Dice::new(seed).code(kind, rows, cols);
        let key = Key::new(seed, 1);
        let clock = backend.put(Clock { step_size: 0.5, key }.to_row().view())?;
        let draw = Draw { clock: &clock, stream };
        let got = backend.dropout(&backend.put_code(&code)?, keep, draw)?;
        let (got, code) = (backend.get_code(&got)?.into_planes(), code.into_planes());
        for ((index, before), after) in values(&code)?.iter().enumerate().zip(&values(&got)?) {
            let kept = key.stream(stream).uniform(index as u32) < keep;
            let want = if kept { before / f64::from(keep) } else { 0.0 };
            let error = (after - want).abs();
            prop_assert!(error <= 1e-6 * want.abs(), "{before} became {after}, not {want}");
        }
        let want = reference::dropout(code, keep, key.stream(stream))?;
        same_code("dropout", HostCode::Planes(got), &want)
    });
}

/// What the entries of a code stand for; holes are 0.
fn values(code: &Planes) -> bnn_core::Result<Array2<f64>> {
    Ok(code.integers()?.mapv(|integer| f64::from(integer) * f64::from(code.scale)))
}

/// Codes without planes, unsound quantizers and draws for anything but the sign are refused.
pub fn coding_refusals<B: BinaryBackend>(backend: &B) {
    once(|| {
        let empty = Planes { scale: 1.0, planes: vec![], mask: None };
        refused("a code without planes", backend.put_code(&HostCode::Planes(empty)))?;
        let mut dice = Dice::new(0);
        let mut torn = Planes::binary(dice.bits(2, 3));
        torn.mask = Some(dice.bits(3, 2));
        refused("a mask of another shape", backend.put_code(&HostCode::Planes(torn)))?;
        let x = backend.put(dice.real(2, 3).view())?;
        let unsound = Quant { cuts: vec![], ..Quant::sign() };
        refused("a sign without cuts", backend.encode(&x, &unsound, None))?;
        let clock = Clock { step_size: 0.5, key: Key::new(0, 0) };
        let clock = backend.put(clock.to_row().view())?;
        let draw = Draw { clock: &clock, stream: 0 };
        refused("a draw for 2 bits", backend.encode(&x, &Quant::uniform(2)?, Some(draw)))?;
        let clock = Draw { clock: &x, stream: 0 };
        refused("a clock of two rows", backend.encode(&x, &Quant::sign(), Some(clock)))
    });
}

/// Dropout that keeps nothing, more than everything, or NaN is refused.
pub fn dropout_refusals<B: TrainBackend>(backend: &B) {
    once(|| {
        let code = backend.put_code(&HostCode::binary(Dice::new(0).bits(2, 3)))?;
        let clock = Clock { step_size: 0.5, key: Key::new(0, 0) };
        let clock = backend.put(clock.to_row().view())?;
        for keep in [0.0, -0.5, 1.5, f32::NAN] {
            let draw = Draw { clock: &clock, stream: 0 };
            refused("an impossible share", backend.dropout(&code, keep, draw))?;
        }
        Ok(())
    });
}
