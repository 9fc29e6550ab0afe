//! Updates of parameters: values within 1e-6 of the magnitudes they are made of, codes exactly.

use ndarray::{Array2, Zip};
use proptest::prelude::*;

use bnn_core::{
    Clock, Gradient, Key, Matrix, Operand, Optimizer, Param, Quant, Rule, TrainBackend, Updated,
    reference,
};

use crate::check::{close, forall, once, refused, share_of};
use crate::samples::{Dice, Kind, gathers, outputs, quants};

/// Step size of every sample: large enough that some values reach the clip.
const STEP_SIZE: f32 = 0.01;

/// One step from a gradient that is ready.
pub fn update<B: TrainBackend>(backend: &B) {
    let quants = prop_oneof![Just(None), quants().prop_map(Some)];
    let sizes = (1usize..=9, outputs());
    forall((rules(), quants, sizes, any::<u64>()), |(rule, quant, (rows, cols), seed)| {
        let sample = Sample::draw(rows, cols, rule, quant, seed);
        let gradient = Dice::new(!seed).real(rows, cols).mapv(|g| g / 3.0);
        let there = backend.put(gradient.view())?;
        sample.check(backend, Gradient::Ready(&there), &gradient)
    });
}

/// One step from a gradient that is still a product of a gradient and signs; the sums are exact in
/// f32, so that the bounds are those of [`update`].
pub fn update_from_product<B: TrainBackend>(backend: &B) {
    let rules = (rules(), quants());
    forall((rules, gathers(), outputs(), any::<u64>()), |(rules, place, outputs, seed)| {
        let ((rule, quant), (gather, rows, depth)) = (rules, place);
        let cols = gather.taps() * depth;
        let sample = Sample::draw(outputs, cols, rule, Some(quant), seed);
        let mut dice = Dice::new(!seed);
        let a = dice.code(Kind::Signs, rows, depth);
        let dy = dice.real(gather.out_rows(rows)?, outputs);
        let (a_there, dy_there) = (backend.put_code(&a)?, backend.put(dy.view())?);
        let host = bnn_core::HostOperand::Code(a.into_planes());
        let gradient = reference::product_grad_weight(&dy, &host, &gather)?;
        let operand = Operand::Code(&a_there);
        let product = Gradient::Product { dy: &dy_there, a: operand, gather: &gather };
        sample.check(backend, product, &gradient)
    });
}

/// A gradient, state or clock of another shape is refused.
pub fn update_refusals<B: TrainBackend>(backend: &B) {
    once(|| {
        let rule = Rule { optimizer: Optimizer::adam(), scale: 1.0, clip: true };
        let sample = Sample::draw(3, 5, rule, None, 0);
        let mut param = sample.put(backend)?;
        let clock = backend.put(clock().to_row().view())?;
        let other = backend.put(Array2::zeros((5, 3)).view())?;
        let ready = Gradient::Ready(&other);
        refused("a turned gradient", backend.update(&mut param, ready, &rule, None, &clock))?;
        let fitting = backend.put(Array2::zeros((3, 5)).view())?;
        let ready = Gradient::Ready(&fitting);
        refused("a clock of 5 by 3", backend.update(&mut param, ready, &rule, None, &other))?;
        param.m = other;
        let ready = Gradient::Ready(&fitting);
        refused("a turned moment", backend.update(&mut param, ready, &rule, None, &clock))
    });
}

/// A parameter and how it moves.
struct Sample {
    state: [Matrix; 3],
    rule: Rule,
    quant: Option<Quant>,
}

impl Sample {
    /// Latent values in [-1, 1] with ties at 0 and at the clip; moments as they come in training.
    fn draw(rows: usize, cols: usize, rule: Rule, quant: Option<Quant>, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let value = dice.real(rows, cols).mapv(|x| x / 2.0);
        let m = dice.real(rows, cols).mapv(|x| x / 30.0);
        let v = dice.real(rows, cols).mapv(|x| x.abs() / 7.0);
        Self { state: [value, m, v], rule, quant }
    }

    fn put<B: TrainBackend>(&self, backend: &B) -> bnn_core::Result<Param<B>> {
        let put = |at: usize| backend.put(self.state[at].view());
        Ok(Param { value: put(0)?, m: put(1)?, v: put(2)? })
    }

    fn check<B: TrainBackend>(
        &self,
        backend: &B,
        there: Gradient<'_, B>,
        gradient: &Matrix,
    ) -> Result<(), TestCaseError> {
        let mut param = self.put(backend)?;
        let row = backend.put(clock().to_row().view())?;
        let quant = self.quant.as_ref();
        let updated = backend.update(&mut param, there, &self.rule, quant, &row)?;
        let mut want = self.state.clone();
        reference::update(&mut want, gradient, &self.rule, quant, STEP_SIZE)?;
        let got = backend.get(&param.value)?;
        close("m", &backend.get(&param.m)?, &want[1], &share_of(1e-6, &self.state[1], gradient))?;
        let bound = share_of(1e-6, &self.state[2], &want[2]);
        close("v", &backend.get(&param.v)?, &want[2], &bound)?;
        close("value", &got, &want[0], &self.bound(&want, gradient))?;
        self.check_code(backend, updated, &got)
    }

    /// Code, flips and clipped values follow exactly from the values that the backend itself has.
    fn check_code<B: TrainBackend>(
        &self,
        backend: &B,
        updated: Updated<B>,
        got: &Matrix,
    ) -> Result<(), TestCaseError> {
        let tally = backend.get(&updated.tally)?;
        let clipped = got.iter().filter(|p| p.abs() >= 1.0).count();
        let Some(quant) = &self.quant else {
            prop_assert!(updated.code.is_none(), "a code without a quantizer");
            prop_assert_eq!(tally, ndarray::arr2(&[[0.0, clipped as f32]]));
            return Ok(());
        };
        let Some(code) = updated.code else {
            return Err(TestCaseError::fail("no code with a quantizer"));
        };
        let want = reference::encode(got, quant, None)?;
        let before = reference::encode(&self.state[0], quant, None)?.integers()?;
        let flips = before.iter().zip(&want.integers()?).filter(|(a, b)| a != b).count();
        prop_assert_eq!(backend.get_code(&code)?.into_planes(), want);
        prop_assert_eq!(tally, ndarray::arr2(&[[flips as f32, clipped as f32]]));
        Ok(())
    }

    /// 2e-6 of the value and of the step that all terms of the moment would make with one sign.
    fn bound(&self, want: &[Matrix; 3], gradient: &Matrix) -> Matrix {
        let root = |v: f32| match self.rule.optimizer {
            Optimizer::Adam { eps, .. } => v.sqrt() + eps,
            // AP2 may halve the maximum.
            Optimizer::ShiftAdaMax { eps, .. } => v / 2.0 + eps,
        };
        let mut bound = &self.state[0] * 0.0;
        let terms = share_of(1.0, &self.state[1], gradient);
        Zip::from(&mut bound).and(&self.state[0]).and(&terms).and(&want[2]).for_each(
            |bound, p, m, v| *bound = 2e-6 * (p.abs() + self.rule.scale * STEP_SIZE * m / root(*v)),
        );
        bound
    }
}

fn clock() -> Clock {
    Clock { step_size: STEP_SIZE, key: Key::new(1, 1) }
}

fn rules() -> impl Strategy<Value = Rule> {
    let adam = Just(Optimizer::adam());
    let shift = prop_oneof![Just(Optimizer::shift_adamax()), Just(Optimizer::shift_adamax_paper())];
    let optimizers = prop_oneof![adam, shift];
    (optimizers, any::<bool>(), prop_oneof![Just(1.0f32), Just(9.5)])
        .prop_map(|(optimizer, clip, scale)| Rule { optimizer, scale, clip })
}
