//! Gradients of products: reals times signs.

use bnn_core::{
    BinaryBackend, Gather, Grid, HostCode, Matrix, Operand, Planes, Result, TrainBackend, Window,
};
use bnn_cpu::{Code, Cpu, Real};
use ndarray::Array2;

use crate::case::{Case, Limit, Wanted, Work};
use crate::contender::Contender;
use crate::product::{Contenders, signs};
use crate::rivals;

/// What one gradient costs in relative error: the sums of some hundred f32.
const TOLERANCE: f64 = 1e-4;

/// Entries that are compared.
const CHECKS: usize = 61;

/// A gradient of a product.
#[derive(Clone, Copy)]
pub(crate) struct Gradient {
    of: Of,
    gather: Gather,
    rows: usize,
    columns: usize,
    outputs: usize,
    holes: Holes,
}

/// What dropout left of the signs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Holes {
    None,
    Half,
}

#[derive(Clone, Copy, PartialEq)]
enum Of {
    Input,
    Weight,
}

/// Gradients of the paper's hidden layers: MNIST at batch 100, CIFAR-10 at batch 50.
pub(crate) fn cases() -> Vec<Case> {
    let grid = |side| Grid { height: side, width: side };
    let conv = |side| Gather::Patches { grid: grid(side), window: Window::square(3, 1, 1) };
    let layers = [
        ("dense/b100/4096x4096", Gather::Rows, 100, 4096, 4096),
        ("conv/b10/16x16/256x256", conv(16), 10 * 256, 256, 256),
        ("conv/b50/8x8/512x512", conv(8), 50 * 64, 512, 512),
    ];
    let gradients = layers.into_iter().flat_map(|(layer, gather, rows, columns, outputs)| {
        [("dx", Of::Input), ("dw", Of::Weight)].map(|(name, of)| {
            let adds = rows * outputs * gather.taps() * columns;
            let gradient = Gradient { of, gather, rows, columns, outputs, holes: Holes::None };
            case(format!("gradient/{name}/{layer}"), adds, gradient)
        })
    });
    let mut cases: Vec<Case> = gradients.collect();
    cases.extend(cases.iter().filter_map(dropped).collect::<Vec<_>>());
    cases
}

fn case(name: String, adds: usize, gradient: Gradient) -> Case {
    let work = Work::Gradient(gradient);
    Case { name, adds, bytes: None, limit: Limit::Unknown, work }
}

/// The gradient of dense weights whose inputs went through dropout.
fn dropped(plain: &Case) -> Option<Case> {
    let Work::Gradient(gradient) = plain.work else { return None };
    let dense = gradient.of == Of::Weight && gradient.gather == Gather::Rows;
    let name = plain.name.replace("/dw/", "/dw-dropped/");
    dense.then(|| case(name, plain.adds, Gradient { holes: Holes::Half, ..gradient }))
}

/// Gradients of sums, each of a few hundred values.
pub(crate) fn dy_of(shape: (usize, usize)) -> Matrix {
    Array2::from_shape_fn(shape, |(row, col)| ((row * 131 + col * 37) % 1009) as f32 / 1009.0 - 0.5)
}

/// Signs as an operand, with or without holes.
pub(crate) fn operand(cpu: &Cpu, shape: (usize, usize), holes: Holes) -> Result<Code> {
    let mask = (holes == Holes::Half).then(|| signs(shape, 4));
    let planes = Planes { mask, ..Planes::binary(signs(shape, 3)) };
    cpu.put_code(&HostCode::Planes(planes))
}

/// The same as reals.
pub(crate) fn reals(shape: (usize, usize), holes: Holes) -> Matrix {
    let (signs, mask) = (signs(shape, 3), signs(shape, 4));
    Array2::from_shape_fn(shape, |(row, col)| {
        let kept = holes == Holes::None || mask.sign(row, col) == 1;
        if kept { signs.sign(row, col) as f32 } else { 0.0 }
    })
}

impl Gradient {
    /// Ours by kernel, then an f32 product of the same size; of convolutions that leaves out the
    /// gathering.
    pub(crate) fn contenders(&self, kernels: &[Cpu], threads: usize) -> Result<Contenders> {
        let depth = self.gather.taps() * self.columns;
        let dy = dy_of((self.rows, self.outputs));
        let shape = match self.of {
            Of::Input => (self.outputs, depth),
            Of::Weight => (self.rows, self.columns),
        };
        let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
        for cpu in kernels {
            let (dy, signs) = (cpu.put(dy.view())?, operand(cpu, shape, self.holes)?);
            contenders.push(Box::new(Ours {
                cpu: cpu.clone(),
                gradient: *self,
                dy,
                signs,
                out: None,
            }));
        }
        let signs = reals(shape, self.holes);
        if let (Of::Input, Gather::Rows) = (self.of, self.gather) {
            let columns = signs.t().as_standard_layout().into_owned();
            contenders.push(Box::new(rivals::floats(&dy, &columns, threads)?));
        }
        let wanted = Wanted { entries: self.entries(&dy, &signs), tolerance: TOLERANCE };
        Ok((contenders, wanted))
    }

    fn entries(&self, dy: &Matrix, signs: &Matrix) -> Vec<((usize, usize), f64)> {
        let depth = self.gather.taps() * self.columns;
        let (rows, cols) = match self.of {
            Of::Input => (self.rows, self.columns),
            Of::Weight => (self.outputs, depth),
        };
        let places = (0..CHECKS).map(|at| at * (rows * cols / CHECKS));
        places.map(|at| (at / cols, at % cols)).map(|at| (at, self.entry(dy, signs, at))).collect()
    }

    /// The definition, entry by entry.
    fn entry(&self, dy: &Matrix, signs: &Matrix, (row, col): (usize, usize)) -> f64 {
        let product = |dy: f32, sign: f32| f64::from(dy) * f64::from(sign);
        let positions = 0..dy.nrows();
        match self.of {
            Of::Weight => {
                let (tap, channel) = (col / self.columns, col % self.columns);
                let term = |at: usize| {
                    let source = self.gather.source(at, tap)?;
                    Some(product(dy[[at, row]], signs[[source, channel]]))
                };
                positions.filter_map(term).sum()
            }
            Of::Input => {
                let hits = positions.flat_map(|at| {
                    self.gather
                        .sources(at)
                        .filter(|&(_, source)| source == row)
                        .map(move |(tap, _)| (at, tap))
                });
                let terms = hits.map(|(at, tap)| {
                    let weights = signs.column(tap * self.columns + col);
                    dy.row(at)
                        .iter()
                        .zip(weights)
                        .map(|(&dy, &sign)| product(dy, sign))
                        .sum::<f64>()
                });
                terms.sum()
            }
        }
    }
}

struct Ours {
    cpu: Cpu,
    gradient: Gradient,
    dy: Real,
    signs: Code,
    out: Option<Real>,
}

impl Contender for Ours {
    fn name(&self) -> String {
        self.cpu.name()
    }

    fn run(&mut self) {
        let (gather, signs) = (&self.gradient.gather, Operand::Code(&self.signs));
        let out = match self.gradient.of {
            Of::Input => self.cpu.product_grad_input(&self.dy, signs, gather),
            Of::Weight => self.cpu.product_grad_weight(&self.dy, signs, gather),
        };
        self.out = Some(out.expect("the shapes fit"));
    }

    fn result(&self) -> Result<Matrix> {
        self.cpu.get(self.out.as_ref().expect("it has run"))
    }
}
