//! Frozen models: what is read is written again to the same network.
#![no_main]

use bnn_core::Frozen;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(network) = Frozen::from_bytes(bytes) {
        let bytes = network.to_bytes().expect("what was read can be written");
        let again = Frozen::from_bytes(&bytes).expect("what was written can be read");
        assert!(again == network, "and is the same");
    }
});
