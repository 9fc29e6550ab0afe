//! One file from one mirror.

use std::time::{Duration, Instant};

use crate::Error;
use crate::download::http::{Answer, Client};
use crate::download::part::Part;
use crate::download::{Observer, Progress};
use crate::published::PublishedFile;

/// The bytes that must arrive within [`crate::download::Options::read`].
const PACE: usize = 1 << 16;

/// Why a file did not arrive.
pub(super) enum Trouble {
    /// This machine's fault: another mirror would not help.
    Here(Error),
    /// The server or the way to it; what arrived is good.
    Server(String),
    /// What arrived is not the file.
    Content(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

/// Brings one file from one mirror.
pub(super) struct Transfer<'a> {
    pub(super) client: &'a Client,
    pub(super) url: &'a str,
    pub(super) file: &'a PublishedFile,
    pub(super) name: &'a str,
    pub(super) observer: &'a mut dyn Observer,
}

impl Transfer<'_> {
    /// Fills the part until it is the file.
    pub(super) fn run(&mut self, part: &mut Part) -> Result<(), Trouble> {
        if part.bytes() > 0 {
            // The beginning may be from a mirror that compressed the file differently.
            match self.attempt(part) {
                Err(Trouble::Content(_)) => {}
                done => return done,
            }
        }
        self.attempt(part)
    }

    /// Goes on where the part ends, and clears it if it turns out not to be the file.
    fn attempt(&mut self, part: &mut Part) -> Result<(), Trouble> {
        let done = self.receive(part).and_then(|()| self.check(part));
        if matches!(done, Err(Trouble::Content(_))) {
            part.clear()?;
        }
        done
    }

    fn receive(&mut self, part: &mut Part) -> Result<(), Trouble> {
        let mut answer = self.client.get(self.url, part.bytes()).map_err(Trouble::Server)?;
        if answer.start < part.bytes() {
            part.clear()?;
        }
        let total = answer.bytes.map(|bytes| answer.start.saturating_add(bytes));
        self.limit(total.unwrap_or_default())?;
        let mut pace = Pace::new(self.client.read());
        let mut block = vec![0; PACE];
        loop {
            self.observer.progress(&Progress { file: self.name, received: part.bytes(), total });
            let read = self.read(&mut answer, &mut block)?;
            if read == 0 {
                return Ok(());
            }
            self.limit(part.bytes() + read as u64)?;
            part.append(&block[..read])?;
            pace.count(read)?;
        }
    }

    fn read(&self, answer: &mut Answer, block: &mut [u8]) -> Result<usize, Trouble> {
        let read = answer.body.read(block);
        read.map_err(|error| Trouble::Server(self.client.read_reason(&error)))
    }

    /// Refuses more bytes than the file can have.
    fn limit(&self, bytes: u64) -> Result<(), Trouble> {
        let limit = self.file.limit();
        if bytes > limit {
            return Err(Trouble::Content(format!("sends more than the {limit} bytes expected")));
        }
        Ok(())
    }

    fn check(&self, part: &Part) -> Result<(), Trouble> {
        match self.file.fault(part.path())? {
            Some(why) => Err(Trouble::Content(why)),
            None => Ok(()),
        }
    }
}

/// Tells a slow server from a fast one: time-outs of single reads do not see one that drips.
struct Pace {
    within: Duration,
    since: Instant,
    bytes: usize,
}

impl Pace {
    fn new(within: Duration) -> Self {
        Self { within, since: Instant::now(), bytes: 0 }
    }

    fn count(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.bytes += bytes;
        if self.since.elapsed() > self.within {
            let (bytes, within) = (self.bytes, self.within);
            return Err(Trouble::Server(format!("too slow: {bytes} bytes in {within:?}")));
        }
        if self.bytes >= PACE {
            *self = Self::new(self.within);
        }
        Ok(())
    }
}
