//! Running a property over many samples, and comparing what a backend gave with what it should.

use ndarray::Zip;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

use bnn_core::{BitMatrix, HostCode, Matrix, Planes, Result};

/// Number of samples per property, unless the environment says otherwise.
const CASES: u32 = 48;

/// Environment variable with another number of samples per property.
const CASES_VARIABLE: &str = "BNN_CASES";

/// Checks a property on samples that are the same in every run; a failure is shrunk first.
///
/// # Panics
/// With the smallest failing sample, or if `BNN_CASES` is no number of samples.
pub(crate) fn forall<S: Strategy>(samples: S, property: impl Fn(S::Value) -> TestCaseResult) {
    let asked = std::env::var_os(CASES_VARIABLE).map(|text| text.to_string_lossy().into_owned());
    let cases = cases(asked.as_deref()).unwrap_or_else(|message| panic!("{message}"));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    if let Err(failure) = TestRunner::new_with_rng(config, rng).run(&samples, property) {
        panic!("{failure}");
    }
}

/// The number of samples that the environment asks for.
fn cases(asked: Option<&str>) -> std::result::Result<u32, String> {
    let Some(text) = asked else { return Ok(CASES) };
    text.trim().parse().ok().filter(|&cases| cases > 0).ok_or_else(|| {
        format!(
            "{CASES_VARIABLE} is `{text}`, but should be the number of samples per property, from 1 \
             to {}; leave it unset for {CASES}",
            u32::MAX
        )
    })
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

#[cfg(test)]
mod tests {
    use super::{CASES, cases};

    #[test]
    fn the_environment_sets_the_number_of_samples() {
        assert_eq!(cases(None), Ok(CASES));
        assert_eq!(cases(Some(" 7 ")), Ok(7));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for text in ["", "0", "-1", "many", "4294967296"] {
            let message = cases(Some(text)).unwrap_err();
            assert!(
                message.starts_with(&format!("BNN_CASES is `{text}`, but should be")),
                "{message}"
            );
        }
    }
}
