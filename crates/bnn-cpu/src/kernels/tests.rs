//! Every kernel that this processor can run, against the definitions of [`Kernel`].

use super::*;

/// Sizes that are cheap enough for an interpreter, or go past every block of every kernel.
#[cfg(miri)]
const ROWS: [usize; 2] = [0, 2];
#[cfg(not(miri))]
const ROWS: [usize; 7] = [0, 1, 3, 5, 6, 35, 70];
#[cfg(miri)]
const WORDS: [usize; 2] = [1, 4];
#[cfg(not(miri))]
const WORDS: [usize; 6] = [1, 2, 31, 32, 33, 64];
#[cfg(miri)]
const EIGHTS: [usize; 2] = [1, 5];
#[cfg(not(miri))]
const EIGHTS: [usize; 6] = [1, 2, 3, 4, 7, 9];

/// The words of rows that lie side by side.
fn words_of_a_row(words: usize) -> Vec<Word> {
    (0..words).map(Word::at).collect()
}

/// Kernels that can be run; Miri knows no vector instructions.
fn usable() -> impl Iterator<Item = &'static Kernel> {
    let known = |kernel: &&Kernel| !cfg!(miri) || kernel.name == "portable";
    KERNELS.iter().filter(|kernel| kernel.missing().is_none()).filter(known)
}

/// Words that look random.
fn words(count: usize, salt: u64) -> Vec<u64> {
    let mix = |at: u64| (at + salt + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..count as u64).map(|at| mix(mix(at) >> 29)).collect()
}

/// The definition of [`Counts`], added to zeros.
fn defined(task: &Counts<'_>) -> Vec<i32> {
    let eights = task.eights();
    let sum = |row: usize, column: usize| {
        let mut sum = 0i32;
        for (word, digit) in task.words.iter().flat_map(|w| (0..task.digits).map(move |d| (w, d))) {
            let start = task.rows[row];
            let signs = task.a[start.bits + digit * task.digits_apart + word.bits as usize];
            let (panel, wide) = (column / PANEL, PANEL.min(eights * 8 - column / PANEL * PANEL));
            let panel = panel * PANEL * task.depth + word.column as usize * wide;
            let column = task.panels[panel + column % PANEL];
            let mask = task.mask.map_or(u64::MAX, |mask| mask[start.mask + word.mask as usize]);
            sum += (((signs ^ column) & mask).count_ones() as i32) << digit;
        }
        task.weight * sum
    };
    (0..task.rows.len()).flat_map(|row| (0..eights * 8).map(move |at| sum(row, at))).collect()
}

fn check(task: &Counts<'_>, what: &str) {
    let want = defined(task);
    for kernel in usable() {
        let mut got = vec![7; want.len()];
        kernel.counts(task, &mut got);
        let got: Vec<i32> = got.iter().map(|sum| sum - 7).collect();
        assert_eq!(got, want, "{} with {what}", kernel.name);
    }
}

/// Rows side by side, their digits one after the other, with a word to spare.
fn starts(rows: usize, words: usize, digits: usize) -> Vec<Row> {
    (0..rows)
        .map(|row| Row { bits: row * (digits * words + 1), mask: row * words, ..Row::default() })
        .collect()
}

#[test]
fn counts_are_those_of_the_definition() {
    for (rows, words_each, eights) in shapes() {
        let masks = words(rows * words_each, 3);
        let columns = words(eights * words_each * 8, 2);
        for (digits, weight, mask) in [(1, 1, None), (1, -3, Some(&masks[..])), (3, 2, None)] {
            let a = words(rows * (digits * words_each + 1), 1);
            let task = Counts {
                a: &a,
                mask,
                rows: &starts(rows, words_each, digits),
                words: &words_of_a_row(words_each),
                depth: words_each,
                digits,
                digits_apart: words_each,
                panels: &columns,
                cols: eights * 8,
                weight,
            };
            check(&task, &format!("{rows} rows, {words_each} words, {eights} times eight columns"));
        }
    }
}

/// Windows overlap, their words lie apart, and some words of the columns meet none.
#[test]
fn counts_of_windows_are_those_of_the_definition() {
    for (rows, len, eights) in shapes().filter(|&(_, words, _)| words < 33) {
        let (digits, place) = (2, rows + 3 * len);
        let (a, masks) = (words(digits * place, 1), words(place, 3));
        let columns = words(eights * 2 * len * 8, 2);
        let inside = (0..2 * len as u32).filter(|at| at % 5 != 1);
        let inside = inside.map(|at| Word { bits: at + at / 2, mask: at, column: at });
        let inside: Vec<_> = inside.collect();
        let starts: Vec<_> =
            (0..rows).map(|row| Row { bits: row, mask: row, ..Row::default() }).collect();
        for mask in [None, Some(&masks[..])] {
            let task = Counts {
                a: &a,
                mask,
                rows: &starts,
                words: &inside,
                depth: 2 * len,
                digits,
                digits_apart: place,
                panels: &columns,
                cols: eights * 8,
                weight: 1,
            };
            check(&task, &format!("{rows} windows, {len} words, {eights} times eight columns"));
        }
    }
}

#[test]
fn counts_hold_when_all_signs_differ() {
    for (rows, words, eights) in shapes() {
        let (a, columns) = (vec![u64::MAX; rows * (words + 1)], vec![0; eights * words * 8]);
        for mask in [None, Some(&a[..])] {
            let task = Counts {
                a: &a,
                mask,
                rows: &starts(rows, words, 1),
                words: &words_of_a_row(words),
                depth: words,
                digits: 1,
                digits_apart: words,
                panels: &columns,
                cols: eights * 8,
                weight: 1,
            };
            check(
                &task,
                &format!("{rows} rows, {words} words, {eights} times eight columns that differ"),
            );
        }
    }
}

/// Rows have two lines in turn; columns end anywhere in the last eight.
#[test]
fn finished_values_are_those_of_the_counts() {
    for (rows, words_each, eights) in shapes().filter(|&(_, words, _)| words < 33) {
        let (a, columns) = (words(rows * words_each, 1), words(eights * words_each * 8, 2));
        let cols = eights * 8 - rows % 8;
        let line = cols.next_multiple_of(PANEL);
        let lines: Vec<i32> = words(2 * line, 4).iter().map(|word| *word as i32 % 999).collect();
        let row = |row: usize| Row {
            bits: row * words_each,
            mask: row * words_each,
            most: 7 * row as i32,
            line: row % 2 * line,
            to: rows - 1 - row,
        };
        let task = Counts {
            a: &a,
            mask: None,
            rows: &(0..rows).map(row).collect::<Vec<_>>(),
            words: &words_of_a_row(words_each),
            depth: words_each,
            digits: 1,
            digits_apart: words_each,
            panels: &columns,
            cols: eights * 8,
            weight: 1,
        };
        let counts = defined(&task);
        let value = |to: usize, col: usize| {
            let row = rows - 1 - to;
            task.rows[row].most + lines[task.rows[row].line + col]
                - 2 * counts[row * task.cols + col]
        };
        for kernel in usable().filter(|kernel| kernel.finishes()) {
            let what = format!("{}: {rows} rows, {words_each} words, {cols} columns", kernel.name);
            let (mut reals, apart) = (vec![7.0; rows * (cols + 1)], cols + 1);
            let out = Out::Reals { scale: 0.5, out: &mut reals, apart };
            kernel.finish(&task, Finish { lines: &lines, weight: -2, cols, out });
            let real = |at: usize| {
                if at % apart < cols { value(at / apart, at % apart) as f32 / 2.0 } else { 7.0 }
            };
            assert!((0..reals.len()).all(|at| reals[at] == real(at)), "{what}");
            let (mut bits, apart) = (vec![7; rows * cols.div_ceil(64)], cols.div_ceil(64));
            let out = Out::Signs { out: &mut bits, apart };
            kernel.finish(&task, Finish { lines: &lines, weight: -2, cols, out });
            let bit = |row: usize, col: usize| col < cols && value(row, col) >= 0;
            for (at, word) in bits.iter().enumerate() {
                let set =
                    |bit_at: usize| u64::from(bit(at / apart, at % apart * 64 + bit_at)) << bit_at;
                assert_eq!(*word, (0..64).map(set).sum::<u64>(), "{what}");
            }
        }
    }
}

/// Runs overlap and begin anywhere; weights take all values of a byte.
#[test]
fn dots_are_sums_of_products_of_bytes() {
    for (rows, len, eights) in shapes().filter(|&(_, words, _)| words < 33) {
        let (runs, cols) = (Runs { count: 2, len, apart: 4 * len - 1 }, 16 * eights);
        let bytes =
            |count: usize, salt| words(count, salt).iter().map(|w| *w as u8).collect::<Vec<_>>();
        let (a, panels) = (bytes(rows + 8 * len + 3, 1), bytes(cols * 2 * len * QUAD, 2));
        let row = |row: usize| Row { bits: row, mask: 0, most: row as i32, line: 0, to: row };
        let task = Dots {
            a: &a,
            rows: &(0..rows).map(row).collect::<Vec<_>>(),
            runs,
            panels: &panels,
            cols,
        };
        let dot = |row: usize, col: usize| {
            let (panel, wide) = (col / PANEL, PANEL.min(cols - col / PANEL * PANEL));
            let product = |at: usize| {
                let (run, byte) = (at / (len * QUAD), at % (len * QUAD));
                let quad = panel * PANEL * 2 * len + at / QUAD * wide + col % PANEL;
                let weight = panels[quad * QUAD + at % QUAD].cast_signed();
                i32::from(a[row + run * runs.apart + byte]) * i32::from(weight)
            };
            (0..2 * len * QUAD).map(product).sum::<i32>()
        };
        for kernel in usable().filter(|kernel| kernel.dots_bytes()) {
            let lines = vec![5; cols.next_multiple_of(PANEL)];
            let mut reals = vec![0.0; rows * cols];
            let out = Out::Reals { scale: 1.0, out: &mut reals, apart: cols };
            kernel.dots(&task, Finish { lines: &lines, weight: 2, cols, out });
            let want = |at: usize| (5 + (at / cols) as i32 + 2 * dot(at / cols, at % cols)) as f32;
            assert!((0..reals.len()).all(|at| reals[at] == want(at)), "{}", kernel.name);
        }
    }
}

fn shapes() -> impl Iterator<Item = (usize, usize, usize)> {
    let two = |rows| WORDS.into_iter().map(move |words| (rows, words));
    let three = |(rows, words)| EIGHTS.into_iter().map(move |eights| (rows, words, eights));
    ROWS.into_iter().flat_map(two).flat_map(three)
}

#[test]
fn crossings_are_comparisons() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, f32::MIN_POSITIVE, 1e-45];
    for len in [0, 1, 2, 7, 63, 64, 65, 127, 128, 200] {
        let number = |word: &u64| odd.get(*word as usize % 9).copied().unwrap_or(*word as f32);
        let x: Vec<f32> = words(len, 5).iter().map(number).collect();
        let each: Vec<f32> = words(len, 6).iter().map(number).collect();
        for cuts in [&each[..], &[0.0], &[f32::NAN], &[1e18]] {
            let cut = |at: usize| if let [cut] = cuts { *cut } else { cuts[at] };
            let mut want = vec![0; len.div_ceil(64)];
            (0..len).for_each(|at| want[at / 64] |= u64::from(x[at] >= cut(at)) << (at % 64));
            for kernel in usable() {
                let mut got = vec![u64::MAX; want.len()];
                kernel.crossings(&x, cuts, &mut got);
                assert_eq!(got, want, "{} with {len} numbers", kernel.name);
            }
        }
    }
}

#[test]
fn bits_spread_to_bytes() {
    for kernel in usable() {
        for (count, value) in [(1, 1), (3, 16), (8, 18), (5, 254), (4, 255)] {
            let bits = words(count, 9);
            let mut bytes = vec![2; 64 * count];
            kernel.spread(&bits, value, &mut bytes);
            let set = |at: usize| (bits[at / 64] >> (at % 64) & 1) as u8;
            let want: Vec<u8> =
                (0..bytes.len()).map(|at| (value * set(at)).wrapping_add(2)).collect();
            assert_eq!(bytes, want, "{}", kernel.name);
        }
    }
}
