//! What lies in a folder, and what a file holds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The files and folders right in a folder, in order.
///
/// # Errors
/// Names the folder that cannot be read.
pub fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The files in a folder and in all folders below it, in order.
///
/// # Errors
/// As [`children`].
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in children(folder)? {
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Reads a regular file: a pipe would be waited for, and a device may never end.
///
/// # Errors
/// Names the file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let place = || path.display().to_string();
    let is_file = path.metadata().with_context(place)?.is_file();
    ensure!(is_file, "{}: this is no regular file, and one was expected", place());
    std::fs::read(path).with_context(place)
}

/// Reads a regular file of text.
///
/// # Errors
/// As [`read`], and for bytes that are no text.
pub fn text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).with_context(|| path.display().to_string())
}

/// Whether the name of a file ends in `.` and the extension.
pub fn is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|it| it == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn what_is_no_file_is_not_waited_for() {
        for path in ["/dev/zero", "."] {
            let want = format!("{path}: this is no regular file, and one was expected");
            assert_eq!(read(Path::new(path)).unwrap_err().to_string(), want);
            let refused = crate::bnn::Bnn::at(path.into()).err().map(|error| error.to_string());
            assert_eq!(refused, Some(want));
        }
        assert!(format!("{:#}", text(Path::new("no/file")).unwrap_err()).starts_with("no/file: "));
    }

    #[test]
    fn files_are_found_at_any_depth_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let [b, c] = ["a/b.rs", "c.md"].map(|name| folder.path().join(name));
        std::fs::create_dir(folder.path().join("a")).unwrap();
        for path in [&c, &b] {
            std::fs::write(path, "").unwrap();
        }
        assert_eq!(children(folder.path()).unwrap(), [folder.path().join("a"), c.clone()]);
        assert_eq!(files_below(folder.path()).unwrap(), [b.clone(), c.clone()]);
        assert!(is(&b, "rs") && !is(&c, "rs"));
        let error = children(&c).unwrap_err();
        assert!(format!("{error:#}").contains("c.md"), "{error:#}");
    }
}
