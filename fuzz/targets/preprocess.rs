//! Files of fitted preprocessing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = bnn_train::fuzz::preprocess(bytes);
});
