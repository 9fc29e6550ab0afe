//! Regular files: what has a size and an end.
//!
//! Opening a pipe waits for whoever writes into it, and a device may never end; both are refused by
//! their kind, before they are opened.

use std::fs::{File, Metadata};
use std::io::{Error as IoError, ErrorKind, Read};
use std::path::Path;

use crate::{Error, Result};

/// Bytes of a file that are looked at before the rest is read.
pub const FIRST: u64 = 16;

/// Opens a regular file, or what a link to one leads to; also returns its size in bytes.
///
/// # Errors
/// [`Error::File`] if nothing lies there, if it cannot be opened, or if it is not a regular file.
pub fn open(path: &Path) -> Result<(File, u64)> {
    let failed = |source| Error::file(path, source);
    check_kind(path, &path.metadata().map_err(failed)?)?;
    let file = File::open(path).map_err(failed)?;
    // Another file may have taken its place since.
    let about = file.metadata().map_err(failed)?;
    check_kind(path, &about)?;
    Ok((file, about.len()))
}

/// The same of a file of at most `most` bytes.
///
/// # Errors
/// As [`open`], and for a larger file.
pub fn open_within(path: &Path, most: u64) -> Result<(File, u64)> {
    let (file, size) = open(path)?;
    if size > most { Err(too_large(path, most)) } else { Ok((file, size)) }
}

fn too_large(path: &Path, most: u64) -> Error {
    let why = format!("the file has more than the {most} bytes that such a file may have");
    Error::file(path, IoError::new(ErrorKind::FileTooLarge, why))
}

/// Refuses what lies at a path that is to be written, unless it is a regular file, nothing, or a device,
/// which answers at once and says itself what it does not take.
///
/// # Errors
/// [`Error::File`].
pub fn check(path: &Path) -> Result<()> {
    match path.metadata() {
        Ok(about) if is_device(&about) => Ok(()),
        Ok(about) => check_kind(path, &about),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::file(path, source)),
    }
}

fn check_kind(path: &Path, about: &Metadata) -> Result<()> {
    if about.is_file() {
        return Ok(());
    }
    let why = format!("this is {}, and a regular file was expected", kind(about));
    Err(Error::file(path, IoError::new(ErrorKind::InvalidInput, why)))
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// [`Error::File`] as [`open`] does, and for a larger file, before any of it is read.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    read_if(path, most, |_, _| Ok(()))
}

/// The same of a file whose first bytes, [`FIRST`] of them where there are so many, and whose size
/// `look` does not refuse.
///
/// # Errors
/// As [`read`]; what `look` says, before the rest is read.
pub fn read_if<E: From<Error>>(
    path: &Path,
    most: u64,
    look: impl FnOnce(&[u8], u64) -> std::result::Result<(), E>,
) -> std::result::Result<Vec<u8>, E> {
    let (mut file, size) = open_within(path, most)?;
    let failed = |source| Error::file(path, source);
    let mut bytes = Vec::new();
    file.by_ref().take(FIRST).read_to_end(&mut bytes).map_err(failed)?;
    look(&bytes, size)?;
    let rest = size.saturating_sub(bytes.len() as u64);
    bytes.try_reserve_exact(rest as usize).map_err(|_| failed(ErrorKind::OutOfMemory.into()))?;
    // It may grow while it is read.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most { Err(too_large(path, most).into()) } else { Ok(bytes) }
}

/// What something that is not a regular file is called.
fn kind(about: &Metadata) -> &'static str {
    if about.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = about.file_type();
        if kind.is_fifo() {
            return "a pipe";
        } else if kind.is_socket() {
            return "a socket";
        }
    }
    if is_device(about) { "a device" } else { "no file of a known kind" }
}

#[cfg(unix)]
fn is_device(about: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let kind = about.file_type();
    kind.is_char_device() || kind.is_block_device()
}

#[cfg(not(unix))]
fn is_device(_: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        let error = read(path, 1000).expect_err("refused");
        std::error::Error::source(&error).expect("it has the system's reason").to_string()
    }

    #[test]
    fn files_are_read_up_to_their_limit() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        std::fs::write(&path, [7; 1000]).unwrap();
        assert_eq!(read(&path, 1000).unwrap(), [7; 1000]);
        File::options().write(true).open(&path).unwrap().set_len(200 << 30).unwrap();
        assert_eq!(open(&path).unwrap().1, 200 << 30);
        let why = "the file has more than the 1000 bytes that such a file may have";
        assert_eq!(refused(&path), why);
    }

    #[test]
    fn first_bytes_and_size_are_looked_at_before_the_rest_is_read() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        std::fs::write(&path, *b"twenty bytes of text").unwrap();
        let look = |first: &[u8], size| {
            assert_eq!((first, size), (&b"twenty bytes of "[..], 20));
            Ok::<_, Error>(())
        };
        assert_eq!(read_if(&path, 20, look).unwrap(), b"twenty bytes of text");
        std::fs::write(&path, *b"short").unwrap();
        assert_eq!(read(&path, 20).unwrap(), b"short");
        File::options().write(true).open(&path).unwrap().set_len(200 << 30).unwrap();
        let refuse = |_: &[u8], size| Err(Error::images(format!("{size} bytes")));
        let why = read_if(&path, u64::MAX, refuse).unwrap_err().to_string();
        assert_eq!(why, "images: 214748364800 bytes");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_by_its_kind() {
        let temp = tempfile::tempdir().unwrap();
        let but = |kind| format!("this is {kind}, and a regular file was expected");
        assert_eq!(refused(temp.path()), but("a folder"));
        #[cfg(unix)]
        {
            let socket = temp.path().join("socket");
            let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            assert_eq!(refused(&socket), but("a socket"));
            assert_eq!(refused(Path::new("/dev/zero")), but("a device"));
            let pipe = temp.path().join("pipe");
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            assert_eq!(refused(&pipe), but("a pipe"));
            assert!(check(&pipe).is_err());
            assert!(check(Path::new("/dev/full")).is_ok());
            assert!(check(&temp.path().join("nothing")).is_ok());
        }
    }
}
