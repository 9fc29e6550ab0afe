//! Kernels for POPCNT without AVX2: the portable ones, compiled with that instruction.

use super::{Counts, Kernel, portable};

pub(super) const KERNEL: Kernel = Kernel {
    name: "popcnt",
    missing: || (!is_x86_feature_detected!("popcnt")).then(|| "POPCNT".to_owned()),
    counts,
    ..portable::KERNEL
};

#[target_feature(enable = "popcnt")]
fn counts(task: &Counts<'_>, sums: &mut [i32]) {
    portable::counts(task, sums);
}
