//! Memory that outlives its values: buffers come from a pool and return to it when dropped.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kernels::{Row, Word};

/// Bytes that every buffer starts at a multiple of: one line of the cache, one AVX-512 register.
const ALIGN: usize = 64;

/// The free memory of a backend, by element type and size.
///
/// Fresh pages cost more than the arithmetic on them, and a training step asks for the same sizes as
/// the one before. What was once taken is kept until the backend and all its values are dropped.
#[derive(Default)]
pub(crate) struct Pool {
    floats: Shelf<f32>,
    doubles: Shelf<f64>,
    words: Shelf<u64>,
    integers: Shelf<i32>,
    bytes: Shelf<u8>,
    rows: Shelf<Row>,
    places: Shelf<Word>,
}

/// Free memory of one element type, by its length.
type Shelf<T> = Mutex<HashMap<usize, Vec<Vec<T>>>>;

/// A type that buffers are made of.
pub(crate) trait Item: Copy + Default + Send + Sync + 'static {
    /// Where the pool keeps its memory.
    fn shelf(pool: &Pool) -> &Shelf<Self>;
}

/// A slice, aligned to 64 bytes, whose memory returns to its pool.
pub(crate) struct Buffer<T: Item> {
    memory: Vec<T>,
    start: usize,
    len: usize,
    pool: Arc<Pool>,
}

/// Takes a buffer whose contents are whatever was there before.
pub(crate) fn take<T: Item>(pool: &Arc<Pool>, len: usize) -> Buffer<T> {
    // Sizes that do not divide a line may take as many items to meet one as their alignment allows.
    let size = size_class(len + ALIGN / align_of::<T>());
    let free = lock(T::shelf(pool)).get_mut(&size).and_then(Vec::pop);
    let memory = free.unwrap_or_else(|| vec![T::default(); size]);
    let start = memory.as_ptr().align_offset(ALIGN);
    Buffer { memory, start, len, pool: Arc::clone(pool) }
}

/// Takes a buffer of zeros.
pub(crate) fn take_zeroed<T: Item>(pool: &Arc<Pool>, len: usize) -> Buffer<T> {
    let mut buffer = take(pool, len);
    buffer.fill(T::default());
    buffer
}

impl<T: Item> Buffer<T> {
    /// A buffer of other items from the same pool.
    pub(crate) fn beside<U: Item>(&self, len: usize) -> Buffer<U> {
        take(&self.pool, len)
    }
}

impl<T: Item> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.start..][..self.len]
    }
}

impl<T: Item> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..][..self.len]
    }
}

impl<T: Item> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let mut copy = take(&self.pool, self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl<T: Item> Drop for Buffer<T> {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        lock(T::shelf(&self.pool)).entry(memory.len()).or_default().push(memory);
    }
}

impl Item for f32 {
    fn shelf(pool: &Pool) -> &Shelf<Self> {
        &pool.floats
    }
}

impl Item for f64 {
    fn shelf(pool: &Pool) -> &Shelf<Self> {
        &pool.doubles
    }
}

impl Item for u64 {
    fn shelf(pool: &Pool) -> &Shelf<Self> {
        &pool.words
    }
}

impl Item for i32 {
    fn shelf(pool: &Pool) -> &Shelf<Self> {
        &pool.integers
    }
}

impl Item for u8 {
    fn shelf(pool: &Pool) -> &Shelf<Self> {
        &pool.bytes
    }
}

impl Item for Row {
    fn shelf(pool: &Pool) -> &Shelf<Self> {
        &pool.rows
    }
}

impl Item for Word {
    fn shelf(pool: &Pool) -> &Shelf<Self> {
        &pool.places
    }
}

/// The length whose memory serves requests of `len`: eight sizes per power of two, so that a last
/// batch that is a little smaller finds the memory of the others.
fn size_class(len: usize) -> usize {
    len.next_multiple_of((len.next_power_of_two() / 8).max(ALIGN))
}

/// A panic elsewhere leaves the shelf as it was: its vectors are pushed and popped whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reused_and_aligned() {
        let pool = Arc::new(Pool::default());
        let first = take::<f32>(&pool, 1000);
        let address = first.as_ptr();
        assert_eq!((address.align_offset(ALIGN), first.len()), (0, 1000));
        let second = take::<f32>(&pool, 1000);
        assert_ne!(second.as_ptr(), address);
        drop(first);
        assert_eq!(take::<f32>(&pool, 990).as_ptr(), address);
    }

    #[test]
    fn items_whose_size_divides_no_line_are_aligned_too() {
        fn taken<T: Item>(pool: &Arc<Pool>) -> Vec<Buffer<T>> {
            (1..200).map(|len| take(pool, len)).collect()
        }
        fn aligned<T: Item>(buffers: &[Buffer<T>]) -> bool {
            let mut lens = buffers.iter().zip(1..);
            lens.all(|(buffer, len)| {
                buffer.len() == len && buffer.as_ptr().align_offset(ALIGN) == 0
            })
        }
        let pool = Arc::new(Pool::default());
        let (rows, words) = (taken::<Row>(&pool), taken::<Word>(&pool));
        assert!(aligned(&rows) && aligned(&words));
    }

    #[test]
    fn zeros_are_zeros_again() {
        let pool = Arc::new(Pool::default());
        take::<u64>(&pool, 10).fill(7);
        assert!(take_zeroed::<u64>(&pool, 10).iter().all(|&word| word == 0));
        assert!(take::<u64>(&pool, 0).is_empty());
    }
}
