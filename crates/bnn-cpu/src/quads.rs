//! Products of bytes with small integers: four bytes at a time, by instructions made for that.

use std::ops::Range;
use std::sync::Arc;

use bnn_core::Gather;

use crate::code::{Code, SLACK};
use crate::cpu::Cpu;
use crate::kernels::{Dots, Finish, Out, PANEL, QUAD, Row, Runs, SIXTEEN};
use crate::memory::Buffer;
use crate::panels::Cached;
use crate::sliding::Sliding;

/// Rows of a product from which on weights of bytes, eight times as large as bits, repay their reading.
const FEWEST_ROWS: usize = 4;

/// How the columns of weights fall into quads: `runs` runs of `len` columns each, of `taps` taps in all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    runs: usize,
    len: usize,
    taps: usize,
}

/// A code as weights of bytes: small integers, those of four columns side by side.
///
/// ```text
/// quad 0 of rows 0..32, quad 1 of rows 0..32, ..     then rows 32..64; the last panel may have 16
/// ```
pub(crate) struct Quads {
    pub(crate) bytes: Buffer<u8>,
    form: Form,
    /// Rows of whole sixteens.
    pub(crate) cols: usize,
    /// The sum of every tap: a row of `cols` each.
    sums: Buffer<i32>,
}

impl Cached for Quads {
    type Key = Form;

    fn key(&self) -> Form {
        self.form
    }
}

impl Form {
    /// Quads of a row of weights.
    fn quads(&self) -> usize {
        self.runs * self.len.div_ceil(QUAD)
    }
}

impl Quads {
    /// Integers that a byte holds, and twice of which can be added to it.
    pub(crate) const LARGEST: u64 = 63;

    pub(crate) fn of(code: &Code, cpu: &Cpu, form: Form) -> Self {
        let cols = code.rows.next_multiple_of(SIXTEEN);
        let per_column = form.quads() * QUAD;
        let mut bytes = cpu.take_zeroed::<u8>(cols * per_column);
        let mut sums = cpu.take_zeroed(form.taps * cols);
        let mut by_row = cpu.take_zeroed::<i32>(cols * form.taps);
        let panels = bytes.chunks_mut((PANEL * per_column).max(1));
        let panels = panels.zip(by_row.chunks_mut(PANEL * form.taps)).enumerate();
        cpu.workers.each(panels, |(at, (panel, sums))| {
            let wide = panel.len() / per_column;
            let mut integers = cpu.take::<u8>(code.words() * 64);
            for (lane, row) in (0..wide).zip(at * PANEL..code.rows) {
                code.integers(cpu, row, &mut integers);
                let row = &integers[..code.cols];
                let taps = row.chunks(code.cols / form.taps);
                for (sum, tap) in sums[lane * form.taps..].iter_mut().zip(taps) {
                    *sum = tap.iter().map(|&byte| i32::from(byte.cast_signed())).sum();
                }
                let quads = row.chunks(form.len).flat_map(|run| run.chunks(QUAD));
                for (quad, from) in quads.enumerate() {
                    panel[(quad * wide + lane) * QUAD..][..from.len()].copy_from_slice(from);
                }
            }
        });
        for (at, &sum) in by_row.iter().enumerate() {
            sums[at % form.taps * cols + at / form.taps] = sum;
        }
        Self { bytes, form, cols, sums }
    }

    /// The sums of a tap's integers, of every column.
    pub(crate) fn sums(&self, tap: usize) -> &[i32] {
        &self.sums[tap * self.cols..][..self.cols]
    }
}

impl Code {
    /// The integers of a row, as signed bytes.
    fn integers(&self, cpu: &Cpu, row: usize, integers: &mut [u8]) {
        let least = self.weights.iter().fold(0i8, |sum, &weight| sum.wrapping_sub(weight as i8));
        integers.fill(least.cast_unsigned());
        let planes = self.row(row).chunks_exact(self.words().max(1)).zip(&self.weights);
        planes.for_each(|(bits, &weight)| cpu.kernel.spread(bits, twice(weight), integers));
    }
}

/// Twice a weight as a signed byte, which holds it: see [`Quads::LARGEST`].
fn twice(weight: i32) -> u8 {
    (2 * weight) as u8
}

/// The left operand of a product of bytes.
pub(crate) struct Bytes<'a> {
    bytes: Cow<'a>,
    sliding: Option<Sliding>,
    /// Bytes of a row, or of a pixel.
    cols: usize,
    weights: Arc<Quads>,
    outputs: usize,
}

/// Bytes that lie where they lay, or were padded.
enum Cow<'a> {
    Borrowed(&'a [u8]),
    Padded(Buffer<u8>),
}

/// The odd integer behind byte `u` is `2 u - MIDDLE`.
const MIDDLE: i32 = 255;

impl<'a> Bytes<'a> {
    /// Both operands, if they are of this kind and large enough.
    pub(crate) fn new(cpu: &Cpu, (a, w): (&'a Code, &Code), gather: &Gather) -> Option<Self> {
        let bytes = a.bytes().filter(|_| a.mask.is_none() && cpu.kernel.dots_bytes())?;
        if w.rows == 0 || w.cols == 0 || (matches!(gather, Gather::Rows) && a.rows < FEWEST_ROWS) {
            return None;
        }
        let sliding = match *gather {
            Gather::Rows => None,
            Gather::Patches { grid, window } => Some(Sliding::new(grid, window, a.cols)),
        };
        let runs = sliding.as_ref().map_or(Runs { count: 1, len: a.cols, apart: 0 }, Sliding::runs);
        let form = Form { runs: runs.count, len: runs.len, taps: gather.taps() };
        let weights = w.quads(cpu, form)?;
        let bytes = match &sliding {
            Some(sliding) => Cow::Padded(sliding.pad(cpu, &bytes[..a.rows * a.cols], SLACK)),
            None => Cow::Borrowed(bytes),
        };
        Some(Self { bytes, sliding, cols: a.cols, weights, outputs: w.rows })
    }

    /// Classes of windows whose taps are inside the grid alike.
    pub(crate) fn classes(&self) -> usize {
        self.sliding.as_ref().map_or(1, |sliding| sliding.borders.classes())
    }

    /// Adds what the sums of a class miss when bytes stand for the odd integers behind them.
    pub(crate) fn add_missing(&self, class: usize, line: &mut [i32]) {
        let inside = |tap: usize| {
            self.sliding.as_ref().is_none_or(|sliding| sliding.borders.inside(class, tap))
        };
        for tap in (0..self.weights.form.taps).filter(|&tap| inside(tap)) {
            let sums = self.weights.sums(tap);
            line.iter_mut().zip(sums).for_each(|(to, sum)| *to -= MIDDLE * sum);
        }
    }

    /// Writes the sums of some rows and of all columns.
    pub(crate) fn finish(
        &self,
        cpu: &Cpu,
        (range, rows): (Range<usize>, &mut [Row]),
        (lines, apart): (&[i32], usize),
        out: Out<'_>,
    ) {
        let rows = &mut rows[..range.len()];
        for (to, (place, row)) in rows.iter_mut().zip(range).enumerate() {
            let (bits, line) = match &self.sliding {
                None => (row * self.cols, 0),
                Some(sliding) => (sliding.start(row), sliding.borders.class(row) * apart),
            };
            *place = Row { bits, line, to, ..Row::default() };
        }
        let a = match &self.bytes {
            Cow::Borrowed(bytes) => bytes,
            Cow::Padded(bytes) => &bytes[..],
        };
        let form = self.weights.form;
        let apart = self.sliding.as_ref().map_or(0, |sliding| sliding.runs().apart);
        let runs = Runs { count: form.runs, len: form.len.div_ceil(QUAD), apart };
        let Quads { bytes, cols, .. } = &*self.weights;
        let dots = Dots { a, rows, runs, panels: bytes, cols: *cols };
        cpu.kernel.dots(&dots, Finish { lines, weight: 2, cols: self.outputs, out });
    }
}
