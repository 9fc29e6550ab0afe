//! The backend: signs are the floats -1 and +1, and ndarray multiplies them.
//! What it does not compute itself it leaves to the definitions in `bnn_core::reference`.

use bnn_core::{
    BinaryBackend, BitMatrix, Clock, Draw, Error, FloatBackend, Gather, Grid, HostCode, Levels,
    Matrix, MatrixView, Planes, Quant, Result, TrainBackend, Window, reference,
};

/// The device. A real one would keep its queue, its memory and its kernels here.
pub struct FloatSigns;

/// A code on the device.
pub struct Code {
    /// What was put, for the way back.
    planes: Planes,
    /// What a product multiplies: the weighted sums of the planes, 0 in holes.
    integers: Matrix,
}

impl Code {
    fn new(planes: Planes) -> Result<Self> {
        Ok(Self { integers: planes.integers()?.mapv(|integer| integer as f32), planes })
    }
}

/// The sums of a product before they are scaled: integers below 2^24, which floats hold exactly.
fn sums(a: &Code, w: &Code, gather: &Gather) -> Result<Matrix> {
    let (a, w) = (&a.integers, &w.integers);
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
        Code::new(x.clone().into_planes())
    }

    fn get_code(&self, x: &Code) -> Result<HostCode> {
        Ok(HostCode::Planes(x.planes.clone()))
    }

    fn encode(&self, x: &Matrix, quant: &Quant, draw: Option<Draw<'_, Self>>) -> Result<Code> {
        let key = |of: Draw<'_, Self>| Ok(Clock::from_row(of.clock.view())?.key.stream(of.stream));
        Code::new(reference::encode(x, quant, draw.map(key).transpose()?)?)
    }

    fn product(&self, a: &Code, w: &Code, gather: &Gather) -> Result<Matrix> {
        // The scales are multiplied and rounded before they meet a sum, as on every backend.
        Ok(sums(a, w, gather)? * (a.planes.scale * w.planes.scale))
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
        let (rows, cols) = sums.dim();
        let want = (levels.cuts(), cols);
        if cuts.dim() != want {
            return Err(Error::shape("cuts", format!("{want:?}"), format!("{:?}", cuts.dim())));
        }
        let bit = |plane, at: [usize; 2]| levels.bit(plane, |cut| sums[at] >= cuts[[cut, at[1]]]);
        let bits = |plane| BitMatrix::from_fn(rows, cols, |row, col| bit(plane, [row, col]));
        let planes = (0..).zip(levels.weights()).map(|(plane, weight)| (weight, bits(plane)));
        Code::new(Planes { scale: levels.scale, planes: planes.collect(), mask: None })
    }

    fn pool(&self, x: &Code, grid: Grid, window: Window) -> Result<Code> {
        Code::new(reference::pool(&x.planes, grid, window)?)
    }
}

/// Every method of training and of float baselines has a default that computes on the host.
impl TrainBackend for FloatSigns {}
impl FloatBackend for FloatSigns {}
