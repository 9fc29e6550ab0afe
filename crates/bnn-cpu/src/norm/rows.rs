//! What norms do to one row, as loops for the kernel's instruction set.

use bnn_core::Norm;
use bnn_core::scalar::ap2;

use crate::kernels::Lanes;

/// Adds a row to the sums of its columns.
pub(super) struct AddValues<'a> {
    pub(super) x: &'a [f32],
    pub(super) sums: &'a mut [f64],
}

/// Adds the squares of centred entries, or what stands for them in the shift-based norm.
pub(super) struct AddSquares<'a> {
    pub(super) x: &'a [f32],
    pub(super) mean: &'a [f32],
    pub(super) shift: bool,
    pub(super) sums: &'a mut [f64],
}

/// [`Norm::apply`] with the lines of mean, gain and offset.
pub(super) struct Apply<'a> {
    pub(super) x: &'a [f32],
    pub(super) lines: [&'a [f32]; 3],
    pub(super) y: &'a mut [f32],
}

/// Gradients of a row, and the inputs they belong to.
pub(super) struct Columns<'a> {
    pub(super) g: &'a [f32],
    pub(super) x: &'a [f32],
    pub(super) mean: &'a [f32],
    pub(super) shift: bool,
}

/// Adds gradients, gradients times centred inputs, and gradients times normalized inputs.
pub(super) struct AddGradients<'a> {
    pub(super) columns: Columns<'a>,
    /// What normalizes a centred input.
    pub(super) scale: &'a [f32],
    pub(super) sums: [&'a mut [f64]; 3],
}

/// Gradients by the inputs, with the lines of gain, mean gradient and slope.
pub(super) struct InputGradients<'a> {
    pub(super) columns: Columns<'a>,
    pub(super) lines: [&'a [f64]; 3],
    pub(super) dx: &'a mut [f32],
}

/// A number, or the power of two that stands for it in the shift-based norm.
#[inline(always)]
pub(super) fn rounded(shift: bool, x: f32) -> f32 {
    if shift { ap2(x) } else { x }
}

impl Lanes for AddValues<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.sums.iter_mut().zip(self.x).for_each(|(sum, &x)| *sum += f64::from(x));
    }
}

impl Lanes for AddSquares<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, mean, shift, sums } = self;
        for ((sum, x), mean) in sums.iter_mut().zip(x).zip(mean) {
            let c = x - mean;
            *sum += f64::from(c) * f64::from(rounded(shift, c));
        }
    }
}

impl Lanes for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [mean, gain, beta] = self.lines;
        let columns = mean.iter().zip(gain).zip(beta);
        for ((y, &x), ((&mean, &gain), &beta)) in self.y.iter_mut().zip(self.x).zip(columns) {
            *y = Norm::apply(x, mean, gain, beta);
        }
    }
}

impl<'a> Columns<'a> {
    /// Gradients and centred inputs, as they are.
    #[inline(always)]
    fn each(self) -> impl Iterator<Item = (f64, f32)> + use<'a> {
        let columns = self.g.iter().zip(self.x).zip(self.mean);
        columns.map(|((&g, x), mean)| (f64::from(g), x - mean))
    }
}

impl Lanes for AddGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let shift = self.columns.shift;
        let [g_sums, qg_sums, dgamma] = self.sums;
        let sums = g_sums.iter_mut().zip(qg_sums).zip(dgamma).zip(self.scale);
        for ((g, c), (((g_sum, qg), dgamma), scale)) in self.columns.each().zip(sums) {
            *g_sum += g;
            *qg += f64::from(rounded(shift, c)) * g;
            *dgamma += f64::from(rounded(shift, c * scale)) * g;
        }
    }
}

impl Lanes for InputGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let shift = self.columns.shift;
        let [gain, mean, slope] = self.lines;
        let lines = gain.iter().zip(mean).zip(slope);
        let columns = self.columns.each().zip(lines);
        for (dx, ((g, c), ((gain, mean), slope))) in self.dx.iter_mut().zip(columns) {
            *dx = (gain * (g - mean - f64::from(rounded(shift, c)) * slope)) as f32;
        }
    }
}
