//! Batch normalization.

use bnn_core::{Error, Norm, NormGrad, Normed, Result, Running, Spread};

use crate::cuda::Cuda;
use crate::device::{Buffer, Kernel, Shape, Value};
use crate::real::Real;

/// Rows of a partial sum, as in norm.cu.
const CHUNK: usize = 256;

/// `Norm` of norm.cu.
fn constants(norm: &Norm) -> [u64; 2] {
    let variance = u64::from(norm.running == Spread::Variance);
    [
        u64::from(norm.eps.to_bits()) | u64::from(norm.momentum.to_bits()) << 32,
        u64::from(norm.shift) | variance << 32,
    ]
}

/// `Running` of norm.cu: the statistics before and after a batch.
fn pointers(old: &Running<Cuda>, new: &Running<Cuda>) -> [u64; 4] {
    [&old.mean, &old.spread, &new.mean, &new.spread].map(|row| row.data.address())
}

/// The columns of a batch, and how they are summed.
struct Columns<'a> {
    cuda: &'a Cuda,
    rows: usize,
    columns: usize,
}

impl<'a> Columns<'a> {
    /// Each of `others` is a row of as many numbers as `x` has columns, and `x` is not empty.
    fn new(cuda: &'a Cuda, op: &'static str, x: &Real, others: &[&Real]) -> Result<Self> {
        let (rows, columns) = x.dim;
        if rows == 0 {
            return Err(Error::shape(op, "at least one sample", "none"));
        }
        if let Some(other) = others.iter().find(|other| other.dim != (1, columns)) {
            let got = format!("{:?}", other.dim);
            return Err(Error::shape(op, format!("a row {:?}", (1, columns)), got));
        }
        if others.iter().any(|other| other.data.place() != cuda.device().place()) {
            return Err(Error::value(op, "an operand lies on another device"));
        }
        Ok(Self { cuda, rows, columns })
    }

    fn chunks(&self) -> usize {
        self.rows.div_ceil(CHUNK)
    }

    /// Partial sums of `sums` terms by a kernel that takes `values`, then memory for them.
    fn sum(&self, kernel: &'static str, sums: usize, values: Vec<Value<'_>>) -> Result<Buffer> {
        if self.chunks() > usize::from(u16::MAX) {
            return Err(Error::shape(kernel, "less than 2^24 samples", self.rows));
        }
        let partial = self.cuda.memory(self.chunks() * sums * self.columns * size_of::<f64>())?;
        let grid = [self.columns.div_ceil(32) as u32, self.chunks() as u32, 1];
        let mut values = values;
        values.push((&partial).into());
        self.cuda.launch(Kernel("norm", kernel), Shape { grid, block: 256, shared: 0 }, &values)?;
        Ok(partial)
    }

    /// One kernel for a single chunk, 32 columns to a block.
    fn whole(&self, kernel: &'static str, values: &[Value<'_>]) -> Result<()> {
        let grid = [self.columns.div_ceil(32) as u32, 1, 1];
        self.cuda.launch(Kernel("norm", kernel), Shape { grid, block: 256, shared: 0 }, values)
    }

    fn row(&self) -> Result<Real> {
        Real::new(self.cuda, (1, self.columns))
    }

    fn each_column(&self, kernel: &'static str, values: &[Value<'_>]) -> Result<()> {
        self.cuda.each(Kernel("norm", kernel), self.columns, values)
    }

    /// Mean and inverse deviation of every column, and its gain; moves the running statistics.
    fn statistics(
        &self,
        x: &Real,
        gamma: &Real,
        norm: &Norm,
        [mean, inverse_deviation]: [&Real; 2],
        running: &[u64; 4],
    ) -> Result<Real> {
        let (rows, width) = (self.rows, self.columns as i32);
        let (chunks, shift) = (self.chunks() as i32, i32::from(norm.shift));
        let partial =
            self.sum("sum_values", 1, vec![(&x.data).into(), rows.into(), width.into()])?;
        self.each_column(
            "finish_mean",
            &[(&partial).into(), chunks.into(), rows.into(), width.into(), (&mean.data).into()],
        )?;
        let squares =
            vec![(&x.data).into(), rows.into(), width.into(), (&mean.data).into(), shift.into()];
        let partial = self.sum("sum_squares", 1, squares)?;
        let gain = self.row()?;
        self.each_column(
            "finish_spread",
            &[
                (&partial).into(),
                chunks.into(),
                rows.into(),
                width.into(),
                Value::Struct(&constants(norm)),
                (&mean.data).into(),
                (&gamma.data).into(),
                Value::Struct(running),
                (&inverse_deviation.data).into(),
                (&gain.data).into(),
            ],
        )?;
        Ok(gain)
    }

    /// Gradients of more than one chunk: sums, what follows from them per column, then per element.
    fn gradients(
        &self,
        [dy, x, gamma]: [&Real; 3],
        Normed { mean, inverse_deviation, .. }: &Normed<Cuda>,
        norm: &Norm,
        [dx, dgamma, dbeta]: [&Real; 3],
    ) -> Result<()> {
        let (rows, width, shift) = (self.rows, self.columns as i32, i32::from(norm.shift));
        let terms = vec![
            (&dy.data).into(),
            (&x.data).into(),
            rows.into(),
            width.into(),
            (&mean.data).into(),
            (&inverse_deviation.data).into(),
            shift.into(),
        ];
        let partial = self.sum("sum_gradients", 3, terms)?;
        let slopes = self.cuda.memory(3 * self.columns * size_of::<f64>())?;
        self.each_column(
            "finish_gradients",
            &[
                (&partial).into(),
                (self.chunks() as i32).into(),
                rows.into(),
                width.into(),
                shift.into(),
                (&gamma.data).into(),
                (&inverse_deviation.data).into(),
                (&slopes).into(),
                (&dgamma.data).into(),
                (&dbeta.data).into(),
            ],
        )?;
        self.cuda.each(
            Kernel("norm", "apply_gradient"),
            x.len(),
            &[
                (&dy.data).into(),
                (&x.data).into(),
                x.len().into(),
                width.into(),
                (&mean.data).into(),
                shift.into(),
                (&slopes).into(),
                (&dx.data).into(),
            ],
        )?;
        Ok(())
    }

    /// `(x - mean) * gain + beta`.
    fn apply(&self, x: &Real, [mean, gain, beta]: [&Real; 3]) -> Result<Real> {
        let y = Real::new(self.cuda, x.dim)?;
        self.cuda.each(
            Kernel("norm", "apply"),
            x.len(),
            &[
                (&x.data).into(),
                x.len().into(),
                (self.columns as i32).into(),
                (&mean.data).into(),
                (&gain.data).into(),
                (&beta.data).into(),
                (&y.data).into(),
            ],
        )?;
        Ok(y)
    }
}

/// See [`TrainBackend::norm`](bnn_core::TrainBackend::norm).
pub(crate) fn norm(
    cuda: &Cuda,
    x: &Real,
    [gamma, beta]: [&Real; 2],
    running: &mut Running<Cuda>,
    norm: &Norm,
) -> Result<Normed<Cuda>> {
    let others = [gamma, beta, &running.mean, &running.spread];
    let columns = Columns::new(cuda, "norm", x, &others)?;
    let (rows, width) = (columns.rows, columns.columns as i32);
    let [mean, inverse_deviation] = [columns.row()?, columns.row()?];
    let moved: Running<Cuda> = Running { mean: columns.row()?, spread: columns.row()? };
    let pointers = pointers(running, &moved);
    if columns.chunks() == 1 {
        let y = Real::new(cuda, x.dim)?;
        columns.whole(
            "norm_chunk",
            &[
                (&x.data).into(),
                rows.into(),
                width.into(),
                Value::Struct(&constants(norm)),
                (&gamma.data).into(),
                (&beta.data).into(),
                Value::Struct(&pointers),
                (&mean.data).into(),
                (&inverse_deviation.data).into(),
                (&y.data).into(),
            ],
        )?;
        *running = moved;
        return Ok(Normed { y, mean, inverse_deviation });
    }
    let gain = columns.statistics(x, gamma, norm, [&mean, &inverse_deviation], &pointers)?;
    let y = columns.apply(x, [&mean, &gain, beta])?;
    *running = moved;
    Ok(Normed { y, mean, inverse_deviation })
}

/// See [`TrainBackend::norm_eval`](bnn_core::TrainBackend::norm_eval).
pub(crate) fn norm_eval(
    cuda: &Cuda,
    x: &Real,
    [gamma, beta]: [&Real; 2],
    running: &Running<Cuda>,
    norm: &Norm,
) -> Result<Real> {
    let others = [gamma, beta, &running.mean, &running.spread];
    let columns = Columns::new(cuda, "norm_eval", x, &others)?;
    let gain = columns.row()?;
    columns.each_column(
        "eval_gain",
        &[
            (columns.columns as i32).into(),
            Value::Struct(&constants(norm)),
            (&gamma.data).into(),
            (&running.spread.data).into(),
            (&gain.data).into(),
        ],
    )?;
    columns.apply(x, [&running.mean, &gain, beta])
}

/// See [`TrainBackend::norm_grad`](bnn_core::TrainBackend::norm_grad).
pub(crate) fn norm_grad(
    cuda: &Cuda,
    dy: &Real,
    x: &Real,
    gamma: &Real,
    normed: &Normed<Cuda>,
    norm: &Norm,
) -> Result<NormGrad<Cuda>> {
    let Normed { mean, inverse_deviation, .. } = normed;
    let columns = Columns::new(cuda, "norm_grad", x, &[gamma, mean, inverse_deviation])?;
    if dy.dim != x.dim {
        let got = format!("{:?}", dy.dim);
        return Err(Error::shape("norm_grad", format!("dy {:?}", x.dim), got));
    }
    let (rows, width, shift) = (columns.rows, columns.columns as i32, i32::from(norm.shift));
    let [dgamma, dbeta] = [columns.row()?, columns.row()?];
    let dx = Real::new(cuda, x.dim)?;
    if columns.chunks() == 1 {
        columns.whole(
            "norm_grad_chunk",
            &[
                (&dy.data).into(),
                (&x.data).into(),
                rows.into(),
                width.into(),
                shift.into(),
                (&gamma.data).into(),
                (&mean.data).into(),
                (&inverse_deviation.data).into(),
                (&dx.data).into(),
                (&dgamma.data).into(),
                (&dbeta.data).into(),
            ],
        )?;
        return Ok(NormGrad { x: dx, gamma: dgamma, beta: dbeta });
    }
    columns.gradients([dy, x, gamma], normed, norm, [&dx, &dgamma, &dbeta])?;
    Ok(NormGrad { x: dx, gamma: dgamma, beta: dbeta })
}
