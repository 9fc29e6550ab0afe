//! Operands of products with reals: codes and reals, gathered as dense reals.

use bnn_core::{Error, Gather, Operand, Result};

use crate::code::{Code, integers};
use crate::cuda::Cuda;
use crate::device::{Buffer, Gemm, Held, Kernel, Shape, Value};
use crate::real::Real;
use crate::windows::{Windows, check_rows};

/// Columns of a block of `decode` and `gather_reals`.
const SPAN: usize = 1024;

/// Rows and columns of an operand.
pub(crate) fn dim(operand: Operand<'_, Cuda>) -> (usize, usize) {
    match operand {
        Operand::Code(code) => code.dim,
        Operand::Real(real) => real.dim,
    }
}

/// The operand's windows as rows of reals: `out_rows` by taps times columns.
pub(crate) fn dense<'a>(
    cuda: &Cuda,
    operand: Operand<'a, Cuda>,
    windows: &Windows,
    out_rows: usize,
) -> Result<Held<'a>> {
    match operand {
        Operand::Code(code) => decode(cuda, code, windows, out_rows).map(Held::Own),
        Operand::Real(real) if windows.rows => Ok(Held::Lent(&real.data)),
        Operand::Real(real) => {
            let (shape, out) = gathered(cuda, real.dim.1, windows, out_rows)?;
            cuda.launch(
                Kernel("coding", "gather_reals"),
                shape,
                &[
                    (&real.data).into(),
                    (real.dim.1 as i32).into(),
                    Value::Struct(&windows.patches),
                    (&out).into(),
                ],
            )?;
            Ok(Held::Own(out))
        }
    }
}

/// A code's windows as rows of reals.
pub(crate) fn decode(
    cuda: &Cuda,
    code: &Code,
    windows: &Windows,
    out_rows: usize,
) -> Result<Buffer> {
    let (shape, out) = gathered(cuda, code.dim.1, windows, out_rows)?;
    if code.weights == [1] && code.dim.1.is_multiple_of(4) {
        cuda.launch(
            Kernel("coding", "decode_signs"),
            shape,
            &[
                (&*code.planes).into(),
                code.mask.as_ref().into(),
                (code.dim.1 as i32).into(),
                code.stride().into(),
                code.scale.into(),
                Value::Struct(&windows.patches),
                (&out).into(),
            ],
        )?;
        return Ok(out);
    }
    cuda.launch(
        Kernel("coding", "decode"),
        shape,
        &[
            (&*code.planes).into(),
            code.mask.as_ref().into(),
            code.dim.0.into(),
            (code.dim.1 as i32).into(),
            code.stride().into(),
            Value::Struct(&integers(&code.weights)),
            (code.weights.len() as i32).into(),
            code.scale.into(),
            Value::Struct(&windows.patches),
            (&out).into(),
        ],
    )?;
    Ok(out)
}

/// Blocks and memory of gathered rows.
fn gathered(
    cuda: &Cuda,
    columns: usize,
    windows: &Windows,
    out_rows: usize,
) -> Result<(Shape, Buffer)> {
    let width = windows.taps * columns;
    let spans = width.div_ceil(SPAN);
    if out_rows > i32::MAX as usize || spans > usize::from(u16::MAX) {
        let got = format!("{out_rows} rows of {width}");
        return Err(Error::shape("windows", "rows below 2^31, of less than 2^26 columns", got));
    }
    let out = Real::new(cuda, (out_rows, width))?;
    Ok((Shape { grid: [out_rows as u32, spans as u32, 1], block: 256, shared: 0 }, out.data))
}

/// See [`TrainBackend::product_grad_input`](bnn_core::TrainBackend::product_grad_input).
pub(crate) fn grad_input(
    cuda: &Cuda,
    dy: &Real,
    w: Operand<'_, Cuda>,
    gather: &Gather,
) -> Result<Real> {
    gather.out_rows(0)?; // refuses windows without taps
    let (outputs, depth) = dim(w);
    let channels = depth / gather.taps();
    let shape = (gather.in_rows(dy.dim.0)?, channels);
    check(gather, shape, (outputs, depth), dy.dim)?;
    check_rows("product_grad_input", shape.0.max(dy.dim.0))?;
    let windows = cuda.windows(gather)?;
    let rows = cuda.windows(&Gather::Rows)?;
    let w = dense(cuda, w, &rows, outputs)?;
    let by_window = Real::new(cuda, (dy.dim.0, depth))?;
    multiply(cuda, [dy.dim.0, depth, outputs], (&dy.data, false), (w.buffer(), false), &by_window)?;
    if windows.rows {
        return Ok(by_window);
    }
    let dx = Real::new(cuda, shape)?;
    let (kernel, side) =
        if channels.is_multiple_of(4) { ("scatter_fours", 4) } else { ("scatter_reals", 1) };
    cuda.each(
        Kernel("coding", kernel),
        dx.len() / side,
        &[
            (&by_window.data).into(),
            (dx.len() / side).into(),
            ((channels / side) as i32).into(),
            Value::Struct(&windows.patches),
            (&dx.data).into(),
        ],
    )?;
    Ok(dx)
}

/// See [`TrainBackend::product_grad_weight`](bnn_core::TrainBackend::product_grad_weight).
pub(crate) fn grad_weight(
    cuda: &Cuda,
    dy: &Real,
    a: Operand<'_, Cuda>,
    gather: &Gather,
) -> Result<Real> {
    gather.out_rows(0)?;
    let (out_rows, outputs) = dy.dim;
    let shape = (outputs, gather.taps() * dim(a).1);
    check(gather, dim(a), shape, dy.dim)?;
    let windows = cuda.windows(gather)?;
    let a = dense(cuda, a, &windows, out_rows)?;
    let dw = Real::new(cuda, shape)?;
    multiply(cuda, [outputs, shape.1, out_rows], (&dy.data, true), (a.buffer(), false), &dw)?;
    Ok(dw)
}

/// A product of reals as the device rounds them; nothing to sum is 0.
pub(crate) fn multiply(
    cuda: &Cuda,
    size: [usize; 3],
    a: (&Buffer, bool),
    b: (&Buffer, bool),
    c: &Real,
) -> Result<()> {
    if size[0] * size[1] == 0 {
        return Ok(());
    }
    if size[2] == 0 {
        return cuda.each(
            Kernel("train", "fill"),
            c.len(),
            &[0f32.into(), c.len().into(), (&c.data).into()],
        );
    }
    let rounding = cuda.device().rounding();
    cuda.gemm(&Gemm { size, a, b, c: &c.data, rounding })
}

fn check(gather: &Gather, a: (usize, usize), w: (usize, usize), dy: (usize, usize)) -> Result<()> {
    let want = gather.product_shape(a, w)?;
    if dy != want {
        return Err(Error::shape("product gradient", format!("dy {want:?}"), format!("{dy:?}")));
    }
    Ok(())
}
