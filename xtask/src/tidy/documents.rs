//! Checks of Markdown files: the size of the map, and that what they name is there.

use std::path::Path;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::{FOLDERS, Finding, Source};

/// Lines of ARCHITECTURE.md: four pages.
const MAP_LINES: usize = 220;

/// Everything that is found in a document.
pub fn check(root: &Path, source: &Source) -> Vec<Finding> {
    let mut walk = Walk { root, source, package: None, findings: Vec::new() };
    let lines = source.text.lines().count();
    if source.path == "ARCHITECTURE.md" && lines > MAP_LINES {
        let fault = format!("{lines} lines, of at most {MAP_LINES}: move details to `docs/`");
        walk.findings.push(Finding::at(source, lines, fault));
    }
    let mut listing = false;
    for (event, range) in Parser::new(&source.text).into_offset_iter() {
        let line = 1 + source.text[..range.start].matches('\n').count();
        match event {
            Event::Start(Tag::CodeBlock(_)) => listing = true,
            Event::End(TagEnd::CodeBlock) => listing = false,
            Event::Text(text) if listing => walk.listing(line, &text),
            Event::Code(text) => walk.code(line, &text),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                walk.link(line, &dest_url);
            }
            _ => {}
        }
    }
    walk.findings
}

struct Walk<'a> {
    root: &'a Path,
    source: &'a Source,
    /// The package named last, and the line of it: `src/` is its folder in the rest of that line.
    package: Option<(usize, String)>,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn listing(&mut self, first: usize, text: &str) {
        for (line, text) in (first..).zip(text.lines()) {
            self.code(line, text);
        }
    }

    /// Every word of code that looks like a path of the repository is one.
    fn code(&mut self, line: usize, text: &str) {
        let words = text.split_whitespace().map(|word| word.trim_matches(['"', '\'', ',', ';']));
        for word in words.filter(|word| !word.contains(['*', '<', '{', '$'])) {
            let parts: Vec<&str> = word.split('/').collect();
            match parts[..] {
                ["src", _, ..] => self.within_package(line, word),
                [folder, ..] if FOLDERS.contains(&folder) => self.path(line, word, word),
                _ => {}
            }
            if let ["crates", name, ..] = parts[..] {
                self.package = Some((line, format!("crates/{name}")));
            }
        }
    }

    fn within_package(&mut self, line: usize, word: &str) {
        let named = self.package.as_ref().filter(|(at, _)| *at == line).map(|(_, name)| name);
        let own = || Some(self.source.path.strip_suffix("/README.md")?.to_owned());
        match named.cloned().or_else(own) {
            Some(package) => self.path(line, &format!("{package}/{word}"), word),
            None => {
                let fault = format!("`{word}` of which crate? Write `crates/NAME/{word}`");
                self.findings.push(Finding::at(self.source, line, fault));
            }
        }
    }

    /// The target of a link in the repository is there.
    fn link(&mut self, line: usize, url: &str) {
        let target = url.split('#').next().unwrap_or_default();
        if !target.is_empty() && !target.contains(':') {
            let folder = self.source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            self.path(line, &format!("{folder}/{target}"), url);
        }
    }

    fn path(&mut self, line: usize, path: &str, said: &str) {
        if !self.root.join(path.trim_start_matches('/')).exists() {
            let fault = format!("`{said}` is not there: correct the path");
            self.findings.push(Finding::at(self.source, line, fault));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::findings;

    #[test]
    fn the_map_has_four_pages() {
        let text = |lines: usize| "a\n".repeat(lines);
        assert!(findings(&[("ARCHITECTURE.md", &text(220)), ("b.md", &text(999))]).is_empty());
        let want = "ARCHITECTURE.md:221: 221 lines, of at most 220: move details to `docs/`";
        assert_eq!(findings(&[("ARCHITECTURE.md", &text(221))]), [want]);
    }

    #[test]
    fn paths_in_code_are_there() {
        let text = "Read `crates/a/src/b.rs` and `crates/x`.\n\n\
            | `crates/a` | `src/b.rs`, `src/c.rs` |\n\n\
            `src/b.rs`, `results/<tier>/*.json`, `target/a`, src/plain, `docs.rs`\n\n\
            ```sh\ncargo run benches\ncargo run xtask/a.rs\n```\n";
        let found = findings(&[("a.md", text), ("crates/a/src/b.rs", "//! B.")]);
        let want = [
            "a.md:1: `crates/x` is not there: correct the path",
            "a.md:3: `src/c.rs` is not there: correct the path",
            "a.md:5: `src/b.rs` of which crate? Write `crates/NAME/src/b.rs`",
            "a.md:8: `benches` is not there: correct the path",
            "a.md:9: `xtask/a.rs` is not there: correct the path",
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn the_readme_of_a_crate_speaks_of_its_own_files() {
        let text = "See `src/b.rs`, not `src/c.rs`.";
        let found = findings(&[("crates/a/README.md", text), ("crates/a/src/b.rs", "//! B.")]);
        assert_eq!(found, ["crates/a/README.md:1: `src/c.rs` is not there: correct the path"]);
    }

    #[test]
    fn links_lead_somewhere() {
        let text =
            "[a](../b.md#part), ![c](c.svg)\n[d](https://d.e), [f](#g)\n\n[h]\n\n[h]: h.md\n";
        let want = [
            "docs/a.md:1: `c.svg` is not there: correct the path",
            "docs/a.md:4: `h.md` is not there: correct the path",
        ];
        assert_eq!(findings(&[("docs/a.md", text), ("b.md", "")]), want);
    }
}
