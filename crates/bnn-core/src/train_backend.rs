//! The contract of training: eleven methods, each with a slow and right default on the host.

use crate::reference as definition;
use crate::{
    BinaryBackend, Clock, Draw, Gather, Grid, HostCode, Loss, Matrix, Norm, Planes, Quant, Result,
    Rule, Window,
};

/// A device that can train: products with reals, batch normalization, loss and updates.
///
/// Every default fetches its operands, calls the definition in [`reference`](crate::reference) and
/// puts the result back, so that a new backend trains on day one.
/// Floats agree between backends within the bounds of the conformance suite;
/// [`norm_eval`](Self::norm_eval) agrees in every bit.
pub trait TrainBackend: BinaryBackend {
    /// Gradient of a product by its input: `dy * w`, summed back over the windows.
    ///
    /// `dy`: output rows by outputs. Result: input rows by channels.
    fn product_grad_input(
        &self,
        dy: &Self::Real,
        w: Operand<'_, Self>,
        gather: &Gather,
    ) -> Result<Self::Real> {
        let (dy, w) = (self.get(dy)?, w.fetch(self)?);
        self.put(definition::product_grad_input(&dy, &w, gather)?.view())
    }

    /// Gradient of a product by its weights: `dy^T * gathered a`.
    ///
    /// `dy`: output rows by outputs. Result: outputs by taps times channels.
    fn product_grad_weight(
        &self,
        dy: &Self::Real,
        a: Operand<'_, Self>,
        gather: &Gather,
    ) -> Result<Self::Real> {
        let (dy, a) = (self.get(dy)?, a.fetch(self)?);
        self.put(definition::product_grad_weight(&dy, &a, gather)?.view())
    }

    /// Batch normalization in training: normalizes each column by the statistics of its rows, and
    /// moves the running statistics.
    fn norm(
        &self,
        x: &Self::Real,
        gamma: &Self::Real,
        beta: &Self::Real,
        running: &mut Running<Self>,
        norm: &Norm,
    ) -> Result<Normed<Self>> {
        let [x, gamma, beta] = [self.get(x)?, self.get(gamma)?, self.get(beta)?];
        let mut moved = (self.get(&running.mean)?, self.get(&running.spread)?);
        let normed = definition::norm(&x, &gamma, &beta, &mut moved, norm)?;
        *running = Running { mean: self.put(moved.0.view())?, spread: self.put(moved.1.view())? };
        Ok(Normed {
            y: self.put(normed.y.view())?,
            mean: self.put(normed.mean.view())?,
            inverse_deviation: self.put(normed.inverse_deviation.view())?,
        })
    }

    /// Gradients of [`norm`](Self::norm) by `x`, `gamma` and `beta`.
    fn norm_grad(
        &self,
        dy: &Self::Real,
        x: &Self::Real,
        gamma: &Self::Real,
        normed: &Normed<Self>,
        norm: &Norm,
    ) -> Result<NormGrad<Self>> {
        let [dy, x, gamma] = [self.get(dy)?, self.get(x)?, self.get(gamma)?];
        let batch = (self.get(&normed.mean)?, self.get(&normed.inverse_deviation)?);
        let grad = definition::norm_grad(&dy, &x, &gamma, (&batch.0, &batch.1), norm)?;
        Ok(NormGrad {
            x: self.put(grad.x.view())?,
            gamma: self.put(grad.gamma.view())?,
            beta: self.put(grad.beta.view())?,
        })
    }

    /// Batch normalization in evaluation, by the running statistics: exactly [`Norm::apply`].
    fn norm_eval(
        &self,
        x: &Self::Real,
        gamma: &Self::Real,
        beta: &Self::Real,
        running: &Running<Self>,
        norm: &Norm,
    ) -> Result<Self::Real> {
        let [x, gamma, beta] = [self.get(x)?, self.get(gamma)?, self.get(beta)?];
        let running = (self.get(&running.mean)?, self.get(&running.spread)?);
        self.put(definition::norm_eval(&x, &gamma, &beta, (&running.0, &running.1), norm)?.view())
    }

    /// The largest real under every position of a window, and its tap: the first one, in row-major
    /// order, where several are largest.
    fn max_pool(&self, x: &Self::Real, grid: Grid, window: Window) -> Result<Pooled<Self>> {
        let (y, taps) = definition::max_pool(&self.get(x)?, grid, window)?;
        Ok(Pooled { y: self.put(y.view())?, taps: self.put(taps.view())? })
    }

    /// Gradient of [`max_pool`](Self::max_pool): each goes to the tap that was largest.
    fn max_pool_grad(
        &self,
        dy: &Self::Real,
        taps: &Self::Real,
        grid: Grid,
        window: Window,
    ) -> Result<Self::Real> {
        let (dy, taps) = (self.get(dy)?, self.get(taps)?);
        self.put(definition::max_pool_grad(&dy, &taps, grid, window)?.view())
    }

    /// The straight-through estimator: gradient of `code`, which [`encode`](BinaryBackend::encode)
    /// and perhaps [`dropout`](Self::dropout) made of `x`, by `x`.
    ///
    /// `dy` passes where `|x| <= range` and `code` has no hole, times the code's scale over the
    /// quantizer's (which dropout raised); it is 0 elsewhere.
    fn pass_through(
        &self,
        dy: &Self::Real,
        x: &Self::Real,
        code: &Self::Code,
        quant: &Quant,
    ) -> Result<Self::Real> {
        let (dy, x) = (self.get(dy)?, self.get(x)?);
        let code = self.get_code(code)?.into_planes();
        self.put(definition::pass_through(&dy, &x, &code, quant)?.view())
    }

    /// Inverted dropout: keeps entry (row, column) where uniform number `row * columns + column` of
    /// the draw is below `keep`, makes it a hole elsewhere, and divides the scale by `keep`.
    fn dropout(&self, x: &Self::Code, keep: f32, draw: Draw<'_, Self>) -> Result<Self::Code> {
        let clock = Clock::from_row(self.get(draw.clock)?.view())?;
        let planes = self.get_code(x)?.into_planes();
        let dropped = definition::dropout(planes, keep, clock.key.stream(draw.stream))?;
        self.put_code(&HostCode::Planes(dropped))
    }

    /// The loss of `scores` (samples by classes) and its gradient.
    ///
    /// `labels` is a column of class numbers.
    fn loss(&self, scores: &Self::Real, labels: &Self::Real, loss: Loss) -> Result<LossGrad<Self>> {
        let (grad, row) = definition::loss(&self.get(scores)?, &self.get(labels)?, loss)?;
        Ok(LossGrad { grad: self.put(grad.view())?, tally: self.put(row.view())? })
    }

    /// Moves a parameter by one step of `rule`; with a `quant` also encodes it anew.
    ///
    /// The gradient may be a product not yet formed, so that a backend can form it, step, clip and
    /// encode in one pass over memory.
    fn update(
        &self,
        param: &mut Param<Self>,
        gradient: Gradient<'_, Self>,
        rule: &Rule,
        quant: Option<&Quant>,
        clock: &Self::Real,
    ) -> Result<Updated<Self>> {
        let gradient = match gradient {
            Gradient::Ready(gradient) => self.get(gradient)?,
            Gradient::Product { dy, a, gather } => {
                self.get(&self.product_grad_weight(dy, a, gather)?)?
            }
        };
        let clock = Clock::from_row(self.get(clock)?.view())?;
        let mut host = [self.get(&param.value)?, self.get(&param.m)?, self.get(&param.v)?];
        let (code, tally) = definition::update(&mut host, &gradient, rule, quant, clock.step_size)?;
        let [value, m, v] = host;
        *param = Param {
            value: self.put(value.view())?,
            m: self.put(m.view())?,
            v: self.put(v.view())?,
        };
        let code = code.map(|code| self.put_code(&HostCode::Planes(code))).transpose()?;
        Ok(Updated { code, tally: self.put(tally.view())? })
    }
}

/// An operand of a product with reals: quantized values, or reals (float baselines).
pub enum Operand<'a, B: BinaryBackend> {
    /// Quantized values.
    Code(&'a B::Code),
    /// Dense reals.
    Real(&'a B::Real),
}

/// A gradient of a weight matrix.
pub enum Gradient<'a, B: BinaryBackend> {
    /// As it is.
    Ready(&'a B::Real),
    /// Still to be formed by [`TrainBackend::product_grad_weight`].
    Product {
        /// Gradient of the product.
        dy: &'a B::Real,
        /// The product's input.
        a: Operand<'a, B>,
        /// How its rows met the weights.
        gather: &'a Gather,
    },
}

/// A trained parameter with its optimizer state, all of one shape.
///
/// For binary weights `value` holds the latent weights: the reals whose signs are the weights.
pub struct Param<B: BinaryBackend> {
    /// The parameter.
    pub value: B::Real,
    /// First moment.
    pub m: B::Real,
    /// Second moment, or running maximum.
    pub v: B::Real,
}

/// Running statistics of a norm: two rows of one number per channel.
pub struct Running<B: BinaryBackend> {
    /// Running mean.
    pub mean: B::Real,
    /// Running inverse deviation or variance; [`Norm::running`] says which.
    pub spread: B::Real,
}

/// What batch normalization made of a batch.
pub struct Normed<B: BinaryBackend> {
    /// The normalized values.
    pub y: B::Real,
    /// Mean of every column, a row.
    pub mean: B::Real,
    /// Inverse deviation of every column before any rounding to powers of two, a row.
    pub inverse_deviation: B::Real,
}

/// Gradients of a norm.
pub struct NormGrad<B: BinaryBackend> {
    /// By its input.
    pub x: B::Real,
    /// By gamma, a row.
    pub gamma: B::Real,
    /// By beta, a row.
    pub beta: B::Real,
}

/// What max-pooling made of reals.
pub struct Pooled<B: BinaryBackend> {
    /// The largest values.
    pub y: B::Real,
    /// The tap of each: `window row * window width + window column`.
    pub taps: B::Real,
}

/// A loss, with its gradient.
pub struct LossGrad<B: BinaryBackend> {
    /// Gradient of the batch's mean loss by the scores.
    pub grad: B::Real,
    /// A row: the sum over samples of their losses, and how many samples were misclassified (their
    /// first largest score is not the label's).
    pub tally: B::Real,
}

/// What an update did.
pub struct Updated<B: BinaryBackend> {
    /// The new code, where a quantizer was given.
    pub code: Option<B::Code>,
    /// A row: how many codes changed (0 without a quantizer), and how many values lie at the clip.
    pub tally: B::Real,
}

/// A fetched [`Operand`].
#[derive(Clone, Debug)]
pub enum HostOperand {
    /// Quantized values.
    Code(Planes),
    /// Dense reals.
    Real(Matrix),
}

impl<B: BinaryBackend> Operand<'_, B> {
    /// Copies the operand to the host.
    ///
    /// # Errors
    /// What the backend's `get` or `get_code` says.
    pub fn fetch(&self, backend: &B) -> Result<HostOperand> {
        Ok(match self {
            Self::Code(code) => HostOperand::Code(backend.get_code(code)?.into_planes()),
            Self::Real(real) => HostOperand::Real(backend.get(real)?),
        })
    }
}

impl<B: BinaryBackend> Clone for Operand<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: BinaryBackend> Copy for Operand<'_, B> {}
