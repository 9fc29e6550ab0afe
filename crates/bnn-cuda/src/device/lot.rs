//! Memory that outlives its buffers.

use std::sync::{Arc, Mutex, PoisonError};

use super::Driver;

/// Keeps what its buffers give back, until it goes itself: launches that are replayed write there again.
pub(crate) struct Lot {
    driver: Arc<dyn Driver>,
    /// Addresses and sizes.
    given: Mutex<Vec<(u64, usize)>>,
}

impl Lot {
    pub(crate) fn new(driver: &Arc<dyn Driver>) -> Self {
        Self { driver: Arc::clone(driver), given: Mutex::default() }
    }

    pub(super) fn take(&self, address: u64, bytes: usize) {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).push((address, bytes));
    }
}

impl Drop for Lot {
    fn drop(&mut self) {
        let given = self.given.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (address, bytes) in given.drain(..) {
            // SAFETY: a buffer gave it here instead of giving it back, and no other holds it.
            unsafe { self.driver.free(address, bytes) };
        }
    }
}
