//! Products of reals with signs without a multiplication: tables of signed partial sums.
//!
//! `out[col][lane] = sum_k real[k][lane] * sign[k][col]`: both gradients of a binary product have
//! this form. Five consecutive `k` have only 32 combinations of signs, so their 32 signed sums are
//! tabulated once, for sixteen lanes side by side, and each column adds one entry instead of five
//! products (the method of the Four Russians: Arlazarov, Dinic, Kronrod, Faradzhev 1970).
//!
//! ```text
//! digits   column block 0: group 0: 512 bytes, group 1: ..      one byte per column: which entry
//! table    entry 0: -a-b-c-d-e, entry 1: +a-b-c-d-e, ..         sixteen lanes each, 2 KiB
//! ```
//! A sign with holes has three values; three of them make 27 combinations of the same table.
//! Every output is a sum over the groups in their order: neither threads nor tiles change it.

use std::ops::Range;

use crate::cpu::Cpu;
use crate::kernels::{LINE, Lanes, Line};
use crate::memory::Buffer;
use crate::patches::Packed;

/// Columns of a block of digits.
pub(super) const BLOCK: usize = 512;

/// Entries of a table: the combinations of five signs.
const ENTRIES: usize = 32;

/// Tables that stay in L1 while the columns pass by: 24 KiB.
const TABLES: usize = 12;

/// Reals of a table per unit of a digit: an entry's digit is its number times eight, so that eight
/// bytes for each unit, which an instruction can scale by itself, lead to its sixteen reals.
const REALS_PER_UNIT: usize = 2;

/// Units of a digit from one entry to the next.
const UNITS: u8 = (LINE / REALS_PER_UNIT) as u8;

/// The signed sums of one group, and a line behind them, so that any digit lies inside.
type Table = [Line; ENTRIES + 1];

/// The table entries that the columns of some rows of packed signs choose.
pub(super) struct Digits {
    bytes: Buffer<u8>,
    kind: Kind,
    /// Rows of signs: the length of the sums.
    rows: usize,
    /// Columns of signs: the number of sums per lane.
    cols: usize,
}

/// What one row of signs contributes to a digit.
#[derive(Clone, Copy)]
enum Kind {
    /// -1 or +1: five rows to a group.
    Binary,
    /// -1, 0 or +1: three rows to a group.
    Ternary,
}

/// Reals in lanes: line `k` of the lanes from `lane` on lies at `k * apart + lane`.
#[derive(Clone, Copy)]
pub(super) struct Reals<'a> {
    pub(super) data: &'a [f32],
    pub(super) apart: usize,
    /// Lanes in use; those behind count 0.
    pub(super) lanes: usize,
    /// Multiplies all reals.
    pub(super) scale: f32,
}

impl Kind {
    /// Rows of signs in a group.
    fn rows(self) -> usize {
        match self {
            Self::Binary => 5,
            Self::Ternary => 3,
        }
    }

    /// Values of one sign.
    fn radix(self) -> usize {
        match self {
            Self::Binary => 2,
            Self::Ternary => 3,
        }
    }
}

impl Digits {
    /// The digits of `rows` packed rows of `cols` signs.
    pub(super) fn of(cpu: &Cpu, signs: &Packed<'_>, rows: usize, cols: usize) -> Self {
        let kind = if signs.mask().is_some() { Kind::Ternary } else { Kind::Binary };
        let per_block = rows.div_ceil(kind.rows()) * BLOCK;
        let mut bytes = cpu.take_zeroed(cols.div_ceil(BLOCK) * per_block);
        let blocks = bytes.chunks_mut(per_block.max(1)).enumerate();
        cpu.workers.each(blocks, |(block, bytes)| {
            for (group, bytes) in bytes.chunks_exact_mut(BLOCK).enumerate() {
                spread(cpu, signs, kind, (group, rows), block, bytes);
            }
        });
        Self { bytes, kind, rows, cols }
    }

    /// Number of column blocks.
    pub(super) fn blocks(&self) -> usize {
        self.cols.div_ceil(BLOCK)
    }

    /// Whether there is nothing to add up.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Number of columns.
    pub(super) fn cols(&self) -> usize {
        self.cols
    }

    /// Adds, for the columns of some blocks, the sums of sixteen lanes from `lane` on to `out`, or
    /// writes them if it is `fresh`: one line per column, up to a multiple of sixteen.
    pub(super) fn add_sums(
        &self,
        cpu: &Cpu,
        reals: Reals<'_>,
        lane: usize,
        blocks: Range<usize>,
        (out, fresh): (&mut [Line], bool),
    ) {
        let groups = self.rows.div_ceil(self.kind.rows());
        let mut memory = cpu.take(TABLES * (ENTRIES + 1) * LINE);
        let tables: &mut [Table] = memory.as_chunks_mut().0.as_chunks_mut().0;
        for first in (0..groups).step_by(TABLES) {
            let count = TABLES.min(groups - first);
            for (group, table) in (first..).zip(&mut tables[..count]) {
                self.tabulate(cpu, reals, lane, group, table);
            }
            for (block, out) in blocks.clone().zip(out.chunks_mut(BLOCK)) {
                let digits = self.bytes[(block * groups + first) * BLOCK..].as_chunks().0;
                let (tables, digits) = (&tables[..count], &digits[..count]);
                cpu.kernel.lanes(LookUp { tables, digits, out, fresh: fresh && first == 0 });
            }
        }
    }

    /// Fills the table of a group: entry `sum_j digit_j radix^j` is the signed sum of its digits.
    fn tabulate(&self, cpu: &Cpu, reals: Reals<'_>, lane: usize, group: usize, table: &mut Table) {
        let per_group = self.kind.rows();
        let rows = group * per_group..self.rows.min((group + 1) * per_group);
        let mut lines = [[0.0; LINE]; 5];
        for (line, k) in lines.iter_mut().zip(rows.clone()) {
            reals.read(k, lane, line);
        }
        cpu.kernel.lanes(Tabulate { lines: &lines[..rows.len()], radix: self.kind.radix(), table });
    }
}

impl Reals<'_> {
    /// Line `k` of the lanes from `lane` on, scaled.
    fn read(&self, k: usize, lane: usize, line: &mut Line) {
        let count = LINE.min(self.lanes - lane);
        let numbers = &self.data[k * self.apart + lane..][..count];
        line.iter_mut().zip(numbers).for_each(|(line, &real)| *line = real * self.scale);
    }
}

/// Writes the digits of one group for the columns of one block.
fn spread(
    cpu: &Cpu,
    signs: &Packed<'_>,
    kind: Kind,
    (group, rows): (usize, usize),
    block: usize,
    bytes: &mut [u8],
) {
    let first = group * kind.rows();
    for (power, row) in (0..).zip(first..rows.min(first + kind.rows())) {
        let value = UNITS * (kind.radix() as u8).pow(power);
        let words = block * BLOCK / 64..signs.words().min((block + 1) * BLOCK / 64);
        let bits = &signs.row(row)[words.clone()];
        match signs.mask_row(row).map(|mask| &mask[words]) {
            None => cpu.kernel.spread(bits, value, bytes),
            Some(mask) => {
                let mut part = [0; BLOCK / 64];
                let part = &mut part[..bits.len()];
                part.iter_mut().zip(mask).for_each(|(part, mask)| *part = !mask);
                cpu.kernel.spread(part, value, bytes);
                part.iter_mut().zip(bits).zip(mask).for_each(|((part, b), m)| *part = b & m);
                cpu.kernel.spread(part, 2 * value, bytes);
            }
        }
    }
}

/// All signed sums of a few lines.
struct Tabulate<'a> {
    lines: &'a [Line],
    radix: usize,
    table: &'a mut Table,
}

impl Lanes for Tabulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { lines, radix, table } = self;
        table[0] = [0.0; LINE];
        let mut filled = 1;
        for line in lines {
            for entry in 0..filled {
                let sum = table[entry];
                let mut low = sum;
                let mut high = sum;
                for at in 0..LINE {
                    low[at] -= line[at];
                    high[at] += line[at];
                }
                if radix == 3 {
                    table[entry + filled] = sum;
                }
                table[entry] = low;
                table[entry + (radix - 1) * filled] = high;
            }
            filled *= radix;
        }
    }
}

/// Columns whose digits are one word.
const COLUMNS: usize = 8;

/// Adds the chosen entries of some tables to the lines of a block of columns.
struct LookUp<'a> {
    tables: &'a [Table],
    digits: &'a [[u8; BLOCK]],
    out: &'a mut [Line],
    /// Whether the lines hold nothing yet.
    fresh: bool,
}

impl Lanes for LookUp<'_> {
    type Output = ();

    /// Eight columns at a time, so that the latency of one addition hides behind the others'. Their
    /// digits are one word, shifted, since memory has enough to do with the entries.
    #[inline(always)]
    fn run(self) {
        for (at, lines) in self.out.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate() {
            let mut sums = if self.fresh { [[0.0; LINE]; COLUMNS] } else { *lines };
            for (table, digits) in self.tables.iter().zip(self.digits) {
                let mut word = u64::from_le_bytes(digits.as_chunks().0[at]);
                for sum in &mut sums {
                    let place = REALS_PER_UNIT * usize::from(word as u8);
                    word >>= 8;
                    let entry = &table.as_flattened()[place..][..LINE];
                    sum.iter_mut().zip(entry).for_each(|(sum, entry)| *sum += entry);
                }
            }
            *lines = sums;
        }
    }
}
