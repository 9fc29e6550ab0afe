//! Which files a data set consists of, where they are published, and how to tell the right ones.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::gzip::{self, is_damage};
use crate::{Error, Result, digest, regular};

/// The files of a data set.
pub(crate) struct Published {
    /// Addresses of folders that hold all the files, in the order in which they are tried.
    pub(crate) mirrors: &'static [&'static str],
    pub(crate) files: &'static [PublishedFile],
    /// How to get the files.
    pub(crate) remedy: &'static str,
}

/// A file that is known by what it holds.
pub(crate) struct PublishedFile {
    /// The name that it is looked for by, with or without `.gz` behind.
    pub(crate) name: &'static str,
    /// What the mirrors' files have behind the name: `.gz` or nothing.
    pub(crate) suffix: &'static str,
    /// Its length, unpacked if the suffix is `.gz`: mirrors may compress anew.
    pub(crate) bytes: u64,
    /// SHA-256 of the same bytes, in hexadecimal digits.
    pub(crate) sha256: &'static str,
}

impl Published {
    /// A line that says which of the files at these places, in their order, are not the published ones;
    /// none if all are.
    ///
    /// They may be others on purpose: Fashion-MNIST has the names of MNIST.
    ///
    /// # Errors
    /// [`Error::File`] if one cannot be read.
    pub(crate) fn note(&self, set: &str, paths: &[PathBuf]) -> Result<Option<String>> {
        let mut others = Vec::new();
        for (file, path) in self.files.iter().zip(paths) {
            if file.fault(path)?.is_some() {
                others.push(file.name);
            }
        }
        let (count, all) = (others.len(), self.files.len());
        Ok((count > 0).then(|| {
            format!(
                "not the published files of `{set}`: {} ({count} of {all}); results are about these \
                 images, `bnn data verify {set}` says what differs",
                others.join(", "),
            )
        }))
    }

    /// The names of the files.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.files.iter().map(|file| file.name).collect()
    }
}

impl PublishedFile {
    /// The most bytes that a mirror's file can have: gzip adds little where it saves nothing.
    #[cfg(feature = "download")]
    pub(crate) fn limit(&self) -> u64 {
        if self.suffix.is_empty() { self.bytes } else { self.bytes + self.bytes / 1000 + 1024 }
    }

    /// What makes the file at `path` another one than this; nothing if it is the same.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read.
    pub(crate) fn fault(&self, path: &Path) -> Result<Option<String>> {
        let failed = |source| Error::file(path, source);
        let mut content = self.content(path)?.take(self.bytes + 1);
        match measure(&mut content) {
            Ok((bytes, sha256)) => Ok(self.difference(bytes, &sha256)),
            Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
            Err(error) => Err(failed(error)),
        }
    }

    /// What is compared: the file as it lies there, if the published one has this name, or else what it
    /// unpacks to.
    fn content(&self, path: &Path) -> Result<Box<dyn Read>> {
        if self.suffix.is_empty() && path.file_name().is_some_and(|name| name == self.name) {
            return Ok(Box::new(regular::open(path)?.0));
        }
        gzip::open(path)
    }

    /// At most one byte more than expected is read, whatever a file unpacks to.
    fn difference(&self, bytes: u64, sha256: &str) -> Option<String> {
        let (want, want_sha256) = (self.bytes, self.sha256);
        if bytes > want {
            Some(format!("its content is longer than {want} bytes"))
        } else if bytes < want {
            Some(format!("its content is {bytes} bytes long, not {want}"))
        } else if sha256 != want_sha256 {
            Some(format!("SHA-256 of its content is {sha256}, not {want_sha256}"))
        } else {
            None
        }
    }
}

/// Length and SHA-256.
fn measure(content: &mut impl Read) -> io::Result<(u64, String)> {
    let mut sink = Sink(Sha256::new());
    let bytes = io::copy(content, &mut sink)?;
    Ok((bytes, digest::hex(sink.0)))
}

/// A digest that can be written to, which `sha2` does not offer.
struct Sink(Sha256);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
