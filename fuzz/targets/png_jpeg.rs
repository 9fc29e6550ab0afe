//! Pictures, PNG and JPEG.
#![no_main]

use std::panic::{PanicHookInfo, set_hook};

use libfuzzer_sys::fuzz_target;

// libFuzzer's own hook would end the process at a panic of the JPEG decoder, which bnn-data catches and
// takes for an error of the file; what it does not catch ends the process as well.
fuzz_target!(init: set_hook(Box::new(tell)), |bytes: &[u8]| {
    let _ = bnn_data::fuzz::picture(bytes);
});

/// Prints a panic that is not of the decoder that has many.
fn tell(panic: &PanicHookInfo<'_>) {
    if !panic.location().is_some_and(|place| place.file().contains("/zune-jpeg-")) {
        eprintln!("{panic}");
    }
}
