//! The threads that share the tasks of an operation.

use std::sync::Arc;

use bnn_core::{Error, Result};
use rayon::iter::{ParallelBridge, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// More threads than any machine has: a larger number is a mistake.
const MOST: usize = 4096;

/// Rayon's global pool, or a pool of its own.
#[derive(Clone, Default)]
pub(crate) struct Workers {
    own: Option<Arc<ThreadPool>>,
    alone: bool,
}

impl Workers {
    /// A pool of `count` threads; one thread is the caller's own.
    pub(crate) fn new(count: usize) -> Result<Self> {
        if !(1..=MOST).contains(&count) {
            return Err(Error::value("threads", format!("{count} is not in 1..={MOST}")));
        }
        if count == 1 {
            return Ok(Self::alone());
        }
        let name = |index| format!("bnn-cpu-{index}");
        let pool = ThreadPoolBuilder::new().num_threads(count).thread_name(name).build();
        let pool = pool.map_err(|e| Error::Device { op: "start threads", source: Box::new(e) })?;
        Ok(Self { own: Some(Arc::new(pool)), alone: false })
    }

    /// No threads but the caller's own.
    pub(crate) fn alone() -> Self {
        Self { own: None, alone: true }
    }

    /// Number of threads.
    pub(crate) fn count(&self) -> usize {
        match &self.own {
            _ if self.alone => 1,
            Some(pool) => pool.current_num_threads(),
            None => rayon::current_num_threads(),
        }
    }

    /// Runs every task once, on any thread, in any order.
    ///
    /// A single task runs where it is: waking a thread costs more than small tasks.
    pub(crate) fn each<T: Send>(
        &self,
        tasks: impl Iterator<Item = T> + Send,
        run: impl Fn(T) + Send + Sync,
    ) {
        if self.count() == 1 || tasks.size_hint().1.is_some_and(|most| most <= 1) {
            return tasks.for_each(run);
        }
        self.install(move || tasks.par_bridge().for_each(run));
    }

    /// Runs work on one of the threads, from which the others are at hand.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.own {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for threads in 1..4 {
            let mut done = [0; 100];
            let workers = Workers::new(threads).unwrap();
            workers.each(done.iter_mut().enumerate(), |(index, done)| *done += index);
            assert!(done.iter().enumerate().all(|(index, &done)| index == done));
            assert_eq!(workers.count(), threads);
        }
    }

    #[test]
    fn absurd_thread_counts_are_refused() {
        assert!(Workers::new(0).is_err());
        assert!(Workers::new(usize::MAX).is_err());
    }
}
