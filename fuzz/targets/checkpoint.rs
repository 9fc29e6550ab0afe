//! Checkpoints, read into a network of two layers.
#![no_main]

use std::sync::LazyLock;

use bnn_train::fuzz::{HIDDEN, Run};
use libfuzzer_sys::fuzz_target;

static RUN: LazyLock<Run> = LazyLock::new(|| Run::new(HIDDEN).expect("its spec is sound"));

fuzz_target!(|bytes: &[u8]| {
    let _ = RUN.checkpoint(bytes);
});
