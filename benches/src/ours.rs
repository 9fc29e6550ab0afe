//! Our own kernels.

use bnn_core::{BinaryBackend, BitMatrix, Gather, HostCode, Matrix, Result};
use bnn_cpu::{Code, Cpu, Real};

use crate::contender::Contender;
use crate::product::Operands;

/// A product of signs by one set of kernels, its weights packed beforehand.
pub(crate) struct Product {
    cpu: Cpu,
    a: Code,
    w: Code,
    gather: Gather,
    out: Real,
}

impl Product {
    pub(crate) fn new(cpu: &Cpu, operands: &Operands) -> Result<Self> {
        let (a, w, gather) = (put(cpu, &operands.a)?, put(cpu, &operands.w)?, operands.gather);
        let out = cpu.product(&a, &w, &gather)?;
        Ok(Self { cpu: cpu.clone(), a, w, gather, out })
    }
}

impl Contender for Product {
    fn name(&self) -> String {
        self.cpu.name()
    }

    fn run(&mut self) {
        self.out = self.cpu.product(&self.a, &self.w, &self.gather).expect("it fitted before");
    }

    fn result(&self) -> Result<Matrix> {
        self.cpu.get(&self.out)
    }
}

/// Signs as an operand.
pub(crate) fn put(cpu: &Cpu, signs: &BitMatrix) -> Result<Code> {
    cpu.put_code(&HostCode::binary(signs.clone()))
}
