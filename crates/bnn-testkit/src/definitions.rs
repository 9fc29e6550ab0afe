//! The core's own definitions, which no backend computes, against literal values.

use proptest::prop_assert_eq;

use bnn_core::fold::Evaluation;
use bnn_core::scalar::{ap2, hard_sigmoid};
use bnn_core::{BYTE_SCALE, Matrix, Quant};

use crate::check::same;
use crate::table::{Table, each, parse};

#[test]
fn thresholds_decide_as_written() {
    let file = parse(include_str!("../golden/threshold.json"));
    each("threshold", Table(&file).tables("cases"), |case| {
        let bound = case.size("sums") as i32;
        let sums =
            Matrix::from_shape_fn((1, 2 * bound as usize + 1), |(_, at)| at as f32 - bound as f32);
        same("signs", &decide(case, 1.0, bound, &sums), &case.row("signs"))
    });
    each("threshold, bytes", Table(&file).tables("byte_inputs"), |case| {
        let bound = 255 * case.size("inputs") as i32;
        let sums = case.row("probe_sums");
        same("signs", &decide(case, BYTE_SCALE, bound, &sums), &case.row("probe_signs"))
    });
}

/// What the folded threshold makes of sums.
fn decide(case: Table<'_>, scale: f32, bound: i32, sums: &Matrix) -> Matrix {
    let number = |name| case.number(name) as f32;
    let (mean, gain, beta) = (number("mean"), number("gamma") * number("inv_std"), number("beta"));
    let quant = &Quant::sign();
    let evaluation = Evaluation { scale, mean: &[mean], gain: &[gain], beta: &[beta], quant };
    let cuts = evaluation.fold(bound);
    sums.mapv(|sum| if (sum >= cuts.at[[0, 0]]) != cuts.inverted[0] { 1.0 } else { -1.0 })
}

#[test]
fn scalars_are_as_written() {
    let file = parse(include_str!("../golden/scalars.json"));
    let pairs =
        ["ap2", "ap2_near_midpoints"].into_iter().flat_map(|name| Table(&file).tables(name));
    each("scalars, ap2", pairs, |pair| {
        prop_assert_eq!(ap2(pair.number("x") as f32), pair.number("y") as f32);
        Ok(())
    });
    each("scalars, hard sigmoid", std::iter::once(Table(&file).table("hard_sigmoid")), |case| {
        same("y", &case.row("x").mapv(hard_sigmoid), &case.row("y"))
    });
    each("scalars, stochastic", std::iter::once(Table(&file).table("stochastic")), |case| {
        let probability = case.row("x").mapv(hard_sigmoid);
        same("probability", &probability, &case.row("probability"))?;
        let sign = |(u, p): (&f32, &f32)| if u < p { 1.0 } else { -1.0 };
        let signs: Vec<f32> = case.row("u").iter().zip(&probability).map(sign).collect();
        prop_assert_eq!(signs, case.row("y").into_raw_vec_and_offset().0);
        Ok(())
    });
}

#[test]
fn logarithmic_codes_are_clipped_powers_of_two() {
    let file = parse(include_str!("../golden/quant.json"));
    each("quant, logarithmic", Table(&file).tables("logarithmic"), |case| {
        let (min, max) = (case.number("min") as f32, case.number("max") as f32);
        same("y", &case.row("x").mapv(|x| ap2(x).clamp(min, max)), &case.row("y"))
    });
}
