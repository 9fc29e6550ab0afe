//! The suite finds faults: each backend here has one, and the property that it breaks fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bnn_core::{
    BinaryBackend, BitMatrix, Clock, Draw, Gather, Gradient, Grid, HostCode, Levels, Matrix,
    MatrixView, Norm, Param, Planes, Quant, Reference, Result, Rule, Running, TrainBackend,
    Updated, Window, reference,
};
use bnn_testkit::cases;

/// What is wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Nothing: the wrapper itself is sound.
    None,
    /// The last entry of every product is off by 2.
    Product,
    /// Pooling takes the smallest sign: AND of the bits.
    Pool,
    /// Signs are +1 above 0 only.
    Encode,
    /// Holes are forgotten on the way to the device.
    Holes,
    /// A cut is crossed only above it.
    Cut,
    /// Evaluation fuses the multiplication with the addition.
    Fused,
    /// The gradient passes at any magnitude.
    Range,
    /// Latent weights are not clipped.
    Clip,
}

struct Faulty(Fault);

impl BinaryBackend for Faulty {
    type Real = Matrix;
    type Code = Planes;

    fn name(&self) -> String {
        "faulty".into()
    }

    fn put(&self, x: MatrixView<'_>) -> Result<Matrix> {
        Reference.put(x)
    }

    fn get(&self, x: &Matrix) -> Result<Matrix> {
        Reference.get(x)
    }

    fn put_code(&self, x: &HostCode) -> Result<Planes> {
        let code = Reference.put_code(x)?;
        Ok(if self.0 == Fault::Holes { Planes { mask: None, ..code } } else { code })
    }

    fn get_code(&self, x: &Planes) -> Result<HostCode> {
        Reference.get_code(x)
    }

    fn encode(&self, x: &Matrix, quant: &Quant, draw: Option<Draw<'_, Self>>) -> Result<Planes> {
        let draw = draw.map(|draw| Draw { clock: draw.clock, stream: draw.stream });
        let above =
            Quant { cuts: quant.cuts.iter().map(|cut| cut.next_up()).collect(), ..quant.clone() };
        let quant = if self.0 == Fault::Encode { &above } else { quant };
        Reference.encode(x, quant, draw)
    }

    fn product(&self, a: &Planes, w: &Planes, gather: &Gather) -> Result<Matrix> {
        let mut y = Reference.product(a, w, gather)?;
        if self.0 == Fault::Product {
            y.iter_mut().last().into_iter().for_each(|y| *y += 2.0);
        }
        Ok(y)
    }

    fn product_cut(
        &self,
        a: &Planes,
        w: &Planes,
        gather: &Gather,
        cuts: &Matrix,
        levels: &Levels,
    ) -> Result<Planes> {
        let above = cuts.mapv(f32::next_up);
        let cuts = if self.0 == Fault::Cut { &above } else { cuts };
        Reference.product_cut(a, w, gather, cuts, levels)
    }

    fn pool(&self, x: &Planes, grid: Grid, window: Window) -> Result<Planes> {
        if self.0 != Fault::Pool {
            return Reference.pool(x, grid, window);
        }
        Ok(inverse(reference::pool(&inverse(x.clone()), grid, window)?))
    }
}

impl TrainBackend for Faulty {
    fn norm_eval(
        &self,
        x: &Matrix,
        gamma: &Matrix,
        beta: &Matrix,
        running: &Running<Self>,
        norm: &Norm,
    ) -> Result<Matrix> {
        let want = reference::norm_eval(x, gamma, beta, (&running.mean, &running.spread), norm)?;
        let fused = |(row, col)| {
            let at = [0, col];
            let gain = norm.gain(gamma[at], running.spread[at]);
            (x[[row, col]] - running.mean[at]).mul_add(gain, beta[at])
        };
        let broken = self.0 == Fault::Fused;
        Ok(if broken { Matrix::from_shape_fn(x.dim(), fused) } else { want })
    }

    fn pass_through(
        &self,
        dy: &Matrix,
        x: &Matrix,
        code: &Planes,
        quant: &Quant,
    ) -> Result<Matrix> {
        let range = if self.0 == Fault::Range { f32::INFINITY } else { quant.range };
        reference::pass_through(dy, x, code, &Quant { range, ..quant.clone() })
    }

    fn update(
        &self,
        param: &mut Param<Self>,
        gradient: Gradient<'_, Self>,
        rule: &Rule,
        quant: Option<&Quant>,
        clock: &Matrix,
    ) -> Result<Updated<Self>> {
        let gradient = match gradient {
            Gradient::Ready(gradient) => gradient.clone(),
            Gradient::Product { dy, a, gather } => self.product_grad_weight(dy, a, gather)?,
        };
        let step_size = Clock::from_row(clock.view())?.step_size;
        let rule = Rule { clip: rule.clip && self.0 != Fault::Clip, ..*rule };
        let mut state = [param.value.clone(), param.m.clone(), param.v.clone()];
        let (code, tally) = reference::update(&mut state, &gradient, &rule, quant, step_size)?;
        let [value, m, v] = state;
        *param = Param { value, m, v };
        Ok(Updated { code, tally })
    }
}

#[test]
fn the_sound_wrapper_passes() {
    bnn_testkit::check_inference(&Faulty(Fault::None));
    bnn_testkit::check_training(&Faulty(Fault::None));
}

#[test]
fn a_fused_evaluation_is_found() {
    assert!(fails(Fault::Fused, cases::norm::norm_eval));
}

#[test]
fn a_gradient_beyond_the_range_is_found() {
    assert!(fails(Fault::Range, cases::gradient::pass_through));
    assert!(fails(Fault::Range, cases::golden::straight_through));
    assert!(fails(Fault::Range, cases::steps::mlp_steps));
}

#[test]
fn weights_beyond_the_clip_are_found() {
    assert!(fails(Fault::Clip, cases::update::update));
    assert!(fails(Fault::Clip, cases::update::update_from_product));
    assert!(fails(Fault::Clip, cases::golden::adam));
}

#[test]
fn a_product_off_by_two_is_found() {
    assert!(fails(Fault::Product, cases::product::product));
    assert!(fails(Fault::Product, cases::product::product_of_bytes));
    assert!(fails(Fault::Product, cases::golden::dense));
    assert!(fails(Fault::Product, cases::golden::convolution));
}

#[test]
fn the_smallest_of_a_window_is_found() {
    assert!(fails(Fault::Pool, cases::pool::pool));
}

#[test]
fn a_sign_of_zero_that_is_minus_one_is_found() {
    assert!(fails(Fault::Encode, cases::coding::encode));
    assert!(fails(Fault::Encode, cases::golden::signs));
}

#[test]
fn forgotten_holes_are_found() {
    assert!(fails(Fault::Holes, cases::coding::codes_round_trip));
    assert!(fails(Fault::Holes, cases::product::product));
}

#[test]
fn a_cut_that_is_not_crossed_at_equality_is_found() {
    assert!(fails(Fault::Cut, cases::product::product_cut));
}

/// Whether the property fails on a backend with the fault.
fn fails(fault: Fault, property: fn(&Faulty)) -> bool {
    catch_unwind(AssertUnwindSafe(|| property(&Faulty(fault)))).is_err()
}

/// The code with every sign turned.
fn inverse(code: Planes) -> Planes {
    let turn = |bits: BitMatrix| {
        BitMatrix::from_fn(bits.rows(), bits.cols(), |row, col| !bits.get(row, col))
    };
    let planes = code.planes.into_iter().map(|(weight, bits)| (weight, turn(bits))).collect();
    Planes { planes, ..code }
}
