//! Products as libtorch's matmul and conv2d, and their gradients.
//!
//! On processors rows of pixels become libtorch's images, windows its convolutions with their own
//! padding. On GPUs its `unfold` gathers the windows, and matrix products do the rest: cuDNN may
//! transform the operands of convolutions with fractions, or round them to 10 bits.

use bnn_core::{Error, Gather, Grid, Window};
use tch::{Kind, Tensor};

use super::device::{Means, Tch};
use super::fault::Result;
use super::halves;

/// The shape of a product: an operand, weights, and how they meet.
pub struct Shape {
    a: (i64, i64),
    w: (i64, i64),
    out: (i64, i64),
    gather: Gather,
    means: Means,
}

impl Shape {
    pub fn new(tch: Tch, a: (usize, usize), w: (usize, usize), gather: &Gather) -> Result<Self> {
        let out = gather.product_shape(a, w)?;
        let [a, w, out] = [a, w, out].map(|(rows, cols)| (rows as i64, cols as i64));
        Ok(Self { a, w, out, gather: *gather, means: tch.means })
    }

    /// The product of integers, exact while sums stay below 2^24.
    pub fn integers(&self, a: &Tensor, w: &Tensor) -> Result<Tensor> {
        let mut sums = match self.means {
            Means::Direct => self.multiply(a, w)?,
            Means::Gathered => {
                let small = [a, w].iter().all(|x| x.kind() == Kind::BFloat16);
                // Not f32, whose operands GPUs may be told to round.
                let kind = if small { Kind::BFloat16 } else { Kind::Double };
                let w = w.f_to_kind(kind)?.f_transpose(0, 1)?;
                halves::product(&self.windows(&a.f_to_kind(kind)?)?, &w)?
            }
        };
        Ok(sums.f_add_scalar_(0.0)?) // a hole times a negative number is -0
    }

    /// The product of reals.
    pub fn reals(&self, a: &Tensor, w: &Tensor) -> Result<Tensor> {
        match self.means {
            Means::Direct => self.multiply(a, w),
            Means::Gathered => halves::product(&self.windows(a)?, &w.f_transpose(0, 1)?),
        }
    }

    /// The gradient of the product by its operand.
    pub fn grad_operand(&self, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
        if self.means == Means::Direct && self.gather != Gather::Rows {
            let (kind, device) = (Kind::Float, dy.device());
            let a = Tensor::f_zeros([self.a.0, self.a.1], (kind, device))?;
            let a = a.f_set_requires_grad(true)?;
            return gradient(&self.multiply(&a, w)?, dy, &a);
        }
        self.fold(&by_code(dy, w)?)
    }

    /// The gradient of the product by its weights.
    pub fn grad_weights(&self, dy: &Tensor, a: &Tensor) -> Result<Tensor> {
        if self.means == Means::Direct && self.gather != Gather::Rows {
            let (kind, device) = (Kind::Float, dy.device());
            let w = Tensor::f_zeros([self.w.0, self.w.1], (kind, device))?;
            let w = w.f_set_requires_grad(true)?;
            return gradient(&self.multiply(a, &w)?, dy, &w);
        }
        by_code(&dy.f_transpose(0, 1)?, &self.windows(a)?)
    }

    /// Refuses a gradient of the product that has not its shape.
    pub fn check(&self, op: &'static str, dy: (usize, usize)) -> Result<()> {
        let want = (self.out.0 as usize, self.out.1 as usize);
        if dy == want {
            return Ok(());
        }
        Err(Error::shape(op, format!("dy {want:?}"), format!("{dy:?}")).into())
    }

    /// The product in f32. Convolutions are oneDNN's, which libtorch asks for the direct algorithm, a
    /// sum of products that is exact for integers.
    fn multiply(&self, a: &Tensor, w: &Tensor) -> Result<Tensor> {
        let Gather::Patches { grid, window } = self.gather else {
            return Ok(a.f_matmul(&w.f_transpose(0, 1)?)?);
        };
        let Window { height, width, stride, pad } = window;
        let (stride, pad) = (stride as i64, pad as i64);
        let filters = [self.w.0, height as i64, width as i64, self.a.1];
        let filters = w.f_reshape(filters)?.f_permute([0, 3, 1, 2])?;
        let images = images(a, grid.height as i64, grid.width as i64)?;
        let none = None::<Tensor>;
        rows(&images.f_mkldnn_convolution(&filters, none, [pad; 2], [stride; 2], [1; 2], 1)?)
    }

    /// The windows of an operand, one per row, columns as those of the weights.
    fn windows(&self, a: &Tensor) -> Result<Tensor> {
        let Gather::Patches { grid, window } = self.gather else { return Ok(a.f_detach()?) };
        let [stride, pad] = [window.stride as i64, window.pad as i64];
        let pixels = a.f_reshape([-1, grid.height as i64, grid.width as i64, self.a.1])?;
        let padded = match pad {
            0 => pixels,
            pad => pixels.f_constant_pad_nd([0, 0, pad, pad, pad, pad])?,
        };
        let rows = padded.f_unfold(1, window.height as i64, stride)?;
        let windows = rows.f_unfold(2, window.width as i64, stride)?;
        // image, row, column, channel, window row, window column
        let windows = windows.f_permute([0, 1, 2, 4, 5, 3])?;
        Ok(windows.f_reshape([self.out.0, self.w.1])?)
    }

    /// The sums over all windows of what lies under every pixel: the transpose of [`Self::windows`].
    fn fold(&self, windows: &Tensor) -> Result<Tensor> {
        let Gather::Patches { grid, window } = self.gather else { return Ok(windows.f_detach()?) };
        let Grid { height, width } = window.positions(grid)?;
        let (out, channels) = ([height as i64, width as i64], self.a.1);
        let [stride, pad] = [window.stride as i64, window.pad as i64];
        let [high, wide] = [window.height as i64, window.width as i64];
        let [height, width] = [grid.height as i64, grid.width as i64];
        let images = self.a.0 / (height * width);
        let windows = windows.f_reshape([images, out[0], out[1], high, wide, channels])?;
        let windows = windows.f_permute([0, 1, 2, 5, 3, 4])?;
        let padded = [height + 2 * pad, width + 2 * pad];
        let sizes = [images, out[0], padded[1], channels, high];
        let rows = Tensor::f_unfold_backward(&windows, sizes, 2, wide, stride)?;
        let sizes = [images, padded[0], padded[1], channels];
        let pixels = Tensor::f_unfold_backward(&rows, sizes, 1, high, stride)?;
        let pixels = pixels.f_narrow(1, pad, height)?.f_narrow(2, pad, width)?;
        Ok(pixels.f_reshape([self.a.0, channels])?)
    }
}

/// A tensor times a scale, in its place; without a kernel where the scale is 1.
pub fn scaled(mut x: Tensor, scale: f64) -> Result<Tensor> {
    if scale == 1.0 { Ok(x) } else { Ok(x.f_mul_scalar_(scale)?) }
}

/// Reals times the integers of a code, or reals.
fn by_code(x: &Tensor, code: &Tensor) -> Result<Tensor> {
    match code.f_kind()? {
        Kind::BFloat16 => halves::split_product(x, code),
        _ => Ok(x.f_matmul(code)?),
    }
}

/// Rows of pixels as images: image, channel, row, column.
pub fn images(x: &Tensor, height: i64, width: i64) -> Result<Tensor> {
    let (rows, channels) = x.size2()?;
    let shape = [rows / (height * width), height, width, channels];
    Ok(x.f_reshape(shape)?.f_permute([0, 3, 1, 2])?)
}

/// Images as rows of pixels.
pub fn rows(images: &Tensor) -> Result<Tensor> {
    let (count, channels, height, width) = images.size4()?;
    Ok(images.f_permute([0, 2, 3, 1])?.f_reshape([count * height * width, channels])?)
}

/// What autograd makes of the gradient `dy` of `y` by a leaf, as f32.
fn gradient(y: &Tensor, dy: &Tensor, leaf: &Tensor) -> Result<Tensor> {
    let kind = leaf.f_kind()?;
    let met = y.f_mul(&dy.f_to_kind(kind)?)?.f_sum(kind)?;
    let mut gradients = Tensor::f_run_backward(&[met], &[leaf], false, false)?;
    let gradient = gradients.pop().ok_or_else(|| Error::shape("gradient", "one", "none"))?;
    Ok(gradient.f_to_kind(Kind::Float)?)
}

#[cfg(test)]
mod tests {
    use bnn_core::Key;
    use proptest::prelude::*;

    use super::*;

    /// Integers of up to 8 bits that look random.
    fn integers((rows, cols): (i64, i64), key: Key) -> Tensor {
        let words = (0..(rows * cols) as u32).map(|i| (key.word(i) % 511) as f32 - 255.0);
        let words = Tensor::f_from_slice(&Vec::from_iter(words)).unwrap();
        words.f_reshape([rows, cols]).unwrap()
    }

    proptest! {
        /// Windows, products and gradients by the means of GPUs are those of convolutions, to the bit:
        /// all sums are integers.
        #[test]
        fn gathered_windows_are_convolutions(
            size in 1usize..7, side in 1usize..4, stride in 1usize..4, pad in 0usize..3,
            channels in 1usize..70, images in 0usize..3, seed: u64,
        ) {
            let grid = Grid { height: size, width: size + 1 };
            let window = Window::square(side, stride, pad.min(side - 1));
            prop_assume!(window.positions(grid).is_ok());
            let (a, w) = ((images * grid.pixels(), channels), (5, side * side * channels));
            let gather = Gather::Patches { grid, window };
            let shape = |tch| Shape::new(tch, a, w, &gather).unwrap();
            let (direct, gathered) = (shape(Tch::cpu()), shape(Tch::cpu_as_gpu()));
            let key = Key::new(seed, 0);
            let a = integers(direct.a, key.stream(0));
            let w = integers(direct.w, key.stream(1)).f_sign().unwrap();
            let dy = integers(direct.out, key.stream(2));
            let half = |x: &Tensor| x.f_to_kind(Kind::BFloat16).unwrap();
            let pairs = [
                (direct.integers(&a, &w), gathered.integers(&half(&a), &half(&w))),
                (direct.integers(&a, &w), gathered.integers(&a, &half(&w))),
                (direct.reals(&a, &w), gathered.reals(&a, &w)),
                (direct.grad_operand(&dy, &w), gathered.grad_operand(&dy, &half(&w))),
                (direct.grad_weights(&dy, &a), gathered.grad_weights(&dy, &half(&a))),
                (direct.grad_weights(&dy, &a), gathered.grad_weights(&dy, &a)),
            ];
            for (at, (want, got)) in pairs.into_iter().enumerate() {
                prop_assert!(want.unwrap().f_equal(&got.unwrap()).unwrap(), "pair {at}");
            }
        }
    }
}
