//! Every kernel is launched, and everything launched is there: names are texts on both sides.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // in helpers too

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bnn_cuda::machine_code;

#[test]
fn every_kernel_is_launched() {
    let sources = texts("src", "rs").into_values().collect::<String>();
    for (file, kernels) in declared() {
        for kernel in kernels {
            let named = sources.contains(&format!("\"{kernel}\""));
            assert!(named, "kernels/{file}.cu: nothing in src/ launches {kernel}");
        }
    }
}

#[test]
fn every_launch_has_its_kernel() {
    let declared = declared();
    let mut named: BTreeSet<_> =
        texts("src", "rs").values().flat_map(|text| launched(text)).collect();
    assert!(named.len() > 20, "launches are not found: {named:?}");
    named.extend(machine_code::launches().map(|l| (l.file.into(), l.name.into())));
    for (file, kernel) in named {
        let there = declared.get(&file).is_some_and(|kernels| kernels.contains(&kernel));
        assert!(there, "kernels/{file}.cu has no {kernel}, which src/ launches");
    }
}

#[test]
fn every_file_is_compiled() {
    let files: BTreeSet<_> = machine_code::files().map(String::from).collect();
    assert_eq!(files, declared().into_keys().collect());
}

/// The kernels of every file.
fn declared() -> BTreeMap<String, BTreeSet<String>> {
    let name = |rest: &str| rest.split_once(") ").unwrap().1.split('(').next().unwrap().to_owned();
    let kernels = |text: &str| text.split("\nKERNEL(").skip(1).map(name).collect();
    texts("kernels", "cu").into_iter().map(|(file, text)| (file, kernels(&text))).collect()
}

/// The launches that name file and kernel in one place.
fn launched(text: &str) -> Vec<(String, String)> {
    let calls = text.split("Kernel(\"").skip(1);
    let quoted = calls.filter_map(|rest| {
        let (file, rest) = rest.split_once("\", \"")?;
        Some((file.to_owned(), rest.split('"').next()?.to_owned()))
    });
    quoted.filter(|(file, _)| !file.contains(['"', ')'])).collect()
}

/// The files of this crate's folder with this extension, by name.
fn texts(folder: &str, extension: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|it| it == extension));
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    files.map(|path| (path.file_stem().unwrap().to_string_lossy().into(), text(&path))).collect()
}
