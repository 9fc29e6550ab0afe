//! The whole page: well-formed, self-contained, and honest about what is not there.

use roxmltree::{Document, ParsingOptions};

use super::*;
use crate::counts::tests::sample as counts;
use crate::evaluation::tests::sample as evaluation;
use crate::flips::tests::flipping;
use crate::publish;
use crate::summary::{Entry, State, rows};

/// A name that breaks pages which do not escape it.
const NASTY: &str = "<i>a & \"b\"</i>";

/// Everything that a report can hold, under a name that must be escaped.
fn full() -> (Vec<Row>, Vec<Bench>, Counts) {
    let mut record = flipping();
    record.evaluation = Some(evaluation());
    record.origin.revision += "-dirty";
    record.cell.spec = NASTY.into();
    record.about.title = NASTY.into();
    record.about.deviations = vec![NASTY.into()];
    let mut missing = Entry::from(record.clone());
    missing.key.data = "mnist".into();
    missing.state = State::NotRun(NASTY.into());
    let mut bench = crate::bench::sample();
    bench.title = NASTY.into();
    let mut counts = counts();
    counts.networks[0].specs = vec![NASTY.into()];
    (rows([record.into(), missing]), vec![bench, crate::bench::sample_gpu()], counts)
}

fn full_page() -> String {
    let (rows, benches, counts) = full();
    page(&Report { rows: &rows, benches: &benches, counts: Some(&counts), intro: NASTY })
}

fn parse(text: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).unwrap()
}

/// The text of a section.
fn words(document: &Document<'_>, id: &str) -> String {
    let section = document.descendants().find(|node| node.attribute("id") == Some(id));
    let texts = section.unwrap().descendants().filter(|node| node.is_text());
    texts.filter_map(|node| node.text()).collect()
}

#[test]
fn the_page_is_well_formed_and_escapes_text() {
    let text = full_page();
    let document = parse(&text);
    assert!(!text.contains("<i>"), "{text}");
    for id in ["results", "curves", "flips", "energy", "provenance", "speed"] {
        assert!(words(&document, id).contains(NASTY), "{id}: {}", words(&document, id));
    }
    assert!(words(&document, "confusion").contains("<dog>"));
    assert!(words(&document, "mistakes").contains("cat, taken for <dog>"));
    assert!(words(&document, "results").contains("changes that are in no commit"));
    assert!(!words(&document, "filters").contains("not run"));
    let kernels = words(&document, "kernels");
    assert!(kernels.contains("50, 25") && kernels.contains("38"), "{kernels}");
    let speed = words(&document, "speed");
    for told in ["kernels.cuda: Figure 3 on a GPU", "cuBLAS f32", "23 and 3.4", "one GPU"] {
        assert!(speed.contains(told), "{told} is not in: {speed}");
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let text = full_page();
    let document = parse(&text);
    for node in document.descendants() {
        assert!(!["script", "link", "iframe", "object"].contains(&node.tag_name().name()));
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            match name {
                "src" => assert!(value.starts_with("data:image/png;base64,"), "{value}"),
                "href" => assert!(value.starts_with('#'), "{value}"),
                _ => assert!(!value.contains("://") && !name.starts_with("on"), "{name}: {value}"),
            }
        }
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn every_link_of_the_page_leads_somewhere() {
    let text = full_page();
    let document = parse(&text);
    let ids: Vec<&str> = document.descendants().filter_map(|node| node.attribute("id")).collect();
    let links = document.descendants().filter_map(|node| node.attribute("href")?.strip_prefix('#'));
    assert_eq!(links.collect::<Vec<_>>(), ids);
}

#[test]
fn without_results_every_section_says_so() {
    let text = page(&Report { rows: &[], benches: &[], counts: None, intro: "" });
    let document = parse(&text);
    let sections = sections(&Report { rows: &[], benches: &[], counts: None, intro: "" });
    for Section { id, .. } in sections {
        assert!(words(&document, id).contains("not run"), "{id}");
    }
}

#[test]
fn the_judged_sections_look_like_this() {
    let (rows, ..) = full();
    let sections =
        [judged::filters, judged::kernels, judged::confusion, judged::mistakes].map(|of| of(&rows));
    insta::assert_snapshot!(sections.concat());
}

#[test]
fn a_folder_without_results_is_rendered() {
    let root = tempfile::tempdir().unwrap();
    let args = publish::Args { dir: None, only: None };
    publish::run(&args, root.path()).unwrap();
    let text = std::fs::read_to_string(root.path().join("results/report/index.html")).unwrap();
    assert!(text.contains("not run") && root.path().join("RESULTS.md").exists());
}

#[test]
fn a_damaged_result_is_named() {
    let root = tempfile::tempdir().unwrap();
    let (rows, ..) = full();
    let folder = root.path().join("results/quick");
    let mut record = rows[0].records[0].clone();
    record.cell.spec = "mlp".into();
    record.write(&folder).unwrap();
    let args = publish::Args { dir: None, only: None };
    publish::run(&args, root.path()).unwrap();
    let path = record.path(&folder);
    let whole = std::fs::read_to_string(&path).unwrap();
    for (from, to, fault) in
        [("iVBOR", "javascript:", "no PNG file"), ("[9,1]", "[9]", "`confusion`")]
    {
        std::fs::write(&path, whole.replace(from, to)).unwrap();
        let error = format!("{:#}", publish::run(&args, root.path()).unwrap_err());
        assert!(error.contains("mlp.digits.cpu.s0.json") && error.contains(fault), "{error}");
    }
}
