//! Layers as text: `dense 4096`, `conv 128 kernel 3 pad 1 pool 2`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One layer: a product, with max-pooling before its norm where it has some.
///
/// As text: `dense OUTPUTS`, or `conv FILTERS kernel SIDE [stride N] [pad N] [pool SIDE]`; a pooling
/// window of side s moves by s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BlockSpec {
    /// Every output meets all inputs.
    Dense {
        /// Number of outputs.
        outputs: usize,
    },
    /// Every output meets a square window.
    Conv {
        /// Number of outputs per pixel.
        filters: usize,
        /// Side of the window.
        kernel: usize,
        /// Pixels between windows.
        stride: usize,
        /// Zeros around the image.
        pad: usize,
        /// Side of the max-pooling window, 1 for none.
        pool: usize,
    },
}

impl BlockSpec {
    /// Outputs per sample, or per pixel.
    pub fn outputs(&self) -> usize {
        match *self {
            Self::Dense { outputs } => outputs,
            Self::Conv { filters, .. } => filters,
        }
    }
}

/// Convolutions come first and a dense layer last.
pub(super) fn check_order(blocks: &[BlockSpec]) -> Result<()> {
    let dense = |block: &BlockSpec| matches!(block, BlockSpec::Dense { .. });
    if !blocks.is_sorted_by_key(dense) {
        return Err(Error::spec("net.blocks", "a convolution cannot follow a dense layer"));
    }
    if !blocks.last().is_some_and(dense) {
        return Err(Error::spec(
            "net.blocks",
            "the last layer must be dense, one output per class",
        ));
    }
    Ok(())
}

impl FromStr for BlockSpec {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let usage = || {
            format!(
                "`{text}` is no layer: want `dense OUTPUTS` or \
                 `conv FILTERS kernel SIDE [stride N] [pad N] [pool SIDE]`"
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let positive = |word: &str| word.parse().ok().filter(|&n: &usize| n > 0).ok_or_else(usage);
        match words[..] {
            ["dense", outputs] => Ok(Self::Dense { outputs: positive(outputs)? }),
            ["conv", filters, "kernel", kernel, ref rest @ ..] => {
                let (filters, kernel) = (positive(filters)?, positive(kernel)?);
                let (mut stride, mut pad, mut pool) = (1, 0, 1);
                for pair in rest.chunks(2) {
                    match *pair {
                        ["stride", n] => stride = positive(n)?,
                        ["pad", n] => pad = n.parse().map_err(|_| usage())?,
                        ["pool", n] => pool = positive(n)?,
                        _ => return Err(usage()),
                    }
                }
                Ok(Self::Conv { filters, kernel, stride, pad, pool })
            }
            _ => Err(usage()),
        }
    }
}

impl fmt::Display for BlockSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Dense { outputs } => write!(f, "dense {outputs}"),
            Self::Conv { filters, kernel, stride, pad, pool } => {
                write!(f, "conv {filters} kernel {kernel}")?;
                let optional = [("stride", stride, 1), ("pad", pad, 0), ("pool", pool, 1)];
                for (word, n, _) in optional.iter().filter(|(_, n, default)| n != default) {
                    write!(f, " {word} {n}")?;
                }
                Ok(())
            }
        }
    }
}

impl TryFrom<String> for BlockSpec {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl From<BlockSpec> for String {
    fn from(block: BlockSpec) -> Self {
        block.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_round_trip_through_text() {
        for text in ["dense 10", "conv 128 kernel 3", "conv 8 kernel 5 stride 2 pad 2 pool 2"] {
            assert_eq!(text.parse::<BlockSpec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_explained() {
        for text in ["", "dense", "dense 0", "dense -1", "conv 8", "conv 8 kernel 3 pool", "lstm 4"]
        {
            let error = text.parse::<BlockSpec>().unwrap_err();
            assert!(error.contains("want `dense OUTPUTS` or `conv"), "{error}");
        }
    }

    #[test]
    fn dense_layers_come_last() {
        let blocks =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        assert!(check_order(&blocks(&["conv 8 kernel 3", "dense 10"])).is_ok());
        assert!(check_order(&blocks(&["dense 10", "conv 8 kernel 3"])).is_err());
        assert!(check_order(&blocks(&["conv 8 kernel 3"])).is_err());
    }
}
