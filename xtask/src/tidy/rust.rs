//! Checks of Rust files: size, module doc, and the lint against unsafe code.

use proc_macro2::TokenStream;
use syn::{Attribute, Expr, Meta};

use super::{Finding, Source, functions, tokens};

/// Lines of a file.
const LINES: usize = 500;

/// Files that may be longer: the path, and the reason.
const LONG: &[(&str, &str)] = &[];

/// The folders that may hold unsafe code.
pub const UNSAFE: [&str; 2] = ["crates/bnn-cpu/src/kernels/", "crates/bnn-cuda/src/device/"];

/// Words that mark unfinished work; written so that they do not mark this file.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Everything that is found in a Rust file.
pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::from_iter(length(source, LONG));
    findings.extend(marks(source));
    let tokens = match source.text.parse::<TokenStream>() {
        Ok(tokens) => tokens,
        Err(error) => {
            let line = error.span().start().line;
            findings.push(Finding::at(source, line, format!("not Rust: {error}")));
            return findings;
        }
    };
    findings.extend(tokens::check(source, tokens.clone()));
    match syn::parse2::<syn::File>(tokens) {
        Ok(file) => {
            findings.extend(opening(source, &file.attrs));
            findings.extend(root(source, &file.attrs));
            findings.extend(functions::check(source, &file));
        }
        Err(error) => {
            let line = error.span().start().line;
            findings.push(Finding::at(source, line, format!("not Rust: {error}")));
        }
    }
    findings
}

fn length(source: &Source, long: &[(&str, &str)]) -> Option<Finding> {
    let lines = source.text.lines().count();
    let allowed = lines <= LINES || long.iter().any(|(path, _)| *path == source.path);
    let fault = || format!("{lines} lines in a file, of at most {LINES}: split it by what it does");
    (!allowed).then(|| Finding::at(source, lines, fault()))
}

fn marks(source: &Source) -> impl Iterator<Item = Finding> {
    let lines = (1..).zip(source.text.lines());
    let words = lines.flat_map(|(at, line)| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_').map(move |word| (at, word))
    });
    let marks = words.filter(|(_, word)| MARKS.contains(word));
    marks
        .map(|(at, word)| Finding::at(source, at, format!("`{word}`: finish it, or decide not to")))
}

/// A file opens with its doc; the roots of crates and folders may include one.
fn opening(source: &Source, attrs: &[Attribute]) -> Option<Finding> {
    let may_include = ["/lib.rs", "/mod.rs"].iter().any(|end| source.path.ends_with(end));
    let doc = attrs.first().filter(|attr| attr.path().is_ident("doc"));
    let fits = doc.is_some_and(|doc| match &doc.meta {
        Meta::NameValue(doc) => may_include || matches!(doc.value, Expr::Lit(_)),
        _ => false,
    });
    let fault = "no module doc: begin the file with `//!` and what it is for";
    (!fits).then(|| Finding::at(source, 1, fault))
}

/// The root of a crate refuses unsafe code; where a folder is excepted, by `deny`.
fn root(source: &Source, attrs: &[Attribute]) -> Option<Finding> {
    let (package, file) = source.path.split_once("/src/")?;
    if !matches!(file, "lib.rs" | "main.rs") && !file.starts_with("bin/") {
        return None;
    }
    let excepted = UNSAFE.iter().any(|folder| folder.starts_with(&format!("{package}/")));
    let level = if excepted { "deny" } else { "forbid" };
    let refuses = |attr: &Attribute| match &attr.meta {
        Meta::List(list) => {
            let lints: Vec<_> = list.tokens.clone().into_iter().map(|t| t.to_string()).collect();
            list.path.is_ident(level) && lints.contains(&"unsafe_code".into())
        }
        _ => false,
    };
    let fault = || format!("the root of a crate without `#![{level}(unsafe_code)]`: add it");
    (!attrs.iter().any(refuses)).then(|| Finding::at(source, 1, fault()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::findings;
    use super::*;

    #[test]
    fn a_file_has_500_lines() {
        let text = |lines: usize| "//! A.\n".to_owned() + &"// b\n".repeat(lines - 1);
        assert!(findings(&[("crates/a/src/b.rs", &text(500))]).is_empty());
        let want = "crates/a/src/b.rs:501: 501 lines in a file, of at most 500: \
            split it by what it does";
        assert_eq!(findings(&[("crates/a/src/b.rs", &text(501))]), [want]);
        let source = Source { path: "benches/b.rs".into(), text: text(501) };
        assert!(length(&source, &[("benches/b.rs", "a table")]).is_none());
    }

    #[test]
    fn a_file_opens_with_a_doc() {
        let include = "#![doc = include_str!(\"a.md\")]\n#![forbid(unsafe_code)]";
        let good = [
            ("crates/a/src/lib.rs", include),
            ("crates/a/src/b/mod.rs", include),
            ("crates/a/src/c.rs", "//! C.\n#![allow(dead_code)]"),
        ];
        assert!(findings(&good).is_empty());
        let bad = [
            ("crates/a/src/b.rs", include),
            ("crates/a/src/c.rs", "/// An item's.\nstruct C;"),
            ("crates/a/tests/d.rs", "#![allow(dead_code)]\n//! D."),
        ];
        let want = bad.map(|(path, _)| {
            format!("{path}:1: no module doc: begin the file with `//!` and what it is for")
        });
        assert_eq!(findings(&bad), want);
    }

    #[test]
    fn the_root_of_a_crate_refuses_unsafe_code() {
        let (forbid, deny) = ("//! A.\n#![forbid(unsafe_code)]", "//! A.\n#![deny(unsafe_code)]");
        assert!(
            findings(&[("xtask/src/main.rs", forbid), ("crates/bnn-cpu/src/lib.rs", deny)])
                .is_empty()
        );
        let fault = "the root of a crate without";
        let found = findings(&[
            ("crates/a/src/bin/c.rs", "//! C."),
            ("crates/a/src/lib.rs", deny),
            ("crates/bnn-cpu/src/lib.rs", "//! A."),
        ]);
        let want = [
            format!("crates/a/src/bin/c.rs:1: {fault} `#![forbid(unsafe_code)]`: add it"),
            format!("crates/a/src/lib.rs:1: {fault} `#![forbid(unsafe_code)]`: add it"),
            format!("crates/bnn-cpu/src/lib.rs:1: {fault} `#![deny(unsafe_code)]`: add it"),
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn unfinished_work_is_found_in_comments() {
        let [todo, fixme, _] = MARKS;
        let text = format!("//! A.\n\n// {todo}: b\nfn a{todo}() {{}} // {fixme}");
        let want = [
            format!("benches/a.rs:3: `{todo}`: finish it, or decide not to"),
            format!("benches/a.rs:4: `{fixme}`: finish it, or decide not to"),
        ];
        assert_eq!(findings(&[("benches/a.rs", &text)]), want);
    }

    #[test]
    fn what_is_not_rust_is_said_with_its_line() {
        let found = findings(&[("benches/a.rs", "//! A.\nfn a( {}"), ("benches/b.rs", "\nfn fn")]);
        assert!(found[0].starts_with("benches/a.rs:2: not Rust: "), "{found:?}");
        assert!(found[1].starts_with("benches/b.rs:2: not Rust: "), "{found:?}");
    }
}
