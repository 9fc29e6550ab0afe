//! Running a property over many samples, and comparing what a backend gave with what it should.

use ndarray::Zip;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

use bnn_core::{BitMatrix, HostCode, Matrix, Planes, Result};

/// Number of samples per property.
const CASES: u32 = 48;

/// Checks a property on samples that are the same in every run; a failure is shrunk first.
///
/// # Panics
/// With the smallest failing sample.
pub(crate) fn forall<S: Strategy>(samples: S, property: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    if let Err(failure) = TestRunner::new_with_rng(config, rng).run(&samples, property) {
        panic!("{failure}");
    }
}

/// Runs a check once, without samples.
///
/// # Panics
/// If it fails.
pub(crate) fn once(check: impl FnOnce() -> TestCaseResult) {
    if let Err(failure) = check() {
        panic!("{failure}");
    }
}

/// Every entry lies within its bound.
pub(crate) fn close(what: &str, got: &Matrix, want: &Matrix, bound: &Matrix) -> TestCaseResult {
    prop_assert_eq!(got.dim(), want.dim(), "shape of {}", what);
    for ((at, want), bound) in want.indexed_iter().zip(bound) {
        let off = (got[at] - want).abs();
        prop_assert!(
            off <= *bound,
            "{what} at {at:?}: got {}, want {want}, off by {off:e} of at most {bound:e}",
            got[at]
        );
    }
    Ok(())
}

/// Every bit of every entry is equal, but all NaN count as one.
pub(crate) fn same(what: &str, got: &Matrix, want: &Matrix) -> TestCaseResult {
    prop_assert_eq!(got.dim(), want.dim(), "shape of {}", what);
    for (at, want) in want.indexed_iter() {
        let equal = got[at].to_bits() == want.to_bits() || (got[at].is_nan() && want.is_nan());
        prop_assert!(equal, "{what} at {at:?}: got {:e}, want {want:e}", got[at]);
    }
    Ok(())
}

/// Both codes have one scale and the same integers and holes, whatever their planes.
pub(crate) fn same_code(what: &str, got: HostCode, want: &Planes) -> TestCaseResult {
    let got = got.into_planes();
    prop_assert_eq!(got.dim()?, want.dim()?, "shape of {}", what);
    prop_assert_eq!(got.scale.to_bits(), want.scale.to_bits(), "scale of {}", what);
    prop_assert_eq!(got.integers()?, want.integers()?, "integers of {}", what);
    prop_assert_eq!(kept(&got)?, kept(want)?, "entries kept of {}", what);
    Ok(())
}

/// A backend refuses what does not fit; a panic fails as well.
pub(crate) fn refused<T>(what: &str, result: Result<T>) -> TestCaseResult {
    prop_assert!(result.is_err(), "{what} was accepted");
    Ok(())
}

/// A bound of `share` times the sum of both magnitudes.
pub(crate) fn share_of(share: f32, a: &Matrix, b: &Matrix) -> Matrix {
    Zip::from(a).and(b).map_collect(|a, b| share * (a.abs() + b.abs()))
}

/// The mask, all ones where the code has none.
fn kept(code: &Planes) -> Result<BitMatrix> {
    let (rows, cols) = code.dim()?;
    let ones = || BitMatrix::from_fn(rows, cols, |_, _| true);
    Ok(code.mask.clone().unwrap_or_else(ones))
}
