//! Random numbers as a pure function of a few words: the same on every machine and in every thread.

/// Increment of the counter: the odd number next to 2^64 divided by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The sequence of SplitMix64 (Steele, Lea, Flood 2014), started from a key of words.
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of a key; keys that differ in any word give unrelated sequences.
    pub(crate) fn new<const WORDS: usize>(key: [u64; WORDS]) -> Self {
        Self(key.into_iter().fold(0, |state, word| mix((state ^ word).wrapping_add(STEP))))
    }

    /// The next 64 random bits.
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `bound`: the high half of `word * bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.word()) * bound as u128) >> 64) as usize
    }

    /// A uniform number between `from` and `to`.
    pub(crate) fn between(&mut self, from: f32, to: f32) -> f32 {
        let unit = (self.word() >> 40) as f32 / (1 << 24) as f32;
        from + (to - from) * unit
    }

    /// About normal, mean 0, variance 1, never beyond 3: a sum of three uniform numbers, because
    /// logarithms and cosines differ in their last bits from machine to machine.
    pub(crate) fn normal(&mut self) -> f32 {
        self.between(-1.0, 1.0) + self.between(-1.0, 1.0) + self.between(-1.0, 1.0)
    }
}

/// The output function of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
