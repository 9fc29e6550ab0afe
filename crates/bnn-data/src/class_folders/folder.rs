//! What a folder holds.

use std::fs;
use std::path::Path;

use super::shelf::SPLITS;
use crate::archive::{self, Content, Filter, Trouble};
use crate::lookup::metadata;
use crate::{Error, Result, regular};

/// Reads all files of a folder and of the folders within, three deep.
///
/// # Errors
/// [`Error::File`] if something cannot be read or is no regular file, [`Error::Entry`] for names that
/// are no text, for folders where images should be, and for what the filter refuses.
pub(super) fn read(path: &Path, filter: &Filter) -> Result<Content> {
    let mut content = Content::default();
    for split in SPLITS {
        if metadata(&path.join(split))?.is_some_and(|about| about.is_dir()) {
            walk(path, split, filter, &mut content)?;
        }
    }
    Ok(content)
}

fn walk(root: &Path, place: &str, filter: &Filter, content: &mut Content) -> Result<()> {
    let path = root.join(place);
    let failed = |source| Error::file(&path, source);
    for entry in fs::read_dir(&path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes(); // no text either, where the name is none
        let Some(inner) = content.strays.place(name) else { continue };
        let (place, path) = (format!("{place}/{inner}"), entry.path());
        let refuse = |why| Error::entry(root, &*place, why);
        archive::check_text(name).map_err(refuse)?;
        if !path.is_dir() {
            if (filter.take)(&place).map_err(refuse)? {
                let (mut file, size) = regular::open(&path)?;
                content.add(root, place, (size, &mut file), filter).map_err(
                    |trouble| match trouble {
                        Trouble::Entry(error) => error,
                        Trouble::Reading(source) => Error::file(&path, source),
                    },
                )?;
            }
        } else if (filter.folder)(&place) {
            content.folders.push(place.clone());
            walk(root, &place, filter, content)?;
        } else {
            return Err(refuse("a folder where images should be".into()));
        }
    }
    Ok(())
}
