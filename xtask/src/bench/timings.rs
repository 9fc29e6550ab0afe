//! What the binary reports of kernels.

use serde::{Deserialize, Serialize};

/// Everything that is timed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// The roofs.
    pub peaks: Peaks,
    /// The large product.
    pub product: Timed,
    /// Further cases.
    pub cases: Vec<Timed>,
    /// The trained network.
    pub network: Network,
}

/// The timing of a trained network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// It was timed.
    Done {
        /// Digest of the model file.
        model: String,
        /// All contenders.
        timed: Timed,
    },
    /// The data set is not here; the text says what to do about it.
    NotRun(String),
}

/// What one core reaches, as the binary reports it; nothing is known of GPUs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peaks {
    /// Multiply-adds of signs per second in registers, where measured.
    pub popcount: Option<f64>,
    /// Reading blocks of several sizes.
    pub reading: Vec<Reading>,
}

/// Reading a block again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Bytes of the block.
    pub block: u64,
    /// Bytes per second.
    pub rate: f64,
}

/// The contenders of a case, as the binary reports them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// Name of the case.
    pub case: String,
    /// Threads of every contender.
    pub threads: u64,
    /// Turns of every contender.
    pub rounds: u64,
    /// Multiply-adds of one run.
    pub adds: u64,
    /// Bytes of the operands with a bit per sign, for a product of signs.
    pub bytes: Option<u64>,
    /// The contenders, our best kernels first.
    pub rows: Vec<Row>,
}

/// A contender's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Kernel or library.
    pub name: String,
    /// Median time of one run.
    pub seconds: f64,
    /// Multiply-adds per second.
    pub rate: f64,
    /// Share of what bounds the case, where measured.
    pub share: Option<f64>,
    /// How many times longer than the first row.
    pub times: Interval,
    /// The rows that were computed, where not all were.
    pub part: Option<Part>,
    /// Share of the images misclassified, for a trained network.
    pub error: Option<f64>,
}

/// A median with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Median.
    pub median: f64,
    /// Upper end.
    pub high: f64,
}

/// Some of the rows of a result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Rows that were computed.
    pub rows: u64,
    /// Rows of the result.
    pub of: u64,
}

impl Timed {
    /// Multiply-adds for every byte of the operands.
    pub fn intensity(&self) -> Option<f64> {
        self.bytes.map(|bytes| self.adds as f64 / bytes as f64)
    }
}

impl Network {
    /// The contenders, where they ran.
    pub fn timed(&self) -> Option<&Timed> {
        match self {
            Self::Done { timed, .. } => Some(timed),
            Self::NotRun(_) => None,
        }
    }
}
