//! Sums of products of reals, in registers of sixteen.

use std::arch::x86_64::*;

use super::super::LINE;
use super::super::float::{Products, Tile, Wide};
use super::{load_reals, store_reals};

/// Rows at a time: with both halves of the columns sixteen registers of sums, twice as many as two
/// multiply-adds a cycle have under way.
const ROWS: usize = 8;

#[target_feature(enable = "avx512f")]
pub(super) fn products(products: &Products<'_>, sums: &mut Tile) {
    for (at, sums) in sums.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
        match (at * ROWS < products.rows, products.cols <= LINE) {
            (false, _) => {}
            (true, true) => add::<1>(products, at * ROWS, sums),
            (true, false) => add::<2>(products, at * ROWS, sums),
        }
    }
}

/// Adds to the first `H` halves of some rows.
#[inline]
#[target_feature(enable = "avx512f")]
fn add<const H: usize>(products: &Products<'_>, first: usize, sums: &mut [Wide; ROWS]) {
    let mut block = [[_mm512_setzero_ps(); H]; ROWS];
    for (block, sums) in block.iter_mut().zip(&*sums) {
        *block = load(sums);
    }
    for (a, b) in products.a.iter().zip(products.b) {
        let a: &[f32; ROWS] = a[first..].first_chunk().expect("half of the rows");
        let b = load::<H>(b);
        for (block, &a) in block.iter_mut().zip(a) {
            let a = _mm512_set1_ps(a);
            for (sum, b) in block.iter_mut().zip(b) {
                *sum = _mm512_fmadd_ps(a, b, *sum);
            }
        }
    }
    for (block, sums) in block.into_iter().zip(sums) {
        for (half, to) in block.into_iter().zip(sums.as_chunks_mut().0) {
            store_reals(to, half);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load<const H: usize>(numbers: &Wide) -> [__m512; H] {
    let mut halves = [_mm512_setzero_ps(); H];
    for (half, numbers) in halves.iter_mut().zip(numbers.as_chunks().0) {
        *half = load_reals(numbers);
    }
    halves
}
