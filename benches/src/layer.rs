//! Layers of signs: a product, and whether its sums reach their thresholds, packed.

use bnn_core::{BinaryBackend, Gather, HostCode, Levels, Matrix, Result};

use crate::case::Wanted;
use crate::contender::Contender;
use crate::ours::put;
use crate::product::{Contenders, Operands, Signs, gathered, reals};

/// A product whose thresholds are all 0.
#[derive(Clone, Copy)]
pub(crate) struct Layer(pub(crate) Signs);

impl Layer {
    /// Ours by kernel, or by family of a GPU's; nobody else's layers pack what they compute.
    pub(crate) fn contenders<B>(&self, kernels: &[B]) -> Result<Contenders>
    where
        B: BinaryBackend + Clone + 'static,
    {
        let operands = self.0.operands();
        let ours = kernels.iter().map(|backend| Ok(Box::new(Ours::new(backend, &operands)?) as _));
        let contenders = ours.collect::<Result<_>>()?;
        let Wanted { entries, tolerance } =
            self.0.wanted(&gathered(&operands), &reals(&operands.w));
        let sign = |(place, sum): (_, f64)| (place, if sum >= 0.0 { 1.0 } else { -1.0 });
        Ok((contenders, Wanted { entries: entries.into_iter().map(sign).collect(), tolerance }))
    }
}

struct Ours<B: BinaryBackend> {
    backend: B,
    a: B::Code,
    w: B::Code,
    gather: Gather,
    cuts: B::Real,
    out: B::Code,
}

impl<B: BinaryBackend + Clone> Ours<B> {
    fn new(backend: &B, operands: &Operands) -> Result<Self> {
        let (a, w) = (put(backend, &operands.a)?, put(backend, &operands.w)?);
        let cuts = backend.put(Matrix::zeros((1, operands.w.rows())).view())?;
        let (backend, gather) = (backend.clone(), operands.gather);
        let out = backend.product_cut(&a, &w, &gather, &cuts, &Levels::sign())?;
        Ok(Self { backend, a, w, gather, cuts, out })
    }
}

impl<B: BinaryBackend> Contender for Ours<B> {
    fn name(&self) -> String {
        self.backend.name()
    }

    fn run(&mut self) {
        let Self { backend, a, w, gather, cuts, .. } = &*self;
        let out = backend.product_cut(a, w, gather, cuts, &Levels::sign());
        self.out = out.expect("it fitted before");
    }

    /// To get the few thresholds is to wait for everything that was started before.
    fn wait(&mut self) {
        self.backend.get(&self.cuts).expect("the device does what it was asked for");
    }

    fn result(&self) -> Result<Matrix> {
        match self.backend.get_code(&self.out)? {
            HostCode::Planes(planes) => Ok(reals(&planes.planes[0].1)),
            HostCode::Bytes(_) => unreachable!("signs are planes"),
        }
    }
}
