//! The float baselines against their definitions.

use bnn_core::{
    Activation, BinaryBackend, BitMatrix, FloatBackend, Gather, Grid, HostCode, HostOperand, Key,
    Matrix, Operand, Planes, Result, Window, reference,
};
use bnn_tch::Tch;

use super::everywhere;

fn reals(rows: usize, cols: usize, stream: u32) -> Matrix {
    let key = Key::new(3, 5).stream(stream);
    let number = |(row, col)| 4.0 * key.uniform((row * cols + col) as u32) - 2.0;
    Matrix::from_shape_fn((rows, cols), number)
}

/// Ternary weights, with holes.
fn planes(rows: usize, cols: usize) -> Planes {
    let bits = |stream| BitMatrix::from_signs(reals(rows, cols, stream).view());
    Planes { scale: 0.5, planes: vec![(1, bits(1)), (1, bits(2))], mask: Some(bits(3)) }
}

/// Within 1e-5 of the sum of the magnitudes of the terms.
fn close(got: &Matrix, want: &Matrix, magnitudes: &Matrix) {
    assert_eq!(got.dim(), want.dim());
    for ((at, want), most) in want.indexed_iter().zip(magnitudes) {
        assert!((got[at] - want).abs() <= 1e-5 * most, "{at:?}: {} and {want}", got[at]);
    }
}

#[test]
fn products_of_reals_are_those_of_the_definition() -> Result<()> {
    everywhere().iter().try_for_each(products_of_reals)
}

fn products_of_reals(tch: &Tch) -> Result<()> {
    let patches = |window| Gather::Patches { grid: Grid { height: 5, width: 4 }, window };
    let windows = [Window::square(3, 1, 2), Window { height: 2, width: 4, stride: 2, pad: 1 }];
    for gather in [Gather::Rows, patches(windows[0]), patches(windows[1])] {
        let (x, code) = (reals(40, 70, 0), planes(9, gather.taps() * 70));
        let x_there = tch.put(x.view())?;
        let code_there = tch.put_code(&HostCode::Planes(code.clone()))?;
        let got = tch.product_real(Operand::Real(&x_there), Operand::Code(&code_there), &gather)?;
        let real = |x| HostOperand::Real(x);
        let want =
            reference::product_real(&real(x.clone()), &HostOperand::Code(code.clone()), &gather)?;
        let sizes = code.integers()?.mapv(|integer| integer.abs() as f32 * code.scale);
        let most = reference::product_real(&real(x.mapv(f32::abs)), &real(sizes), &gather)?;
        close(&tch.get(&got)?, &want, &most);
    }
    Ok(())
}

#[test]
fn activations_are_those_of_the_definition_in_every_bit() -> Result<()> {
    everywhere().iter().try_for_each(activations)
}

fn activations(tch: &Tch) -> Result<()> {
    let traps = [0.0, -0.0, 1.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45];
    let traps = Matrix::from_shape_fn((1, 8), |(_, col)| traps[col]);
    for x in [reals(7, 33, 0), traps] {
        let dy = reals(x.nrows(), x.ncols(), 1);
        let (there, dy_there) = (tch.put(x.view())?, tch.put(dy.view())?);
        for activation in [Activation::HardTanh, Activation::Relu] {
            let got = tch.get(&tch.activate(&there, activation)?)?;
            for (got, want) in got.iter().zip(x.mapv(|x| activation.value(x))) {
                assert!(*got == want || got.is_nan() && want.is_nan(), "{got} and {want}");
            }
            let got = tch.get(&tch.activate_grad(&dy_there, &there, activation)?)?;
            assert_eq!(got, reference::activate_grad(&dy, &x, activation)?);
        }
    }
    let narrow = tch.put(reals(7, 32, 0).view())?;
    let wide = tch.put(reals(7, 33, 0).view())?;
    assert!(tch.activate_grad(&narrow, &wide, Activation::Relu).is_err());
    Ok(())
}
