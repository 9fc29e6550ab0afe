//! Words that Rust files may not hold, also within macros: a comment or a text is no word.

use proc_macro2::{Delimiter, Ident, Spacing, TokenStream, TokenTree};

use super::rust::UNSAFE;
use super::{Finding, Source};

/// Macros of unfinished work.
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// What is found in the words of a file.
pub fn check(source: &Source, tokens: TokenStream) -> Vec<Finding> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(word) => findings.extend(refused(source, word, tokens.get(at + 1))),
            TokenTree::Group(group) => {
                let attribute = at > 0 && is_mark(tokens.get(at - 1), '#');
                if attribute && group.delimiter() == Delimiter::Bracket {
                    findings.extend(ignored(source, group.stream()));
                }
                findings.extend(check(source, group.stream()));
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    findings
}

fn refused(source: &Source, word: &Ident, next: Option<&TokenTree>) -> Option<Finding> {
    let fault = if word == "unsafe" && !UNSAFE.iter().any(|it| source.path.starts_with(it)) {
        format!("`unsafe` outside of {}: move it there, or do without", UNSAFE.join(" and "))
    } else if MACROS.iter().any(|name| word == name) && is_mark(next, '!') {
        format!("`{word}!`: finish it")
    } else {
        return None;
    };
    Some(Finding::at(source, word.span().start().line, fault))
}

/// Whether an attribute switches a test off.
fn ignored(source: &Source, attribute: TokenStream) -> Option<Finding> {
    let Some(TokenTree::Ident(name)) = attribute.into_iter().next() else { return None };
    let fault = format!("`#[{name}]`: make the test fast enough to run, or take it out");
    (name == "ignore").then(|| Finding::at(source, name.span().start().line, fault))
}

/// Whether a token is this mark by itself: the `!` of a macro, not that of `!=`.
fn is_mark(token: Option<&TokenTree>, mark: char) -> bool {
    let is =
        |punct: &proc_macro2::Punct| punct.as_char() == mark && punct.spacing() == Spacing::Alone;
    matches!(token, Some(TokenTree::Punct(punct)) if is(punct))
}

#[cfg(test)]
mod tests {
    use super::super::tests::findings;

    #[test]
    fn unsafe_code_has_its_folders() {
        let text = "//! An unsafe word.\nfn a() {\n    b!(unsafe { c() });\n}\n";
        assert!(findings(&[("crates/bnn-cpu/src/kernels/a.rs", text)]).is_empty());
        let want = "crates/bnn-cpu/src/a.rs:3: `unsafe` outside of crates/bnn-cpu/src/kernels/ \
            and crates/bnn-cuda/src/device/: move it there, or do without";
        assert_eq!(findings(&[("crates/bnn-cpu/src/a.rs", text)]), [want]);
    }

    // What is to be found is put in by name, so that a search of the tree for it stops at code alone.

    #[test]
    fn unfinished_code_is_found() {
        let text = ["todo", "dbg"].map(|name| format!("    {name}!(1);\n")).concat();
        let text = format!("//! A.\nfn a(todo: u8) {{\n    if todo != 3 {{}}\n{text}}}\n");
        let want = ["todo", "dbg"].into_iter().zip(4..);
        let want = want.map(|(name, line)| format!("benches/a.rs:{line}: `{name}!`: finish it"));
        assert_eq!(findings(&[("benches/a.rs", &text)]), want.collect::<Vec<_>>());
    }

    #[test]
    fn tests_that_do_not_run_are_found() {
        let attribute = |name: &str| format!("#[{name}]");
        let slow = attribute("ignore = \"slow\"");
        let text = format!("//! A.\n#[test]\n{slow}\nfn a() {{\n    ignore([ignore]);\n}}\n");
        let off = attribute("ignore");
        let want =
            format!("benches/a.rs:3: `{off}`: make the test fast enough to run, or take it out");
        assert_eq!(findings(&[("benches/a.rs", &text)]), [want]);
    }
}
