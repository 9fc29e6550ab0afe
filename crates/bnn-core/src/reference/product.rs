//! Products of quantized and real matrices, and their gradients.

use ndarray::Array2;

use crate::{Error, Gather, HostOperand, Levels, Matrix, Planes, Result};

use super::elementwise::code_of;

/// See [`BinaryBackend::product`](crate::BinaryBackend::product).
///
/// # Errors
/// [`Error::Shape`] if the operands do not fit.
pub fn product(a: &Planes, w: &Planes, gather: &Gather) -> Result<Matrix> {
    let scale = a.scale * w.scale;
    Ok(sums(a, w, gather)?.mapv(|sum| sum as f32 * scale))
}

/// See [`BinaryBackend::product_cut`](crate::BinaryBackend::product_cut).
///
/// # Errors
/// [`Error::Shape`] if operands or cuts do not fit.
pub fn product_cut(
    a: &Planes,
    w: &Planes,
    gather: &Gather,
    cuts: &Matrix,
    levels: &Levels,
) -> Result<Planes> {
    let sums = sums(a, w, gather)?;
    let want = (levels.cuts(), sums.ncols());
    if cuts.dim() != want {
        return Err(Error::shape(
            "product_cut",
            format!("cuts {want:?}"),
            format!("{:?}", cuts.dim()),
        ));
    }
    let crossed = |row, col, cut| sums[[row, col]] as f32 >= cuts[[cut, col]];
    Ok(code_of(sums.dim(), levels, crossed))
}

/// See [`FloatBackend::product_real`](crate::FloatBackend::product_real).
///
/// # Errors
/// [`Error::Shape`] if the operands do not fit.
pub fn product_real(a: &HostOperand, w: &HostOperand, gather: &Gather) -> Result<Matrix> {
    let (a, w) = (values(a)?, values(w)?);
    let shape = gather.product_shape(a.dim(), w.dim())?;
    Ok(Array2::from_shape_fn(shape, |(row, out)| {
        let terms = meetings(gather, row, a.ncols()).map(|(source, channel, col)| {
            f64::from(a[[source, channel]]) * f64::from(w[[out, col]])
        });
        terms.sum::<f64>() as f32
    }))
}

/// See [`TrainBackend::product_grad_input`](crate::TrainBackend::product_grad_input).
///
/// # Errors
/// [`Error::Shape`] if the operands do not fit.
pub fn product_grad_input(dy: &Matrix, w: &HostOperand, gather: &Gather) -> Result<Matrix> {
    let w = values(w)?;
    let channels = w.ncols() / gather.taps();
    let shape = (gather.in_rows(dy.nrows())?, channels);
    check_gradient(gather, shape, w.dim(), dy.dim())?;
    let mut dx = Array2::<f64>::zeros(shape);
    for ((row, out), &g) in dy.indexed_iter() {
        for (source, channel, col) in meetings(gather, row, channels) {
            dx[[source, channel]] += f64::from(g) * f64::from(w[[out, col]]);
        }
    }
    Ok(dx.mapv(|x| x as f32))
}

/// See [`TrainBackend::product_grad_weight`](crate::TrainBackend::product_grad_weight).
///
/// # Errors
/// [`Error::Shape`] if the operands do not fit.
pub fn product_grad_weight(dy: &Matrix, a: &HostOperand, gather: &Gather) -> Result<Matrix> {
    let a = values(a)?;
    let shape = (dy.ncols(), gather.taps() * a.ncols());
    check_gradient(gather, a.dim(), shape, dy.dim())?;
    let mut dw = Array2::<f64>::zeros(shape);
    for ((row, out), &g) in dy.indexed_iter() {
        for (source, channel, col) in meetings(gather, row, a.ncols()) {
            dw[[out, col]] += f64::from(g) * f64::from(a[[source, channel]]);
        }
    }
    Ok(dw.mapv(|x| x as f32))
}

/// The integer sums of a product of sign planes.
fn sums(a: &Planes, w: &Planes, gather: &Gather) -> Result<Array2<i64>> {
    let (a, w) = (a.integers()?, w.integers()?);
    let shape = gather.product_shape(a.dim(), w.dim())?;
    Ok(Array2::from_shape_fn(shape, |(row, out)| {
        let terms = meetings(gather, row, a.ncols()).map(|(source, channel, col)| {
            i64::from(a[[source, channel]]) * i64::from(w[[out, col]])
        });
        terms.sum()
    }))
}

/// Which entry (source row, channel) of the operand meets which column of the weights in an output
/// row; taps outside the grid meet nothing.
fn meetings(
    gather: &Gather,
    row: usize,
    channels: usize,
) -> impl Iterator<Item = (usize, usize, usize)> {
    let sources = (0..gather.taps()).filter_map(move |tap| Some((tap, gather.source(row, tap)?)));
    sources
        .flat_map(move |(tap, source)| (0..channels).map(move |c| (source, c, tap * channels + c)))
}

/// An operand as reals: the integers times the scale, or as it is.
fn values(operand: &HostOperand) -> Result<Matrix> {
    match operand {
        HostOperand::Code(code) => Ok(code.integers()?.mapv(|integer| integer as f32 * code.scale)),
        HostOperand::Real(real) => Ok(real.clone()),
    }
}

fn check_gradient(
    gather: &Gather,
    a: (usize, usize),
    w: (usize, usize),
    dy: (usize, usize),
) -> Result<()> {
    let want = gather.product_shape(a, w)?;
    if dy != want {
        return Err(Error::shape("product gradient", format!("dy {want:?}"), format!("{dy:?}")));
    }
    Ok(())
}
