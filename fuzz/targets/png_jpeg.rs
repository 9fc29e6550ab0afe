//! Pictures, PNG and JPEG.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = bnn_data::fuzz::picture(bytes);
});
