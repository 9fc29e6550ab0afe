//! Specs: text that is no spec is refused, and one that is comes back from its own TOML.
#![no_main]

use bnn_train::Spec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(spec) = Spec::parse("fuzz", text) {
        for tier in spec.tiers.keys() {
            spec.tier(tier).expect("checked when it was parsed");
        }
        // What a TOML cannot say, such as a seed beyond 63 bits, is an error there.
        if let Ok(toml) = spec.to_toml() {
            Spec::parse("fuzz", &toml).expect("a spec writes what it reads");
        }
    }
});
