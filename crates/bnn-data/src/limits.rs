//! The most that a file may hold: whatever a header or a packed file promises, no reader takes more.
//!
//! The limits are far above any data set that fits a memory, and are there for files that were made to
//! fill it. Where a format or a data set says how much there is, its reader stops there instead.

/// The most bytes of a data set in memory, and of the files that it is read from: 32 GiB.
pub const DATA_SET: u64 = 32 << 30;

/// The most bytes of the file of one image, and of any other file in a data set's archive: 64 MiB.
pub const IMAGE_FILE: u64 = 64 << 20;

/// The most bytes of a name in an archive, with what is said beside it: 64 KiB.
pub const NAME: u64 = 64 << 10;

/// The most bytes of zeros in a row between the members of an archive, and behind the last one: 64 MiB.
pub const ZEROS: u64 = 64 << 20;

/// What packed files may always unpack to: 1 GiB.
const UNPACKED: u64 = 1 << 30;

/// The most that a byte of a packed file may unpack to, beyond that.
///
/// Images pack to a half or a tenth; what packs to a hundredth is one byte a million times.
const RATIO: u64 = 64;

/// The most bytes that a packed file of so many may unpack to: 64 times as many, and always 1 GiB.
pub const fn unpacked(packed: u64) -> u64 {
    let most = packed.saturating_mul(RATIO);
    if most > UNPACKED { most } else { UNPACKED }
}

/// The most bytes of a spec: 1 MiB.
pub const SPEC: u64 = 1 << 20;

/// The most bytes of a frozen model: 4 GiB, 32 billion weights of one bit.
pub const MODEL: u64 = 4 << 30;

/// The most bytes of a checkpoint, which has a model and three numbers for each of its weights: 64 GiB.
pub const CHECKPOINT: u64 = 64 << 30;

/// The most bytes of a file of fitted preprocessing, the square of an image's bytes in numbers: 8 GiB.
pub const FITTED: u64 = 8 << 30;
