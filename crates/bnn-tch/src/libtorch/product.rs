//! Products as libtorch's matmul and conv2d, and their gradients.
//!
//! Rows of pixels become libtorch's images, windows its convolutions with their own padding: nothing
//! here walks over taps.

use bnn_core::{Error, Gather, Window};
use tch::{Device, Kind, Tensor};

use super::fault::Result;

/// The shape of a product: an operand, weights, and how they meet.
pub struct Shape {
    a: (i64, i64),
    w: (i64, i64),
    out: (i64, i64),
    gather: Gather,
}

impl Shape {
    pub fn new(a: (usize, usize), w: (usize, usize), gather: &Gather) -> Result<Self> {
        let out = gather.product_shape(a, w)?;
        let [a, w, out] = [a, w, out].map(|(rows, cols)| (rows as i64, cols as i64));
        Ok(Self { a, w, out, gather: *gather })
    }

    /// The product of integers, exact while sums stay below 2^24.
    pub fn integers(&self, a: &Tensor, w: &Tensor) -> Result<Tensor> {
        let sums = self.reals(a, w)?;
        // In f64 an algorithm may have transformed its operands with fractions.
        let sums = if self.gather == Gather::Rows { sums } else { sums.f_round()? };
        Ok(sums.f_add_scalar(0.0)?) // a hole times a negative number is -0
    }

    /// The product of reals.
    pub fn reals(&self, a: &Tensor, w: &Tensor) -> Result<Tensor> {
        let kind = if self.gather == Gather::Rows { Kind::Float } else { exact(a) };
        let sums = self.multiply(&a.f_to_kind(kind)?, &w.f_to_kind(kind)?)?;
        Ok(sums.f_to_kind(Kind::Float)?)
    }

    /// The gradient of the product by its operand.
    pub fn grad_operand(&self, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
        if self.gather == Gather::Rows {
            return Ok(dy.f_matmul(w)?);
        }
        let (kind, device) = (exact(dy), dy.device());
        let a = Tensor::f_zeros([self.a.0, self.a.1], (kind, device))?.f_set_requires_grad(true)?;
        let y = self.multiply(&a, &w.f_to_kind(kind)?)?;
        gradient(&y, dy, &a)
    }

    /// The gradient of the product by its weights.
    pub fn grad_weights(&self, dy: &Tensor, a: &Tensor) -> Result<Tensor> {
        if self.gather == Gather::Rows {
            return Ok(dy.f_transpose(0, 1)?.f_matmul(a)?);
        }
        let (kind, device) = (exact(dy), dy.device());
        let w = Tensor::f_zeros([self.w.0, self.w.1], (kind, device))?.f_set_requires_grad(true)?;
        let y = self.multiply(&a.f_to_kind(kind)?, &w)?;
        gradient(&y, dy, &w)
    }

    /// Refuses a gradient of the product that has not its shape.
    pub fn check(&self, op: &'static str, dy: (usize, usize)) -> Result<()> {
        let want = (self.out.0 as usize, self.out.1 as usize);
        if dy == want {
            return Ok(());
        }
        Err(Error::shape(op, format!("dy {want:?}"), format!("{dy:?}")).into())
    }

    /// The product in the kind of its operands. Convolutions in f32 are oneDNN's, which libtorch asks
    /// for the direct algorithm, a sum of products that is exact for integers; in f64 any may be taken.
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
        rows(&match a.f_kind()? {
            Kind::Float => {
                images.f_mkldnn_convolution(&filters, none, [pad; 2], [stride; 2], [1; 2], 1)?
            }
            _ => images.f_conv2d(&filters, none, [stride; 2], [pad; 2], [1; 2], 1)?,
        })
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

/// The kind in which convolutions are computed: those of GPUs in f32 may round to fewer bits.
fn exact(x: &Tensor) -> Kind {
    let direct = x.device() == Device::Cpu && tch::utils::has_mkldnn();
    if direct { Kind::Float } else { Kind::Double }
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
    use bnn_core::{Grid, Key};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// GPUs compute in f64; this checks their way of computing where there is none.
        #[test]
        fn both_kinds_convolve_alike(
            size in 1usize..7, side in 1usize..4, stride in 1usize..4, pad in 0usize..3,
            channels in 1usize..70, seed: u64,
        ) {
            let grid = Grid { height: size, width: size + 1 };
            let window = Window::square(side, stride, pad.min(side - 1));
            prop_assume!(window.positions(grid).is_ok());
            let (a, w) = ((2 * grid.pixels(), channels), (5, side * side * channels));
            let shape = Shape::new(a, w, &Gather::Patches { grid, window }).unwrap();
            let draw = |stream, (rows, cols): (usize, usize)| {
                let key = Key::new(seed, 0).stream(stream);
                let words = (0..(rows * cols) as u32).map(|i| (key.word(i) % 511) as f32 - 255.0);
                let words = Tensor::f_from_slice(&Vec::from_iter(words)).unwrap();
                words.f_reshape([rows as i64, cols as i64]).unwrap()
            };
            let (a, w) = (draw(0, a), draw(1, w).f_sign().unwrap());
            let double = |x: &Tensor| x.f_to_kind(Kind::Double).unwrap();
            let wide = shape.multiply(&double(&a), &double(&w)).unwrap().f_round().unwrap();
            let narrow = double(&shape.multiply(&a, &w).unwrap());
            prop_assert!(wide.f_equal(&narrow).unwrap());
        }
    }
}
