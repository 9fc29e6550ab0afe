//! Randomness as a pure function of (seed, stream, step, index), the same on every backend.
//!
//! A [`Key`] is made on the host; a backend then needs one [`Key::word`] per element, which is two
//! 32-bit multiplications, shifts and xors: it vectorises, and can be written in tensor operations.
//! Not for cryptography.

/// The key of one sequence of random words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub u32, pub u32);

impl Key {
    /// The key of `step` under `seed`.
    pub fn new(seed: u64, step: u64) -> Self {
        let mixed = mix(mix(seed) ^ step.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self(mixed as u32, (mixed >> 32) as u32)
    }

    /// The key of one of several sequences of a step, such as the dropout of one layer.
    pub fn stream(self, stream: u32) -> Self {
        let spread = stream.wrapping_add(1).wrapping_mul(0x9E37_79B9);
        Self(self.0 ^ spread, self.1.wrapping_add(spread.rotate_left(16)))
    }

    /// Random word number `index`.
    #[inline]
    pub fn word(self, index: u32) -> u32 {
        let mut x = index ^ self.0;
        x ^= x >> 16;
        x = x.wrapping_mul(0x21F0_AAAD).wrapping_add(self.1);
        x ^= x >> 15;
        x = x.wrapping_mul(0x735A_2D97);
        x ^ (x >> 15)
    }

    /// Uniform number `index`: a multiple of 2^-24 in [0, 1).
    #[inline]
    pub fn uniform(self, index: u32) -> f32 {
        (self.word(index) >> 8) as f32 / (1 << 24) as f32
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pearson's statistic of counts against equal shares, in standard deviations.
    fn deviation(counts: &[u32]) -> f64 {
        let share = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
        let chi2: f64 = counts.iter().map(|&n| (f64::from(n) - share).powi(2) / share).sum();
        let freedom = (counts.len() - 1) as f64;
        (chi2 - freedom) / (2.0 * freedom).sqrt()
    }

    fn bytes(words: impl Iterator<Item = u32>) -> [Vec<u32>; 4] {
        let mut counts = [0; 4].map(|_| vec![0; 256]);
        for word in words {
            for (count, byte) in counts.iter_mut().zip(word.to_le_bytes()) {
                count[usize::from(byte)] += 1;
            }
        }
        counts
    }

    /// Every byte of the words is uniform along the index, the step, the stream and the seed.
    #[test]
    fn words_are_uniform_in_every_direction() {
        let n = 1 << 18;
        let along: [Vec<u32>; 4] = [
            (0..n).map(|i| Key::new(7, 3).stream(1).word(i)).collect(),
            (0..n).map(|i| Key::new(7, u64::from(i)).stream(1).word(5)).collect(),
            (0..n).map(|i| Key::new(7, 3).stream(i).word(5)).collect(),
            (0..n).map(|i| Key::new(u64::from(i), 3).stream(1).word(5)).collect(),
        ];
        for (direction, words) in along.iter().enumerate() {
            for counts in bytes(words.iter().copied()) {
                assert!(deviation(&counts).abs() < 5.0, "direction {direction}");
            }
        }
    }

    /// Neighbours in any direction agree in half of their bits.
    #[test]
    fn neighbours_are_independent() {
        let n = 1 << 16;
        let pairs: [fn(u32) -> (u32, u32); 3] = [
            |i| (Key::new(1, 1).word(i), Key::new(1, 1).word(i + 1)),
            |i| (Key::new(1, 1).stream(2).word(i), Key::new(1, 1).stream(3).word(i)),
            |i| (Key::new(1, 8).word(i), Key::new(1, 9).word(i)),
        ];
        for (direction, pair) in pairs.iter().enumerate() {
            for bit in 0..32 {
                let differ = (0..n).filter(|&i| (pair(i).0 ^ pair(i).1) >> bit & 1 == 1).count();
                let sigmas = (differ as f64 - f64::from(n) / 2.0) / (f64::from(n).sqrt() / 2.0);
                assert!(sigmas.abs() < 5.0, "direction {direction}, bit {bit}: {sigmas}");
            }
        }
    }

    /// Two streams never walk through the same words in another order.
    #[test]
    fn streams_are_not_permutations_of_each_other() {
        let words = |stream| {
            let mut words: Vec<u32> =
                (0..4096).map(|i| Key::new(1, 1).stream(stream).word(i)).collect();
            words.sort_unstable();
            words
        };
        let (a, b) = (words(0), words(1));
        let common = a.iter().filter(|word| b.binary_search(word).is_ok()).count();
        assert!(common < 10, "{common} common words of 4096");
    }

    #[test]
    fn the_sequence_is_part_of_the_format() {
        let words: Vec<u32> = (0..4).map(|i| Key::new(0, 0).stream(0).word(i)).collect();
        assert_eq!(words, GOLDEN);
        assert!((0..1000).all(|i| (0.0..1.0).contains(&Key(1, 2).uniform(i))));
    }

    /// Computed by a second implementation in Python.
    const GOLDEN: [u32; 4] = [429_941_928, 4_247_432_354, 1_936_633_996, 1_768_366_678];
}
