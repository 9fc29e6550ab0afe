//! Gradients of products, of codes and of losses, within stated bounds.

use proptest::prelude::*;

use bnn_core::{
    Gather, HostCode, HostOperand, Loss, Matrix, Operand, Planes, Result, TrainBackend, reference,
};

use crate::check::{close, forall, once, refused};
use crate::samples::{Dice, Kind, gathers, kinds, outputs, quants, weight_kinds};

/// By the input of a product with signs, planes or reals; bound: 1e-5 of the sum of its magnitudes.
pub fn product_grad_input<B: TrainBackend>(backend: &B) {
    let weights = (weight_kinds(), any::<bool>());
    forall((gathers(), outputs(), weights, any::<u64>()), |(place, outputs, weights, seed)| {
        let ((gather, rows, depth), mut dice) = (place, Dice::new(seed));
        let w = operand(weights, outputs, gather.taps() * depth, &mut dice);
        let dy = gradient(gather.out_rows(rows)?, outputs, &mut dice);
        let there = There::put(backend, &w)?;
        let got = backend.product_grad_input(&backend.put(dy.view())?, there.lend(), &gather)?;
        let want = reference::product_grad_input(&dy, &w, &gather)?;
        let sum = reference::product_grad_input(&dy.mapv(f32::abs), &magnitudes(&w)?, &gather)?;
        close("product_grad_input", &backend.get(&got)?, &want, &(sum * 1e-5))
    });
}

/// By the weights of a product of signs, bytes, planes or reals; bound: 1e-5 of the sum of its
/// magnitudes.
pub fn product_grad_weight<B: TrainBackend>(backend: &B) {
    let inputs = (kinds(), any::<bool>());
    forall((gathers(), outputs(), inputs, any::<u64>()), |(place, outputs, inputs, seed)| {
        let ((gather, rows, depth), mut dice) = (place, Dice::new(seed));
        let a = operand(inputs, rows, depth, &mut dice);
        let dy = gradient(gather.out_rows(rows)?, outputs, &mut dice);
        let there = There::put(backend, &a)?;
        let got = backend.product_grad_weight(&backend.put(dy.view())?, there.lend(), &gather)?;
        let want = reference::product_grad_weight(&dy, &a, &gather)?;
        let sum = reference::product_grad_weight(&dy.mapv(f32::abs), &magnitudes(&a)?, &gather)?;
        close("product_grad_weight", &backend.get(&got)?, &want, &(sum * 1e-5))
    });
}

/// The straight-through estimator: 0 beyond the range and in holes, and 1e-6 of the gradient off
/// elsewhere.
pub fn pass_through<B: TrainBackend>(backend: &B) {
    let sizes = (1usize..=9, outputs());
    forall((quants(), sizes, any::<bool>(), any::<u64>()), |(quant, sizes, holes, seed)| {
        let ((rows, cols), mut dice) = (sizes, Dice::new(seed));
        let (x, dy) = (dice.real(rows, cols), gradient(rows, cols, &mut dice));
        let mut code = reference::encode(&x, &quant, None)?;
        if holes {
            code = Planes { scale: code.scale / 0.8, mask: Some(dice.bits(rows, cols)), ..code };
        }
        let there = backend.put_code(&HostCode::Planes(code.clone()))?;
        let [dy_there, x_there] = [backend.put(dy.view())?, backend.put(x.view())?];
        let got = backend.pass_through(&dy_there, &x_there, &there, &quant)?;
        let want = reference::pass_through(&dy, &x, &code, &quant)?;
        close("pass_through", &backend.get(&got)?, &want, &want.mapv(|g| g.abs() * 1e-6))
    });
}

/// The squared hinge: its gradient within 1e-6 of `2 (1 + |score|) / entries`, the sum of the losses
/// within 1e-5 of itself, and the errors exactly, with the first of tied scores as the prediction.
pub fn loss<B: TrainBackend>(backend: &B) {
    forall((1usize..=33, 1usize..=17, any::<u64>()), |(samples, classes, seed)| {
        let mut dice = Dice::new(seed);
        let scores = dice.real(samples, classes).mapv(|y| (y * 4.0).round() / 4.0);
        let labels = dice.real(samples, 1).mapv(|x| ((x + 2.0) * 64.0) % classes as f32);
        let [there, labels_there] = [backend.put(scores.view())?, backend.put(labels.view())?];
        let got = backend.loss(&there, &labels_there, Loss::SquaredHinge)?;
        let (grad, tally) = reference::loss(&scores, &labels, Loss::SquaredHinge)?;
        let bound = scores.mapv(|y| 2e-6 * (1.0 + y.abs()) / scores.len() as f32);
        close("gradient of the loss", &backend.get(&got.grad)?, &grad, &bound)?;
        let bound = ndarray::arr2(&[[1e-5 * tally[[0, 0]], 0.0]]);
        close("sum of losses and errors", &backend.get(&got.tally)?, &tally, &bound)
    });
}

/// Gradients that do not match their product, and labels that are no classes, are refused.
pub fn gradient_refusals<B: TrainBackend>(backend: &B) {
    once(|| {
        let mut dice = Dice::new(0);
        let code = backend.put_code(&dice.code(Kind::Signs, 3, 65))?;
        let mut real = |rows, cols| backend.put(dice.real(rows, cols).view());
        let (dy, labels) = (real(2, 4)?, real(1, 1)?);
        let operand = Operand::Code(&code);
        let rows = Gather::Rows;
        refused("4 gradients by 3 outputs", backend.product_grad_input(&dy, operand, &rows))?;
        refused("2 gradients of 3 rows", backend.product_grad_weight(&dy, operand, &rows))?;
        let quant = bnn_core::Quant::sign();
        refused("a code of 65 columns", backend.pass_through(&dy, &dy, &code, &quant))?;
        refused("1 label of 2 samples", backend.loss(&dy, &labels, Loss::SquaredHinge))?;
        let beyond = backend.put(ndarray::arr2(&[[0.0], [4.0]]).view())?;
        refused("label 4 of 4 classes", backend.loss(&dy, &beyond, Loss::SquaredHinge))
    });
}

/// An operand on the device.
struct There<B: TrainBackend>(std::result::Result<B::Code, B::Real>);

impl<B: TrainBackend> There<B> {
    fn put(backend: &B, operand: &HostOperand) -> Result<Self> {
        Ok(Self(match operand {
            HostOperand::Code(code) => Ok(backend.put_code(&HostCode::Planes(code.clone()))?),
            HostOperand::Real(real) => Err(backend.put(real.view())?),
        }))
    }

    fn lend(&self) -> Operand<'_, B> {
        match &self.0 {
            Ok(code) => Operand::Code(code),
            Err(real) => Operand::Real(real),
        }
    }
}

/// A code of the kind, or reals.
fn operand((kind, real): (Kind, bool), rows: usize, cols: usize, dice: &mut Dice) -> HostOperand {
    if real {
        HostOperand::Real(gradient(rows, cols, dice))
    } else {
        HostOperand::Code(dice.code(kind, rows, cols).into_planes())
    }
}

/// Reals whose sums round.
fn gradient(rows: usize, cols: usize, dice: &mut Dice) -> Matrix {
    dice.real(rows, cols).mapv(|g| g / 3.0)
}

/// The operand's magnitudes, for the bound.
fn magnitudes(operand: &HostOperand) -> Result<HostOperand> {
    Ok(HostOperand::Real(match operand {
        HostOperand::Code(code) => code.integers()?.mapv(|i| i.abs() as f32 * code.scale.abs()),
        HostOperand::Real(real) => real.mapv(f32::abs),
    }))
}
