//! The roofs under which products lie: what one core reaches on popcount alone and on reading alone.

use bnn_cpu::peak;
use serde::Serialize;

/// Sizes of blocks that are read again and again; on most processors they lie in the first, second
/// and third cache, and in memory.
const BLOCKS: [usize; 4] = [16 << 10, 512 << 10, 8 << 20, 256 << 20];

/// What one core reaches.
#[derive(Debug, Serialize)]
pub struct Peaks {
    /// Multiply-adds of signs per second in registers; none where that is not measured.
    pub popcount: Option<f64>,
    /// Reading blocks of several sizes, the smallest first.
    pub reading: Vec<Reading>,
}

/// Reading a block again and again.
#[derive(Debug, Serialize)]
pub struct Reading {
    /// Bytes of the block.
    pub block: usize,
    /// Bytes per second.
    pub rate: f64,
}

/// Measures them, in about a second.
pub fn peaks() -> Peaks {
    let reading = BLOCKS.map(|block| Reading { block, rate: peak::bytes_per_second(block) });
    Peaks { popcount: peak::multiply_adds_per_second(), reading: reading.into() }
}
