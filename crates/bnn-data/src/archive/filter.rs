//! What is taken of a folder or an archive, and what is left out for its name.

use std::collections::BTreeSet;
use std::io::{self, Read};

/// First bytes that tell what a file is.
const HEAD: u64 = 8;

/// Names, in lower case, that systems leave in folders; what begins with a dot is left out as well.
const STRAYS: [&str; 4] = ["thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"];

/// Names that are told one by one.
const TOLD: usize = 4;

/// What is taken of a folder or an archive.
pub(crate) struct Filter {
    /// Whether the file at a place is taken; why it cannot be there.
    pub(crate) take: fn(&str) -> Result<bool, String>,
    /// Whether the folder at a place is taken.
    pub(crate) folder: fn(&str) -> bool,
    /// What is wrong with a file, by its first bytes.
    pub(crate) look: fn(&[u8]) -> Result<(), String>,
    /// The most bytes of a file.
    pub(crate) file: u64,
    /// The most bytes of all files.
    pub(crate) all: u64,
}

impl Filter {
    /// What a file of `size` bytes holds, or what is wrong with it.
    ///
    /// First bytes and size are looked at before the rest is read.
    pub(crate) fn bytes(
        &self,
        size: u64,
        reader: &mut dyn Read,
    ) -> io::Result<Result<Vec<u8>, String>> {
        let mut bytes = Vec::new();
        reader.take(HEAD).read_to_end(&mut bytes)?;
        if let Err(why) = (self.look)(&bytes) {
            return Ok(Err(why));
        }
        if size <= self.file {
            // It may grow while it is read.
            let most = self.file.saturating_sub(bytes.len() as u64).saturating_add(1);
            reader.take(most).read_to_end(&mut bytes)?;
        }
        let size = size.max(bytes.len() as u64);
        if size > self.file {
            let most = self.file;
            return Ok(Err(format!(
                "{size} bytes are more than the {most} that are read of a file"
            )));
        }
        Ok(Ok(bytes))
    }
}

/// Refuses a name that is no text: as a class it would be printed, and no other than it is.
pub(crate) fn check_text(name: &[u8]) -> Result<(), String> {
    match std::str::from_utf8(name) {
        Ok(_) => Ok(()),
        Err(_) => Err("the name is not valid UTF-8; rename it".into()),
    }
}

/// What was left out for its name.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    count: usize,
    /// The first of their names in order, one more than are told: an archive may have any number.
    names: BTreeSet<String>,
}

impl Strays {
    /// The place that a name stands for, its folders parted by `/`; none for a stray, which is counted,
    /// and for the root.
    pub(crate) fn place(&mut self, name: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(name);
        let names: Vec<_> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        let stray = names
            .iter()
            .find(|name| name.starts_with('.') || STRAYS.contains(&&*name.to_lowercase()));
        if let Some(stray) = stray {
            self.count += 1;
            if !self.names.contains(*stray) {
                self.names.insert(stray.to_string());
            }
            if self.names.len() > TOLD + 1 {
                self.names.pop_last();
            }
        }
        (stray.is_none() && !names.is_empty()).then(|| names.join("/"))
    }

    /// A line that tells of them; none if there are none.
    pub(crate) fn note(&self) -> Option<String> {
        let names = self.names.iter().take(TOLD).map(|name| format!("`{}`", name.escape_debug()));
        let names = names.collect::<Vec<_>>().join(", ");
        let more = if self.names.len() > TOLD { " and others" } else { "" };
        let what = if self.count == 1 { "file or folder" } else { "files and folders" };
        (self.count > 0)
            .then(|| format!("left out {} {what} by their names: {names}{more}", self.count))
    }
}
