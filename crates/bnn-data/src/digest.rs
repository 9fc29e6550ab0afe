//! Digests as people read them.

use sha2::{Digest, Sha256};

/// The digest in hexadecimal digits.
pub(crate) fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
