//! Archives of images in a folder per class, packed with gzip or not.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = bnn_data::fuzz::images(bytes);
});
