//! Sizes of functions, their parameters, and names of modules.

use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItemFn, ItemFn, ItemMod, Meta, Signature, TraitItemFn};

use super::{Finding, Source};

/// Lines of a function, from its name's to its last brace's; tests excepted.
const LINES: usize = 50;

/// Lines of a kernel.
const KERNEL_LINES: usize = 100;

/// The folders of kernels in Rust.
const KERNELS: [&str; 1] = ["crates/bnn-cpu/src/kernels/"];

/// Parameters of a function, `self` included, as clippy counts.
const PARAMETERS: usize = 6;

/// Names of modules that hold anything.
const CATCH_ALL: [&str; 7] = ["utils", "util", "common", "base", "helpers", "manager", "misc"];

/// What is found in the functions and modules of a file.
pub fn check(source: &Source, file: &syn::File) -> Vec<Finding> {
    let kernels = KERNELS.iter().any(|folder| source.path.starts_with(folder));
    let mut walk = Walk {
        source,
        lines: if kernels { KERNEL_LINES } else { LINES },
        tests: source.path.contains("/tests/"),
        findings: Vec::new(),
    };
    walk.visit_file(file);
    walk.findings
}

struct Walk<'a> {
    source: &'a Source,
    /// Most lines of a function.
    lines: usize,
    /// Whether this is the code of tests.
    tests: bool,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn function(&mut self, attrs: &[Attribute], signature: &Signature, body: Option<&Block>) {
        if self.tests || is_test(attrs) {
            return;
        }
        let (name, first) = (&signature.ident, signature.fn_token.span.start().line);
        let last = body.map_or(first, |body| body.brace_token.span.close().end().line);
        let (lines, most) = (last + 1 - first, self.lines);
        if lines > most {
            let fault = format!("`{name}` has {lines} lines, of at most {most}: give parts names");
            self.findings.push(Finding::at(self.source, first, fault));
        }
        let count = signature.inputs.len();
        if count > PARAMETERS {
            let fault = format!(
                "`{name}` has {count} parameters, of at most {PARAMETERS}: make a struct of those \
                 that belong together"
            );
            self.findings.push(Finding::at(self.source, first, fault));
        }
    }
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.attrs, &item.sig, Some(&item.block));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.attrs, &item.sig, Some(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.function(&item.attrs, &item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = item.ident.to_string();
        if CATCH_ALL.contains(&name.as_str()) {
            let fault = format!("module `{name}` may hold anything: name it after what it holds");
            self.findings.push(Finding::at(self.source, item.ident.span().start().line, fault));
        }
        let outside = self.tests;
        self.tests |= is_test(&item.attrs);
        visit::visit_item_mod(self, item);
        self.tests = outside;
    }
}

/// Whether an item is there for tests only: `#[test]` or `#[cfg(test)]`.
fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::NameValue(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::findings;

    /// A function of so many lines.
    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    a();\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_has_50_lines_and_a_kernel_100() {
        let found = |path, lines| findings(&[(path, &format!("//! A.\n{}", function(lines)))]);
        let want = "2: `long` has 51 lines, of at most 50: give parts names";
        assert!(found("crates/a/src/b.rs", 50).is_empty());
        assert_eq!(found("crates/a/src/b.rs", 51), [format!("crates/a/src/b.rs:{want}")]);
        let kernel = "crates/bnn-cpu/src/kernels/avx.rs";
        let want = "2: `long` has 101 lines, of at most 100: give parts names";
        assert!(found(kernel, 100).is_empty());
        assert_eq!(found(kernel, 101), [format!("{kernel}:{want}")]);
    }

    #[test]
    fn methods_are_functions_and_tests_are_not() {
        let long = function(60);
        let method = format!("//! A.\nimpl A {{\n{long}}}\ntrait B {{\n    /// C.\n{long}}}\n");
        let fault = "`long` has 60 lines, of at most 50: give parts names";
        let want = [3, 66].map(|line| format!("benches/a.rs:{line}: {fault}"));
        assert_eq!(findings(&[("benches/a.rs", &method)]), want);
        let test = format!("//! A.\n#[test]\n{long}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        let file = format!("//! A.\n{long}");
        assert!(findings(&[("benches/a.rs", &test), ("crates/a/tests/b.rs", &file)]).is_empty());
    }

    #[test]
    fn a_function_has_6_parameters() {
        let six = "a: A, b: A, c: A, d: A, e: A, f: A";
        let five = "&self, a: A, b: A, c: A, d: A, e: A";
        let good = format!("//! A.\nfn a({six}) {{}}\ntrait B {{\n    fn b({five});\n}}\n");
        let bad = good.replace("e: A", "e: A, g: A");
        let found = findings(&[("benches/a.rs", &good), ("benches/b.rs", &bad)]);
        let fault = "has 7 parameters, of at most 6: make a struct of those that belong together";
        let want =
            [(2, 'a'), (4, 'b')].map(|(line, f)| format!("benches/b.rs:{line}: `{f}` {fault}"));
        assert_eq!(found, want);
    }

    #[test]
    fn a_module_has_a_name() {
        let text = "//! A.\nmod norm;\nmod utils;\nmod a {\n    mod base {}\n}\n";
        let fault = "may hold anything: name it after what it holds";
        let want = [(3, "utils"), (5, "base")]
            .map(|(line, name)| format!("benches/a.rs:{line}: module `{name}` {fault}"));
        assert_eq!(findings(&[("benches/a.rs", text)]), want);
    }
}
