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

pub(crate) use float::{Products, Tile, WIDE, Wide};

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

/// Reals from a first entry on, and how many lie from one row to the next.
pub(crate) type Rows<'a> = (&'a [f32], usize);

/// The same, to be written.
pub(crate) type RowsMut<'a> = (&'a mut [f32], usize);

/// The kernels of one instruction set.
pub(crate) struct Kernel {
    name: &'static str,
    /// The instruction sets that this processor lacks.
    missing: fn() -> Option<String>,
    /// Rows of the left operand that one tile holds in registers.
    tile_rows: usize,
    /// See [`Kernel::counts`].
    counts: unsafe fn(&Counts<'_>, &mut [i32]),
    /// See [`Kernel::finish`].
    finish: Option<unsafe fn(&Counts<'_>, Finish<'_>)>,
    /// See [`Kernel::dots`].
    dots: Option<unsafe fn(&Dots<'_>, Finish<'_>)>,
    /// See [`Kernel::crossings`].
    crossings: unsafe fn(&[f32], &[f32], &mut [u64]),
    /// See [`Kernel::spread`].
    spread: unsafe fn(&[u64], u8, &mut [u8]),
    /// See [`Kernel::transpose`].
    transpose: unsafe fn(Rows<'_>, RowsMut<'_>),
    /// See [`Kernel::products`].
    products: unsafe fn(&Products<'_>, &mut Tile),
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

/// Columns of a line: 64-bit lanes of a 512-bit register.
pub(crate) const EIGHT: usize = 8;

/// Lines of a panel.
const EIGHTS: usize = 4;

/// Columns of a panel.
pub(crate) const PANEL: usize = EIGHTS * EIGHT;

/// What a kernel counts: differing signs of rows and of panels of columns.
///
/// For every row r and column c: `weight * sum_d 2^d popcount((a_rd xor w_c) & mask_r)`, over the words
/// of [`Counts::words`].
#[derive(Clone, Copy)]
pub(crate) struct Counts<'a> {
    /// Packed signs.
    pub(crate) a: &'a [u64],
    /// Which signs count, for all digits alike.
    pub(crate) mask: Option<&'a [u64]>,
    pub(crate) rows: &'a [Row],
    /// The words of a row, the same for all rows, each column's met once at most: under a window, those
    /// of the taps inside the image. In the order of the columns' if they meet all of these.
    pub(crate) words: &'a [Word],
    /// Number of planes of `a`, which count 1, 2, 4, ..
    pub(crate) digits: usize,
    /// Words in `a` from one digit of a row to the next.
    pub(crate) digits_apart: usize,
    /// Panels of [`PANEL`] columns, the last of fewer: for every word of a column, that of each.
    pub(crate) panels: &'a [u64],
    /// Words of a column.
    pub(crate) depth: usize,
    /// Their columns: a multiple of eight.
    pub(crate) cols: usize,
    /// Multiplies the counts.
    pub(crate) weight: i32,
}

/// A word of a row, and what it meets.
#[derive(Clone, Copy, Default)]
pub(crate) struct Word {
    /// Its place, from the row's first word among the signs on.
    pub(crate) bits: u32,
    /// The place of its mask, from the row's first word among the masks on.
    pub(crate) mask: u32,
    /// The word of every column that it meets.
    pub(crate) column: u32,
}

/// Bytes that are multiplied together.
pub(crate) const QUAD: usize = 4;

/// Columns of a register of sums.
pub(crate) const SIXTEEN: usize = 16;

/// Products of bytes with signed bytes: for every row r and column c, `sum_i a_ri w_ci`.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "only AVX-512 writes from registers")
)]
pub(crate) struct Dots<'a> {
    /// The bytes, with three more behind the last run.
    pub(crate) a: &'a [u8],
    /// Its rows, whose bits are their first bytes.
    pub(crate) rows: &'a [Row],
    /// Runs whose lengths are quads, as far apart as so many bytes; where a run ends within a quad,
    /// weights are 0.
    pub(crate) runs: Runs,
    /// Panels of [`PANEL`] columns, or 16 in the last: for every quad of a row, a quad of each column.
    pub(crate) panels: &'a [u8],
    /// Their columns: a multiple of sixteen.
    pub(crate) cols: usize,
}

/// What becomes of counts that are whole: `value = most + line + weight * count`, written while they
/// are in registers.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "only AVX-512 writes from registers")
)]
pub(crate) struct Finish<'a> {
    /// Lines of a number for every column of all panels.
    pub(crate) lines: &'a [i32],
    /// Multiplies the counts.
    pub(crate) weight: i32,
    /// Number of columns.
    pub(crate) cols: usize,
    pub(crate) out: Out<'a>,
}

/// Where values go, and as what; rows lie `apart`.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "only AVX-512 writes from registers")
)]
pub(crate) enum Out<'a> {
    /// As reals, multiplied by the scale.
    Reals { scale: f32, out: &'a mut [f32], apart: usize },
    /// As bits that are set where a value is not negative, 64 to a word, padding zero.
    Signs { out: &'a mut [u64], apart: usize },
}

/// What a kernel knows of a row.
#[derive(Clone, Copy, Default)]
pub(crate) struct Row {
    /// Its first word among the signs.
    pub(crate) bits: usize,
    /// Its first word among the masks.
    pub(crate) mask: usize,
    /// The largest sum it can have.
    pub(crate) most: i32,
    /// The first number of its line in [`Finish::lines`]; signs have one line for all rows.
    pub(crate) line: usize,
    /// Its row in [`Finish::out`].
    pub(crate) to: usize,
}

/// Eight columns of a panel.
#[derive(Clone, Copy)]
struct Eight<'a> {
    lines: &'a [[u64; EIGHT]],
    /// From one word to the next.
    apart: usize,
}

/// Items of a row that lie together: all of a dense layer's, those of one row of a window.
#[derive(Clone, Copy)]
pub(crate) struct Runs {
    /// Number of runs; at least 1.
    pub(crate) count: usize,
    /// Items of a run; at least 1.
    pub(crate) len: usize,
    /// Items from one run to the next.
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

    /// Adds the counts to `sums`: a row for every row of `a`, a column for every column of the panels.
    pub(crate) fn counts(&self, counts: &Counts<'_>, sums: &mut [i32]) {
        // SAFETY: the processor has the instructions (see above).
        unsafe { (self.counts)(counts, sums) }
    }

    /// Whether the kernel can [`finish`](Self::finish) counts.
    pub(crate) fn finishes(&self) -> bool {
        self.finish.is_some()
    }

    /// Writes values of the counts instead of the counts; see [`Kernel::finishes`].
    pub(crate) fn finish(&self, counts: &Counts<'_>, finish: Finish<'_>) {
        let run = self.finish.expect("asked for only where the kernel finishes");
        // SAFETY: the processor has the instructions (see above).
        unsafe { run(counts, finish) }
    }

    /// Whether the kernel can multiply bytes.
    pub(crate) fn dots_bytes(&self) -> bool {
        self.dots.is_some()
    }

    /// Writes values of products of bytes; see [`Kernel::dots_bytes`].
    pub(crate) fn dots(&self, dots: &Dots<'_>, finish: Finish<'_>) {
        let run = self.dots.expect("asked for only where the kernel multiplies bytes");
        // SAFETY: the processor has the instructions (see above).
        unsafe { run(dots, finish) }
    }

    /// Packs `x >= cut` of every number, 64 to a word, padding zero; `cuts` is one cut for all, or
    /// one for each.
    pub(crate) fn crossings(&self, x: &[f32], cuts: &[f32], bits: &mut [u64]) {
        debug_assert!(cuts.len() == 1 || cuts.len() == x.len());
        debug_assert_eq!(bits.len(), x.len().div_ceil(64));
        // SAFETY: the processor has the instructions (see above).
        unsafe { (self.crossings)(x, cuts, bits) }
    }

    /// Adds `value` to every byte whose bit is set, modulo 256: 64 bytes per word, as far as both go.
    pub(crate) fn spread(&self, bits: &[u64], value: u8, bytes: &mut [u8]) {
        // SAFETY: the processor has the instructions (see above).
        unsafe { (self.spread)(bits, value, bytes) }
    }

    /// Writes the columns of a square of [`LINE`] rows as rows.
    pub(crate) fn transpose(&self, from: Rows<'_>, to: RowsMut<'_>) {
        // SAFETY: the processor has the instructions (see above).
        unsafe { (self.transpose)(from, to) }
    }

    /// Adds the products of reals to the sums of a tile.
    pub(crate) fn products(&self, products: &Products<'_>, sums: &mut Tile) {
        // SAFETY: the processor has the instructions (see above).
        unsafe { (self.products)(products, sums) }
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

impl Word {
    /// A word of rows that lie side by side.
    pub(crate) fn at(place: usize) -> Self {
        let place = place as u32;
        Self { bits: place, mask: place, column: place }
    }

    /// Signs of a row that count, whose mask begins with the first word.
    pub(crate) fn ones(words: &[Self], mask: &[u64]) -> usize {
        words.iter().map(|word| mask[word.mask as usize].count_ones() as usize).sum()
    }
}

impl Counts<'_> {
    /// A word of a digit of a row.
    #[inline(always)]
    fn signs(&self, row: &Row, digit: usize, word: &Word) -> u64 {
        self.a[row.bits + digit * self.digits_apart + word.bits as usize]
    }

    /// Which signs of a word of a row count.
    #[inline(always)]
    fn kept(&self, row: &Row, word: &Word) -> u64 {
        self.mask.map_or(u64::MAX, |mask| mask[row.mask + word.mask as usize])
    }

    /// Number of times eight columns.
    fn eights(&self) -> usize {
        self.cols / EIGHT
    }

    /// Times eight columns of a panel.
    fn wide(&self, panel: usize) -> usize {
        EIGHTS.min(self.eights() - panel * EIGHTS)
    }

    /// The lines of a panel, those of a word one after the other.
    fn panel(&self, panel: usize) -> &[[u64; EIGHT]] {
        &self.panels.as_chunks().0[panel * EIGHTS * self.depth..][..self.wide(panel) * self.depth]
    }

    /// Eight columns of a panel.
    fn eight(&self, eight: usize) -> Eight<'_> {
        let (panel, at) = (eight / EIGHTS, eight % EIGHTS);
        Eight { lines: &self.panel(panel)[at..], apart: self.wide(panel) }
    }
}

impl<'a> Eight<'a> {
    /// The word of each column that a word of the rows meets.
    #[inline(always)]
    fn word(&self, word: &Word) -> &'a [u64; EIGHT] {
        &self.lines[word.column as usize * self.apart]
    }
}
