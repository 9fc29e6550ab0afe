//! IDX files, plain.
#![no_main]

use std::path::Path;

use bnn_data::idx::Idx;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(images) = Idx::<3>::from_reader(Path::new("fuzz"), bytes) {
        assert_eq!(images.bytes.len(), images.dims.iter().product::<usize>());
    }
    if let Ok(labels) = Idx::<1>::from_reader(Path::new("fuzz"), bytes) {
        assert_eq!(labels.bytes.len(), labels.dims[0]);
    }
});
