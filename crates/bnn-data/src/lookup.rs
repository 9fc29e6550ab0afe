//! Where the files of data sets are looked for.

use std::fs::Metadata;
use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use crate::{Error, Result, regular};

/// The folders that may hold data sets.
///
/// The files of a set lie in one of these folders, or in its subfolder with the name of the set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The folder that the user named; if there is one, no other is looked into.
    pub data_dir: Option<PathBuf>,
    /// What the environment variable `BNN_DATA` names: the next place.
    pub env: Option<PathBuf>,
    /// The user's cache folder: the last place.
    pub cache: Option<PathBuf>,
}

/// Where the files of a data set were found.
pub(crate) struct Found {
    pub(crate) folder: PathBuf,
    /// The files, in the order asked for.
    pub(crate) files: Vec<PathBuf>,
}

impl Lookup {
    /// The folder named by the user, if any, and those of the process environment: `$BNN_DATA`, and
    /// `$XDG_CACHE_HOME/bnn` or `~/.cache/bnn`.
    pub fn new(data_dir: Option<PathBuf>) -> Self {
        let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || std::env::home_dir().map(|home| home.join(".cache"));
        // The XDG specification has relative paths ignored.
        let cache = var("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(home);
        Self { data_dir, env: var("BNN_DATA"), cache: cache.map(|cache| cache.join("bnn")) }
    }

    /// The folders, in the order in which they are looked into.
    pub fn folders(&self) -> Vec<&Path> {
        let others = || self.env.iter().chain(&self.cache).map(PathBuf::as_path).collect();
        self.data_dir.as_deref().map_or_else(others, |folder| vec![folder])
    }

    /// Finds the files of the data set `name`, each as it is called or with `.gz` behind.
    ///
    /// # Errors
    /// [`Error::Missing`] if no folder holds any of them; [`Error::File`] for the first file that
    /// a folder with others of them lacks, and where the system cannot tell.
    pub(crate) fn files(
        &self,
        name: &'static str,
        files: &[&str],
        remedy: &'static str,
    ) -> Result<Found> {
        match self.holding(name, files)? {
            Some((folder, found)) => complete(folder, files, found, remedy),
            None => {
                let looked = self.folders().into_iter().map(Path::to_path_buf).collect();
                Err(Error::Missing { name, looked, remedy })
            }
        }
    }

    /// The first folder that holds any of the files, and where in it each of them is.
    ///
    /// # Errors
    /// [`Error::File`] where the system cannot tell.
    pub(crate) fn holding(
        &self,
        name: &str,
        files: &[&str],
    ) -> Result<Option<(PathBuf, Vec<Option<PathBuf>>)>> {
        let folders = self.folders().into_iter();
        for folder in folders.flat_map(|folder| [folder.to_path_buf(), folder.join(name)]) {
            let found = files.iter().map(|file| find(&folder, file)).collect::<Result<Vec<_>>>()?;
            if found.iter().any(Option::is_some) {
                return Ok(Some((folder, found)));
            }
        }
        Ok(None)
    }

    /// The folder to put the data set `name` into: the subfolder of this name in the first folder
    /// that is looked into, or that folder itself if files of the set lie there already.
    ///
    /// # Errors
    /// [`Error::NoFolder`] if there is no folder to look into, [`Error::File`] where the system cannot
    /// tell.
    #[cfg(feature = "download")]
    pub(crate) fn destination(&self, name: &'static str, files: &[&str]) -> Result<PathBuf> {
        let first = *self.folders().first().ok_or(Error::NoFolder { name })?;
        let found = files.iter().map(|file| find(first, file)).collect::<Result<Vec<_>>>()?;
        let bare = found.iter().any(Option::is_some);
        Ok(if bare { first.into() } else { first.join(name) })
    }
}

/// The file as it is called, or else with `.gz` behind.
///
/// # Errors
/// [`Error::File`] where the system cannot tell, and for what lies there if neither is a regular file.
pub(crate) fn find(folder: &Path, file: &str) -> Result<Option<PathBuf>> {
    let mut other = None;
    for path in [folder.join(file), folder.join(format!("{file}.gz"))] {
        match metadata(&path)? {
            Some(about) if about.is_file() => return Ok(Some(path)),
            Some(_) => other = other.or(Some(path)),
            None => {}
        }
    }
    // Nobody names a pipe or a folder so by accident: its kind is told, and it does not pass for absent.
    other.map_or(Ok(None), |path| regular::open(&path).map(|_| Some(path)))
}

/// What lies at a path, if anything does.
///
/// # Errors
/// [`Error::File`] where the system cannot tell, as in a folder that may not be looked into: what it
/// holds must not pass for absent.
pub(crate) fn metadata(path: &Path) -> Result<Option<Metadata>> {
    match path.metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(Error::file(path, source)),
    }
}

/// Half a data set is an accident that the user should hear of, not an absent data set.
fn complete(
    folder: PathBuf,
    files: &[&str],
    found: Vec<Option<PathBuf>>,
    remedy: &str,
) -> Result<Found> {
    if let Some(lacks) = found.iter().position(Option::is_none) {
        let why = "neither this file nor the same with .gz is there, unlike others of its data set";
        let source = IoError::new(ErrorKind::NotFound, format!("{why}; {remedy}"));
        return Err(Error::File { path: folder.join(files[lacks]), source });
    }
    Ok(Found { folder, files: found.into_iter().flatten().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(folder: &Path) -> Lookup {
        Lookup { env: Some(folder.join("env")), cache: Some(folder.join("cache")), data_dir: None }
    }

    fn write(folder: &Path, files: &[&str]) {
        std::fs::create_dir_all(folder).unwrap();
        files.iter().for_each(|file| std::fs::write(folder.join(file), "").unwrap());
    }

    #[test]
    fn folders_are_looked_into_in_order() {
        let temp = tempfile::tempdir().unwrap();
        let lookup = lookup(temp.path());
        for place in ["cache/set", "cache", "env/set", "env"] {
            let folder = temp.path().join(place);
            write(&folder, &["a", "b.gz"]);
            let found = lookup.files("set", &["a", "b"], "buy it").unwrap();
            assert_eq!(found.folder, folder);
            assert_eq!(found.files, [folder.join("a"), folder.join("b.gz")]);
        }
    }

    #[test]
    fn a_named_folder_is_the_only_one() {
        let temp = tempfile::tempdir().unwrap();
        write(&temp.path().join("env"), &["a"]);
        let named = Lookup { data_dir: Some("nowhere".into()), ..lookup(temp.path()) };
        let Err(error) = named.files("set", &["a"], "buy it") else { panic!("found") };
        assert_eq!(error.to_string(), "data set `set` is not in nowhere; buy it");
        assert!(lookup(temp.path()).files("set", &["a"], "buy it").is_ok());
    }

    #[test]
    fn all_folders_are_named_where_nothing_is_found() {
        let lookup = Lookup { env: Some("e".into()), cache: Some("c".into()), data_dir: None };
        let Err(error) = lookup.files("set", &["a"], "buy it") else { panic!("found") };
        assert_eq!(error.to_string(), "data set `set` is not in e, c; buy it");
        let Err(error) = Lookup::default().files("set", &["a"], "buy it") else { panic!("found") };
        assert!(error.to_string().contains("not in any folder"), "{error}");
    }

    #[test]
    fn half_a_set_is_an_error_of_its_own() {
        let temp = tempfile::tempdir().unwrap();
        write(&temp.path().join("env"), &["a"]);
        write(&temp.path().join("cache"), &["a", "b"]);
        let Err(error) = lookup(temp.path()).files("set", &["a", "b"], "buy it") else {
            panic!("found")
        };
        assert!(matches!(&error, Error::File { path, .. } if path.ends_with("env/b")), "{error}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.ends_with("unlike others of its data set; buy it"), "{source}");
    }

    #[test]
    #[cfg(unix)]
    fn what_cannot_be_looked_at_is_not_absent() {
        let temp = tempfile::tempdir().unwrap();
        write(&temp.path().join("cache"), &["a"]);
        // A link to itself, since nothing is forbidden to a superuser.
        let loops = temp.path().join("env");
        std::os::unix::fs::symlink(&loops, &loops).unwrap();
        let Err(error) = lookup(temp.path()).files("set", &["a"], "buy it") else {
            panic!("found")
        };
        assert!(matches!(&error, Error::File { path, .. } if *path == loops.join("a")), "{error}");
        // Nothing lies in a file.
        let file = Lookup { env: Some(temp.path().join("cache/a")), ..lookup(temp.path()) };
        assert!(file.files("set", &["a"], "buy it").is_ok());
    }

    #[test]
    #[cfg(feature = "download")]
    fn a_set_is_put_where_it_will_be_found_first() {
        let temp = tempfile::tempdir().unwrap();
        let lookup = lookup(temp.path());
        let env = temp.path().join("env");
        assert_eq!(lookup.destination("set", &["a", "b"]).unwrap(), env.join("set"));
        write(&temp.path().join("cache"), &["a", "b"]);
        assert_eq!(lookup.destination("set", &["a", "b"]).unwrap(), env.join("set"));
        write(&env, &["b.gz"]);
        assert_eq!(lookup.destination("set", &["a", "b"]).unwrap(), env);
        let named = Lookup { data_dir: Some("named".into()), ..lookup };
        assert_eq!(named.destination("set", &["a"]).unwrap(), Path::new("named/set"));
        let error = Lookup::default().destination("set", &["a"]).unwrap_err().to_string();
        assert!(error.starts_with("no folder to put data set `set` into"), "{error}");
    }
}
