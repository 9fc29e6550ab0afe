//! Reading expected values: nested lists of numbers under names.

use proptest::test_runner::{TestCaseError, TestCaseResult};
use serde_json::Value;

use bnn_core::{BitMatrix, HostCode, Matrix};

use crate::check::close;

/// A named list of values; a missing name or a wrong size panics, because the files are part of
/// this crate.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a>(pub(crate) &'a Value);

/// Parses a file of this crate.
pub(crate) fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("the file is valid JSON")
}

impl<'a> Table<'a> {
    /// The tables under a name.
    pub(crate) fn tables(self, name: &str) -> impl Iterator<Item = Table<'a>> + use<'a> {
        let list = self.value(name).as_array();
        list.unwrap_or_else(|| panic!("{name} is no list")).iter().map(Table)
    }

    /// The table under a name.
    pub(crate) fn table(self, name: &str) -> Self {
        Table(self.value(name))
    }

    pub(crate) fn number(self, name: &str) -> f64 {
        self.value(name).as_f64().unwrap_or_else(|| panic!("{name} is no number"))
    }

    pub(crate) fn size(self, name: &str) -> usize {
        self.number(name) as usize
    }

    pub(crate) fn flag(self, name: &str) -> bool {
        self.value(name).as_bool().unwrap_or_else(|| panic!("{name} is neither true nor false"))
    }

    pub(crate) fn text(self, name: &str) -> &'a str {
        self.value(name).as_str().unwrap_or_else(|| panic!("{name} is no text"))
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    /// The last `N` lengths of a nested list.
    pub(crate) fn shape<const N: usize>(self, name: &str) -> [usize; N] {
        let mut lengths = vec![];
        let mut value = self.value(name);
        while let Some(list) = value.as_array() {
            lengths.push(list.len());
            value = list.first().expect("lists are not empty");
        }
        let first = lengths.len().checked_sub(N);
        let last = first.and_then(|first| lengths[first..].try_into().ok());
        last.unwrap_or_else(|| panic!("{name} is nested {} deep, not {N}", lengths.len()))
    }

    /// A nested list as rows of `cols` numbers.
    pub(crate) fn matrix(self, name: &str, cols: usize) -> Matrix {
        let mut numbers = vec![];
        flatten(self.value(name), &mut numbers);
        let shape = (numbers.len() / cols, cols);
        Matrix::from_shape_vec(shape, numbers)
            .unwrap_or_else(|error| panic!("{name} in rows of {cols}: {error}"))
    }

    /// A list as one row.
    pub(crate) fn row(self, name: &str) -> Matrix {
        let column = self.matrix(name, 1);
        column.reversed_axes()
    }

    /// A nested list of -1 and +1 as signs.
    pub(crate) fn signs(self, name: &str, cols: usize) -> HostCode {
        HostCode::binary(BitMatrix::from_signs(self.matrix(name, cols).view()))
    }

    /// A nested list of bytes.
    pub(crate) fn bytes(self, name: &str, cols: usize) -> HostCode {
        HostCode::Bytes(self.matrix(name, cols).mapv(|u| u as u8))
    }

    fn value(self, name: &str) -> &'a Value {
        #[cfg(test)]
        reads::note(self.0, name);
        self.0.get(name).unwrap_or_else(|| panic!("no value named {name}"))
    }
}

/// Every entry lies within 1e-5 of the largest magnitude expected.
pub(crate) fn near(what: &str, got: &Matrix, want: &Matrix) -> TestCaseResult {
    let largest = want.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    close(what, got, want, &want.mapv(|_| 1e-5 * largest))
}

/// Runs a check for each table; a failure names the file and the place in its list.
pub(crate) fn each<'a>(
    file: &str,
    tables: impl Iterator<Item = Table<'a>>,
    check: impl Fn(Table<'a>) -> TestCaseResult,
) {
    for (at, table) in tables.enumerate() {
        let name = if table.has("name") { table.text("name") } else { "without a name" };
        match check(table) {
            Ok(()) => {}
            Err(TestCaseError::Fail(why) | TestCaseError::Reject(why)) => {
                panic!("{file}, case {at} ({name}): {why}")
            }
        }
    }
}

fn flatten(value: &Value, numbers: &mut Vec<f32>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| flatten(value, numbers)),
        number => numbers.push(number.as_f64().expect("lists hold numbers") as f32),
    }
}

/// Which fields were read, so that a test can tell those that none reads.
#[cfg(test)]
pub(crate) mod reads {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use serde_json::Value;

    thread_local! {
        static READ: RefCell<BTreeSet<(String, String)>> = const { RefCell::new(BTreeSet::new()) };
    }

    /// Tables of the same fields are of one kind.
    fn kind(table: &Value) -> String {
        let names = table.as_object().into_iter().flat_map(|fields| fields.keys());
        names.map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Notes that a field was read, on this thread.
    pub(super) fn note(table: &Value, name: &str) {
        READ.with_borrow_mut(|read| read.insert((kind(table), name.into())));
    }

    /// Fields of a value, however deep, that were never read on this thread.
    pub(crate) fn unread(value: &Value) -> BTreeSet<String> {
        match value {
            Value::Array(list) => list.iter().flat_map(unread).collect(),
            Value::Object(fields) => {
                let kind = kind(value);
                let unknown = |name: &&String| {
                    READ.with_borrow(|read| !read.contains(&(kind.clone(), (*name).clone())))
                };
                let own = fields.keys().filter(unknown).cloned().collect::<Vec<_>>();
                fields.values().flat_map(unread).chain(own).collect()
            }
            _ => BTreeSet::new(),
        }
    }
}
