//! Codes as weights: panels of eight rows whose words lie side by side.

use std::sync::{Arc, Mutex, PoisonError};

use bnn_core::WORD;

use crate::code::{Code, tail};
use crate::cpu::Cpu;
use crate::memory::Buffer;

/// Columns of a panel: 64-bit lanes of a 512-bit register.
pub(crate) const LANES: usize = 8;

/// A code as weights: its rows are columns of the product, eight side by side.
///
/// ```text
/// word 0 of rows 0..8, word 1 of rows 0..8, ..    then rows 8..16; plane after plane
/// ```
pub(crate) struct Panels {
    /// Plane after plane, panel after panel, word after word: the words of eight rows.
    pub(crate) bits: Buffer<u64>,
    /// Weight of each plane. A code with holes has each plane twice, with its holes filled by -1 and
    /// by +1: their mean is the plane with zeros in its holes.
    pub(crate) weights: Vec<i32>,
    /// Binary logarithm of what sums over the planes must be divided by: 1 with holes.
    pub(crate) halvings: u32,
    /// Words of a row in one plane.
    pub(crate) words: usize,
    /// The set signs of every tap, weighted and summed over the planes: a row of whole panels each.
    ones: Buffer<i32>,
    taps: usize,
}

/// The panels of a code, made when it is first used as weights, for every number of taps.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Vec<Arc<Panels>>>);

impl Cache {
    /// No lock is held while panels are made: the threads that make them may come back for others.
    pub(crate) fn get(&self, taps: usize, make: impl FnOnce() -> Panels) -> Arc<Panels> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |known: &[Arc<Panels>]| known.iter().find(|it| it.taps == taps).cloned();
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
        let count = code.rows.div_ceil(LANES);
        let mut bits = cpu.take(weights.len() * count * words * LANES);
        let panels = bits.chunks_exact_mut((words * LANES).max(1)).enumerate();
        cpu.workers.each(panels, |(index, panel)| {
            let (plane, first) = (index / count, index % count * LANES);
            let fill = fills[plane % fills.len()];
            for lane in 0..LANES {
                let at = first + lane;
                if at >= code.rows {
                    fill_lane(panel, lane, std::iter::repeat(0));
                    continue;
                }
                let row = code.filled(at, plane / fills.len(), fill);
                match channels.is_multiple_of(WORD) || taps == 1 {
                    true => fill_lane(panel, lane, row),
                    false => {
                        fill_lane(panel, lane, apart(&row.collect::<Vec<_>>(), taps, channels))
                    }
                }
            }
        });
        let ones = cpu.take_zeroed(if taps == 1 { 0 } else { taps * count * LANES });
        let halvings = u32::from(code.mask.is_some());
        let mut panels = Self { bits, weights, halvings, words, ones, taps };
        panels.count_ones(count);
        panels
    }

    /// Words of a plane.
    fn per_plane(&self) -> usize {
        self.bits.len() / self.weights.len().max(1)
    }

    /// Panels `first..first + count` of every plane, with the weight of the plane.
    pub(crate) fn group(&self, first: usize, count: usize) -> impl Iterator<Item = (&[u64], i32)> {
        let panel = self.words * LANES;
        let planes = self.bits.chunks_exact(self.per_plane().max(1));
        planes
            .zip(&self.weights)
            .map(move |(plane, &weight)| (&plane[first * panel..][..count * panel], weight))
    }

    /// What a tap whose operand has no set sign adds to the counts of the columns from `first` on.
    pub(crate) fn ones(&self, tap: usize, first: usize) -> &[i32] {
        let cols = self.ones.len() / self.taps;
        &self.ones[tap * cols..][first..cols]
    }

    fn count_ones(&mut self, count: usize) {
        if self.ones.is_empty() || self.words == 0 {
            return;
        }
        let (per_plane, per_tap) = (self.per_plane(), self.words / self.taps * LANES);
        let planes = self.bits.chunks_exact(per_plane).zip(&self.weights);
        for (plane, &weight) in planes {
            for (at, words) in plane.chunks_exact(per_tap).enumerate() {
                let (panel, tap) = (at / self.taps, at % self.taps);
                let ones = &mut self.ones[(tap * count + panel) * LANES..][..LANES];
                for line in words.chunks_exact(LANES) {
                    let counts = line.iter().map(|word| weight * word.count_ones() as i32);
                    ones.iter_mut().zip(counts).for_each(|(ones, count)| *ones += count);
                }
            }
        }
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

/// Writes one of eight interleaved rows.
fn fill_lane(panel: &mut [u64], lane: usize, row: impl Iterator<Item = u64>) {
    panel.iter_mut().skip(lane).step_by(LANES).zip(row).for_each(|(lane, word)| *lane = word);
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
