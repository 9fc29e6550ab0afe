//! Max-pooling by libtorch's own, of codes and of reals.

use bnn_core::{Error, Grid, Window};
use tch::{Kind, Tensor};

use super::fault::Result;
use super::product::{images, rows};

/// Windows on images, and where their positions begin.
pub struct Pool {
    height: i64,
    width: i64,
    kernel: [i64; 2],
    stride: i64,
    pad: i64,
    out: [i64; 2],
}

impl Pool {
    pub fn new(grid: Grid, window: Window) -> Result<Self> {
        let out = window.positions(grid)?;
        Ok(Self {
            height: grid.height as i64,
            width: grid.width as i64,
            kernel: [window.height as i64, window.width as i64],
            stride: window.stride as i64,
            pad: window.pad as i64,
            out: [out.height as i64, out.width as i64],
        })
    }

    /// The pixel that wins in every window and channel, the first of several: its number within the
    /// image, shaped as libtorch's images.
    pub fn winners(&self, x: &Tensor) -> Result<Tensor> {
        // No pixel loses to the padding, whose value is minus infinity: a smaller one is raised first.
        // libtorch's own padding ends at half of the window.
        let x = images(x, self.height, self.width)?.f_clamp_min(f64::from(f32::MIN))?;
        let padded = match self.pad {
            0 => x,
            pad => x.f_pad([pad; 4], "constant", f64::NEG_INFINITY)?,
        };
        let (_, at) = padded.f_max_pool2d_with_indices(
            self.kernel,
            [self.stride; 2],
            [0; 2],
            [1; 2],
            false,
        )?;
        let width = self.width + 2 * self.pad;
        let row = at.f_div_scalar_mode(width, "floor")?.f_sub_scalar(self.pad)?;
        let col = at.f_remainder(width)?.f_sub_scalar(self.pad)?;
        Ok(row.f_mul_scalar(self.width)?.f_add(&col)?)
    }

    /// The entries of a matrix of pixels that won.
    pub fn take(&self, x: &Tensor, winners: &Tensor) -> Result<Tensor> {
        let (count, channels, height, width) = winners.size4()?;
        let pixels = images(x, self.height, self.width)?.f_flatten(2, 3)?;
        let taken = pixels.f_gather(2, &winners.f_flatten(2, 3)?, false)?;
        rows(&taken.f_reshape([count, channels, height, width])?)
    }

    /// The taps of the winners.
    pub fn taps(&self, winners: &Tensor) -> Result<Tensor> {
        let [top, left] = self.corners(winners)?;
        let row = winners.f_div_scalar_mode(self.width, "floor")?.f_sub(&top)?;
        let col = winners.f_remainder(self.width)?.f_sub(&left)?;
        rows(&row.f_mul_scalar(self.kernel[1])?.f_add(&col)?.f_to_kind(Kind::Float)?)
    }

    /// Brings gradients back to the pixels under their taps, tap after tap: where windows overlap,
    /// the order of a sum never changes.
    pub fn grad(&self, dy: &Tensor, taps: &Tensor) -> Result<Tensor> {
        let (_, channels) = dy.size2()?;
        let [dy, taps] = [dy, taps].map(|x| x.f_reshape([-1, self.out[0], self.out[1], channels]));
        let (dy, taps) = (dy?, taps?);
        let (count, _, _, _) = dy.size4()?;
        let [height, width] = [self.height, self.width].map(|size| size + 2 * self.pad);
        let none = Tensor::f_zeros([count, height, width, channels], (Kind::Float, dy.device()))?;
        for tap in 0..self.kernel[0] * self.kernel[1] {
            let part = dy.f_masked_fill(&taps.f_ne(tap)?, 0.0)?;
            let under = |x: Tensor, dim: i64, first: i64| {
                let last = first + self.stride * (self.out[dim as usize - 1] - 1);
                x.f_slice(dim, first, last + 1, self.stride)
            };
            let rows = under(none.f_detach()?, 1, tap / self.kernel[1])?;
            let _ = under(rows, 2, tap % self.kernel[1])?.f_add_(&part)?;
        }
        let inside = none.f_narrow(1, self.pad, self.height)?.f_narrow(2, self.pad, self.width)?;
        Ok(inside.f_reshape([count * self.height * self.width, channels])?)
    }

    /// Refuses taps outside of window or grid.
    pub fn check(&self, taps: &Tensor) -> Result<()> {
        let taps = images(taps, self.out[0], self.out[1])?;
        let whole = taps.f_to_kind(Kind::Int64)?;
        let [top, left] = self.corners(&whole)?;
        let row = whole.f_div_scalar_mode(self.kernel[1], "floor")?.f_add(&top)?;
        let col = whole.f_remainder(self.kernel[1])?.f_add(&left)?;
        let inside = [
            whole.f_eq_tensor(&taps)?,
            within(&whole, self.kernel[0] * self.kernel[1])?,
            within(&row, self.height)?,
            within(&col, self.width)?,
        ];
        if Tensor::f_stack(&inside, 0)?.f_all()?.f_int64_value(&[])? == 0 {
            return Err(Error::shape("max_pool_grad", "taps inside the grid", "others").into());
        }
        Ok(())
    }

    /// Row and column of the image under the first tap of every position, to be broadcast.
    fn corners(&self, like: &Tensor) -> Result<[Tensor; 2]> {
        let along = |count: i64| -> Result<Tensor> {
            let places = Tensor::f_arange(count, (Kind::Int64, like.device()))?;
            Ok(places.f_mul_scalar(self.stride)?.f_sub_scalar(self.pad)?)
        };
        let top = along(self.out[0])?.f_reshape([self.out[0], 1])?;
        Ok([top, along(self.out[1])?])
    }
}

/// Where integers lie from 0 up to but not including a limit.
fn within(x: &Tensor, limit: i64) -> Result<Tensor> {
    Ok(x.f_ge(0)?.f_logical_and(&x.f_lt(limit)?)?)
}
