//! Steps by name: `gcn bias 10`, `lcn`, `zca ridge 1e-5`.

use std::fmt;
use std::str::FromStr;

use crate::preprocess::WINDOW;
use crate::{Error, Result};

/// One step, on values that begin as `byte / 255`.
///
/// As text: `gcn bias B`, `lcn`, or `zca ridge R`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Global contrast normalization: each image less its mean, over `sqrt(bias + variance)`.
    Gcn {
        /// Added to the variance; 10 in the paper's Torch7 code, where it outweighs the variance.
        bias: f32,
    },
    /// Local contrast normalization: each channel of an image less its mean under a Gaussian window,
    /// over the deviation of what is left.
    Lcn,
    /// Whitening: values that are decorrelated over the training images, turned back so that they
    /// still look like images (zero-phase component analysis).
    Zca {
        /// Added to the variances; 1e-5 or 0.1 in the versions of the paper's Torch7 code.
        ridge: f32,
    },
}

impl Step {
    /// Whether images of this size can go through it.
    ///
    /// # Errors
    /// [`Error::Preprocess`] for images that are smaller than the window of `lcn`.
    pub(crate) fn check(&self, (height, width, _): (usize, usize, usize)) -> Result<()> {
        if *self == Self::Lcn && height.min(width) < WINDOW {
            return Err(self.error(format!(
                "images of {height} x {width} pixels are smaller than its window of \
                 {WINDOW} x {WINDOW}; leave it out, or take larger images"
            )));
        }
        Ok(())
    }

    pub(crate) fn error(&self, why: String) -> Error {
        Error::Preprocess { step: self.to_string(), why }
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let usage = || {
            format!(
                "`{text}` is no step of preprocessing: want `gcn bias B`, `lcn` or `zca ridge R` \
                 (or `linear` alone, for bytes as they are)"
            )
        };
        let positive = |word: &str| {
            let number = word.parse().map_err(|_| usage())?;
            if number > 0.0 && f32::is_finite(number) {
                return Ok(number);
            }
            Err(format!("`{text}`: {word} is no positive number; 0 would divide by nothing"))
        };
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["gcn", "bias", bias] => Ok(Self::Gcn { bias: positive(bias)? }),
            ["lcn"] => Ok(Self::Lcn),
            ["zca", "ridge", ridge] => Ok(Self::Zca { ridge: positive(ridge)? }),
            _ => Err(usage()),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gcn { bias } => write!(f, "gcn bias {bias}"),
            Self::Lcn => f.write_str("lcn"),
            Self::Zca { ridge } => write!(f, "zca ridge {ridge:e}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_round_trip_through_text() {
        for text in ["gcn bias 10", "gcn bias 0.5", "lcn", "zca ridge 1e-5", "zca ridge 1e-1"] {
            assert_eq!(text.parse::<Step>().unwrap().to_string(), text);
        }
        assert_eq!("zca ridge 0.1".parse(), Ok(Step::Zca { ridge: 0.1 }));
    }

    #[test]
    fn nonsense_is_explained() {
        for text in
            ["", "pca", "gcn", "gcn scale 55", "lcn window 7", "zca", "zca ridge x", "zca 1"]
        {
            let error = text.parse::<Step>().unwrap_err();
            let want = "is no step of preprocessing: want `gcn bias B`, `lcn` or `zca ridge R`";
            assert!(error.starts_with(&format!("`{text}` ")) && error.contains(want), "{error}");
        }
        for text in ["gcn bias 0", "zca ridge 0", "zca ridge -1", "zca ridge inf", "gcn bias nan"] {
            let error = text.parse::<Step>().unwrap_err();
            assert!(error.contains("is no positive number"), "{error}");
        }
    }
}
