//! Steps of an optimizer on latent weights: gradient, Adam, clip and signs.

use bnn_core::{
    BinaryBackend, Clock, Gather, Gradient, Key, Matrix, Operand, Optimizer, Param, Quant, Result,
    Rule, TrainBackend,
};
use bnn_cpu::{Code, Cpu, Real};
use ndarray::Array2;

use crate::case::{Case, Limit, Wanted, Work};
use crate::contender::Contender;
use crate::gradient::{self, Holes, dy_of, operand};
use crate::product::{Contenders, word};

/// How far new weights lie apart at most, as a share of 1: rounding of sums, of a root and a quotient.
const TOLERANCE: f64 = 1e-4;

/// Weights that are compared.
const CHECKS: usize = 499;

/// Outputs and inputs of the paper's hidden layers.
const SIDE: usize = 4096;

/// Images of a batch.
const BATCH: usize = 100;

/// The step, counted from 1, and its learning rate.
const STEP: u64 = 10;
const RATE: f64 = 1e-3;

/// A step of Adam on the latent weights of a layer.
#[derive(Clone, Copy)]
pub(crate) enum Update {
    /// The gradient is there already.
    Ready,
    /// The gradient is still to be formed of a batch, with or without dropout.
    Formed(Holes),
}

/// With a gradient that is there, which memory bounds, and with one still to be formed.
pub(crate) fn cases() -> Vec<Case> {
    let weights = SIDE * SIDE;
    let case = |name, (adds, limit), update| {
        let name = format!("update/{name}/{SIDE}x{SIDE}");
        Case { name, adds, bytes: None, limit, work: Work::Update(update) }
    };
    let sums = (BATCH * weights, Limit::Unknown);
    vec![
        case("adam", (weights, Limit::Moves), Update::Ready),
        case("adam/dense/b100", sums, Update::Formed(Holes::None)),
        case("adam-dropped/dense/b100", sums, Update::Formed(Holes::Half)),
    ]
}

impl Update {
    /// Ours by kernel.
    pub(crate) fn contenders(self, kernels: &[Cpu]) -> Result<Contenders> {
        let start = Start::new();
        let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
        for cpu in kernels {
            contenders.push(Box::new(Ours::new(cpu, self, &start)?));
        }
        let wanted = Wanted { entries: self.entries(&start), tolerance: TOLERANCE };
        Ok((contenders, wanted))
    }

    /// Some weights after the step, by the definition.
    fn entries(self, start: &Start) -> Vec<((usize, usize), f64)> {
        let places = (0..CHECKS).map(|at| at * (SIDE * SIDE / CHECKS));
        let gradient: Box<dyn Fn(usize, usize) -> f32> = match self {
            Self::Ready => {
                let gradient = reals(8);
                Box::new(move |row, col| gradient[[row, col]])
            }
            Self::Formed(holes) => {
                let (dy, a) = (dy_of((BATCH, SIDE)), gradient::reals((BATCH, SIDE), holes));
                let term = move |row, col, at| f64::from(dy[[at, row]]) * f64::from(a[[at, col]]);
                Box::new(move |row, col| {
                    (0..BATCH).map(|at| term(row, col, at)).sum::<f64>() as f32
                })
            }
        };
        let entry = |at: usize| {
            let place = (at / SIDE, at % SIDE);
            let [value, mut m, mut v] = [&start.value, &start.m, &start.v].map(|x| x[place]);
            let step_size = start.clock.step_size;
            let new = rule().step(value, gradient(place.0, place.1), &mut m, &mut v, step_size);
            (place, f64::from(new))
        };
        places.map(entry).collect()
    }
}

/// That of the paper's hidden layers, with the step scaled as Glorot's weights are.
fn rule() -> Rule {
    let scale = (2.0 * SIDE as f32 / 1.5).sqrt();
    Rule { optimizer: Optimizer::adam(), scale, clip: true }
}

/// Numbers in [-1, 1) that look random.
fn reals(salt: usize) -> Matrix {
    Array2::from_shape_fn((SIDE, SIDE), |(row, col)| {
        (word(row * SIDE + col, salt) >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// What a step starts from.
struct Start {
    value: Matrix,
    m: Matrix,
    v: Matrix,
    clock: Clock,
}

impl Start {
    fn new() -> Self {
        let step_size = Optimizer::adam().step_size(RATE, STEP);
        let clock = Clock { step_size, key: Key::new(0, STEP) };
        Self { value: reals(5), m: reals(6), v: reals(7).mapv(|x| x * x), clock }
    }
}

/// Latent weights on the CPU.
struct Latent {
    cpu: Cpu,
    param: Param<Cpu>,
    clock: Real,
    signs: Option<Code>,
}

impl Latent {
    fn new(cpu: &Cpu, start: &Start) -> Result<Self> {
        let [value, m, v] = [&start.value, &start.m, &start.v].map(|x| cpu.put(x.view()));
        let param = Param { value: value?, m: m?, v: v? };
        let clock = cpu.put(start.clock.to_row().view())?;
        Ok(Self { cpu: cpu.clone(), param, clock, signs: None })
    }

    fn step(&mut self, gradient: Gradient<'_, Cpu>) -> Result<()> {
        let Self { cpu, param, clock, .. } = self;
        self.signs = cpu.update(param, gradient, &rule(), Some(&Quant::sign()), clock)?.code;
        Ok(())
    }

    /// The weights, whose signs must be those that the step told.
    fn weights(&self) -> Result<Matrix> {
        let weights = self.cpu.get(&self.param.value)?;
        let signs = self.cpu.get_code(self.signs.as_ref().expect("it has stepped"))?.into_planes();
        let (_, signs) = &signs.planes[0];
        let agree = |((row, col), &weight): ((usize, usize), &f32)| {
            signs.sign(row, col) == if weight >= 0.0 { 1 } else { -1 }
        };
        assert!(weights.indexed_iter().all(agree), "signs are not those of the weights");
        Ok(weights)
    }
}

/// The whole step in one pass.
struct Ours {
    latent: Latent,
    /// Of the weights, or of their sums.
    gradient: Real,
    /// What the weights met, if their gradient is still to be formed.
    inputs: Option<Code>,
    /// The weights after the first step.
    first: Matrix,
}

impl Ours {
    fn new(cpu: &Cpu, update: Update, start: &Start) -> Result<Self> {
        let (gradient, inputs) = match update {
            Update::Ready => (reals(8), None),
            Update::Formed(holes) => {
                (dy_of((BATCH, SIDE)), Some(operand(cpu, (BATCH, SIDE), holes)?))
            }
        };
        let (latent, gradient) = (Latent::new(cpu, start)?, cpu.put(gradient.view())?);
        let mut ours = Self { latent, gradient, inputs, first: Matrix::zeros((0, 0)) };
        ours.run();
        ours.first = ours.latent.weights()?;
        Ok(ours)
    }
}

impl Contender for Ours {
    fn name(&self) -> String {
        self.latent.cpu.name()
    }

    fn run(&mut self) {
        let dy = &self.gradient;
        let product = |a| Gradient::Product { dy, a: Operand::Code(a), gather: &Gather::Rows };
        let gradient = self.inputs.as_ref().map_or(Gradient::Ready(dy), product);
        self.latent.step(gradient).expect("the shapes fit");
    }

    fn result(&self) -> Result<Matrix> {
        Ok(self.first.clone())
    }
}
