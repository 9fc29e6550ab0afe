//! Codes as weights: panels of rows whose words lie side by side.

use std::sync::{Arc, Mutex, PoisonError};

use bnn_core::WORD;

use crate::code::{Code, tail};
use crate::cpu::Cpu;
use crate::kernels::{EIGHT, PANEL};
use crate::memory::Buffer;

/// A code as weights: its rows are columns of the product, [`PANEL`] side by side; the last panel has
/// as many multiples of eight as it needs.
///
/// ```text
/// word 0 of rows 0..32, word 1 of rows 0..32, ..    then rows 32..64; plane after plane
/// ```
pub(crate) struct Panels {
    /// Plane after plane, panel after panel, word after word: the words of a panel's rows.
    pub(crate) bits: Buffer<u64>,
    /// Weight of each plane. A code with holes has each plane twice, with its holes filled by -1 and
    /// by +1: their mean is the plane with zeros in its holes.
    pub(crate) weights: Vec<i32>,
    /// Binary logarithm of what sums over the planes must be divided by: 1 with holes.
    pub(crate) halvings: u32,
    /// Words of a row in one plane.
    pub(crate) words: usize,
    /// Taps whose columns have words of their own.
    pub(crate) taps: usize,
}

/// Forms of a code as weights, made when they are first used.
pub(crate) struct Cache<T: Cached>(Mutex<Vec<Arc<T>>>);

/// What a [`Cache`] keeps.
pub(crate) trait Cached {
    /// What tells one form from others.
    type Key: PartialEq;

    fn key(&self) -> Self::Key;
}

impl Cached for Panels {
    /// The number of taps.
    type Key = usize;

    fn key(&self) -> usize {
        self.taps
    }
}

impl<T: Cached> Default for Cache<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Cached> Cache<T> {
    /// No lock is held while a form is made: the threads that make it may come back for others.
    pub(crate) fn get(&self, key: T::Key, make: impl FnOnce() -> T) -> Arc<T> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |known: &[Arc<T>]| known.iter().find(|it| it.key() == key).cloned();
        let known = find(&lock());
        known.unwrap_or_else(|| {
            let made = Arc::new(make());
            let mut known = lock();
            find(&known).unwrap_or_else(|| {
                known.push(Arc::clone(&made));
                made
            })
        })
    }
}

impl Panels {
    /// The panels of a code whose columns are those of `taps` taps, each in words of its own.
    pub(crate) fn of(code: &Code, cpu: &Cpu, taps: usize) -> Self {
        let fills: &[Fill] = match code.mask {
            None => &[Fill::None],
            Some(_) => &[Fill::Minus, Fill::Plus],
        };
        let channels = code.cols / taps;
        let words = taps * Code::words_of(channels);
        let weights: Vec<i32> =
            code.weights.iter().flat_map(|&weight| fills.iter().map(move |_| weight)).collect();
        let cols = code.rows.next_multiple_of(EIGHT);
        let mut bits = cpu.take(weights.len() * cols * words);
        let planes = bits.chunks_exact_mut((cols * words).max(1)).enumerate();
        let panels = planes.flat_map(|(plane, bits)| {
            bits.chunks_mut(PANEL * words).enumerate().map(move |(at, bits)| (plane, at, bits))
        });
        cpu.workers.each(panels, |(plane, at, panel)| {
            let (fill, wide) = (fills[plane % fills.len()], panel.len() / words);
            for (row, lane) in (at * PANEL..).zip(0..wide) {
                if row >= code.rows {
                    fill_lane(panel, lane, wide, std::iter::repeat(0));
                    continue;
                }
                let row = code.filled(row, plane / fills.len(), fill);
                match channels.is_multiple_of(WORD) || taps == 1 {
                    true => fill_lane(panel, lane, wide, row),
                    false => {
                        let row = row.collect::<Vec<_>>();
                        fill_lane(panel, lane, wide, apart(&row, taps, channels));
                    }
                }
            }
        });
        let halvings = u32::from(code.mask.is_some());
        Self { bits, weights, halvings, words, taps }
    }

    /// Words of a plane.
    fn per_plane(&self) -> usize {
        self.bits.len() / self.weights.len().max(1)
    }

    /// Columns `first..first + count` of every plane, with the weight of the plane; both are multiples
    /// of [`PANEL`], or reach the last column.
    pub(crate) fn group(&self, first: usize, count: usize) -> impl Iterator<Item = (&[u64], i32)> {
        let planes = self.bits.chunks_exact(self.per_plane().max(1));
        let part = first * self.words..(first + count) * self.words;
        planes.zip(&self.weights).map(move |(plane, &weight)| (&plane[part.clone()], weight))
    }
}

/// What stands in the holes of a plane.
#[derive(Clone, Copy)]
enum Fill {
    None,
    Minus,
    Plus,
}

impl Code {
    /// The words of one plane of a row, its holes filled.
    fn filled(&self, row: usize, plane: usize, fill: Fill) -> impl Iterator<Item = u64> {
        let words = self.words();
        let bits = &self.row(row)[plane * words..][..words];
        let mask = self.mask_row(row);
        let tail = tail(self.cols);
        bits.iter().enumerate().map(move |(at, &word)| {
            let hole = mask.map_or(0, |mask| !mask[at]);
            let hole = if at + 1 == words { hole & tail } else { hole };
            match fill {
                Fill::None => word,
                Fill::Minus => word & !hole,
                Fill::Plus => word | hole,
            }
        })
    }
}

/// The bits of a row, those of every tap in words of their own.
fn apart(row: &[u64], taps: usize, channels: usize) -> impl Iterator<Item = u64> {
    let words = Code::words_of(channels);
    (0..taps * words).map(move |at| {
        let from = at / words * channels + at % words * WORD;
        let (word, shift) = (from / WORD, from % WORD);
        let over = row.get(word + 1).and_then(|over| over.checked_shl((WORD - shift) as u32));
        let bits = row[word] >> shift | over.unwrap_or(0);
        if at % words + 1 == words { bits & tail(channels) } else { bits }
    })
}

/// Writes one of `wide` interleaved rows.
fn fill_lane(panel: &mut [u64], lane: usize, wide: usize, row: impl Iterator<Item = u64>) {
    panel.iter_mut().skip(lane).step_by(wide).zip(row).for_each(|(lane, word)| *lane = word);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_get_words_of_their_own() {
        for (taps, channels) in [(1, 100), (2, 3), (3, 63), (2, 64), (4, 65), (9, 100)] {
            let bit = |at: usize| (at * at + at / 3) % 5 < 2;
            let mut row = vec![0u64; Code::words_of(taps * channels)];
            (0..taps * channels).for_each(|at| row[at / WORD] |= u64::from(bit(at)) << (at % WORD));
            let got: Vec<u64> = apart(&row, taps, channels).collect();
            let mut want = vec![0u64; taps * Code::words_of(channels)];
            for (tap, channel) in (0..taps).flat_map(|tap| (0..channels).map(move |c| (tap, c))) {
                let word = tap * Code::words_of(channels) + channel / WORD;
                want[word] |= u64::from(bit(tap * channels + channel)) << (channel % WORD);
            }
            assert_eq!(got, want, "{taps} taps of {channels} channels");
        }
    }
}
