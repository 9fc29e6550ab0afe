//! Packed rows as the kernels read them: those of a code, or the bits under a sliding window laid
//! side by side (im2col on packed rows).

use bnn_core::{Gather, WORD};

use crate::code::{Code, tail};
use crate::cpu::Cpu;
use crate::memory::Buffer;

/// Gathered rows that are worth waking a thread for.
const ROWS_PER_TASK: usize = 64;

/// Packed rows of all planes of an operand, with the mask of what counts.
pub(crate) struct Packed<'a> {
    bits: Bits<'a>,
    mask: Option<Bits<'a>>,
    /// Words of one plane of a row.
    words: usize,
    /// Words from one row to the next.
    stride: usize,
}

/// Words that lie where they lay, or were copied for the product.
enum Bits<'a> {
    Borrowed(&'a [u64]),
    Copied(Buffer<u64>),
}

impl<'a> Packed<'a> {
    /// What output rows `first..first + count` of a product read of an operand.
    ///
    /// Gathered rows hold, in each plane, the channels of every tap in turn; taps outside the grid are
    /// holes, so that they count 0.
    pub(crate) fn of(
        cpu: &Cpu,
        code: &'a Code,
        gather: &Gather,
        (first, count): (usize, usize),
    ) -> Self {
        let mut packed = Self::with_blanks(cpu, code, gather, (first, count));
        let padded = matches!(gather, Gather::Patches { window, .. } if window.pad > 0);
        if padded && packed.mask.is_none() {
            packed.mask = Some(gathered_mask(cpu, code, gather, (first, count)));
        }
        packed
    }

    /// The same, but unless the operand itself has holes, taps outside the grid are -1.
    pub(crate) fn with_blanks(
        cpu: &Cpu,
        code: &'a Code,
        gather: &Gather,
        (first, count): (usize, usize),
    ) -> Self {
        let words = Code::words_of(gather.taps() * code.cols);
        let stride = code.weights.len() * words;
        if let Gather::Rows = gather {
            let mask = code.mask.as_ref().map(|mask| Bits::Borrowed(&mask[first * words..]));
            let bits = Bits::Borrowed(&code.bits[first * stride..]);
            return Self { bits, mask, words, stride };
        }
        let mut bits = cpu.take_zeroed(count * stride);
        let tasks = bits.chunks_mut((ROWS_PER_TASK * stride).max(1)).enumerate();
        cpu.workers.each(tasks, |(task, bits)| {
            gather_bits(code, gather, first + task * ROWS_PER_TASK, (words, stride), bits);
        });
        let holes = code.mask.is_some();
        let mask = holes.then(|| gathered_mask(cpu, code, gather, (first, count)));
        Self { bits: Bits::Copied(bits), mask, words, stride }
    }

    /// Words of one plane of a row.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// The rows, one after the other.
    pub(crate) fn bits(&self) -> &[u64] {
        self.bits.words()
    }

    /// The masks of the rows, one after the other, if anything has holes.
    pub(crate) fn mask(&self) -> Option<&[u64]> {
        self.mask.as_ref().map(Bits::words)
    }

    /// The first plane of a row.
    pub(crate) fn row(&self, row: usize) -> &[u64] {
        &self.bits()[row * self.stride..][..self.words]
    }

    /// The mask of a row.
    pub(crate) fn mask_row(&self, row: usize) -> Option<&[u64]> {
        self.mask().map(|mask| &mask[row * self.words..][..self.words])
    }
}

impl Bits<'_> {
    fn words(&self) -> &[u64] {
        match self {
            Self::Borrowed(words) => words,
            Self::Copied(words) => words,
        }
    }
}

fn gather_bits(
    code: &Code,
    gather: &Gather,
    first: usize,
    (words, stride): (usize, usize),
    bits: &mut [u64],
) {
    for (row, bits) in (first..).zip(bits.chunks_exact_mut(stride.max(1))) {
        for (tap, source) in gather.sources(row) {
            if words == 1 {
                // Bytes of a few channels: all planes move alike.
                let planes = bits.iter_mut().zip(code.row(source));
                planes.for_each(|(to, from)| *to |= from << (tap * code.cols));
                continue;
            }
            let planes = code.row(source).chunks_exact(code.words().max(1));
            for (to, from) in bits.chunks_exact_mut(words.max(1)).zip(planes) {
                lay(to, tap * code.cols, from);
            }
        }
    }
}

fn gathered_mask(
    cpu: &Cpu,
    code: &Code,
    gather: &Gather,
    (first, count): (usize, usize),
) -> Bits<'static> {
    let words = Code::words_of(gather.taps() * code.cols);
    let mut mask = cpu.take_zeroed(count * words);
    let tasks = mask.chunks_mut((ROWS_PER_TASK * words).max(1)).enumerate();
    cpu.workers.each(tasks, |(task, mask)| {
        gather_mask(code, gather, first + task * ROWS_PER_TASK, words, mask);
    });
    Bits::Copied(mask)
}

fn gather_mask(code: &Code, gather: &Gather, first: usize, words: usize, mask: &mut [u64]) {
    let ones = ones(code.cols);
    for (row, mask) in (first..).zip(mask.chunks_exact_mut(words.max(1))) {
        for (tap, source) in gather.sources(row) {
            lay(mask, tap * code.cols, code.mask_row(source).unwrap_or(&ones));
        }
    }
}

/// A row of `cols` set bits.
fn ones(cols: usize) -> Vec<u64> {
    let mut ones = vec![u64::MAX; cols.div_ceil(WORD)];
    if let Some(last) = ones.last_mut() {
        *last = tail(cols);
    }
    ones
}

/// ORs packed bits into a row, from column `at` on.
fn lay(to: &mut [u64], at: usize, from: &[u64]) {
    let (first, shift) = (at / WORD, at % WORD);
    if shift == 0 {
        return to[first..].iter_mut().zip(from).for_each(|(to, from)| *to |= from);
    }
    for (word, &bits) in (first..).zip(from) {
        to[word] |= bits << shift;
        let over = bits >> (WORD - shift);
        if over != 0 {
            to[word + 1] |= over;
        }
    }
}
