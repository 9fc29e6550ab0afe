//! Products of codes: equal in every bit.

use ndarray::Array2;
use proptest::prelude::*;

use bnn_core::{BinaryBackend, Form, Gather, Grid, HostCode, Levels, Matrix, Window, reference};

use crate::check::{forall, once, refused, same, same_code};
use crate::samples::{Dice, Kind, gathers, kinds, outputs, weight_kinds};

/// The product equals its definition: dense and over windows, for signs, bytes and planes, with
/// holes on either side or both.
pub fn product<B: BinaryBackend>(backend: &B) {
    let sides = (kinds(), weight_kinds());
    forall((gathers(), outputs(), sides, any::<u64>()), |(place, outputs, kinds, seed)| {
        let (gather, a, w) = operands(place, outputs, kinds, &mut Dice::new(seed));
        let got = backend.product(&backend.put_code(&a)?, &backend.put_code(&w)?, &gather)?;
        let want = reference::product(&a.into_planes(), &w.into_planes(), &gather)?;
        same("product", &backend.get(&got)?, &want)
    });
}

/// Bytes meet signs, as in every first layer.
pub fn product_of_bytes<B: BinaryBackend>(backend: &B) {
    forall((gathers(), outputs(), any::<u64>()), |(place, outputs, seed)| {
        let kinds = (Kind::Bytes, Kind::Signs);
        let (gather, a, w) = operands(place, outputs, kinds, &mut Dice::new(seed));
        let got = backend.product(&backend.put_code(&a)?, &backend.put_code(&w)?, &gather)?;
        let want = reference::product(&a.into_planes(), &w.into_planes(), &gather)?;
        same("product of bytes", &backend.get(&got)?, &want)
    });
}

/// Cutting the sums equals its definition, also where sum and cut are equal, where cuts lie between
/// integers, and where all or none are crossed.
pub fn product_cut<B: BinaryBackend>(backend: &B) {
    let sides = (kinds(), weight_kinds(), levels());
    forall((gathers(), outputs(), sides, any::<u64>()), |(place, outputs, sides, seed)| {
        let (a_kind, w_kind, levels) = sides;
        let mut dice = Dice::new(seed);
        let (gather, a, w) = operands(place, outputs, (a_kind, w_kind), &mut dice);
        let [a_there, w_there] = [backend.put_code(&a)?, backend.put_code(&w)?];
        let (a, w) = (a.into_planes(), w.into_planes());
        let scale = a.scale * w.scale;
        let sums = reference::product(&a, &w, &gather)?.mapv(|y| (y / scale).round());
        let cuts = cuts(&sums, levels.cuts(), &mut dice);
        let cuts_there = backend.put(cuts.view())?;
        let got = backend.product_cut(&a_there, &w_there, &gather, &cuts_there, &levels)?;
        let want = reference::product_cut(&a, &w, &gather, &cuts, &levels)?;
        same_code("product_cut", backend.get_code(&got)?, &want)
    });
}

/// Operands, windows and cuts that do not fit are refused.
pub fn product_refusals<B: BinaryBackend>(backend: &B) {
    once(|| {
        let mut dice = Dice::new(0);
        let mut code = |rows, cols| backend.put_code(&HostCode::binary(dice.bits(rows, cols)));
        let (a, w, odd) = (code(4, 64)?, code(3, 64)?, code(3, 65)?);
        refused("weights of another depth", backend.product(&a, &odd, &Gather::Rows))?;
        let gather = |grid, window| Gather::Patches { grid, window };
        let three = Grid { height: 3, width: 1 };
        let part = gather(three, Window::square(1, 1, 0));
        refused("a part of an image", backend.product(&a, &w, &part))?;
        let four = Grid { height: 2, width: 2 };
        let large = gather(four, Window::square(3, 1, 0));
        refused("a window above its grid", backend.product(&a, &code(3, 576)?, &large))?;
        let still = gather(four, Window::square(1, 0, 0));
        refused("a stride of 0", backend.product(&a, &w, &still))?;
        let cuts = backend.put(Array2::zeros((2, 3)).view())?;
        let sign = Levels::sign();
        let cut = backend.product_cut(&a, &w, &Gather::Rows, &cuts, &sign);
        refused("two cuts for a sign", cut)?;
        let cuts = backend.put(Array2::zeros((1, 2)).view())?;
        let cut = backend.product_cut(&a, &w, &Gather::Rows, &cuts, &sign);
        refused("cuts for two of three outputs", cut)
    });
}

/// Draws both operands of a product.
pub(super) fn operands(
    (gather, rows, depth): (Gather, usize, usize),
    outputs: usize,
    (a, w): (Kind, Kind),
    dice: &mut Dice,
) -> (Gather, HostCode, HostCode) {
    (gather, dice.code(a, rows, depth), dice.code(w, outputs, gather.taps() * depth))
}

fn levels() -> impl Strategy<Value = Levels> {
    let steps = |weights: &[i32]| Levels { scale: 0.5, form: Form::Steps(weights.to_vec()) };
    let binary = Levels { scale: 1.0 / 3.0, form: Form::Binary { planes: 2 } };
    prop_oneof![Just(Levels::sign()), Just(steps(&[1, 1])), Just(steps(&[2, 1, 4])), Just(binary)]
}

/// Ascending cuts for each output: sums that occur, halves beside them, and infinities.
fn cuts(sums: &Matrix, count: usize, dice: &mut Dice) -> Matrix {
    let mut cuts = Array2::zeros((count, sums.ncols()));
    for (mut column, sums) in cuts.columns_mut().into_iter().zip(sums.columns()) {
        let picks = dice.real(2, count);
        let mut drawn: Vec<f32> = (0..count)
            .map(|at| match picks[[0, at]] {
                x if x < -1.9 => f32::NEG_INFINITY,
                x if x > 1.9 => f32::INFINITY,
                x => {
                    let row = (picks[[1, at]] * 64.0 + 128.0) as usize % sums.len();
                    sums[row] + (x * 2.0).round() / 2.0
                }
            })
            .collect();
        drawn.sort_by(f32::total_cmp);
        column.assign(&ndarray::Array1::from(drawn));
    }
    cuts
}
