//! The bits under a sliding window, laid side by side: im2col on packed rows.

use bnn_core::{Gather, WORD};

use crate::code::{Code, tail};
use crate::cpu::Cpu;
use crate::memory::Buffer;

/// Packed rows as the kernels read them.
pub(crate) struct Patches {
    pub(crate) bits: Buffer<u64>,
    pub(crate) mask: Option<Buffer<u64>>,
}

/// Gathers output rows `first..first + count`: in each plane, the channels of every tap in turn.
///
/// Taps outside the grid are holes, so that they count 0.
pub(crate) fn patches(
    cpu: &Cpu,
    code: &Code,
    gather: &Gather,
    (first, count): (usize, usize),
) -> Patches {
    let words = Code::words_of(gather.taps() * code.cols);
    let padded = matches!(gather, Gather::Patches { window, .. } if window.pad > 0);
    let mut bits = cpu.take_zeroed(count * code.weights.len() * words);
    let mut mask = (padded || code.mask.is_some()).then(|| cpu.take_zeroed(count * words));
    let ones = ones(code.cols);
    for (row, bits) in bits.chunks_exact_mut((code.weights.len() * words).max(1)).enumerate() {
        for tap in 0..gather.taps() {
            let Some(source) = gather.source(first + row, tap) else { continue };
            let planes = code.row(source).chunks_exact(code.words().max(1));
            for (to, from) in bits.chunks_exact_mut(words.max(1)).zip(planes) {
                lay(to, tap * code.cols, from);
            }
            if let Some(mask) = &mut mask {
                let from = code.mask_row(source).unwrap_or(&ones);
                lay(&mut mask[row * words..][..words], tap * code.cols, from);
            }
        }
    }
    Patches { bits, mask }
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
    for (word, &bits) in (first..).zip(from) {
        to[word] |= bits << shift;
        let over = bits.checked_shr((WORD - shift) as u32).unwrap_or(0);
        if over != 0 {
            to[word + 1] |= over;
        }
    }
}
