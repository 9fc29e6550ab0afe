//! The backend: signs are the floats -1 and +1, and ndarray multiplies them.

use bnn_core::{
    BinaryBackend, BitMatrix, Clock, Draw, Error, Gather, Grid, HostCode, Levels, Matrix,
    MatrixView, Planes, Quant, Result, TrainBackend, Window, scalar::hard_sigmoid,
};

/// Row and column.
type At = (usize, usize);

/// The device. A real one would keep its queue, its memory and its kernels here.
pub struct FloatSigns;

/// A code on the device: matrices of -1 and +1.
pub struct Code {
    scale: f32,
    /// Weight and signs of each plane.
    planes: Vec<(i32, Matrix)>,
    /// -1 marks a hole; the signs under it are kept, but do not count.
    mask: Option<Matrix>,
}

impl Code {
    /// What a product multiplies: the weighted sum of the planes, 0 in holes.
    fn integers(&self) -> Matrix {
        let zeros = Matrix::zeros(self.planes[0].1.dim());
        let sum = self.planes.iter().fold(zeros, |sum, (w, plane)| sum + plane * *w as f32);
        self.mask.iter().fold(sum, |sum, mask| sum * mask.mapv(|sign| sign.max(0.0)))
    }
}

/// The code of entries that cross cut `cut` where `crossed(at, cut)`.
fn code_of(dim: At, levels: &Levels, crossed: impl Fn(At, usize) -> bool) -> Code {
    let sign = |plane, at| if levels.bit(plane, |cut| crossed(at, cut)) { 1.0 } else { -1.0 };
    let signs = |plane| Matrix::from_shape_fn(dim, |at| sign(plane, at));
    let planes = (0..).zip(levels.weights()).map(|(plane, weight)| (weight, signs(plane)));
    Code { scale: levels.scale, planes: planes.collect(), mask: None }
}

/// The sums of a product before they are scaled: integers below 2^24, which floats hold exactly.
fn sums(a: &Code, w: &Code, gather: &Gather) -> Result<Matrix> {
    let (a, w) = (a.integers(), w.integers());
    let (rows, _) = gather.product_shape(a.dim(), w.dim())?;
    // One row per output row: the entries under its window, tap after tap, 0 outside the grid.
    let gathered = Matrix::from_shape_fn((rows, w.ncols()), |(row, col)| {
        let (tap, channel) = (col / a.ncols(), col % a.ncols());
        gather.source(row, tap).map_or(0.0, |source| a[[source, channel]])
    });
    Ok(gathered.dot(&w.t()))
}

impl BinaryBackend for FloatSigns {
    type Real = Matrix;
    type Code = Code;

    fn name(&self) -> String {
        "float-signs".into()
    }

    fn put(&self, x: MatrixView<'_>) -> Result<Matrix> {
        Ok(x.to_owned())
    }

    fn get(&self, x: &Matrix) -> Result<Matrix> {
        Ok(x.clone())
    }

    fn put_code(&self, x: &HostCode) -> Result<Code> {
        let dim = x.dim()?;
        let Planes { scale, planes, mask } = x.clone().into_planes();
        let signs = |bits: BitMatrix| Matrix::from_shape_fn(dim, |at| bits.sign(at.0, at.1) as f32);
        let planes = planes.into_iter().map(|(weight, plane)| (weight, signs(plane))).collect();
        Ok(Code { scale, planes, mask: mask.map(signs) })
    }

    fn get_code(&self, x: &Code) -> Result<HostCode> {
        let bits = |signs: &Matrix| BitMatrix::from_signs(signs.view());
        let planes = x.planes.iter().map(|(weight, plane)| (*weight, bits(plane))).collect();
        Ok(HostCode::Planes(Planes { scale: x.scale, planes, mask: x.mask.as_ref().map(bits) }))
    }

    fn encode(&self, x: &Matrix, quant: &Quant, draw: Option<Draw<'_, Self>>) -> Result<Code> {
        quant.check()?;
        let Some(Draw { clock, stream }) = draw else {
            return Ok(code_of(x.dim(), &quant.levels, |at, cut| x[at] >= quant.cuts[cut]));
        };
        if !quant.is_sign() {
            return Err(Error::value("draw", "only the sign has a stochastic form"));
        }
        let key = Clock::from_row(clock.view())?.key.stream(stream);
        let uniform = |(row, col)| key.uniform((row * x.ncols() + col) as u32);
        Ok(code_of(x.dim(), &quant.levels, |at, _| uniform(at) < hard_sigmoid(x[at])))
    }

    fn product(&self, a: &Code, w: &Code, gather: &Gather) -> Result<Matrix> {
        // The scales are multiplied and rounded before they meet a sum, as on every backend.
        Ok(sums(a, w, gather)? * (a.scale * w.scale))
    }

    fn product_cut(
        &self,
        a: &Code,
        w: &Code,
        gather: &Gather,
        cuts: &Matrix,
        levels: &Levels,
    ) -> Result<Code> {
        let sums = sums(a, w, gather)?;
        let (want, got) = ((levels.cuts(), sums.ncols()), cuts.dim());
        if got != want {
            return Err(Error::shape("cuts", format!("{want:?}"), format!("{got:?}")));
        }
        Ok(code_of(sums.dim(), levels, |at, cut| sums[at] >= cuts[[cut, at.1]]))
    }

    fn pool(&self, x: &Code, grid: Grid, window: Window) -> Result<Code> {
        if x.mask.is_some() {
            return Err(Error::value("pool", "a code with holes has no maximum"));
        }
        let (integers, gather) = (x.integers(), Gather::Patches { grid, window });
        let shape = (gather.out_rows(integers.nrows())?, integers.ncols());
        let winners = ndarray::Array2::from_shape_fn(shape, |(row, col)| {
            let inside = (0..gather.taps()).filter_map(|tap| Some([gather.source(row, tap)?, col]));
            inside.max_by(|&a, &b| integers[a].total_cmp(&integers[b])).expect("a tap is inside")
        });
        let planes = x.planes.iter().map(|(w, plane)| (*w, winners.mapv(|at| plane[at])));
        Ok(Code { scale: x.scale, planes: planes.collect(), mask: None })
    }
}

/// Every method of training has a default that computes on the host.
impl TrainBackend for FloatSigns {}
