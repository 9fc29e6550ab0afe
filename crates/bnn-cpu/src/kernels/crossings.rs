//! Packing comparisons into words: what all kernels share.

/// Numbers whose comparisons fill a word.
const WORD: usize = 64;

/// Packs `x >= cut` of every number, see [`Kernel::crossings`](super::Kernel::crossings); `word` says
/// it of 64 numbers and their cuts.
///
/// The last numbers are filled up with NaN, which crosses nothing.
#[inline(always)]
pub(super) fn pack(
    x: &[f32],
    cuts: &[f32],
    bits: &mut [u64],
    word: impl Fn(&[f32; WORD], &[f32; WORD]) -> u64,
) {
    let (whole, rest) = x.as_chunks();
    let (bits, last) = bits.split_at_mut(whole.len());
    let mut rest_cuts = [0.0; WORD];
    match cuts {
        [cut] => {
            rest_cuts.fill(*cut);
            for (bits, x) in bits.iter_mut().zip(whole) {
                *bits = word(x, &rest_cuts);
            }
        }
        _ => {
            let (cuts, of_rest) = cuts.as_chunks();
            rest_cuts[..of_rest.len()].copy_from_slice(of_rest);
            for ((bits, x), cuts) in bits.iter_mut().zip(whole).zip(cuts) {
                *bits = word(x, cuts);
            }
        }
    }
    if let [last] = last {
        let mut padded = [f32::NAN; WORD];
        padded[..rest.len()].copy_from_slice(rest);
        *last = word(&padded, &rest_cuts);
    }
}
