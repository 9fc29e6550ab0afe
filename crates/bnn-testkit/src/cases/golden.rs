//! Literal values from an independent implementation in double precision; the README of the folder
//! `golden` describes them.
//!
//! Bounds: integers and signs are equal; any other number lies within 1e-5 of the largest magnitude
//! in its list.

use ndarray::{Axis, Slice};
use proptest::prop_assert_eq;
use proptest::test_runner::{TestCaseError, TestCaseResult};

use bnn_core::{
    BinaryBackend, BitMatrix, Clock, Gather, Gradient, Grid, HostCode, Key, Loss, Matrix, Norm,
    Operand, Optimizer, Param, Planes, Quant, Result, Rule, Running, Spread, TrainBackend, Window,
    reference, scalar::ap2,
};

use crate::check::same;
use crate::table::{Table, each, near, parse};

const DENSE: &str = include_str!("../../golden/dense.json");
const CONV: &str = include_str!("../../golden/conv.json");
const QUANT: &str = include_str!("../../golden/quant.json");
const SCALARS: &str = include_str!("../../golden/scalars.json");

/// Signs of a list of numbers, both zeros among them.
pub fn signs<B: BinaryBackend>(backend: &B) {
    let file = parse(SCALARS);
    each("scalars", std::iter::once(Table(&file).table("sign")), |case| {
        let got = backend.encode(&backend.put(case.row("x").view())?, &Quant::sign(), None)?;
        let got = backend.get_code(&got)?.into_planes().integers()?;
        same("signs", &got.mapv(|sign| sign as f32), &case.row("y"))
    });
}

/// Dense products of signs, of 5 to 130 inputs.
pub fn dense<B: BinaryBackend>(backend: &B) {
    each("dense", Table(&parse(DENSE)).tables("cases"), |case| product(backend, case, "x", "y"));
}

/// Convolutions of signs, with strides and padding.
pub fn convolution<B: BinaryBackend>(backend: &B) {
    each("conv", Table(&parse(CONV)).tables("cases"), |case| product(backend, case, "x", "y"));
}

/// Products of bytes and signs: their sums, 255 times the product.
pub fn first_layer<B: BinaryBackend>(backend: &B) {
    let file = parse(include_str!("../../golden/first_layer.json"));
    let cases = Table(&file).tables("dense").chain(Table(&file).tables("conv"));
    each("first_layer", cases, |case| {
        let (gather, depth, outputs) = geometry(case);
        let bytes = case.bytes("input_bytes", depth);
        let w = backend.put_code(&case.signs("weights", gather.taps() * depth))?;
        let y = backend.get(&backend.product(&backend.put_code(&bytes)?, &w, &gather)?)?;
        near("y", &y, &case.matrix("y", outputs))?;
        same("sums", &y.mapv(|y| (y * 255.0).round() + 0.0), &case.matrix("sums", outputs))?;
        if !case.has("plane_dots") {
            return Ok(());
        }
        let (dots, images) = (case.matrix("plane_dots", outputs), y.nrows());
        for (plane, (_, signs)) in bytes.into_planes().planes.into_iter().enumerate() {
            let x = backend.put_code(&HostCode::binary(signs))?;
            let rows = Slice::from(plane * images..(plane + 1) * images);
            let got = backend.get(&backend.product(&x, &w, &gather)?)?;
            same("plane_dots", &got, &dots.slice_axis(Axis(0), rows).to_owned())?;
        }
        Ok(())
    });
}

/// Products of k-bit integers from their planes: unsigned, in two's complement, and as signs.
pub fn bit_planes<B: BinaryBackend>(backend: &B) {
    each("quant, products", Table(&parse(QUANT)).tables("products"), |case| {
        let (left, right) = case
            .text("scheme")
            .split_once(" x ")
            .unwrap_or((case.text("scheme"), case.text("scheme")));
        let operand = |name: &str, scheme, fields| {
            let code = backend.put_code(&integers(case, scheme, fields))?;
            let planes = backend.get_code(&code)?.into_planes();
            let got = planes.integers()?.mapv(|integer| integer as f32 * planes.scale);
            same(name, &got, &case.row(name))?;
            Ok::<_, TestCaseError>(code)
        };
        let a = operand("a", left, ["planes_a", "plane_weights_a"])?;
        let b = operand("b", right, ["planes_b", "plane_weights_b"])?;
        let dot = backend.get(&backend.product(&a, &b, &Gather::Rows)?)?;
        same("dot", &dot, &ndarray::arr2(&[[case.number("dot") as f32]]))
    });
}

/// Linear k-bit codes as numbers of crossed cuts; ties round away from zero.
pub fn linear_codes<B: BinaryBackend>(backend: &B) {
    each("quant, linear", Table(&parse(QUANT)).tables("linear"), |case| {
        let bits = case.size("bits") as u32;
        let half = 1 << (bits - 1);
        let cut = |code: i32| {
            let tie = (code as f32 - 0.5) / half as f32;
            if tie < 0.0 { tie.next_up() } else { tie }
        };
        let cuts = (1 - half..half).map(cut).collect();
        let quant = Quant { cuts, ..Quant::uniform(bits)? };
        for (x, codes) in [("x", "codes"), ("ties_x", "ties_codes")] {
            let code = backend.encode(&backend.put(case.row(x).view())?, &quant, None)?;
            let odd = backend.get_code(&code)?.into_planes().integers()?;
            same(codes, &odd.mapv(|odd| ((odd - 1) / 2) as f32), &case.row(codes))?;
        }
        Ok(())
    });
}

/// Integers as planes: bits of 0 and 1 are half a sign and half a plane of ones.
fn integers(case: Table<'_>, scheme: &str, [planes, weights]: [&str; 2]) -> HostCode {
    let (bits, weights) = (case.matrix(planes, case.size("length")), case.row(weights));
    let plane = |row: ndarray::ArrayView1<'_, f32>| {
        BitMatrix::from_fn(1, row.len(), |_, at| row[at] == 1.0)
    };
    let mut planes: Vec<_> =
        weights.iter().zip(bits.rows()).map(|(&weight, row)| (weight as i32, plane(row))).collect();
    if scheme == "signs" {
        return HostCode::Planes(Planes { scale: 1.0, planes, mask: None });
    }
    planes.push((weights.sum() as i32, BitMatrix::from_fn(1, bits.ncols(), |_, _| true)));
    HostCode::Planes(Planes { scale: 0.5, planes, mask: None })
}

/// Gradients of the products of [`dense`] and [`convolution`].
pub fn product_gradients<B: TrainBackend>(backend: &B) {
    let (dense, conv) = (parse(DENSE), parse(CONV));
    let cases = Table(&dense).tables("cases").chain(Table(&conv).tables("cases"));
    each("dense and conv", cases, |case| {
        let (gather, depth, outputs) = geometry(case);
        let x = backend.put_code(&case.signs("x", depth))?;
        let w = backend.put_code(&case.signs("weights", gather.taps() * depth))?;
        let dy = backend.put(case.matrix("grad_y", outputs).view())?;
        let got = backend.get(&backend.product_grad_input(&dy, Operand::Code(&w), &gather)?)?;
        near("grad_x", &got, &case.matrix("grad_x", depth))?;
        let got = backend.get(&backend.product_grad_weight(&dy, Operand::Code(&x), &gather)?)?;
        near("grad_weights", &got, &case.matrix("grad_weights", gather.taps() * depth))
    });
}

/// The straight-through estimator, at both ends of its range among others.
pub fn straight_through<B: TrainBackend>(backend: &B) {
    let file = parse(SCALARS);
    each("scalars", std::iter::once(Table(&file).table("straight_through")), |case| {
        let x = backend.put(case.row("x").view())?;
        let code = backend.encode(&x, &Quant::sign(), None)?;
        let dy = backend.put(case.row("grad_output").view())?;
        let got = backend.get(&backend.pass_through(&dy, &x, &code, &Quant::sign())?)?;
        near("grad_input", &got, &case.row("grad_input"))
    });
}

/// Max-pooling with ties, incomplete windows and overlaps, and its gradient.
pub fn max_pool<B: TrainBackend>(backend: &B) {
    let file = parse(include_str!("../../golden/pool.json"));
    each("pool", Table(&file).tables("cases"), |case| {
        let [height, width, channels] = case.shape("x");
        let grid = Grid { height, width };
        let window = Window::square(case.size("kernel"), case.size("stride"), 0);
        let x = backend.put(case.matrix("x", channels).view())?;
        let pooled = backend.max_pool(&x, grid, window)?;
        same("y", &backend.get(&pooled.y)?, &case.matrix("y", channels))?;
        same("tap", &backend.get(&pooled.taps)?, &case.matrix("tap", channels))?;
        let dy = backend.put(case.matrix("grad_y", channels).view())?;
        let got = backend.get(&backend.max_pool_grad(&dy, &pooled.taps, grid, window)?)?;
        near("grad_x", &got, &case.matrix("grad_x", channels))
    });
    each("pool, norm, sign", Table(&file).tables("pool_norm_sign"), |case| {
        let [height, width, channels] = case.shape("x");
        let x = backend.put(case.matrix("x", channels).view())?;
        let window = Window::square(2, 2, 0);
        let pooled = backend.max_pool(&x, Grid { height, width }, window)?;
        for (name, x) in [("signs_before_pool", &x), ("y", &pooled.y)] {
            let y = evaluated(backend, case, x)?;
            let signs = backend.get_code(&backend.encode(&y, &Quant::sign(), None)?)?;
            let signs = signs.into_planes().integers()?.mapv(|sign| sign as f32);
            same(name, &signs, &case.matrix(name, channels))?;
        }
        Ok(())
    });
}

/// A norm in evaluation, by the statistics of a case.
fn evaluated<B: TrainBackend>(backend: &B, case: Table<'_>, x: &B::Real) -> Result<B::Real> {
    let norm = Norm { eps: 0.0, momentum: 0.0, running: Spread::InverseDeviation, shift: false };
    let put = |name| backend.put(case.row(name).view());
    let running = Running { mean: put("mean")?, spread: put("inv_std")? };
    backend.norm_eval(x, &put("gamma")?, &put("beta")?, &running, &norm)
}

/// Batch normalization in training and evaluation, and its gradients.
pub fn batch_norm<B: TrainBackend>(backend: &B) {
    let file = parse(include_str!("../../golden/batchnorm.json"));
    each("batchnorm", Table(&file).tables("cases"), |case| normalization(backend, case, false));
}

/// Shift-based batch normalization, as the published code has it.
pub fn shift_norm<B: TrainBackend>(backend: &B) {
    let file = parse(include_str!("../../golden/shift_norm.json"));
    each("shift_norm", Table(&file).tables("cases"), |case| normalization(backend, case, true));
}

/// Five steps of Adam, with the clip of latent weights and without.
pub fn adam<B: TrainBackend>(backend: &B) {
    let file = parse(include_str!("../../golden/adam.json"));
    each("adam", Table(&file).tables("cases"), |case| {
        let (beta1, beta2) = (case.number("beta1"), case.number("beta2"));
        let eps = case.number("eps") as f32;
        moves(backend, case, Optimizer::Adam { beta1, beta2, eps })
    });
}

/// Six steps of shift-based AdaMax, with the constants of the published code and of the paper.
pub fn shift_adamax<B: TrainBackend>(backend: &B) {
    let file = parse(include_str!("../../golden/shift_adamax.json"));
    each("shift_adamax", Table(&file).tables("cases"), |case| {
        let (beta1, beta2) = (case.number("beta1"), case.number("beta2"));
        let eps = case.number("eps") as f32;
        let written_back = case.text("second_moment") == "written back";
        let optimizer = Optimizer::ShiftAdaMax { beta1, beta2, eps, written_back };
        let known = [Optimizer::shift_adamax(), Optimizer::shift_adamax_paper()];
        let known = known[usize::from(case.text("constants") == "paper")];
        let Optimizer::ShiftAdaMax { beta1, beta2, eps, .. } = known else { unreachable!() };
        prop_assert_eq!(optimizer, Optimizer::ShiftAdaMax { beta1, beta2, eps, written_back });
        moves(backend, case, optimizer)
    });
}

/// The squared hinge, its gradient and its errors, with scores on the margin.
pub fn hinge<B: TrainBackend>(backend: &B) {
    let file = parse(include_str!("../../golden/hinge.json"));
    each("hinge", Table(&file).tables("cases"), |case| {
        let labels = case.matrix("labels", 1);
        let [classes] = case.shape("scores");
        let scores = case.matrix("scores", classes);
        let [there, labels_there] = [backend.put(scores.view())?, backend.put(labels.view())?];
        let got = backend.loss(&there, &labels_there, Loss::SquaredHinge)?;
        near("grad_scores", &backend.get(&got.grad)?, &case.matrix("grad_scores", scores.ncols()))?;
        let tally = backend.get(&got.tally)?;
        let sum = (case.number("loss") * labels.len() as f64) as f32;
        near("loss", &ndarray::arr2(&[[tally[[0, 0]]]]), &ndarray::arr2(&[[sum]]))?;
        let errors = ndarray::arr2(&[[case.number("errors") as f32]]);
        same("errors", &ndarray::arr2(&[[tally[[0, 1]]]]), &errors)
    });
}

/// Gather, channels and outputs of a product.
fn geometry(case: Table<'_>) -> (Gather, usize, usize) {
    if !case.has("kernel") {
        return (Gather::Rows, case.size("inputs"), case.size("outputs"));
    }
    let grid = Grid { height: case.size("height"), width: case.size("width") };
    let window = Window::square(case.size("kernel"), case.size("stride"), case.size("pad"));
    (Gather::Patches { grid, window }, case.size("channels"), case.size("filters"))
}

fn product<B: BinaryBackend>(backend: &B, case: Table<'_>, x: &str, y: &str) -> TestCaseResult {
    let (gather, depth, outputs) = geometry(case);
    let x = backend.put_code(&case.signs(x, depth))?;
    let w = backend.put_code(&case.signs("weights", gather.taps() * depth))?;
    same("y", &backend.get(&backend.product(&x, &w, &gather)?)?, &case.matrix(y, outputs))
}

fn normalization<B: TrainBackend>(backend: &B, case: Table<'_>, shift: bool) -> TestCaseResult {
    let momentum = case.number(if shift { "momentum" } else { "alpha" }) as f32;
    let eps = case.number("eps") as f32;
    let norm = Norm { eps, momentum, running: Spread::InverseDeviation, shift };
    let put = |matrix: Matrix| backend.put(matrix.view());
    let [gamma, beta] = [put(case.row("gamma"))?, put(case.row("beta"))?];
    let channels = case.row("gamma").len();
    let x = put(case.matrix("x", channels))?;
    let mut running = running(backend, case)?;
    let near = |name: &str, got: &B::Real| {
        near(name, &backend.get(got)?, &case.matrix(name, backend.get(got)?.ncols()))
    };
    if !shift {
        near("y_eval_before", &backend.norm_eval(&x, &gamma, &beta, &running, &norm)?)?;
    }
    let normed = backend.norm(&x, &gamma, &beta, &mut running, &norm)?;
    near("y", &normed.y)?;
    near("batch_mean", &normed.mean)?;
    near("batch_inv_std", &normed.inverse_deviation)?;
    near("running_mean_after", &running.mean)?;
    near("running_inv_std_after", &running.spread)?;
    near("y_eval_after", &backend.norm_eval(&x, &gamma, &beta, &running, &norm)?)?;
    let dy = put(case.matrix("grad_y", channels))?;
    let grad = backend.norm_grad(&dy, &x, &gamma, &normed, &norm)?;
    near("grad_x", &grad.x)?;
    near("grad_gamma", &grad.gamma)?;
    near("grad_beta", &grad.beta)?;
    plain_normalization(backend, case, &x, &norm)
}

/// The same norm with gains of 1 and offsets of 0, and the variance that it finds.
fn plain_normalization<B: TrainBackend>(
    backend: &B,
    case: Table<'_>,
    x: &B::Real,
    norm: &Norm,
) -> TestCaseResult {
    let [ones, zeros] = [1.0, 0.0].map(|value| case.row("gamma").mapv(|_| value));
    let [ones, zeros] = [backend.put(ones.view())?, backend.put(zeros.view())?];
    let normed = backend.norm(x, &ones, &zeros, &mut running(backend, case)?, norm)?;
    let xhat = backend.get(&normed.y)?;
    near("xhat", &xhat, &case.matrix("xhat", xhat.ncols()))?;
    if norm.shift {
        let inverse = backend.get(&normed.inverse_deviation)?;
        near("scale", &inverse.mapv(|inverse| norm.batch_gain(1.0, inverse)), &case.row("scale"))?;
    }
    let mut last = running(backend, case)?;
    let variance = Norm { momentum: 1.0, running: Spread::Variance, ..*norm };
    backend.norm(x, &ones, &zeros, &mut last, &variance)?;
    let biased = (xhat.nrows() - 1) as f32 / xhat.nrows() as f32;
    near("batch_var", &(backend.get(&last.spread)? * biased), &case.row("batch_var"))
}

/// The running statistics that a case begins with.
fn running<B: TrainBackend>(backend: &B, case: Table<'_>) -> Result<Running<B>> {
    let put = |name| backend.put(case.row(name).view());
    Ok(Running { mean: put("running_mean")?, spread: put("running_inv_std")? })
}

fn moves<B: TrainBackend>(backend: &B, case: Table<'_>, optimizer: Optimizer) -> TestCaseResult {
    let rule = Rule { optimizer, scale: case.number("scale") as f32, clip: case.flag("clip") };
    let start = case.row("start");
    let zeros = || backend.put((&start * 0.0).view());
    let mut param = Param { value: backend.put(start.view())?, m: zeros()?, v: zeros()? };
    for (step, want) in (1..).zip(case.tables("steps")) {
        let step_size = optimizer.step_size(case.number("learning_rate"), step);
        let clock = backend.put(Clock { step_size, key: Key::new(0, step) }.to_row().view())?;
        let gradient = backend.put(want.row("grad").view())?;
        let quant = Quant::sign();
        let ready = Gradient::Ready(&gradient);
        let updated = backend.update(&mut param, ready, &rule, Some(&quant), &clock)?;
        let value = backend.get(&param.value)?;
        near("m", &backend.get(&param.m)?, &want.row("m"))?;
        let v = backend.get(&param.v)?;
        near("v", &v, &want.row("v"))?;
        if let Optimizer::ShiftAdaMax { eps, written_back, .. } = optimizer {
            let divisor = if written_back { v } else { v.mapv(|u| ap2(u) + eps) };
            near("divisor", &divisor, &want.row("divisor"))?;
            prop_assert_eq!(step_size, want.number("step") as f32);
        }
        near("parameters", &value, &want.row("parameters"))?;
        let code = updated.code.map(|code| backend.get_code(&code)).transpose()?;
        let signs = reference::encode(&value, &quant, None)?;
        prop_assert_eq!(code.map(|code| code.into_planes()), Some(signs));
    }
    Ok(())
}
