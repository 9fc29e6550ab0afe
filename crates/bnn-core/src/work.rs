//! What one image costs a frozen network, counted before anything of it runs.

use crate::{Error, Levels, Result, Window};

/// Work and memory of one image.
///
/// A file of a few kilobytes can describe a network that keeps a machine busy for hours, or that wants
/// more memory than it has: [`Frozen::check`](crate::Frozen::check) refuses networks beyond
/// [`Work::MOST`], which is far above those that are in use (VGG-16 on images of 224 x 224 pixels with
/// byte inputs, binary beyond: 2^34 operations, 2^24 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Products of two bits, those in the padding included, and bits that pools look at.
    pub operations: u64,
    /// Bytes of the layer that needs most of them: its input and its output, packed, and its sums as f32.
    pub bytes: u64,
}

/// What a layer reads: values of one image, and bits of each.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    /// Rows per image.
    pub rows: usize,
    /// Values in a row.
    pub channels: usize,
    /// Planes of each value.
    pub planes: usize,
    /// Largest magnitude of the integer behind a value.
    pub bound: u64,
}

impl Work {
    /// The most that a network may cost: 2^40 operations, 2^30 bytes.
    pub const MOST: Self = Self { operations: 1 << 40, bytes: 1 << 30 };

    /// Adds a layer: `planes` weight planes of `columns` columns, sums of `sums` (rows, outputs), and
    /// where its output is a code what leaves it, with the window of its pool.
    ///
    /// # Errors
    /// [`Error::Value`] beyond [`Work::MOST`].
    pub(crate) fn add(
        &mut self,
        input: &Flow,
        (planes, columns): (usize, usize),
        sums: (usize, usize),
        output: Option<(&Flow, Option<Window>)>,
    ) -> Result<()> {
        let product = [sums.0, sums.1, columns, planes, input.planes];
        let pool = match output {
            Some((flow, Some(window))) => {
                [flow.rows, flow.channels, flow.planes, window.height, window.width]
            }
            _ => [0; 5],
        };
        let code =
            |flow: &Flow| count(&[flow.rows, flow.channels, flow.planes]).map(|bits| bits / 8);
        let operations =
            || count(&product)?.checked_add(count(&pool)?)?.checked_add(self.operations);
        let bytes = || {
            let written = output.map_or(Some(0), |(flow, _)| code(flow))?;
            count(&[sums.0, sums.1, size_of::<f32>()])?
                .checked_add(code(input)?)?
                .checked_add(written)
        };
        let (operations, bytes) =
            (within(operations(), Self::MOST.operations), within(bytes(), Self::MOST.bytes));
        self.operations =
            operations.ok_or_else(|| too_much("operations", "2^40", "operations per image"))?;
        let bytes = bytes.ok_or_else(|| too_much("memory", "2^30", "bytes per image"))?;
        self.bytes = self.bytes.max(bytes);
        Ok(())
    }
}

impl Flow {
    /// A code of these levels.
    pub fn code(rows: usize, channels: usize, levels: &Levels) -> Self {
        Self { rows, channels, planes: levels.weights().len(), bound: levels.bound() }
    }
}

fn count(factors: &[usize]) -> Option<u64> {
    factors.iter().try_fold(1u64, |product, &factor| product.checked_mul(factor as u64))
}

fn within(count: Option<u64>, most: u64) -> Option<u64> {
    count.filter(|&count| count <= most)
}

fn too_much(what: &'static str, most: &str, of: &str) -> Error {
    Error::value(what, format!("more than {most} {of}, which no network in use needs"))
}
