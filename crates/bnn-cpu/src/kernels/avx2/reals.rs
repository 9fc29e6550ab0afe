//! Sums of products of reals, in registers of eight.

use std::arch::x86_64::*;

use super::super::LINE;
use super::super::float::{Products, Tile, Wide};
use super::load_reals;

/// Columns at a time: two registers.
const COLUMNS: usize = 16;

/// Six rows at a time have twelve registers of sums; the last four of sixteen have eight.
#[target_feature(enable = "avx2,fma")]
pub(super) fn products(products: &Products<'_>, sums: &mut Tile) {
    for at in (0..products.cols).step_by(COLUMNS) {
        let [first, second, last] = [0, 6, 12].map(|first| first < products.rows);
        if first {
            add::<6>(products, (0, at), sums);
        }
        if second {
            add::<6>(products, (6, at), sums);
        }
        if last {
            add::<{ LINE - 12 }>(products, (12, at), sums);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn add<const R: usize>(products: &Products<'_>, (first, at): (usize, usize), sums: &mut Tile) {
    let mut block = [[_mm256_setzero_ps(); 2]; R];
    for (block, sums) in block.iter_mut().zip(&sums[first..]) {
        *block = load(sums, at);
    }
    for (a, b) in products.a.iter().zip(products.b) {
        let a: &[f32; R] = a[first..].first_chunk().expect("rows of the tile");
        let [left, right] = load(b, at);
        for ([one, two], &a) in block.iter_mut().zip(a) {
            let a = _mm256_set1_ps(a);
            (*one, *two) = (_mm256_fmadd_ps(a, left, *one), _mm256_fmadd_ps(a, right, *two));
        }
    }
    for ([one, two], sums) in block.into_iter().zip(&mut sums[first..]) {
        let (left, right) = sums[at..][..COLUMNS].split_at_mut(COLUMNS / 2);
        store_reals(left.first_chunk_mut().expect("eight columns"), one);
        store_reals(right.first_chunk_mut().expect("eight columns"), two);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(numbers: &Wide, at: usize) -> [__m256; 2] {
    let (left, right) = numbers[at..][..COLUMNS].split_at(COLUMNS / 2);
    let [left, right] = [left, right].map(|eight| eight.first_chunk().expect("eight columns"));
    [load_reals(left), load_reals(right)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_reals(x: &mut [f32; 8], reals: __m256) {
    // SAFETY: the numbers are 32 bytes, borrowed alone; the store needs no alignment.
    unsafe { _mm256_storeu_ps(x.as_mut_ptr(), reals) }
}
