//! `cargo xtask tidy`: what compilers do not check of the repository.

mod documents;
mod functions;
mod rust;
mod times;
mod tokens;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::folder;

/// The folders of the repository; nothing is read in others.
const FOLDERS: [&str; 8] = [
    "benches",
    "crates",
    "docs",
    "experiments",
    "fuzz/examples",
    "fuzz/targets",
    "results",
    "xtask",
];

/// A text file of the repository.
struct Source {
    /// Its path from the root, with slashes.
    path: String,
    text: String,
}

/// Something that is not as it should be.
struct Finding {
    /// File and line, or folder.
    place: String,
    /// The rule, by how much it is broken, and what to do about it.
    fault: String,
}

/// What was looked at, and what was found.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
    /// What could not be checked, and why.
    notes: Vec<String>,
    /// Files read.
    files: usize,
}

impl Finding {
    fn at(source: &Source, line: usize, fault: impl Into<String>) -> Self {
        Self { place: format!("{}:{line}", source.path), fault: fault.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault)
    }
}

/// Checks the repository and prints what was found.
///
/// # Errors
/// Every finding, or a file that cannot be read.
pub fn run(root: &Path) -> Result<()> {
    let Report { findings, notes, files } = check(root)?;
    notes.iter().for_each(|note| println!("note: {note}"));
    if !findings.is_empty() {
        let lines: Vec<_> = findings.iter().map(Finding::to_string).collect();
        bail!("{} findings\n{}", findings.len(), lines.join("\n"));
    }
    println!("{files} files are tidy");
    Ok(())
}

fn check(root: &Path) -> Result<Report> {
    let mut report = Report::default();
    for source in sources(root)? {
        report.files += 1;
        report.findings.extend(if source.path.ends_with(".rs") {
            rust::check(&source)
        } else {
            documents::check(root, &source)
        });
    }
    times::check(root, &mut report)?;
    Ok(report)
}

/// The Rust files and the documents.
fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut paths = folder::children(root)?;
    paths.retain(|path| path.is_file());
    for name in FOLDERS.map(|name| root.join(name)).iter().filter(|folder| folder.is_dir()) {
        paths.extend(folder::files_below(name)?);
    }
    paths.retain(|path| folder::is(path, "rs") || folder::is(path, "md"));
    paths.iter().map(|path| source(root, path)).collect()
}

fn source(root: &Path, path: &Path) -> Result<Source> {
    let text = folder::text(path)?;
    let path = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    Ok(Source { path: parts.join("/"), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a folder of these files.
    pub fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            crate::atomic::write(&folder.path().join(path), text).unwrap();
        }
        check(folder.path()).unwrap().findings.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn this_repository_is_tidy() {
        run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap();
    }

    #[test]
    fn findings_are_an_error_that_lists_them() {
        let folder = tempfile::tempdir().unwrap();
        crate::atomic::write(&folder.path().join("benches/a.rs"), "fn main() {}").unwrap();
        crate::atomic::write(&folder.path().join("target/b.rs"), "fn main() {}").unwrap();
        let error = run(folder.path()).unwrap_err().to_string();
        let want = "1 findings\n\
            benches/a.rs:1: no module doc: begin the file with `//!` and what it is for";
        assert_eq!(error, want);
    }
}
