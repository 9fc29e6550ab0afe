//! Our own kernels.

use bnn_core::{BinaryBackend, BitMatrix, Gather, HostCode, Matrix, Result};

use crate::contender::Contender;
use crate::product::Operands;

/// A product of signs by one set of kernels, its weights packed beforehand.
pub(crate) struct Product<B: BinaryBackend> {
    backend: B,
    a: B::Code,
    w: B::Code,
    gather: Gather,
    out: B::Real,
    /// One number: to get it is to wait for everything that was started before.
    last: B::Real,
}

impl<B: BinaryBackend + Clone> Product<B> {
    pub(crate) fn new(backend: &B, operands: &Operands) -> Result<Self> {
        let (a, w) = (put(backend, &operands.a)?, put(backend, &operands.w)?);
        let (backend, gather) = (backend.clone(), operands.gather);
        let out = backend.product(&a, &w, &gather)?;
        let last = backend.put(Matrix::zeros((1, 1)).view())?;
        Ok(Self { backend, a, w, gather, out, last })
    }
}

impl<B: BinaryBackend> Contender for Product<B> {
    fn name(&self) -> String {
        self.backend.name()
    }

    fn run(&mut self) {
        let out = self.backend.product(&self.a, &self.w, &self.gather);
        self.out = out.expect("it fitted before");
    }

    fn wait(&mut self) {
        self.backend.get(&self.last).expect("the device does what it was asked for");
    }

    fn result(&self) -> Result<Matrix> {
        self.backend.get(&self.out)
    }
}

/// Signs as an operand.
pub(crate) fn put<B: BinaryBackend>(backend: &B, signs: &BitMatrix) -> Result<B::Code> {
    backend.put_code(&HostCode::binary(signs.clone()))
}
