//! The core's own definitions, which no backend computes, against literal values.

use std::collections::BTreeSet;

use proptest::prop_assert_eq;
use proptest::test_runner::TestCaseResult;

use bnn_core::fold::{Cuts, Evaluation};
use bnn_core::scalar::{ap2, hard_sigmoid};
use bnn_core::{BYTE_SCALE, Matrix, Optimizer, Quant, Reference};

use crate::cases::{golden, steps};
use crate::check::same;
use crate::table::reads::unread;
use crate::table::{Table, each, parse};

#[test]
fn thresholds_decide_as_written() {
    let file = parse(include_str!("../golden/threshold.json"));
    each("threshold", Table(&file).tables("cases"), |case| {
        let bound = case.size("sums") as i32;
        let sums =
            Matrix::from_shape_fn((1, 2 * bound as usize + 1), |(_, at)| at as f32 - bound as f32);
        compare(case, 1.0, bound)?;
        same("signs", &decide(case, 1.0, bound, &sums), &case.row("signs"))
    });
    each("threshold, bytes", Table(&file).tables("byte_inputs"), |case| {
        let bound = 255 * case.size("inputs") as i32;
        let sums = case.row("probe_sums");
        compare(case, BYTE_SCALE, bound)?;
        same("signs", &decide(case, BYTE_SCALE, bound, &sums), &case.row("probe_signs"))
    });
}

/// The folded threshold is the one written: the first sum at which the sign changes, held to one beyond
/// the sums there are.
fn compare(case: Table<'_>, scale: f32, bound: i32) -> TestCaseResult {
    let cuts = fold(case, scale, bound);
    let held = |cut: i32| cut.clamp(-bound, bound + 1);
    let want = match case.text("compare") {
        "ge" => (held(case.number("threshold") as i32), false),
        "le" => (held(case.number("threshold") as i32 + 1), true),
        "always" => (-bound, false),
        _ => (bound + 1, false),
    };
    prop_assert_eq!((cuts.at[[0, 0]] as i32, cuts.inverted[0]), want);
    Ok(())
}

/// What the folded threshold makes of sums.
fn decide(case: Table<'_>, scale: f32, bound: i32, sums: &Matrix) -> Matrix {
    let cuts = fold(case, scale, bound);
    sums.mapv(|sum| if (sum >= cuts.at[[0, 0]]) != cuts.inverted[0] { 1.0 } else { -1.0 })
}

fn fold(case: Table<'_>, scale: f32, bound: i32) -> Cuts {
    let number = |name| case.number(name) as f32;
    let (mean, gain, beta) = (number("mean"), number("gamma") * number("inv_std"), number("beta"));
    let quant = &Quant::sign();
    let evaluation = Evaluation { scale, mean: &[mean], gain: &[gain], beta: &[beta], quant };
    evaluation.fold(bound)
}

#[test]
fn step_sizes_are_as_written() {
    let file = parse(include_str!("../golden/shift_adamax.json"));
    let rate = Table(&file).tables("cases").next().expect("a case").number("learning_rate");
    each("shift_adamax, step sizes", Table(&file).tables("step_sizes"), |case| {
        let step_size = Optimizer::shift_adamax().step_size(rate, case.number("step") as u64);
        prop_assert_eq!(step_size, case.number("rounded") as f32);
        prop_assert_eq!(ap2(case.number("exact") as f32), case.number("rounded") as f32);
        Ok(())
    });
}

/// A field that no test reads expects nothing of anybody.
#[test]
fn every_field_is_read() {
    thresholds_decide_as_written();
    step_sizes_are_as_written();
    scalars_are_as_written();
    logarithmic_codes_are_clipped_powers_of_two();
    let backend = &Reference;
    golden::signs(backend);
    golden::dense(backend);
    golden::convolution(backend);
    golden::first_layer(backend);
    golden::bit_planes(backend);
    golden::linear_codes(backend);
    golden::product_gradients(backend);
    golden::straight_through(backend);
    golden::max_pool(backend);
    golden::batch_norm(backend);
    golden::shift_norm(backend);
    golden::adam(backend);
    golden::shift_adamax(backend);
    golden::hinge(backend);
    steps::mlp_steps(backend);
    steps::convnet_steps(backend);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is here") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path).expect("a text");
            assert_eq!(unread(&parse(&text)), BTreeSet::new(), "{}", path.display());
            files += 1;
        }
    }
    assert_eq!(files, 14);
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
