//! What a folder holds.

use std::fs;
use std::path::Path;

use crate::archive::{Content, Entry};
use crate::lookup::metadata;
use crate::{Error, Result};

/// Reads all files of a folder and of the folders within, three deep.
///
/// # Errors
/// [`Error::File`] if something cannot be read, [`Error::Entry`] for names that are no text and
/// for folders where images should be.
pub(super) fn read(path: &Path) -> Result<Content> {
    let mut content = Content::default();
    for split in ["train", "test"] {
        if metadata(&path.join(split))?.is_some_and(|about| about.is_dir()) {
            walk(path, split, &mut content)?;
        }
    }
    Ok(content)
}

fn walk(root: &Path, place: &str, content: &mut Content) -> Result<()> {
    let path = root.join(place);
    let failed = |source| Error::file(&path, source);
    for entry in fs::read_dir(&path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(name) = entry.file_name().to_str().map(String::from) else {
            let why = format!("the name {:?} is no text", entry.file_name());
            return Err(Error::entry(root, place, why));
        };
        if name.starts_with('.') {
            continue;
        }
        let (place, path) = (format!("{place}/{name}"), entry.path());
        if !path.is_dir() {
            let bytes = fs::read(&path).map_err(|source| Error::file(&path, source))?;
            content.files.push(Entry { place, bytes });
        } else if place.matches('/').count() == 1 {
            content.folders.push(place.clone());
            walk(root, &place, content)?;
        } else {
            return Err(Error::entry(root, place, "a folder where images should be".into()));
        }
    }
    Ok(())
}
