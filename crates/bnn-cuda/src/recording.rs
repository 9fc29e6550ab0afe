//! Passes over a network that are recorded once, and then started as one piece of work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use bnn_core::{Error, Result};
use ndarray::ArrayView2;

use crate::code::Code;
use crate::cuda::Cuda;
use crate::device::{Graph, Launch, Lot};
use crate::real::Real;

/// A pass over images of one number, from bytes to what the network makes of them: one launch, where
/// [`Session`](bnn_core::Session) takes two for every layer. Made by [`Cuda::record`].
pub struct Recording<'a> {
    cuda: Cuda,
    input: Code,
    output: Real,
    graph: Box<dyn Graph>,
    /// What kernels of the pass read and write: what it made and gave back, and what the network holds.
    _lot: Arc<Lot>,
    _network: Box<Network<'a>>,
}

/// What a network does with images.
type Network<'a> = dyn Fn(&Code) -> Result<Real> + 'a;

impl Cuda {
    /// Records what a network does with images, rows of bytes as
    /// [`put_code`](bnn_core::BinaryBackend::put_code) takes them.
    ///
    /// `network` is called twice: what it asks of this backend the second time is what will be replayed.
    /// It must do the same for all images, on this thread, by sign products, cuts and pooling; what it
    /// reads besides its argument is read again in every replay, and must not be given back meanwhile.
    ///
    /// # Errors
    /// What `network` says; [`Error::Unavailable`] for products of reals, which are a library's;
    /// [`Error::Value`] if it makes nothing on this backend, or records in turn; what the device says.
    pub fn record<'a>(
        &self,
        images: ArrayView2<'_, u8>,
        network: impl Fn(&Code) -> Result<Real> + 'a,
    ) -> Result<Recording<'a>> {
        let input = Code::put_bytes(self, images)?;
        network(&input)?; // compiles kernels, and makes windows that stay
        let taping = Taping::start(self)?;
        let output = network(&input)?;
        let Reel { launches, lot, .. } = taping.stop();
        if launches.is_empty() || !output.data.is_of(&lot) {
            let why = "the network made nothing on the backend that records it";
            return Err(Error::value("recording", why));
        }
        let graph = self.driver().record(launches)?;
        let (cuda, network) = (self.clone(), Box::new(network));
        Ok(Recording { cuda, input, output, graph, _lot: lot, _network: network })
    }
}

impl Recording<'_> {
    /// What the network makes of other images, as many as were recorded; it stays on the device, until
    /// the next replay writes over it.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of rows or bytes; what the device says.
    pub fn replay(&mut self, images: ArrayView2<'_, u8>) -> Result<&Real> {
        self.input.fill(&self.cuda, images)?;
        self.again()
    }

    /// The same of the images that are there.
    ///
    /// # Errors
    /// What the device says.
    pub fn again(&mut self) -> Result<&Real> {
        self.graph.start()?;
        Ok(&self.output)
    }
}

/// What a backend is recording, if it is.
#[derive(Default)]
pub(crate) struct Tape(Mutex<Option<Reel>>);

/// A recording under way: what one thread launches.
struct Reel {
    thread: ThreadId,
    launches: Vec<Launch>,
    lot: Arc<Lot>,
}

impl Tape {
    fn reel(&self) -> MutexGuard<'_, Option<Reel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with what this thread records, if it does.
    fn with<R>(&self, something: impl FnOnce(&mut Reel) -> R) -> Option<R> {
        let this = std::thread::current().id();
        self.reel().as_mut().filter(|reel| reel.thread == this).map(something)
    }

    /// Keeps a launch, if this thread records.
    pub(crate) fn keep(&self, launch: impl FnOnce() -> Launch) {
        self.with(|reel| reel.launches.push(launch()));
    }

    /// Where memory of this thread's recording stays.
    pub(crate) fn lot(&self) -> Option<Arc<Lot>> {
        self.with(|reel| Arc::clone(&reel.lot))
    }
}

/// Ends a recording also where the network fails or panics. One that was stopped is gone, and another
/// thread may have begun the next.
struct Taping<'a>(&'a Tape);

impl<'a> Taping<'a> {
    fn start(cuda: &'a Cuda) -> Result<Self> {
        let mut reel = cuda.tape().reel();
        if reel.is_some() {
            return Err(Error::value("recording", "this backend is recording already"));
        }
        let lot = Arc::new(Lot::new(cuda.driver()));
        *reel = Some(Reel { thread: std::thread::current().id(), launches: vec![], lot });
        drop(reel);
        Ok(Self(cuda.tape()))
    }

    fn stop(self) -> Reel {
        self.0.reel().take().expect("started by this, and stopped by nobody else")
    }
}

impl Drop for Taping<'_> {
    fn drop(&mut self) {
        let this = std::thread::current().id();
        self.0.reel().take_if(|reel| reel.thread == this);
    }
}

#[cfg(all(test, feature = "emulation"))]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_recording_leaves_that_of_another_thread() {
        let cuda = Cuda::emulated("plain").unwrap();
        let taping = Taping::start(&cuda).unwrap();
        drop(cuda.tape().reel().take()); // what `stop` does first
        std::thread::scope(|threads| {
            let other = || std::mem::forget(Taping::start(&cuda).unwrap());
            threads.spawn(other).join().unwrap();
        });
        drop(taping);
        assert!(cuda.tape().reel().is_some());
    }
}
