//! One layer in training: product, pool, norm, quantizer, and the backward of each.
//!
//! The order is the paper's: product, then max-pooling on sums, then the norm, then the sign.

use bnn_core::{
    Draw, Gather, Gradient, Norm, Normed, Operand, Param, Planes, Pool, Quant, Result, Rule,
    Running, TrainBackend,
};

/// A layer: latent weights with their code, norm, and what happens to its output.
pub struct Block<B: TrainBackend> {
    /// The layer's constants.
    pub form: BlockForm,
    /// Latent weights: one row per output, columns in the order of [`Gather`].
    pub weights: Param<B>,
    /// The quantized weights that both directions use.
    pub code: B::Code,
    /// Gains of the norm, a row.
    pub gamma: Param<B>,
    /// Offsets of the norm, a row.
    pub beta: Param<B>,
    /// Running statistics of the norm.
    pub running: Running<B>,
}

/// What a layer is, apart from its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockForm {
    /// How its input meets its weights.
    pub gather: Gather,
    /// Max-pooling of its sums.
    pub pool: Option<Pool>,
    /// Shape of the weights: outputs by taps times channels.
    pub shape: (usize, usize),
    /// Its norm.
    pub norm: Norm,
    /// Quantizer of its weights.
    pub weight_quant: Quant,
    /// Update of its weights.
    pub weight_rule: Rule,
    /// Update of the norm's gains, gamma.
    pub gain_rule: Rule,
    /// Update of the norm's offsets, beta.
    pub offset_rule: Rule,
    /// What makes its output a code; none for the last layer, whose output is scores.
    pub activation: Option<ActivationForm>,
}

/// How a layer's normalized sums become a code.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationForm {
    /// The quantizer.
    pub quant: Quant,
    /// Binarizes stochastically in training.
    pub stochastic: bool,
    /// Share of the entries that training keeps; 1 keeps all, without a mask.
    pub keep: f32,
    /// First of the two streams of random numbers it draws from.
    pub stream: u32,
}

/// What forward keeps for backward.
pub struct Saved<B: TrainBackend> {
    input: B::Code,
    sums: B::Real,
    taps: Option<B::Real>,
    normed: Normed<B>,
}

/// What a layer's backward tells.
pub struct Backward<B: TrainBackend> {
    /// Gradient by the layer's input, where asked for.
    pub input: Option<B::Real>,
    /// The row of flips and clipped weights.
    pub tally: B::Real,
}

impl<B: TrainBackend> Block<B> {
    /// Product, pool and norm of a batch in training; moves the running statistics.
    ///
    /// # Errors
    /// What the backend says.
    pub fn forward(&mut self, backend: &B, input: B::Code) -> Result<Saved<B>> {
        let product = backend.product(&input, &self.code, &self.form.gather)?;
        let (sums, taps) = match self.form.pool {
            Some(Pool { grid, window }) => {
                let pooled = backend.max_pool(&product, grid, window)?;
                (pooled.y, Some(pooled.taps))
            }
            None => (product, None),
        };
        let (gamma, beta) = (&self.gamma.value, &self.beta.value);
        let normed = backend.norm(&sums, gamma, beta, &mut self.running, &self.form.norm)?;
        Ok(Saved { input, sums, taps, normed })
    }

    /// Product, pool and norm in evaluation, by the running statistics.
    ///
    /// # Errors
    /// What the backend says.
    pub fn evaluate(&self, backend: &B, input: &B::Code) -> Result<B::Real> {
        let mut sums = backend.product(input, &self.code, &self.form.gather)?;
        if let Some(Pool { grid, window }) = self.form.pool {
            sums = backend.max_pool(&sums, grid, window)?.y;
        }
        let (gamma, beta) = (&self.gamma.value, &self.beta.value);
        backend.norm_eval(&sums, gamma, beta, &self.running, &self.form.norm)
    }

    /// Takes the gradient of the normalized sums back through the layer, and moves its parameters by
    /// one step; the gradient by the input is formed with the weights before that step.
    ///
    /// # Errors
    /// What the backend says.
    pub fn backward(
        &mut self,
        backend: &B,
        dy: &B::Real,
        saved: &Saved<B>,
        clock: &B::Real,
        to_input: bool,
    ) -> Result<Backward<B>> {
        let Saved { input, sums, taps, normed } = saved;
        let BlockForm { gather, norm, gain_rule, offset_rule, .. } = &self.form;
        let grad = backend.norm_grad(dy, sums, &self.gamma.value, normed, norm)?;
        let dy = match (&self.form.pool, taps) {
            (Some(Pool { grid, window }), Some(taps)) => {
                backend.max_pool_grad(&grad.x, taps, *grid, *window)?
            }
            _ => grad.x,
        };
        let by_input = || backend.product_grad_input(&dy, Operand::Code(&self.code), gather);
        let dx = to_input.then(by_input).transpose()?;
        let product = Gradient::Product { dy: &dy, a: Operand::Code(input), gather };
        let (rule, quant) = (&self.form.weight_rule, Some(&self.form.weight_quant));
        let updated = backend.update(&mut self.weights, product, rule, quant, clock)?;
        self.code = updated.code.expect("an update with a quantizer returns a code");
        backend.update(&mut self.gamma, Gradient::Ready(&grad.gamma), gain_rule, None, clock)?;
        backend.update(&mut self.beta, Gradient::Ready(&grad.beta), offset_rule, None, clock)?;
        Ok(Backward { input: dx, tally: updated.tally })
    }

    /// The quantized weights on the host.
    ///
    /// # Errors
    /// What the backend says.
    pub fn host_code(&self, backend: &B) -> Result<Planes> {
        Ok(backend.get_code(&self.code)?.into_planes())
    }
}

impl<B: TrainBackend> Saved<B> {
    /// The normalized sums.
    pub fn normed(&self) -> &B::Real {
        &self.normed.y
    }

    /// The layer's input.
    pub fn input(&self) -> &B::Code {
        &self.input
    }
}

impl ActivationForm {
    /// The code of normalized sums in training, with dropout.
    ///
    /// # Errors
    /// What the backend says.
    pub fn train<B: TrainBackend>(
        &self,
        backend: &B,
        x: &B::Real,
        clock: &B::Real,
    ) -> Result<B::Code> {
        let draw = self.stochastic.then_some(Draw { clock, stream: self.stream });
        let code = backend.encode(x, &self.quant, draw)?;
        if self.keep < 1.0 {
            return backend.dropout(&code, self.keep, Draw { clock, stream: self.stream + 1 });
        }
        Ok(code)
    }
}
