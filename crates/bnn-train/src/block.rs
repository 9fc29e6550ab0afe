//! One layer in training: product, pool, norm, quantizer, and the backward of each.
//!
//! The order is the paper's: product, then max-pooling on sums, then the norm, then the sign.
//! In the float baselines weights or activations are reals: the same layer, without a quantizer.

use bnn_core::{
    Activation, BinaryBackend, Draw, Error, FloatBackend, Gather, Gradient, Norm, Normed, Operand,
    Param, Planes, Pool, Quant, Result, Rule, Running, TrainBackend,
};

/// A layer: weights with their code where they have one, norm, and what happens to its output.
pub struct Block<B: TrainBackend> {
    /// The layer's constants.
    pub form: BlockForm,
    /// Weights, latent where there is a code: one row per output, columns in the order of [`Gather`].
    pub weights: Param<B>,
    /// The quantized weights that both directions use; none for real weights.
    pub code: Option<B::Code>,
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
    /// The norm's running spread before any batch.
    pub spread: f32,
    /// Quantizer of its weights; none for real weights.
    pub weight_quant: Option<Quant>,
    /// Bound of the uniform numbers that its weights start as.
    pub start: f32,
    /// Update of its weights.
    pub weight_rule: Rule,
    /// Update of the norm's gains, gamma.
    pub gain_rule: Rule,
    /// Update of the norm's offsets, beta.
    pub offset_rule: Rule,
    /// What makes its output the next input; none for the last layer, whose output is scores.
    pub activation: Option<ActivationForm>,
}

/// How a layer's normalized sums become the next layer's input.
#[derive(Clone, Debug, PartialEq)]
pub enum ActivationForm {
    /// A code.
    Code(CodeForm),
    /// Reals: the float baselines.
    Real(Activation),
}

/// How a layer's normalized sums become a code.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeForm {
    /// The quantizer.
    pub quant: Quant,
    /// Binarizes stochastically in training.
    pub stochastic: bool,
    /// Share of the entries that training keeps; 1 keeps all, without a mask.
    pub keep: f32,
    /// First of the two streams of random numbers it draws from.
    pub stream: u32,
}

/// What flows from layer to layer.
pub enum Flow<B: BinaryBackend> {
    /// Quantized values, or the bytes of images.
    Code(B::Code),
    /// Reals: the float baselines.
    Real(B::Real),
}

/// What forward keeps for backward.
pub struct Saved<B: TrainBackend> {
    input: Flow<B>,
    sums: B::Real,
    taps: Option<B::Real>,
    normed: Normed<B>,
}

/// What a layer's backward gives.
pub struct Backward<B: TrainBackend> {
    /// Gradient by the layer's input, where asked for.
    pub input: Option<B::Real>,
    /// Gradients by its parameters.
    pub gradients: Gradients<B>,
}

/// Gradients by a layer's parameters.
pub struct Gradients<B: TrainBackend> {
    /// By the product: with the layer's input it makes the gradient by the weights, which a step forms
    /// in the same pass over memory in which it moves them.
    product: B::Real,
    gamma: B::Real,
    beta: B::Real,
}

impl<B: FloatBackend> Block<B> {
    /// Product, pool and norm of a batch in training; moves the running statistics, for which `norm`
    /// says how much the batch counts.
    ///
    /// # Errors
    /// What the backend says.
    pub fn forward(&mut self, backend: &B, input: Flow<B>, norm: &Norm) -> Result<Saved<B>> {
        let product = self.product(backend, &input)?;
        let (sums, taps) = match self.form.pool {
            Some(Pool { grid, window }) => {
                let pooled = backend.max_pool(&product, grid, window)?;
                (pooled.y, Some(pooled.taps))
            }
            None => (product, None),
        };
        let (gamma, beta) = (&self.gamma.value, &self.beta.value);
        let normed = backend.norm(&sums, gamma, beta, &mut self.running, norm)?;
        Ok(Saved { input, sums, taps, normed })
    }

    /// Product, pool and norm in evaluation, by the running statistics.
    ///
    /// # Errors
    /// What the backend says.
    pub fn evaluate(&self, backend: &B, input: &Flow<B>) -> Result<B::Real> {
        let mut sums = self.product(backend, input)?;
        if let Some(Pool { grid, window }) = self.form.pool {
            sums = backend.max_pool(&sums, grid, window)?.y;
        }
        let (gamma, beta) = (&self.gamma.value, &self.beta.value);
        backend.norm_eval(&sums, gamma, beta, &self.running, &self.form.norm)
    }

    /// Takes the gradient of the normalized sums back through the layer, whose parameters stay.
    ///
    /// # Errors
    /// What the backend says.
    pub fn backward(
        &self,
        backend: &B,
        dy: &B::Real,
        saved: &Saved<B>,
        to_input: bool,
    ) -> Result<Backward<B>> {
        let BlockForm { gather, norm, pool, .. } = &self.form;
        let Saved { sums, taps, normed, .. } = saved;
        let grad = backend.norm_grad(dy, sums, &self.gamma.value, normed, norm)?;
        let product = match (pool, taps) {
            (Some(Pool { grid, window }), Some(taps)) => {
                backend.max_pool_grad(&grad.x, taps, *grid, *window)?
            }
            _ => grad.x,
        };
        let by_input = || backend.product_grad_input(&product, self.operand(), gather);
        let input = to_input.then(by_input).transpose()?;
        let gradients = Gradients { product, gamma: grad.gamma, beta: grad.beta };
        Ok(Backward { input, gradients })
    }

    /// Moves the parameters by one step along the gradients of the batch that `saved` is of; gives the
    /// row of flips and clipped weights.
    ///
    /// # Errors
    /// What the backend says.
    pub fn step(
        &mut self,
        backend: &B,
        gradients: &Gradients<B>,
        saved: &Saved<B>,
        clock: &B::Real,
    ) -> Result<B::Real> {
        let Gradients { product: dy, gamma, beta } = gradients;
        let BlockForm { gather, gain_rule, offset_rule, weight_rule, .. } = &self.form;
        let product = Gradient::Product { dy, a: saved.input.operand(), gather };
        let quant = self.form.weight_quant.as_ref();
        let updated = backend.update(&mut self.weights, product, weight_rule, quant, clock)?;
        let code = || updated.code.expect("an update with a quantizer returns a code");
        self.code = quant.is_some().then(code);
        backend.update(&mut self.gamma, Gradient::Ready(gamma), gain_rule, None, clock)?;
        backend.update(&mut self.beta, Gradient::Ready(beta), offset_rule, None, clock)?;
        Ok(updated.tally)
    }

    /// Sums of integers where input and weights are codes, of reals elsewhere.
    fn product(&self, backend: &B, input: &Flow<B>) -> Result<B::Real> {
        match (input, &self.code) {
            (Flow::Code(input), Some(code)) => backend.product(input, code, &self.form.gather),
            _ => backend.product_real(input.operand(), self.operand(), &self.form.gather),
        }
    }
}

impl<B: TrainBackend> Block<B> {
    /// The weights that both directions use.
    fn operand(&self) -> Operand<'_, B> {
        match &self.code {
            Some(code) => Operand::Code(code),
            None => Operand::Real(&self.weights.value),
        }
    }

    /// The quantized weights on the host.
    ///
    /// # Errors
    /// [`Error::Value`] if the weights are real; what the backend says.
    pub fn host_code(&self, backend: &B) -> Result<Planes> {
        let code = self.code.as_ref();
        let code = code.ok_or_else(|| Error::value("host_code", "real weights have no code"))?;
        Ok(backend.get_code(code)?.into_planes())
    }
}

impl BlockForm {
    /// Whether its weights and its output, if that goes to a layer, are codes.
    pub fn is_quantized(&self) -> bool {
        let real = matches!(self.activation, Some(ActivationForm::Real(_)));
        self.weight_quant.is_some() && !real
    }
}

impl<B: BinaryBackend> Flow<B> {
    /// The same as an operand of a product.
    pub fn operand(&self) -> Operand<'_, B> {
        match self {
            Self::Code(code) => Operand::Code(code),
            Self::Real(real) => Operand::Real(real),
        }
    }
}

impl<B: TrainBackend> Saved<B> {
    /// The normalized sums.
    pub fn normed(&self) -> &B::Real {
        &self.normed.y
    }

    /// The layer's input.
    pub fn input(&self) -> &Flow<B> {
        &self.input
    }
}

impl ActivationForm {
    /// The quantizer, where the output is a code.
    pub fn quant(&self) -> Option<&Quant> {
        match self {
            Self::Code(form) => Some(&form.quant),
            Self::Real(_) => None,
        }
    }

    /// The next layer's input in training, of normalized sums; a code with dropout.
    ///
    /// # Errors
    /// What the backend says.
    pub fn train<B: FloatBackend>(
        &self,
        backend: &B,
        x: &B::Real,
        clock: &B::Real,
    ) -> Result<Flow<B>> {
        match self {
            Self::Code(form) => form.train(backend, x, clock).map(Flow::Code),
            Self::Real(activation) => backend.activate(x, *activation).map(Flow::Real),
        }
    }

    /// The same in evaluation: nothing is drawn or dropped.
    ///
    /// # Errors
    /// What the backend says.
    pub fn evaluate<B: FloatBackend>(&self, backend: &B, x: &B::Real) -> Result<Flow<B>> {
        match self {
            Self::Code(form) => backend.encode(x, &form.quant, None).map(Flow::Code),
            Self::Real(activation) => backend.activate(x, *activation).map(Flow::Real),
        }
    }

    /// Gradient by the normalized sums `x`, of which [`train`](Self::train) made `output`: the
    /// straight-through estimator for a code, the derivative for reals.
    ///
    /// # Errors
    /// [`Error::Value`] if `output` is not of this form; what the backend says.
    pub fn grad<B: FloatBackend>(
        &self,
        backend: &B,
        dy: &B::Real,
        x: &B::Real,
        output: &Flow<B>,
    ) -> Result<B::Real> {
        match (self, output) {
            (Self::Code(form), Flow::Code(code)) => backend.pass_through(dy, x, code, &form.quant),
            (Self::Real(activation), Flow::Real(_)) => backend.activate_grad(dy, x, *activation),
            _ => Err(Error::value("activation", "code and reals do not mix")),
        }
    }
}

impl CodeForm {
    /// The code of normalized sums in training, with dropout.
    ///
    /// # Errors
    /// What the backend says.
    fn train<B: TrainBackend>(&self, backend: &B, x: &B::Real, clock: &B::Real) -> Result<B::Code> {
        let draw = self.stochastic.then_some(Draw { clock, stream: self.stream });
        let code = backend.encode(x, &self.quant, draw)?;
        if self.keep < 1.0 {
            return backend.dropout(&code, self.keep, Draw { clock, stream: self.stream + 1 });
        }
        Ok(code)
    }
}
