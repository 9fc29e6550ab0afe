//! Files that are whole or not there.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// Makes a folder and those above it.
///
/// # Errors
/// Names the folder that cannot be made.
pub fn folder(path: &Path) -> Result<()> {
    let place = || format!("cannot make the folder {}", path.display());
    std::fs::create_dir_all(path).with_context(place)
}

/// Writes a text beside its place and moves it there once it is on disk; makes the folder if needed.
///
/// # Errors
/// Names the file that cannot be written; what was there before is untouched.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    folder(parent)?;
    persist(path, parent, text).with_context(|| format!("cannot write {}", path.display()))
}

fn persist(path: &Path, parent: &Path, text: &str) -> std::io::Result<()> {
    let mut file = shared(tempfile::Builder::new().prefix(".part-")).tempfile_in(parent)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Temporary files are private by default; results are for everyone whom the umask lets read.
#[cfg(unix)]
fn shared<'a, 'b, 'c>(
    builder: &'c mut tempfile::Builder<'a, 'b>,
) -> &'c mut tempfile::Builder<'a, 'b> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn shared<'a, 'b, 'c>(
    builder: &'c mut tempfile::Builder<'a, 'b>,
) -> &'c mut tempfile::Builder<'a, 'b> {
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/a.json");
        write(&path, "old").unwrap();
        write(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_unwritable_place_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write(&file, "").unwrap();
        let error = write(&file.join("a.json"), "").unwrap_err();
        assert!(format!("{error:#}").contains(&file.display().to_string()), "{error:#}");
    }
}
