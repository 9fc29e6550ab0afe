//! Training as `bnn train` does it.

use bnn_core::{BinaryBackend, Clock, Key, Matrix, Quant, Result};
use bnn_cpu::Cpu;
use bnn_train::Spec;
use bnn_train::net::Net;

use super::{Batch, CLASSES, OFFSET, RATE, Start, Trainer};

pub(super) struct Ours {
    cpu: Cpu,
    spec: Spec,
    net: Net<Cpu>,
    steps: u64,
}

impl Ours {
    pub(super) fn new(cpu: &Cpu, start: &Start) -> Result<Self> {
        let net = Net::new(cpu, &start.spec, start.input, CLASSES, 0);
        let mut net = net.map_err(|error| bnn_core::Error::Device {
            op: "start a training",
            source: error.into(),
        })?;
        for (layer, block) in net.blocks.iter_mut().enumerate() {
            let weights = cpu.put(Start::weights(layer, block.form.shape).view())?;
            block.code = Some(cpu.encode(&weights, &Quant::sign(), None)?);
            block.weights.value = weights;
            block.beta.value =
                cpu.put(Matrix::from_elem((1, block.form.shape.0), OFFSET).view())?;
        }
        Ok(Self { cpu: cpu.clone(), spec: start.spec.clone(), net, steps: 0 })
    }
}

impl Trainer for Ours {
    fn name(&self) -> String {
        self.cpu.name()
    }

    fn step(&mut self, batch: &Batch) -> Result<f32> {
        let train = &self.spec.train;
        self.steps += 1;
        let step_size = train.optimizer.optimizer().step_size(RATE, self.steps);
        let clock = Clock { step_size, key: Key::new(0, self.steps) };
        let batch = self.net.upload(&self.cpu, batch.images.view(), &batch.labels)?;
        let tally = self.net.step(&self.cpu, batch, train.loss, &clock)?;
        Ok(self.cpu.get(&tally.loss)?[[0, 0]])
    }
}
