//! Products of signs: squares, dense layers, convolutions.

use bnn_core::{BitMatrix, Gather, Grid, Matrix, Result, Window};
use bnn_cpu::Cpu;
use ndarray::Array2;

use crate::case::{Case, Limit, Wanted, Work};
use crate::contender::Contender;
use crate::layer::Layer;
use crate::ours::Product;
use crate::rivals;

/// Entries of results that are compared with sums over the signs.
const CHECKS: usize = 97;

/// Multiply-adds that the loop over single signs is asked for: so many rows, and at least one.
const LARGEST_NAIVE: usize = 1 << 26;

/// A product of `images` images (or rows) with `outputs` rows of weights.
#[derive(Clone, Copy)]
pub(crate) struct Signs {
    pub(crate) gather: Gather,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) outputs: usize,
}

/// Both operands.
pub(crate) struct Operands {
    pub(crate) a: BitMatrix,
    pub(crate) w: BitMatrix,
    pub(crate) gather: Gather,
}

/// All cases: squares, the layers of the paper's networks.
pub(crate) fn cases() -> Vec<Case> {
    let squares = [1024, 2048, 4096, 8192].map(|n| dense(format!("square/{n}"), (n, n, n)));
    let batches = [1, 32, 100, 10_000];
    let layers = batches.into_iter().flat_map(|rows| {
        [(4096, 784), (4096, 4096), (10, 4096), (1000, 1000), (577, 577)].map(|(outputs, depth)| {
            dense(format!("dense/b{rows}/{depth}x{outputs}"), (rows, outputs, depth))
        })
    });
    let convolutions = [1, 16].into_iter().flat_map(|images| {
        // The layers of the paper's CIFAR-10 network behind its first: side, channels, outputs.
        [(32, 128, 128), (16, 128, 256), (16, 256, 256), (8, 256, 512), (8, 512, 512)].map(
            |(side, channels, outputs)| {
                let grid = Grid { height: side, width: side };
                let gather = Gather::Patches { grid, window: Window::square(3, 1, 1) };
                let name = format!("conv/b{images}/{side}x{side}/{channels}x{outputs}");
                let rows = images * grid.pixels();
                case(name, Signs { gather, rows, columns: channels, outputs })
            },
        )
    });
    let batch = dense("dense/b256/4096x4096".into(), (256, 4096, 4096));
    let products = squares.into_iter().chain(layers).chain([batch]).chain(convolutions);
    let mut cases: Vec<Case> = products.collect();
    cases.extend(cases.iter().filter_map(layer).collect::<Vec<_>>());
    cases
}

/// The layer that cuts a product, where it is one of a network, or the paper's own size.
fn layer(product: &Case) -> Option<Case> {
    let Work::Signs(signs) = product.work else { return None };
    let known = !product.name.starts_with("square") || product.name == "square/8192";
    let wide = signs.outputs % 64 == 0 && known;
    wide.then(|| Case {
        name: format!("layer/{}", product.name),
        work: Work::Layer(Layer(signs)),
        ..*product
    })
}

fn dense(name: String, (rows, outputs, depth): (usize, usize, usize)) -> Case {
    case(name, Signs { gather: Gather::Rows, rows, columns: depth, outputs })
}

fn case(name: String, signs: Signs) -> Case {
    let depth = signs.gather.taps() * signs.columns;
    let adds = signs.positions() * signs.outputs * depth;
    let limit = match signs.positions() {
        1 => Limit::Bytes(signs.outputs * depth.div_ceil(64) * 8),
        _ => Limit::Popcount,
    };
    let packed = |rows: usize, columns: usize| rows * columns.div_ceil(64) * 8;
    let bytes = Some(packed(signs.rows, signs.columns) + packed(signs.outputs, depth));
    Case { name, adds, bytes, limit, work: Work::Signs(signs) }
}

impl Signs {
    /// Rows of the product.
    fn positions(&self) -> usize {
        self.gather.out_rows(self.rows).expect("the rows are whole images")
    }

    pub(crate) fn operands(&self) -> Operands {
        Operands {
            a: signs((self.rows, self.columns), 1),
            w: signs((self.outputs, self.gather.taps() * self.columns), 2),
            gather: self.gather,
        }
    }

    /// Ours by kernel, best first, then others.
    pub(crate) fn contenders(&self, kernels: &[Cpu], threads: usize) -> Result<Contenders> {
        let operands = self.operands();
        let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
        for cpu in kernels {
            contenders.push(Box::new(Product::new(cpu, &operands)?));
        }
        let (a, w) = (gathered(&operands), reals(&operands.w));
        contenders.push(Box::new(rivals::floats(&a, &w, threads)?));
        contenders.push(Box::new(rivals::bytes(&a, &w, threads)?));
        if matches!(self.gather, Gather::Rows) {
            contenders.push(Box::new(rivals::Words::new(&operands)));
            let rows = LARGEST_NAIVE / (self.outputs * self.columns);
            contenders.push(Box::new(rivals::Naive::new(&a, &w, rows.max(1))));
        }
        let wanted = self.wanted(&a, &w);
        Ok((contenders, wanted))
    }

    /// Some sums over the signs.
    pub(crate) fn wanted(&self, a: &Matrix, w: &Matrix) -> Wanted {
        let entries = self.positions() * self.outputs;
        let places = (0..CHECKS.min(entries)).map(|at| at * (entries / CHECKS.min(entries)));
        let places = places.map(|at| (at / self.outputs, at % self.outputs));
        // The first row is looked at more closely: it may be all that a slow contender computes.
        let step = self.outputs.div_ceil(CHECKS);
        let places = places.chain((0..self.outputs).step_by(step).map(|col| (0, col)));
        let entry = |(row, col): (usize, usize)| {
            let sum: f64 = a.row(row).iter().zip(w.row(col)).map(|(a, w)| f64::from(a * w)).sum();
            ((row, col), sum)
        };
        Wanted { entries: places.map(entry).collect(), tolerance: 0.0 }
    }
}

/// Contenders and the result they must give.
pub(crate) type Contenders = (Vec<Box<dyn Contender>>, Wanted);

/// Kernels that this processor can run, best first.
pub(crate) fn kernels(threads: usize) -> Result<Vec<Cpu>> {
    let usable = Cpu::kernels().into_iter().filter(|kernel| kernel.missing.is_none());
    usable.map(|kernel| Cpu::with_kernel(kernel.name)?.with_threads(threads)).collect()
}

/// Signs that look random.
pub(crate) fn signs((rows, cols): (usize, usize), salt: usize) -> BitMatrix {
    BitMatrix::from_fn(rows, cols, |row, col| word(row * cols + col, salt) >> 40 & 1 == 1)
}

/// A word that looks random, for a place and a salt.
pub(crate) fn word(at: usize, salt: usize) -> u64 {
    let word = (at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 + 2 * salt as u64);
    (word ^ word >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

/// The rows that meet the weights as reals; taps outside the grid are 0.
pub(crate) fn gathered(operands: &Operands) -> Matrix {
    let Operands { a, gather, .. } = operands;
    let rows = gather.out_rows(a.rows()).expect("the rows are whole images");
    let mut reals = Array2::zeros((rows, gather.taps() * a.cols()));
    for (row, mut line) in reals.rows_mut().into_iter().enumerate() {
        for (tap, source) in gather.sources(row) {
            for col in 0..a.cols() {
                line[tap * a.cols() + col] = a.sign(source, col) as f32;
            }
        }
    }
    reals
}

pub(crate) fn reals(signs: &BitMatrix) -> Matrix {
    Array2::from_shape_fn((signs.rows(), signs.cols()), |(row, col)| signs.sign(row, col) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_contender_computes_some_rows_and_says_which() {
        let signs = Signs { gather: Gather::Rows, rows: 9, columns: 1 << 13, outputs: 1 << 12 };
        let mut contenders = signs.contenders(&kernels(1).unwrap()[..1], 1).unwrap().0;
        let naive = contenders.pop().unwrap();
        let part = naive.part().expect("not all rows");
        assert_eq!((naive.name().as_str(), part.rows, part.of), ("naive f32 loop", 2, 9));
        assert!(contenders.iter().all(|contender| contender.part().is_none()));
    }
}
