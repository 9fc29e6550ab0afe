//! The kernels: one file per instruction set, one row per file in a table, best first.
//!
//! A new instruction set is a file that fills a [`Kernel`], a row of [`KERNELS`], and an arm of
//! [`Kernel::lanes`]. This is the only folder with unsafe code.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod crossings;
mod float;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod popcnt;
mod portable;

#[doc(hidden)]
pub mod peak;

#[cfg(test)]
mod tests;

pub(crate) use float::{Strided, StridedMut, multiply};

/// All kernels, best first; the last one runs everywhere.
pub(crate) static KERNELS: &[Kernel] = &[
    #[cfg(target_arch = "x86_64")]
    avx512::KERNEL,
    #[cfg(target_arch = "x86_64")]
    avx2::KERNEL,
    #[cfg(target_arch = "x86_64")]
    popcnt::KERNEL,
    #[cfg(target_arch = "aarch64")]
    neon::KERNEL,
    portable::KERNEL,
];

/// Reals of a [`Line`].
pub(crate) const LINE: usize = 16;

/// Reals side by side: one 512-bit register, two of 256 bits, four of 128.
pub(crate) type Line = [f32; LINE];

/// The kernels of one instruction set.
pub(crate) struct Kernel {
    name: &'static str,
    /// The instruction sets that this processor lacks.
    missing: fn() -> Option<String>,
    /// Rows of the left operand that one tile holds in registers.
    tile_rows: usize,
    /// See [`Kernel::counts`].
    counts: unsafe fn(&Counts<'_>, &mut [i32]),
    /// See [`Kernel::crossings`].
    crossings: unsafe fn(&[f32], &[f32], &mut [u64]),
    /// See [`Kernel::spread`].
    spread: unsafe fn(&[u64], u8, &mut [u8]),
    /// See [`Kernel::transpose`].
    transpose: unsafe fn(&[Line; LINE], &mut [Line; LINE]),
    lanes: Set,
}

/// Instruction sets that [`Kernel::lanes`] compiles loops for.
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

/// What a kernel counts: differing signs of rows and of panels of eight columns.
///
/// For every row r and column c: `weight * sum_d 2^d popcount((a_rd xor w_c) & mask_r)`.
///
/// A row is a few runs of consecutive words: one for a dense layer, one for each row of a window.
#[derive(Clone, Copy)]
pub(crate) struct Counts<'a> {
    /// Packed signs.
    pub(crate) a: &'a [u64],
    /// Which signs count, for all digits alike; its runs lie as far apart as those of `a`.
    pub(crate) mask: Option<&'a [u64]>,
    /// Where the rows begin.
    pub(crate) starts: &'a [Start],
    /// The runs of every row.
    pub(crate) runs: Runs,
    /// Number of planes of `a`, which count 1, 2, 4, ..
    pub(crate) digits: usize,
    /// Words in `a` from one digit of a row to the next.
    pub(crate) digits_apart: usize,
    /// Panels of [`Runs::words`] times eight words.
    pub(crate) panels: &'a [u64],
    /// Multiplies the counts.
    pub(crate) weight: i32,
}

/// Where a row begins, in words.
#[derive(Clone, Copy, Default)]
pub(crate) struct Start {
    /// In the signs.
    pub(crate) bits: usize,
    /// In the mask.
    pub(crate) mask: usize,
}

/// Words of a row that lie together.
#[derive(Clone, Copy)]
pub(crate) struct Runs {
    /// Number of runs; at least 1.
    pub(crate) count: usize,
    /// Words of a run; at least 1.
    pub(crate) len: usize,
    /// Words from one run to the next.
    pub(crate) apart: usize,
}

/// A loop that is compiled once for every instruction set.
///
/// Implementations mark `run` as `#[inline(always)]`, so that it becomes part of a function that has
/// the instructions. No instruction set changes the result: Rust contracts no multiply-adds.
pub(crate) trait Lanes {
    /// What the loop returns.
    type Output;

    /// Runs the loop.
    fn run(self) -> Self::Output;
}

/// The first kernel of the table that this processor can run.
pub(crate) fn best() -> &'static Kernel {
    let usable = KERNELS.iter().find(|kernel| kernel.missing().is_none());
    usable.expect("the portable kernel runs everywhere")
}

// Soundness: the unsafe calls below need a processor that has the kernel's instructions. They are
// reached only through a `Cpu`, which is made of a kernel whose `missing` said so.
impl Kernel {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// What this processor lacks, if it cannot run the kernel.
    pub(crate) fn missing(&self) -> Option<String> {
        (self.missing)()
    }

    /// Rows of a product that are best computed together.
    pub(crate) fn tile_rows(&self) -> usize {
        self.tile_rows
    }

    /// Adds the counts to `sums`: a row for every row of `a`, eight columns for every panel.
    pub(crate) fn counts(&self, counts: &Counts<'_>, sums: &mut [i32]) {
        // SAFETY: the processor has the instructions (see above).
        unsafe { (self.counts)(counts, sums) }
    }

    /// Packs `x >= cut` of every number, 64 to a word, padding zero; `cuts` is one cut for all, or
    /// one for each.
    pub(crate) fn crossings(&self, x: &[f32], cuts: &[f32], bits: &mut [u64]) {
        debug_assert!(cuts.len() == 1 || cuts.len() == x.len());
        debug_assert_eq!(bits.len(), x.len().div_ceil(64));
        // SAFETY: the processor has the instructions (see above).
        unsafe { (self.crossings)(x, cuts, bits) }
    }

    /// Adds `value` to every byte whose bit is set: 64 bytes per word, as far as both go.
    pub(crate) fn spread(&self, bits: &[u64], value: u8, bytes: &mut [u8]) {
        // SAFETY: the processor has the instructions (see above).
        unsafe { (self.spread)(bits, value, bytes) }
    }

    /// Writes the columns of a square as rows.
    pub(crate) fn transpose(&self, from: &[Line; LINE], to: &mut [Line; LINE]) {
        // SAFETY: the processor has the instructions (see above).
        unsafe { (self.transpose)(from, to) }
    }

    /// Runs a loop compiled for the kernel's instruction set.
    pub(crate) fn lanes<L: Lanes>(&self, work: L) -> L::Output {
        match self.lanes {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has the instructions (see above).
            Set::Avx512 => unsafe { avx512::run(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has the instructions (see above).
            Set::Avx2 => unsafe { avx2::run(work) },
            Set::Portable => work.run(),
        }
    }
}

impl Runs {
    /// Words of a row.
    pub(crate) fn words(&self) -> usize {
        self.count * self.len
    }
}

impl Counts<'_> {
    /// Number of rows.
    fn rows(&self) -> usize {
        self.starts.len()
    }

    /// One run of a digit of a row.
    fn run(&self, row: usize, digit: usize, run: usize) -> &[u64] {
        let start = self.starts[row].bits + digit * self.digits_apart;
        &self.a[start + run * self.runs.apart..][..self.runs.len]
    }

    /// The mask of one run of a row.
    #[inline(always)]
    fn mask_run(&self, row: usize, run: usize) -> &[u64] {
        let mask = self.mask.expect("a masked kernel runs with a mask");
        &mask[self.starts[row].mask + run * self.runs.apart..][..self.runs.len]
    }

    /// The lines of a panel: eight columns of one word each.
    fn panel(&self, panel: usize) -> &[[u64; 8]] {
        let words = self.runs.words();
        self.panels[panel * words * 8..].as_chunks().0.split_at(words).0
    }

    /// The lines of a panel that meet one run.
    fn panel_run(&self, panel: usize, run: usize) -> &[[u64; 8]] {
        &self.panel(panel)[run * self.runs.len..][..self.runs.len]
    }

    /// Number of panels.
    fn panel_count(&self) -> usize {
        self.panels.len() / (self.runs.words() * 8)
    }
}
