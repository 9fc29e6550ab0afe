//! What happens entry by entry: quantizers, dropout, the straight-through estimator, loss, updates.

use ndarray::{Array2, Zip, arr2};

use crate::scalar::hard_sigmoid;
use crate::{Activation, BitMatrix, Error, Key, Levels, Loss, Matrix, Planes, Quant, Result, Rule};

/// See [`BinaryBackend::encode`](crate::BinaryBackend::encode); stochastic with a key.
///
/// # Errors
/// [`Error::Value`] for an unsound quantizer, or a key with any quantizer but the sign.
pub fn encode(x: &Matrix, quant: &Quant, key: Option<Key>) -> Result<Planes> {
    quant.check()?;
    let Some(key) = key else {
        return Ok(code_of(x.dim(), &quant.levels, |row, col, cut| {
            x[[row, col]] >= quant.cuts[cut]
        }));
    };
    if !quant.is_sign() {
        return Err(Error::value("draw", "only the sign has a stochastic form"));
    }
    let below = |row, col, _| key.uniform(index(x.ncols(), row, col)) < hard_sigmoid(x[[row, col]]);
    Ok(code_of(x.dim(), &quant.levels, below))
}

/// See [`TrainBackend::dropout`](crate::TrainBackend::dropout).
///
/// # Errors
/// [`Error::Value`] unless `keep` lies in (0, 1].
pub fn dropout(x: Planes, keep: f32, key: Key) -> Result<Planes> {
    if !(keep > 0.0 && keep <= 1.0) {
        return Err(Error::value("keep", format!("{keep} is not in (0, 1]")));
    }
    let (rows, cols) = x.dim()?;
    let kept = |row, col| key.uniform(index(cols, row, col)) < keep;
    let was = |row, col| x.mask.as_ref().is_none_or(|mask| mask.get(row, col));
    let mask = BitMatrix::from_fn(rows, cols, |row, col| was(row, col) && kept(row, col));
    Ok(Planes { scale: x.scale / keep, mask: Some(mask), ..x })
}

/// See [`TrainBackend::pass_through`](crate::TrainBackend::pass_through).
///
/// # Errors
/// [`Error::Shape`] if the shapes differ.
pub fn pass_through(dy: &Matrix, x: &Matrix, code: &Planes, quant: &Quant) -> Result<Matrix> {
    same("pass_through", x.dim(), dy.dim())?;
    same("pass_through", x.dim(), code.dim()?)?;
    let raised = code.scale / quant.levels.scale;
    Ok(Array2::from_shape_fn(x.dim(), |(row, col)| {
        let kept = code.mask.as_ref().is_none_or(|mask| mask.get(row, col));
        let passes = kept && x[[row, col]].abs() <= quant.range;
        if passes { dy[[row, col]] * raised } else { 0.0 }
    }))
}

/// See [`FloatBackend::activate_grad`](crate::FloatBackend::activate_grad).
///
/// # Errors
/// [`Error::Shape`] if the shapes differ.
pub fn activate_grad(dy: &Matrix, x: &Matrix, activation: Activation) -> Result<Matrix> {
    same("activate_grad", x.dim(), dy.dim())?;
    Ok(Zip::from(dy).and(x).map_collect(|&g, &x| if activation.passes(x) { g } else { 0.0 }))
}

/// See [`TrainBackend::loss`](crate::TrainBackend::loss): the gradient, and the row of loss sum and
/// errors.
///
/// # Errors
/// [`Error::Shape`] for an empty batch or class list, or labels that are not one column of classes.
pub fn loss(scores: &Matrix, labels: &Matrix, loss: Loss) -> Result<(Matrix, Matrix)> {
    let (samples, classes) = scores.dim();
    same("loss labels", (samples, 1), labels.dim())?;
    let known = |&label: &f32| label.fract() == 0.0 && (0.0..classes as f32).contains(&label);
    if let Some(label) = labels.iter().find(|label| !known(label)) {
        return Err(Error::shape("loss", format!("labels below {classes}"), label));
    }
    if samples * classes == 0 {
        return Err(Error::shape("loss", "at least one score", format!("{:?}", scores.dim())));
    }
    let Loss::SquaredHinge = loss;
    let mut sum = 0.0;
    let grad = Array2::from_shape_fn(scores.dim(), |(row, class)| {
        let target = if labels[[row, 0]] as usize == class { 1.0 } else { -1.0 };
        let margin = 1.0 - target * scores[[row, class]];
        let slack = if margin <= 0.0 { 0.0 } else { margin }; // unlike max, lets NaN through
        sum += f64::from(slack) * f64::from(slack);
        -2.0 * target * slack / (samples * classes) as f32
    });
    let wrong = scores.rows().into_iter().zip(labels).filter(|(row, label)| {
        let first_largest =
            (0..classes).fold(0, |best, at| if row[at] > row[best] { at } else { best });
        first_largest != **label as usize
    });
    Ok((grad, arr2(&[[(sum / classes as f64) as f32, wrong.count() as f32]])))
}

/// See [`TrainBackend::update`](crate::TrainBackend::update); `param` is value, m and v.
///
/// # Errors
/// [`Error::Shape`] if the shapes differ.
pub fn update(
    param: &mut [Matrix; 3],
    gradient: &Matrix,
    rule: &Rule,
    quant: Option<&Quant>,
    step_size: f32,
) -> Result<(Option<Planes>, Matrix)> {
    let [value, m, v] = param;
    for other in [gradient.dim(), m.dim(), v.dim()] {
        same("update", value.dim(), other)?;
    }
    let before = quant.map(|quant| encode(value, quant, None)).transpose()?;
    Zip::from(&mut *value)
        .and(gradient)
        .and(m)
        .and(v)
        .for_each(|p, &g, m, v| *p = rule.step(*p, g, m, v, step_size));
    let after = quant.map(|quant| encode(value, quant, None)).transpose()?;
    let flips = match (&before, &after) {
        (Some(before), Some(after)) => changed(before, after)?,
        _ => 0,
    };
    let clipped = value.iter().filter(|p| p.abs() >= 1.0).count();
    Ok((after, arr2(&[[flips as f32, clipped as f32]])))
}

/// The code whose crossing of cut `cut` at (row, column) is `crossed(row, column, cut)`.
pub(super) fn code_of(
    (rows, cols): (usize, usize),
    levels: &Levels,
    crossed: impl Fn(usize, usize, usize) -> bool,
) -> Planes {
    let plane = |plane| {
        BitMatrix::from_fn(rows, cols, |row, col| levels.bit(plane, |cut| crossed(row, col, cut)))
    };
    let weights = levels.weights().into_iter().enumerate();
    let planes = weights.map(|(at, weight)| (weight, plane(at))).collect();
    Planes { scale: levels.scale, planes, mask: None }
}

/// The code of the given shape whose entry at (row, column) is `x` at (source(row, column), column).
pub(super) fn code_like(
    x: &Planes,
    (rows, cols): (usize, usize),
    source: impl Fn(usize, usize) -> usize,
) -> Planes {
    let take = |plane: &BitMatrix| {
        BitMatrix::from_fn(rows, cols, |row, col| plane.get(source(row, col), col))
    };
    let planes = x.planes.iter().map(|(weight, plane)| (*weight, take(plane))).collect();
    Planes { scale: x.scale, planes, mask: None }
}

/// How many entries of two codes of one form differ.
fn changed(before: &Planes, after: &Planes) -> Result<usize> {
    let (before, after) = (before.integers()?, after.integers()?);
    Ok(before.iter().zip(&after).filter(|(a, b)| a != b).count())
}

/// The index of an entry in a draw; it wraps at 2^32.
fn index(cols: usize, row: usize, col: usize) -> u32 {
    row.wrapping_mul(cols).wrapping_add(col) as u32
}

fn same(op: &'static str, want: (usize, usize), got: (usize, usize)) -> Result<()> {
    if want == got {
        Ok(())
    } else {
        Err(Error::shape(op, format!("{want:?}"), format!("{got:?}")))
    }
}
