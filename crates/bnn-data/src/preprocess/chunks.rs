//! Work in pieces on threads; which thread does which piece never shows.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does every piece of work once, on up to `threads` threads: never more than there are pieces, and
/// without those that the system refuses.
///
/// The pieces must be independent of each other: their order is left open.
///
/// # Panics
/// If a piece does.
pub(crate) fn each<T: Send>(
    pieces: impl ExactSizeIterator<Item = T> + Send,
    threads: usize,
    work: impl Fn(T) + Sync,
) {
    let threads = threads.min(pieces.len());
    let pieces = Mutex::new(pieces);
    let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        while let Some(piece) = next() {
            work(piece);
        }
    };
    thread::scope(|scope| {
        let more = || thread::Builder::new().spawn_scoped(scope, worker);
        let _refused = (1..threads).try_for_each(|_| more().map(drop));
        worker();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once() {
        for threads in [0, 1, 2, 7, usize::MAX] {
            let mut numbers = [0; 100];
            each(numbers.iter_mut(), threads, |number| *number += 1);
            assert_eq!(numbers, [1; 100]);
        }
    }
}
