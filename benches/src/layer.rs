//! Layers of signs: a product, and whether its sums reach their thresholds, packed.

use bnn_core::{BinaryBackend, Gather, HostCode, Levels, Matrix, Result};
use bnn_cpu::{Code, Cpu, Real};

use crate::case::Wanted;
use crate::contender::Contender;
use crate::ours::put;
use crate::product::{Contenders, Operands, Signs, gathered, reals};

/// A product whose thresholds are all 0.
#[derive(Clone, Copy)]
pub(crate) struct Layer(pub(crate) Signs);

impl Layer {
    /// Ours by kernel; nobody else's layers pack what they compute.
    pub(crate) fn contenders(&self, kernels: &[Cpu]) -> Result<Contenders> {
        let operands = self.0.operands();
        let ours = kernels.iter().map(|cpu| Ok(Box::new(Ours::new(cpu, &operands)?) as _));
        let contenders = ours.collect::<Result<_>>()?;
        let Wanted { entries, tolerance } =
            self.0.wanted(&gathered(&operands), &reals(&operands.w));
        let sign = |(place, sum): (_, f64)| (place, if sum >= 0.0 { 1.0 } else { -1.0 });
        Ok((contenders, Wanted { entries: entries.into_iter().map(sign).collect(), tolerance }))
    }
}

struct Ours {
    cpu: Cpu,
    a: Code,
    w: Code,
    gather: Gather,
    cuts: Real,
    out: Code,
}

impl Ours {
    fn new(cpu: &Cpu, operands: &Operands) -> Result<Self> {
        let (a, w, gather) = (put(cpu, &operands.a)?, put(cpu, &operands.w)?, operands.gather);
        let cuts = cpu.put(Matrix::zeros((1, operands.w.rows())).view())?;
        let out = cpu.product_cut(&a, &w, &gather, &cuts, &Levels::sign())?;
        Ok(Self { cpu: cpu.clone(), a, w, gather, cuts, out })
    }
}

impl Contender for Ours {
    fn name(&self) -> String {
        self.cpu.name()
    }

    fn run(&mut self) {
        let Self { cpu, a, w, gather, cuts, .. } = &*self;
        let out = cpu.product_cut(a, w, gather, cuts, &Levels::sign());
        self.out = out.expect("it fitted before");
    }

    fn result(&self) -> Result<Matrix> {
        match self.cpu.get_code(&self.out)? {
            HostCode::Planes(planes) => Ok(reals(&planes.planes[0].1)),
            HostCode::Bytes(_) => unreachable!("signs are planes"),
        }
    }
}
