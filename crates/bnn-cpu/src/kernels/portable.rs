//! Kernels in plain Rust, for any processor.

use super::float::{Products, Tile, WIDE};
use super::{Counts, EIGHT, Kernel, LINE, Rows, RowsMut, Set, crossings};

pub(super) const KERNEL: Kernel = Kernel {
    name: "portable",
    missing: || None,
    tile_rows: 1,
    counts,
    finish: None,
    dots: None,
    crossings: compare,
    spread,
    transpose,
    products,
    lanes: Set::Portable,
};

/// One row and eight columns at a time, whose sums stay in registers.
#[inline(always)]
pub(super) fn counts(task: &Counts<'_>, sums: &mut [i32]) {
    let eights = task.eights();
    for eight in 0..eights {
        for row in 0..task.rows.len() {
            let sums = &mut sums[(row * eights + eight) * EIGHT..][..EIGHT];
            for digit in 0..task.digits {
                let weight = task.weight.wrapping_shl(digit as u32);
                for (sum, count) in sums.iter_mut().zip(differing(task, (row, digit), eight)) {
                    *sum = sum.wrapping_add(weight.wrapping_mul(count as i32));
                }
            }
        }
    }
}

/// How many signs of a row differ from those of each of eight columns.
#[inline(always)]
fn differing(task: &Counts<'_>, (row, digit): (usize, usize), eight: usize) -> [u32; EIGHT] {
    let (mut counts, columns, row) = ([0; EIGHT], task.eight(eight), &task.rows[row]);
    for word in task.words {
        let (signs, mask) = (task.signs(row, digit, word), task.kept(row, word));
        for (count, column) in counts.iter_mut().zip(columns.word(word)) {
            *count += ((signs ^ column) & mask).count_ones();
        }
    }
    counts
}

fn compare(x: &[f32], cuts: &[f32], bits: &mut [u64]) {
    crossings::pack(x, cuts, bits, |x, cuts| {
        let crossed = x.iter().zip(cuts).enumerate();
        crossed.fold(0, |bits, (at, (x, cut))| bits | u64::from(x >= cut) << at)
    });
}

/// Eight bits at a time become eight bytes: a multiplication copies the bits into every byte, a mask
/// keeps bit `i` in byte `i`, and an addition carries whatever is left into the byte's top bit.
pub(super) fn spread(bits: &[u64], value: u8, bytes: &mut [u8]) {
    const EVERY: u64 = 0x0101_0101_0101_0101;
    const DIAGONAL: u64 = 0x8040_2010_0804_0201;
    const CARRY: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    let eights = bits.iter().flat_map(|word| word.to_le_bytes());
    for (eight, bytes) in eights.zip(bytes.as_chunks_mut::<8>().0) {
        let kept = (u64::from(eight) * EVERY) & DIAGONAL;
        let set = (((kept & CARRY) + CARRY) | kept) >> 7 & EVERY;
        let (before, added) = (u64::from_le_bytes(*bytes), set * u64::from(value));
        let sum = (before & CARRY) + (added & CARRY); // whose carries end in the highest bits
        *bytes = (sum ^ ((before ^ added) & !CARRY)).to_le_bytes();
    }
}

pub(super) fn transpose((from, from_apart): Rows<'_>, (to, to_apart): RowsMut<'_>) {
    // Single numbers go to lines that lie together: rows of `to` may meet in one set of the cache.
    let mut lines = [[0.0; LINE]; LINE];
    for row in 0..LINE {
        for (line, &real) in lines.iter_mut().zip(&from[row * from_apart..][..LINE]) {
            line[row] = real;
        }
    }
    for (row, line) in lines.iter().enumerate() {
        to[row * to_apart..][..LINE].copy_from_slice(line);
    }
}

/// One term after the other, whose columns fill registers of any width; the sums stay in L1.
fn products(products: &Products<'_>, sums: &mut Tile) {
    match products.cols <= LINE {
        true => add_products::<LINE>(products, sums),
        false => add_products::<WIDE>(products, sums),
    }
}

/// Arrays of a known size keep the inner loop a row of registers.
fn add_products<const COLUMNS: usize>(products: &Products<'_>, sums: &mut Tile) {
    const WHAT: &str = "columns of the tile";
    for (a, b) in products.a.iter().zip(products.b) {
        let b: &[f32; COLUMNS] = b.first_chunk().expect(WHAT);
        for (sums, a) in sums[..products.rows].iter_mut().zip(a) {
            let sums: &mut [f32; COLUMNS] = sums.first_chunk_mut().expect(WHAT);
            sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
        }
    }
}
